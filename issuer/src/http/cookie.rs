//! Two cookies that scripts cannot read: the refresh token, and the identifier of a device that has
//! logged in before.

use hyper::header::{COOKIE, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};

use super::reply::{ApiError, Reply};
use crate::login::counters::DEVICE_KNOWN_FOR;
use crate::service::Issuer;

/// The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain` (RFC 6265bis §4.1.3.2).
pub(super) const NAME: &str = "__Host-countersign-refresh";
const DEVICE: &str = "__Host-countersign-device";

/// Returns the refresh token in the request's cookie.
///
/// # Errors
///
/// If a page of another site, or of an origin that is not listed, may have sent the cookie.
pub(super) fn read<'a>(
    issuer: &Issuer,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, ApiError> {
    let token = find(headers, NAME);
    if token.is_some() {
        check_site(issuer, headers)?;
    }
    Ok(token)
}

/// Returns the device's cookie, unless [`check_site`] refuses the request.
pub(super) fn device<'a>(issuer: &Issuer, headers: &'a HeaderMap) -> Option<&'a str> {
    find(headers, DEVICE).filter(|_| check_site(issuer, headers).is_ok())
}

fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // Cookies of other programs may have any bytes.
    let lines = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let mut values =
        pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    values.find_map(|value| str::from_utf8(value).ok())
}

/// Refuses a request if the browser's headers name another site, or an origin that is not listed.
/// Other clients send no such headers.
pub(super) fn check_site(issuer: &Issuer, headers: &HeaderMap) -> Result<(), ApiError> {
    let own = origin_of(issuer.url.as_str());
    let listed = &issuer.config.cors_origins;
    if is_from_known_origin(headers, own, listed) { Ok(()) } else { Err(ApiError::cross_site()) }
}

fn is_from_known_origin(headers: &HeaderMap, own: &str, listed: &[String]) -> bool {
    let known = |origin: &HeaderValue| {
        let is = |known: &str| origin.as_bytes().eq_ignore_ascii_case(known.as_bytes());
        is(own) || listed.iter().any(|listed| is(listed))
    };
    // A browser sends each of these headers at most once, and no page can set them.
    let mut origins = headers.get_all(ORIGIN).into_iter().peekable();
    let names_origin = origins.peek().is_some();
    let mut sites = headers.get_all("sec-fetch-site").into_iter();
    // A page of the same site may belong to somebody else, so its origin must be known too. Unknown
    // values are refused.
    let may_come = |site: &HeaderValue| match site.as_bytes() {
        b"same-origin" | b"none" => true,
        b"same-site" => names_origin,
        _ => false,
    };
    origins.all(known) && sites.all(may_come)
}

/// Sets the cookie with the refresh token for `seconds`; zero deletes it.
pub(super) fn set(reply: &mut Reply, token: &str, seconds: u64) {
    append(reply, NAME, token, seconds);
}

/// Sets the cookie that identifies a device that has logged in.
pub(super) fn set_device(reply: &mut Reply, device: &str) {
    append(reply, DEVICE, device, DEVICE_KNOWN_FOR);
}

fn append(reply: &mut Reply, name: &str, value: &str, seconds: u64) {
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict");
    // Never fails: the values are base64url.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Returns scheme, host and port of a URL as browsers write them: without the scheme's default port.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    let origin = url.get(..end).unwrap_or(url);
    let port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(port).unwrap_or(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_url_has_no_path() {
        let cases = [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("http://127.0.0.1:8080/auth/x", "http://127.0.0.1:8080"),
            ("https://a.example:443/", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("https://a.example:80", "https://a.example:80"),
            ("http://[::80]", "http://[::80]"),
        ];
        for (url, origin) in cases {
            assert_eq!(origin_of(url), origin);
        }
    }

    #[test]
    fn only_known_origins_may_use_cookies() {
        const OWN: &str = "https://auth.example";
        const APP: &str = "https://app.example";
        let cases: &[(&[&str], &[&str], bool)] = &[
            (&[], &[], true),
            (&[OWN], &[], true),
            (&[APP], &[], true),
            (&["https://AUTH.example"], &[], true),
            (&["https://evil.example"], &[], false),
            (&["http://auth.example"], &[], false),
            (&["https://auth.example:8443"], &[], false),
            (&["https://auth.example.evil.example"], &[], false),
            (&["https://sub.auth.example"], &[], false),
            (&["null"], &[], false),
            (&[""], &[], false),
            (&[OWN, "https://evil.example"], &[], false),
            (&["https://evil.example", OWN], &[], false),
            (&[], &["same-origin"], true),
            (&[OWN], &["same-origin"], true),
            (&["https://evil.example"], &["same-origin"], false),
            (&[], &["none"], true),
            (&["https://evil.example"], &["none"], false),
            (&["null"], &["none"], false),
            (&[APP], &["same-site"], true),
            (&[], &["same-site"], false),
            (&["https://evil.auth.example"], &["same-site"], false),
            (&["null"], &["same-site"], false),
            (&[], &["cross-site"], false),
            (&[APP], &["cross-site"], false),
            (&[OWN], &["cross-site"], false),
            (&[OWN], &["same-origin", "cross-site"], false),
            (&[OWN], &["Same-Origin"], false),
            (&[OWN], &["something new"], false),
            (&[OWN], &[""], false),
        ];
        for (origins, sites, expected) in cases {
            let mut headers = HeaderMap::new();
            for origin in *origins {
                headers.append(ORIGIN, HeaderValue::from_static(origin));
            }
            for site in *sites {
                headers.append("sec-fetch-site", HeaderValue::from_static(site));
            }
            let known = is_from_known_origin(&headers, OWN, &[APP.to_owned()]);
            assert_eq!(known, *expected, "{origins:?} {sites:?}");
        }
    }
}
