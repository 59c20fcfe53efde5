//! The refresh token as a cookie, for pages that must not be able to read it.

use hyper::header::{COOKIE, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};

use super::reply::{ApiError, Reply};
use crate::state::Shared;

/// The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain` (RFC 6265bis §4.1.3.2).
pub(super) const NAME: &str = "__Host-countersign-refresh";

/// The refresh token in the request's cookie.
///
/// # Errors
///
/// When there is one, and a page of another site may have sent it.
pub(super) fn read<'a>(
    state: &Shared,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, ApiError> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).map(str::trim);
    let token = pairs.find_map(|pair| pair.strip_prefix(NAME)?.strip_prefix('='));
    if token.is_some() {
        check_site(state, headers)?;
    }
    Ok(token)
}

/// Refuses what a browser says comes from another site. Clients that are not browsers say nothing.
pub(super) fn check_site(state: &Shared, headers: &HeaderMap) -> Result<(), ApiError> {
    let cross = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let foreign = headers.get(ORIGIN).is_some_and(|origin| {
        let known = |known: &str| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes());
        let own = origin_of(&state.issuer);
        !known(own) && !state.config.cors_origins.iter().any(|listed| known(listed))
    });
    if cross || foreign { Err(ApiError::cross_site()) } else { Ok(()) }
}

/// Sets the cookie for `seconds`; zero deletes it.
pub(super) fn set(reply: &mut Reply, token: &str, seconds: u64) {
    let cookie =
        format!("{NAME}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict");
    // A refresh token is base64url, which every header may hold.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    url.get(..end).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn the_origin_of_a_url_has_no_path() {
        let cases = [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("http://127.0.0.1:8080/auth/x", "http://127.0.0.1:8080"),
        ];
        for (url, origin) in cases {
            assert_eq!(origin_of(url), origin);
        }
    }
}
