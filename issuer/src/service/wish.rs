//! The audiences and the scope that a request for an access token asks for.

use std::borrow::Cow;

use super::{Issuer, ServiceError};
use crate::clients::Client;
use crate::config::Resource;
use crate::scope;
use crate::target::{Choices, Target};

/// The part of its rights that a client asks for. By default it gets all of its scope, for the default
/// audience.
#[derive(Debug, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) scope: Option<&'a str>,
    /// RFC 8707.
    pub(crate) resources: Vec<&'a str>,
}

/// A wish that may be fulfilled.
pub(super) struct Chosen {
    pub(super) target: Target,
    /// `None` if it asked for none. Each of its tokens is for the target.
    pub(super) scope: Option<String>,
}

impl Chosen {
    /// Returns the scope of the access token; `all` is that of the session or the client.
    pub(super) fn scope_within<'a>(&'a self, all: &'a str) -> Cow<'a, str> {
        self.scope.as_deref().map_or_else(|| self.target.part_of(all), Cow::Borrowed)
    }
}

impl Issuer {
    /// Checks the wish of a session's client, except that its scope may exceed that of the session.
    pub(super) fn choose_for_session(&self, wish: &Wish<'_>) -> Result<Chosen, ServiceError> {
        let others = self.config.audiences.iter().map(Resource::as_str).collect();
        // No session is for the issuer itself.
        self.choose(wish, others, "")
    }

    /// Checks the wish of a client for itself.
    pub(super) fn choose_for_client(
        &self,
        wish: &Wish<'_>,
        client: &Client,
    ) -> Result<Chosen, ServiceError> {
        let others = client.audiences().collect();
        let chosen = self.choose(wish, others, &client.scope)?;
        let exceeds = |wanted: &String| !scope::is_within(wanted, &client.scope);
        if chosen.scope.as_ref().is_some_and(exceeds) {
            return Err(ServiceError::ScopeExceedsClient);
        }
        Ok(chosen)
    }

    fn choose(
        &self,
        wish: &Wish<'_>,
        others: Vec<&str>,
        all: &str,
    ) -> Result<Chosen, ServiceError> {
        let default = &self.config.audience;
        let choices = Choices { default, others, issuer: self.url.as_str(), scope: all };
        let target = Target::choose(&wish.resources, &choices)?;
        let parse = |wanted| scope::parse(wanted).ok_or(ServiceError::MalformedScope);
        let scope = wish.scope.map(parse).transpose()?;
        if scope.as_ref().is_some_and(|wanted| !target.takes(wanted)) {
            return Err(ServiceError::ScopeOfAnotherTarget);
        }
        Ok(Chosen { target, scope })
    }
}
