//! Issuers whose name holds claims, such as `https://login.example/{tid}/v2.0`.

use crate::{Error, json::Document};

/// Returns true if every brace in the option `issuer` is part of a `{claim}`.
pub(crate) fn is_well_formed(name: &str) -> bool {
    let mut opened = None;
    for (at, byte) in name.bytes().enumerate() {
        match (byte, opened) {
            (b'{', None) => opened = Some(at),
            (b'}', Some(start)) if start + 1 < at => opened = None,
            (b'{' | b'}', _) => return false,
            _ => {}
        }
    }
    opened.is_none()
}

/// Returns true if `iss` is this name, with the token's claims in it.
///
/// A claim may hold only unreserved characters (RFC 3986 §2.3). No others stand for themselves in a
/// URL: with a `/` or a `?`, a token would choose its issuer.
pub(crate) fn matches(name: &str, iss: &str, payload: &Document) -> Result<bool, Error> {
    let (mut rest, mut name) = (Some(iss), name);
    while let Some((text, claim, after)) = split(name) {
        let value = payload.get(claim).ok_or_else(|| Error::claim_missing(claim))?;
        let inserted = value.as_str().unwrap_or_default();
        if inserted.is_empty() || !inserted.bytes().all(is_unreserved) {
            return Err(Error::claim_invalid(claim, value.kind(), UNRESERVED));
        }
        rest = rest
            .and_then(|rest| rest.strip_prefix(text))
            .and_then(|rest| rest.strip_prefix(inserted));
        name = after;
    }
    Ok(rest == Some(name))
}

/// Splits a name at its first claim: the text before it, the claim, the rest.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let position = |byte| name.bytes().position(|one| one == byte);
    let (start, end) = (position(b'{')?, position(b'}')?);
    Some((name.get(..start)?, name.get(start + 1..end)?, name.get(end + 1..)?))
}

const UNRESERVED: &str = "one of letters, digits, -, ., _ and ~, since the option issuer holds it";

const fn is_unreserved(byte: u8) -> bool {
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
