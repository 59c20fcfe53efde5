//! Logins and step-up with a passkey alone, and passkeys as second factors.
//!
//! A signature cannot be guessed. So a right passkey is never held back by failed logins, unlike a
//! password. A wrong one counts as a failed login of its user all the same.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::login::to_its_end;
use super::{Caller, Grant, Issuer, LoggedIn, PasskeyOptions, ServiceError};
use crate::audit::Event;
use crate::authentication::Authentication;
use crate::one_time::TokenUse;
use crate::passkeys::challenge::{Holder, Opened, WITHIN};
use crate::passkeys::relying_party::{Answer, RelyingParty, Verification};
use crate::passkeys::{Passkey, PasskeyUse};
use crate::second_factor::pending::Pending;
use crate::second_factor::{Finished, Goal, LastStep, Proof};
use crate::session::SessionId;
use crate::users::User;

/// The answer of an authenticator to a challenge.
pub(crate) struct PasskeyAnswer {
    pub(crate) challenge_token: String,
    /// `AuthenticationResponseJSON`.
    pub(crate) credential: Value,
}

impl Issuer {
    /// Returns a challenge for whoever logs in with a passkey alone, or for a login that waits for a
    /// second factor.
    pub(crate) async fn passkey_options(
        &self,
        mfa_token: Option<&str>,
        client: IpAddr,
    ) -> Result<PasskeyOptions, ServiceError> {
        let relying_party = self.relying_party()?;
        let (holder, verification, allowed) = match mfa_token {
            None => (Holder::Anybody, Verification::Required, Vec::new()),
            Some(token) => {
                let login = self.pending_login(token, client).await?;
                let allowed = self.store.passkeys(login.user_id).await?;
                if allowed.is_empty() {
                    let line = "the user has no passkey; use another second factor";
                    return Err(ServiceError::Refused(line.to_owned()));
                }
                (Holder::Login(login.token.hash), Verification::Preferred, allowed)
            }
        };
        let now = self.clock_guard.latest_time();
        let (challenge, challenge_token) = self.challenges.make(&holder, now)?;
        let public_key = relying_party.request_options(&allowed, verification, &challenge);
        Ok(PasskeyOptions { challenge_token, expires_in: WITHIN, public_key })
    }

    /// Opens a session for the user of a passkey. Like a login with a password, it runs to its end if the
    /// client goes away. An expired password does not matter.
    pub(crate) async fn login_by_passkey(
        self: &Arc<Self>,
        answer: PasskeyAnswer,
        by_cookie: bool,
        caller: Caller,
    ) -> Result<LoggedIn, ServiceError> {
        self.begin_with_passkey(&caller).await?;
        let issuer = Arc::clone(self);
        to_its_end(async move { issuer.try_passkey(answer, by_cookie, caller).await }).await
    }

    /// Makes the authentication of a session new by a passkey of its user.
    pub(crate) async fn authenticate_again_by_passkey(
        self: &Arc<Self>,
        refresh_token: &str,
        answer: PasskeyAnswer,
        caller: Caller,
    ) -> Result<Grant, ServiceError> {
        self.begin_with_passkey(&caller).await?;
        let session = self.session_of(refresh_token).await?;
        let issuer = Arc::clone(self);
        to_its_end(async move { issuer.try_passkey_again(answer, session.id, caller).await }).await
    }

    async fn begin_with_passkey(&self, caller: &Caller) -> Result<(), ServiceError> {
        self.relying_party()?;
        self.limit_logins(caller.address)?;
        self.require_issuing().await
    }

    async fn try_passkey(
        &self,
        answer: PasskeyAnswer,
        by_cookie: bool,
        caller: Caller,
    ) -> Result<LoggedIn, ServiceError> {
        let (user, used) = match self.check_lone_passkey(answer).await? {
            Ok(right) => right,
            Err(user) => return Err(self.refuse_passkey(user, caller).await),
        };
        let now = self.clock.now();
        let session = self.new_session(&user, Authentication::by_passkey(now), &caller)?;
        let goal = Goal::Open { session: Box::new(session), candidates: self.candidates()? };
        match self.finish_with_passkey(&user, used, goal, &caller, now).await? {
            Finished::Done(session) => {
                let pending = Pending::after_password(&user, by_cookie, None);
                let login = self.of_user(user.clone(), caller);
                self.logged_in(&login, &user, &session, &pending, now)
            }
            Finished::Wrong | Finished::Refused => {
                Err(self.refuse_passkey(Some(user), caller).await)
            }
        }
    }

    async fn try_passkey_again(
        &self,
        answer: PasskeyAnswer,
        session: SessionId,
        caller: Caller,
    ) -> Result<Grant, ServiceError> {
        let (user, used) = match self.check_lone_passkey(answer).await? {
            Ok(right) => right,
            Err(user) => return Err(self.refuse_passkey(user, caller).await),
        };
        let now = self.clock.now();
        let goal = Goal::Again { session, authentication: Authentication::by_passkey(now) };
        match self.finish_with_passkey(&user, used, goal, &caller, now).await? {
            Finished::Done(session) => self.grant_again(&session, now),
            Finished::Wrong => Err(self.refuse_passkey(Some(user), caller).await),
            // Also if the passkey is of another user than the session.
            Finished::Refused => {
                self.require_live_for_token(session).await?;
                Err(self.refuse_passkey(Some(user), caller).await)
            }
        }
    }

    async fn finish_with_passkey(
        &self,
        user: &User,
        used: PasskeyUse,
        goal: Goal,
        caller: &Caller,
        now: u64,
    ) -> Result<Finished, ServiceError> {
        let step = LastStep {
            user_id: user.id.clone(),
            password_version: None,
            token: None,
            proof: Proof::Passkey(used),
            goal,
            failure: None,
            retry: None,
            network: self.network(caller.address),
            now,
        };
        self.take_last_step(step).await
    }

    /// Checks a passkey that is the only proof. Returns its user and its use, or only the user if it is
    /// wrong and they are known.
    async fn check_lone_passkey(
        &self,
        PasskeyAnswer { challenge_token, credential }: PasskeyAnswer,
    ) -> Result<Result<(User, PasskeyUse), Option<User>>, ServiceError> {
        let Ok(answer) = RelyingParty::read_answer(credential) else { return Ok(Err(None)) };
        let passkey = self.store.passkey(answer.id.clone()).await?;
        let Some(passkey) = passkey else { return Ok(Err(None)) };
        let user = self.store.user_with_id(passkey.user_id.clone()).await?;
        let Some(user) = user else { return Ok(Err(None)) };
        // The user chose the passkey: it must say whose it is (WebAuthn §7.2, step 6).
        if answer.user_handle.is_none() {
            return Ok(Err(Some(user)));
        }
        let opened = self.open_challenge(&challenge_token, &Holder::Anybody);
        let used = self.check_answer(&answer, &passkey, Verification::Required, opened)?;
        Ok(used.map(|used| (user.clone(), used)).ok_or(Some(user)))
    }

    /// Checks a passkey that is the second factor of a login.
    pub(super) async fn check_second_passkey(
        &self,
        user: &User,
        login: &TokenUse,
        PasskeyAnswer { challenge_token, credential }: PasskeyAnswer,
    ) -> Result<Proof, ServiceError> {
        let Ok(answer) = RelyingParty::read_answer(credential) else { return Ok(Proof::Wrong) };
        let passkey = self.store.passkey(answer.id.clone()).await?;
        let passkey = passkey.filter(|passkey| passkey.user_id == user.id);
        let Some(passkey) = passkey else { return Ok(Proof::Wrong) };
        let opened = self.open_challenge(&challenge_token, &Holder::Login(login.hash));
        let used = self.check_answer(&answer, &passkey, Verification::Preferred, opened)?;
        Ok(used.map_or(Proof::Wrong, Proof::Passkey))
    }

    fn open_challenge(&self, token: &str, holder: &Holder) -> Option<Opened> {
        self.challenges.open(token, holder, self.clock_guard.latest_time())
    }

    /// Verifies an answer to a challenge. Returns `None` if it is wrong. The store decides on the counter
    /// and on the challenge's use.
    fn check_answer(
        &self,
        answer: &Answer,
        passkey: &Passkey,
        verification: Verification,
        opened: Option<Opened>,
    ) -> Result<Option<PasskeyUse>, ServiceError> {
        let (relying_party, now) = (self.relying_party()?, self.clock_guard.latest_time());
        let Some(opened) = opened else { return Ok(None) };
        match relying_party.verify_answer(answer, passkey, verification, &opened.challenge) {
            Ok(counter) => {
                if passkey.credential.after_use(counter).is_none() {
                    self.metrics.passkey_counters_back.inc();
                }
                let challenge = opened.into_use(now)?;
                Ok(Some(PasskeyUse { id: passkey.id.clone(), counter, challenge }))
            }
            Err(fault) => {
                tracing::debug!("a passkey is refused: {fault}");
                Ok(None)
            }
        }
    }

    /// Counts a failed login with a passkey. Returns its error.
    async fn refuse_passkey(&self, user: Option<User>, caller: Caller) -> ServiceError {
        let client = caller.address;
        let event = match &user {
            Some(User { locked: true, .. }) => Event::LoginLocked,
            _ => Event::LoginFailed,
        };
        if let Some(user) = &user
            && let Err(e) = self.count_attempt(&self.of_user(user.clone(), caller)).await
        {
            return e;
        }
        self.count_failure(event, client, user.as_ref());
        ServiceError::PasskeyLoginFailed
    }
}
