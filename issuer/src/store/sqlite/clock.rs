//! The latest time that an issuer saw.

use rusqlite::{Connection, OptionalExtension as _};

use super::audit;
use crate::audit::{Event, NO_SUBJECT, NewEntry};

pub(super) fn latest(db: &Connection) -> rusqlite::Result<Option<u64>> {
    db.query_row("SELECT latest FROM clock", [], |row| row.get(0)).optional()
}

pub(super) fn remember(db: &Connection, now: u64) -> rusqlite::Result<u64> {
    db.query_row(
        "INSERT INTO clock (id, latest) VALUES (1, ?1)
         ON CONFLICT (id) DO UPDATE SET latest = max(latest, excluded.latest)
         RETURNING latest",
        [now],
        |row| row.get(0),
    )
}

pub(super) fn reset(db: &Connection, now: u64) -> rusqlite::Result<bool> {
    let was_later = db.execute("UPDATE clock SET latest = ?1 WHERE latest > ?1", [now])? > 0;
    if was_later {
        audit::record(db, &NewEntry::of(now, Event::ClockReset, NO_SUBJECT))?;
    }
    Ok(was_later)
}
