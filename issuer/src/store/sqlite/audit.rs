use rusqlite::{Connection, Row, params};
use serde_json::json;

use crate::audit::{AuditEntry, AuditFilter, NewEntry};

pub(super) fn record(db: &Connection, entry: &NewEntry) -> rusqlite::Result<()> {
    let NewEntry { at, event, subject, user_id, network, count, actor } = entry;
    db.prepare_cached(
        "INSERT INTO audit (at, event, subject, user_id, network, count, actor)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![at, event.name(), subject, user_id, network, count, actor])
    .map(drop)
}

/// Returns the last entries that meet the conditions, oldest first. Names of deleted users begin with
/// `char(7)`.
pub(super) fn last(db: &Connection, filter: &AuditFilter) -> rusqlite::Result<Vec<AuditEntry>> {
    let AuditFilter { subject, user_id, network, events, since, before, most } = filter;
    let events = json!(events).to_string();
    let mut entries = db
        .prepare(
            "SELECT audit.id, at, event, subject, user_id, users.name AS user_name, network, count,
                    actor
             FROM audit LEFT JOIN users ON users.id = user_id AND users.name >= char(8)
             WHERE (?1 IS NULL OR subject = ?1) AND (?2 IS NULL OR ?2 IN (user_id, subject))
               AND (?3 IS NULL OR network = ?3)
               AND (?4 = '[]' OR event IN (SELECT value FROM json_each(?4)))
               AND at >= ?5 AND (?6 IS NULL OR audit.id < ?6)
             ORDER BY audit.id DESC LIMIT ?7",
        )?
        .query_map(params![subject, user_id, network, events, since, before, most], entry_of)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    entries.reverse();
    Ok(entries)
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get("id")?,
        at: row.get("at")?,
        event: row.get("event")?,
        subject: row.get("subject")?,
        user_id: row.get("user_id")?,
        user_name: row.get("user_name")?,
        network: row.get("network")?,
        count: row.get("count")?,
        actor: row.get("actor")?,
    })
}

/// Deletes some entries that are older than `before`. Returns how many. Times grow with the ids, so
/// that only the beginning is searched.
pub(super) fn prune_some(db: &Connection, before: u64) -> rusqlite::Result<usize> {
    db.execute(
        "DELETE FROM audit WHERE at < ?1 AND id IN (SELECT id FROM audit ORDER BY id LIMIT 100)",
        [before],
    )
}
