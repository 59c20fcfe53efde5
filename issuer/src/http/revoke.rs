use std::sync::Arc;

use hyper::StatusCode;

use super::form::Form;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::token_form::TokenForm;
use super::{Api, Call, client};

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
        (
            status = 401,
            description = "`invalid_client`: the request has a client's credentials, and they are wrong",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Basic`")),
        ),
    ),
    security((), ("client" = [])),
)]
pub(super) async fn revoke(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    let TokenForm { token } = form.parse()?;
    let client = client::authenticated(&api.issuer, &call, &form).await?;
    let client_id = client.as_ref().map(|client| client.id.as_str());
    let client_id = client_id.or_else(|| form.get("client_id"));
    api.issuer.revoke(token, client_id, call.client).await?;
    Ok(reply::empty(StatusCode::OK))
}
