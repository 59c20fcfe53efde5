//! CORS (Fetch standard): pages of any origin may read the documents, pages of the origins in
//! `cors_origins` may call the endpoints of users.

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::reply::{self, Reply};
use super::{ApiError, Endpoint};
use crate::config::Origin;

/// The access that pages of other origins have to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    /// Any page reads the answer, which no cookie changes.
    Public,
    /// Pages of listed origins call it, with the session cookie too.
    Credentials,
}

/// The headers that a page may read, besides those that every page may (Fetch standard, "CORS-safelisted
/// response-header name").
const EXPOSED: &str = "Age, ETag, Retry-After, WWW-Authenticate, X-Request-Id";

/// The longest list of header names that a preflight is granted.
const MAX_NAMES_BYTES: usize = 2048;

/// CORS for one request.
pub(super) struct Cors {
    endpoint: Endpoint,
    /// Some pages of other origins may use the endpoint.
    is_open: bool,
    /// The origin that may use it: the request's, or `*`.
    allowed: Option<HeaderValue>,
}

impl Cors {
    pub(super) fn new(listed: &[Origin], endpoint: Endpoint, headers: &HeaderMap) -> Self {
        let (is_open, allowed) = match endpoint.cors {
            Kind::None => (false, None),
            Kind::Public => (true, Some(HeaderValue::from_static("*"))),
            Kind::Credentials => {
                let origin = headers.get(header::ORIGIN);
                let known = origin.filter(|origin| listed.iter().any(|one| is(one, origin)));
                (!listed.is_empty(), known.cloned())
            }
        };
        Self { endpoint, is_open, allowed }
    }

    /// Answers OPTIONS. Allows every header that the page asks for: tracing and monitoring add their
    /// own to its requests. `*` would not stand for `Authorization`, nor for anything with cookies.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Reply {
        if !self.is_open {
            return ApiError::method_not_allowed(self.endpoint.allow).reply();
        }
        let mut reply = reply::empty(StatusCode::NO_CONTENT);
        let headers = reply.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static(self.endpoint.allow));
        headers
            .insert(header::VARY, HeaderValue::from_name(header::ACCESS_CONTROL_REQUEST_HEADERS));
        if self.allowed.is_some() {
            let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
            set(header::ACCESS_CONTROL_ALLOW_METHODS, self.endpoint.allow);
            set(header::ACCESS_CONTROL_MAX_AGE, "600");
            let names = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
            if let Some(names) = names.filter(|names| names.len() <= MAX_NAMES_BYTES) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        reply
    }

    /// Adds the CORS headers to an answer of the endpoint.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        let is_credentials = self.endpoint.cors == Kind::Credentials;
        if self.is_open && is_credentials {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(allowed) = self.allowed else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if is_credentials {
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
    }
}

/// Returns true if the header `Origin` has this origin.
pub(super) fn is(origin: &Origin, header: &HeaderValue) -> bool {
    header.as_bytes() == origin.as_str().as_bytes()
}
