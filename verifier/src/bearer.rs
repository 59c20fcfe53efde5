//! The token of a request: the credentials of an `Authorization` header field (RFC 6750 §2.1).

use alloc::string::{String, ToString};
use core::fmt;

use crate::text::fill;

/// Returns the token in the value of an `Authorization` header field.
///
/// Expects the scheme `Bearer` in any case, at least one space, and one `b64token` with nothing
/// after it. Join the values of several header fields with `", "` (RFC 9110 §5.3), so that a second
/// token is noticed. An absent field is an empty value.
///
/// ```
/// use countersign_verifier::{BearerError, bearer_token};
///
/// assert_eq!(bearer_token("Bearer eyJhbGciOi"), Ok("eyJhbGciOi"));
/// assert_eq!(bearer_token("Basic dTpw"), Err(BearerError::Missing));
/// assert_eq!(bearer_token("Bearer one, Bearer two"), Err(BearerError::Malformed));
/// ```
///
/// The token is **not** verified.
///
/// # Errors
/// [`BearerError::Missing`] if no credentials have the scheme `Bearer`, and
/// [`BearerError::Malformed`] if they are not exactly one token.
pub fn bearer_token(authorization: &str) -> Result<&str, BearerError> {
    if !authorization.split(',').any(has_scheme) {
        return Err(BearerError::Missing);
    }
    one_token(authorization).ok_or(BearerError::Malformed)
}

/// The reason why a request has no token that could be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BearerError {
    /// The request has no token, or credentials of another scheme.
    Missing,
    /// The request has not exactly one well-formed token.
    Malformed,
}

impl BearerError {
    /// Returns the status code of the response: 401 if the token is missing, otherwise 400.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Missing => 401,
            Self::Malformed => 400,
        }
    }

    /// Returns the challenge for the response: a value for the `WWW-Authenticate` header field. It
    /// names no error if the token is missing (RFC 6750 §3.1).
    #[must_use]
    pub fn www_authenticate(self) -> String {
        match self {
            Self::Missing => "Bearer".to_string(),
            Self::Malformed => {
                let description = self.message().replace('"', "'");
                fill(INVALID_REQUEST, &[&description])
            }
        }
    }

    /// Returns the message, which [`Display`](fmt::Display) shows too.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing => "expected an access token: \"Authorization: Bearer …\"",
            Self::Malformed => "expected one token in one Authorization header, after \"Bearer \"",
        }
    }
}

impl fmt::Display for BearerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for BearerError {}

const INVALID_REQUEST: &str = "Bearer error=\"invalid_request\", error_description=\"%\"";

fn has_scheme(credentials: &str) -> bool {
    after_scheme(credentials.trim_start_matches(BLANKS))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(BLANKS))
}

const BLANKS: [char; 2] = [' ', '\t'];

fn one_token(credentials: &str) -> Option<&str> {
    let rest = after_scheme(credentials)?;
    let token = rest.trim_start_matches(' ');
    let without_padding = token.trim_end_matches('=');
    let is_token = token.len() < rest.len()
        && !without_padding.is_empty()
        && without_padding.bytes().all(is_b64token);
    is_token.then_some(token)
}

fn after_scheme(credentials: &str) -> Option<&str> {
    const SCHEME: &str = "Bearer";
    let (scheme, rest) = credentials.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

const fn is_b64token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_well_formed_token_is_taken() {
        for (authorization, token) in [
            ("Bearer a", "a"),
            ("bearer a.b.c", "a.b.c"),
            ("BEARER   -._~+/09azAZ==", "-._~+/09azAZ=="),
        ] {
            assert_eq!(bearer_token(authorization), Ok(token), "{authorization}");
        }
    }

    #[test]
    fn other_schemes_bring_no_token() {
        for authorization in
            ["", " ", "Basic a", "Bearerx a", "Bear", "Basic Bearer", "Bearer-a", "é"]
        {
            assert_eq!(bearer_token(authorization), Err(BearerError::Missing), "{authorization}");
        }
    }

    #[test]
    fn anything_but_one_token_is_malformed() {
        for authorization in [
            "Bearer",
            "Bearer ",
            "Bearer\ta",
            "Bearer =",
            "Bearer a b",
            "Bearer a ",
            " Bearer a",
            "Bearer a=b",
            "Bearer a\"",
            "Bearer é",
            "Bearer a, Bearer b",
            "Bearer a,Bearer",
            "Basic a, Bearer b",
            "Basic a,\t bearer b",
            "Bearer, Bearer",
        ] {
            assert_eq!(bearer_token(authorization), Err(BearerError::Malformed), "{authorization}");
        }
    }

    #[test]
    fn only_a_malformed_token_is_named_in_the_challenge() {
        assert_eq!(BearerError::Missing.http_status(), 401);
        assert_eq!(BearerError::Missing.www_authenticate(), "Bearer");
        assert_eq!(BearerError::Malformed.http_status(), 400);
        assert_eq!(
            BearerError::Malformed.www_authenticate(),
            "Bearer error=\"invalid_request\", error_description=\"expected one token in one \
             Authorization header, after 'Bearer '\""
        );
    }
}
