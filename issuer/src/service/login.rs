//! Logins with a user's name and password. Every way to fail takes the work of one password hash, and
//! has the same error, except that the right password is told from the others if it has expired.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::hasher::Turn;
use super::take_backs::TakeBack;
use super::{Grant, Issuer, Requested, ServiceError};
use crate::audit::Event;
use crate::login::counters::Account;
use crate::login::fair_queue::Origin;
use crate::login::throttle::{Attempt, Counter, ProvisionalFailure, Verdict};
use crate::login::user_name;
use crate::network::network_of;
use crate::session::{Authentication, Device, Session};
use crate::users::User;
use crate::{Error, crypto};

/// A login that a client asks for.
pub(crate) struct LoginRequest {
    /// As it was typed.
    pub(crate) user_name: String,
    pub(crate) password: Zeroizing<String>,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The client's program, as it is shown to the user.
    pub(crate) user_agent: Option<String>,
    /// The cookie of a device that has logged in before.
    pub(crate) device: Option<String>,
    /// The client keeps cookies: give its device a new one.
    pub(crate) keeps_cookies: bool,
}

/// A successful login.
pub(crate) struct LoggedIn {
    pub(crate) grant: Grant,
    /// The new cookie of the device.
    pub(crate) device: Option<String>,
}

/// A login with what is known about its name before the password is checked.
pub(super) struct Login {
    pub(super) request: LoginRequest,
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
        Origin { client: self.request.client, device: self.device }
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
        self.limit_logins(request.client)?;
        self.require_issuing().await?;
        let login = self.look_up(request).await?;
        let turn = self.turn(login.origin()).await?;
        let issuer = Arc::clone(self);
        to_its_end(async move { issuer.try_password(login, turn).await }).await
    }

    /// Counts a login of this network. Refuses it if there were too many.
    pub(super) fn limit_logins(&self, client: IpAddr) -> Result<(), ServiceError> {
        self.login_limit.check(&network_of(client)).map_err(|wait| {
            self.metrics.logins.limited.inc();
            ServiceError::TooManyLogins(wait)
        })
    }

    /// Looks up the user, and checks the cookie of the device.
    pub(super) async fn look_up(&self, request: LoginRequest) -> Result<Login, ServiceError> {
        let name = user_name::normalise(&request.user_name);
        // An impossible name is counted as it was typed.
        let account = self.counters.account(name.as_deref().unwrap_or(&request.user_name));
        let user = match name {
            Some(name) => self.store.user(name).await?,
            None => None,
        };
        let password_version = user.as_ref().map_or(0, |user| user.password_version);
        let unlocked_at = user.as_ref().map_or(0, |user| user.unlocked_at);
        let everywhere = self.counters.everywhere(&account, unlocked_at);
        let now = self.clock.now();
        let is_known = |cookie| self.counters.is_known(&account, password_version, cookie, now);
        let is_known = request.device.as_deref().is_some_and(is_known);
        let device = is_known.then(|| self.counters.devices(&everywhere));
        Ok(Login { request, account, everywhere, user, device })
    }

    /// Waits for the turn to compute one password hash. Refuses if too many logins wait for one.
    pub(super) async fn turn(&self, origin: Origin) -> Result<Turn, ServiceError> {
        self.hasher.turn(origin).await.map_err(|_| {
            self.metrics.logins.queue_full.inc();
            ServiceError::HashQueueFull
        })
    }

    /// Counts the attempt, checks the password and opens the session.
    async fn try_password(&self, login: Login, turn: Turn) -> Result<LoggedIn, ServiceError> {
        let provisional = self.count_attempt(&login).await?;
        let Login { request, account, user, .. } = login;
        let mut user = self.authenticate(turn, &request, user).await?;
        // Who knows the password may wait like a known device.
        let origin = Origin { client: request.client, device: Some(account.0) };
        let now = self.clock.now();
        let opened = self.open_session(&request, &mut user, origin, &provisional, now).await;
        let session = opened.inspect_err(|_| {
            // The password was right.
            self.take_backs.add(TakeBack::Counted(provisional));
        })?;
        let Some(session) = session else {
            self.count_failure(Event::LoginFailed, &request, Some(&user));
            return Err(ServiceError::LoginFailed);
        };
        self.metrics.logins.ok.inc();
        let cookie = || self.counters.cookie(&account, user.password_version, now);
        let device = request.keeps_cookies.then(cookie);
        let own = user.claims.clone();
        self.rehash(&request, user, origin, now).await;
        let approved = self.approve_for_session(&Requested::default())?;
        let grant = self.grant_session(&session, &own, &approved, now)?;
        Ok(LoggedIn { grant, device })
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
            network: self.counters.network(&login.everywhere, login.request.client),
            device: login.device,
            id: crypto::random()?,
            now: self.clock.now(),
        };
        let verdict = self.store.attempt(attempt.clone()).await;
        match verdict.inspect_err(|_| self.take_backs.add(TakeBack::MayBeCounted(attempt)))? {
            Verdict::Admit(provisional) => Ok(provisional),
            Verdict::Refuse(wait) => {
                self.count_failure(Event::LoginHeldBack, &login.request, login.user.as_ref());
                Err(ServiceError::TooManyLogins(Duration::from_secs(wait)))
            }
        }
    }

    /// Checks the password, and only then if the user is locked or the password has expired: that
    /// costs a hash too.
    pub(super) async fn authenticate(
        &self,
        turn: Turn,
        request: &LoginRequest,
        user: Option<User>,
    ) -> Result<User, ServiceError> {
        let stored = user.as_ref().map(User::hash);
        let matches = self.hasher.verify(turn, &request.password, stored).await;
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
        self.count_failure(event, request, user.as_ref());
        Err(error)
    }

    /// Counts a failed login for the metrics and the audit log.
    fn count_failure(&self, event: Event, request: &LoginRequest, user: Option<&User>) {
        let results = &self.metrics.logins;
        match event {
            Event::LoginLocked => &results.locked,
            Event::LoginExpired => &results.expired,
            Event::LoginHeldBack => &results.held_back,
            _ => &results.wrong,
        }
        .inc();
        let user_id = user.map(|user| user.id.as_str());
        self.failed_logins.add(event, user_id, request.client, self.clock.now());
    }

    /// Opens the session, unless the password was changed after it was checked: then returns `None`.
    /// If another login of the same user has replaced the hash meanwhile, reads the user again into
    /// `user` and checks the password against the new hash.
    async fn open_session(
        &self,
        request: &LoginRequest,
        user: &mut User,
        origin: Origin,
        provisional: &ProvisionalFailure,
        now: u64,
    ) -> Result<Option<Session>, ServiceError> {
        let session = Session {
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
            authentication: Authentication::by_password(now),
            device: Device {
                network: self.network(request.client).surroundings(),
                user_agent: request.user_agent.clone(),
            },
        };
        let open = |hash: String, candidates| {
            let (session, provisional) = (session.clone(), Some(provisional.clone()));
            let network = self.network(request.client);
            self.store.open_session(session, hash, network, provisional, candidates)
        };
        let mut opened = open(user.password_hash.clone(), self.candidates()?).await?;
        if opened.is_none()
            && self.hasher.is_outdated(&user.password_hash)
            && let Some(again) = self.store.user(user.name.clone()).await?
        {
            let turn = self.turn(origin).await?;
            if self.hasher.verify(turn, &request.password, Some(&again.password_hash)).await {
                opened = open(again.password_hash.clone(), self.candidates()?).await?;
            }
            *user = again;
        }
        Ok(opened)
    }

    /// Replaces a hash of another cost than that of new hashes. The login succeeds without it too,
    /// and the next one tries again.
    async fn rehash(&self, request: &LoginRequest, user: User, origin: Origin, now: u64) {
        if self.hasher.is_outdated(&user.password_hash)
            && let Ok(turn) = self.hasher.turn(origin).await
            && let Some(hash) = self.hasher.hash(turn, &request.password).await
            && let Err(e) = self.store.replace_hash(user.id, user.password_hash, hash, now).await
        {
            tracing::warn!("a password's hash stays as it was: {e}");
        }
    }
}
