//! The tokens that a login, a refresh or a client gets.

use super::access_token::Access;
use super::requested::Approved;
use super::{Issuer, ServiceError};
use crate::clients::Client;
use crate::session::{RefreshToken, Session};

/// Tokens for a client (RFC 6749 §5.1).
pub(crate) struct Grant {
    pub(crate) access_token: String,
    /// The seconds that the access token lives.
    pub(crate) expires_in: u64,
    pub(crate) scope: String,
    /// A client's own access token comes without one.
    pub(crate) refresh: Option<RefreshGrant>,
}

pub(crate) struct RefreshGrant {
    pub(crate) token: String,
    /// The seconds until the refresh token expires.
    pub(crate) expires_in: u64,
}

impl Issuer {
    /// Returns the session's current refresh token, and a new access token with the user's own claims. The
    /// token names the authentication of the user if that was more than a password, or on request.
    pub(super) fn grant_session(
        &self,
        session: &Session,
        approved: &Approved,
        names_authentication: bool,
        now: u64,
    ) -> Result<Grant, ServiceError> {
        let authentication = &session.authentication;
        let is_named = names_authentication || authentication.is_strong();
        let access = Access {
            sub: &session.user_id,
            audience: &approved.target.audience,
            // As of now: the setting may have changed since the login.
            client_id: &self.config.client_id,
            sid: Some(session.sid()),
            status: session.status,
            authentication: is_named.then_some(authentication),
            scope: &approved.scope_within(&session.scope),
            own: &session.claims,
        };
        let token = RefreshToken { session: session.id, counter: session.counter };
        let refresh = RefreshGrant {
            token: token.encode(&self.refresh_key),
            expires_in: session.expires_at.saturating_sub(now),
        };
        self.grant(access, Some(refresh), now)
    }

    /// Returns an access token for the client itself, which is then its `sub` (RFC 9068 §2.2).
    pub(super) fn grant_client(
        &self,
        client: &Client,
        approved: &Approved,
        now: u64,
    ) -> Result<Grant, ServiceError> {
        let access = Access {
            sub: &client.id,
            audience: &approved.target.audience,
            client_id: &client.id,
            sid: None,
            status: None,
            authentication: None,
            scope: &approved.scope_within(&client.scope),
            own: &client.claims,
        };
        self.grant(access, None, now)
    }

    fn grant(
        &self,
        access: Access<'_>,
        refresh: Option<RefreshGrant>,
        now: u64,
    ) -> Result<Grant, ServiceError> {
        let scope = access.scope.to_owned();
        let access_token = self.access_token(access, now)?;
        let expires_in = self.config.access_ttl.as_secs();
        Ok(Grant { access_token, expires_in, scope, refresh })
    }
}
