//! Issuers whose name holds claims, such as `https://login.example/{tid}/v2.0`.

use core::str;

use crate::{Error, error::Refusal, json::Document};

/// Returns true if every brace in the option `issuer` is part of a `{claim}`.
pub(crate) fn is_well_formed(name: &str) -> bool {
    let mut is_claim = false;
    let mut before = 0;
    for byte in name.bytes() {
        match (byte, is_claim) {
            (b'{', false) => is_claim = true,
            (b'}', true) if before != b'{' => is_claim = false,
            (b'{' | b'}', _) => return false,
            _ => {}
        }
        before = byte;
    }
    !is_claim
}

/// Returns true if `iss` is this name, with the token's claims in it.
///
/// A claim may hold only unreserved characters (RFC 3986 §2.3). No others stand for themselves in a
/// URL: with a `/` or a `?`, a token would choose its issuer.
///
/// A name that is not well formed matches nothing.
pub(crate) fn matches(name: &str, iss: &str, payload: &Document) -> Result<bool, Refusal> {
    if !is_well_formed(name) {
        return Ok(false);
    }
    let mut rest = Some(iss.as_bytes());
    let mut is_claim = false;
    for part in name.as_bytes().split(|byte| matches!(byte, b'{' | b'}')) {
        let mut text = part;
        if is_claim {
            let claim = str::from_utf8(part).unwrap_or_default();
            let value = payload.get(claim).ok_or_else(|| Error::claim_missing(claim))?;
            text = value.as_str().unwrap_or_default().as_bytes();
            if text.is_empty() || !text.iter().all(is_unreserved) {
                return Err(Error::claim_invalid(claim, value.kind(), UNRESERVED));
            }
        }
        is_claim = !is_claim;
        rest = rest.and_then(|rest| rest.strip_prefix(text));
    }
    Ok(rest.is_some_and(<[u8]>::is_empty))
}

const UNRESERVED: &str =
    "a string of letters, digits, -, ., _ and ~, since the option issuer holds it";

const fn is_unreserved(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_hold_the_name_of_a_claim() {
        for name in ["", "a", "{tid}", "https://a.example/{tid}/v2.0", "{a}{b}/{c.d}"] {
            assert!(is_well_formed(name), "{name}");
        }
        for name in ["{", "}", "{}", "a{b", "a}b", "{a}}", "{{a}}", "}{a}", "{a}{", "{a{b}"] {
            assert!(!is_well_formed(name), "{name}");
        }
    }
}
