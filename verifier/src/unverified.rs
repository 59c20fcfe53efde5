//! Facts of a token that was not verified.

use alloc::string::{String, ToString};

use crate::{
    base64url,
    compact::Compact,
    json::{Document, Value},
};

/// Returns the `kid` in the header of a token, **nothing verified**.
///
/// A client of a JWKS endpoint needs it to limit the fetches for keys that the set lacks
/// ([`Error::KeyNotFound`](crate::Error::KeyNotFound)): anyone can make up a `kid`. Returns `None`
/// for a header without it, and for a text that is not a token.
#[must_use]
pub fn unverified_key_id(token: &str) -> Option<String> {
    let compact = Compact::split(token, usize::MAX).ok()?;
    let header = Document::parse(base64url::decode(compact.header).ok()?).ok()?;
    header.get("kid").and_then(Value::as_str).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kid_is_read_if_it_is_a_string() {
        for (token, kid) in [
            ("eyJraWQiOiJhIn0.e30.AAAA", Some("a")),
            ("eyJraWQiOjF9.e30.AAAA", None),
            ("e30.e30.AAAA", None),
            ("e30", None),
            ("", None),
        ] {
            assert_eq!(unverified_key_id(token).as_deref(), kid, "{token}");
        }
    }
}
