use tokio_postgres::Row;

use super::failure::Failure;
use super::rows;
use crate::store::Size;

/// The most sessions that are counted, which takes up to a second. Of more, the server has an
/// estimate.
pub(super) const MOST: i64 = 1_000_000;

/// Leaves out the rest of the database, which may belong to other programs.
pub(super) const READ: &str = "
    SELECT (SELECT sum(pg_total_relation_size(oid))::int8 FROM pg_class
            WHERE relnamespace = 'countersign'::regnamespace AND relkind = 'r') AS bytes,
           CASE WHEN reltuples > $2 THEN reltuples::int8 ELSE
             (SELECT count(*) FROM
               (SELECT FROM countersign.sessions WHERE expires_at > $1 LIMIT $2) AS counted)
           END AS sessions
    FROM pg_class WHERE oid = 'countersign.sessions'::regclass";

pub(super) fn from_row(row: &Row) -> Result<Size, Failure> {
    Ok(Size { bytes: rows::number(row, "bytes")?, sessions: rows::number(row, "sessions")? })
}
