use zeroize::Zeroizing;

use super::Admin;
use crate::crypto;
use crate::custom_claims::CustomClaims;
use crate::idempotency::New;
use crate::login::fair_queue::Origin;
use crate::login::user_name;
use crate::scope;
use crate::second_factor::{Changed, FactorChange};
use crate::service::ServiceError;
use crate::service::accounts::{expire_passwords, new_user};
use crate::service::hasher::StoredHash;
use crate::service::new_password::{ResetToken, begin_password_reset};
use crate::service::page::Page;
use crate::session::{Cursor, Session, SessionPage};
use crate::users::{User, UserChange};

/// A user to add.
pub(crate) struct NewUser {
    pub(crate) name: String,
    pub(crate) scope: String,
    pub(crate) claims: CustomClaims,
    pub(crate) credential: Credential,
}

/// The first password of a user.
pub(crate) enum Credential {
    Password(Zeroizing<String>),
    /// Its hash, from another system.
    Hash(String),
}

impl Admin<'_> {
    /// Returns the first users after that name.
    pub(crate) async fn users(&self, after: String, most: u32) -> Result<Page<User>, ServiceError> {
        Ok(Page::of(self.issuer.store.users(after, most + 1).await?, most))
    }

    pub(crate) async fn user_named(&self, name: &str) -> Result<Option<User>, ServiceError> {
        Ok(self.issuer.store.user(user_name::check(name)?).await?)
    }

    pub(crate) async fn user(&self, id: &str) -> Result<User, ServiceError> {
        let user = self.issuer.store.user_with_id(id.to_owned()).await?;
        user.ok_or(ServiceError::NoSuch("user"))
    }

    /// Adds a user. Returns what `answer` makes of the user, or the answer to an earlier request with
    /// the same key.
    pub(crate) async fn add_user(
        &self,
        new: NewUser,
        keyed: Option<(&str, [u8; 32])>,
        answer: impl Fn(&User) -> Vec<u8>,
    ) -> Result<Vec<u8>, ServiceError> {
        let addition = self.begin(keyed)?;
        let name = user_name::check(&new.name)?;
        let scope = scope::check(&new.scope)?;
        let hash = match new.credential {
            Credential::Password(password) => self.hash(&password, &name).await?,
            Credential::Hash(hash) => {
                StoredHash::check_foreign(&hash, &self.issuer.config)?;
                hash
            }
        };
        let user = new_user(name, scope, hash, new.claims, self.now())?;
        let answer = answer(&user);
        self.add(&addition, New::User(user), answer).await
    }

    /// Makes all of the changes or none. Returns the user after them.
    pub(crate) async fn change_user(
        &self,
        id: &str,
        changes: Vec<UserChange>,
    ) -> Result<User, ServiceError> {
        self.apply(id, changes).await?;
        self.user(id).await
    }

    pub(crate) async fn delete_user(&self, id: &str) -> Result<(), ServiceError> {
        self.apply(id, vec![UserChange::Deleted]).await
    }

    /// Sets a new password, which must not be one that has expired: a thief may know it.
    pub(crate) async fn set_password(
        &self,
        id: &str,
        password: Zeroizing<String>,
    ) -> Result<(), ServiceError> {
        let user = self.user(id).await?;
        let hash = self.hash(&password, &user.name).await?;
        if user.has_expired_password() {
            let turn = self.issuer.hasher.turn(self.origin()).await;
            let turn = turn.map_err(|_| ServiceError::HashQueueFull)?;
            if self.issuer.hasher.verify(turn, &password, Some(user.hash())).await {
                let line = "this password of the user has expired; choose another one";
                return Err(ServiceError::PasswordRefused(line.to_owned()));
            }
        }
        self.apply(id, vec![UserChange::Password(hash)]).await
    }

    /// Lets the passwords of the first users after that name expire. Returns these users.
    pub(crate) async fn expire_passwords(
        &self,
        after: String,
        most: u32,
    ) -> Result<Page<User>, ServiceError> {
        let page = self.users(after, most).await?;
        let store = &*self.issuer.store;
        let expired = expire_passwords(store, &page.items, &self.by(), || self.now()).await;
        expired.map_err(|(_, e)| e)?;
        Ok(page)
    }

    /// Makes a token with which the user can set a new password.
    pub(crate) async fn begin_password_reset(&self, id: &str) -> Result<ResetToken, ServiceError> {
        let user = self.user(id).await?;
        Ok(begin_password_reset(&*self.issuer.store, &user, self.by(), self.now()).await?)
    }

    /// Removes the second factors of a user.
    pub(crate) async fn reset_factors(&self, id: &str) -> Result<(), ServiceError> {
        let (change, by) = (FactorChange::Reset, self.by());
        let reset = self.issuer.store.change_factors(id.to_owned(), change, None, by, self.now());
        match reset.await? {
            Changed::Impossible => Err(ServiceError::NoSuch("user")),
            Changed::Made | Changed::MadeWithCodes => Ok(()),
        }
    }

    /// Returns the live sessions of a user after the cursor, newest first.
    pub(crate) async fn sessions(
        &self,
        id: &str,
        after: Cursor,
        most: u32,
    ) -> Result<Page<Session>, ServiceError> {
        let user_id = self.user(id).await?.id;
        let page = SessionPage { user_id, now: self.now(), after, most: most + 1 };
        Ok(Page::of(self.issuer.store.live_sessions(page).await?, most))
    }

    /// Ends the session with that `sid`, if it has not ended yet.
    pub(crate) async fn end_session(&self, sid: &str) -> Result<(), ServiceError> {
        let store = &self.issuer.store;
        let session = match Session::parse_sid(sid) {
            Some(id) => store.session(id).await?,
            None => None,
        };
        let session = session.ok_or(ServiceError::NoSuch("session"))?;
        Ok(store.end_session(session.id, self.by(), self.now()).await?)
    }

    pub(crate) async fn end_sessions(&self, id: &str) -> Result<(), ServiceError> {
        self.apply(id, vec![UserChange::SessionsEnded]).await
    }

    async fn apply(&self, id: &str, changes: Vec<UserChange>) -> Result<(), ServiceError> {
        let changed = self.issuer.store.change_user(id.to_owned(), changes, self.by(), self.now());
        if changed.await? { Ok(()) } else { Err(ServiceError::NoSuch("user")) }
    }

    /// Checks and hashes a new password.
    async fn hash(&self, password: &Zeroizing<String>, user: &str) -> Result<String, ServiceError> {
        let password = self.issuer.check_new_password(password.clone(), user).await?;
        let turn = self.issuer.hasher.turn(self.origin()).await;
        let turn = turn.map_err(|_| ServiceError::HashQueueFull)?;
        let hash = self.issuer.hasher.hash(turn, &password).await;
        Ok(hash.ok_or_else(crypto::broken)?)
    }

    /// Returns the origin for the queue of hashes.
    fn origin(&self) -> Origin {
        Origin { client: self.from, device: None }
    }
}
