//! Databases with many users. They are written directly, because logging each user in would take
//! hours.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
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
    from: i64,
    /// The number after the last one's
    #[arg(long)]
    to: i64,
    /// An existing user; the new ones get the same password
    #[arg(long)]
    like: String,
}

/// The numbers of the users to add.
const NUMBERS: &str = "WITH RECURSIVE numbers(i) AS
    (SELECT ?1 WHERE ?1 < ?2 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ?2)";

/// Adds users, each with one session that lasts for a week, in one transaction.
pub(crate) fn fill(options: &Options) -> Result<Value> {
    let started = Instant::now();
    let mut db = Connection::open(&options.database)?;
    db.pragma_update(None, "cache_size", -200_000)?;
    let transaction = db.transaction()?;
    let users = format!(
        "INSERT INTO users (id, name, scope, password_hash, created_at, locked) {NUMBERS}
         SELECT printf('user_%016d', i), 'user' || i || '@example.com', 'read write',
                one.password_hash, unixepoch(), 0
         FROM numbers, users one WHERE one.name = ?3",
    );
    // Random ids are spread over the whole table, as in practice. The expiries are spread too, as if
    // the sessions had begun in the course of a week.
    let sessions = format!(
        "INSERT INTO sessions (id, user_id, client_id, scope, counter, created_at, rotated_at,
                               expires_at, revoked) {NUMBERS}
         SELECT randomblob(16), printf('user_%016d', i), 'client_first_party', 'read write', 0,
                unixepoch(), unixepoch(), unixepoch() + 86400 + i % 518400, 0 FROM numbers"
    );
    let changed = "the issuer's tables have changed; update bench/load/src/fill.rs";
    let Options { from, to, like, .. } = options;
    let added = transaction.execute(&users, params![from, to, like]).context(changed)?;
    ensure!(i64::try_from(added)? == to - from, "there is no user {like} to copy");
    transaction.execute(&sessions, params![from, to]).context(changed)?;
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
