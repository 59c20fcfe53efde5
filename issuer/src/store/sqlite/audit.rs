use rusqlite::{Connection, Row, params};

use crate::audit::{AuditEntry, Event};

pub(super) fn record(
    db: &Connection,
    at: u64,
    event: Event,
    subject: &str,
) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO audit (at, event, subject) VALUES (?1, ?2, ?3)")?
        .execute(params![at, event.name(), subject])
        .map(drop)
}

pub(super) fn last(
    db: &Connection,
    subject: Option<&str>,
    most: u32,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let entry_of = |row: &Row<'_>| {
        Ok(AuditEntry {
            at: row.get("at")?,
            event: row.get("event")?,
            subject: row.get("subject")?,
        })
    };
    db.prepare(
        "SELECT * FROM (SELECT id, at, event, subject FROM audit
                        WHERE ?1 IS NULL OR subject = ?1 ORDER BY id DESC LIMIT ?2)
         ORDER BY id",
    )?
    .query_map(params![subject, most], entry_of)?
    .collect()
}

/// Deletes some entries that are older than `before`. Returns how many. Times grow with the ids, so
/// that only the beginning is searched.
pub(super) fn prune_some(db: &Connection, before: u64) -> rusqlite::Result<usize> {
    db.execute(
        "DELETE FROM audit WHERE at < ?1 AND id IN (SELECT id FROM audit ORDER BY id LIMIT 100)",
        [before],
    )
}
