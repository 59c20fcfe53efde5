//! Step-up: the user of a session authenticates again (RFC 9470).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::hasher::Turn;
use super::login::{Login, to_its_end};
use super::{Caller, Grant, Issuer, Requested, ServiceError};
use crate::audit::Event;
use crate::authentication::Authentication;
use crate::second_factor::pending::Pending;
use crate::second_factor::{Finished, Goal, LastStep, Proof};
use crate::session::{RefreshToken, Session, SessionId};

impl Issuer {
    /// Checks the password of a session's user, and makes the session's authentication new, or asks for
    /// the second factor. The refresh token stays as it is. A wrong password counts as a failed login.
    pub(crate) async fn authenticate_again(
        self: &Arc<Self>,
        refresh_token: &str,
        password: Zeroizing<String>,
        caller: Caller,
    ) -> Result<Grant, ServiceError> {
        self.limit_logins(caller.address)?;
        self.require_issuing().await?;
        let session = self.session_of(refresh_token).await?;
        let user = self.store.user_with_id(session.user_id).await?;
        let user = user.ok_or(ServiceError::InvalidRefreshToken)?;
        let login = self.of_user(user, caller);
        let turn = self.turn(login.origin()).await?;
        let issuer = Arc::clone(self);
        let again = async move { issuer.try_again(login, turn, &password, session.id).await };
        to_its_end(again).await
    }

    /// Returns the live session of its refresh token, or of the one before: another tab may have replaced
    /// it a moment ago.
    pub(super) async fn session_of(&self, refresh_token: &str) -> Result<Session, ServiceError> {
        let token = RefreshToken::decode(refresh_token, &self.refresh_key);
        let token = token.ok_or(ServiceError::InvalidRefreshToken)?;
        let session = self.live_session(token.session).await?;
        let session = session.filter(|session| {
            session.counter == token.counter
                || token.counter.checked_add(1) == Some(session.counter)
        });
        session.ok_or(ServiceError::InvalidRefreshToken)
    }

    /// Refuses the refresh token of a session that has ended after [`Self::session_of`] looked.
    pub(super) async fn require_live_for_token(
        &self,
        session: SessionId,
    ) -> Result<(), ServiceError> {
        let session = self.live_session(session).await?;
        session.map(drop).ok_or(ServiceError::InvalidRefreshToken)
    }

    async fn try_again(
        &self,
        mut login: Login,
        turn: Turn,
        password: &Zeroizing<String>,
        session: SessionId,
    ) -> Result<Grant, ServiceError> {
        let failure = self.count_attempt(&login).await?;
        let user = login.user.take();
        let user = self.authenticate(turn, password, &login.caller, user).await?;
        let now = self.clock.now();
        if self.needs_second_factor(&user) {
            let pending = Pending::after_password(&user, false, Some(session));
            let asked = self.ask_second_factor(&user, &pending, failure, now).await?;
            return Err(ServiceError::SecondFactorNeeded(asked));
        }
        let step = LastStep {
            user_id: user.id.clone(),
            password_version: Some(user.password_version),
            token: None,
            proof: Proof::Password,
            goal: Goal::Again { session, authentication: Authentication::by_password(now) },
            failure: Some(failure),
            retry: None,
            network: self.network(login.caller.address),
            now,
        };
        if let Finished::Done(session) = self.take_last_step(step).await? {
            return self.grant_again(&session, now);
        }
        self.require_live_for_token(session).await?;
        self.count_failure(Event::LoginFailed, login.caller.address, Some(&user));
        Err(ServiceError::LoginFailed)
    }

    /// Returns an access token that names the new authentication. The client has its refresh token.
    pub(super) fn grant_again(&self, session: &Session, now: u64) -> Result<Grant, ServiceError> {
        let approved = self.approve_for_session(&Requested::default())?;
        Ok(Grant { refresh: None, ..self.grant_session(session, &approved, true, now)? })
    }
}
