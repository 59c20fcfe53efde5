//! What the issuer keeps, behind one trait. Each method is one transaction: when it has answered,
//! what it changed is on the disk.

pub(crate) mod copy;
pub(crate) mod postgres;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use self::copy::{Parts, PartsOut};
use self::postgres::PostgresStore;
use self::sqlite::SqliteStore;
use crate::Error;
use crate::config::DatabaseUrl;
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::login::throttle::{self, Attempt, Reserved};
use crate::session::{Refresh, Session, SessionId, Verdict};
use crate::status::Candidates;

/// The answer of a store, some time later.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Decides what is sealed under the master key from what was; may be asked more than once.
pub(crate) type KeyChange = Box<dyn Fn(&Vault) -> Vault + Send + Sync>;

/// What becomes of a database that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Make,
    /// A command that only reads or changes must not make it.
    Refuse,
}

/// Opens the database, and runs the migrations that it lacks. `admit` sees what is
/// sealed under the master key before any of that is kept, perhaps more than once; what it answers comes along.
///
/// # Errors
///
/// [`Error::Database`] when it can't be used, and what `admit` refuses with; the database is
/// then as it was.
pub(crate) async fn open<T>(
    database: &DatabaseUrl,
    missing: Missing,
    admit: impl Fn(&Vault) -> Result<T, Error>,
) -> Result<(Arc<dyn Store>, T), Error> {
    match database {
        DatabaseUrl::Sqlite(path) if missing == Missing::Refuse && !path.exists() => {
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

/// A user as the store keeps it.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// The `sub` claim: random, never the name.
    pub(crate) id: String,
    /// Normalised.
    pub(crate) name: String,
    pub(crate) scope: String,
    /// PHC string.
    pub(crate) password_hash: String,
    pub(crate) created_at: u64,
    /// Whether nobody may log in as this user.
    pub(crate) locked: bool,
}

/// A confidential client (RFC 6749 §2.1) as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// With a prefix, so that no id equals a user's (RFC 9068 §5).
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) scope: String,
    /// SHA-256 of the secret.
    pub(crate) secret_hash: Vec<u8>,
    /// Whether nobody may authenticate as this client.
    pub(crate) locked: bool,
    pub(crate) created_at: u64,
}

/// What can be changed of a client.
#[derive(Clone, Debug)]
pub(crate) enum ClientChange {
    /// The SHA-256 of another secret.
    Secret(Vec<u8>),
    Locked(bool),
}

/// What the audit log says of one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    pub(crate) at: u64,
    pub(crate) event: String,
    /// A user's id, a client's id, a session's id, or a kid.
    pub(crate) subject: String,
}

/// Users, clients, failed logins, sessions, keys, and the audit log that is written along with each
/// change.
pub(crate) trait Store: Send + Sync {
    /// Adds a user; `false` if the name is taken.
    fn add_user(&self, user: User) -> Answer<'_, bool>;
    /// Sets a password and ends all of the user's sessions; `false` if there is no such user.
    fn set_password(&self, name: String, hash: String, now: u64) -> Answer<'_, bool>;
    /// Puts another hash of the same password in the place of `old`, unless that has been replaced
    /// already; sessions stay.
    fn replace_hash(&self, user_id: String, old: String, new: String, now: u64) -> Answer<'_, ()>;
    /// Locks a user, which ends all of their sessions, or unlocks one; `false` if there is no such
    /// user.
    fn lock_user(&self, name: String, locked: bool, now: u64) -> Answer<'_, bool>;
    /// Deletes a user, which ends all of their sessions; `false` if there is no such user. What is
    /// left without a name goes with the last of the sessions: until then status lists need these.
    fn delete_user(&self, name: String, now: u64) -> Answer<'_, bool>;
    /// The user of that normalised name.
    fn user(&self, name: String) -> Answer<'_, Option<User>>;
    /// All users by name.
    fn users(&self) -> Answer<'_, Vec<User>>;

    /// Adds a client; `false` if the name is taken.
    fn add_client(&self, client: Client) -> Answer<'_, bool>;
    /// Changes the client of that name; `false` if there is none.
    fn change_client(&self, name: String, change: ClientChange, now: u64) -> Answer<'_, bool>;
    /// The client of that id.
    fn client(&self, id: String) -> Answer<'_, Option<Client>>;
    /// All clients by name.
    fn clients(&self) -> Answer<'_, Vec<Client>>;

    /// Applies [`throttle::decide`] to a login, and counts it as a failure where it is admitted.
    /// Others see that at once; it need not be on the disk, as nobody who guesses can cut the power.
    fn attempt(&self, attempt: Attempt) -> Answer<'_, throttle::Verdict>;
    /// Opens a session, unless the user is gone, is locked, or has another password hash than the
    /// one that the login was checked against. Then the login was none of the failures that it is
    /// counted among, nor are those before it at its own counter. With a draw it has a place in the
    /// status lists.
    fn open_session(
        &self,
        session: Session,
        password_hash: String,
        reserved: Option<Reserved>,
        draw: Option<Candidates>,
    ) -> Answer<'_, Option<Session>>;
    /// Applies [`crate::session::decide`] to the token's session; a session that does not exist is
    /// refused.
    fn refresh(&self, refresh: Refresh) -> Answer<'_, Verdict>;
    /// The session, if it exists.
    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>>;
    /// Ends a session. One that has ended or never was is left as it is.
    fn end_session(&self, id: SessionId, now: u64) -> Answer<'_, ()>;
    /// Deletes sessions that had expired at that time.
    fn prune(&self, at: u64) -> Answer<'_, ()>;
    /// Deletes failed logins that are forgotten at that time.
    fn prune_failures(&self, now: u64) -> Answer<'_, ()>;
    /// The number of the newest status list in which a session has a place; 0 if there is none.
    fn newest_status_list(&self) -> Answer<'_, u32>;
    /// The indices in a status list of the sessions that were ended, in any order; but of those that
    /// had expired at that time.
    fn ended_sessions(&self, list: u32, at: u64) -> Answer<'_, Vec<u32>>;

    /// All keys, oldest first.
    fn keys(&self) -> Answer<'_, Vec<KeyRecord>>;
    /// Replaces what is sealed under the master key by what `change` makes of it, alone on the
    /// database; answers the result.
    fn change_keys(&self, change: KeyChange, now: u64) -> Answer<'_, Vault>;

    /// The latest time that an issuer saw, as far as it was remembered.
    fn latest_time(&self) -> Answer<'_, Option<u64>>;
    /// Remembers that an issuer saw this time. Answers the latest.
    fn remember_time(&self, now: u64) -> Answer<'_, u64>;
    /// Takes back a latest time that is after this one, and answers whether it was.
    fn reset_time(&self, now: u64) -> Answer<'_, bool>;

    /// Sends all that the database holds at this moment, and then says so.
    fn export(&self, parts: PartsOut) -> Answer<'_, ()>;
    /// Writes what another store sends, in one transaction, once all of it is there; `false` if the
    /// database is not empty.
    fn import(&self, parts: Parts) -> Answer<'_, bool>;

    /// The last `most` entries of the audit log, or of those with that subject, oldest first.
    fn audit(&self, subject: Option<String>, most: u32) -> Answer<'_, Vec<AuditEntry>>;
    /// Deletes the entries at the audit log's beginning that are older than `before`.
    fn prune_audit(&self, before: u64) -> Answer<'_, ()>;

    /// Whether the store answers and can be written.
    fn ping(&self) -> Answer<'_, ()>;
}

/// The store could not do what it was asked; nothing was changed.
#[derive(Clone, Debug)]
pub(crate) struct StoreError(pub(crate) String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        Self(format!("the database failed: {e}"))
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        Self::Database(e.0)
    }
}

/// A session's id as the audit log has it.
fn hex(id: &SessionId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the audit log says of a change of the keys: each event with its subject.
fn key_events(before: &Vault, after: &Vault, now: u64) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for old in before.keys.iter().filter(|old| !after.keys.iter().any(|key| key.kid == old.kid)) {
        let was_due = old.drops_at.is_some_and(|at| at <= now);
        let event = if was_due { "key_dropped" } else { "key_withdrawn" };
        events.push((event.to_owned(), old.kid.clone()));
    }
    for key in &after.keys {
        let old = before.keys.iter().find(|old| old.kid == key.kid);
        // That a key was only sealed anew is told once for all.
        if old.is_some_and(|old| KeyRecord { sealed: key.sealed.clone(), ..old.clone() } == *key) {
            continue;
        }
        let waited = |old: &KeyRecord| old.state == key.state && old.activates_at.is_none();
        let event = match key.state {
            KeyState::Published if key.activates_at.is_some() && old.is_some_and(waited) => {
                "key_rotation_requested".to_owned()
            }
            state => format!("key_{}", state.name()),
        };
        events.push((event, key.kid.clone()));
    }
    if before.secret.is_some() && before.secret != after.secret {
        // With another master key the keys are sealed anew as well.
        let alone = before.keys == after.keys;
        let event = if alone { "secret_exchanged" } else { "master_key_changed" };
        events.push((event.to_owned(), NO_SUBJECT.to_owned()));
    }
    events
}

/// The subject of what is not about one user, client, session or key.
const NO_SUBJECT: &str = "-";
