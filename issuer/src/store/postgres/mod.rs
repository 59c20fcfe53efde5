//! The store in a PostgreSQL database, which several issuers may share.
//!
//! Each file has the statements for one kind of data, such as users or sessions. Changes run in a
//! transaction of [`Connections::transact`]. A transaction may run again after it was committed,
//! because the answer to a COMMIT can get lost. Each transaction therefore recognizes its own
//! earlier result.

mod audit;
mod clients;
mod clock;
mod connect;
mod connection;
mod factors;
mod failure;
mod failures;
mod idempotency;
mod in_use;
mod keys;
mod one_time;
mod open;
mod passkeys;
mod probe;
mod rows;
mod sessions;
mod size;
mod supervisor;
mod turns;
mod users;

use std::sync::Arc;

use tokio_postgres::types::Type;

use self::connect::Parameters;
use self::connection::{Connection, Connections};
pub(in crate::store) use self::failure::Failure;
use self::sessions::Rotation;
use self::turns::Turns;
use super::copy::{self, Parts, PartsOut};
use super::unacknowledged::Unacknowledged;
use super::{Answer, KeyChange, Missing, Size, Store, StoreError};
use crate::audit::{Actor, AuditEntry, AuditFilter, Network, NewEntry};
use crate::clients::{Client, ClientChange};
use crate::config::PostgresUrl;
use crate::idempotency::{Added, New, NewAnswer};
use crate::keys::{KeyRecord, Vault};
use crate::login::new_password::NewPassword;
use crate::login::throttle::{self, Attempt, ProvisionalFailure};
use crate::one_time::{OneTimeToken, Purpose, TokenHash};
use crate::passkeys::{MOST_OF_A_USER as MOST_PASSKEYS, NewPasskey, Passkey, Registration};
use crate::second_factor::{Changed, FactorChange, Finished, LastStep, StoredFactors};
use crate::session::{Refresh, Session, SessionId, SessionPage, Verdict};
use crate::status::Candidates;
use crate::users::{Addition, DELETED, User, UserChange};
use crate::{Error, crypto};

/// A store in a PostgreSQL database.
pub(crate) struct PostgresStore {
    connections: Connections,
    turns: Turns,
    unacknowledged: Arc<Unacknowledged<Rotation>>,
}

impl PostgresStore {
    /// Opens the database; see [`open::open`].
    ///
    /// # Errors
    ///
    /// See [`open::open`]; also [`Error::Tls`] if the trusted certificates cannot be read.
    pub(crate) async fn open<T>(
        address: &PostgresUrl,
        missing: Missing,
        admit: impl Fn(&Vault) -> Result<T, Error>,
    ) -> Result<(Self, T), Error> {
        let connections = Connections::new(address)?;
        let admitted = open::open(&connections, address, missing, admit).await?;
        let unacknowledged = Unacknowledged::new();
        Ok((Self { connections, turns: Turns::new(), unacknowledged }, admitted))
    }

    /// Checks that the database can be opened; see [`open::check`].
    ///
    /// # Errors
    ///
    /// See [`open::check`]; also [`Error::Tls`] if the trusted certificates cannot be read.
    pub(crate) async fn check(
        address: &PostgresUrl,
        admit: impl Fn(&Vault) -> Result<(), Error>,
    ) -> Result<(), Error> {
        open::check(&Connections::new(address)?, address, admit).await
    }

    /// Returns true if another issuer is connected to the database.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if the database cannot be reached; [`Error::Tls`] if the trusted
    /// certificates cannot be read.
    pub(crate) async fn is_in_use(address: &PostgresUrl) -> Result<bool, Error> {
        Ok(in_use::is_in_use(&Connections::new(address)?).await?)
    }
}

impl Store for PostgresStore {
    fn add_user(&self, user: User, by: Actor) -> Answer<'_, bool> {
        Box::pin(async move {
            let (user, by) = (&user, &by);
            self.connections.transact(|db| async move { users::add(&db, user, by).await }).await
        })
    }

    fn add_users(&self, users: Vec<User>, by: Actor) -> Answer<'_, Vec<Addition>> {
        Box::pin(async move {
            // Read before the transaction. If that runs again after its COMMIT, it finds its own users.
            let ids: Vec<_> = users.iter().map(|user| user.id.as_str()).collect();
            let before =
                self.connections.read(users::WITH_IDS, &[(&ids, Type::TEXT_ARRAY)]).await?;
            let before = users::ids(&before)?;
            let (all, by) = (&users, &by);
            let after = self
                .connections
                .transact(|db| async move { users::add_all(&db, all, by).await })
                .await?;
            Ok(users::additions(&users, before, &after))
        })
    }

    fn change_user(
        &self,
        id: String,
        changes: Vec<UserChange>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let _turn = self.turns.take(&id).await?;
            let (id, changes, by) = (&id, &changes, &by);
            self.connections
                .transact(|db| async move { users::change(&db, id, changes, by, now).await })
                .await
        })
    }

    fn replace_hash(&self, user_id: String, old: String, new: String, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let _turn = self.turns.take(&user_id).await?;
            let (id, old, new) = (&user_id, &old, &new);
            self.connections
                .transact(|db| async move { users::replace_hash(&db, id, old, new, now).await })
                .await
        })
    }

    fn set_password(&self, new: NewPassword) -> Answer<'_, bool> {
        Box::pin(async move {
            let _turn = self.turns.take(&new.user_id).await?;
            let new = &new;
            self.connections.transact(|db| async move { users::set_password(&db, new).await }).await
        })
    }

    fn delete_user(&self, name: String, by: Actor, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            // The user is looked up before the transaction. If the transaction runs again after its
            // COMMIT, the name no longer exists.
            let id = self.user(name).await?.map(|user| user.id);
            let (known, by) = (id.as_deref(), &by);
            let delete = |db: Connection| async move {
                match known {
                    Some(id) => users::change(&db, id, &[UserChange::Deleted], by, now).await,
                    None => Ok(false),
                }
            };
            self.connections.transact(delete).await?;
            Ok(id.is_some())
        })
    }

    fn user(&self, name: String) -> Answer<'_, Option<User>> {
        Box::pin(async move {
            let rows = self.connections.read(users::BY_NAME, &[(&name, Type::TEXT)]).await?;
            Ok(rows.first().map(users::from_row).transpose()?)
        })
    }

    fn user_with_id(&self, id: String) -> Answer<'_, Option<User>> {
        Box::pin(async move {
            let rows = self.connections.read(users::BY_ID, &[(&id, Type::TEXT)]).await?;
            Ok(rows.first().map(users::from_row).transpose()?)
        })
    }

    fn users(&self, after: String, most: u32) -> Answer<'_, Vec<User>> {
        Box::pin(async move {
            let most = i64::from(most);
            let parameters: Parameters<'_> = &[(&after, Type::TEXT), (&most, Type::INT8)];
            let rows = self.connections.read(users::AFTER, parameters).await?;
            Ok(rows.iter().map(users::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn add_client(&self, client: Client, by: Actor) -> Answer<'_, bool> {
        Box::pin(async move {
            let (client, by) = (&client, &by);
            self.connections.transact(|db| async move { clients::add(&db, client, by).await }).await
        })
    }

    fn change_client(
        &self,
        id: String,
        changes: Vec<ClientChange>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let (id, changes, by) = (&id, &changes, &by);
            self.connections
                .transact(|db| async move { clients::change(&db, id, changes, by, now).await })
                .await
        })
    }

    fn client(&self, id: String) -> Answer<'_, Option<Client>> {
        Box::pin(async move {
            // The id comes from a request and may contain a zero byte. PostgreSQL refuses that in a
            // text.
            if id.contains('\0') {
                return Ok(None);
            }
            let rows = self.connections.read(clients::BY_ID, &[(&id, Type::TEXT)]).await?;
            Ok(rows.first().map(clients::from_row).transpose()?)
        })
    }

    fn client_named(&self, name: String) -> Answer<'_, Option<Client>> {
        Box::pin(async move {
            let rows = self.connections.read(clients::BY_NAME, &[(&name, Type::TEXT)]).await?;
            Ok(rows.first().map(clients::from_row).transpose()?)
        })
    }

    fn clients(&self, after: String, most: u32) -> Answer<'_, Vec<Client>> {
        Box::pin(async move {
            let most = i64::from(most);
            let parameters: Parameters<'_> = &[(&after, Type::TEXT), (&most, Type::INT8)];
            let rows = self.connections.read(clients::AFTER, parameters).await?;
            Ok(rows.iter().map(clients::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn add_once(&self, new: New, answer: NewAnswer, by: Actor) -> Answer<'_, Added> {
        Box::pin(async move {
            let (new, answer, by) = (&new, &answer, &by);
            self.connections
                .transact(|db| async move { idempotency::add(&db, new, answer, by).await })
                .await
        })
    }

    fn prune_answers(&self, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let prune = |db: Connection| async move { idempotency::prune_some(&db, now).await };
            while self.connections.transact(prune).await? > 0 {}
            Ok(())
        })
    }

    fn attempt(&self, attempt: Attempt) -> Answer<'_, throttle::Verdict> {
        Box::pin(async move {
            let _turn = self.turns.take(attempt.account).await?;
            let attempt = &attempt;
            self.connections
                .transact_unsynced(|db| async move { failures::attempt(&db, attempt).await })
                .await
        })
    }

    fn take_back(&self, failure: ProvisionalFailure) -> Answer<'_, ()> {
        Box::pin(async move {
            let failure = &failure;
            self.connections
                .transact_unsynced(|db| async move { failures::take_back(&db, failure).await })
                .await
        })
    }

    fn take_back_unless_undone(&self, failure: ProvisionalFailure) -> Answer<'_, ()> {
        Box::pin(async move {
            let failure = &failure;
            self.connections
                .transact_unsynced(|db| async move {
                    failures::take_back_unless_undone(&db, failure).await
                })
                .await
        })
    }

    fn take_back_if_counted(&self, attempt: Attempt) -> Answer<'_, ()> {
        Box::pin(async move {
            let attempt = &attempt;
            self.connections
                .transact_unsynced(|db| async move {
                    failures::take_back_if_counted(&db, attempt).await
                })
                .await
        })
    }

    fn prune_failures(&self, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let until = throttle::forgotten_before(now);
            let prune = |db: Connection| async move { failures::prune_some(&db, until).await };
            while self.connections.transact(prune).await? > 0 {}
            Ok(())
        })
    }

    fn open_session(
        &self,
        session: Session,
        password_hash: String,
        network: Network,
        failure: Option<ProvisionalFailure>,
        candidates: Option<Candidates>,
    ) -> Answer<'_, Option<Session>> {
        Box::pin(async move {
            let (session, password_hash, network) = (&session, &password_hash, &network);
            let (failure, candidates) = (failure.as_ref(), candidates.as_ref());
            let open = |db: Connection| async move {
                sessions::lock_and_open(&db, session, password_hash, network, failure, candidates)
                    .await
            };
            self.connections.transact(open).await
        })
    }

    fn refresh(&self, refresh: Refresh) -> Answer<'_, Verdict> {
        Box::pin(async move {
            let _turn = self.turns.take(refresh.token.session).await?;
            let rotation = crypto::random().map_err(|e| StoreError::Failed(e.to_string()))?;
            let in_flight = self.unacknowledged.begin(refresh.token.session, rotation);
            let (refresh, tracked) = (&refresh, &in_flight);
            let verdict = self
                .connections
                .transact(|db| async move { sessions::refresh(&db, refresh, tracked).await })
                .await?;
            in_flight.acknowledge();
            Ok(verdict)
        })
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>> {
        Box::pin(async move {
            let id = (&id.as_slice() as _, Type::BYTEA);
            let rows = self.connections.read(sessions::BY_ID, &[id]).await?;
            Ok(rows.first().map(sessions::from_row).transpose()?)
        })
    }

    fn live_sessions(&self, page: SessionPage) -> Answer<'_, Vec<Session>> {
        Box::pin(async move {
            let parameters: Parameters<'_> = &[
                (&page.user_id, Type::TEXT),
                (&rows::signed(page.now)?, Type::INT8),
                (&rows::signed(page.after.created_at)?, Type::INT8),
                (&page.after.id.as_slice(), Type::BYTEA),
                (&i64::from(page.most), Type::INT8),
            ];
            let rows = self.connections.read(sessions::LIVE, parameters).await?;
            Ok(rows.iter().map(sessions::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn end_session(&self, id: SessionId, by: Actor, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await?;
            let by = &by;
            self.connections
                .transact(|db| async move { sessions::end(&db, id, by, now).await })
                .await
        })
    }

    fn prune(&self, at: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let prune = |db: Connection| async move { sessions::prune_some(&db, at).await };
            while self.connections.transact(prune).await? > 0 {}
            let mut last = Some(DELETED.to_owned());
            while let Some(after) = last {
                let after = after.as_str();
                let prune = |db: Connection| async move { users::prune_some(&db, after).await };
                last = self.connections.transact(prune).await?;
            }
            Ok(())
        })
    }

    fn add_one_time_token(&self, token: OneTimeToken, by: Actor) -> Answer<'_, ()> {
        Box::pin(async move {
            let (token, by) = (&token, &by);
            self.connections.transact(|db| async move { one_time::add(&db, token, by).await }).await
        })
    }

    fn one_time_token(
        &self,
        hash: TokenHash,
        purpose: Purpose,
        now: u64,
    ) -> Answer<'_, Option<OneTimeToken>> {
        Box::pin(async move {
            let parameters: Parameters<'_> = &[
                (&hash.as_slice(), Type::BYTEA),
                (&purpose.as_str(), Type::TEXT),
                (&rows::signed(now)?, Type::INT8),
            ];
            let rows = self.connections.read(one_time::FIND, parameters).await?;
            Ok(rows.first().map(|row| one_time::from_row(row, purpose)).transpose()?)
        })
    }

    fn prune_one_time_tokens(&self, at: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let prune = |db: Connection| async move { one_time::prune_some(&db, at).await };
            while self.connections.transact(prune).await? > 0 {}
            Ok(())
        })
    }

    fn factors(&self, user_id: String) -> Answer<'_, StoredFactors> {
        Box::pin(async move {
            let rows = self.connections.read(factors::OF_USER, &[(&user_id, Type::TEXT)]).await?;
            Ok(factors::from_row(rows.first().ok_or_else(rows::malformed)?)?)
        })
    }

    fn change_factors(
        &self,
        user_id: String,
        change: FactorChange,
        session: Option<SessionId>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, Changed> {
        Box::pin(async move {
            let _turn = self.turns.take(&user_id).await?;
            let (id, change, by) = (&user_id, &change, &by);
            let make = |db: Connection, last| async move {
                factors::change(&db, id, change, session, by, now, last).await
            };
            self.connections.transact_knowing(make).await
        })
    }

    fn finish(&self, step: LastStep) -> Answer<'_, Finished> {
        Box::pin(async move {
            let _turn = self.turns.take(&step.user_id).await?;
            let step = &step;
            let take = |db: Connection, last| async move { factors::finish(&db, step, last).await };
            self.connections.transact_knowing(take).await
        })
    }

    fn prune_factors(&self, until: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let prune = |db: Connection| async move { factors::prune_some(&db, until).await };
            while self.connections.transact(prune).await? > 0 {}
            Ok(())
        })
    }

    fn add_passkey(&self, new: NewPasskey) -> Answer<'_, Registration> {
        Box::pin(async move {
            let _turn = self.turns.take(&new.passkey.user_id).await?;
            let new = &new;
            let add = |db: Connection, last| async move { passkeys::add(&db, new, last).await };
            self.connections.transact_knowing(add).await
        })
    }

    fn passkey(&self, id: Vec<u8>) -> Answer<'_, Option<Passkey>> {
        Box::pin(async move {
            let rows = self.connections.read(passkeys::FIND, &[(&id, Type::BYTEA)]).await?;
            Ok(rows.first().map(passkeys::from_row).transpose()?)
        })
    }

    fn passkeys(&self, user_id: String) -> Answer<'_, Vec<Passkey>> {
        Box::pin(async move {
            let most = i64::from(MOST_PASSKEYS);
            let parameters: Parameters<'_> = &[(&user_id, Type::TEXT), (&most, Type::INT8)];
            let rows = self.connections.read(passkeys::ALL, parameters).await?;
            Ok(rows.iter().map(passkeys::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn rename_passkey(
        &self,
        user_id: String,
        id: Vec<u8>,
        name: String,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let _turn = self.turns.take(&user_id).await?;
            let (user_id, id, name, by) = (&user_id, &id, &name, &by);
            self.connections
                .transact(
                    |db| async move { passkeys::rename(&db, user_id, id, name, by, now).await },
                )
                .await
        })
    }

    fn remove_passkey(
        &self,
        user_id: String,
        id: Vec<u8>,
        by: Actor,
        now: u64,
    ) -> Answer<'_, bool> {
        Box::pin(async move {
            let _turn = self.turns.take(&user_id).await?;
            let (user_id, id, by) = (&user_id, &id, &by);
            let remove = |db: Connection, last| async move {
                let is_removed = passkeys::remove(&db, user_id, id, by, now).await?;
                // The last run had found it, and it is gone now.
                Ok(is_removed || last == Some(true))
            };
            self.connections.transact_knowing(remove).await
        })
    }

    fn newest_status_list(&self) -> Answer<'_, u32> {
        Box::pin(async {
            let rows = self.connections.read(sessions::NEWEST_STATUS_LIST, &[]).await?;
            Ok(rows.first().map_or(Ok(0), rows::only)?)
        })
    }

    fn ended_sessions(&self, list: u32, at: u64) -> Answer<'_, Vec<u32>> {
        Box::pin(async move {
            let (list, at) = (i64::from(list), rows::signed(at)?);
            let parameters: Parameters<'_> = &[(&list, Type::INT8), (&at, Type::INT8)];
            let rows = self.connections.read(sessions::ENDED, parameters).await?;
            Ok(rows.iter().map(rows::only).collect::<Result<_, _>>()?)
        })
    }

    fn keys(&self) -> Answer<'_, Vec<KeyRecord>> {
        Box::pin(async {
            let rows = self.connections.read(keys::ALL, &[]).await?;
            Ok(rows.iter().map(keys::from_row).collect::<Result<_, _>>()?)
        })
    }

    fn change_keys(&self, change: KeyChange, by: Actor, now: u64) -> Answer<'_, Vault> {
        Box::pin(async move {
            let (change, by) = (&*change, &by);
            self.connections
                .transact(|db| async move { keys::change(&db, change, by, now).await })
                .await
        })
    }

    fn latest_time(&self) -> Answer<'_, Option<u64>> {
        Box::pin(async {
            let rows = self.connections.read(clock::LATEST, &[]).await?;
            Ok(rows.first().map(|row| rows::number(row, "latest")).transpose()?)
        })
    }

    fn remember_time(&self, now: u64) -> Answer<'_, u64> {
        Box::pin(async move {
            self.connections.transact(|db| async move { clock::remember(&db, now).await }).await
        })
    }

    fn reset_time(&self, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            self.connections.transact(|db| async move { clock::reset(&db, now).await }).await
        })
    }

    fn record(&self, entries: Vec<NewEntry>) -> Answer<'_, ()> {
        Box::pin(async move {
            // Taken before the transaction. If that runs again after its COMMIT, it finds its own
            // entries by their ids.
            let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
            let rows = self.connections.read(audit::NEW_IDS, &[(&count, Type::INT8)]).await?;
            let ids: Vec<i64> = rows
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()
                .map_err(Failure::from)?;
            let (ids, entries) = (&ids, &entries);
            self.connections
                .transact(|db| async move { audit::record_all(&db, ids, entries).await })
                .await
        })
    }

    fn audit(&self, filter: AuditFilter) -> Answer<'_, Vec<AuditEntry>> {
        Box::pin(async move { audit::last(&self.connections, &filter).await })
    }

    fn prune_audit(&self, before: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let prune = |db: Connection| async move { audit::prune_some(&db, before).await };
            while self.connections.transact(prune).await? > 0 {}
            Ok(())
        })
    }

    fn size(&self, now: u64) -> Answer<'_, Size> {
        Box::pin(async move {
            let now = rows::signed(now)?;
            let parameters: Parameters<'_> = &[(&now, Type::INT8), (&size::MOST, Type::INT8)];
            let rows = self.connections.read(size::READ, parameters).await?;
            Ok(size::from_row(rows.first().ok_or_else(rows::malformed)?)?)
        })
    }

    fn export(&self, parts: PartsOut) -> Answer<'_, ()> {
        Box::pin(async move {
            let export = |db: Connection| async move { copy::postgres::export(&db, &parts).await };
            self.connections.transact_once(copy::postgres::BEGIN_EXPORT, export).await
        })
    }

    fn import(&self, mut parts: Parts) -> Answer<'_, bool> {
        Box::pin(async move {
            let import =
                |db: Connection| async move { copy::postgres::import(&db, &mut parts).await };
            self.connections.transact_once(copy::postgres::BEGIN_IMPORT, import).await
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let probe = |db: Connection| async move { Ok(db.batch_execute(probe::WRITE).await?) };
            self.connections.transact(probe).await
        })
    }
}
