//! Documents that anybody may have and any cache may hold.

use std::time::Duration;

use bytes::Bytes;
use headers::{CacheControl, ETag, HeaderMapExt as _, IfNoneMatch};
use hyper::StatusCode;
use hyper::header::HeaderMap;

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
    let etag = etag.parse::<ETag>().ok();
    let held = headers.typed_get::<IfNoneMatch>();
    let has_it = |(held, etag): (&IfNoneMatch, &ETag)| !held.precondition_passes(etag);
    let mut reply = if held.as_ref().zip(etag.as_ref()).is_some_and(has_it) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::typed(StatusCode::OK, media_type, body.clone())
    };
    set_cacheable(&mut reply, max_age);
    if let Some(etag) = etag {
        reply.headers_mut().typed_insert(etag);
    }
    reply
}

/// Allows any cache to hold the reply for `max_age` seconds.
pub(super) fn set_cacheable(reply: &mut Reply, max_age: u64) {
    let max_age = Duration::from_secs(max_age);
    reply.headers_mut().typed_insert(CacheControl::new().with_public().with_max_age(max_age));
}
