//! The latest time that an issuer saw.

use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{audit, rows};
use crate::audit::{Event, NO_SUBJECT, NewEntry};

pub(super) const LATEST: &str = "SELECT latest FROM countersign.clock";

pub(super) async fn remember(db: &Connection, now: u64) -> Result<u64, Failure> {
    let put = "INSERT INTO countersign.clock AS stored (id, latest) VALUES (1, $1)
               ON CONFLICT (id) DO UPDATE SET latest = greatest(stored.latest, excluded.latest)
               RETURNING latest";
    let row = db.query_typed_one(put, &[(&rows::signed(now)?, Type::INT8)]).await?;
    rows::number(&row, "latest")
}

pub(super) async fn reset(db: &Connection, now: u64) -> Result<bool, Failure> {
    let update = "UPDATE countersign.clock SET latest = $1 WHERE latest > $1";
    let was_later = db.execute_typed(update, &[(&rows::signed(now)?, Type::INT8)]).await? > 0;
    if was_later {
        audit::record(db, &NewEntry::of(now, Event::ClockReset, NO_SUBJECT)).await?;
    }
    Ok(was_later)
}
