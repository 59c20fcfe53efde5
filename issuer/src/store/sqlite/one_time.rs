//! One-time tokens.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::audit;
use crate::audit::Actor;
use crate::one_time::{
    ChallengeUse, MOST_OF_A_USER, OneTimeToken, Purpose, Recorded, TokenHash, TokenUse,
};

pub(super) fn add(db: &Connection, token: &OneTimeToken, by: &Actor) -> rusqlite::Result<()> {
    let insert = "INSERT INTO one_time_tokens
                    (hash, purpose, user_id, data, created_at, expires_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    db.prepare_cached(insert)?.execute(params![
        token.hash,
        token.purpose.as_str(),
        token.user_id,
        token.data,
        token.created_at,
        token.expires_at,
    ])?;
    if let Some(entry) = token.entry() {
        audit::record(db, &entry.by(by))?;
    }
    let surplus = "DELETE FROM one_time_tokens WHERE hash IN (
                     SELECT hash FROM one_time_tokens
                     WHERE user_id = ?1 AND purpose = ?2 AND hash <> ?3 AND used_by IS NULL
                     ORDER BY created_at DESC LIMIT -1 OFFSET ?4)";
    let values = params![token.user_id, token.purpose.as_str(), token.hash, MOST_OF_A_USER - 1];
    db.prepare_cached(surplus)?.execute(values).map(drop)
}

pub(super) fn find(
    db: &Connection,
    hash: &TokenHash,
    purpose: Purpose,
    now: u64,
) -> rusqlite::Result<Option<OneTimeToken>> {
    let open = "SELECT * FROM one_time_tokens
                WHERE hash = ?1 AND purpose = ?2 AND expires_at > ?3 AND used_by IS NULL";
    db.prepare_cached(open)?
        .query_row(params![hash, purpose.as_str(), now], |row| of_row(row, purpose))
        .optional()
}

/// Uses the token up. Returns `None` if it cannot be used: it is unknown, expired, or used.
pub(super) fn take(db: &Connection, token: &TokenUse) -> rusqlite::Result<Option<OneTimeToken>> {
    let take = "UPDATE one_time_tokens SET used_by = ?4
                WHERE hash = ?1 AND purpose = ?2 AND expires_at > ?3 AND used_by IS NULL
                RETURNING *";
    let TokenUse { hash, purpose, id, now } = token;
    db.prepare_cached(take)?
        .query_row(params![hash, purpose.as_str(), now, id], |row| of_row(row, *purpose))
        .optional()
}

/// Records the use of a challenge, unless there is one.
pub(super) fn record_use(
    db: &Connection,
    used: &ChallengeUse,
    accepted: bool,
) -> rusqlite::Result<Recorded> {
    let ChallengeUse { hash, id, now, remembered_until } = used;
    let insert =
        "INSERT INTO one_time_tokens (hash, purpose, data, created_at, expires_at, used_by)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (hash) DO NOTHING";
    let data = [u8::from(accepted)];
    let values = params![hash, Purpose::Passkey.as_str(), data, now, remembered_until, id];
    let is_first = db.prepare_cached(insert)?.execute(values)? == 1;
    Ok(if is_first { Recorded::First } else { Recorded::Foreign })
}

/// Ends the tokens of a user that nobody has used.
pub(super) fn end_all(db: &Connection, user_id: &str) -> rusqlite::Result<()> {
    let end = "DELETE FROM one_time_tokens WHERE user_id = ?1 AND used_by IS NULL";
    db.prepare_cached(end)?.execute([user_id]).map(drop)
}

/// Deletes some tokens that had expired at that time. Returns how many.
pub(super) fn prune_some(db: &Connection, at: u64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM one_time_tokens WHERE hash IN (
           SELECT hash FROM one_time_tokens WHERE expires_at <= ?1 LIMIT 100)",
    )?
    .execute([at])
}

fn of_row(row: &Row<'_>, purpose: Purpose) -> rusqlite::Result<OneTimeToken> {
    Ok(OneTimeToken {
        hash: row.get("hash")?,
        purpose,
        user_id: row.get("user_id")?,
        data: row.get("data")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
    })
}
