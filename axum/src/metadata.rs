//! Discovery: the URL of an issuer's key set, out of the issuer's metadata.

use std::time::Duration;

use serde_json::Value;

use crate::{
    FetchError,
    fetch::{Document, Fetcher, METADATA},
    lifetime::{Lifetime, jitter},
    limits::Limits,
    location::{Location, Schemes},
};

/// An issuer's metadata, cached like a key set.
///
/// The caller makes sure that calls do not overlap, and backs off after a failure.
#[derive(Debug)]
pub(crate) struct Metadata {
    issuer: String,
    allow_http: bool,
    limits: Limits,
    /// The well-known URLs. The one that answered last is the first.
    urls: [Location; 2],
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    document: Document,
    lifetime: Lifetime,
    jwks: Location,
}

impl Metadata {
    /// Returns `None` if no URL can have the issuer's path.
    pub(crate) fn new(
        issuer: &str,
        location: &Location,
        allow_http: bool,
        limits: Limits,
    ) -> Option<Self> {
        let urls = well_known(location)?;
        Some(Self { issuer: issuer.to_owned(), allow_http, limits, urls, known: None })
    }

    /// Returns the URL of the key set, and the failure of a renewal if old metadata stays in use.
    ///
    /// Fetches the metadata if there is none, if it is due, or `again`: after a failure the key set
    /// may have moved. If that fails, the old metadata stays in use for `stale_if_error`.
    pub(crate) async fn locate(
        &mut self,
        fetcher: &Fetcher,
        now: Duration,
        again: bool,
    ) -> Result<(Location, Option<FetchError>), FetchError> {
        let stale_if_error = self.limits.stale_if_error;
        self.known = self.known.take().and_then(|known| {
            Some(Known { lifetime: known.lifetime.usable(now, stale_if_error)?, ..known })
        });
        if let Some(known) = self.known.as_ref().filter(|it| !again && !it.lifetime.is_due(now)) {
            return Ok((known.jwks.clone(), None));
        }
        match (self.fetch(fetcher, now).await, &self.known) {
            (Ok(fetched), _) => {
                let jwks = fetched.jwks.clone();
                self.known = Some(fetched);
                Ok((jwks, None))
            }
            (Err(error), Some(known)) => Ok((known.jwks.clone(), Some(error))),
            (Err(error), None) => Err(error),
        }
    }

    /// Asks one well-known URL after the other. Some issuers answer the wrong one with a page or a
    /// redirect.
    async fn fetch(&mut self, fetcher: &Fetcher, now: Duration) -> Result<Known, FetchError> {
        let [first, second] = &self.urls;
        let error = match self.fetch_from(first, fetcher, now).await {
            // A server that does not answer would not answer the second request either.
            Err(error) if !error.timed_out() => error,
            done => return done,
        };
        let fetched = self.fetch_from(second, fetcher, now).await;
        let fetched =
            fetched.map_err(|other| FetchError::unavailable(format!("{error}; {other}")))?;
        self.urls.swap(0, 1);
        Ok(fetched)
    }

    async fn fetch_from(
        &self,
        url: &Location,
        fetcher: &Fetcher,
        now: Duration,
    ) -> Result<Known, FetchError> {
        let known = self.known.as_ref().map(|known| &known.document);
        let document = fetcher.fetch(METADATA, url, known).await?;
        let lifetime = Lifetime::new(now, document.ttl, jitter());
        let jwks = self.read(url, &document.text).map_err(|fault| METADATA.refuse(url, &fault))?;
        Ok(Known { document, lifetime, jwks })
    }

    /// Checks the metadata (RFC 8414 §3.3), and returns the URL of the key set.
    fn read(&self, url: &Location, text: &str) -> Result<Location, String> {
        let metadata: Value = serde_json::from_str(text).unwrap_or_default();
        let issuer = metadata.get("issuer");
        if issuer.and_then(Value::as_str) != Some(&*self.issuer) {
            let found = issuer.map_or_else(|| "missing".to_owned(), Value::to_string);
            let found: String = found.chars().take(200).collect();
            let option = Value::from(&*self.issuer);
            return Err(format!(
                "its issuer is {found}, but the issuer of the policy is {option}; expected the same text"
            ));
        }
        let schemes = match (self.allow_http, url.is_https()) {
            (true, _) => Schemes::Http,
            (false, true) => Schemes::Https,
            (false, false) => Schemes::HttpToLoopback,
        };
        let jwks = metadata.get("jwks_uri").and_then(Value::as_str);
        let jwks = jwks.ok_or("its jwks_uri is missing: give the URL of the key set")?;
        Location::parse(jwks, schemes).map_err(|fault| format!("its jwks_uri {fault}"))
    }
}

/// Returns the URLs of RFC 8414 §3.1 and of OpenID Connect Discovery §4. They differ if the issuer
/// has a path.
fn well_known(issuer: &Location) -> Option<[Location; 2]> {
    let path = issuer.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    Some([
        issuer.with_path(&format!("/.well-known/oauth-authorization-server{path}"))?,
        issuer.with_path(&format!("{path}/.well-known/openid-configuration"))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_issuer_goes_before_or_after() {
        for (issuer, first, second) in [
            (
                "https://auth.example",
                "https://auth.example/.well-known/oauth-authorization-server",
                "https://auth.example/.well-known/openid-configuration",
            ),
            (
                "https://auth.example/a/b/",
                "https://auth.example/.well-known/oauth-authorization-server/a/b",
                "https://auth.example/a/b/.well-known/openid-configuration",
            ),
        ] {
            let issuer = Location::parse(issuer, Schemes::Https).unwrap();
            let urls = well_known(&issuer).unwrap();
            assert_eq!(urls.map(|url| url.uri().to_string()), [first, second]);
        }
    }

    #[test]
    fn metadata_must_name_the_issuer_and_a_key_set() {
        let read = |allow_http, url: &str, text: &str| {
            let url = Location::parse(url, Schemes::Http).unwrap();
            let limits = Limits::default();
            let metadata = Metadata::new("https://a.example", &url, allow_http, limits).unwrap();
            metadata.read(&url, text).map(|location| location.uri().to_string())
        };
        let of = |jwks: &str| format!(r#"{{"issuer":"https://a.example","jwks_uri":"{jwks}"}}"#);
        let (https, http) = ("https://a.example", "http://localhost");
        for (allow_http, url, jwks, accepted) in [
            (false, https, "https://b.example/keys", true),
            (false, https, "http://localhost/keys", false),
            (false, http, "http://localhost/keys", true),
            (false, http, "http://b.example/keys", false),
            (true, https, "http://b.example/keys", true),
            (true, https, "/keys", false),
        ] {
            let found = read(allow_http, url, &of(jwks));
            assert_eq!(found.is_ok(), accepted, "{url} {jwks}: {found:?}");
        }
        for (text, fault) in [
            ("[]", "its issuer is missing, but the issuer of the policy is \"https://a.example\""),
            (r#"{"issuer":7}"#, "its issuer is 7, but"),
            (r#"{"issuer":"https://a.example/"}"#, "its issuer is \"https://a.example/\", but"),
            (r#"{"issuer":"https://a.example"}"#, "its jwks_uri is missing"),
            (r#"{"issuer":"https://a.example","jwks_uri":[]}"#, "its jwks_uri is missing"),
        ] {
            let found = read(false, https, text).unwrap_err();
            assert!(found.starts_with(fault), "{found}");
        }
    }
}
