use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{self, ApiError, Reply};
use super::{Api, Call, document};
use crate::service::Issuer;

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
    params(("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of the copy that the client has")),
    responses(
        (
            status = 200,
            description = "RFC 7517",
            body = JwkSet,
            content_type = "application/jwk-set+json",
            headers(
                ("ETag" = String, description = "Strong"),
                ("Cache-Control" = String, description = "Not longer than until the next change of the keys"),
            ),
        ),
        (
            status = 304,
            description = "The copy of the client is current.",
            headers(("ETag" = String), ("Cache-Control" = String)),
        ),
    ),
)]
pub(super) async fn jwks(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let Issuer { keys, clock, config, polling, .. } = &*api.issuer;
    polling.freshen().await;
    let keys = keys.current();
    let max_age = keys.max_age(clock.now(), config.jwks_max_age);
    let media_type = "application/jwk-set+json";
    Ok(document::answer(&call.headers, media_type, &keys.jwks, &keys.etag, max_age))
}

/// The metadata of the issuer (RFC 8414 §2).
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
    /// Required by the RFC; empty without an authorization endpoint.
    response_types_supported: &'static [&'static str],
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "documents",
    summary = "The endpoints, and the methods that they accept",
    responses((
        status = 200,
        description = "RFC 8414",
        body = Metadata<'_>,
        headers(("Cache-Control" = String)),
    )),
)]
pub(super) async fn metadata(api: Arc<Api>, _: Call) -> Result<Reply, ApiError> {
    Ok(metadata_of(&api.issuer))
}

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery 1.0 §4): the same document, for
/// software that looks only there. The issuer is no OpenID provider: it has no ID tokens.
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    tag = "documents",
    summary = "The same document, where OpenID Connect Discovery looks for it",
    responses((
        status = 200,
        description = "RFC 8414",
        body = Metadata<'_>,
        headers(("Cache-Control" = String)),
    )),
)]
pub(super) async fn openid_configuration(api: Arc<Api>, _: Call) -> Result<Reply, ApiError> {
    Ok(metadata_of(&api.issuer))
}

fn metadata_of(issuer: &Issuer) -> Reply {
    let Issuer { url, config, .. } = issuer;
    let at = |path| url.endpoint(path);
    let metadata = Metadata {
        issuer: url.as_str(),
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
    document::set_cacheable(&mut reply, config.jwks_max_age.as_secs());
    reply
}
