use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connect::Parameters;
use super::connection::{Connection, Connections};
use super::failure::Failure;
use super::rows;
use crate::audit::{AuditEntry, AuditFilter, NewEntry};
use crate::store::StoreError;

/// The ids of `$1` new entries. Nobody else gets them.
pub(super) const NEW_IDS: &str =
    "SELECT nextval(pg_get_serial_sequence('countersign.audit', 'id')) FROM generate_series(1, $1)";

const NEWEST: &str = "SELECT coalesce(max(id), 0) AS id FROM countersign.audit";

/// The entries from id `$1` to before `$2` that meet the conditions, newest first. Names of deleted
/// users begin with `chr(7)`.
const PART: &str = "
    SELECT a.id, at, event, subject, user_id, users.name AS user_name, network, count, actor
    FROM countersign.audit AS a
    LEFT JOIN countersign.users ON users.id = user_id AND users.name >= chr(8)
    WHERE a.id >= $1 AND a.id < $2
      AND ($3 IS NULL OR subject = $3) AND ($4 IS NULL OR $4 IN (user_id, subject))
      AND ($5 IS NULL OR network = $5) AND (cardinality($6) = 0 OR event = ANY ($6)) AND at >= $7
    ORDER BY a.id DESC LIMIT $8";

/// The ids that one statement searches: a statement has a time limit.
const IDS_IN_PART: u64 = 100_000;

pub(super) async fn record(db: &Connection, entry: &NewEntry) -> Result<(), Failure> {
    let NewEntry { at, event, subject, user_id, network, count, actor } = entry;
    db.execute_typed(
        "INSERT INTO countersign.audit (at, event, subject, user_id, network, count, actor)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            (&rows::signed(*at)?, Type::INT8),
            (&event.name(), Type::TEXT),
            (subject, Type::TEXT),
            (user_id, Type::TEXT),
            (network, Type::TEXT),
            (&i64::from(*count), Type::INT8),
            (actor, Type::TEXT),
        ],
    )
    .await?;
    Ok(())
}

/// Adds entries. An earlier run of this transaction must not have added them.
pub(super) async fn record_new(db: &Connection, entries: &[NewEntry]) -> Result<(), Failure> {
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let ids = db.query_typed(NEW_IDS, &[(&count, Type::INT8)]).await?;
    let ids = ids.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    record_all(db, &ids, entries).await
}

/// Adds entries with these ids, unless an earlier run of this transaction has.
pub(super) async fn record_all(
    db: &Connection,
    ids: &[i64],
    entries: &[NewEntry],
) -> Result<(), Failure> {
    let at = entries.iter().map(|entry| rows::signed(entry.at)).collect::<Result<Vec<_>, _>>()?;
    let event: Vec<_> = entries.iter().map(|entry| entry.event.name()).collect();
    let subject: Vec<_> = entries.iter().map(|entry| &entry.subject).collect();
    let user_id: Vec<_> = entries.iter().map(|entry| entry.user_id.as_ref()).collect();
    let network: Vec<_> = entries.iter().map(|entry| entry.network.as_ref()).collect();
    let count: Vec<_> = entries.iter().map(|entry| i64::from(entry.count)).collect();
    let actor: Vec<_> = entries.iter().map(|entry| entry.actor.as_ref()).collect();
    db.execute_typed(
        "INSERT INTO countersign.audit (id, at, event, subject, user_id, network, count, actor)
         OVERRIDING SYSTEM VALUE SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT DO NOTHING",
        &[
            (&ids, Type::INT8_ARRAY),
            (&at, Type::INT8_ARRAY),
            (&event, Type::TEXT_ARRAY),
            (&subject, Type::TEXT_ARRAY),
            (&user_id, Type::TEXT_ARRAY),
            (&network, Type::TEXT_ARRAY),
            (&count, Type::INT8_ARRAY),
            (&actor, Type::TEXT_ARRAY),
        ],
    )
    .await?;
    Ok(())
}

/// Returns the last entries that meet the conditions, oldest first.
pub(super) async fn last(
    connections: &Connections,
    filter: &AuditFilter,
) -> Result<Vec<AuditEntry>, StoreError> {
    let AuditFilter { subject, user_id, network, events, since, before, most } = filter;
    let newest = connections.read(NEWEST, &[]).await?;
    let newest = newest.first().map_or(Ok(0), |row| rows::number(row, "id"))?;
    let mut end = before.unwrap_or(u64::MAX).min(newest + 1);
    let mut entries = Vec::new();
    while end > 0 && entries.len() < *most as usize {
        let begin = end.saturating_sub(IDS_IN_PART);
        let left = i64::from(*most) - entries.len() as i64;
        let parameters: Parameters<'_> = &[
            (&rows::signed(begin)?, Type::INT8),
            (&rows::signed(end)?, Type::INT8),
            (subject, Type::TEXT),
            (user_id, Type::TEXT),
            (network, Type::TEXT),
            (events, Type::TEXT_ARRAY),
            (&rows::signed(*since)?, Type::INT8),
            (&left, Type::INT8),
        ];
        for row in connections.read(PART, parameters).await? {
            entries.push(from_row(&row)?);
        }
        end = begin;
    }
    entries.reverse();
    Ok(entries)
}

/// Deletes some entries that are older than `before`. Returns how many. Times grow with the ids, so
/// that only the beginning is searched.
pub(super) async fn prune_some(db: &Connection, before: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.audit WHERE at < $1 AND id IN (
                    SELECT id FROM countersign.audit ORDER BY id
                    LIMIT 200 FOR UPDATE SKIP LOCKED)";
    Ok(db.execute_typed(delete, &[(&rows::signed(before)?, Type::INT8)]).await?)
}

fn from_row(row: &Row) -> Result<AuditEntry, Failure> {
    Ok(AuditEntry {
        id: rows::number(row, "id")?,
        at: rows::number(row, "at")?,
        event: row.try_get("event")?,
        subject: row.try_get("subject")?,
        user_id: row.try_get("user_id")?,
        user_name: row.try_get("user_name")?,
        network: row.try_get("network")?,
        count: rows::number(row, "count")?,
        actor: row.try_get("actor")?,
    })
}
