//! Users who are signed in: a request of theirs has an access token of a live session.

use countersign_claims::Claims;

use super::{Issuer, ServiceError};
use crate::session::{Session, SessionId};
use crate::users::User;

/// A user, and the session whose access token the request has.
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) session: Session,
}

impl SignedIn {
    /// Returns true if the session has shown a second factor, or its user has none.
    pub(super) fn has_shown_its_factors(&self) -> bool {
        self.user.factors.is_empty() || self.session.authentication.is_strong()
    }
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

    /// Refuses a session that has ended. A store that does not make a change tells no reason: the session
    /// may have ended after [`Self::signed_in`] looked.
    pub(super) async fn require_live(&self, session: SessionId) -> Result<(), ServiceError> {
        let session = self.live_session(session).await?;
        session.map(drop).ok_or(ServiceError::InvalidAccessToken)
    }

    fn is_for_us(&self, claims: &Claims) -> bool {
        claims.aud.as_ref().is_some_and(|aud| aud.contains(&self.config.audience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::{Authentication, Factors, SecondFactor};

    #[tokio::test]
    async fn a_second_factor_wants_a_session_that_has_shown_one() {
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        let token = issuer.session_for_tests().await;
        let session = issuer.session_of(&token).await.unwrap();
        let user = issuer.store.user_with_id(session.user_id.clone()).await.unwrap().unwrap();
        let mut signed_in = SignedIn { user, session };
        let is_refused = |signed_in: &SignedIn| issuer.require_fresh(signed_in).is_err();
        assert!(!is_refused(&signed_in));
        for factors in
            [Factors { totp: true, passkeys: false }, Factors { totp: false, passkeys: true }]
        {
            signed_in.user.factors = factors;
            signed_in.session.authentication = Authentication::by_password(1_800_000_000);
            assert!(is_refused(&signed_in));
            signed_in.session.authentication =
                Authentication::by_password_and(SecondFactor::RecoveryCode, 1_800_000_000);
            assert!(!is_refused(&signed_in));
        }
    }
}
