use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{FORM, JSON, is_type, json, missing};
use super::cookie::Cookies;
use super::form::Form;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call};

/// `POST /logout`: ends the session of `refresh_token`, or else that of the cookie.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "users",
    summary = "End a session",
    description = "Ends the session of `refresh_token`; without a body, that of the cookie.",
    request_body(content(
        (LogoutForm = "application/x-www-form-urlencoded"),
        (Logout = "application/json"),
    )),
    responses(
        (
            status = 204,
            description = "The session is over, or there was none.",
            headers(("Set-Cookie" = String, description = "Deletes the cookie, if it had the refresh token")),
        ),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 403,
            description = "`access_denied`: a page of another site sent the cookie, or the request did not come through the proxy",
            body = ErrorBody,
        ),
    ),
    security((), ("session" = [])),
)]
pub(super) async fn logout(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let given = refresh_token(&call)?;
    let cookies = Cookies::of(&api.issuer, &call);
    let token = match &given {
        Some(token) => Some(token.as_str()),
        None => cookies.read(&api.issuer, &call.headers)?,
    };
    let token = token.ok_or_else(|| missing("refresh_token"))?;
    api.issuer.log_out(token, call.client).await?;
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    if given.is_none() {
        cookies.set(&mut reply, "", 0);
    }
    Ok(reply)
}

/// The JSON body of `/logout`.
#[derive(Deserialize, ToSchema)]
struct Logout {
    // Any value, so that a wrong type has a message of its own.
    #[serde(default, deserialize_with = "any_value")]
    #[schema(value_type = String, required, min_length = 1, example = "AVbk…")]
    refresh_token: Option<Value>,
}

/// Reads `null` as a value too: it is no string.
fn any_value<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(member).map(Some)
}

/// The form of `/logout`.
#[derive(Deserialize, ToSchema)]
struct LogoutForm {
    #[schema(value_type = String, required, min_length = 1, example = "AVbk…")]
    refresh_token: Option<String>,
}

/// Returns the refresh token in the body; `None` without a body, or if it is empty.
fn refresh_token(call: &Call) -> Result<Option<String>, ApiError> {
    if call.body.is_empty() {
        return Ok(None);
    }
    if is_type(&call.headers, FORM) {
        let LogoutForm { refresh_token } = Form::read(call)?.parse()?;
        return Ok(refresh_token);
    }
    if !is_type(&call.headers, JSON) {
        return Err(ApiError::unsupported_media_type(&format!("{FORM} or {JSON}")));
    }
    match json::<Logout>(call)?.refresh_token {
        None => Ok(None),
        // As in a form.
        Some(Value::String(token)) if token.is_empty() => Ok(None),
        Some(Value::String(token)) => Ok(Some(token)),
        Some(_) => Err(ApiError::invalid_request("refresh_token must be a string")),
    }
}
