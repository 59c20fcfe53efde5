//! Users who are signed in: a request of theirs has an access token of a live session.

use countersign_claims::Claims;

use super::{Issuer, ServiceError};
use crate::session::Session;
use crate::users::User;

/// A user, and the session whose access token the request has.
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) session: Session,
}

impl Issuer {
    /// Returns the user and the session of an access token of this issuer. Refuses the token if it is
    /// a client's own, or is for other services than those of the setting `audience`, or if its session
    /// has ended. Does not look at its scope.
    pub(crate) async fn signed_in(&self, token: &str) -> Result<SignedIn, ServiceError> {
        let claims = self.unexpired_access_token(token).await.map(|read| read.claims);
        let sid = claims.filter(|claims| self.is_for_us(claims)).and_then(|claims| claims.sid);
        let id = sid.as_deref().and_then(Session::parse_sid);
        let id = id.ok_or(ServiceError::InvalidAccessToken)?;
        let session = self.live_session(id).await?.ok_or(ServiceError::InvalidAccessToken)?;
        let user = self.store.user_with_id(session.user_id.clone()).await?;
        let user = user.filter(|user| !user.locked).ok_or(ServiceError::InvalidAccessToken)?;
        Ok(SignedIn { user, session })
    }

    fn is_for_us(&self, claims: &Claims) -> bool {
        claims.aud.as_ref().is_some_and(|aud| aud.contains(&self.config.audience))
    }
}
