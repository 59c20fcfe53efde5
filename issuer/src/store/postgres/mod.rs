//! The store in a PostgreSQL database, which several issuers may share.

mod connection;
mod open;
mod rows;
mod unanswered;

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::types::Type;

pub(in crate::store) use self::connection::Failure;
use self::connection::{Connections, Lent, Parameters};
use self::rows::{audit, signed};
use self::unanswered::{Rotation, Unanswered, UnderWay};
use super::copy::{self, Parts, PartsOut};
use super::{
    Answer, AuditEntry, Client, ClientChange, KeyChange, Missing, NO_SUBJECT, Store, StoreError,
    User, hex, key_events,
};
use crate::config::PostgresUrl;
use crate::keys::{KeyRecord, Vault};
use crate::login::throttle::{self, Attempt, Reserved};
use crate::session::{Lifetimes, Refresh, Session, SessionId, Verdict, decide};
use crate::status::Candidates;
use crate::{Error, crypto};

/// A store in a PostgreSQL database.
pub(crate) struct PostgresStore {
    connections: Connections,
    unanswered: Unanswered,
}

impl PostgresStore {
    /// Opens the database; see [`open::open`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) async fn open<T>(
        address: &PostgresUrl,
        missing: Missing,
        admit: impl Fn(&Vault) -> Result<T, Error>,
    ) -> Result<(Self, T), Error> {
        let connections = Connections::new(address)?;
        let admitted = open::open(&connections, address, missing, admit).await?;
        Ok((Self { connections, unanswered: Unanswered::default() }, admitted))
    }
}

impl Store for PostgresStore {
    fn add_user(&self, user: User) -> Answer<'_, bool> {
        Box::pin(async move {
            let user = &user;
            let add = |db: Lent| async move {
                let added = db
                    .execute_typed(
                        "INSERT INTO countersign.users
                         (id, name, scope, password_hash, created_at, locked)
                         VALUES ($1, $2, $3, $4, $5, $6)
                         ON CONFLICT DO NOTHING",
                        &[
                            (&user.id, Type::TEXT),
                            (&user.name, Type::TEXT),
                            (&user.scope, Type::TEXT),
                            (&user.password_hash, Type::TEXT),
                            (&signed(user.created_at)?, Type::INT8),
                            (&user.locked, Type::BOOL),
                        ],
                    )
                    .await?;
                if added == 1 {
                    audit(&db, user.created_at, "user_added", &user.id).await?;
                    return Ok(true);
                }
                // The id is random: that user was added by an earlier attempt.
                let same = "SELECT FROM countersign.users WHERE id = $1";
                Ok(db.query_typed_opt(same, &[(&user.id, Type::TEXT)]).await?.is_some())
            };
            self.connections.transact(add).await
        })
    }

    fn set_password(&self, name: String, hash: String, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            let (name, hash) = (&name, &hash);
            let set = |db: Lent| async move {
                // The row's lock keeps logins away that were checked against the old password;
                // what those before it opened is seen by the statements after it.
                let Some(user) = rows::user_to_change(&db, name).await? else { return Ok(false) };
                // A hash has a random salt: an earlier attempt set it.
                if user.password_hash == *hash {
                    return Ok(true);
                }
                db.execute_typed(
                    "UPDATE countersign.users SET password_hash = $2 WHERE id = $1",
                    &[(&user.id, Type::TEXT), (hash, Type::TEXT)],
                )
                .await?;
                revoke_all(&db, &user.id).await?;
                audit(&db, now, "password_changed", &user.id).await?;
                Ok(true)
            };
            self.connections.transact(set).await
        })
    }

    fn replace_hash(&self, user_id: String, old: String, new: String, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let (user_id, old, new) = (&user_id, &old, &new);
            let replace = |db: Lent| async move {
                let update = "UPDATE countersign.users SET password_hash = $3
                              WHERE id = $1 AND password_hash = $2";
                let text = |text| (text as _, Type::TEXT);
                let replaced =
                    db.execute_typed(update, &[text(user_id), text(old), text(new)]).await?;
                // An earlier attempt has done both, or neither.
                if replaced == 1 {
                    audit(&db, now, "password_rehashed", user_id).await?;
                }
                Ok(())
            };
            self.connections.transact(replace).await
        })
    }

    fn lock_user(&self, name: String, locked: bool, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            let name = &name;
            let lock = |db: Lent| async move {
                let Some(user) = rows::user_to_change(&db, name).await? else { return Ok(false) };
                if user.locked == locked {
                    return Ok(true);
                }
                let update = "UPDATE countersign.users SET locked = $2 WHERE id = $1";
                db.execute_typed(update, &[(&user.id, Type::TEXT), (&locked, Type::BOOL)]).await?;
                if locked {
                    revoke_all(&db, &user.id).await?;
                }
                let event = if locked { "user_locked" } else { "user_unlocked" };
                audit(&db, now, event, &user.id).await?;
                Ok(true)
            };
            self.connections.transact(lock).await
        })
    }

    fn delete_user(&self, name: String, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            // Outside, so that an attempt after one that was committed still knows whom it is about.
            let Some(user) = self.user(name).await? else { return Ok(false) };
            let (id, name) = (&user.id, &user.name);
            let delete = |db: Lent| async move {
                // A name that nobody can have: with a control character.
                let delete = "UPDATE countersign.users SET name = chr(7) || id, scope = '',
                              password_hash = '', locked = true WHERE id = $1 AND name = $2";
                if db.execute_typed(delete, &[(id, Type::TEXT), (name, Type::TEXT)]).await? == 1 {
                    revoke_all(&db, id).await?;
                    audit(&db, now, "user_deleted", id).await?;
                }
                Ok(true)
            };
            self.connections.transact(delete).await
        })
    }

    fn user(&self, name: String) -> Answer<'_, Option<User>> {
        Box::pin(async move {
            let statement = "SELECT * FROM countersign.users WHERE name = $1";
            let rows = self.connections.read(statement, &[(&name, Type::TEXT)]).await?;
            Ok(rows.first().map(rows::user).transpose()?)
        })
    }

    fn users(&self) -> Answer<'_, Vec<User>> {
        Box::pin(async {
            let statement = "SELECT * FROM countersign.users WHERE name >= chr(8) ORDER BY name";
            let rows = self.connections.read(statement, &[]).await?;
            Ok(rows.iter().map(rows::user).collect::<Result<_, _>>()?)
        })
    }

    fn add_client(&self, client: Client) -> Answer<'_, bool> {
        Box::pin(async move {
            let client = &client;
            let add = |db: Lent| async move {
                let added = db
                    .execute_typed(
                        "INSERT INTO countersign.clients
                         (id, name, scope, secret_hash, locked, created_at)
                         VALUES ($1, $2, $3, $4, $5, $6)
                         ON CONFLICT DO NOTHING",
                        &[
                            (&client.id, Type::TEXT),
                            (&client.name, Type::TEXT),
                            (&client.scope, Type::TEXT),
                            (&client.secret_hash, Type::BYTEA),
                            (&client.locked, Type::BOOL),
                            (&signed(client.created_at)?, Type::INT8),
                        ],
                    )
                    .await?;
                if added == 1 {
                    audit(&db, client.created_at, "client_added", &client.id).await?;
                    return Ok(true);
                }
                // As with users.
                let same = "SELECT FROM countersign.clients WHERE id = $1";
                Ok(db.query_typed_opt(same, &[(&client.id, Type::TEXT)]).await?.is_some())
            };
            self.connections.transact(add).await
        })
    }

    fn change_client(&self, name: String, change: ClientChange, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            let (name, change) = (&name, &change);
            let change = |db: Lent| async move {
                let found = "SELECT * FROM countersign.clients WHERE name = $1 FOR UPDATE";
                let client = db.query_typed_opt(found, &[(name, Type::TEXT)]).await?;
                let Some(client) = client else { return Ok(false) };
                let client = rows::client(&client)?;
                let id = (&client.id as _, Type::TEXT);
                let event = match change {
                    ClientChange::Secret(hash) if client.secret_hash == *hash => return Ok(true),
                    ClientChange::Secret(hash) => {
                        let update =
                            "UPDATE countersign.clients SET secret_hash = $2 WHERE id = $1";
                        db.execute_typed(update, &[id, (hash, Type::BYTEA)]).await?;
                        "client_secret_changed"
                    }
                    ClientChange::Locked(locked) if client.locked == *locked => return Ok(true),
                    ClientChange::Locked(locked) => {
                        let update = "UPDATE countersign.clients SET locked = $2 WHERE id = $1";
                        db.execute_typed(update, &[id, (locked, Type::BOOL)]).await?;
                        if *locked { "client_locked" } else { "client_unlocked" }
                    }
                };
                audit(&db, now, event, &client.id).await?;
                Ok(true)
            };
            self.connections.transact(change).await
        })
    }

    fn client(&self, id: String) -> Answer<'_, Option<Client>> {
        Box::pin(async move {
            // It comes as it was sent; a text of PostgreSQL cannot hold a zero.
            if id.contains('\0') {
                return Ok(None);
            }
            let statement = "SELECT * FROM countersign.clients WHERE id = $1";
            let rows = self.connections.read(statement, &[(&id, Type::TEXT)]).await?;
            Ok(rows.first().map(rows::client).transpose()?)
        })
    }

    fn clients(&self) -> Answer<'_, Vec<Client>> {
        Box::pin(async {
            let statement = "SELECT * FROM countersign.clients ORDER BY name";
            let rows = self.connections.read(statement, &[]).await?;
            Ok(rows.iter().map(rows::client).collect::<Result<_, _>>()?)
        })
    }

    fn attempt(&self, attempt: Attempt) -> Answer<'_, throttle::Verdict> {
        Box::pin(async move {
            let attempt = &attempt;
            let count = |db: Lent| async move {
                // The account's row is locked first by all that change one of its counters.
                let found = rows::failures_to_change(&db, attempt).await?;
                let verdict = throttle::decide(attempt, &found);
                if let throttle::Verdict::Admit(Reserved { own, everywhere }) = &verdict {
                    rows::put_failures(&db, own).await?;
                    if let Some(everywhere) = everywhere {
                        rows::put_failures(&db, everywhere).await?;
                    }
                }
                Ok(verdict)
            };
            self.connections.transact_unsynced(count).await
        })
    }

    fn open_session(
        &self,
        session: Session,
        password_hash: String,
        reserved: Option<Reserved>,
        draw: Option<Candidates>,
    ) -> Answer<'_, Option<Session>> {
        Box::pin(async move {
            let (session, password_hash) = (&session, &password_hash);
            let (reserved, draw) = (&reserved, &draw);
            let open = |db: Lent| async move {
                let opened = db
                    .execute_typed(
                        // The lock makes a change of the password wait, or this wait for it and
                        // look at the row once more.
                        "INSERT INTO countersign.sessions
                         (id, user_id, client_id, scope, counter, created_at, rotated_at,
                          expires_at, revoked)
                         SELECT $1, id, $3, $4, $5, $6, $7, $8, false FROM countersign.users
                         WHERE id = $2 AND password_hash = $9 AND NOT locked FOR SHARE
                         ON CONFLICT DO NOTHING",
                        &[
                            (&session.id.as_slice(), Type::BYTEA),
                            (&session.user_id, Type::TEXT),
                            (&session.client_id, Type::TEXT),
                            (&session.scope, Type::TEXT),
                            (&signed(session.counter)?, Type::INT8),
                            (&signed(session.created_at)?, Type::INT8),
                            (&signed(session.rotated_at)?, Type::INT8),
                            (&signed(session.expires_at)?, Type::INT8),
                            (password_hash, Type::TEXT),
                        ],
                    )
                    .await?;
                if opened == 1 {
                    let mut session = session.clone();
                    if let Some(draw) = draw {
                        session.status = rows::set_place(&db, session.id, draw).await?;
                    }
                    audit(&db, session.created_at, "login", &hex(&session.id)).await?;
                    if let Some(reserved) = reserved {
                        rows::take_back(&db, reserved).await?;
                    }
                    return Ok(Some(session));
                }
                // The id is random: an earlier attempt opened that session.
                let same = "SELECT * FROM countersign.sessions WHERE id = $1 AND NOT revoked";
                let id = (&session.id.as_slice() as _, Type::BYTEA);
                db.query_typed_opt(same, &[id]).await?.as_ref().map(rows::session).transpose()
            };
            self.connections.transact(open).await
        })
    }

    fn refresh(&self, refresh: Refresh) -> Answer<'_, Verdict> {
        Box::pin(async move {
            let rotation: Rotation = crypto::random().map_err(|e| StoreError(e.to_string()))?;
            let mut under_way = UnderWay {
                rotation,
                moved: AtomicBool::new(false),
                answered: false,
                unanswered: &self.unanswered,
            };
            let (refresh, moved) = (&refresh, &under_way.moved);
            let verdict = self.connections.transact(|db: Lent| async move {
                let id = refresh.token.session;
                let row = db
                    .query_typed_opt(
                        "SELECT * FROM countersign.sessions WHERE id = $1 FOR UPDATE",
                        &[(&id.as_slice(), Type::BYTEA)],
                    )
                    .await?;
                let Some(row) = row else { return Ok(Verdict::Refuse) };
                let session = rows::session(&row)?;
                let last: Option<&[u8]> = row.try_get("rotation")?;
                let unanswered =
                    last.is_some_and(|last| last == rotation || self.unanswered.contains(last));
                let mut verdict = if unanswered {
                    // The grace of a token begins when its successor is answered.
                    let lifetimes = Lifetimes { grace: u64::MAX, ..refresh.lifetimes };
                    decide(&session, &Refresh { lifetimes, ..refresh.clone() })
                } else {
                    decide(&session, refresh)
                };
                match &mut verdict {
                    Verdict::Rotate(next) => {
                        moved.store(true, Ordering::Relaxed);
                        db.execute_typed(
                            "UPDATE countersign.sessions SET counter = $2, rotated_at = $3,
                             expires_at = $4, rotation = $5 WHERE id = $1",
                            &[
                                (&id.as_slice(), Type::BYTEA),
                                (&signed(next.counter)?, Type::INT8),
                                (&signed(next.rotated_at)?, Type::INT8),
                                (&signed(next.expires_at)?, Type::INT8),
                                (&rotation.as_slice(), Type::BYTEA),
                            ],
                        )
                        .await?;
                        if let (None, Some(draw)) = (next.status, &refresh.draw) {
                            next.status = rows::set_place(&db, id, draw).await?;
                        }
                    }
                    Verdict::Repeat(_) => {
                        audit(&db, refresh.now, "refresh_repeated", &hex(&id)).await?;
                    }
                    Verdict::Reuse => {
                        revoke(&db, id).await?;
                        audit(&db, refresh.now, "refresh_reused", &hex(&id)).await?;
                    }
                    Verdict::Refuse | Verdict::ScopeTooWide => {}
                }
                Ok(verdict)
            });
            let verdict = verdict.await;
            under_way.answered = verdict.is_ok();
            verdict
        })
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>> {
        Box::pin(async move {
            let statement = "SELECT * FROM countersign.sessions WHERE id = $1";
            let rows = self.connections.read(statement, &[(&id.as_slice(), Type::BYTEA)]).await?;
            Ok(rows.first().map(rows::session).transpose()?)
        })
    }

    fn end_session(&self, id: SessionId, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            let end = |db: Lent| async move {
                if revoke(&db, id).await? {
                    audit(&db, now, "session_ended", &hex(&id)).await?;
                }
                Ok(())
            };
            self.connections.transact(end).await
        })
    }

    fn prune(&self, at: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            // In parts that take no long time; what somebody else holds is left for the next one.
            let prune = |db: Lent| async move {
                let statement = "DELETE FROM countersign.sessions WHERE id IN (
                                   SELECT id FROM countersign.sessions WHERE expires_at <= $1
                                   LIMIT 1000 FOR UPDATE SKIP LOCKED)";
                Ok(db.execute_typed(statement, &[(&signed(at)?, Type::INT8)]).await?)
            };
            while self.connections.transact(prune).await? > 0 {}
            let prune = |db: Lent| async move {
                let statement = "DELETE FROM countersign.users AS u
                                 WHERE name >= chr(7) AND name < chr(8) AND NOT EXISTS
                                   (SELECT FROM countersign.sessions WHERE user_id = u.id)";
                Ok(db.execute_typed(statement, &[]).await?)
            };
            self.connections.transact(prune).await?;
            Ok(())
        })
    }

    fn prune_failures(&self, now: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            // As with sessions.
            let prune = |db: Lent| async move {
                let statement = "DELETE FROM countersign.login_failures WHERE counter IN (
                                   SELECT counter FROM countersign.login_failures
                                   WHERE last_at <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)";
                let forgotten = signed(throttle::forgotten_before(now))?;
                Ok(db.execute_typed(statement, &[(&forgotten, Type::INT8)]).await?)
            };
            while self.connections.transact(prune).await? > 0 {}
            Ok(())
        })
    }

    fn newest_status_list(&self) -> Answer<'_, u32> {
        Box::pin(async {
            let statement = "SELECT coalesce(max(status_list), 0) FROM countersign.sessions
                             WHERE status_list IS NOT NULL";
            let rows = self.connections.read(statement, &[]).await?;
            Ok(rows.first().map_or(Ok(0), rows::only)?)
        })
    }

    fn ended_sessions(&self, list: u32, at: u64) -> Answer<'_, Vec<u32>> {
        Box::pin(async move {
            let statement = "SELECT status_index FROM countersign.sessions
                             WHERE status_list = $1 AND revoked AND expires_at > $2";
            let (list, at) = (i64::from(list), signed(at)?);
            let parameters: Parameters<'_> = &[(&list, Type::INT8), (&at, Type::INT8)];
            let rows = self.connections.read(statement, parameters).await?;
            Ok(rows.iter().map(rows::only).collect::<Result<_, _>>()?)
        })
    }

    fn keys(&self) -> Answer<'_, Vec<KeyRecord>> {
        Box::pin(async {
            let rows = self.connections.read(rows::KEYS, &[]).await?;
            Ok(rows.iter().map(rows::key).collect::<Result<_, _>>()?)
        })
    }

    fn change_keys(&self, change: KeyChange, now: u64) -> Answer<'_, Vault> {
        Box::pin(async move {
            let change = &change;
            let change = |db: Lent| async move {
                // One at a time; that row is there as long as the database.
                db.query_typed("SELECT FROM countersign.database FOR UPDATE", &[]).await?;
                let before = rows::vault(&db).await?;
                let after = change(&before);
                for old in before.keys.iter().filter(|old| !after.keys.contains(old)) {
                    let delete = "DELETE FROM countersign.keys WHERE kid = $1";
                    db.execute_typed(delete, &[(&old.kid, Type::TEXT)]).await?;
                }
                for key in after.keys.iter().filter(|key| !before.keys.contains(key)) {
                    rows::insert_key(&db, key).await?;
                }
                if before.secret != after.secret {
                    rows::set_secret(&db, after.secret.as_deref()).await?;
                }
                for (event, subject) in key_events(&before, &after, now) {
                    audit(&db, now, &event, &subject).await?;
                }
                rows::vault(&db).await
            };
            self.connections.transact(change).await
        })
    }

    fn export(&self, parts: PartsOut) -> Answer<'_, ()> {
        Box::pin(async move {
            let export = |db: Lent| async move { copy::postgres::export(&db, &parts).await };
            self.connections.transact_once(copy::postgres::BEGIN_EXPORT, export).await
        })
    }

    fn import(&self, mut parts: Parts) -> Answer<'_, bool> {
        Box::pin(async move {
            let import = |db: Lent| async move { copy::postgres::import(&db, &mut parts).await };
            self.connections.transact_once(copy::postgres::BEGIN_IMPORT, import).await
        })
    }

    fn latest_time(&self) -> Answer<'_, Option<u64>> {
        Box::pin(async {
            let rows = self.connections.read("SELECT latest FROM countersign.clock", &[]).await?;
            Ok(rows.first().map(|row| rows::number(row, "latest")).transpose()?)
        })
    }

    fn remember_time(&self, now: u64) -> Answer<'_, u64> {
        Box::pin(async move {
            let remember = |db: Lent| async move {
                let latest = "INSERT INTO countersign.clock AS stored (id, latest) VALUES (1, $1)
                              ON CONFLICT (id) DO UPDATE
                              SET latest = greatest(stored.latest, excluded.latest)
                              RETURNING latest";
                let row = db.query_typed_one(latest, &[(&signed(now)?, Type::INT8)]).await?;
                rows::number(&row, "latest")
            };
            self.connections.transact(remember).await
        })
    }

    fn reset_time(&self, now: u64) -> Answer<'_, bool> {
        Box::pin(async move {
            let reset = |db: Lent| async move {
                let reset = "UPDATE countersign.clock SET latest = $1 WHERE latest > $1";
                let reset = db.execute_typed(reset, &[(&signed(now)?, Type::INT8)]).await?;
                if reset > 0 {
                    audit(&db, now, "clock_reset", NO_SUBJECT).await?;
                }
                Ok(reset > 0)
            };
            self.connections.transact(reset).await
        })
    }

    fn audit(&self, subject: Option<String>, most: u32) -> Answer<'_, Vec<AuditEntry>> {
        Box::pin(async move {
            let statement = "SELECT * FROM (SELECT id, at, event, subject FROM countersign.audit
                               WHERE $1 IS NULL OR subject = $1 ORDER BY id DESC LIMIT $2) AS last
                             ORDER BY id";
            let parameters = [(&subject as _, Type::TEXT), (&i64::from(most) as _, Type::INT8)];
            let rows = self.connections.read(statement, &parameters).await?;
            Ok(rows.iter().map(rows::entry).collect::<Result<_, _>>()?)
        })
    }

    fn prune_audit(&self, before: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            // As with sessions; only the beginning is looked at: times go up with the ids.
            let part = |db: Lent| async move {
                let statement = "DELETE FROM countersign.audit WHERE at < $1 AND id IN (
                                   SELECT id FROM countersign.audit ORDER BY id
                                   LIMIT 1000 FOR UPDATE SKIP LOCKED)";
                Ok(db.execute_typed(statement, &[(&signed(before)?, Type::INT8)]).await?)
            };
            while self.connections.transact(part).await? > 0 {}
            Ok(())
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async {
            // Anybody may ask. So it costs a write only while writes fail: a full disk is not
            // noticed by asking.
            if self.connections.is_failing() {
                let touch = "UPDATE countersign.database SET schema_version = schema_version";
                return self
                    .connections
                    .transact(|db: Lent| async move { Ok(db.batch_execute(touch).await?) })
                    .await;
            }
            let statement = "SELECT current_setting('transaction_read_only') = 'off'";
            let rows = self.connections.read(statement, &[]).await?;
            match rows.first().map(|row| row.try_get(0)) {
                Some(Ok(true)) => Ok(()),
                _ => Err(StoreError("the database cannot be written".to_owned())),
            }
        })
    }
}

/// Ends a session; `false` if it has ended or never was.
async fn revoke(db: &Lent, id: SessionId) -> Result<bool, Failure> {
    let statement = "UPDATE countersign.sessions SET revoked = true WHERE id = $1 AND NOT revoked";
    Ok(db.execute_typed(statement, &[(&id.as_slice(), Type::BYTEA)]).await? == 1)
}

async fn revoke_all(db: &Lent, user_id: &str) -> Result<(), Failure> {
    let statement = "UPDATE countersign.sessions SET revoked = true WHERE user_id = $1";
    db.execute_typed(statement, &[(&user_id, Type::TEXT)]).await?;
    Ok(())
}
