//! Two cookies that scripts cannot read: the refresh token, and the identifier of a device that has
//! logged in before.

use hyper::header::{COOKIE, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};
use url::Url;

use super::host::{self, is_loopback};
use super::reply::{ApiError, Reply};
use super::{Call, cors};
use crate::config::Origin;
use crate::login::counters::DEVICE_KNOWN_FOR;
use crate::service::Issuer;

/// The name of the cookie with the refresh token. The prefix makes browsers insist on `Secure`,
/// `Path=/` and no `Domain` (RFC 6265bis §4.1.3.2).
pub(super) const NAME: &str = "__Host-countersign-refresh";
/// Its name over http on loopback.
pub(super) const PLAIN_NAME: &str = "countersign-refresh";

/// The names of the cookies, and the attributes in which they differ.
pub(super) struct Cookies {
    refresh: &'static str,
    device: &'static str,
    attributes: &'static str,
}

const SECURE: Cookies = Cookies {
    refresh: NAME,
    device: "__Host-countersign-device",
    attributes: "Secure; HttpOnly; SameSite=Strict",
};

/// Without `Secure`: WebKit drops such a cookie over http, also on loopback.
const PLAIN: Cookies = Cookies {
    refresh: PLAIN_NAME,
    device: "countersign-device",
    attributes: "HttpOnly; SameSite=Strict",
};

impl Cookies {
    /// Returns the cookies for a request: plain ones over http on loopback, where nothing crosses a
    /// network. A proxy on this machine may forward requests from elsewhere: then the issuer's URL,
    /// the host or the client's address is another one.
    pub(super) fn of(issuer: &Issuer, call: &Call) -> &'static Self {
        let is_http = !issuer.url.is_https() && issuer.config.tls_cert.is_none();
        let is_requested = || host::of(&call.headers).is_some_and(|host| is_loopback(host.host()));
        let is_local = is_loopback(issuer.url.host()) && call.client.is_loopback();
        let is_plain = is_http && is_local && is_requested();
        if is_plain { &PLAIN } else { &SECURE }
    }

    /// Returns the refresh token in the request's cookie.
    ///
    /// # Errors
    ///
    /// If a page of another site, or of an origin that is not listed, may have sent the cookie.
    pub(super) fn read<'a>(
        &self,
        issuer: &Issuer,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a str>, ApiError> {
        let token = find(headers, self.refresh);
        if token.is_some() {
            check_site(issuer, headers)?;
        }
        Ok(token)
    }

    /// Returns the device's cookie, unless [`check_site`] refuses the request.
    pub(super) fn device<'a>(&self, issuer: &Issuer, headers: &'a HeaderMap) -> Option<&'a str> {
        find(headers, self.device).filter(|_| check_site(issuer, headers).is_ok())
    }

    /// Sets the cookie with the refresh token for `seconds`; zero deletes it.
    pub(super) fn set(&self, reply: &mut Reply, token: &str, seconds: u64) {
        self.append(reply, self.refresh, token, seconds);
    }

    /// Sets the cookie that identifies a device that has logged in.
    pub(super) fn set_device(&self, reply: &mut Reply, device: &str) {
        self.append(reply, self.device, device, DEVICE_KNOWN_FOR);
    }

    fn append(&self, reply: &mut Reply, name: &str, value: &str, seconds: u64) {
        let attributes = self.attributes;
        let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; {attributes}");
        // Never fails: the values are base64url.
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            reply.headers_mut().append(SET_COOKIE, cookie);
        }
    }
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
    let fault = fault_of(headers, &issuer.url.origin(), &issuer.config.cors_origins);
    fault.map_or(Ok(()), |fault| Err(ApiError::cross_site(fault.description())))
}

/// The reason why a page may not use the cookie.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// The hosts of the page and of the request are two names of this machine.
    TwoNames {
        page: String,
        issuer: String,
    },
    OtherSite,
    UnknownOrigin,
}

impl Fault {
    fn description(&self) -> String {
        match self {
            Self::TwoNames { page, issuer } => format!(
                "the page is at {page} and the issuer at {issuer}: to a browser these are two sites, \
                 and it sends no cookie from one to the other; use the same host name for both"
            ),
            Self::OtherSite => {
                "the request comes from a page of another site; a browser sends the \
                 cookie only from pages of the issuer's own site"
                    .to_owned()
            }
            Self::UnknownOrigin => {
                "the request comes from a page whose origin is not in cors_origins; \
                 list it there"
                    .to_owned()
            }
        }
    }
}

fn fault_of(headers: &HeaderMap, own: &str, listed: &[Origin]) -> Option<Fault> {
    let known = |origin: &HeaderValue| {
        origin.as_bytes() == own.as_bytes() || listed.iter().any(|listed| cors::is(listed, origin))
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
    if let Some(two_names) = two_names(headers) {
        Some(two_names)
    } else if !sites.all(may_come) {
        Some(Fault::OtherSite)
    } else {
        (!origins.all(known)).then_some(Fault::UnknownOrigin)
    }
}

/// Returns the fault if page and issuer are both on this machine, by different names. Not every
/// browser sends `Sec-Fetch-Site` on loopback.
fn two_names(headers: &HeaderMap) -> Option<Fault> {
    let page = Url::parse(headers.get(ORIGIN)?.to_str().ok()?).ok()?;
    let (page, issuer) = (page.host_str()?, host::of(headers)?);
    let is_local = is_loopback(page) && is_loopback(issuer.host());
    (is_local && !page.eq_ignore_ascii_case(issuer.host()))
        .then(|| Fault::TwoNames { page: page.to_owned(), issuer: issuer.host().to_owned() })
}

#[cfg(test)]
mod tests {
    use hyper::header::HOST;

    use super::*;

    const OWN: &str = "http://127.0.0.1:8080";
    const APP: &str = "https://app.example";

    fn fault(host: &str, origins: &[&str], sites: &[&str]) -> Option<Fault> {
        let mut headers = HeaderMap::new();
        headers.append(HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(ORIGIN, origin.parse().unwrap());
        }
        for site in sites {
            headers.append("sec-fetch-site", site.parse().unwrap());
        }
        let listed = [APP, "http://localhost:3000", "http://127.0.0.1:3000"];
        fault_of(&headers, OWN, &listed.map(|origin| origin.parse().unwrap()))
    }

    #[test]
    fn only_known_origins_may_use_cookies() {
        let unknown = Some(Fault::UnknownOrigin);
        let other = Some(Fault::OtherSite);
        let cases: &[(&[&str], &[&str], &Option<Fault>)] = &[
            (&[], &[], &None),
            (&[OWN], &[], &None),
            (&[APP], &[], &None),
            (&["https://APP.example"], &[], &unknown),
            (&["https://evil.example"], &[], &unknown),
            (&["https://127.0.0.1:8080"], &[], &unknown),
            (&["http://127.0.0.1:8443"], &[], &unknown),
            (&["https://app.example.evil.example"], &[], &unknown),
            (&["https://sub.app.example"], &[], &unknown),
            (&["null"], &[], &unknown),
            (&[""], &[], &unknown),
            (&[OWN, "https://evil.example"], &[], &unknown),
            (&["https://evil.example", OWN], &[], &unknown),
            (&[], &["same-origin"], &None),
            (&[OWN], &["same-origin"], &None),
            (&["https://evil.example"], &["same-origin"], &unknown),
            (&[], &["none"], &None),
            (&["https://evil.example"], &["none"], &unknown),
            (&["null"], &["none"], &unknown),
            (&[APP], &["same-site"], &None),
            (&[], &["same-site"], &other),
            (&["https://evil.app.example"], &["same-site"], &unknown),
            (&["null"], &["same-site"], &unknown),
            (&[], &["cross-site"], &other),
            (&[APP], &["cross-site"], &other),
            (&[OWN], &["cross-site"], &other),
            (&[OWN], &["same-origin", "cross-site"], &other),
            (&[OWN], &["Same-Origin"], &other),
            (&[OWN], &["something new"], &other),
            (&[OWN], &[""], &other),
        ];
        for (origins, sites, expected) in cases {
            let fault = fault("127.0.0.1:8080", origins, sites);
            assert_eq!(fault, **expected, "{origins:?} {sites:?}");
        }
    }

    #[test]
    fn two_names_of_this_machine_are_two_sites() {
        let two = |page: &str, issuer: &str| {
            Some(Fault::TwoNames { page: page.to_owned(), issuer: issuer.to_owned() })
        };
        for (host, origin, expected) in [
            ("127.0.0.1:8080", "http://localhost:3000", two("localhost", "127.0.0.1")),
            ("localhost:8080", "http://127.0.0.1:3000", two("127.0.0.1", "localhost")),
            ("[::1]:8080", "http://127.0.0.1:3000", two("127.0.0.1", "[::1]")),
            ("127.0.0.2", "http://127.0.0.1:3000", two("127.0.0.1", "127.0.0.2")),
            ("localhost:8080", "http://localhost:3000", None),
            ("LocalHost:8080", "http://localhost:3000", None),
            ("127.0.0.1:8080", "http://127.0.0.1:3000", None),
            ("auth.example", "http://localhost:3000", None),
            ("localhost:8080", APP, None),
        ] {
            assert_eq!(fault(host, &[origin], &[]), expected, "{host} {origin}");
        }
    }
}
