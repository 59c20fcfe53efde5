use rusqlite::{Connection, params};

use super::{clients, users};
use crate::audit::Actor;
use crate::idempotency::{Added, KEPT, New, NewAnswer};

/// Adds a user or a client with the answer to its request, unless there is an answer already.
pub(super) fn add(
    db: &Connection,
    new: &New,
    answer: &NewAnswer,
    by: &Actor,
) -> rusqlite::Result<Added> {
    let NewAnswer { to, sealed, now } = answer;
    let expired = "DELETE FROM idempotency WHERE key = ?1 AND created_at <= ?2";
    db.prepare_cached(expired)?.execute(params![to.key, now.saturating_sub(KEPT)])?;
    let put = "INSERT INTO idempotency (key, request, answer, created_at) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (key) DO NOTHING";
    if db.prepare_cached(put)?.execute(params![to.key, to.request, sealed, now])? == 0 {
        let before = "SELECT request, answer FROM idempotency WHERE key = ?1";
        return db.prepare_cached(before)?.query_row([to.key], |row| {
            Ok(Added::Before { request: row.get(0)?, answer: row.get(1)? })
        });
    }
    let is_added = match new {
        New::User(user) => users::add(db, user, by)?,
        New::Client(client) => clients::add(db, client, by)?,
    };
    if is_added {
        return Ok(Added::New);
    }
    db.prepare_cached("DELETE FROM idempotency WHERE key = ?1")?.execute([to.key])?;
    Ok(Added::NameTaken)
}

/// Deletes some answers that are not kept any more. Returns how many.
pub(super) fn prune_some(db: &Connection, now: u64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM idempotency WHERE key IN (
           SELECT key FROM idempotency WHERE created_at <= ?1 LIMIT 100)",
    )?
    .execute([now.saturating_sub(KEPT)])
}
