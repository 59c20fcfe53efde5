//! The Admin API without HTTP: what commands can do with users, sessions, clients, keys and the audit log,
//! for clients that may ask for it. `docs/admin-api.md` has the commands that it leaves out.

mod additions;
mod audit;
mod clients;
mod keys;
mod users;

use std::net::IpAddr;

use countersign_claims::Claims;

pub(super) use self::additions::Additions;
pub(crate) use self::clients::NewClient;
pub(crate) use self::users::{Credential, NewUser};
use super::{Issuer, ServiceError};
use crate::audit::Actor;
use crate::scope;

/// The rights that a request to the Admin API needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Change,
}

impl Access {
    /// Returns the narrowest scope that has it.
    pub(crate) const fn scope(self) -> &'static str {
        match self {
            Self::Read => scope::READ,
            Self::Change => scope::ADMIN,
        }
    }

    fn is_in(self, granted: &str) -> bool {
        scope::is_within(self.scope(), granted) || scope::is_within(scope::ADMIN, granted)
    }
}

/// A client that may make its request. Each method is one request.
pub(crate) struct Admin<'a> {
    issuer: &'a Issuer,
    client_id: String,
    from: IpAddr,
}

impl Issuer {
    /// Returns the client of an access token, if it may do this. The token must be for the issuer
    /// itself, and the client's own: no user acts through the Admin API. A client that was locked, or has
    /// lost the scope, is refused at once.
    pub(crate) async fn admin(
        &self,
        token: &str,
        access: Access,
        from: IpAddr,
    ) -> Result<Admin<'_>, ServiceError> {
        let claims = self.unexpired_access_token(token).await;
        let claims =
            claims.map(|read| read.claims).filter(|claims| self.is_own_token_for_issuer(claims));
        let claims = claims.ok_or(ServiceError::InvalidAdminToken)?;
        let client = self.store.client(claims.client_id.unwrap_or_default()).await?;
        let client = client.filter(|client| !client.locked);
        let client = client.ok_or(ServiceError::InvalidAdminToken)?;
        self.admin_limit.check(&client.id).map_err(ServiceError::TooManyRequests)?;
        let granted = claims.scope.unwrap_or_default();
        if !access.is_in(&granted) || !access.is_in(&client.scope) {
            return Err(ServiceError::InsufficientScope(access));
        }
        Ok(Admin { issuer: self, client_id: client.id, from })
    }

    /// The `sub` of a client's own token is the client (RFC 9068 §2.2).
    fn is_own_token_for_issuer(&self, claims: &Claims) -> bool {
        let is_for_issuer = claims.aud.as_ref().is_some_and(|aud| aud.contains(self.url.as_str()));
        is_for_issuer && claims.sub == claims.client_id && claims.sid.is_none()
    }
}

impl Admin<'_> {
    /// Returns the actor for the audit log.
    fn by(&self) -> Actor {
        let network = self.issuer.network(self.from);
        Actor { id: Some(self.client_id.clone()), network: Some(network) }
    }

    fn now(&self) -> u64 {
        self.issuer.clock.now()
    }
}
