//! The store in one SQLite file. One thread owns the only connection that writes; a pool of
//! connections reads.
//!
//! Each file has the statements of one noun. They run in the transaction that the writer has begun.

mod audit;
mod clients;
mod clock;
mod factors;
mod failures;
mod idempotency;
mod in_use;
mod keys;
mod one_time;
mod open;
mod passkeys;
mod probe;
mod queue;
mod readers;
mod sessions;
mod size;
mod users;
mod worker;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::Connection;

use self::open::Connections;
use self::readers::Readers;
use self::sessions::Rotation;
use self::writer::Writer;
use super::copy::{self, Parts, PartsOut};
use super::unacknowledged::Unacknowledged;
use super::{Answer, KeyChange, Size, Store, StoreError};
use crate::Error;
use crate::audit::{Actor, AuditEntry, AuditFilter, Network, NewEntry};
use crate::clients::{Client, ClientChange};
use crate::idempotency::{Added, New, NewAnswer};
use crate::keys::{KeyRecord, Vault};
use crate::login::new_password::NewPassword;
use crate::login::throttle::{self, Attempt, ProvisionalFailure};
use crate::one_time::{OneTimeToken, Purpose, TokenHash};
use crate::passkeys::{NewPasskey, Passkey, Registration};
use crate::second_factor::{Changed, FactorChange, Finished, LastStep, StoredFactors};
use crate::session::{Refresh, RefreshToken, Session, SessionId, SessionPage, Verdict};
use crate::status::Candidates;
use crate::users::{Addition, DELETED, User, UserChange};

/// A store in an SQLite file.
pub(crate) struct SqliteStore {
    unacknowledged: Arc<Unacknowledged<Rotation>>,
    readers: Readers,
    // Declared last, so that it is closed last: the last connection folds the write-ahead log into
    // the file.
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file; see [`open::open`].
    ///
    /// # Errors
    ///
    /// See [`open::open`].
    pub(crate) fn open<T>(
        path: &Path,
        admit: impl FnOnce(&Vault) -> Result<T, Error>,
    ) -> Result<(Self, T), Error> {
        let Connections { writer, pool, waiting_reader, admitted } = open::open(path, admit)?;
        let thread = |e: std::io::Error| Error::System(format!("cannot start a thread: {e}"));
        let store = Self {
            unacknowledged: Unacknowledged::new(),
            writer: Writer::start(writer).map_err(thread)?,
            readers: Readers::start(pool, waiting_reader).map_err(thread)?,
        };
        Ok((store, admitted))
    }

    /// Checks that the file can be opened; see [`open::check`].
    ///
    /// # Errors
    ///
    /// See [`open::check`].
    pub(crate) fn check(
        path: &Path,
        admit: impl FnOnce(&Vault) -> Result<(), Error>,
    ) -> Result<(), Error> {
        open::check(path, admit)
    }

    /// Returns true if another program has the file open.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if the file cannot be opened.
    pub(crate) fn is_in_use(path: &Path) -> Result<bool, StoreError> {
        Ok(in_use::is_in_use(path)?)
    }

    /// Runs `job` in a transaction and returns once its changes are on the disk.
    fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.writer.run(job)
    }

    /// Repeats `prune_some` until nothing is left. Each part is short, so that other writers do not
    /// wait for long: most rows are in pages of their own, which a checkpoint has to write. No part
    /// waits for the disk: after a power failure it is done again.
    fn prune_in_parts(
        &self,
        prune_some: impl Fn(&Connection) -> rusqlite::Result<usize> + Copy + Send + Sync + 'static,
    ) -> Answer<'_, ()> {
        Box::pin(async move {
            while self.writer.run_unsynced(prune_some).await? > 0 {}
            Ok(())
        })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Failed(format!("the database failed: {e}"))
    }
}

impl Store for SqliteStore {
    fn add_user(&self, user: User, by: Actor) -> Answer<'_, bool> {
        self.write(move |db| users::add(db, &user, &by))
    }

    fn add_users(&self, users: Vec<User>, by: Actor) -> Answer<'_, Vec<Addition>> {
        self.write(move |db| users.iter().map(|user| users::add_one_of(db, user, &by)).collect())
    }

    fn change_user(
        &self,
        id: String,
        changes: Vec<UserChange>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        self.write(move |db| users::change(db, &id, &changes, &by, now))
    }

    fn replace_hash(&self, user_id: String, old: String, new: String, now: u64) -> Answer<'_, ()> {
        self.write(move |db| users::replace_hash(db, &user_id, &old, &new, now))
    }

    fn set_password(&self, new: NewPassword) -> Answer<'_, bool> {
        self.write(move |db| users::set_password(db, &new))
    }

    fn delete_user(&self, name: String, by: Actor, now: u64) -> Answer<'_, bool> {
        self.write(move |db| users::delete(db, &name, &by, now))
    }

    fn user(&self, name: String) -> Answer<'_, Option<User>> {
        self.readers.look_up(move |db| users::by_name(db, &name))
    }

    fn user_with_id(&self, id: String) -> Answer<'_, Option<User>> {
        self.readers.look_up(move |db| users::by_id(db, &id))
    }

    fn users(&self, after: String, most: u32) -> Answer<'_, Vec<User>> {
        self.readers.read(move |db| users::after(db, &after, most))
    }

    fn add_client(&self, client: Client, by: Actor) -> Answer<'_, bool> {
        self.write(move |db| clients::add(db, &client, &by))
    }

    fn change_client(
        &self,
        id: String,
        changes: Vec<ClientChange>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        self.write(move |db| clients::change(db, &id, &changes, &by, now))
    }

    fn client(&self, id: String) -> Answer<'_, Option<Client>> {
        self.readers.look_up(move |db| clients::by_id(db, &id))
    }

    fn client_named(&self, name: String) -> Answer<'_, Option<Client>> {
        self.readers.read(move |db| clients::by_name(db, &name))
    }

    fn clients(&self, after: String, most: u32) -> Answer<'_, Vec<Client>> {
        self.readers.read(move |db| clients::after(db, &after, most))
    }

    fn add_once(&self, new: New, answer: NewAnswer, by: Actor) -> Answer<'_, Added> {
        self.write(move |db| idempotency::add(db, &new, &answer, &by))
    }

    fn prune_answers(&self, now: u64) -> Answer<'_, ()> {
        self.prune_in_parts(move |db| idempotency::prune_some(db, now))
    }

    fn attempt(&self, attempt: Attempt) -> Answer<'_, throttle::Verdict> {
        self.writer.run_unsynced(move |db| failures::attempt(db, &attempt))
    }

    fn take_back(&self, failure: ProvisionalFailure) -> Answer<'_, ()> {
        self.writer.run_unsynced(move |db| failures::take_back(db, &failure))
    }

    fn take_back_unless_undone(&self, failure: ProvisionalFailure) -> Answer<'_, ()> {
        self.writer.run_unsynced(move |db| failures::take_back_unless_undone(db, &failure))
    }

    fn take_back_if_counted(&self, attempt: Attempt) -> Answer<'_, ()> {
        self.writer.run_unsynced(move |db| failures::take_back_if_counted(db, &attempt))
    }

    fn prune_failures(&self, now: u64) -> Answer<'_, ()> {
        let until = throttle::forgotten_before(now);
        self.prune_in_parts(move |db| failures::prune_some(db, until))
    }

    fn open_session(
        &self,
        session: Session,
        password_hash: String,
        network: Network,
        failure: Option<ProvisionalFailure>,
        candidates: Option<Candidates>,
    ) -> Answer<'_, Option<Session>> {
        self.write(move |db| {
            let (failure, candidates) = (failure.as_ref(), candidates.as_ref());
            sessions::open(db, session, &password_hash, &network, failure, candidates)
        })
    }

    fn refresh(&self, refresh: Refresh) -> Answer<'_, Verdict> {
        let RefreshToken { session, counter } = refresh.token;
        let in_flight = Arc::new(self.unacknowledged.begin(session, counter.saturating_add(1)));
        let (tracked, queued) = (Arc::clone(&in_flight), Instant::now());
        let verdict = self
            .write(move |db| sessions::refresh(db, &refresh, queued.elapsed().as_secs(), &tracked));
        Box::pin(async move {
            let verdict = verdict.await?;
            in_flight.acknowledge();
            Ok(verdict)
        })
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>> {
        self.readers.look_up(move |db| sessions::by_id(db, &id))
    }

    fn live_sessions(&self, page: SessionPage) -> Answer<'_, Vec<Session>> {
        self.readers.read(move |db| sessions::live(db, &page))
    }

    fn end_session(&self, id: SessionId, by: Actor, now: u64) -> Answer<'_, ()> {
        self.write(move |db| sessions::end(db, &id, &by, now))
    }

    fn prune(&self, at: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            self.prune_in_parts(move |db| sessions::prune_some(db, at)).await?;
            let mut last = Some(DELETED.to_owned());
            while let Some(after) = last {
                last = self.writer.run_unsynced(move |db| users::prune_some(db, &after)).await?;
            }
            Ok(())
        })
    }

    fn add_one_time_token(&self, token: OneTimeToken, by: Actor) -> Answer<'_, ()> {
        self.write(move |db| one_time::add(db, &token, &by))
    }

    fn one_time_token(
        &self,
        hash: TokenHash,
        purpose: Purpose,
        now: u64,
    ) -> Answer<'_, Option<OneTimeToken>> {
        self.readers.look_up(move |db| one_time::find(db, &hash, purpose, now))
    }

    fn prune_one_time_tokens(&self, at: u64) -> Answer<'_, ()> {
        self.prune_in_parts(move |db| one_time::prune_some(db, at))
    }

    fn factors(&self, user_id: String) -> Answer<'_, StoredFactors> {
        self.readers.look_up(move |db| factors::of_user(db, &user_id))
    }

    fn change_factors(
        &self,
        user_id: String,
        change: FactorChange,
        session: Option<SessionId>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, Changed> {
        self.write(move |db| factors::change(db, &user_id, &change, session, &by, now))
    }

    fn finish(&self, step: LastStep) -> Answer<'_, Finished> {
        self.write(move |db| factors::finish(db, step))
    }

    fn prune_factors(&self, until: u64) -> Answer<'_, ()> {
        self.prune_in_parts(move |db| factors::prune_some(db, until))
    }

    fn add_passkey(&self, new: NewPasskey) -> Answer<'_, Registration> {
        self.write(move |db| passkeys::add(db, &new))
    }

    fn passkey(&self, id: Vec<u8>) -> Answer<'_, Option<Passkey>> {
        self.readers.look_up(move |db| passkeys::find(db, &id))
    }

    fn passkeys(&self, user_id: String) -> Answer<'_, Vec<Passkey>> {
        self.readers.read(move |db| passkeys::all(db, &user_id))
    }

    fn rename_passkey(
        &self,
        user_id: String,
        id: Vec<u8>,
        name: String,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        self.write(move |db| passkeys::rename(db, &user_id, &id, &name, &by, now))
    }

    fn remove_passkey(
        &self,
        user_id: String,
        id: Vec<u8>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        self.write(move |db| passkeys::remove(db, &user_id, &id, &by, now))
    }

    fn newest_status_list(&self) -> Answer<'_, u32> {
        self.readers.read(|db| sessions::newest_status_list(db))
    }

    fn ended_sessions(&self, list: u32, at: u64) -> Answer<'_, Vec<u32>> {
        self.readers.read(move |db| sessions::ended(db, list, at))
    }

    fn keys(&self) -> Answer<'_, Vec<KeyRecord>> {
        self.readers.read(|db| keys::all(db))
    }

    fn change_keys(&self, change: KeyChange, by: Actor, now: u64) -> Answer<'_, Vault> {
        self.write(move |db| keys::change(db, &change, &by, now))
    }

    fn latest_time(&self) -> Answer<'_, Option<u64>> {
        self.readers.read(|db| clock::latest(db))
    }

    fn remember_time(&self, now: u64) -> Answer<'_, u64> {
        self.write(move |db| clock::remember(db, now))
    }

    fn reset_time(&self, now: u64) -> Answer<'_, bool> {
        self.write(move |db| clock::reset(db, now))
    }

    fn record(&self, entries: Vec<NewEntry>) -> Answer<'_, ()> {
        self.write(move |db| entries.iter().try_for_each(|entry| audit::record(db, entry)))
    }

    fn audit(&self, filter: AuditFilter) -> Answer<'_, Vec<AuditEntry>> {
        self.readers.read(move |db| audit::last(db, &filter))
    }

    fn prune_audit(&self, before: u64) -> Answer<'_, ()> {
        self.prune_in_parts(move |db| audit::prune_some(db, before))
    }

    fn size(&self, now: u64) -> Answer<'_, Size> {
        self.readers.read(move |db| size::read(db, now))
    }

    fn export(&self, parts: PartsOut) -> Answer<'_, ()> {
        self.readers.read(move |connection| copy::sqlite::export(connection, &parts))
    }

    fn import(&self, mut parts: Parts) -> Answer<'_, bool> {
        self.write(move |db| copy::sqlite::import(db, &mut parts))
    }

    fn ping(&self) -> Answer<'_, ()> {
        self.write(probe::write)
    }
}
