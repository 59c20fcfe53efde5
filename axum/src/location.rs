//! The checks of URLs that are fetched.

use std::net::IpAddr;

use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};

/// An absolute URL that may be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location(Uri);

/// The schemes that are admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schemes {
    /// `https:`, and nothing else.
    Https,
    /// Also `http:` to a loopback host.
    HttpToLoopback,
    /// Also `http:` to any host.
    Http,
}

impl Location {
    /// Reads a URL, or returns its fault in words that follow its name.
    pub(crate) fn parse(url: &str, schemes: Schemes) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| NOT_ABSOLUTE)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(NOT_ABSOLUTE);
        };
        let is_admitted = match schemes {
            _ if *scheme == Scheme::HTTPS => true,
            _ if *scheme != Scheme::HTTP => false,
            Schemes::Https => false,
            Schemes::HttpToLoopback => is_loopback(authority.host()),
            Schemes::Http => true,
        };
        if !is_admitted {
            return Err(NOT_HTTPS);
        }
        if authority.as_str().contains('@') {
            return Err("has a user name or password: expected a URL without");
        }
        Ok(Self(uri))
    }

    pub(crate) const fn uri(&self) -> &Uri {
        &self.0
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Returns the URL without its query, which may hold a secret.
    pub(crate) fn shown(&self) -> String {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{}", self.0.path())
    }

    /// Returns the URL with another path, and without a query.
    pub(crate) fn with_path(&self, path: &str) -> Option<Self> {
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
        Uri::from_parts(parts).ok().map(Self)
    }
}

const NOT_ABSOLUTE: &str =
    "is no absolute URL: expected one such as https://host/.well-known/jwks.json";
const NOT_HTTPS: &str =
    "is a URL without https: http is only for a loopback host, or with allow_http";

/// RFC 6761 §6.3 and RFC 1122 §3.2.1.3.
fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_hosts() {
        for (url, admitted) in [
            ("https://auth.example/jwks", Schemes::Https),
            ("HTTPS://auth.example", Schemes::Https),
            ("http://localhost:8080/jwks", Schemes::HttpToLoopback),
            ("http://LOCALHOST", Schemes::HttpToLoopback),
            ("http://localhost.:80", Schemes::HttpToLoopback),
            ("http://a.localhost", Schemes::HttpToLoopback),
            ("http://127.1.2.3", Schemes::HttpToLoopback),
            ("http://[::1]:8080", Schemes::HttpToLoopback),
            ("http://keycloak:8080", Schemes::Http),
            ("http://localhost.example", Schemes::Http),
            ("http://notlocalhost", Schemes::Http),
            ("http://128.0.0.1", Schemes::Http),
            ("http://127.0.0.1.example", Schemes::Http),
        ] {
            let all = [Schemes::Https, Schemes::HttpToLoopback, Schemes::Http];
            let first = all.into_iter().find(|schemes| Location::parse(url, *schemes).is_ok());
            assert_eq!(first, Some(admitted), "{url}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (url, fault) in [
            ("", NOT_ABSOLUTE),
            ("/jwks", NOT_ABSOLUTE),
            ("auth.example", NOT_ABSOLUTE),
            ("{\"keys\":[]}", NOT_ABSOLUTE),
            ("ftp://auth.example/", NOT_HTTPS),
            ("https://user@auth.example/", "has a user name or password: expected a URL without"),
            (
                "https://user:secret@auth.example/",
                "has a user name or password: expected a URL without",
            ),
        ] {
            assert_eq!(Location::parse(url, Schemes::Http), Err(fault), "{url}");
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        let location = Location::parse("https://auth.example:444/jwks?code=secret", Schemes::Https);
        let location = location.unwrap();
        assert_eq!(location.shown(), "https://auth.example:444/jwks");
        let moved = location.with_path("/.well-known/x").unwrap();
        assert_eq!(moved.uri(), "https://auth.example:444/.well-known/x");
    }
}
