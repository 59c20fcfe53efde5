use std::sync::Arc;

use url::Url;

use crate::Error;

/// The issuer's URL: the `iss` claim of its tokens.
#[derive(Clone)]
pub(crate) struct IssuerUrl {
    /// As it was configured: verifiers compare it by the letter.
    text: Arc<str>,
    parsed: Arc<Url>,
}

impl IssuerUrl {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let parsed = Url::parse(url).map_err(|e| Error::Config(format!("issuer: {e}")))?;
        Ok(Self { text: url.into(), parsed: Arc::new(parsed) })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns scheme, host and port as browsers write them.
    pub(crate) fn origin(&self) -> String {
        self.parsed.origin().ascii_serialization()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.parsed.scheme() == "https"
    }

    pub(crate) fn host(&self) -> &str {
        self.parsed.host_str().unwrap_or_default()
    }

    /// Returns host and port, as people see them in an authenticator app.
    pub(crate) fn authority(&self) -> String {
        let port = self.parsed.port().map_or(String::new(), |port| format!(":{port}"));
        format!("{}{port}", self.host())
    }

    /// Returns the path without a slash at the end; empty if there is none.
    pub(crate) fn path(&self) -> &str {
        self.parsed.path().trim_end_matches('/')
    }

    /// Returns the URL of the endpoint at `path`.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.text.trim_end_matches('/'))
    }

    /// Returns the URL of a status list: `uri` in access tokens, `sub` in the list itself.
    pub(super) fn status_list(&self, number: u32) -> String {
        self.endpoint(&format!("/status/{number}"))
    }
}
