//! The header `Host`, which names the host that a request is for.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Request, Version};

use super::reply::ApiError;

/// Refuses a request without `Host`, or with more than one, or with one that is no host
/// (RFC 9112 §3.2). `:authority` is as good in HTTP/2 (RFC 9113 §8.3.1), and HTTP/1.0 needs neither.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_named = match hosts.next() {
        None => {
            let has_authority = request.uri().authority().is_some();
            request.version() < Version::HTTP_11
                || (request.version() > Version::HTTP_11 && has_authority)
        }
        Some(host) => hosts.next().is_none() && (host.is_empty() || parse(host).is_some()),
    };
    let refusal = "a request needs the header Host once, with the host that it is for";
    if is_named { Ok(()) } else { Err(ApiError::invalid_request(refusal)) }
}

/// Refuses a request for a host that is not this machine by its name or address. A page of another
/// site could otherwise let its own name point to this machine, and read the response.
pub(super) fn check_is_local<B>(request: &Request<B>) -> Result<(), ApiError> {
    let host = of(request.headers());
    let mut names = host.iter().chain(request.uri().authority()).peekable();
    let is_local = names.peek().is_some() && names.all(|name| is_loopback(name.host()));
    let refusal = "this is served on a loopback address; use it, or localhost, as the host";
    if is_local { Ok(()) } else { Err(ApiError::invalid_request(refusal)) }
}

/// Returns the host that a request of HTTP/1.1 is for.
pub(super) fn of(headers: &HeaderMap) -> Option<Authority> {
    headers.get(HOST).and_then(parse)
}

fn parse(host: &HeaderValue) -> Option<Authority> {
    Authority::try_from(host.as_bytes()).ok().filter(|host| !host.as_str().contains('@'))
}

/// Returns true if this is a name or an address of this machine, as in a URL.
pub(super) fn is_loopback(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, target: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_request_names_its_host_once() {
        const ONE: Version = Version::HTTP_11;
        const TWO: Version = Version::HTTP_2;
        let cases: &[(Version, &str, &[&str], bool)] = &[
            (ONE, "/", &["auth.example"], true),
            (ONE, "/", &["auth.example:8443"], true),
            (ONE, "/", &["[2001:db8::1]:80"], true),
            (ONE, "/", &[""], true),
            (ONE, "/", &[], false),
            (ONE, "http://auth.example/", &[], false),
            (ONE, "http://auth.example/", &["auth.example"], true),
            (ONE, "/", &["auth.example", "auth.example"], false),
            (ONE, "/", &["auth.example, other.example"], false),
            (ONE, "/", &["user@auth.example"], false),
            (ONE, "/", &["auth.example/path"], false),
            (ONE, "/", &["a b"], false),
            (ONE, "/", &["\u{e9}.example"], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_10, "/", &["a", "b"], false),
            (TWO, "https://auth.example/", &[], true),
            (TWO, "https://auth.example/", &["auth.example"], true),
            (TWO, "/", &["auth.example"], true),
            (TWO, "/", &[], false),
        ];
        for (version, target, hosts, expected) in cases {
            let checked = check(&request(*version, target, hosts));
            assert_eq!(checked.is_ok(), *expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn only_loopback_names_are_local() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost:9090", true),
            ("127.0.0.1:9090", true),
            ("127.3.2.1", true),
            ("[::1]:9090", true),
            ("[::ffff:127.0.0.1]", true),
            ("", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]", false),
        ] {
            let checked = check_is_local(&request(Version::HTTP_11, "/metrics", &[host]));
            assert_eq!(checked.is_ok(), expected, "{host}");
        }
        let both = request(Version::HTTP_11, "http://evil.example/metrics", &["localhost"]);
        assert!(check_is_local(&both).is_err());
    }
}
