//! Scope strings (RFC 6749 §3.3): case-sensitive tokens, delimited by spaces, in no order.

/// Returns the scope tokens in `scope`, in order.
///
/// ```
/// use countersign_claims::scope;
/// assert!(scope::tokens("read write").eq(["read", "write"]));
/// assert_eq!(scope::tokens("").count(), 0);
/// ```
pub fn tokens(scope: &str) -> impl Iterator<Item = &str> {
    // Split as bytes, which takes less code. No part ends within a character.
    let tokens = scope.as_bytes().split(|byte| *byte == b' ').filter(|token| !token.is_empty());
    tokens.map(|token| str::from_utf8(token).unwrap_or_default())
}

/// Returns true if `token` is one of the scope tokens in `scope`.
///
/// ```
/// use countersign_claims::scope;
/// assert!(scope::contains("read write", "write"));
/// assert!(!scope::contains("read:all", "read"));
/// ```
#[must_use]
pub fn contains(scope: &str, token: &str) -> bool {
    tokens(scope).any(|one| one == token)
}

/// Returns true if `scope` follows RFC 6749 §3.3: tokens of printable ASCII without `"` and `\`,
/// separated by single spaces.
///
/// ```
/// use countersign_claims::scope;
/// assert!(scope::is_well_formed("read write"));
/// assert!(!scope::is_well_formed("read  write"));
/// assert!(!scope::is_well_formed(""));
/// ```
#[must_use]
pub fn is_well_formed(scope: &str) -> bool {
    scope.split(' ').all(|token| {
        !token.is_empty() && token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    })
}
