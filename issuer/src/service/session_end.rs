//! The end of a session, by logout or by revocation.

use std::net::IpAddr;

use super::{Issuer, ServiceError};
use crate::session::{RefreshToken, Session, SessionId};

impl Issuer {
    /// Ends the session of the refresh token, which may be one that was replaced. Ignores a token
    /// that this issuer did not make.
    pub(crate) async fn log_out(&self, token: &str, client: IpAddr) -> Result<(), ServiceError> {
        match RefreshToken::decode(token, &self.refresh_key) {
            Some(token) => self.end_session(token.session, client).await,
            None => Ok(()),
        }
    }

    /// Ends the session of a refresh token, or of an access token that names a status list
    /// (RFC 7009). Ignores an invalid token.
    pub(crate) async fn revoke(
        &self,
        token: &str,
        client_id: Option<&str>,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        let session = match RefreshToken::decode(token, &self.refresh_key) {
            Some(token) => Some(token.session),
            None => self.session_of_access_token(token).await?,
        };
        let Some(session) = session else { return Ok(()) };
        // RFC 7009 §2.1: a client revokes its own tokens.
        self.check_client_id(client_id)?;
        self.end_session(session, client).await
    }

    pub(super) async fn end_session(
        &self,
        session: SessionId,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        let by = self.network(client).into();
        Ok(self.store.end_session(session, by, self.clock.now()).await?)
    }

    /// Returns the session of an access token; `None` if the token is invalid or has expired.
    async fn session_of_access_token(
        &self,
        token: &str,
    ) -> Result<Option<SessionId>, ServiceError> {
        let Some(read) = self.unexpired_access_token(token).await else { return Ok(None) };
        // Success would mean that the token is dead. Without a status list verifiers accept it
        // until it expires.
        let sid = read.claims.sid.filter(|_| read.claims.status.is_some());
        let session = sid.as_deref().and_then(Session::parse_sid);
        session.map(Some).ok_or(ServiceError::UnrevocableToken)
    }
}
