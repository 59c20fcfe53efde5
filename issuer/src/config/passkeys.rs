//! The settings of passkeys: `passkey_rp_id` and `passkey_origins`.

use url::{Host, Url};

use super::{Config, Origin};
use crate::error::Error;

/// The host that browsers take for the machine itself. Its pages need no TLS.
const LOCALHOST: &str = "localhost";

/// The domain whose passkeys the issuer takes, and the origins of its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PasskeySite {
    pub(crate) rp_id: String,
    pub(crate) origins: Vec<String>,
}

impl Config {
    /// Returns the site of passkeys for the issuer with this URL; `None` if passkeys are off.
    pub(crate) fn passkey_site(&self, issuer: &str) -> Option<PasskeySite> {
        let issuer = Url::parse(issuer).ok()?;
        let rp_id = match &self.passkey_rp_id {
            Some(rp_id) => rp_id.clone(),
            None if is_loopback(&issuer) => LOCALHOST.to_owned(),
            None => return None,
        };
        let origins = self.origins_within(&rp_id, &issuer);
        (!origins.is_empty()).then_some(PasskeySite { rp_id, origins })
    }

    fn origins_within(&self, rp_id: &str, issuer: &Url) -> Vec<String> {
        let as_text = |origin: &Origin| origin.as_str().to_owned();
        if !self.passkey_origins.is_empty() {
            return self.passkey_origins.iter().map(as_text).collect();
        }
        let own = issuer.origin().ascii_serialization();
        let others = self.cors_origins.iter().map(as_text).filter(|origin| *origin != own);
        let all = std::iter::once(own.clone()).chain(others);
        all.filter(|origin| is_within(origin, rp_id)).collect()
    }

    /// Checks that browsers would use passkeys of the domain on pages of the origins.
    pub(super) fn check_passkeys(&self) -> Result<(), Error> {
        // Without a URL the issuer is on loopback.
        let issuer = self.issuer.as_deref().unwrap_or("http://127.0.0.1");
        // A malformed URL is refused by another rule.
        let Ok(issuer) = Url::parse(issuer) else { return Ok(()) };
        let rp_id = match &self.passkey_rp_id {
            Some(rp_id) if !is_domain(rp_id) => {
                return refuse(format!(
                    "passkey_rp_id is {rp_id:?}; expected a domain in lower case such as example.com, \
                     without a scheme or a port"
                ));
            }
            Some(rp_id) => rp_id.as_str(),
            None if is_loopback(&issuer) => LOCALHOST,
            None if self.passkey_origins.is_empty() => return Ok(()),
            None => return refuse("passkey_origins needs passkey_rp_id; set it to their domain"),
        };
        let listed = self.passkey_origins.iter().map(Origin::as_str);
        if let Some(origin) = listed.into_iter().find(|origin| !is_within(origin, rp_id)) {
            return refuse(format!(
                "passkey_origins has {origin}, whose pages cannot use passkeys of {rp_id}; expected \
                 https://{rp_id} or https origins of its subdomains"
            ));
        }
        if self.passkey_rp_id.is_some() && self.origins_within(rp_id, &issuer).is_empty() {
            let example = match rp_id {
                LOCALHOST => "http://localhost:3000".to_owned(),
                _ => format!("https://{rp_id}"),
            };
            return refuse(format!(
                "passkey_rp_id is {rp_id}, and neither issuer nor cors_origins has an origin within it; \
                 list the origins of the pages that use passkeys, such as {example}, in cors_origins or \
                 passkey_origins"
            ));
        }
        Ok(())
    }
}

/// Returns true if a browser takes the text as an RP id. It refuses domains of registries, such as
/// `co.uk`, itself.
fn is_domain(text: &str) -> bool {
    let url = Url::parse(&format!("https://{text}"));
    let host = url.as_ref().ok().and_then(Url::host);
    let is_name = matches!(host, Some(Host::Domain(name)) if name == text);
    let has_labels = text.split('.').all(|label| !label.is_empty());
    is_name && has_labels && (text.contains('.') || text == LOCALHOST)
}

/// Returns true if a browser lets pages of the origin use passkeys of the domain.
fn is_within(origin: &str, rp_id: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let Some(Host::Domain(host)) = url.host() else { return false };
    let is_subdomain = host.strip_suffix(rp_id).is_some_and(|rest| rest.ends_with('.'));
    let is_local = host == LOCALHOST || host.ends_with(".localhost");
    let is_secure = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    is_secure && (host == rp_id || is_subdomain)
}

fn is_loopback(issuer: &Url) -> bool {
    match issuer.host() {
        Some(Host::Domain(name)) => name == LOCALHOST,
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn refuse<T>(line: impl Into<String>) -> Result<T, Error> {
    Err(Error::Config(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(issuer: &str, rp_id: &str, origins: &[&str], cors: &[&str]) -> Config {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Config {
            issuer: Some(issuer.to_owned()),
            passkey_rp_id: (!rp_id.is_empty()).then(|| rp_id.to_owned()),
            passkey_origins: parse(origins),
            cors_origins: parse(cors),
            ..Config::default()
        }
    }

    #[test]
    fn the_origins_are_those_within_the_domain() {
        let auth = "https://auth.example.com/x";
        let cors = ["https://app.example.com:8443", "https://other.example", "http://example.com"];
        for (issuer, rp_id, origins, cors, expected) in [
            (auth, "", &[] as &[&str], &cors as &[&str], None),
            (
                auth,
                "example.com",
                &[],
                &cors,
                Some(("example.com", vec!["https://auth.example.com", cors[0]])),
            ),
            (
                auth,
                "example.com",
                &["https://example.com"],
                &cors,
                Some(("example.com", vec!["https://example.com"])),
            ),
            ("http://127.0.0.1:8080", "", &[], &[], None),
            (
                "http://127.0.0.1:8080",
                "",
                &[],
                &["http://localhost:3000", "http://127.0.0.1:3000"],
                Some(("localhost", vec!["http://localhost:3000"])),
            ),
            (
                "http://localhost:8080",
                "",
                &[],
                &["http://localhost:8080"],
                Some(("localhost", vec!["http://localhost:8080"])),
            ),
        ] {
            let config = config(issuer, rp_id, origins, cors);
            config.check_passkeys().unwrap();
            let site = config.passkey_site(issuer);
            let site = site.as_ref().map(|site| {
                (site.rp_id.as_str(), site.origins.iter().map(String::as_str).collect())
            });
            assert_eq!(site, expected, "{issuer} {rp_id}");
        }
        assert_eq!(Config::default().passkey_site("http://127.0.0.1:8080"), None);
    }

    #[test]
    fn a_domain_or_an_origin_that_no_browser_would_use_is_refused() {
        let auth = "https://auth.example.com";
        for rp_id in [
            "com",
            "Example.com",
            "https://example.com",
            "example.com:443",
            "example.com/",
            "127.0.0.1",
            "[::1]",
            "example..com",
            ".example.com",
            "example.com.",
            "bücher.example",
        ] {
            let refused = config(auth, rp_id, &[], &[]).check_passkeys();
            assert!(refused.is_err_and(|e| e.to_string().contains("expected a domain")), "{rp_id}");
        }
        for (rp_id, origins, reason) in [
            ("", vec!["https://example.com"], "passkey_origins needs passkey_rp_id"),
            ("example.com", vec!["https://example.org"], "cannot use passkeys of example.com"),
            ("example.com", vec!["https://badexample.com"], "cannot use passkeys"),
            ("example.com", vec!["http://example.com"], "expected https://example.com"),
            ("example.com", vec!["capacitor://example.com"], "cannot use passkeys"),
            ("app.example.com", vec!["https://example.com"], "cannot use passkeys"),
            ("example.org", vec![], "such as https://example.org, in cors_origins"),
        ] {
            let refused = config(auth, rp_id, &origins, &[]).check_passkeys();
            assert!(refused.is_err_and(|e| e.to_string().contains(reason)), "{rp_id} {origins:?}");
        }
    }

    #[test]
    fn on_loopback_an_origin_at_localhost_is_enough_and_needed() {
        let (issuer, page) = ("http://127.0.0.1:8080", "http://localhost:3000");
        let refused = config(issuer, LOCALHOST, &[], &[]).check_passkeys().unwrap_err();
        assert!(refused.to_string().contains(&format!("such as {page}, in cors_origins")));
        for rp_id in ["", LOCALHOST] {
            for (origins, cors) in [(&[] as &[&str], &[page] as &[&str]), (&[page], &[])] {
                let config = config(issuer, rp_id, origins, cors);
                config.check_passkeys().unwrap();
                let site = config.passkey_site(issuer).unwrap();
                assert_eq!((&*site.rp_id, site.origins), (LOCALHOST, vec![page.to_owned()]));
            }
        }
    }
}
