//! The database, behind one trait. Each method is one transaction: when it returns, its changes are
//! on the disk.

pub(crate) mod copy;
pub(crate) mod postgres;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;
mod unacknowledged;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use self::copy::{Parts, PartsOut};
use self::postgres::PostgresStore;
use self::sqlite::SqliteStore;
use crate::Error;
use crate::audit::{Actor, AuditEntry, AuditFilter, Network, NewEntry};
use crate::clients::{Client, ClientChange};
use crate::config::DatabaseUrl;
use crate::idempotency::{Added, New, NewAnswer};
use crate::keys::{KeyRecord, Vault};
use crate::login::new_password::NewPassword;
use crate::login::throttle::{self, Attempt, ProvisionalFailure};
use crate::one_time::{OneTimeToken, Purpose, TokenHash};
use crate::passkeys::{NewPasskey, Passkey, Registration};
use crate::second_factor::{Changed, FactorChange, Finished, LastStep, StoredFactors};
use crate::session::{Refresh, Session, SessionId, SessionPage, Verdict};
use crate::status::Candidates;
use crate::users::{Addition, User, UserChange};

/// The future result of a store's method.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A pure function from the sealed secrets to the new ones. A store may call it more than once.
pub(crate) type KeyChange = Box<dyn Fn(&Vault) -> Vault + Send + Sync>;

/// The size of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Tables and indexes.
    pub(crate) bytes: u64,
    /// The sessions that have not expired, ended ones included. Of very many, an estimate.
    pub(crate) sessions: u64,
}

/// The behaviour of [`open`] if there is no database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Make,
    /// For commands that only read or change a database.
    Refuse,
}

/// Opens the database and runs the migrations that it lacks. `admit` sees the sealed secrets before
/// anything is committed; it may be called more than once. Returns its value along with the store.
///
/// # Errors
///
/// [`Error::Database`] if the database cannot be used, or [`Error::Unavailable`] if only at this
/// moment; the error of `admit`. The database is then as it was.
pub(crate) async fn open<T>(
    database: &DatabaseUrl,
    missing: Missing,
    admit: impl Fn(&Vault) -> Result<T, Error>,
) -> Result<(Arc<dyn Store>, T), Error> {
    match database {
        // A folder that may not be entered is another failure.
        DatabaseUrl::Sqlite(path)
            if missing == Missing::Refuse && matches!(path.try_exists(), Ok(false)) =>
        {
            Err(Error::Database(format!(
                "there is no database {}; make it with serve or user add, or set database",
                path.display()
            )))
        }
        DatabaseUrl::Sqlite(path) => {
            let (store, admitted) = SqliteStore::open(path, admit)?;
            Ok((Arc::new(store), admitted))
        }
        DatabaseUrl::Postgres(url) => {
            let (store, admitted) = PostgresStore::open(url, missing, admit).await?;
            Ok((Arc::new(store), admitted))
        }
    }
}

/// Checks that [`open`] would succeed, and makes and changes nothing.
///
/// # Errors
///
/// Those of [`open`].
pub(crate) async fn check(
    database: &DatabaseUrl,
    admit: impl Fn(&Vault) -> Result<(), Error>,
) -> Result<(), Error> {
    match database {
        DatabaseUrl::Sqlite(path) => SqliteStore::check(path, admit),
        DatabaseUrl::Postgres(url) => PostgresStore::check(url, admit).await,
    }
}

/// Returns true if an issuer uses the database. `false` if there is no SQLite file.
///
/// # Errors
///
/// [`Error::Database`] if the database cannot be reached.
pub(crate) async fn is_in_use(database: &DatabaseUrl) -> Result<bool, Error> {
    match database {
        DatabaseUrl::Sqlite(path) => Ok(path.exists() && SqliteStore::is_in_use(path)?),
        DatabaseUrl::Postgres(url) => PostgresStore::is_in_use(url).await,
    }
}

/// The database. Each change is written together with its entry in the audit log.
pub(crate) trait Store: Send + Sync {
    // Users.

    /// Adds a user. Returns `false` if the name is taken.
    fn add_user(&self, user: User, by: Actor) -> Answer<'_, bool>;
    /// Adds several users, and returns the outcome for each, in their order. A user who cannot be added
    /// keeps no other from it.
    fn add_users(&self, users: Vec<User>, by: Actor) -> Answer<'_, Vec<Addition>>;
    /// Makes the changes of the user of that id, all or none, and ends their sessions if one of them
    /// does. New claims are those of the sessions too. Returns `false` if there is no such user. A deleted user can only be deleted again.
    fn change_user(
        &self,
        id: String,
        changes: Vec<UserChange>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool>;
    /// Replaces the hash `old` with another hash of the same password, unless the user's hash has
    /// changed meanwhile. Sessions stay.
    fn replace_hash(&self, user_id: String, old: String, new: String, now: u64) -> Answer<'_, ()>;
    /// Sets a password that its user chose, ends the user's sessions except the one that stays, and
    /// takes the failure back as which the request was counted. Returns `false` and changes nothing if
    /// the user is gone or the proof does not hold any more.
    fn set_password(&self, new: NewPassword) -> Answer<'_, bool>;
    /// Deletes the user of that name and ends all of their sessions. Returns `false` if there is no such
    /// user. A row without a name stays until the last session has expired: status lists need the
    /// sessions.
    fn delete_user(&self, name: String, by: Actor, now: u64) -> Answer<'_, bool>;
    /// Returns the user of that normalised name.
    fn user(&self, name: String) -> Answer<'_, Option<User>>;
    /// Returns the user of that id, unless they are deleted.
    fn user_with_id(&self, id: String) -> Answer<'_, Option<User>>;
    /// Returns the first `most` users whose names come after that name, by name.
    fn users(&self, after: String, most: u32) -> Answer<'_, Vec<User>>;

    // Clients.

    /// Adds a client. Returns `false` if the name is taken.
    fn add_client(&self, client: Client, by: Actor) -> Answer<'_, bool>;
    /// Makes the changes of the client of that id, all or none. Returns `false` if there is none.
    fn change_client(
        &self,
        id: String,
        changes: Vec<ClientChange>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool>;
    /// Returns the client of that id.
    fn client(&self, id: String) -> Answer<'_, Option<Client>>;
    /// Returns the client of that name.
    fn client_named(&self, name: String) -> Answer<'_, Option<Client>>;
    /// Returns the first `most` clients whose names come after that name, by name.
    fn clients(&self, after: String, most: u32) -> Answer<'_, Vec<Client>>;

    // Requests that may come again.

    /// Adds a user or a client together with the answer to its request. If there is an answer to a
    /// request with the same key, returns that and adds nothing.
    fn add_once(&self, new: New, answer: NewAnswer, by: Actor) -> Answer<'_, Added>;
    /// Deletes the answers that are not kept any more at `now`.
    fn prune_answers(&self, now: u64) -> Answer<'_, ()>;

    // Failed logins.

    /// Applies [`throttle::decide`] to a login, and counts it as a failure if it is admitted. Others
    /// see the count at once. It need not be on the disk yet: somebody who guesses passwords cannot
    /// cut the power.
    fn attempt(&self, attempt: Attempt) -> Answer<'_, throttle::Verdict>;
    /// Takes the failure of an attempt back, once, however often this is called. The other failures
    /// stay. Like the count, this need not be on the disk yet.
    fn take_back(&self, failure: ProvisionalFailure) -> Answer<'_, ()>;
    /// Does the same for a failure that may be undone already, because nobody knows if the change was
    /// made that undoes it. If another attempt was counted after it, it stays.
    fn take_back_unless_undone(&self, failure: ProvisionalFailure) -> Answer<'_, ()>;
    /// Does the same for an attempt of which nobody knows if it was counted. If another attempt was
    /// counted after it, its failure stays.
    fn take_back_if_counted(&self, attempt: Attempt) -> Answer<'_, ()>;
    /// Deletes failed logins that are forgotten at `now`.
    fn prune_failures(&self, now: u64) -> Answer<'_, ()>;

    // Sessions.

    /// Opens a session, undoes the provisional failure of its login, and deletes the login's own
    /// counter. With candidates, the session gets a status index. Returns `None` and changes nothing
    /// if the user is gone or locked, or has another scope than the session or another password hash than
    /// the one that was checked, or if the session has shown a password alone and the user has a second
    /// factor.
    fn open_session(
        &self,
        session: Session,
        password_hash: String,
        network: Network,
        failure: Option<ProvisionalFailure>,
        candidates: Option<Candidates>,
    ) -> Answer<'_, Option<Session>>;
    /// Applies [`crate::session::decide`] to the token's session. Refuses a session that does not
    /// exist.
    fn refresh(&self, refresh: Refresh) -> Answer<'_, Verdict>;
    /// Returns the session, if it exists.
    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>>;
    /// Returns a page of a user's sessions that have not ended or expired, newest first.
    fn live_sessions(&self, page: SessionPage) -> Answer<'_, Vec<Session>>;
    /// Ends a session. Does nothing if it has ended or never existed.
    fn end_session(&self, id: SessionId, by: Actor, now: u64) -> Answer<'_, ()>;
    /// Deletes the sessions that had expired at that time.
    fn prune(&self, at: u64) -> Answer<'_, ()>;

    // One-time tokens.

    /// Adds a token, and records it if its purpose is audited. Ends the oldest of the user's tokens for the same purpose if there are too many.
    fn add_one_time_token(&self, token: OneTimeToken, by: Actor) -> Answer<'_, ()>;
    /// Returns a token that can still be used.
    fn one_time_token(
        &self,
        hash: TokenHash,
        purpose: Purpose,
        now: u64,
    ) -> Answer<'_, Option<OneTimeToken>>;
    /// Deletes the tokens that had expired at that time.
    fn prune_one_time_tokens(&self, at: u64) -> Answer<'_, ()>;

    // Passkeys.

    /// Adds a passkey, and uses the challenge of its registration up.
    fn add_passkey(&self, new: NewPasskey) -> Answer<'_, Registration>;
    /// Returns the passkey of that credential id.
    fn passkey(&self, id: Vec<u8>) -> Answer<'_, Option<Passkey>>;
    /// Returns the passkeys of a user, oldest first.
    fn passkeys(&self, user_id: String) -> Answer<'_, Vec<Passkey>>;
    /// Renames a passkey. Returns `false` if the user has none with that credential id.
    fn rename_passkey(
        &self,
        user_id: String,
        id: Vec<u8>,
        name: String,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool>;
    /// Removes a passkey. Returns `false` if the user has none with that credential id.
    fn remove_passkey(&self, user_id: String, id: Vec<u8>, by: Actor, now: u64)
    -> Answer<'_, bool>;
    // Second factors.

    /// Returns the second factors of a user.
    fn factors(&self, user_id: String) -> Answer<'_, StoredFactors>;
    /// Changes the second factors of a user. It is not possible if the user or the session that asks for
    /// it is gone.
    fn change_factors(
        &self,
        user_id: String,
        change: FactorChange,
        session: Option<SessionId>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, Changed>;
    /// Takes the last step of an authentication: all of it, or a wrong proof uses the token up.
    fn finish(&self, step: LastStep) -> Answer<'_, Finished>;
    /// Deletes the TOTP secrets that nobody has confirmed and that were made at that time or before.
    fn prune_factors(&self, until: u64) -> Answer<'_, ()>;

    // Status lists.

    /// Returns the number of the newest status list that has a session, or 0.
    fn newest_status_list(&self) -> Answer<'_, u32>;
    /// Returns the indices of the ended sessions in a status list, in any order. Leaves out those
    /// that had expired at that time.
    fn ended_sessions(&self, list: u32, at: u64) -> Answer<'_, Vec<u32>>;

    // Keys.

    /// Returns all keys, oldest first.
    fn keys(&self) -> Answer<'_, Vec<KeyRecord>>;
    /// Replaces the sealed secrets with the result of `change`, one change at a time. Returns the
    /// result.
    fn change_keys(&self, change: KeyChange, by: Actor, now: u64) -> Answer<'_, Vault>;

    // The clock.

    /// Returns the latest time that an issuer saw and that was remembered.
    fn latest_time(&self) -> Answer<'_, Option<u64>>;
    /// Remembers that an issuer saw this time. Returns the latest.
    fn remember_time(&self, now: u64) -> Answer<'_, u64>;
    /// Sets a latest time that is after `now` back to `now`. Returns `false` if it was not after it.
    fn reset_time(&self, now: u64) -> Answer<'_, bool>;

    // The audit log.

    /// Adds entries of events that change nothing.
    fn record(&self, entries: Vec<NewEntry>) -> Answer<'_, ()>;
    /// Returns the last entries that meet the conditions, oldest first.
    fn audit(&self, filter: AuditFilter) -> Answer<'_, Vec<AuditEntry>>;
    /// Deletes the entries at the beginning of the audit log that are older than `before`.
    fn prune_audit(&self, before: u64) -> Answer<'_, ()>;

    // The whole database.

    /// Returns the size of the database. Reads an entry for each session, unless there are too many.
    fn size(&self, now: u64) -> Answer<'_, Size>;
    /// Sends everything that the database holds at this moment, followed by [`copy::Part::End`].
    fn export(&self, parts: PartsOut) -> Answer<'_, ()>;
    /// Writes the parts of another store in one transaction, which commits after the last part.
    /// Returns `false` if the database is not empty.
    fn import(&self, parts: Parts) -> Answer<'_, bool>;
    /// Writes as much as a login does, and undoes it. Succeeds if logins and refreshes would.
    fn ping(&self) -> Answer<'_, ()>;
}

/// A failure of the database.
#[derive(Clone, Debug)]
pub(crate) enum StoreError {
    /// Nothing was changed.
    Failed(String),
    /// Nothing was changed. A later try may succeed.
    Unavailable(String),
    /// The answer to a COMMIT is missing. The change was made, or will be made, or is lost.
    Unconfirmed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Failed(line) | Self::Unavailable(line) | Self::Unconfirmed(line)) = self;
        f.write_str(line)
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Failed(line) => Self::Database(line),
            StoreError::Unavailable(line) => Self::Unavailable(line),
            StoreError::Unconfirmed(line) => Self::Unconfirmed(line),
        }
    }
}
