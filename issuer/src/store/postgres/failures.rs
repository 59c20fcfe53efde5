//! Counters of failed logins. A transaction locks the account's counter first, and those of its
//! networks and devices after it, so that no two of them wait for each other.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::rows;
use crate::login::throttle::{
    Attempt, Counter, Failures, ProvisionalFailure, Verdict, counted_before, decide,
};

const LOCK: &str = "SELECT * FROM countersign.login_failures WHERE counter = $1 FOR UPDATE";

/// Decides a login and counts it as a failure if it is admitted.
pub(super) async fn attempt(db: &Connection, attempt: &Attempt) -> Result<Verdict, Failure> {
    let found = lock(db, attempt).await?;
    let verdict = decide(attempt, &found);
    if let Verdict::Admit(ProvisionalFailure { own, everywhere }) = &verdict {
        put(db, own).await?;
        if let Some(everywhere) = everywhere {
            put(db, everywhere).await?;
        }
    }
    Ok(verdict)
}

/// Undoes the provisional failure of a login that succeeded.
pub(super) async fn undo(db: &Connection, failure: &ProvisionalFailure) -> Result<(), Failure> {
    if let Some(everywhere) = &failure.everywhere {
        let counter = (&everywhere.counter.as_slice() as _, Type::BYTEA);
        if let Some(row) = db.query_typed_opt(LOCK, &[counter]).await? {
            put(db, &from_row(&row)?.after_success()).await?;
        }
    }
    let delete = "DELETE FROM countersign.login_failures WHERE counter = $1";
    db.execute_typed(delete, &[(&failure.own.counter.as_slice(), Type::BYTEA)]).await?;
    Ok(())
}

/// Returns true if the failure is counted and no other one was counted after it.
pub(super) async fn is_last(
    db: &Connection,
    failure: &ProvisionalFailure,
) -> Result<bool, Failure> {
    // Without a lock, because the account's counter would have to be locked first.
    let last = "SELECT FROM countersign.login_failures WHERE counter = $1 AND attempt = $2";
    let (counter, attempt) = (failure.own.counter.as_slice(), failure.own.last.as_slice());
    let parameters = [(&counter as _, Type::BYTEA), (&attempt as _, Type::BYTEA)];
    Ok(db.query_typed_opt(last, &parameters).await?.is_some())
}

/// Takes a failure back, unless that has been done.
pub(super) async fn take_back(
    db: &Connection,
    failure: &ProvisionalFailure,
) -> Result<(), Failure> {
    if !make(db, &failure.taken_back(), failure.own.last_at).await? {
        return Ok(());
    }
    for failures in failure.take_back(&lock_counted(db, failure).await?) {
        put(db, &failures).await?;
    }
    Ok(())
}

/// Takes a failure back if its own counter has it as its last one.
pub(super) async fn take_back_unless_undone(
    db: &Connection,
    failure: &ProvisionalFailure,
) -> Result<(), Failure> {
    // Waits for a transaction that undoes it at this moment.
    let found = lock_counted(db, failure).await?;
    let is_own = |one: &Failures| one.counter == failure.own.counter;
    if found.iter().any(|one| is_own(one) && one.last == failure.own.last) {
        take_back(db, failure).await?;
    }
    Ok(())
}

/// Returns the counters of a failure, locked.
async fn lock_counted(
    db: &Connection,
    failure: &ProvisionalFailure,
) -> Result<Vec<Failures>, Failure> {
    let mut found = Vec::new();
    for counted in failure.everywhere.iter().chain([&failure.own]) {
        let counter = (&counted.counter.as_slice() as _, Type::BYTEA);
        let row = db.query_typed_opt(LOCK, &[counter]).await?;
        found.extend(row.as_ref().map(from_row).transpose()?);
    }
    Ok(found)
}

/// Takes the failure of an attempt back if its counters have it as their last one.
pub(super) async fn take_back_if_counted(
    db: &Connection,
    attempt: &Attempt,
) -> Result<(), Failure> {
    match counted_before(attempt, &lock(db, attempt).await?) {
        Some(failure) => take_back(db, &failure).await,
        None => Ok(()),
    }
}

/// Deletes some counters that were last used at `until` or before. Returns how many.
pub(super) async fn prune_some(db: &Connection, until: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.login_failures WHERE counter IN (
                    SELECT counter FROM countersign.login_failures
                    WHERE last_at <= $1 LIMIT 200 FOR UPDATE SKIP LOCKED)";
    Ok(db.execute_typed(delete, &[(&rows::signed(until)?, Type::INT8)]).await?)
}

/// Returns the attempt's counters, locked by the lock of the account's counter.
async fn lock(db: &Connection, attempt: &Attempt) -> Result<Vec<Failures>, Failure> {
    let account = (&attempt.account.as_slice() as _, Type::BYTEA);
    let mut account_row = db.query_typed_opt(LOCK, std::slice::from_ref(&account)).await?;
    if account_row.is_none() {
        // A row that does not exist cannot be locked.
        make(db, &attempt.account, attempt.now).await?;
        account_row = db.query_typed_opt(LOCK, &[account]).await?;
    }
    // A separate statement, so that it sees changes that were committed while this one waited for
    // the lock.
    let others = "SELECT * FROM countersign.login_failures WHERE counter IN ($1, $2) FOR UPDATE";
    let device = attempt.device.unwrap_or(attempt.network);
    let (network, device) = (attempt.network.as_slice(), device.as_slice());
    let others = db.query_typed(others, &[(&network, Type::BYTEA), (&device, Type::BYTEA)]).await?;
    others.iter().chain(&account_row).map(from_row).collect()
}

/// Makes a counter without failures. Returns `false` if it exists.
async fn make(db: &Connection, counter: &Counter, now: u64) -> Result<bool, Failure> {
    let insert = "INSERT INTO countersign.login_failures
                  (counter, failures, blocked_until, last_at, attempt)
                  VALUES ($1, 0, 0, $2, '') ON CONFLICT DO NOTHING";
    let counter = (&counter.as_slice() as _, Type::BYTEA);
    Ok(db.execute_typed(insert, &[counter, (&rows::signed(now)?, Type::INT8)]).await? == 1)
}

async fn put(db: &Connection, failures: &Failures) -> Result<(), Failure> {
    db.execute_typed(
        "INSERT INTO countersign.login_failures
         (counter, failures, blocked_until, last_at, attempt)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (counter) DO UPDATE SET failures = excluded.failures,
           blocked_until = excluded.blocked_until, last_at = excluded.last_at,
           attempt = excluded.attempt",
        &[
            (&failures.counter.as_slice(), Type::BYTEA),
            (&i64::from(failures.count), Type::INT8),
            (&rows::signed(failures.blocked_until)?, Type::INT8),
            (&rows::signed(failures.last_at)?, Type::INT8),
            (&failures.last.as_slice(), Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}

fn from_row(row: &Row) -> Result<Failures, Failure> {
    let (counter, last): (&[u8], &[u8]) = (row.try_get("counter")?, row.try_get("attempt")?);
    Ok(Failures {
        counter: Counter::try_from(counter).map_err(|_| rows::malformed())?,
        count: u32::try_from(rows::number(row, "failures")?).map_err(|_| rows::malformed())?,
        blocked_until: rows::number(row, "blocked_until")?,
        last_at: rows::number(row, "last_at")?,
        // Empty if nothing has been counted yet.
        last: last.try_into().unwrap_or_default(),
    })
}
