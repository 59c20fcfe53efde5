//! The scope and the audiences of an access token: those that a request names, if it may have them.

use std::borrow::Cow;

use super::{Issuer, ServiceError};
use crate::clients::Client;
use crate::config::Resource;
use crate::scope;
use crate::target::{Choices, Target};

/// The scope and the audiences that a request names. Without them, the access token has the whole scope
/// for the default audience.
#[derive(Debug, Default)]
pub(crate) struct Requested<'a> {
    pub(crate) scope: Option<&'a str>,
    /// RFC 8707.
    pub(crate) resources: Vec<&'a str>,
}

/// The scope and the audiences that a client may have.
pub(super) struct Approved {
    pub(super) target: Target,
    /// `None` if the request names none. Each of its tokens is for the target.
    pub(super) scope: Option<String>,
}

impl Approved {
    /// Returns the scope of the access token; `all` is that of the session or the client.
    pub(super) fn scope_within<'a>(&'a self, all: &'a str) -> Cow<'a, str> {
        self.scope.as_deref().map_or_else(|| self.target.part_of(all), Cow::Borrowed)
    }
}

impl Issuer {
    /// Approves a request for a session. The scope may still exceed that of the session.
    pub(super) fn approve_for_session(
        &self,
        requested: &Requested<'_>,
    ) -> Result<Approved, ServiceError> {
        let others = self.config.audiences.iter().map(Resource::as_str).collect();
        // No session is for the issuer itself.
        self.approve(requested, others, "")
    }

    /// Approves a request of a client for itself.
    pub(super) fn approve_for_client(
        &self,
        requested: &Requested<'_>,
        client: &Client,
    ) -> Result<Approved, ServiceError> {
        let others = client.audiences().collect();
        let approved = self.approve(requested, others, &client.scope)?;
        let exceeds = |wanted: &String| !scope::is_within(wanted, &client.scope);
        if approved.scope.as_ref().is_some_and(exceeds) {
            return Err(ServiceError::ScopeExceedsClient);
        }
        Ok(approved)
    }

    fn approve(
        &self,
        requested: &Requested<'_>,
        others: Vec<&str>,
        all: &str,
    ) -> Result<Approved, ServiceError> {
        let default = &self.config.audience;
        let choices = Choices { default, others, issuer: self.url.as_str(), scope: all };
        let target = Target::choose(&requested.resources, &choices)?;
        let parse = |wanted| scope::parse(wanted).ok_or(ServiceError::MalformedScope);
        let scope = requested.scope.map(parse).transpose()?;
        if scope.as_ref().is_some_and(|wanted| !target.takes(wanted)) {
            return Err(ServiceError::ScopeOfAnotherTarget);
        }
        Ok(Approved { target, scope })
    }
}
