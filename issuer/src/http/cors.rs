//! CORS (Fetch standard) for the origins in `cors_origins`; without them no header is sent.

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::reply::{self, Reply};
use super::{ApiError, Endpoint};

/// The access that pages of listed origins have to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    /// Read the answer.
    Public,
    /// Call it with the session cookie.
    Credentials,
}

/// CORS for one request.
pub(super) struct Cors {
    endpoint: Endpoint,
    /// The answer depends on the origin.
    varies: bool,
    /// The request's origin, if it is listed.
    origin: Option<HeaderValue>,
}

impl Cors {
    pub(super) fn new(listed: &[String], endpoint: Endpoint, headers: &HeaderMap) -> Self {
        let varies = endpoint.cors != Kind::None && !listed.is_empty();
        let origin = headers.get(header::ORIGIN).filter(|origin| {
            varies && listed.iter().any(|one| one.as_bytes() == origin.as_bytes())
        });
        Self { endpoint, varies, origin: origin.cloned() }
    }

    /// Answers OPTIONS.
    pub(super) fn preflight(&self) -> Reply {
        if !self.varies {
            return ApiError::method_not_allowed(self.endpoint.allow).reply();
        }
        let mut reply = reply::empty(StatusCode::NO_CONTENT);
        let headers = reply.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static(self.endpoint.allow));
        if self.origin.is_some() {
            let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
            set(header::ACCESS_CONTROL_ALLOW_METHODS, self.endpoint.allow);
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type");
            set(header::ACCESS_CONTROL_MAX_AGE, "600");
        }
        reply
    }

    /// Adds the CORS headers to an answer of the endpoint.
    pub(super) fn apply(self, reply: &mut Reply) {
        let headers = reply.headers_mut();
        if self.varies {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.endpoint.cors == Kind::Credentials {
            let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After");
        }
    }
}
