//! Logins with a user's name and password. Every way to fail takes the work of one password hash, and
//! has the same error, except that the right password is told from the others if it has expired, or if
//! the user needs a second factor. [`super::second_factor`] has the step after that.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::hasher::Turn;
use super::take_backs::TakeBack;
use super::{Grant, Issuer, Requested, ServiceError};
use crate::audit::Event;
use crate::authentication::Authentication;
use crate::custom_claims::CustomClaims;
use crate::login::counters::Account;
use crate::login::fair_queue::Origin;
use crate::login::throttle::{Attempt, Counter, ProvisionalFailure, Verdict};
use crate::login::user_name;
use crate::network::network_of;
use crate::second_factor::pending::Pending;
use crate::session::{Device, Session};
use crate::users::User;
use crate::{Error, crypto};

/// A login that a client asks for.
pub(crate) struct LoginRequest {
    /// As it was typed.
    pub(crate) user_name: String,
    pub(crate) password: Zeroizing<String>,
    /// The refresh token goes into a cookie.
    pub(crate) by_cookie: bool,
    pub(crate) caller: Caller,
}

/// The client of a request with a proof of who its user is.
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    /// The client's program, as it is shown to the user.
    pub(crate) user_agent: Option<String>,
    /// The cookie of a device that has logged in before.
    pub(crate) device: Option<String>,
}

/// A successful login.
pub(crate) struct LoggedIn {
    pub(crate) grant: Grant,
    /// The new cookie of the device, for clients that keep cookies.
    pub(crate) device: Option<String>,
    /// New recovery codes, if the login has set up the first second factor.
    pub(crate) recovery_codes: Vec<Zeroizing<String>>,
}

/// A login with what is known about its name before the proof is checked.
pub(super) struct Login {
    pub(super) caller: Caller,
    pub(super) account: Account,
    /// The counter of the account from all unknown devices.
    everywhere: Counter,
    /// `None` for a name that no user has.
    pub(super) user: Option<User>,
    /// The counter of the account's known devices, if the login comes from one of them.
    device: Option<Counter>,
}

impl Login {
    pub(super) fn origin(&self) -> Origin {
        Origin { client: self.caller.address, device: self.device }
    }

    /// Who knows the password may wait like a known device.
    pub(super) fn origin_with_password(&self) -> Origin {
        Origin { client: self.caller.address, device: Some(self.account.0) }
    }
}

/// Runs the rest of a login, also if its client goes away.
pub(super) async fn to_its_end<T: Send + 'static>(
    rest: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
) -> Result<T, ServiceError> {
    let ended = tokio::spawn(rest.in_current_span()).await;
    ended.map_err(|_| Error::System("a login ended early".to_owned()))?
}

impl Issuer {
    /// Opens a session for a user with the right password.
    ///
    /// If the client goes away while the login waits for its turn, nothing has happened. After that,
    /// the login runs to its end without the client: otherwise guesses could be tried without being
    /// counted, or right passwords be counted as failures.
    pub(crate) async fn login(
        self: &Arc<Self>,
        request: LoginRequest,
    ) -> Result<LoggedIn, ServiceError> {
        let LoginRequest { user_name, password, by_cookie, caller } = request;
        self.limit_logins(caller.address)?;
        self.require_issuing().await?;
        let login = self.look_up(&user_name, caller).await?;
        let turn = self.turn(login.origin()).await?;
        let issuer = Arc::clone(self);
        to_its_end(async move { issuer.try_password(login, &password, by_cookie, turn).await })
            .await
    }

    /// Counts a login of this network. Refuses it if there were too many.
    pub(super) fn limit_logins(&self, client: IpAddr) -> Result<(), ServiceError> {
        self.login_limit.check(&network_of(client)).map_err(|wait| {
            self.metrics.logins.limited.inc();
            ServiceError::TooManyLogins(wait)
        })
    }

    /// Looks up the user, and checks the cookie of the device.
    pub(super) async fn look_up(
        &self,
        user_name: &str,
        caller: Caller,
    ) -> Result<Login, ServiceError> {
        let name = user_name::normalise(user_name);
        // An impossible name is counted as it was typed.
        let account = self.counters.account(name.as_deref().unwrap_or(user_name));
        let user = match name {
            Some(name) => self.store.user(name).await?,
            None => None,
        };
        Ok(self.of_account(account, user, caller))
    }

    /// Checks the cookie of the device of a user who is known.
    pub(super) fn of_user(&self, user: User, caller: Caller) -> Login {
        self.of_account(self.counters.account(&user.name), Some(user), caller)
    }

    fn of_account(&self, account: Account, user: Option<User>, caller: Caller) -> Login {
        let password_version = user.as_ref().map_or(0, |user| user.password_version);
        let unlocked_at = user.as_ref().map_or(0, |user| user.unlocked_at);
        let everywhere = self.counters.everywhere(&account, unlocked_at);
        let now = self.clock.now();
        let is_known = |cookie| self.counters.is_known(&account, password_version, cookie, now);
        let is_known = caller.device.as_deref().is_some_and(is_known);
        let device = is_known.then(|| self.counters.devices(&everywhere));
        Login { caller, account, everywhere, user, device }
    }

    /// Waits for the turn to compute one password hash. Refuses if too many logins wait for one.
    pub(super) async fn turn(&self, origin: Origin) -> Result<Turn, ServiceError> {
        self.hasher.turn(origin).await.map_err(|_| {
            self.metrics.logins.queue_full.inc();
            ServiceError::HashQueueFull
        })
    }

    /// Counts the attempt, checks the password and opens the session, or asks for the second factor.
    async fn try_password(
        &self,
        mut login: Login,
        password: &Zeroizing<String>,
        by_cookie: bool,
        turn: Turn,
    ) -> Result<LoggedIn, ServiceError> {
        let provisional = self.count_attempt(&login).await?;
        let user = login.user.take();
        let mut user = self.authenticate(turn, password, &login.caller, user).await?;
        let (origin, now) = (login.origin_with_password(), self.clock.now());
        if self.needs_second_factor(&user) {
            let pending = Pending::after_password(&user, by_cookie, None);
            let asked = self.ask_second_factor(&user, &pending, provisional, now).await?;
            self.rehash(password, user, origin, now).await;
            return Err(ServiceError::SecondFactorNeeded(asked));
        }
        let Login { caller, account, .. } = login;
        let opened =
            self.open_session(password, &caller, &mut user, origin, &provisional, now).await;
        if opened.is_err() {
            // The password was right.
            self.take_backs.add_after(&opened, provisional);
        }
        let Some(session) = opened? else {
            self.count_failure(Event::LoginFailed, caller.address, Some(&user));
            return Err(ServiceError::LoginFailed);
        };
        self.metrics.logins.ok.inc();
        let keeps_cookies = by_cookie || caller.device.is_some();
        let device = keeps_cookies.then(|| self.device_cookie(&account, &user, now));
        self.rehash(password, user, origin, now).await;
        let approved = self.approve_for_session(&Requested::default())?;
        let grant = self.grant_session(&session, &approved, false, now)?;
        Ok(LoggedIn { grant, device, recovery_codes: Vec::new() })
    }

    /// Returns the new cookie of a device that has logged in.
    pub(super) fn device_cookie(&self, account: &Account, user: &User, now: u64) -> String {
        self.counters.cookie(account, user.password_version, now)
    }

    /// Counts the attempt as a failure before its password is checked, so that simultaneous attempts
    /// cannot exceed the limit. Refuses it without a hash if there were too many, also for a name
    /// that no user has.
    pub(super) async fn count_attempt(
        &self,
        login: &Login,
    ) -> Result<ProvisionalFailure, ServiceError> {
        let attempt = Attempt {
            account: login.everywhere,
            network: self.counters.network(&login.everywhere, login.caller.address),
            device: login.device,
            id: crypto::random()?,
            now: self.clock.now(),
        };
        let verdict = self.store.attempt(attempt.clone()).await;
        match verdict.inspect_err(|_| self.take_backs.add(TakeBack::MayBeCounted(attempt)))? {
            Verdict::Admit(provisional) => Ok(provisional),
            Verdict::Refuse(wait) => {
                let (client, user) = (login.caller.address, login.user.as_ref());
                self.count_failure(Event::LoginHeldBack, client, user);
                Err(ServiceError::TooManyLogins(Duration::from_secs(wait)))
            }
        }
    }

    /// Checks the password, and only then if the user is locked or the password has expired: that
    /// costs a hash too.
    pub(super) async fn authenticate(
        &self,
        turn: Turn,
        password: &Zeroizing<String>,
        caller: &Caller,
        user: Option<User>,
    ) -> Result<User, ServiceError> {
        let stored = user.as_ref().map(User::hash);
        let matches = self.hasher.verify(turn, password, stored).await;
        let (event, error) = match user {
            Some(user) if matches && !user.locked && !user.has_expired_password() => {
                return Ok(user);
            }
            Some(User { locked: true, .. }) if matches => {
                (Event::LoginLocked, ServiceError::LoginFailed)
            }
            Some(_) if matches => (Event::LoginExpired, ServiceError::PasswordExpired),
            _ => (Event::LoginFailed, ServiceError::LoginFailed),
        };
        self.count_failure(event, caller.address, user.as_ref());
        Err(error)
    }

    /// Counts a failed login for the metrics and the audit log.
    pub(super) fn count_failure(&self, event: Event, client: IpAddr, user: Option<&User>) {
        let results = &self.metrics.logins;
        match event {
            Event::LoginLocked => &results.locked,
            Event::LoginExpired => &results.expired,
            Event::LoginHeldBack => &results.held_back,
            Event::SecondFactorFailed => &results.second_factor_wrong,
            _ => &results.wrong,
        }
        .inc();
        let user_id = user.map(|user| user.id.as_str());
        self.failed_logins.add(event, user_id, client, self.clock.now());
    }

    /// Opens the session, unless the password was changed after it was checked, or the scope or the first
    /// second factor of the user meanwhile: then returns `None`.
    /// If another login of the same user has replaced the hash meanwhile, reads the user again into
    /// `user` and checks the password against the new hash.
    async fn open_session(
        &self,
        password: &Zeroizing<String>,
        caller: &Caller,
        user: &mut User,
        origin: Origin,
        provisional: &ProvisionalFailure,
        now: u64,
    ) -> Result<Option<Session>, ServiceError> {
        let session = self.new_session(user, Authentication::by_password(now), caller)?;
        let open = |hash: String, candidates| {
            let (session, provisional) = (session.clone(), Some(provisional.clone()));
            let network = self.network(caller.address);
            self.store.open_session(session, hash, network, provisional, candidates)
        };
        let mut opened = open(user.password_hash.clone(), self.candidates()?).await?;
        if opened.is_none()
            && self.hasher.is_outdated(&user.password_hash)
            && let Some(again) = self.store.user(user.name.clone()).await?
        {
            let turn = self.turn(origin).await?;
            if self.hasher.verify(turn, password, Some(&again.password_hash)).await {
                opened = open(again.password_hash.clone(), self.candidates()?).await?;
            }
            *user = again;
        }
        Ok(opened)
    }

    /// Returns a session for a user at the time of the authentication.
    pub(super) fn new_session(
        &self,
        user: &User,
        authentication: Authentication,
        caller: &Caller,
    ) -> Result<Session, Error> {
        let now = authentication.at;
        Ok(Session {
            id: crypto::random()?,
            user_id: user.id.clone(),
            client_id: self.config.client_id.clone(),
            scope: user.scope.clone(),
            counter: 0,
            created_at: now,
            rotated_at: now,
            expires_at: self.lifetimes().expiry(now, now),
            revoked: false,
            status: None,
            repeat_audited: None,
            authentication,
            device: Device {
                network: self.network(caller.address).surroundings(),
                user_agent: caller.user_agent.clone(),
            },
            // The store copies the user's.
            claims: CustomClaims::default(),
        })
    }

    /// Replaces a hash of another cost than that of new hashes. The login succeeds without it too,
    /// and the next one tries again.
    pub(super) async fn rehash(
        &self,
        password: &Zeroizing<String>,
        user: User,
        origin: Origin,
        now: u64,
    ) {
        if self.hasher.is_outdated(&user.password_hash)
            && let Ok(turn) = self.hasher.turn(origin).await
            && let Some(hash) = self.hasher.hash(turn, password).await
            && let Err(e) = self.store.replace_hash(user.id, user.password_hash, hash, now).await
        {
            tracing::warn!("a password's hash stays as it was: {e}");
        }
    }
}
