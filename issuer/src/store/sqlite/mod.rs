//! The store in one SQLite file: a thread with the only connection that writes, and those that read.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

mod open;
mod readers;
mod worker;
mod writer;

use self::open::Connections;
use self::readers::Readers;
use self::writer::Writer;
use super::copy::{self, Parts, PartsOut};
use super::{
    Answer, AuditEntry, Client, ClientChange, KeyChange, NO_SUBJECT, Store, User, hex, key_events,
};
use crate::Error;
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::login::throttle::{self, Attempt, Counter, Failures, Reserved};
use crate::sealing::DeploymentSecret;
use crate::session::{Refresh, Session, SessionId, Verdict, decide};
use crate::status::{self, Candidates};

/// A store in an SQLite file.
pub(crate) struct SqliteStore {
    readers: Readers,
    // The last one to be closed, so that the write-ahead log is folded into the file.
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file; see [`open::open`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn open<T>(
        path: &Path,
        admit: impl FnOnce(&Vault) -> Result<T, Error>,
    ) -> Result<(Self, T), Error> {
        let Connections { writer, reader, at_hand, admitted } = open::open(path, admit)?;
        let thread = |e: std::io::Error| Error::System(format!("cannot start a thread: {e}"));
        let store = Self {
            writer: Writer::start(writer).map_err(thread)?,
            readers: Readers::start(at_hand, reader).map_err(thread)?,
        };
        Ok((store, admitted))
    }

    /// Runs `job`, and answers once what it changed is on the disk.
    fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.writer.run(job)
    }
}

impl Store for SqliteStore {
    fn add_user(&self, user: User) -> Answer<'_, bool> {
        self.write(move |db| {
            let added = db.execute(
                "INSERT INTO users (id, name, scope, password_hash, created_at, locked)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING",
                params![
                    user.id,
                    user.name,
                    user.scope,
                    user.password_hash,
                    user.created_at,
                    user.locked,
                ],
            )?;
            if added == 1 {
                audit(db, user.created_at, "user_added", &user.id)?;
            }
            Ok(added == 1)
        })
    }

    fn set_password(&self, name: String, hash: String, now: u64) -> Answer<'_, bool> {
        self.write(move |db| {
            let id: Option<String> = db
                .query_row(
                    "UPDATE users SET password_hash = ?2 WHERE name = ?1 RETURNING id",
                    params![name, hash],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(id) = id else { return Ok(false) };
            db.execute("UPDATE sessions SET revoked = 1 WHERE user_id = ?1", [&id])?;
            audit(db, now, "password_changed", &id)?;
            Ok(true)
        })
    }

    fn replace_hash(&self, user_id: String, old: String, new: String, now: u64) -> Answer<'_, ()> {
        self.write(move |db| {
            let replaced = db.execute(
                "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2",
                [&user_id, &old, &new],
            )?;
            if replaced == 1 {
                audit(db, now, "password_rehashed", &user_id)?;
            }
            Ok(())
        })
    }

    fn lock_user(&self, name: String, locked: bool, now: u64) -> Answer<'_, bool> {
        self.write(move |db| {
            let found = db.query_row("SELECT * FROM users WHERE name = ?1", [name], user_of);
            let Some(User { id, locked: is_locked, .. }) = found.optional()? else {
                return Ok(false);
            };
            if is_locked == locked {
                return Ok(true);
            }
            db.execute("UPDATE users SET locked = ?2 WHERE id = ?1", params![id, locked])?;
            if locked {
                db.execute("UPDATE sessions SET revoked = 1 WHERE user_id = ?1", [&id])?;
            }
            audit(db, now, if locked { "user_locked" } else { "user_unlocked" }, &id)?;
            Ok(true)
        })
    }

    fn delete_user(&self, name: String, now: u64) -> Answer<'_, bool> {
        self.write(move |db| {
            // A name that nobody can have: with a control character.
            let delete = "UPDATE users SET name = char(7) || id, scope = '', password_hash = '',
                          locked = 1 WHERE name = ?1 RETURNING id";
            let id: Option<String> = db.query_row(delete, [name], |row| row.get(0)).optional()?;
            let Some(id) = id else { return Ok(false) };
            db.execute("UPDATE sessions SET revoked = 1 WHERE user_id = ?1", [&id])?;
            audit(db, now, "user_deleted", &id)?;
            Ok(true)
        })
    }

    fn user(&self, name: String) -> Answer<'_, Option<User>> {
        self.readers.look_up(move |db| {
            db.prepare_cached("SELECT * FROM users WHERE name = ?1")?
                .query_row([&name], user_of)
                .optional()
        })
    }

    fn users(&self) -> Answer<'_, Vec<User>> {
        self.readers.read(|db| {
            let users = "SELECT * FROM users WHERE name >= char(8) ORDER BY name";
            db.prepare(users)?.query_map([], user_of)?.collect()
        })
    }

    fn add_client(&self, client: Client) -> Answer<'_, bool> {
        self.write(move |db| {
            let added = db.execute(
                "INSERT INTO clients (id, name, scope, secret_hash, locked, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO NOTHING",
                params![
                    client.id,
                    client.name,
                    client.scope,
                    client.secret_hash,
                    client.locked,
                    client.created_at,
                ],
            )?;
            if added == 1 {
                audit(db, client.created_at, "client_added", &client.id)?;
            }
            Ok(added == 1)
        })
    }

    fn change_client(&self, name: String, change: ClientChange, now: u64) -> Answer<'_, bool> {
        self.write(move |db| {
            let found = db.query_row("SELECT * FROM clients WHERE name = ?1", [name], client_of);
            let Some(client) = found.optional()? else { return Ok(false) };
            let event = match &change {
                ClientChange::Secret(hash) if client.secret_hash == *hash => return Ok(true),
                ClientChange::Secret(hash) => {
                    let update = "UPDATE clients SET secret_hash = ?2 WHERE id = ?1";
                    db.execute(update, params![client.id, hash])?;
                    "client_secret_changed"
                }
                ClientChange::Locked(locked) if client.locked == *locked => return Ok(true),
                ClientChange::Locked(locked) => {
                    let update = "UPDATE clients SET locked = ?2 WHERE id = ?1";
                    db.execute(update, params![client.id, locked])?;
                    if *locked { "client_locked" } else { "client_unlocked" }
                }
            };
            audit(db, now, event, &client.id)?;
            Ok(true)
        })
    }

    fn client(&self, id: String) -> Answer<'_, Option<Client>> {
        self.readers.look_up(move |db| {
            db.prepare_cached("SELECT * FROM clients WHERE id = ?1")?
                .query_row([&id], client_of)
                .optional()
        })
    }

    fn clients(&self) -> Answer<'_, Vec<Client>> {
        self.readers.read(|db| {
            db.prepare("SELECT * FROM clients ORDER BY name")?.query_map([], client_of)?.collect()
        })
    }

    fn attempt(&self, attempt: Attempt) -> Answer<'_, throttle::Verdict> {
        self.writer.run_unsynced(move |db| {
            let mut found = Vec::new();
            let counters = [Some(attempt.account), Some(attempt.network), attempt.device];
            for counter in counters.into_iter().flatten() {
                found.extend(failures_by(db, &counter)?);
            }
            let verdict = throttle::decide(&attempt, &found);
            if let throttle::Verdict::Admit(reserved) = &verdict {
                put_failures(db, &reserved.own)?;
                reserved.everywhere.iter().try_for_each(|failures| put_failures(db, failures))?;
            }
            Ok(verdict)
        })
    }

    fn open_session(
        &self,
        mut session: Session,
        password_hash: String,
        reserved: Option<Reserved>,
        draw: Option<Candidates>,
    ) -> Answer<'_, Option<Session>> {
        self.write(move |db| {
            let opened = db.execute(
                "INSERT INTO sessions (id, user_id, client_id, scope, counter, created_at,
                                       rotated_at, expires_at, revoked)
                 SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, 0 FROM users
                 WHERE id = ?2 AND password_hash = ?9 AND locked = 0",
                params![
                    session.id,
                    session.user_id,
                    session.client_id,
                    session.scope,
                    session.counter,
                    session.created_at,
                    session.rotated_at,
                    session.expires_at,
                    password_hash,
                ],
            )?;
            if opened == 0 {
                return Ok(None);
            }
            session.status = draw.map(|draw| place(db, &session.id, &draw)).transpose()?;
            audit(db, session.created_at, "login", &hex(&session.id))?;
            reserved.map_or(Ok(()), |reserved| take_back(db, &reserved))?;
            Ok(Some(session))
        })
    }

    fn refresh(&self, refresh: Refresh) -> Answer<'_, Verdict> {
        self.write(move |db| {
            let id = refresh.token.session;
            let Some(session) = session_by(db, &id)? else { return Ok(Verdict::Refuse) };
            let mut verdict = decide(&session, &refresh);
            match &mut verdict {
                Verdict::Rotate(next) => {
                    db.prepare_cached(
                        "UPDATE sessions SET counter = ?2, rotated_at = ?3, expires_at = ?4
                         WHERE id = ?1",
                    )?
                    .execute(params![
                        id,
                        next.counter,
                        next.rotated_at,
                        next.expires_at
                    ])?;
                    if let (None, Some(draw)) = (next.status, &refresh.draw) {
                        next.status = Some(place(db, &id, draw)?);
                    }
                }
                Verdict::Repeat(_) => audit(db, refresh.now, "refresh_repeated", &hex(&id))?,
                Verdict::Reuse => {
                    db.execute("UPDATE sessions SET revoked = 1 WHERE id = ?1", [id])?;
                    audit(db, refresh.now, "refresh_reused", &hex(&id))?;
                }
                Verdict::Refuse | Verdict::ScopeTooWide => {}
            }
            Ok(verdict)
        })
    }

    fn session(&self, id: SessionId) -> Answer<'_, Option<Session>> {
        self.readers.look_up(move |db| session_by(db, &id))
    }

    fn end_session(&self, id: SessionId, now: u64) -> Answer<'_, ()> {
        self.write(move |db| {
            let ended =
                db.execute("UPDATE sessions SET revoked = 1 WHERE id = ?1 AND revoked = 0", [id])?;
            if ended == 1 {
                audit(db, now, "session_ended", &hex(&id))?;
            }
            Ok(())
        })
    }

    fn prune(&self, at: u64) -> Answer<'_, ()> {
        self.write(move |db| {
            db.execute("DELETE FROM sessions WHERE expires_at <= ?1", [at])?;
            db.execute(
                "DELETE FROM users WHERE name >= char(7) AND name < char(8)
                 AND NOT EXISTS (SELECT * FROM sessions WHERE user_id = users.id)",
                [],
            )?;
            Ok(())
        })
    }

    fn prune_failures(&self, now: u64) -> Answer<'_, ()> {
        // Strangers decide how many there are: in parts that make nobody wait for long.
        let forgotten = throttle::forgotten_before(now);
        let prune = move || {
            self.write(move |db| {
                db.execute(
                    "DELETE FROM login_failures WHERE counter IN (
                       SELECT counter FROM login_failures WHERE last_at <= ?1 LIMIT 1000)",
                    [forgotten],
                )
            })
        };
        Box::pin(async move {
            while prune().await? > 0 {}
            Ok(())
        })
    }

    fn newest_status_list(&self) -> Answer<'_, u32> {
        self.readers.read(|db| newest_status_list(db))
    }

    fn ended_sessions(&self, list: u32, at: u64) -> Answer<'_, Vec<u32>> {
        self.readers.read(move |db| {
            let statement = "SELECT status_index FROM sessions
                             WHERE status_list = ?1 AND revoked = 1 AND expires_at > ?2";
            db.prepare_cached(statement)?.query_map(params![list, at], |row| row.get(0))?.collect()
        })
    }

    fn keys(&self) -> Answer<'_, Vec<KeyRecord>> {
        self.readers.read(|db| keys_of(db))
    }

    fn change_keys(&self, change: KeyChange, now: u64) -> Answer<'_, Vault> {
        self.write(move |db| {
            let before = vault_of(db)?;
            let after = change(&before);
            for old in before.keys.iter().filter(|old| !after.keys.contains(old)) {
                db.execute("DELETE FROM keys WHERE kid = ?1", [&old.kid])?;
            }
            for key in after.keys.iter().filter(|key| !before.keys.contains(key)) {
                insert_key(db, key)?;
            }
            if before.secret != after.secret {
                db.execute(
                    "INSERT INTO secrets (name, sealed) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
                    params![DeploymentSecret::NAME, after.secret],
                )?;
            }
            for (event, subject) in key_events(&before, &after, now) {
                audit(db, now, &event, &subject)?;
            }
            vault_of(db)
        })
    }

    fn latest_time(&self) -> Answer<'_, Option<u64>> {
        self.readers
            .read(|db| db.query_row("SELECT latest FROM clock", [], |row| row.get(0)).optional())
    }

    fn remember_time(&self, now: u64) -> Answer<'_, u64> {
        self.write(move |db| {
            db.query_row(
                "INSERT INTO clock (id, latest) VALUES (1, ?1)
                 ON CONFLICT (id) DO UPDATE SET latest = max(latest, excluded.latest)
                 RETURNING latest",
                [now],
                |row| row.get(0),
            )
        })
    }

    fn reset_time(&self, now: u64) -> Answer<'_, bool> {
        self.write(move |db| {
            let was_later =
                db.execute("UPDATE clock SET latest = ?1 WHERE latest > ?1", [now])? > 0;
            if was_later {
                audit(db, now, "clock_reset", NO_SUBJECT)?;
            }
            Ok(was_later)
        })
    }

    fn export(&self, parts: PartsOut) -> Answer<'_, ()> {
        self.readers.read(move |connection| copy::sqlite::export(connection, &parts))
    }

    fn import(&self, mut parts: Parts) -> Answer<'_, bool> {
        self.write(move |db| copy::sqlite::import(db, &mut parts))
    }

    fn audit(&self, subject: Option<String>, most: u32) -> Answer<'_, Vec<AuditEntry>> {
        self.readers.read(move |db| {
            db.prepare(
                "SELECT * FROM (SELECT id, at, event, subject FROM audit
                                WHERE ?1 IS NULL OR subject = ?1 ORDER BY id DESC LIMIT ?2)
                 ORDER BY id",
            )?
            .query_map(params![subject, most], entry_of)?
            .collect()
        })
    }

    fn prune_audit(&self, before: u64) -> Answer<'_, ()> {
        Box::pin(async move {
            // In parts, so that nobody who writes waits for long. Only the beginning is looked at:
            // times go up with the ids.
            let part = move |db: &Connection| {
                db.execute(
                    "DELETE FROM audit WHERE at < ?1
                     AND id IN (SELECT id FROM audit ORDER BY id LIMIT 1000)",
                    [before],
                )
            };
            while self.write(part).await? > 0 {}
            Ok(())
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        // Anybody may ask. So it costs a write only while writes fail: a full disk is not noticed
        // by taking the lock.
        let failing = self.writer.is_failing();
        self.write(move |db| if failing { open::touch(db) } else { Ok(()) })
    }
}

fn audit(db: &Connection, at: u64, event: &str, subject: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO audit (at, event, subject) VALUES (?1, ?2, ?3)")?
        .execute(params![at, event, subject])
        .map(drop)
}

fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        scope: row.get("scope")?,
        password_hash: row.get("password_hash")?,
        created_at: row.get("created_at")?,
        locked: row.get("locked")?,
    })
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry { at: row.get("at")?, event: row.get("event")?, subject: row.get("subject")? })
}

fn client_of(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: row.get("id")?,
        name: row.get("name")?,
        scope: row.get("scope")?,
        secret_hash: row.get("secret_hash")?,
        locked: row.get("locked")?,
        created_at: row.get("created_at")?,
    })
}

fn newest_status_list(db: &Connection) -> rusqlite::Result<u32> {
    let statement = "SELECT max(status_list) FROM sessions WHERE status_list IS NOT NULL";
    let newest = db.prepare_cached(statement)?.query_row([], |row| row.get::<_, Option<u32>>(0))?;
    Ok(newest.unwrap_or(0))
}

/// Gives a session the place in the status lists that was drawn for it.
fn place(
    db: &Connection,
    id: &SessionId,
    draw: &Candidates,
) -> rusqlite::Result<status::StatusIndex> {
    let newest = newest_status_list(db)?.max(1);
    let statement = "SELECT 1 FROM sessions WHERE status_list = ?1 AND status_index = ?2";
    let mut taken = db.prepare_cached(statement)?;
    let [first, ..] = *draw.indices();
    let mut place = status::StatusIndex { list: newest + 1, index: first };
    for index in *draw.indices() {
        if !taken.exists([newest, index])? {
            place = status::StatusIndex { list: newest, index };
            break;
        }
    }
    db.prepare_cached("UPDATE sessions SET status_list = ?2, status_index = ?3 WHERE id = ?1")?
        .execute(params![id, place.list, place.index])?;
    Ok(place)
}

fn failures_by(db: &Connection, counter: &Counter) -> rusqlite::Result<Option<Failures>> {
    let failures_of = |row: &Row<'_>| {
        Ok(Failures {
            counter: row.get("counter")?,
            count: row.get("failures")?,
            blocked_until: row.get("blocked_until")?,
            last_at: row.get("last_at")?,
            last: row.get("attempt")?,
        })
    };
    db.prepare_cached("SELECT * FROM login_failures WHERE counter = ?1")?
        .query_row([counter], failures_of)
        .optional()
}

fn put_failures(db: &Connection, failures: &Failures) -> rusqlite::Result<()> {
    let Failures { counter, count, blocked_until, last_at, last } = failures;
    db.prepare_cached(
        "INSERT INTO login_failures (counter, failures, blocked_until, last_at, attempt)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (counter) DO UPDATE SET failures = ?2, blocked_until = ?3, last_at = ?4,
                                             attempt = ?5",
    )?
    .execute(params![counter, count, blocked_until, last_at, last])
    .map(drop)
}

/// The attempt was no failure.
fn take_back(db: &Connection, Reserved { own, everywhere }: &Reserved) -> rusqlite::Result<()> {
    if let Some(everywhere) = everywhere {
        db.prepare_cached(
            "UPDATE login_failures SET failures = max(failures - 1, 0), blocked_until = 0
             WHERE counter = ?1",
        )?
        .execute([everywhere.counter])?;
    }
    db.prepare_cached("DELETE FROM login_failures WHERE counter = ?1")?
        .execute([own.counter])
        .map(drop)
}

fn session_by(db: &Connection, id: &SessionId) -> rusqlite::Result<Option<Session>> {
    db.prepare_cached("SELECT * FROM sessions WHERE id = ?1")?
        .query_row([id], session_of)
        .optional()
}

fn session_of(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        client_id: row.get("client_id")?,
        scope: row.get("scope")?,
        counter: row.get("counter")?,
        created_at: row.get("created_at")?,
        rotated_at: row.get("rotated_at")?,
        expires_at: row.get("expires_at")?,
        revoked: row.get("revoked")?,
        status: match (row.get("status_list")?, row.get("status_index")?) {
            (Some(list), Some(index)) => Some(status::StatusIndex { list, index }),
            _ => None,
        },
    })
}

pub(super) fn vault_of(db: &Connection) -> rusqlite::Result<Vault> {
    let secret = "SELECT sealed FROM secrets WHERE name = ?1";
    let secret = db.query_row(secret, [DeploymentSecret::NAME], |row| row.get(0)).optional()?;
    Ok(Vault { keys: keys_of(db)?, secret })
}

fn keys_of(db: &Connection) -> rusqlite::Result<Vec<KeyRecord>> {
    let key_of = |row: &Row<'_>| {
        let state: String = row.get("state")?;
        Ok(KeyRecord {
            kid: row.get("kid")?,
            bits: row.get("bits")?,
            n: row.get("n")?,
            e: row.get("e")?,
            sealed: row.get("sealed")?,
            state: KeyState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
            published_at: row.get("published_at")?,
            activates_at: row.get("activates_at")?,
            retired_at: row.get("retired_at")?,
            drops_at: row.get("drops_at")?,
        })
    };
    db.prepare_cached("SELECT * FROM keys ORDER BY published_at, state, kid")?
        .query_map([], key_of)?
        .collect()
}

fn insert_key(db: &Connection, key: &KeyRecord) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO keys (kid, bits, n, e, sealed, state, published_at, activates_at, retired_at,
                           drops_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            key.kid,
            key.bits,
            key.n,
            key.e,
            key.sealed,
            key.state.name(),
            key.published_at,
            key.activates_at,
            key.retired_at,
            key.drops_at,
        ],
    )
    .map(drop)
}
