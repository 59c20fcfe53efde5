use std::sync::Arc;

use super::reply::{ApiError, ErrorBody, Reply};
use super::{Api, Call, document};
use crate::status::TTL;

/// `GET /status/{n}`: a Token Status List (draft-ietf-oauth-status-list §8). Ignores `Accept`: the
/// list has one format.
#[utoipa::path(
    get,
    path = "/status/{n}",
    tag = "documents",
    summary = "The sessions that have ended, as a status list",
    description = "A Token Status List (draft-ietf-oauth-status-list), signed.",
    params(
        ("n" = u32, Path, minimum = 1, example = 1, description = "As in the `status` claim of the tokens"),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of the copy that the client has"),
    ),
    responses(
        (
            status = 200,
            description = "A JWT",
            body = String,
            content_type = "application/statuslist+jwt",
            headers(("ETag" = String, description = "Strong"), ("Cache-Control" = String)),
        ),
        (
            status = 304,
            description = "The copy of the client is current.",
            headers(("ETag" = String), ("Cache-Control" = String)),
        ),
        (status = 404, description = "`not_found`: there is no such list", body = ErrorBody),
    ),
)]
pub(super) async fn status(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let number = number(&call.path).ok_or_else(ApiError::not_found)?;
    api.issuer.polling.freshen().await;
    let list = api.issuer.status_lists.list(number).await?.ok_or_else(ApiError::not_found)?;
    // No cache may hold the list for longer than it lives.
    let max_age = list.exp.saturating_sub(api.issuer.clock.now()).min(TTL);
    let media_type = "application/statuslist+jwt";
    Ok(document::answer(&call.headers, media_type, &list.jwt, &list.etag, max_age))
}

/// Returns the number of the list at this path. A list has one path: the one in the tokens.
fn number(path: &str) -> Option<u32> {
    let text = path.strip_prefix("/status/")?;
    let number: u32 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_list_has_one_path() {
        assert_eq!(number("/status/1"), Some(1));
        assert_eq!(number("/status/4294967295"), Some(4_294_967_295));
        for other in ["", "0", "01", "+1", "-1", "1/", "/1", "1.0", "4294967296", "%31", "one"] {
            assert_eq!(number(&format!("/status/{other}")), None, "{other}");
        }
    }
}
