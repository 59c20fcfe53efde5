//! Second factors, and the last step of an authentication.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{audit, failures, one_time, passkeys, sessions, users};
use crate::audit::{Actor, Event, NewEntry};
use crate::authentication::SecondFactor;
use crate::passkeys::Assertion;
use crate::second_factor::recovery::RecoveryHash;
use crate::second_factor::{
    Changed, FactorChange, Finished, Goal, LastStep, NewTotp, Proof, StoredFactors, StoredTotp,
};
use crate::session::SessionId;
use crate::users::User;

pub(super) fn of_user(db: &Connection, user_id: &str) -> rusqlite::Result<StoredFactors> {
    let totp = "SELECT * FROM totps WHERE user_id = ?1";
    let codes = "SELECT count(*) FROM recovery_codes WHERE user_id = ?1 AND used_by IS NULL";
    Ok(StoredFactors {
        totp: db.prepare_cached(totp)?.query_row([user_id], totp_of).optional()?,
        recovery_codes: db.prepare_cached(codes)?.query_row([user_id], |row| row.get(0))?,
    })
}

/// Makes a change, if it is possible.
pub(super) fn change(
    db: &Connection,
    user_id: &str,
    change: &FactorChange,
    session: Option<SessionId>,
    by: &Actor,
    now: u64,
) -> rusqlite::Result<Changed> {
    let Some(user) = users::by_id(db, user_id)? else { return Ok(Changed::Impossible) };
    if let Some(session) = &session
        && !sessions::is_live(db, session, user_id, now)?
    {
        return Ok(Changed::Impossible);
    }
    let (effect, is_changed) = match change {
        FactorChange::TotpBegun(sealed) => {
            let begun = begin_totp(db, user_id, sealed, now)?;
            (Changed::of(begun), begun)
        }
        FactorChange::TotpConfirmed(totp) => {
            let confirmed = confirm_totp(db, user_id, totp, now)?;
            if confirmed != Changed::Impossible && user.factors.is_empty() {
                begin_protection(db, user_id, session, SecondFactor::Totp)?;
            }
            (confirmed, confirmed != Changed::Impossible)
        }
        FactorChange::TotpRemoved => (Changed::Made, remove_totp(db, &user)?),
        FactorChange::RecoveryCodes(_) if user.factors.is_empty() => (Changed::Impossible, false),
        FactorChange::RecoveryCodes(codes) => {
            replace_codes(db, user_id, codes)?;
            (Changed::MadeWithCodes, true)
        }
        FactorChange::Reset => (Changed::Made, reset(db, user_id)?),
    };
    if is_changed && let Some(event) = change.event() {
        audit::record(db, &NewEntry::of_user(now, event, user_id).by(by))?;
    }
    Ok(effect)
}

/// Ends the sessions that were opened before the user's first second factor. That which has set it up
/// stays, and is as strong as after a login with it.
pub(super) fn begin_protection(
    db: &Connection,
    user_id: &str,
    session: Option<SessionId>,
    first: SecondFactor,
) -> rusqlite::Result<()> {
    sessions::end_all(db, user_id, session)?;
    session.map_or(Ok(()), |session| sessions::strengthen(db, &session, first))
}

fn begin_totp(db: &Connection, user_id: &str, sealed: &[u8], now: u64) -> rusqlite::Result<bool> {
    let put = "INSERT INTO totps (user_id, sealed, created_at, last_step) VALUES (?1, ?2, ?3, 0)
               ON CONFLICT (user_id) DO UPDATE SET sealed = ?2, created_at = ?3
               WHERE confirmed_at IS NULL";
    Ok(db.prepare_cached(put)?.execute(params![user_id, sealed, now])? == 1)
}

fn confirm_totp(
    db: &Connection,
    user_id: &str,
    totp: &NewTotp,
    now: u64,
) -> rusqlite::Result<Changed> {
    let confirm = "UPDATE totps SET confirmed_at = ?3, last_step = ?4
                   WHERE user_id = ?1 AND sealed = ?2 AND confirmed_at IS NULL";
    let values = params![user_id, totp.sealed, now, totp.step];
    if db.prepare_cached(confirm)?.execute(values)? == 0 {
        return Ok(Changed::Impossible);
    }
    let is_with_codes = add_codes(db, user_id, &totp.codes)?;
    Ok(if is_with_codes { Changed::MadeWithCodes } else { Changed::Made })
}

/// Returns true if there was a confirmed one.
fn remove_totp(db: &Connection, user: &User) -> rusqlite::Result<bool> {
    delete(db, "totps", &user.id)?;
    if !user.factors.passkeys {
        delete(db, "recovery_codes", &user.id)?;
    }
    Ok(user.factors.totp)
}

/// Puts recovery codes in force, unless the user has some that nobody has used. Returns true if it did.
pub(super) fn add_codes(
    db: &Connection,
    user_id: &str,
    codes: &[RecoveryHash],
) -> rusqlite::Result<bool> {
    let unused = "SELECT 1 FROM recovery_codes WHERE user_id = ?1 AND used_by IS NULL";
    if codes.is_empty() || db.prepare_cached(unused)?.exists([user_id])? {
        return Ok(false);
    }
    replace_codes(db, user_id, codes)?;
    Ok(true)
}

fn replace_codes(db: &Connection, user_id: &str, codes: &[RecoveryHash]) -> rusqlite::Result<()> {
    delete(db, "recovery_codes", user_id)?;
    let insert = "INSERT INTO recovery_codes (hash, user_id) VALUES (?1, ?2)";
    let mut insert = db.prepare_cached(insert)?;
    codes.iter().try_for_each(|code| insert.execute(params![code, user_id]).map(drop))
}

/// Returns true if the user had a second factor.
fn reset(db: &Connection, user_id: &str) -> rusqlite::Result<bool> {
    let mut deleted = 0;
    for table in ["totps", "recovery_codes", "passkeys"] {
        deleted += delete(db, table, user_id)?;
    }
    if deleted > 0 {
        sessions::end_all(db, user_id, None)?;
    }
    Ok(deleted > 0)
}

pub(super) fn delete(db: &Connection, table: &str, user_id: &str) -> rusqlite::Result<usize> {
    let delete = format!("DELETE FROM {table} WHERE user_id = ?1");
    db.prepare_cached(&delete)?.execute([user_id])
}

pub(super) fn finish(db: &Connection, step: LastStep) -> rusqlite::Result<Finished> {
    let user = users::by_id(db, &step.user_id)?.filter(|user| step.is_allowed(user));
    let Some(user) = user else { return Ok(Finished::Refused) };
    if let Goal::Again { session, .. } = &step.goal
        && !sessions::is_live(db, session, &user.id, step.now)?
    {
        return Ok(Finished::Refused);
    }
    if let Some(token) = &step.token
        && one_time::take(db, token)?.is_none()
    {
        return Ok(Finished::Refused);
    }
    if !prove(db, &user, &step)? {
        if let Some(retry) = &step.retry {
            one_time::add(db, retry, &Actor::default())?;
        }
        return Ok(Finished::Wrong);
    }
    let failure = step.failure.as_ref();
    let session = match step.goal {
        Goal::Open { session, candidates } => {
            let (hash, candidates) = (&user.password_hash, candidates.as_ref());
            sessions::open(db, *session, hash, &step.network, failure, candidates)?
        }
        Goal::Again { session, authentication } => {
            failure.map_or(Ok(()), |failure| failures::undo(db, failure))?;
            let entry =
                NewEntry::of_session(step.now, Event::AuthenticatedAgain, &session, &user.id);
            audit::record(db, &entry.from(&step.network))?;
            sessions::authenticate(db, &session, &authentication)?
        }
    };
    Ok(session.map_or(Finished::Refused, |session| Finished::Done(Box::new(session))))
}

/// Uses the proof. Returns `false` if it is wrong, or was used before.
fn prove(db: &Connection, user: &User, step: &LastStep) -> rusqlite::Result<bool> {
    let (is_right, event) = match &step.proof {
        Proof::Wrong => (false, None),
        Proof::Password => (user.factors.is_empty(), None),
        Proof::Totp { sealed, step } => {
            let use_up = "UPDATE totps SET last_step = ?3
                          WHERE user_id = ?1 AND sealed = ?2 AND confirmed_at IS NOT NULL
                          AND last_step < ?3";
            let used = db.prepare_cached(use_up)?.execute(params![user.id, sealed, step])?;
            (used == 1, None)
        }
        Proof::NewTotp(totp) => {
            let is_first = user.factors.is_empty();
            let is_new =
                is_first && confirm_totp(db, &user.id, totp, step.now)? != Changed::Impossible;
            if is_new {
                sessions::end_all(db, &user.id, step.goal.present_session())?;
            }
            (is_new, Some(Event::TotpAdded))
        }
        Proof::RecoveryCode(hash) => {
            let use_up = "UPDATE recovery_codes SET used_by = ?3
                          WHERE hash = ?1 AND user_id = ?2 AND used_by IS NULL";
            let id = step.token.as_ref().map_or([0; 16], |token| token.id);
            let used = db.prepare_cached(use_up)?.execute(params![hash, user.id, id])?;
            (used == 1, Some(Event::RecoveryCodeUsed))
        }
        Proof::Passkey(used) => {
            let verdict = passkeys::accept(db, &user.id, used, &step.network)?;
            (verdict == Assertion::Accepted, None)
        }
    };
    if is_right && let Some(event) = event {
        let entry = NewEntry::of_user(step.now, event, &user.id);
        audit::record(db, &entry.from(&step.network))?;
    }
    Ok(is_right)
}

/// Deletes some TOTP secrets that nobody has confirmed. Returns how many.
pub(super) fn prune_some(db: &Connection, until: u64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM totps WHERE user_id IN (
           SELECT user_id FROM totps WHERE confirmed_at IS NULL AND created_at <= ?1 LIMIT 100)",
    )?
    .execute([until])
}

fn totp_of(row: &Row<'_>) -> rusqlite::Result<StoredTotp> {
    Ok(StoredTotp {
        sealed: row.get("sealed")?,
        created_at: row.get("created_at")?,
        confirmed_at: row.get("confirmed_at")?,
        last_step: row.get("last_step")?,
    })
}
