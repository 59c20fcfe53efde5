//! Request bodies: read within a limit; and those that are JSON. [`super::form`] has forms.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use super::budget::Share;
use super::reply::ApiError;
use super::{Call, LONGEST_BODY};

/// A body that is too long is read up to this length before it is refused: a client that is still
/// sending when the connection closes may never see the answer.
const READ_ON: usize = 16 * LONGEST_BODY;

/// Reads the whole body. Refuses one that is longer than `limit` bytes, and one whose share of the
/// budget goes to another request.
pub(super) async fn read(
    mut body: impl Body<Data = Bytes> + Unpin,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::body_too_large(limit);
    if body.size_hint().lower() > READ_ON as u64 {
        return Err(too_large());
    }
    let (mut whole, mut length) = (Vec::new(), 0_usize);
    loop {
        let frame = tokio::select! {
            biased;
            () = share.lost() => return Err(ApiError::overloaded()),
            frame = body.frame() => frame,
        };
        let Some(frame) = frame else { break };
        let broken =
            |_| ApiError::invalid_request("the body ended too early; send the request again");
        // Trailers are ignored.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > READ_ON {
            return Err(too_large());
        }
        if length <= limit {
            whole.extend_from_slice(&data);
            share.hold(whole.capacity());
        }
    }
    if length > limit {
        return Err(too_large());
    }
    if !share.complete() {
        return Err(ApiError::overloaded());
    }
    Ok(whole.into())
}

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Returns true if the body is of that media type, with any parameters such as `charset`.
pub(super) fn is_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(media_type)
}

pub(super) fn missing(name: &str) -> ApiError {
    ApiError::invalid_request(format!("{name} is missing"))
}

/// Reads the call's body as a JSON object into a `T`.
pub(super) fn json<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    // serde's own message could quote a password.
    json_or(call, |_| "the JSON object has an unknown member, or one twice".to_owned())
}

/// Like [`json`], with another description of the error for a wrong member.
pub(super) fn json_or<T: DeserializeOwned>(
    call: &Call,
    wrong_member: impl FnOnce(&serde_json::Error) -> String,
) -> Result<T, ApiError> {
    if !is_type(&call.headers, JSON) {
        return Err(ApiError::unsupported_media_type(JSON));
    }
    // serde would also take an array for a struct.
    let malformed = "the body is not a well-formed JSON object";
    if !call.body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid_request(malformed));
    }
    serde_json::from_slice(&call.body).map_err(|e| match e.classify() {
        Category::Data => ApiError::invalid_request(wrong_member(&e)),
        _ => ApiError::invalid_request(malformed),
    })
}

/// Returns a member of a JSON object that must be a text.
pub(super) fn text(name: &str, value: Option<Value>) -> Result<String, ApiError> {
    optional_text(name, value)?.ok_or_else(|| missing(name))
}

/// Returns a member of a JSON object that must be a text if it is there.
pub(super) fn optional_text(name: &str, value: Option<Value>) -> Result<Option<String>, ApiError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::invalid_request(format!("{name} must be a string"))),
    }
}
