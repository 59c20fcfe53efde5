//! Counters of failed logins.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::login::throttle::{
    Attempt, Counter, Failures, ProvisionalFailure, Verdict, counted_before, decide,
};

/// Decides a login and counts it as a failure if it is admitted.
pub(super) fn attempt(db: &Connection, attempt: &Attempt) -> rusqlite::Result<Verdict> {
    let verdict = decide(attempt, &of_attempt(db, attempt)?);
    if let Verdict::Admit(ProvisionalFailure { own, everywhere }) = &verdict {
        put(db, own)?;
        everywhere.iter().try_for_each(|failures| put(db, failures))?;
    }
    Ok(verdict)
}

/// Undoes the provisional failure of a login that succeeded.
pub(super) fn undo(db: &Connection, failure: &ProvisionalFailure) -> rusqlite::Result<()> {
    if let Some(everywhere) = &failure.everywhere
        && let Some(stored) = by_counter(db, &everywhere.counter)?
    {
        put(db, &stored.after_success())?;
    }
    db.prepare_cached("DELETE FROM login_failures WHERE counter = ?1")?
        .execute([failure.own.counter])
        .map(drop)
}

/// Takes a failure back, unless that has been done.
pub(super) fn take_back(db: &Connection, failure: &ProvisionalFailure) -> rusqlite::Result<()> {
    let counter = failure.taken_back();
    if by_counter(db, &counter)?.is_some() {
        return Ok(());
    }
    put(db, &Failures { counter, count: 0, blocked_until: 0, ..failure.own.clone() })?;
    let mut found = Vec::new();
    for counted in failure.everywhere.iter().chain([&failure.own]) {
        found.extend(by_counter(db, &counted.counter)?);
    }
    failure.take_back(&found).iter().try_for_each(|failures| put(db, failures))
}

/// Takes a failure back if its own counter has it as its last one.
pub(super) fn take_back_unless_undone(
    db: &Connection,
    failure: &ProvisionalFailure,
) -> rusqlite::Result<()> {
    let own = by_counter(db, &failure.own.counter)?;
    if own.is_some_and(|own| own.last == failure.own.last) {
        take_back(db, failure)?;
    }
    Ok(())
}

/// Takes the failure of an attempt back if its counters have it as their last one.
pub(super) fn take_back_if_counted(db: &Connection, attempt: &Attempt) -> rusqlite::Result<()> {
    let counted = counted_before(attempt, &of_attempt(db, attempt)?);
    counted.map_or(Ok(()), |failure| take_back(db, &failure))
}

/// Returns the attempt's counters.
fn of_attempt(db: &Connection, attempt: &Attempt) -> rusqlite::Result<Vec<Failures>> {
    let mut found = Vec::new();
    let counters = [Some(attempt.account), Some(attempt.network), attempt.device];
    for counter in counters.into_iter().flatten() {
        found.extend(by_counter(db, &counter)?);
    }
    Ok(found)
}

/// Deletes some counters that were last used at `until` or before. Returns how many.
pub(super) fn prune_some(db: &Connection, until: u64) -> rusqlite::Result<usize> {
    db.execute(
        "DELETE FROM login_failures WHERE counter IN (
           SELECT counter FROM login_failures WHERE last_at <= ?1 LIMIT 100)",
        [until],
    )
}

fn by_counter(db: &Connection, counter: &Counter) -> rusqlite::Result<Option<Failures>> {
    let failures_of = |row: &Row<'_>| {
        Ok(Failures {
            counter: row.get("counter")?,
            count: row.get("failures")?,
            blocked_until: row.get("blocked_until")?,
            last_at: row.get("last_at")?,
            last: row.get("attempt")?,
        })
    };
    db.prepare_cached("SELECT * FROM login_failures WHERE counter = ?1")?
        .query_row([counter], failures_of)
        .optional()
}

fn put(db: &Connection, failures: &Failures) -> rusqlite::Result<()> {
    let Failures { counter, count, blocked_until, last_at, last } = failures;
    db.prepare_cached(
        "INSERT INTO login_failures (counter, failures, blocked_until, last_at, attempt)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (counter) DO UPDATE SET failures = ?2, blocked_until = ?3, last_at = ?4,
                                             attempt = ?5",
    )?
    .execute(params![counter, count, blocked_until, last_at, last])
    .map(drop)
}
