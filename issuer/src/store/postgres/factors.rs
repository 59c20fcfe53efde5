//! Second factors, and the last step of an authentication. A transaction locks the user's row first, so
//! that those of one user run one after the other.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{audit, failures, one_time, passkeys, rows, sessions, users};
use crate::audit::{Actor, Event, NewEntry};
use crate::authentication::{Factors, SecondFactor};
use crate::one_time::TokenUse;
use crate::passkeys::Assertion;
use crate::second_factor::recovery::RecoveryHash;
use crate::second_factor::{
    Changed, FactorChange, Finished, Goal, LastStep, NewTotp, Proof, StoredFactors, StoredTotp,
};
use crate::session::SessionId;
use crate::users::User;

/// One row, also of a user without second factors.
pub(super) const OF_USER: &str = "
    SELECT totps.*, (SELECT count(*) FROM countersign.recovery_codes
                     WHERE recovery_codes.user_id = $1 AND used_by IS NULL) AS recovery_codes
    FROM (SELECT) AS one LEFT JOIN countersign.totps ON user_id = $1";

pub(super) fn from_row(row: &Row) -> Result<StoredFactors, Failure> {
    let sealed: Option<Vec<u8>> = row.try_get("sealed")?;
    let confirmed_at: Option<i64> = row.try_get("confirmed_at")?;
    let totp = match sealed {
        Some(sealed) => Some(StoredTotp {
            sealed,
            created_at: rows::number(row, "created_at")?,
            confirmed_at: confirmed_at.map(rows::unsigned).transpose()?,
            last_step: rows::number(row, "last_step")?,
        }),
        None => None,
    };
    Ok(StoredFactors { totp, recovery_codes: rows::small(row.try_get("recovery_codes")?)? })
}

/// Makes a change, if it is possible. `last` is the result of the last run of this transaction.
pub(super) async fn change(
    db: &Connection,
    user_id: &str,
    change: &FactorChange,
    session: Option<SessionId>,
    by: &Actor,
    now: u64,
    last: Option<Changed>,
) -> Result<Changed, Failure> {
    let user = users::lock(db, user_id).await?.filter(|user| !user.is_deleted());
    if user.is_none() {
        return Ok(Changed::Impossible);
    }
    if let Some(session) = session
        && !sessions::is_live(db, session, user_id, now).await?
    {
        return Ok(Changed::Impossible);
    }
    let factors = factors(db, user_id).await?;
    let (effect, is_changed) = match change {
        FactorChange::TotpBegun(sealed) => {
            let begun = begin_totp(db, user_id, sealed, now).await?;
            (Changed::of(begun), begun)
        }
        FactorChange::TotpConfirmed(totp) => {
            // An earlier run of this transaction may have been committed, without its codes too.
            if has_codes(db, user_id, &totp.codes).await? {
                return Ok(Changed::MadeWithCodes);
            }
            if last == Some(Changed::Made) && is_confirmed(db, user_id, totp, now).await? {
                return Ok(Changed::Made);
            }
            let confirmed = confirm_totp(db, user_id, totp, now).await?;
            if confirmed != Changed::Impossible && factors.is_empty() {
                begin_protection(db, user_id, session, SecondFactor::Totp).await?;
            }
            (confirmed, confirmed != Changed::Impossible)
        }
        FactorChange::TotpRemoved => (Changed::Made, remove_totp(db, user_id, factors).await?),
        FactorChange::RecoveryCodes(_) if factors.is_empty() => (Changed::Impossible, false),
        FactorChange::RecoveryCodes(codes) => {
            if has_codes(db, user_id, codes).await? {
                return Ok(Changed::MadeWithCodes);
            }
            replace_codes(db, user_id, codes).await?;
            (Changed::MadeWithCodes, true)
        }
        FactorChange::Reset => (Changed::Made, reset(db, user_id).await?),
    };
    if is_changed && let Some(event) = change.event() {
        audit::record(db, &NewEntry::of_user(now, event, user_id).by(by)).await?;
    }
    Ok(effect)
}

/// Returns the second factors of a user whose row is locked. The statement that locked it may have seen
/// older ones.
pub(super) async fn factors(db: &Connection, user_id: &str) -> Result<Factors, Failure> {
    let find = "SELECT EXISTS (SELECT FROM countersign.totps
                               WHERE user_id = $1 AND confirmed_at IS NOT NULL) AS totp,
                       EXISTS (SELECT FROM countersign.passkeys WHERE user_id = $1) AS passkeys";
    let row = db.query_typed_one(find, &[(&user_id, Type::TEXT)]).await?;
    Ok(Factors { totp: row.try_get("totp")?, passkeys: row.try_get("passkeys")? })
}

/// Ends the sessions that were opened before the user's first second factor. That which has set it up
/// stays, and is as strong as after a login with it.
pub(super) async fn begin_protection(
    db: &Connection,
    user_id: &str,
    session: Option<SessionId>,
    first: SecondFactor,
) -> Result<(), Failure> {
    sessions::end_all(db, user_id, session).await?;
    match session {
        Some(session) => sessions::strengthen(db, session, first).await,
        None => Ok(()),
    }
}

async fn begin_totp(
    db: &Connection,
    user_id: &str,
    sealed: &[u8],
    now: u64,
) -> Result<bool, Failure> {
    let put = "INSERT INTO countersign.totps AS old (user_id, sealed, created_at, last_step)
               VALUES ($1, $2, $3, 0)
               ON CONFLICT (user_id) DO UPDATE SET sealed = $2, created_at = $3
               WHERE old.confirmed_at IS NULL";
    let parameters = [
        (&user_id as _, Type::TEXT),
        (&sealed as _, Type::BYTEA),
        (&rows::signed(now)? as _, Type::INT8),
    ];
    Ok(db.execute_typed(put, &parameters).await? == 1)
}

async fn confirm_totp(
    db: &Connection,
    user_id: &str,
    totp: &NewTotp,
    now: u64,
) -> Result<Changed, Failure> {
    let confirm = "UPDATE countersign.totps SET confirmed_at = $3, last_step = $4
                   WHERE user_id = $1 AND sealed = $2 AND confirmed_at IS NULL";
    let parameters = [
        (&user_id as _, Type::TEXT),
        (&totp.sealed as _, Type::BYTEA),
        (&rows::signed(now)? as _, Type::INT8),
        (&rows::signed(totp.step)? as _, Type::INT8),
    ];
    if db.execute_typed(confirm, &parameters).await? == 0 {
        return Ok(Changed::Impossible);
    }
    let is_with_codes = add_codes(db, user_id, &totp.codes).await?;
    Ok(if is_with_codes { Changed::MadeWithCodes } else { Changed::Made })
}

/// Returns true if the secret was confirmed by this code, at this time.
async fn is_confirmed(
    db: &Connection,
    user_id: &str,
    totp: &NewTotp,
    now: u64,
) -> Result<bool, Failure> {
    let find = "SELECT FROM countersign.totps
                WHERE user_id = $1 AND sealed = $2 AND confirmed_at = $3 AND last_step >= $4";
    let parameters = [
        (&user_id as _, Type::TEXT),
        (&totp.sealed as _, Type::BYTEA),
        (&rows::signed(now)? as _, Type::INT8),
        (&rows::signed(totp.step)? as _, Type::INT8),
    ];
    Ok(db.query_typed_opt(find, &parameters).await?.is_some())
}

/// Returns true if there was a confirmed one.
async fn remove_totp(db: &Connection, user_id: &str, factors: Factors) -> Result<bool, Failure> {
    delete(db, "totps", user_id).await?;
    if !factors.passkeys {
        delete(db, "recovery_codes", user_id).await?;
    }
    Ok(factors.totp)
}

/// Returns true if the user has the first of these codes. They are random.
async fn has_codes(
    db: &Connection,
    user_id: &str,
    codes: &[RecoveryHash],
) -> Result<bool, Failure> {
    let Some(first) = codes.first() else { return Ok(false) };
    let find = "SELECT FROM countersign.recovery_codes WHERE hash = $1 AND user_id = $2";
    let parameters = [(&first.as_slice() as _, Type::BYTEA), (&user_id as _, Type::TEXT)];
    Ok(db.query_typed_opt(find, &parameters).await?.is_some())
}

/// Puts recovery codes in force, unless the user has some that nobody has used. Returns true if it did.
/// The user's row is locked.
pub(super) async fn add_codes(
    db: &Connection,
    user_id: &str,
    codes: &[RecoveryHash],
) -> Result<bool, Failure> {
    let unused = "SELECT FROM countersign.recovery_codes
                  WHERE user_id = $1 AND used_by IS NULL LIMIT 1";
    if codes.is_empty() || db.query_typed_opt(unused, &[(&user_id, Type::TEXT)]).await?.is_some() {
        return Ok(false);
    }
    replace_codes(db, user_id, codes).await?;
    Ok(true)
}

async fn replace_codes(
    db: &Connection,
    user_id: &str,
    codes: &[RecoveryHash],
) -> Result<(), Failure> {
    delete(db, "recovery_codes", user_id).await?;
    let insert = "INSERT INTO countersign.recovery_codes (hash, user_id)
                  SELECT hash, $2 FROM unnest($1) AS hash";
    let codes: Vec<_> = codes.iter().map(<[u8; 32]>::as_slice).collect();
    db.execute_typed(insert, &[(&codes, Type::BYTEA_ARRAY), (&user_id, Type::TEXT)]).await?;
    Ok(())
}

/// Returns true if the user had a second factor.
async fn reset(db: &Connection, user_id: &str) -> Result<bool, Failure> {
    let mut deleted = 0;
    for table in ["totps", "recovery_codes", "passkeys"] {
        deleted += delete(db, table, user_id).await?;
    }
    if deleted > 0 {
        sessions::end_all(db, user_id, None).await?;
    }
    Ok(deleted > 0)
}

pub(super) async fn delete(db: &Connection, table: &str, user_id: &str) -> Result<u64, Failure> {
    let delete = format!("DELETE FROM countersign.{table} WHERE user_id = $1");
    Ok(db.execute_typed(&delete, &[(&user_id, Type::TEXT)]).await?)
}

/// Takes the last step of an authentication. `last` is the result of the last run of this transaction.
pub(super) async fn finish(
    db: &Connection,
    step: &LastStep,
    last: Option<Finished>,
) -> Result<Finished, Failure> {
    let user = users::lock(db, &step.user_id).await?.filter(|user| step.is_allowed(user));
    let Some(user) = user else { return Ok(Finished::Refused) };
    if let Some(token) = &step.token
        && was_committed(db, token).await?
    {
        return finished_before(db, step).await;
    }
    if let Goal::Again { session, .. } = &step.goal
        && !sessions::is_live(db, *session, &user.id, step.now).await?
    {
        return Ok(Finished::Refused);
    }
    if let Some(token) = &step.token
        && one_time::take(db, token).await?.is_none()
    {
        return Ok(Finished::Refused);
    }
    if !prove(db, &user, step).await? {
        if let Some(retry) = &step.retry {
            one_time::add(db, retry, &Actor::default()).await?;
        }
        return Ok(Finished::Wrong);
    }
    let failure = step.failure.as_ref();
    let session = match &step.goal {
        Goal::Open { session, candidates } => {
            let (hash, candidates) = (&user.password_hash, candidates.as_ref());
            sessions::open(db, session, hash, &step.network, failure, candidates).await?
        }
        Goal::Again { session, authentication } => {
            let changed = sessions::authenticate(db, *session, authentication).await?;
            // Without a token, the last run may have been committed. But another request in the same
            // second makes the same authentication.
            let is_first = match failure {
                _ if changed.is_some() || last.is_none() => true,
                Some(failure) => failures::is_last(db, failure).await?,
                None => false,
            };
            if is_first {
                if let Some(failure) = failure {
                    failures::undo(db, failure).await?;
                }
                let event = Event::AuthenticatedAgain;
                let entry = NewEntry::of_session(step.now, event, session, &user.id);
                audit::record(db, &entry.from(&step.network)).await?;
            }
            match changed {
                Some(changed) => Some(changed),
                None => sessions::by_id(db, *session).await?,
            }
        }
    };
    Ok(session.map_or(Finished::Refused, |session| Finished::Done(Box::new(session))))
}

/// Returns true if an earlier run of this transaction was committed: it has used the token.
async fn was_committed(db: &Connection, token: &TokenUse) -> Result<bool, Failure> {
    let find = "SELECT FROM countersign.one_time_tokens WHERE hash = $1 AND used_by = $2";
    let parameters =
        [(&token.hash.as_slice() as _, Type::BYTEA), (&token.id.as_slice() as _, Type::BYTEA)];
    Ok(db.query_typed_opt(find, &parameters).await?.is_some())
}

/// Returns the result of the run that was committed.
async fn finished_before(db: &Connection, step: &LastStep) -> Result<Finished, Failure> {
    if let Some(retry) = &step.retry {
        let find = "SELECT FROM countersign.one_time_tokens WHERE hash = $1";
        let hash = (&retry.hash.as_slice() as _, Type::BYTEA);
        if db.query_typed_opt(find, &[hash]).await?.is_some() {
            return Ok(Finished::Wrong);
        }
    }
    let id = match &step.goal {
        Goal::Open { session, .. } => session.id,
        Goal::Again { session, .. } => *session,
    };
    let session = sessions::by_id(db, id).await?.filter(|session| !session.revoked);
    Ok(session.map_or(Finished::Refused, |session| Finished::Done(Box::new(session))))
}

/// Uses the proof. Returns `false` if it is wrong, or was used before.
async fn prove(db: &Connection, user: &User, step: &LastStep) -> Result<bool, Failure> {
    let user_id = (&user.id as _, Type::TEXT);
    let (is_right, event) = match &step.proof {
        Proof::Wrong => (false, None),
        Proof::Password => (factors(db, &user.id).await?.is_empty(), None),
        Proof::Totp { sealed, step } => {
            let use_up = "UPDATE countersign.totps SET last_step = $3
                          WHERE user_id = $1 AND sealed = $2 AND confirmed_at IS NOT NULL
                          AND last_step < $3";
            let number = rows::signed(*step)?;
            let parameters = [user_id, (sealed as _, Type::BYTEA), (&number as _, Type::INT8)];
            (db.execute_typed(use_up, &parameters).await? == 1, None)
        }
        Proof::NewTotp(totp) => {
            let is_first = factors(db, &user.id).await?.is_empty();
            let is_new = is_first
                && confirm_totp(db, &user.id, totp, step.now).await? != Changed::Impossible;
            if is_new {
                sessions::end_all(db, &user.id, step.goal.present_session()).await?;
            }
            (is_new, Some(Event::TotpAdded))
        }
        Proof::RecoveryCode(hash) => {
            let use_up = "UPDATE countersign.recovery_codes SET used_by = $3
                          WHERE hash = $2 AND user_id = $1 AND used_by IS NULL";
            let id = step.token.as_ref().map_or([0; 16], |token| token.id);
            let parameters =
                [user_id, (&hash.as_slice() as _, Type::BYTEA), (&id.as_slice() as _, Type::BYTEA)];
            let used = db.execute_typed(use_up, &parameters).await?;
            (used == 1, Some(Event::RecoveryCodeUsed))
        }
        Proof::Passkey(used) => {
            let verdict = passkeys::accept(db, &user.id, used, &step.network).await?;
            (verdict == Assertion::Accepted, None)
        }
    };
    if is_right && let Some(event) = event {
        let entry = NewEntry::of_user(step.now, event, &user.id);
        audit::record(db, &entry.from(&step.network)).await?;
    }
    Ok(is_right)
}

/// Deletes some TOTP secrets that nobody has confirmed. Returns how many. Leaves locked rows for the next
/// time.
pub(super) async fn prune_some(db: &Connection, until: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.totps WHERE user_id IN (
                    SELECT user_id FROM countersign.totps
                    WHERE confirmed_at IS NULL AND created_at <= $1
                    LIMIT 200 FOR UPDATE SKIP LOCKED)";
    Ok(db.execute_typed(delete, &[(&rows::signed(until)?, Type::INT8)]).await?)
}
