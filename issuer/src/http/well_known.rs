use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::json;

use super::reply::{self, ApiError, Reply};
use super::{Call, Shared};

/// `GET /.well-known/jwks.json` (RFC 7517 §8.5).
pub(super) async fn jwks(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let keys = state.keys.current();
    let max_age = keys.max_age(state.clock.now(), state.config.jwks_max_age);
    let media_type = "application/jwk-set+json";
    Ok(document(&call.headers, media_type, &keys.jwks, &keys.etag, max_age))
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414): what exists, and nothing else.
pub(super) async fn metadata(state: Shared, _: Call) -> Result<Reply, ApiError> {
    let mut reply = reply::json(
        StatusCode::OK,
        &json!({
            "issuer": state.issuer,
            "token_endpoint": state.endpoint("/token"),
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "revocation_endpoint": state.endpoint("/revoke"),
            "revocation_endpoint_auth_methods_supported": ["none"],
            "introspection_endpoint": state.endpoint("/introspect"),
            "introspection_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post"],
            "jwks_uri": state.endpoint("/.well-known/jwks.json"),
            "grant_types_supported": ["refresh_token", "client_credentials"],
            // Required, and empty: there is no authorization endpoint.
            "response_types_supported": [],
        }),
    );
    public(&mut reply, state.config.jwks_max_age.as_secs());
    Ok(reply)
}

/// A document that anybody may have, and any cache for `max_age`; 304 to whom has it.
pub(super) fn document(
    headers: &HeaderMap,
    media_type: &'static str,
    body: &Bytes,
    etag: &str,
    max_age: u64,
) -> Reply {
    let mut reply = if holds(headers, etag) {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        reply::typed(StatusCode::OK, media_type, body.clone())
    };
    public(&mut reply, max_age);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        reply.headers_mut().insert(header::ETAG, etag);
    }
    reply
}

fn public(reply: &mut Reply, max_age: u64) {
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        reply.headers_mut().insert(header::CACHE_CONTROL, value);
    }
}

/// Whether the client says that it has the document with that tag (RFC 9110 §13.1.2).
fn holds(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).into_iter();
    let mut tags = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    tags.any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    })
}
