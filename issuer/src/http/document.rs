//! Documents that anybody may have and any cache may hold.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};

use super::reply::{self, Reply};

/// Returns the document, or 304 if the client has it (RFC 9110 §13.1.2). Caches may hold it for
/// `max_age` seconds. `etag` is its entity tag, quotes included.
pub(super) fn answer(
    headers: &HeaderMap,
    media_type: &'static str,
    body: &Bytes,
    etag: &str,
    max_age: u64,
) -> Reply {
    let mut reply = if client_has(headers, etag) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::typed(StatusCode::OK, media_type, body.clone())
    };
    set_cacheable(&mut reply, max_age);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        reply.headers_mut().insert(ETAG, etag);
    }
    reply
}

/// Allows any cache to hold the reply for `max_age` seconds.
pub(super) fn set_cacheable(reply: &mut Reply, max_age: u64) {
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        reply.headers_mut().insert(CACHE_CONTROL, value);
    }
}

/// Returns true if `If-None-Match` contains the entity tag (RFC 9110 §13.1.2). The crate `headers`
/// has a type for that, whose debug assertions panic on valid headers such as `"a b"`.
fn client_has(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).into_iter();
    let mut tags = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}
