//! Fetches JSON documents: key sets and metadata.

use std::{error::Error, sync::Arc, time::Duration};

use axum_core::body::Body;
use http::{
    HeaderMap, Request, StatusCode,
    header::{self, ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, USER_AGENT},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use serde::de::IgnoredAny;
use tokio::time;

use crate::{
    FetchError, caching,
    limits::Limits,
    location::{Location, Schemes},
};

/// A fetched document, with the facts for its revalidation.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// JSON.
    pub(crate) text: Arc<str>,
    pub(crate) ttl: Duration,
    tag: Option<HeaderValue>,
}

/// A kind of document, with the words for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    name: &'static str,
    expected: &'static str,
    /// The advice on a redirect.
    give: &'static str,
}

pub(crate) const KEY_SET: Kind = Kind {
    name: "key set",
    expected: "a JWK Set, whose URL is the jwks_uri in the issuer's metadata",
    give: "the final URL",
};

pub(crate) const METADATA: Kind =
    Kind { name: "metadata", expected: "a JSON object", give: "the final issuer, or its jwks" };

impl Kind {
    /// Makes the error of a document that cannot be used.
    pub(crate) fn refuse(self, location: &Location, problem: &str) -> FetchError {
        FetchError::unavailable(self.message(location, problem))
    }

    pub(crate) fn message(self, location: &Location, problem: &str) -> String {
        format!("no {} from {}: {problem}", self.name, location.shown())
    }
}

const NO_ROOTS: &str = "is https, but this machine has no root certificates: install its \
    ca-certificates, or set SSL_CERT_FILE";

/// 1000 keys of 4096 bits are about 800 KiB.
const MAX_BYTES: usize = 1024 * 1024;

const AGENT: &str = concat!("countersign-axum/", env!("CARGO_PKG_VERSION"));

/// An HTTP client, without redirects and proxies.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    limits: Limits,
}

impl Fetcher {
    /// Makes a client that trusts the root certificates of the machine.
    ///
    /// # Errors
    /// An error in words that follow a URL, if there are none and `needs_tls`.
    pub(crate) fn new(limits: Limits, needs_tls: bool) -> Result<Self, &'static str> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if needs_tls && roots.is_empty() {
            return Err(NO_ROOTS);
        }
        // Another crate of the service can have chosen another provider for the process.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "needs TLS 1.2 or 1.3, which aws-lc-rs lacks")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = connector.https_or_http().enable_http1().build();
        // Fetches are minutes apart: no connection is kept.
        let mut client = Client::builder(TokioExecutor::new());
        let client = client.pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, limits })
    }

    /// Fetches a document. `known` is the cached one, which is returned with a new lifetime if the
    /// endpoint answers 304. The text is JSON, but may be no document of this kind.
    pub(crate) async fn fetch(
        &self,
        kind: Kind,
        location: &Location,
        known: Option<&Document>,
    ) -> Result<Document, FetchError> {
        let timeout = self.limits.timeout;
        match time::timeout(timeout, self.exchange(kind, location, known)).await {
            Ok(result) => result.map_err(|problem| kind.refuse(location, &problem)),
            Err(_) => {
                let problem = format!("no complete response within {} ms", timeout.as_millis());
                Err(FetchError::timeout(kind.message(location, &problem)))
            }
        }
    }

    async fn exchange(
        &self,
        kind: Kind,
        location: &Location,
        known: Option<&Document>,
    ) -> Result<Document, String> {
        let response = self.client.request(request(location, known)).await;
        let response = response.map_err(|error| network_problem(&error))?;
        let (parts, body) = response.into_parts();
        if let (StatusCode::NOT_MODIFIED, Some(known)) =
            (parts.status, known.filter(|it| it.tag.is_some()))
        {
            let ttl = caching::renewed_lifetime(&parts.headers, &self.limits, known.ttl);
            let tag = caching::entity_tag(&parts.headers).or_else(|| known.tag.clone());
            return Ok(Document { text: Arc::clone(&known.text), ttl, tag });
        }
        if parts.status.is_redirection() {
            let target = target_of(&parts.headers, location);
            return Err(format!("the response is a redirect{target}; give {}", kind.give));
        }
        if parts.status != StatusCode::OK {
            return Err(format!("HTTP status {}; expected 200", parts.status.as_u16()));
        }
        let body = Limited::new(body, MAX_BYTES).collect().await;
        let body = body.map_err(|error| body_problem(&*error))?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            let found = not_json(text, &parts.headers);
            return Err(format!("the response is {found}; expected {}", kind.expected));
        }
        Ok(Document {
            text: text.into(),
            ttl: caching::lifetime(&parts.headers, &self.limits),
            tag: caching::entity_tag(&parts.headers),
        })
    }
}

/// Asks caches on the way to revalidate, because the document may have changed.
fn request(location: &Location, known: Option<&Document>) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = location.uri().clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(tag) = known.and_then(|known| known.tag.clone()) {
        headers.insert(IF_NONE_MATCH, tag);
    }
    request
}

/// Names the target of a redirect, without its query.
fn target_of(headers: &HeaderMap, from: &Location) -> String {
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| match location.starts_with('/') {
        true => from.with_path(location),
        false => Location::parse(location, Schemes::Http).ok(),
    });
    target.map_or_else(String::new, |target| format!(" to {}", target.shown()))
}

/// Describes a text that is not JSON by its first character and its type.
fn not_json(text: &str, headers: &HeaderMap) -> String {
    let found =
        if text.trim_start().starts_with('<') { "HTML or XML, not JSON" } else { "not JSON" };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    format!("{found} ({})", content_type.unwrap_or("no content type"))
}

fn body_problem(error: &(dyn Error + Send + Sync + 'static)) -> String {
    if error.is::<LengthLimitError>() {
        return "the response is more than 1 MiB".to_owned();
    }
    network_problem(error)
}

/// Describes a network error by its innermost cause.
fn network_problem(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("the network request failed ({cause})")
}
