use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::rows;
use crate::audit::{AuditEntry, Event};

/// The last entries, oldest first. `$1` is a subject or null, `$2` the largest number of entries.
pub(super) const LAST: &str = "
    SELECT * FROM (SELECT id, at, event, subject FROM countersign.audit
                   WHERE $1 IS NULL OR subject = $1 ORDER BY id DESC LIMIT $2) AS last
    ORDER BY id";

pub(super) async fn record(
    db: &Connection,
    at: u64,
    event: Event,
    subject: &str,
) -> Result<(), Failure> {
    let insert = "INSERT INTO countersign.audit (at, event, subject) VALUES ($1, $2, $3)";
    let at = (&rows::signed(at)? as _, Type::INT8);
    db.execute_typed(insert, &[at, (&event.name(), Type::TEXT), (&subject, Type::TEXT)]).await?;
    Ok(())
}

/// Deletes some entries that are older than `before`. Returns how many. Times grow with the ids, so
/// that only the beginning is searched.
pub(super) async fn prune_some(db: &Connection, before: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.audit WHERE at < $1 AND id IN (
                    SELECT id FROM countersign.audit ORDER BY id
                    LIMIT 200 FOR UPDATE SKIP LOCKED)";
    Ok(db.execute_typed(delete, &[(&rows::signed(before)?, Type::INT8)]).await?)
}

pub(super) fn from_row(row: &Row) -> Result<AuditEntry, Failure> {
    Ok(AuditEntry {
        at: rows::number(row, "at")?,
        event: row.try_get("event")?,
        subject: row.try_get("subject")?,
    })
}
