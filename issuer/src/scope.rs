//! The scopes that requests and commands name.

use std::collections::HashSet;

use countersign_claims::scope;

use crate::Error;

/// The scope of clients that may do everything in the Admin API.
pub(crate) const ADMIN: &str = "countersign:admin";

/// The scope of clients that may read in it.
pub(crate) const READ: &str = "countersign:read";

/// The most bytes of the scope of a user or a client. With it and the custom claims, an access token
/// still fits into the 8 KiB that many servers take as a header.
const MAX_BYTES: usize = 1024;

/// Returns the scope with each of its tokens once, in their order; `None` if it is malformed
/// (RFC 6749 §3.3).
pub(crate) fn parse(text: &str) -> Option<String> {
    let mut seen = HashSet::new();
    let once: Vec<_> = scope::tokens(text).filter(|token| seen.insert(*token)).collect();
    scope::is_well_formed(text).then(|| once.join(" "))
}

/// Returns the scope that an operator gives to a user or a client, with each of its tokens once. An empty
/// one is none.
///
/// # Errors
///
/// [`Error::Refused`] if the scope is malformed or too long.
pub(crate) fn check(text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if text.len() > MAX_BYTES {
        return Err(Error::Refused(format!(
            "the scope has {} bytes; expected at most {MAX_BYTES}",
            text.len()
        )));
    }
    parse(text).ok_or_else(|| {
        Error::Refused(format!(
            "{text:?} is not a scope; expected words with single spaces between, such as \"read \
             write\""
        ))
    })
}

/// Returns true if `granted` has each scope token of `wanted`.
pub(crate) fn is_within(wanted: &str, granted: &str) -> bool {
    scope::tokens(wanted).all(|one| scope::contains(granted, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_gives_no_scope_over_1024_bytes() {
        let longest = "a".repeat(MAX_BYTES);
        assert_eq!(check(&longest).unwrap(), longest);
        let line = check(&format!("{longest}a")).unwrap_err().to_string();
        assert!(line.contains("the scope has 1025 bytes; expected at most 1024"), "{line}");
    }

    #[test]
    fn each_token_of_a_well_formed_scope_is_kept_once() {
        let many = "read ".repeat(4000) + "write";
        for (text, expected) in [
            ("read", Some("read")),
            ("write read", Some("write read")),
            ("read write read READ", Some("read write READ")),
            (&many, Some("read write")),
            ("", None),
            ("read  write", None),
            ("read\u{e9}", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }
}
