use std::sync::Arc;

/// The issuer's URL: the `iss` claim of its tokens.
#[derive(Clone)]
pub(crate) struct IssuerUrl(Arc<str>);

impl IssuerUrl {
    pub(super) fn new(url: &str) -> Self {
        Self(url.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the URL of the endpoint at `path`.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }

    /// Returns the URL of a status list: `uri` in access tokens, `sub` in the list itself.
    pub(super) fn status_list(&self, number: u32) -> String {
        self.endpoint(&format!("/status/{number}"))
    }
}
