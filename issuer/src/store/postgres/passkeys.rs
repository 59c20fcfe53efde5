//! Passkeys.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{audit, factors, one_time, rows, sessions, users};
use crate::audit::{Actor, Event, Network, NewEntry};
use crate::authentication::SecondFactor;
use crate::one_time::Recorded;
use crate::passkeys::credential::Credential;
use crate::passkeys::{Assertion, MOST_OF_A_USER, NewPasskey, Passkey, PasskeyUse, Registration};

pub(super) const FIND: &str = "SELECT * FROM countersign.passkeys WHERE id = $1";

/// The passkeys of a user, oldest first.
pub(super) const ALL: &str = "SELECT * FROM countersign.passkeys WHERE user_id = $1
                              ORDER BY created_at, id LIMIT $2";

/// Adds a passkey, and uses its challenge up. `last` is the result of the last run of this transaction.
pub(super) async fn add(
    db: &Connection,
    new: &NewPasskey,
    last: Option<Registration>,
) -> Result<Registration, Failure> {
    let NewPasskey { passkey, session, challenge, codes, network } = new;
    let user_id = (&passkey.user_id as _, Type::TEXT);
    // Registrations of one user wait for each other, so that none exceeds the limit.
    let lock = "SELECT FROM countersign.users WHERE id = $1 AND NOT locked FOR UPDATE";
    if db.query_typed_opt(lock, std::slice::from_ref(&user_id)).await?.is_none() {
        return Ok(Registration::Refused);
    }
    if !sessions::is_live(db, *session, &passkey.user_id, challenge.now).await? {
        return Ok(Registration::Refused);
    }
    match one_time::record_use(db, challenge, true).await? {
        Recorded::First => {}
        // The last run was committed.
        Recorded::Again { .. } => return Ok(last.unwrap_or(Registration::Refused)),
        Recorded::Foreign => return Ok(Registration::Refused),
    }
    let id = (&passkey.id as _, Type::BYTEA);
    if db.query_typed_opt(FIND, std::slice::from_ref(&id)).await?.is_some() {
        return Ok(Registration::IdTaken);
    }
    let most = i64::from(MOST_OF_A_USER);
    if db.query_typed(ALL, &[user_id.clone(), (&most, Type::INT8)]).await?.len()
        >= MOST_OF_A_USER as usize
    {
        return Ok(Registration::TooMany);
    }
    let is_first = factors::factors(db, &passkey.user_id).await?.is_empty();
    let insert = "INSERT INTO countersign.passkeys (id, user_id, name, credential, created_at)
                  VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let added = db
        .execute_typed(
            insert,
            &[
                id,
                user_id,
                (&passkey.name, Type::TEXT),
                (&passkey.credential.to_stored(), Type::BYTEA),
                (&rows::signed(passkey.created_at)?, Type::INT8),
            ],
        )
        .await?;
    // Another user registered it at the same time.
    if added == 0 {
        return Ok(Registration::IdTaken);
    }
    let is_with_codes = factors::add_codes(db, &passkey.user_id, codes).await?;
    if is_first {
        let first = SecondFactor::Passkey;
        factors::begin_protection(db, &passkey.user_id, Some(*session), first).await?;
    }
    let entry = NewEntry::of_user(passkey.created_at, Event::PasskeyAdded, &passkey.user_id);
    audit::record(db, &entry.from(network)).await?;
    Ok(Registration::added(is_with_codes))
}

/// Uses a passkey of the user and its challenge, if the counter allows it. The caller has locked the
/// user's row.
pub(super) async fn accept(
    db: &Connection,
    user_id: &str,
    used: &PasskeyUse,
    network: &Network,
) -> Result<Assertion, Failure> {
    let PasskeyUse { id, counter, challenge } = used;
    let Some(passkey) = lock(db, user_id, id).await? else { return Ok(Assertion::Refused) };
    let next = passkey.credential.after_use(*counter);
    match one_time::record_use(db, challenge, next.is_some()).await? {
        Recorded::First => {}
        Recorded::Again { accepted: true } => return Ok(Assertion::Accepted),
        Recorded::Again { accepted: false } => return Ok(Assertion::CounterBack),
        Recorded::Foreign => return Ok(Assertion::Refused),
    }
    let Some(next) = next else {
        let entry = NewEntry::of_user(challenge.now, Event::PasskeyCounterBack, user_id);
        audit::record(db, &entry.from(network)).await?;
        return Ok(Assertion::CounterBack);
    };
    let update = "UPDATE countersign.passkeys SET credential = $2, used_at = $3 WHERE id = $1";
    db.execute_typed(
        update,
        &[
            (id, Type::BYTEA),
            (&next.to_stored(), Type::BYTEA),
            (&rows::signed(challenge.now)?, Type::INT8),
        ],
    )
    .await?;
    Ok(Assertion::Accepted)
}

/// Renames a passkey. Returns `false` if the user has none with this id.
pub(super) async fn rename(
    db: &Connection,
    user_id: &str,
    id: &[u8],
    name: &str,
    by: &Actor,
    now: u64,
) -> Result<bool, Failure> {
    let Some(passkey) = lock(db, user_id, id).await? else { return Ok(false) };
    if passkey.name != name {
        let update = "UPDATE countersign.passkeys SET name = $2 WHERE id = $1";
        db.execute_typed(update, &[(&id, Type::BYTEA), (&name, Type::TEXT)]).await?;
        audit::record(db, &NewEntry::of_user(now, Event::PasskeyRenamed, user_id).by(by)).await?;
    }
    Ok(true)
}

/// Removes a passkey, and the recovery codes if the user has no other second factor. Returns `false` if
/// the user has no passkey with this id.
pub(super) async fn remove(
    db: &Connection,
    user_id: &str,
    id: &[u8],
    by: &Actor,
    now: u64,
) -> Result<bool, Failure> {
    // The user before the passkey, as in other changes: two transactions never wait for each other.
    if users::lock(db, user_id).await?.is_none() {
        return Ok(false);
    }
    let delete = "DELETE FROM countersign.passkeys WHERE id = $1 AND user_id = $2";
    if db.execute_typed(delete, &[(&id, Type::BYTEA), (&user_id, Type::TEXT)]).await? == 0 {
        return Ok(false);
    }
    if factors::factors(db, user_id).await?.is_empty() {
        factors::delete(db, "recovery_codes", user_id).await?;
    }
    audit::record(db, &NewEntry::of_user(now, Event::PasskeyRemoved, user_id).by(by)).await?;
    Ok(true)
}

/// Returns the passkey of a user, and lets others' changes of it wait.
async fn lock(db: &Connection, user_id: &str, id: &[u8]) -> Result<Option<Passkey>, Failure> {
    let lock = "SELECT * FROM countersign.passkeys WHERE id = $1 AND user_id = $2 FOR UPDATE";
    let row = db.query_typed_opt(lock, &[(&id, Type::BYTEA), (&user_id, Type::TEXT)]).await?;
    row.as_ref().map(from_row).transpose()
}

pub(super) fn from_row(row: &Row) -> Result<Passkey, Failure> {
    let used_at: Option<i64> = row.try_get("used_at")?;
    Ok(Passkey {
        id: row.try_get("id")?,
        user_id: row.try_get("user_id")?,
        name: row.try_get("name")?,
        credential: Credential::from_stored(row.try_get("credential")?)
            .ok_or_else(rows::malformed)?,
        created_at: rows::number(row, "created_at")?,
        used_at: used_at.map(u64::try_from).transpose().map_err(|_| rows::malformed())?,
    })
}
