//! The responses to refused requests (RFC 6750 §3).

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use countersign_verifier::BearerError;
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use crate::Error;

/// A refused request. As a response, it is JSON with the members `error` and `error_description`.
///
/// | status | `error` | when |
/// |---|---|---|
/// | 401 | `unauthorized` | no token, or another scheme; the challenge is a bare `Bearer` |
/// | 400 | `invalid_request` | not one well-formed token: two, an empty one, or another in the query or in a form |
/// | 401 | `invalid_token` | the verifier refused the token |
/// | 403 | `insufficient_scope` | the token is valid, but lacks a scope |
/// | 503 | `temporarily_unavailable` | no keys are available; with `Retry-After` |
/// | 500 | `server_error` | a fault of the service: its options, its key set, or a route without a guard |
///
/// The response has the [`Error`] as an extension, for a middleware that writes the log.
#[derive(Clone, Debug)]
pub struct Refusal(Box<Answer>);

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    name: &'static str,
    description: String,
    header: Option<(HeaderName, String)>,
    error: Option<Error>,
}

impl Refusal {
    /// Returns the error, for the log. There is none if the request had no token to verify.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.0.error.as_ref()
    }

    /// Returns the status code of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn of_bearer(error: BearerError) -> Self {
        let name = if error == BearerError::Missing { "unauthorized" } else { INVALID_REQUEST };
        let header = Some((WWW_AUTHENTICATE, error.www_authenticate()));
        let status = status(error.http_status());
        let description = error.message().to_owned();
        Self(Box::new(Answer { status, name, description, header, error: None }))
    }

    /// RFC 6750 §2: only one method for each request.
    pub(crate) fn sent_twice() -> Self {
        let description = "expected one access token, in the Authorization header alone";
        let challenge =
            format!("Bearer error=\"{INVALID_REQUEST}\", error_description=\"{description}\"");
        Self(Box::new(Answer {
            status: StatusCode::BAD_REQUEST,
            name: INVALID_REQUEST,
            description: description.to_owned(),
            header: Some((WWW_AUTHENTICATE, challenge)),
            error: None,
        }))
    }

    /// The refusal by a route that reads claims, but has no guard.
    pub(crate) fn without_guard() -> Self {
        let description = "the route reads claims, but no guard is in front of it: add the layer";
        Self(Box::new(Answer {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            name: SERVER_ERROR,
            description: description.to_owned(),
            header: None,
            error: None,
        }))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let verify_error = error.verify_error();
        let status = status(verify_error.http_status());
        let challenge = || Some((WWW_AUTHENTICATE, verify_error.www_authenticate()));
        // The message of a failed fetch names internal hosts, which callers need not know.
        let (name, description, header) = match status {
            StatusCode::UNAUTHORIZED => ("invalid_token", verify_error.fault(), challenge()),
            StatusCode::FORBIDDEN => ("insufficient_scope", verify_error.message(), challenge()),
            StatusCode::SERVICE_UNAVAILABLE => {
                let later = "tokens cannot be checked at the moment; try again later".to_owned();
                ("temporarily_unavailable", later, Some((RETRY_AFTER, "10".to_owned())))
            }
            _ => (
                SERVER_ERROR,
                "the service cannot check tokens, because of a fault in its setup".to_owned(),
                None,
            ),
        };
        Self(Box::new(Answer { status, name, description, header, error: Some(error) }))
    }
}

const INVALID_REQUEST: &str = "invalid_request";
const SERVER_ERROR: &str = "server_error";

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Answer { status, name, description, header, error } = *self.0;
        let body = json!({ "error": name, "error_description": description });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
        if let Some(error) = error {
            response.extensions_mut().insert(error);
        }
        response
    }
}
