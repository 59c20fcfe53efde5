use hyper::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{FORM, Form, JSON, is_type, missing};
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::token::FIRST_PARTY;
use super::{Call, Shared, cookie, introspect};
use crate::session::{RefreshToken, Session, SessionId};

/// `POST /revoke` (RFC 7009): ends the session of a refresh token, or of an access token that names a
/// status list. A token that means nothing is answered in the same way. `token_type_hint` is not
/// needed to tell them apart.
#[utoipa::path(
    post,
    path = "/revoke",
    tag = "OAuth",
    summary = "End the session of a token",
    description = "RFC 7009; optionally with `client_id`.",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "There is no such session any more."),
        (
            status = 400,
            description = "`invalid_request`, `invalid_grant` for another client's token, or `unsupported_token_type` for an access token that names no status list",
            body = ErrorBody,
        ),
    ),
)]
pub(super) async fn revoke(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    let token = form.require("token")?;
    let session = match RefreshToken::decode(token, &state.refresh_key) {
        Some(token) => Some(token.session),
        None => session_of(&state, token)?,
    };
    let Some(session) = session else { return Ok(reply::empty(StatusCode::OK)) };
    // RFC 7009 §2.1: each client its own tokens; all sessions are those of one client.
    if form.get("client_id").is_some_and(|id| id != FIRST_PARTY) {
        return Err(ApiError::bad_request("invalid_grant", "the token is another client's"));
    }
    state.store.end_session(session, state.clock.now()).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// The session of an access token; none if the token is worth nothing anyway.
fn session_of(state: &Shared, token: &str) -> Result<Option<SessionId>, ApiError> {
    let Some(claims) = introspect::live_access_token(state, token) else { return Ok(None) };
    let sid = claims.get("sid").and_then(Value::as_str);
    // A 200 would say that it is dead, and of one that names no list nobody can say so before it
    // expires.
    let session = sid.filter(|_| claims.contains_key("status")).and_then(Session::parse_sid);
    let session = session.ok_or_else(|| {
        ApiError::bad_request(
            "unsupported_token_type",
            "this access token expires by itself; revoke the session's refresh token",
        )
    });
    session.map(Some)
}

/// A form with a token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read by name")]
pub(super) struct TokenForm {
    #[schema(min_length = 1, example = "AVbk…")]
    token: String,
}

/// `POST /logout`: ends the session of the cookie, or of `refresh_token` in a form or in JSON.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "users",
    summary = "End a session",
    description = "That of `refresh_token`, or without a body that of the cookie.",
    request_body(content(
        (LogoutForm = "application/x-www-form-urlencoded"),
        (Logout = "application/json"),
    )),
    responses(
        (
            status = 204,
            description = "There is no such session any more.",
            headers(("Set-Cookie" = String, description = "Without the session, if it came in the cookie")),
        ),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 403,
            description = "`access_denied`: another site's page sent the cookie, or the request came around the proxy",
            body = ErrorBody,
        ),
    ),
    security((), ("session" = [])),
)]
pub(super) async fn logout(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let given = refresh_token(&call)?;
    let token = match &given {
        Some(token) => Some(token.as_str()),
        None => cookie::read(&state, &call.headers)?,
    };
    end(&state, token.ok_or_else(|| missing("refresh_token"))?).await?;
    let mut reply = reply::empty(StatusCode::NO_CONTENT);
    if given.is_none() {
        cookie::set(&mut reply, "", 0);
    }
    Ok(reply)
}

/// The body of `/logout`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read by name")]
struct Logout {
    #[schema(min_length = 1, example = "AVbk…")]
    refresh_token: String,
}

/// The same as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read by name")]
struct LogoutForm {
    #[schema(min_length = 1, example = "AVbk…")]
    refresh_token: String,
}

/// The refresh token in the body, if there is a body.
fn refresh_token(call: &Call) -> Result<Option<String>, ApiError> {
    if call.body.is_empty() {
        return Ok(None);
    }
    if !is_type(&call.headers, JSON) {
        return match Form::read(call) {
            Ok(form) => Ok(form.get("refresh_token").map(str::to_owned)),
            Err(_) if !is_type(&call.headers, FORM) => {
                Err(ApiError::unsupported_media_type(&format!("{FORM} or {JSON}")))
            }
            Err(e) => Err(e),
        };
    }
    let malformed = |_| ApiError::invalid_request("the body is not a well-formed JSON object");
    let body: serde_json::Map<_, _> = serde_json::from_slice(&call.body).map_err(malformed)?;
    match body.get("refresh_token") {
        None => Ok(None),
        // As in a form.
        Some(Value::String(token)) if token.is_empty() => Ok(None),
        Some(Value::String(token)) => Ok(Some(token.clone())),
        Some(_) => Err(ApiError::invalid_request("refresh_token must be a string")),
    }
}

/// Ends the session that the refresh token belongs to, whichever of its tokens it is.
async fn end(state: &Shared, token: &str) -> Result<(), ApiError> {
    if let Some(token) = RefreshToken::decode(token, &state.refresh_key) {
        state.store.end_session(token.session, state.clock.now()).await?;
    }
    Ok(())
}
