//! Request bodies: read within a limit, then parsed strictly.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::Call;
use super::reply::ApiError;

/// How much of a body that is too long is read before it is refused, in times of the limit: a
/// client that is still sending when the connection closes may never see the answer.
const READ_ON: usize = 16;

/// The whole body, if it is no longer than `limit` bytes.
pub(super) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::body_too_large(limit);
    let most = limit.saturating_mul(READ_ON);
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let (mut whole, mut length) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let broken = |_| ApiError::invalid_request("the body broke off");
        // Trailers are of no interest.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > most {
            return Err(too_large());
        }
        if length <= limit {
            whole.extend_from_slice(&data);
        }
    }
    if length > limit { Err(too_large()) } else { Ok(whole.freeze()) }
}

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Whether the body is of that media type; parameters such as `charset` do not matter.
pub(super) fn is_type(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(media_type)
}

/// The most parameters that a form may have: each is compared with those before it.
const MAX_PARAMETERS: usize = 32;

/// The parameters of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the call's body as a form.
    ///
    /// RFC 6749 §3.2: no parameter twice, and one without a value is as if it were absent.
    pub(super) fn read(call: &Call) -> Result<Self, ApiError> {
        if !is_type(&call.headers, FORM) {
            return Err(ApiError::unsupported_media_type(FORM));
        }
        let malformed = || ApiError::invalid_request("the body is not a well-formed form");
        let mut form: Vec<(String, String)> = Vec::new();
        for pair in call.body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let mut part = || decode(parts.next().unwrap_or_default());
            if form.len() == MAX_PARAMETERS {
                let description = format!("the form has more than {MAX_PARAMETERS} parameters");
                return Err(ApiError::invalid_request(description));
            }
            let (name, value) = part().zip(part()).ok_or_else(malformed)?;
            if form.iter().any(|(earlier, _)| *earlier == name) {
                return Err(ApiError::invalid_request("a parameter is there twice"));
            }
            form.push((name, value));
        }
        form.retain(|(_, value)| !value.is_empty());
        Ok(Self(form))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| missing(name))
    }
}

pub(super) fn missing(name: &str) -> ApiError {
    ApiError::invalid_request(format!("{name} is missing"))
}

/// Undoes `application/x-www-form-urlencoded`; `None` if an escape is cut short or the result is
/// not UTF-8.
pub(super) fn decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(*byte).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn a_form_value_is_decoded_strictly() {
        let cases = [
            ("a+b%20c", Some("a b c")),
            ("%C3%a9", Some("é")),
            ("", Some("")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
            ("\u{e9}", Some("é")),
        ];
        for (text, expected) in cases {
            assert_eq!(decode(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
