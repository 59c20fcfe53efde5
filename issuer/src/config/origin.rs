//! The setting `cors_origins`: origins of pages, apps and browser extensions.

use std::str::FromStr;

use url::{Host, Url};

use super::value::Value;
use crate::error::Error;

/// Schemes whose pages have no origin of their own, or that no page has.
const WITHOUT_ORIGIN: [&str; 8] =
    ["about", "blob", "data", "file", "ftp", "javascript", "ws", "wss"];

/// An origin in the only form in which browsers send it (RFC 6454 §6.2): scheme, host, and the port
/// unless it is the scheme's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Returns the origin of the pages at a URL; `None` if no browser sends one.
    fn of(url: &Url) -> Option<Self> {
        let is_web = ["http", "https"].contains(&url.scheme());
        match url.host()? {
            Host::Domain(name) if !is_name(name) || (is_web && has_empty_label(name)) => None,
            _ if WITHOUT_ORIGIN.contains(&url.scheme()) => None,
            _ if is_web => Some(Self(url.origin().ascii_serialization())),
            // The scheme of an app or an extension. The parser leaves the host's case as it is.
            host => {
                let host = host.to_string().to_ascii_lowercase();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Some(Self(format!("{}://{host}{port}", url.scheme())))
            }
        }
    }

    /// Returns the value of the header `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns true if a host has only the characters of names. The parser accepts more, such as `*`.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
}

/// Returns true if two dots meet, or one is at the beginning. A dot at the end is in order.
fn has_empty_label(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).split('.').any(str::is_empty)
}

impl FromStr for Origin {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Config`] if no browser sends the text as an origin.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text).map_err(Error::Config)
    }
}

impl Value for Origin {
    fn parse(text: &str) -> Result<Self, String> {
        match Url::parse(text).ok().and_then(|url| Self::of(&url)) {
            Some(origin) if origin.0 == text => Ok(origin),
            Some(Self(right)) => {
                Err(format!("{text:?} is not an origin as browsers send it; expected {right}"))
            }
            None => Err(format!(
                "{text:?} is not an origin; expected a scheme and a host, without a pattern or a \
                 path, such as https://app.example, http://localhost:3000 or capacitor://localhost"
            )),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_pages_apps_and_extensions_are_taken() {
        for text in [
            "https://app.example",
            "https://app.example:8443",
            "https://app.example.",
            "https://a_b.example",
            "https://xn--bcher-kva.example",
            "https://192.0.2.1",
            "https://[2001:db8::1]:8443",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "wails://wails.localhost:34115",
            "app://.",
            "app://obsidian.md",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://0b4c9ad6-2f43-4f6c-a5a7-64d1e8b27c11",
            "safari-web-extension://0b4c9ad6-2f43-4f6c-a5a7-64d1e8b27c11",
        ] {
            let origin = Origin::parse(text);
            assert_eq!(origin.as_ref().map(Origin::as_str), Ok(text));
        }
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused_with_the_right_form() {
        for (text, right) in [
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("https://app.example:08443", "https://app.example:8443"),
            ("https://app.example/", "https://app.example"),
            ("https://app.example/login?x#y", "https://app.example"),
            ("https://alice@app.example", "https://app.example"),
            ("https://APP.example", "https://app.example"),
            ("HTTPS://app.example", "https://app.example"),
            ("https:app.example", "https://app.example"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://127.1:3000", "http://127.0.0.1:3000"),
            ("http://0x7f.0.0.1", "http://127.0.0.1"),
            ("https://[2001:DB8:0::1]", "https://[2001:db8::1]"),
            ("capacitor://localhost/", "capacitor://localhost"),
            ("Capacitor://LocalHost", "capacitor://localhost"),
            ("chrome-extension://ABC/popup.html", "chrome-extension://abc"),
        ] {
            let expected = format!("expected {right}");
            assert!(Origin::parse(text).is_err_and(|e| e.ends_with(&expected)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_origin_is_refused_with_an_example() {
        for text in [
            "*",
            "null",
            "app.example",
            "localhost:3000",
            "//app.example",
            "https://",
            "https://[",
            "https://.",
            "https://..",
            "https://a..example",
            "https://.example",
            "https://*.example",
            "https://a b.example",
            "https://app.example:99999",
            "https://app.example:x",
            "http://1.2.3.256",
            "capacitor://",
            "capacitor:localhost",
            "chrome-extension://*",
            "file:///index.html",
            "file://host",
            "wss://app.example",
            "blob:https://app.example",
            "data:text/html,x",
        ] {
            let refusal = Origin::parse(text);
            assert!(refusal.is_err_and(|e| e.contains("such as https://app.example,")), "{text}");
        }
    }
}
