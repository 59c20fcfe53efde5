use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{self, ApiError, Reply};
use super::{Call, Shared};

/// The public keys (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the keys are written by countersign-claims")]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the keys are written by countersign-claims")]
struct Jwk {
    #[schema(example = "RSA")]
    kty: String,
    #[schema(example = "sig")]
    r#use: String,
    #[schema(example = "RS256")]
    alg: String,
    /// The RFC 7638 thumbprint.
    kid: String,
    n: String,
    #[schema(example = "AQAB")]
    e: String,
}

/// `GET /.well-known/jwks.json` (RFC 7517 §8.5).
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "documents",
    summary = "The keys that access tokens are verified with",
    params(("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of what the client has")),
    responses(
        (
            status = 200,
            description = "RFC 7517",
            body = JwkSet,
            content_type = "application/jwk-set+json",
            headers(
                ("ETag" = String, description = "Strong"),
                ("Cache-Control" = String, description = "Until the keys change at the latest"),
            ),
        ),
        (
            status = 304,
            description = "The client has it.",
            headers(("ETag" = String), ("Cache-Control" = String)),
        ),
    ),
)]
pub(super) async fn jwks(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let keys = state.keys.current();
    let max_age = keys.max_age(state.clock.now(), state.config.jwks_max_age);
    let media_type = "application/jwk-set+json";
    Ok(document(&call.headers, media_type, &keys.jwks, &keys.etag, max_age))
}

/// What there is (RFC 8414 §2).
#[derive(Serialize, ToSchema)]
struct Metadata<'a> {
    #[schema(example = "https://auth.example")]
    issuer: &'a str,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    jwks_uri: String,
    grant_types_supported: &'static [&'static str],
    /// Required, and empty: there is no authorization endpoint.
    response_types_supported: &'static [&'static str],
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414): what exists, and nothing else.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "documents",
    summary = "What there is, and where",
    responses((
        status = 200,
        description = "RFC 8414",
        body = Metadata<'_>,
        headers(("Cache-Control" = String)),
    )),
)]
pub(super) async fn metadata(state: Shared, _: Call) -> Result<Reply, ApiError> {
    let at = |path| state.endpoint(path);
    let metadata = Metadata {
        issuer: &state.issuer,
        token_endpoint: at("/token"),
        token_endpoint_auth_methods_supported: &[
            "none",
            "client_secret_basic",
            "client_secret_post",
        ],
        revocation_endpoint: at("/revoke"),
        revocation_endpoint_auth_methods_supported: &["none"],
        introspection_endpoint: at("/introspect"),
        introspection_endpoint_auth_methods_supported: &[
            "client_secret_basic",
            "client_secret_post",
        ],
        jwks_uri: at("/.well-known/jwks.json"),
        grant_types_supported: &["refresh_token", "client_credentials"],
        response_types_supported: &[],
    };
    let mut reply = reply::json(StatusCode::OK, &metadata);
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
