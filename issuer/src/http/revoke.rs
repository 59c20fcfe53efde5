use std::sync::Arc;

use hyper::StatusCode;

use super::form::Form;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::token_form::TokenForm;
use super::{Api, Call};

/// `POST /revoke` (RFC 7009): ends the session of a refresh token, or of an access token that names a
/// status list. An invalid token has the same answer. `token_type_hint` is not needed.
#[utoipa::path(
    post,
    path = "/revoke",
    tag = "OAuth",
    summary = "End the session of a token",
    description = "RFC 7009; optionally with `client_id`.",
    request_body(content = TokenForm<'_>, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The session is over, or there was none."),
        (
            status = 400,
            description = "`invalid_request`, `invalid_grant` for another client's token, or `unsupported_token_type` for an access token that names no status list",
            body = ErrorBody,
        ),
    ),
)]
pub(super) async fn revoke(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    let TokenForm { token } = form.parse()?;
    api.issuer.revoke(token, form.get("client_id")).await?;
    Ok(reply::empty(StatusCode::OK))
}
