//! Logins with a user's name and password. Every way to fail has the same error, after the work of
//! one password hash.

use std::net::IpAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::hasher::Permit;
use super::{Grant, Issuer, ServiceError};
use crate::crypto;
use crate::login::throttle::{Attempt, Counter, ProvisionalFailure, Verdict};
use crate::login::user_name;
use crate::session::Session;
use crate::users::User;

/// A login that a client asks for.
pub(crate) struct LoginRequest<'a> {
    /// As it was typed.
    pub(crate) user_name: &'a str,
    pub(crate) password: &'a Zeroizing<String>,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The cookie of a device that has logged in before.
    pub(crate) device: Option<&'a str>,
    /// The client keeps cookies: give its device a new one.
    pub(crate) keeps_cookies: bool,
}

/// A successful login.
pub(crate) struct LoggedIn {
    pub(crate) grant: Grant,
    /// The new cookie of the device.
    pub(crate) device: Option<String>,
}

/// A user who has shown the right password.
struct Authenticated {
    user: User,
    account: Counter,
    /// The failure that the attempt counts as until the session is open.
    provisional: ProvisionalFailure,
}

impl Issuer {
    /// Opens a session for a user with the right password.
    pub(crate) async fn login(&self, request: &LoginRequest<'_>) -> Result<LoggedIn, ServiceError> {
        self.login_limit.check(request.client).map_err(|wait| {
            self.metrics.logins.limited.inc();
            ServiceError::TooManyLogins(wait)
        })?;
        self.require_issuing()?;
        let Authenticated { mut user, account, provisional } = self.authenticate(request).await?;
        let now = self.clock.now();
        let session = self.open_session(request, &mut user, provisional, now).await?;
        self.metrics.logins.ok.inc();
        let cookie = || self.counters.cookie(&account, user.password_version, now);
        let device = request.keeps_cookies.then(cookie);
        self.rehash(request, user, now).await;
        let grant = self.grant_session(&session, None, now)?;
        Ok(LoggedIn { grant, device })
    }

    /// Checks the password, and the lock only after it: a locked user costs a hash too.
    async fn authenticate(
        &self,
        request: &LoginRequest<'_>,
    ) -> Result<Authenticated, ServiceError> {
        // Before the attempt is counted: no password is tried if the queue is full.
        let permit = self.hash_permit()?;
        let name = user_name::normalise(request.user_name);
        // An impossible name is counted as it was typed.
        let account = self.counters.account(name.as_deref().unwrap_or(request.user_name));
        let user = match name {
            Some(name) => self.store.user(name).await?,
            None => None,
        };
        let password_version = user.as_ref().map_or(0, |user| user.password_version);
        let provisional = self.count_attempt(request, account, password_version).await?;
        let stored = user.as_ref().map(|user| user.password_hash.as_str());
        let matches = self.hasher.verify(permit, request.password, stored).await;
        let Some(user) = user.filter(|_| matches) else {
            self.metrics.logins.wrong.inc();
            return Err(ServiceError::LoginFailed);
        };
        if user.locked {
            self.metrics.logins.locked.inc();
            return Err(ServiceError::LoginFailed);
        }
        Ok(Authenticated { user, account, provisional })
    }

    /// Returns a permit for one password hash. Refuses if too many logins wait for one.
    fn hash_permit(&self) -> Result<Permit, ServiceError> {
        self.hasher.admit().map_err(|_| {
            self.metrics.logins.queue_full.inc();
            ServiceError::HashQueueFull
        })
    }

    /// Counts the attempt as a failure before its password is checked, so that simultaneous attempts
    /// cannot exceed the limit. Refuses it without a hash if there were too many, also for a name
    /// that no user has.
    async fn count_attempt(
        &self,
        request: &LoginRequest<'_>,
        account: Counter,
        password_version: u64,
    ) -> Result<ProvisionalFailure, ServiceError> {
        let now = self.clock.now();
        let devices = |cookie| self.counters.devices(&account, password_version, cookie, now);
        let attempt = Attempt {
            account,
            network: self.counters.network(&account, request.client),
            device: request.device.and_then(devices),
            id: crypto::random()?,
            now,
        };
        match self.store.attempt(attempt).await? {
            Verdict::Admit(provisional) => Ok(provisional),
            Verdict::Refuse(wait) => {
                self.metrics.logins.held_back.inc();
                Err(ServiceError::TooManyLogins(Duration::from_secs(wait)))
            }
        }
    }

    /// Opens the session, unless the password was changed after it was checked. If another login of
    /// the same user has replaced the hash meanwhile, reads the user again into `user` and checks the
    /// password against the new hash.
    async fn open_session(
        &self,
        request: &LoginRequest<'_>,
        user: &mut User,
        provisional: ProvisionalFailure,
        now: u64,
    ) -> Result<Session, ServiceError> {
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
        };
        let open = |hash: String, candidates| {
            self.store.open_session(session.clone(), hash, Some(provisional.clone()), candidates)
        };
        let mut opened = open(user.password_hash.clone(), self.candidates()?).await?;
        if opened.is_none()
            && self.hasher.is_outdated(&user.password_hash)
            && let Some(again) = self.store.user(user.name.clone()).await?
        {
            let permit = self.hash_permit()?;
            if self.hasher.verify(permit, request.password, Some(&again.password_hash)).await {
                opened = open(again.password_hash.clone(), self.candidates()?).await?;
            }
            *user = again;
        }
        opened.ok_or_else(|| {
            self.metrics.logins.wrong.inc();
            ServiceError::LoginFailed
        })
    }

    /// Replaces a hash of another cost than that of new hashes. The login succeeds without it too,
    /// and the next one tries again.
    async fn rehash(&self, request: &LoginRequest<'_>, user: User, now: u64) {
        if self.hasher.is_outdated(&user.password_hash)
            && let Some(hash) = self.hasher.hash(request.password).await
            && let Err(e) = self.store.replace_hash(user.id, user.password_hash, hash, now).await
        {
            tracing::warn!("a password's hash stays as it was: {e}");
        }
    }
}
