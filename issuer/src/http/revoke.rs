use hyper::StatusCode;

use super::body::{FORM, Form, JSON, is_type, missing};
use super::reply::{self, ApiError, Reply};
use super::{Call, Shared, cookie};
use crate::session::RefreshToken;

/// `POST /revoke` (RFC 7009): ends the session of a refresh token. A token that means nothing is
/// answered in the same way.
pub(super) async fn revoke(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    let token = form.require("token")?;
    // A 200 would say that an access token is dead, which nobody can promise before it expires.
    if jsonwebtoken::decode_header(token).is_ok() {
        return Err(ApiError::bad_request(
            "unsupported_token_type",
            "access tokens expire by themselves; revoke the session's refresh token",
        ));
    }
    end(&state, token).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `POST /logout`: ends the session of the cookie, or of `refresh_token` in a form or in JSON.
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
        Some(serde_json::Value::String(token)) => Ok(Some(token.clone())),
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
