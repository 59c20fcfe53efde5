//! The end of a session, by logout or by revocation.

use super::{Issuer, ServiceError};
use crate::session::{RefreshToken, Session, SessionId};

impl Issuer {
    /// Ends the session of the refresh token, which may be one that was replaced. Ignores a token
    /// that this issuer did not make.
    pub(crate) async fn log_out(&self, token: &str) -> Result<(), ServiceError> {
        if let Some(token) = RefreshToken::decode(token, &self.refresh_key) {
            self.store.end_session(token.session, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Ends the session of a refresh token, or of an access token that names a status list
    /// (RFC 7009). Ignores an invalid token.
    pub(crate) async fn revoke(
        &self,
        token: &str,
        client_id: Option<&str>,
    ) -> Result<(), ServiceError> {
        let session = match RefreshToken::decode(token, &self.refresh_key) {
            Some(token) => Some(token.session),
            None => self.session_of_access_token(token).await?,
        };
        let Some(session) = session else { return Ok(()) };
        // RFC 7009 §2.1: a client revokes its own tokens.
        self.check_client_id(client_id)?;
        Ok(self.store.end_session(session, self.clock.now()).await?)
    }

    /// Returns the session of an access token; `None` if the token is invalid or has expired.
    async fn session_of_access_token(
        &self,
        token: &str,
    ) -> Result<Option<SessionId>, ServiceError> {
        let Some(claims) = self.unexpired_access_token(token).await else { return Ok(None) };
        // Success would mean that the token is dead. Without a status list verifiers accept it
        // until it expires.
        let sid = claims.sid.filter(|_| claims.status.is_some());
        let session = sid.as_deref().and_then(Session::parse_sid);
        session.map(Some).ok_or(ServiceError::UnrevocableToken)
    }
}
