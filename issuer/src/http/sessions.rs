use std::sync::Arc;

use hyper::StatusCode;

use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call, user};

/// `DELETE /sessions/{id}`: ends a session of the user, which may be that of the request. Other users'
/// sessions have the same answer as unknown ones.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    tag = "users",
    summary = "End one of the user's own sessions",
    params(("id" = String, Path, description = "The `sid` claim of the session's access tokens")),
    responses(
        (status = 204, description = "The session is over."),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: the user has no such session, or it has ended", body = ErrorBody),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn end(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    let sid = call.path.strip_prefix("/sessions/").unwrap_or_default();
    api.issuer.end_own_session(&signed_in, sid, call.client).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
