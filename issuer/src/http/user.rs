//! The user of a request, by an access token (RFC 6750 §2.1).

use super::Call;
use super::authorization::with_scheme;
use super::reply::ApiError;
use crate::service::{Issuer, SignedIn};

/// Returns the user whose access token the request has in `Authorization`. Cookies do not count: a page
/// of another site could let its visitor's browser send them.
pub(super) async fn signed_in(issuer: &Issuer, call: &Call) -> Result<SignedIn, ApiError> {
    Ok(issuer.signed_in(access_token(call)?).await?)
}

/// Returns the access token of a request.
pub(super) fn access_token(call: &Call) -> Result<&str, ApiError> {
    let mut headers = with_scheme(call, "bearer");
    let header = headers.next().ok_or_else(ApiError::no_access_token)?;
    let token = token(header).filter(|_| headers.next().is_none());
    token.ok_or_else(ApiError::not_one_access_token)
}

/// Reads the token after the scheme.
fn token(header: &[u8]) -> Option<&str> {
    let token = str::from_utf8(header.get("bearer".len()..)?).ok()?.trim_start_matches(' ');
    let is_one = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn a_header_has_one_token() {
        assert_eq!(token(b"Bearer a.b-c_d~e+f/g=="), Some("a.b-c_d~e+f/g=="));
        assert_eq!(token(b"bearer   a"), Some("a"));
        for header in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a ", "Bearer a, Bearer b", "Bearer é"]
        {
            assert_eq!(token(header.as_bytes()), None, "{header}");
        }
    }
}
