//! Databases with many users. They are written directly, because logging each user in would take
//! hours.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use clap::Args;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

#[derive(Args)]
pub(crate) struct Options {
    /// The issuer's SQLite file; the issuer must not run
    #[arg(long)]
    database: PathBuf,
    /// The number of the first user
    #[arg(long)]
    from: u64,
    /// The number after the last one's
    #[arg(long)]
    to: u64,
    /// An existing user; the new ones get the same password
    #[arg(long)]
    like: String,
}

/// Adds users, each with one session that lasts for a week, in one transaction.
pub(crate) fn fill(options: &Options) -> Result<Value> {
    let started = Instant::now();
    let changed = "the issuer's tables have changed; update bench/load/src/fill.rs";
    let mut db = Connection::open(&options.database)?;
    db.pragma_update(None, "cache_size", -200_000)?;
    let (hash, now): (String, i64) = db
        .query_row(
            "SELECT password_hash, unixepoch() FROM users WHERE name = ?1",
            [&options.like],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .context("there is no such user to copy")?;
    let transaction = db.transaction()?;
    {
        let mut user = transaction
            .prepare(
                "INSERT INTO users (id, name, scope, password_hash, created_at, locked)
                 VALUES (?1, ?2, 'read write', ?3, ?4, 0)",
            )
            .context(changed)?;
        let mut session = transaction
            .prepare(
                "INSERT INTO sessions (id, user_id, client_id, scope, counter, created_at,
                                       rotated_at, expires_at, revoked)
                 VALUES (?1, ?2, 'client_first_party', 'read write', 0, ?3, ?3, ?4, 0)",
            )
            .context(changed)?;
        for number in options.from..options.to {
            let id = format!("user_{number:016}");
            user.execute(params![id, name(number), hash, now]).context(changed)?;
            // Expiries are spread, as if the sessions had begun in the course of a week.
            let expires_at = now + 86_400 + i64::try_from(number % 518_400)?;
            session.execute(params![session_id(number), id, now, expires_at]).context(changed)?;
        }
    }
    transaction.commit()?;
    db.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = json!({ "users": bytes(&db, "users")?, "sessions": bytes(&db, "sessions")? });
    Ok(json!({ "seconds": seconds, "bytes": bytes }))
}

/// Returns the bytes of a table in the file, with its indexes.
fn bytes(db: &Connection, table: &str) -> Result<u64> {
    let pages = "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE
                 AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?1)";
    let bytes: i64 = db.query_row(pages, [table], |row| row.get(0))?;
    Ok(bytes.try_into()?)
}

/// Returns the name of a user.
pub(crate) fn name(number: u64) -> String {
    format!("user{number}@example.com")
}

/// Returns the id of a user's session. Like random ones, the ids are spread over the whole table.
pub(crate) fn session_id(number: u64) -> [u8; 16] {
    let hash = digest(&SHA256, format!("session {number}").as_bytes());
    let mut id = [0; 16];
    id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    id
}
