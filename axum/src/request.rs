//! The token of a request (RFC 6750 §2), and other places where a second one may be.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use axum_core::body::Body;
use bytes::Bytes;
use countersign_verifier::bearer_token;
use http::{
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
    request::Parts,
};
use http_body::Frame;
use http_body_util::BodyExt;

use crate::refusal::Refusal;

/// Returns the token of a request: exactly one, in the `Authorization` header.
pub(crate) fn token(parts: &Parts) -> Result<String, Refusal> {
    let fields = parts.headers.get_all(AUTHORIZATION).iter();
    let values: Vec<_> = fields.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let authorization = values.join(", ");
    let token = bearer_token(&authorization).map_err(Refusal::of_bearer)?;
    if holds_token(parts.uri.query().unwrap_or_default().as_bytes()) {
        return Err(Refusal::sent_twice());
    }
    Ok(token.to_owned())
}

/// Returns true for the content type of forms that may hold a token (RFC 6750 §2.2).
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|it| it.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The most of a form that is read.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// Reads the beginning of a form. Returns true if it holds a token, and the whole body for the
/// service.
pub(crate) async fn search_form(mut body: Body) -> (bool, Body) {
    let mut form = Vec::new();
    let mut frames = VecDeque::new();
    while form.len() < MAX_FORM_BYTES {
        let Some(frame) = body.frame().await else { break };
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            form.extend_from_slice(data);
        }
        let is_end = frame.is_err();
        frames.push_back(frame);
        if is_end {
            break;
        }
    }
    (holds_token(&form), Body::new(Replayed { frames, rest: body }))
}

/// Returns true if a query or a form has a parameter for a token.
fn holds_token(parameters: &[u8]) -> bool {
    form_urlencoded::parse(parameters).any(|(name, _)| name == "access_token")
}

/// A body whose first frames were read.
struct Replayed {
    frames: VecDeque<Result<Frame<Bytes>, axum_core::Error>>,
    rest: Body,
}

impl http_body::Body for Replayed {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }
}
