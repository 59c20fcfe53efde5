//! Numbers in rows. PostgreSQL has no unsigned types.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::Row;

use super::failure::Failure;

pub(super) fn number(row: &Row, name: &str) -> Result<u64, Failure> {
    unsigned(row.try_get(name)?)
}

/// Returns a `timestamptz` in UNIX seconds.
pub(super) fn time(row: &Row, name: &str) -> Result<u64, Failure> {
    let time: SystemTime = row.try_get(name)?;
    Ok(time.duration_since(UNIX_EPOCH).map_err(|_| malformed())?.as_secs())
}

/// Returns the first column of a row: the number of a status list or an index in one.
pub(super) fn only(row: &Row) -> Result<u32, Failure> {
    small(row.try_get(0)?)
}

pub(super) fn small(number: i64) -> Result<u32, Failure> {
    u32::try_from(number).map_err(|_| malformed())
}

pub(super) fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| malformed())
}

pub(super) fn signed(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::Permanent("a number is too large".to_owned()))
}

pub(super) fn malformed() -> Failure {
    Failure::Permanent("a row has a value that no issuer writes".to_owned())
}
