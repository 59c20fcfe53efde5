//! Introspection (RFC 7662): the state of a token at this moment.

use countersign_claims::{Claims, NumericDate};

use super::access_token::ReadClaims;
use super::{Issuer, ServiceError};
use crate::session::{RefreshToken, Session, SessionId};

/// An active token.
pub(crate) enum Introspection {
    AccessToken(ReadClaims),
    /// The session of the refresh token, as claims.
    RefreshToken(Claims),
}

impl Issuer {
    /// Returns the claims of an active token; `None` if the token is invalid, expired, replaced, or
    /// its session has ended.
    pub(crate) async fn introspect(
        &self,
        token: &str,
    ) -> Result<Option<Introspection>, ServiceError> {
        match RefreshToken::decode(token, &self.refresh_key) {
            Some(token) => self.introspect_refresh_token(token).await,
            None => self.introspect_access_token(token).await,
        }
    }

    async fn introspect_refresh_token(
        &self,
        token: RefreshToken,
    ) -> Result<Option<Introspection>, ServiceError> {
        let session = self.live_session(token.session).await?;
        let current = session.filter(|session| session.counter == token.counter);
        Ok(current.map(|session| {
            Introspection::RefreshToken(Claims {
                iss: Some(self.url.as_str().to_owned()),
                sub: Some(session.user_id),
                client_id: Some(self.config.client_id.clone()),
                scope: Some(session.scope),
                iat: Some(NumericDate::from_seconds(session.rotated_at)),
                exp: Some(NumericDate::from_seconds(session.expires_at)),
                ..Claims::default()
            })
        }))
    }

    async fn introspect_access_token(
        &self,
        token: &str,
    ) -> Result<Option<Introspection>, ServiceError> {
        let Some(read) = self.unexpired_access_token(token).await else { return Ok(None) };
        let is_active = match &read.claims.sid {
            Some(sid) => match Session::parse_sid(sid) {
                Some(id) => self.live_session(id).await?.is_some(),
                None => false,
            },
            None => {
                let client = self.store.client(read.claims.client_id.clone().unwrap_or_default());
                client.await?.is_some_and(|client| !client.locked)
            }
        };
        Ok(is_active.then_some(Introspection::AccessToken(read)))
    }

    /// Returns the session, unless it has ended or expired.
    pub(super) async fn live_session(
        &self,
        id: SessionId,
    ) -> Result<Option<Session>, ServiceError> {
        let session = self.store.session(id).await?;
        let now = self.clock_guard.latest_time();
        Ok(session.filter(|session| !session.revoked && now < session.expires_at))
    }
}
