//! The step of a login after the password: a proof by a second factor opens the session.
//!
//! A login that waits for it has a one-time token. A wrong proof uses the token up, and the answer has
//! another one. Each proof counts as a failed login until it was right. The step with the password does
//! not clear the failures of the account: somebody who knows the password has no more guesses at the
//! second factor than somebody who does not has at the password.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::login::{Login, to_its_end};
use super::own_factors::TotpSecret;
use super::take_backs::TakeBack;
use super::{Caller, Issuer, LoggedIn, PasskeyAnswer, Requested, ServiceError, SignedIn};
use crate::audit::{Actor, Event};
use crate::authentication::{Authentication, Factors, SecondFactor};
use crate::login::throttle::ProvisionalFailure;
use crate::one_time::{self, OneTimeToken, Purpose, TokenUse};
use crate::second_factor::pending::{self, Pending};
use crate::second_factor::recovery::{self, NewCodes};
use crate::second_factor::{
    Finished, Goal, LastStep, NewTotp, Proof, StoredFactors, StoredTotp, totp,
};
use crate::session::Session;
use crate::users::User;
use crate::{Error, crypto};

/// The answer to a right password whose user needs a second factor.
pub(crate) struct Asked {
    /// The token of the login that waits.
    pub(crate) mfa_token: Zeroizing<String>,
    /// The seconds until the login must be complete.
    pub(crate) expires_in: u64,
    /// The names of the proofs that the user can give.
    pub(crate) methods: Vec<&'static str>,
}

/// Shows no token.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("methods", &self.methods).finish_non_exhaustive()
    }
}

/// The only method of a user who has to set up a second factor.
const ENROLMENT: &str = "totp_enrolment";

/// A login that waits for a second factor.
pub(crate) struct PendingLogin {
    pub(super) token: TokenUse,
    pub(super) user_id: String,
    expires_at: u64,
    pending: Pending,
}

impl PendingLogin {
    /// Returns the seconds until the login must be complete.
    pub(crate) fn expires_in(&self) -> u64 {
        self.expires_at.saturating_sub(self.token.now)
    }

    /// Returns true if the refresh token goes into a cookie.
    pub(crate) fn by_cookie(&self) -> bool {
        self.pending.by_cookie
    }
}

/// A proof as the user gives it.
pub(crate) enum Given {
    /// A code of an authenticator app.
    Code(Zeroizing<String>),
    RecoveryCode(Zeroizing<String>),
    Passkey(PasskeyAnswer),
}

impl Given {
    fn factor(&self) -> SecondFactor {
        match self {
            Self::Code(_) => SecondFactor::Totp,
            Self::RecoveryCode(_) => SecondFactor::RecoveryCode,
            Self::Passkey(_) => SecondFactor::Passkey,
        }
    }
}

impl Issuer {
    /// Returns true if the password alone opens no session of the user.
    pub(super) fn needs_second_factor(&self, user: &User) -> bool {
        !user.factors.is_empty() || self.config.second_factor.asks(&user.scope)
    }

    /// Makes a token for a login whose password was right, and takes its failure back. The other failures
    /// of the account stay.
    pub(super) async fn ask_second_factor(
        &self,
        user: &User,
        pending: &Pending,
        failure: ProvisionalFailure,
        now: u64,
    ) -> Result<Asked, ServiceError> {
        let asked = self.add_token(user, pending, now).await;
        // The password was right.
        if self.store.take_back(failure.clone()).await.is_err() {
            self.take_backs.add(TakeBack::Counted(failure));
        }
        self.metrics.logins.second_factor.inc();
        asked
    }

    async fn add_token(
        &self,
        user: &User,
        pending: &Pending,
        now: u64,
    ) -> Result<Asked, ServiceError> {
        let stored = self.store.factors(user.id.clone()).await?;
        let methods = self.methods(user, pending, &stored);
        let (asked, token) = new_token(user, pending, methods, now + pending::WITHIN, now)?;
        self.store.add_one_time_token(token, Actor::default()).await?;
        Ok(asked)
    }

    /// Returns the names of the proofs that the user can give.
    fn methods(&self, user: &User, pending: &Pending, stored: &StoredFactors) -> Vec<&'static str> {
        if pending.is_enrolment {
            return vec![ENROLMENT];
        }
        let Factors { totp, passkeys } = user.factors;
        let methods = [
            totp.then_some(SecondFactor::Totp),
            (stored.recovery_codes > 0).then_some(SecondFactor::RecoveryCode),
            (passkeys && self.relying_party.is_some()).then_some(SecondFactor::Passkey),
        ];
        methods.into_iter().flatten().map(SecondFactor::name).collect()
    }

    /// Returns the login that waits with this token.
    pub(crate) async fn pending_login(
        &self,
        mfa_token: &str,
        client: IpAddr,
    ) -> Result<PendingLogin, ServiceError> {
        self.limit_logins(client)?;
        self.require_issuing().await?;
        let now = self.clock_guard.latest_time();
        let token = TokenUse::new(mfa_token, Purpose::SecondFactor, now)?;
        let found = self.store.one_time_token(token.hash, token.purpose, now).await?;
        let found = found.ok_or(ServiceError::InvalidMfaToken)?;
        let pending = Pending::decode(&found.data).ok_or(ServiceError::InvalidMfaToken)?;
        let user_id = found.user_id.ok_or(ServiceError::InvalidMfaToken)?;
        Ok(PendingLogin { token, user_id, expires_at: found.expires_at, pending })
    }

    /// Makes a TOTP secret for a login whose user has to set up a second factor. Its first code completes
    /// the login.
    pub(crate) async fn enrol(
        &self,
        login: &PendingLogin,
        client: IpAddr,
    ) -> Result<TotpSecret, ServiceError> {
        if !login.pending.is_enrolment {
            let line = "this login needs no new authenticator app; send its code to \
                        /login/second-factor";
            return Err(ServiceError::Refused(line.to_owned()));
        }
        let user = self.store.user_with_id(login.user_id.clone()).await?;
        let user = user.filter(|user| !user.locked).ok_or(ServiceError::InvalidMfaToken)?;
        self.new_totp(&user, None, client).await
    }

    /// Completes a login by a second factor. Like a login with a password, it runs to its end if the
    /// client goes away.
    pub(crate) async fn second_step(
        self: &Arc<Self>,
        login: PendingLogin,
        given: Given,
        caller: Caller,
    ) -> Result<LoggedIn, ServiceError> {
        let user = self.store.user_with_id(login.user_id.clone()).await?;
        let user = user.ok_or(ServiceError::InvalidMfaToken)?;
        let issuer = Arc::clone(self);
        to_its_end(async move { issuer.try_proof(login, user, given, caller).await }).await
    }

    /// Counts the attempt, checks the proof and takes the last step.
    async fn try_proof(
        &self,
        PendingLogin { token, user_id: _, expires_at, pending }: PendingLogin,
        user: User,
        given: Given,
        caller: Caller,
    ) -> Result<LoggedIn, ServiceError> {
        let login = self.of_user(user.clone(), caller);
        let failure = self.count_attempt(&login).await?;
        let (now, factor) = (self.clock.now(), given.factor());
        let prepared = self.prepare(&user, &pending, &token, given, expires_at, now).await;
        let prepared = prepared.inspect_err(|_| {
            self.take_backs.add(TakeBack::Counted(failure.clone()));
        })?;
        let Prepared { proof, codes, retry, retry_token } = prepared;
        let authentication = Authentication::by_password_and(factor, now);
        let goal = match pending.session {
            Some(session) => Goal::Again { session, authentication },
            None => Goal::Open {
                session: Box::new(self.new_session(&user, authentication, &login.caller)?),
                candidates: self.candidates()?,
            },
        };
        let step = LastStep {
            user_id: user.id.clone(),
            password_version: Some(pending.password_version),
            token: Some(token),
            proof,
            goal,
            failure: Some(failure),
            retry: Some(retry_token),
            network: self.network(login.caller.address),
            now,
        };
        match self.take_last_step(step).await? {
            Finished::Done(session) => {
                let logged_in = self.logged_in(&login, &user, &session, &pending, now)?;
                Ok(LoggedIn { recovery_codes: codes, ..logged_in })
            }
            Finished::Wrong => {
                let client = login.caller.address;
                self.count_failure(Event::SecondFactorFailed, client, Some(&user));
                Err(ServiceError::SecondFactorWrong(retry))
            }
            Finished::Refused => Err(ServiceError::InvalidMfaToken),
        }
    }

    /// Takes the last step of an authentication. A step that says nothing about the proof takes its
    /// failure back.
    pub(super) async fn take_last_step(&self, step: LastStep) -> Result<Finished, ServiceError> {
        let (failure, is_wrong) = (step.failure.clone(), matches!(step.proof, Proof::Wrong));
        let finished = self.store.finish(step).await.map_err(ServiceError::from);
        let says_nothing = match &finished {
            Ok(finished) => *finished == Finished::Refused,
            Err(_) => !is_wrong,
        };
        if says_nothing && let Some(failure) = failure {
            self.take_backs.add_after(&finished, failure);
        }
        finished
    }

    pub(super) fn logged_in(
        &self,
        login: &Login,
        user: &User,
        session: &Session,
        pending: &Pending,
        now: u64,
    ) -> Result<LoggedIn, ServiceError> {
        if pending.session.is_some() {
            let grant = self.grant_again(session, now)?;
            return Ok(LoggedIn { grant, device: None, recovery_codes: Vec::new() });
        }
        let approved = self.approve_for_session(&Requested::default())?;
        let grant = self.grant_session(session, &approved, false, now)?;
        self.metrics.logins.ok.inc();
        let keeps_cookies = pending.by_cookie || login.caller.device.is_some();
        let device = keeps_cookies.then(|| self.device_cookie(&login.account, user, now));
        Ok(LoggedIn { grant, device, recovery_codes: Vec::new() })
    }

    /// Checks the proof as far as that is possible without a transaction, and makes the token for another
    /// try.
    async fn prepare(
        &self,
        user: &User,
        pending: &Pending,
        token: &TokenUse,
        given: Given,
        expires_at: u64,
        now: u64,
    ) -> Result<Prepared, ServiceError> {
        let stored = self.store.factors(user.id.clone()).await?;
        let (proof, codes) = match given {
            Given::Code(code) if pending.is_enrolment => {
                self.check_new_code(user, &stored, &code, now)?
            }
            Given::Code(code) => (self.check_code(user, &stored, &code, now)?, Vec::new()),
            Given::RecoveryCode(code) => {
                (Proof::RecoveryCode(recovery::hash(&user.id, &code)), Vec::new())
            }
            Given::Passkey(answer) => {
                (self.check_second_passkey(user, token, answer).await?, Vec::new())
            }
        };
        let methods = self.methods(user, pending, &stored);
        let (retry, retry_token) = new_token(user, pending, methods, expires_at, now)?;
        Ok(Prepared { proof, codes, retry, retry_token })
    }

    /// Checks a code of the user's authenticator app.
    fn check_code(
        &self,
        user: &User,
        stored: &StoredFactors,
        code: &str,
        now: u64,
    ) -> Result<Proof, ServiceError> {
        let totp = stored.totp.as_ref().filter(|totp| totp.confirmed_at.is_some());
        let Some(totp) = totp else { return Ok(Proof::Wrong) };
        let step = self.open_totp(&user.id, totp)?.step_of(code, now, totp.last_step);
        let right = |step| Proof::Totp { sealed: totp.sealed.clone(), step };
        Ok(step.map_or(Proof::Wrong, right))
    }

    /// Checks the first code of an app that a login sets up. Returns the recovery codes that go with it.
    fn check_new_code(
        &self,
        user: &User,
        stored: &StoredFactors,
        code: &str,
        now: u64,
    ) -> Result<(Proof, Vec<Zeroizing<String>>), ServiceError> {
        let totp = stored.totp.as_ref().filter(|totp| totp.is_open(now));
        let Some(totp) = totp else { return Ok((Proof::Wrong, Vec::new())) };
        let step = self.open_totp(&user.id, totp)?.step_of(code, now, totp::NO_STEP);
        let Some(step) = step else { return Ok((Proof::Wrong, Vec::new())) };
        let NewCodes { codes, hashes } = NewCodes::random(&user.id)?;
        let sealed = totp.sealed.clone();
        Ok((Proof::NewTotp(NewTotp { sealed, step, codes: hashes }), codes))
    }

    /// Opens a sealed TOTP secret.
    pub(super) fn open_totp(
        &self,
        user_id: &str,
        totp: &StoredTotp,
    ) -> Result<totp::Secret, ServiceError> {
        let opened = self.totp_sealer.open(&totp.sealed, user_id);
        let secret = opened.and_then(|plain| totp::Secret::of(&plain));
        Ok(secret.ok_or_else(crypto::broken)?)
    }

    /// Refuses a request whose session's user has not authenticated lately, or by the password alone
    /// although they have a second factor.
    pub(crate) fn require_fresh(&self, signed_in: &SignedIn) -> Result<(), ServiceError> {
        let now = self.clock_guard.latest_time();
        if signed_in.has_shown_its_factors()
            && signed_in.session.authentication.is_within(FRESH_WITHIN, now)
        {
            return Ok(());
        }
        Err(ServiceError::InsufficientAuthentication { max_age: FRESH_WITHIN })
    }
}

/// The seconds after an authentication in which the user may change second factors.
const FRESH_WITHIN: u64 = 10 * 60;

/// A proof on its way to the store.
struct Prepared {
    proof: Proof,
    /// The recovery codes that a right proof sets.
    codes: Vec<Zeroizing<String>>,
    /// The answer to a wrong proof.
    retry: Asked,
    retry_token: OneTimeToken,
}

/// Returns a new token of a login, as the client and as the store gets it.
fn new_token(
    user: &User,
    pending: &Pending,
    methods: Vec<&'static str>,
    expires_at: u64,
    now: u64,
) -> Result<(Asked, OneTimeToken), Error> {
    let (mfa_token, hash) = one_time::random()?;
    let stored = OneTimeToken {
        hash,
        purpose: Purpose::SecondFactor,
        user_id: Some(user.id.clone()),
        data: pending.encode(),
        created_at: now,
        expires_at,
    };
    let expires_in = expires_at.saturating_sub(now);
    Ok((Asked { mfa_token, expires_in, methods }, stored))
}
