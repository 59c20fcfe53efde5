//! New passwords that users set themselves: with the current one, or with a token for a reset.

use std::net::IpAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::hasher::Turn;
use super::login::{Login, to_its_end};
use super::{Caller, Issuer, ServiceError, SignedIn};
use crate::audit::Actor;
use crate::login::fair_queue::Origin;
use crate::login::new_password::{NewPassword, Proof};
use crate::login::password;
use crate::one_time::{self, OneTimeToken, Purpose, TokenUse};
use crate::session::SessionId;
use crate::store::Store;
use crate::users::User;
use crate::{Error, crypto};

/// The seconds in which a token for a reset can be used.
pub(crate) const RESET_WITHIN: u64 = 60 * 60;

/// A token with which a user sets a new password. It is not stored, only its hash.
pub(crate) struct ResetToken {
    pub(crate) token: Zeroizing<String>,
    pub(crate) expires_at: u64,
}

/// Makes a token for a user, who may have several of them. The password stays until one is used.
pub(crate) async fn begin_password_reset(
    store: &dyn Store,
    user: &User,
    by: Actor,
    now: u64,
) -> Result<ResetToken, Error> {
    let (token, hash) = one_time::random()?;
    let expires_at = now + RESET_WITHIN;
    let stored = OneTimeToken {
        hash,
        purpose: Purpose::PasswordReset,
        user_id: Some(user.id.clone()),
        data: Vec::new(),
        created_at: now,
        expires_at,
    };
    store.add_one_time_token(stored, by).await?;
    Ok(ResetToken { token, expires_at })
}

/// A change of the password that a user asks for.
pub(crate) struct PasswordChange {
    pub(crate) current: Zeroizing<String>,
    pub(crate) new: Zeroizing<String>,
    /// The address of the client.
    pub(crate) client: IpAddr,
    /// The cookie of a device that has logged in before.
    pub(crate) device: Option<String>,
}

impl Issuer {
    /// Replaces the password of the user who is signed in, and ends all of their sessions but this
    /// one. A wrong current password counts as a failed login: an access token may be stolen.
    pub(crate) async fn change_password(
        self: &Arc<Self>,
        SignedIn { user, session }: SignedIn,
        PasswordChange { current, new, client, device }: PasswordChange,
    ) -> Result<(), ServiceError> {
        self.limit_logins(client)?;
        let new = self.check_new_password(new, &user.name).await?;
        if password::prepare(&current).is_ok_and(|current| current == new) {
            let line = "the new password is the current one; choose another one";
            return Err(ServiceError::PasswordRefused(line.to_owned()));
        }
        let caller = Caller { address: client, user_agent: None, device };
        let login = self.look_up(&user.name, caller).await?;
        let turn = self.turn(login.origin()).await?;
        let issuer = Arc::clone(self);
        to_its_end(
            async move { issuer.replace_password(login, turn, &current, new, session.id).await },
        )
        .await
    }

    /// Counts the attempt, checks the current password and replaces it.
    async fn replace_password(
        &self,
        mut login: Login,
        turn: Turn,
        current: &Zeroizing<String>,
        new: Zeroizing<String>,
        session: SessionId,
    ) -> Result<(), ServiceError> {
        let failure = self.count_attempt(&login).await?;
        let user = login.user.take();
        let user = self.authenticate(turn, current, &login.caller, user).await;
        let user = user.map_err(|_| ServiceError::WrongPassword)?;
        let origin = login.origin_with_password();
        let version = user.password_version;
        let proof = Proof::Password { version, session, failure: failure.clone() };
        let set = self.set_password(user, new, proof, origin).await;
        if !matches!(set, Ok(true)) {
            // The current password was right.
            self.take_backs.add_after(&set, failure);
        }
        if set? {
            return Ok(());
        }
        self.require_live(session).await?;
        // It was replaced meanwhile, so that it is wrong now.
        Err(ServiceError::WrongPassword)
    }

    /// Sets a new password for the user of a token, and ends all of their sessions. A password that
    /// is refused leaves the token as it is. An unknown token costs no hash: nobody can guess one, so
    /// that the time tells nothing.
    pub(crate) async fn reset_password(
        &self,
        token: &str,
        new: Zeroizing<String>,
        client: IpAddr,
    ) -> Result<(), ServiceError> {
        self.limit_logins(client)?;
        let token = TokenUse::new(token, Purpose::PasswordReset, self.clock_guard.latest_time())?;
        let found = self.store.one_time_token(token.hash, token.purpose, token.now).await?;
        let user = match found.and_then(|found| found.user_id) {
            Some(id) => self.store.user_with_id(id).await?,
            None => None,
        };
        let user = user.ok_or(ServiceError::InvalidResetToken)?;
        let new = self.check_new_password(new, &user.name).await?;
        let account = self.counters.account(&user.name);
        let origin = Origin { client, device: Some(account.0) };
        // A thief may know it.
        if user.has_expired_password()
            && self.hasher.verify(self.turn(origin).await?, &new, Some(user.hash())).await
        {
            let line = "this password has expired; choose another one";
            return Err(ServiceError::PasswordRefused(line.to_owned()));
        }
        let is_set = self.set_password(user, new, Proof::Reset(token), origin).await?;
        if is_set { Ok(()) } else { Err(ServiceError::InvalidResetToken) }
    }

    /// Returns a new password as it is hashed, if it keeps the rules. An estimate of the guesses can
    /// take half a second: one runs at a time, and keeps no other request waiting.
    pub(super) async fn check_new_password(
        &self,
        new: Zeroizing<String>,
        user: &str,
    ) -> Result<Zeroizing<String>, ServiceError> {
        let failed = || Error::System("a new password cannot be checked".to_owned());
        let permit = Arc::clone(&self.password_checks).acquire_owned().await;
        let permit = permit.map_err(|_| failed())?;
        let (user, issuer) = (user.to_owned(), self.config.issuer.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let checked = password::check_new(&new, &user, issuer.as_deref());
            drop(permit);
            checked
        });
        let checked = checked.await.map_err(|_| failed())?;
        checked.map_err(|e| ServiceError::PasswordRefused(e.to_string()))
    }

    /// Hashes the new password and stores it. Returns `false` if the proof does not hold any more.
    async fn set_password(
        &self,
        user: User,
        new: Zeroizing<String>,
        proof: Proof,
        origin: Origin,
    ) -> Result<bool, ServiceError> {
        let turn = self.turn(origin).await?;
        let hash = self.hasher.hash(turn, &new).await.ok_or_else(crypto::broken)?;
        let (network, now) = (self.network(origin.client), self.clock.now());
        let new = NewPassword { user_id: user.id, hash, proof, network, now };
        Ok(self.store.set_password(new).await?)
    }
}
