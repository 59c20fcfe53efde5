//! Passkeys.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{audit, factors, one_time, sessions, users};
use crate::audit::{Actor, Event, Network, NewEntry};
use crate::authentication::SecondFactor;
use crate::one_time::Recorded;
use crate::passkeys::credential::Credential;
use crate::passkeys::{Assertion, MOST_OF_A_USER, NewPasskey, Passkey, PasskeyUse, Registration};

/// Adds a passkey, and uses its challenge up.
pub(super) fn add(db: &Connection, new: &NewPasskey) -> rusqlite::Result<Registration> {
    let NewPasskey { passkey, session, challenge, codes, network } = new;
    let user = users::by_id(db, &passkey.user_id)?.filter(|user| !user.locked);
    let Some(user) = user else { return Ok(Registration::Refused) };
    if !sessions::is_live(db, session, &user.id, challenge.now)?
        || one_time::record_use(db, challenge, true)? != Recorded::First
    {
        return Ok(Registration::Refused);
    }
    if find(db, &passkey.id)?.is_some() {
        return Ok(Registration::IdTaken);
    }
    if all(db, &passkey.user_id)?.len() >= MOST_OF_A_USER as usize {
        return Ok(Registration::TooMany);
    }
    let insert = "INSERT INTO passkeys (id, user_id, name, credential, created_at)
                  VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(insert)?.execute(params![
        passkey.id,
        passkey.user_id,
        passkey.name,
        passkey.credential.to_stored(),
        passkey.created_at,
    ])?;
    let is_with_codes = factors::add_codes(db, &passkey.user_id, codes)?;
    if user.factors.is_empty() {
        factors::begin_protection(db, &user.id, Some(*session), SecondFactor::Passkey)?;
    }
    let entry = NewEntry::of_user(passkey.created_at, Event::PasskeyAdded, &passkey.user_id);
    audit::record(db, &entry.from(network))?;
    Ok(Registration::added(is_with_codes))
}

/// Uses a passkey of the user and its challenge, if the counter allows it.
pub(super) fn accept(
    db: &Connection,
    user_id: &str,
    used: &PasskeyUse,
    network: &Network,
) -> rusqlite::Result<Assertion> {
    let PasskeyUse { id, counter, challenge } = used;
    let found = find(db, id)?.filter(|passkey| passkey.user_id == user_id);
    let Some(passkey) = found else { return Ok(Assertion::Refused) };
    let next = passkey.credential.after_use(*counter);
    if one_time::record_use(db, challenge, next.is_some())? != Recorded::First {
        return Ok(Assertion::Refused);
    }
    let Some(next) = next else {
        let entry = NewEntry::of_user(challenge.now, Event::PasskeyCounterBack, user_id);
        audit::record(db, &entry.from(network))?;
        return Ok(Assertion::CounterBack);
    };
    let update = "UPDATE passkeys SET credential = ?2, used_at = ?3 WHERE id = ?1";
    db.prepare_cached(update)?.execute(params![id, next.to_stored(), challenge.now])?;
    Ok(Assertion::Accepted)
}

/// Renames a passkey. Returns `false` if the user has none with this id.
pub(super) fn rename(
    db: &Connection,
    user_id: &str,
    id: &[u8],
    name: &str,
    by: &Actor,
    now: u64,
) -> rusqlite::Result<bool> {
    let found = find(db, id)?.filter(|passkey| passkey.user_id == user_id);
    let Some(passkey) = found else { return Ok(false) };
    if passkey.name != name {
        let update = "UPDATE passkeys SET name = ?2 WHERE id = ?1";
        db.prepare_cached(update)?.execute(params![id, name])?;
        audit::record(db, &NewEntry::of_user(now, Event::PasskeyRenamed, user_id).by(by))?;
    }
    Ok(true)
}

/// Removes a passkey, and the recovery codes if the user has no other second factor. Returns `false` if
/// the user has no passkey with this id.
pub(super) fn remove(
    db: &Connection,
    user_id: &str,
    id: &[u8],
    by: &Actor,
    now: u64,
) -> rusqlite::Result<bool> {
    let delete = "DELETE FROM passkeys WHERE id = ?1 AND user_id = ?2";
    if db.prepare_cached(delete)?.execute(params![id, user_id])? == 0 {
        return Ok(false);
    }
    if users::by_id(db, user_id)?.is_some_and(|user| user.factors.is_empty()) {
        factors::delete(db, "recovery_codes", user_id)?;
    }
    audit::record(db, &NewEntry::of_user(now, Event::PasskeyRemoved, user_id).by(by))?;
    Ok(true)
}

pub(super) fn find(db: &Connection, id: &[u8]) -> rusqlite::Result<Option<Passkey>> {
    db.prepare_cached("SELECT * FROM passkeys WHERE id = ?1")?.query_row([id], of_row).optional()
}

/// Returns the passkeys of a user, oldest first.
pub(super) fn all(db: &Connection, user_id: &str) -> rusqlite::Result<Vec<Passkey>> {
    let all = "SELECT * FROM passkeys WHERE user_id = ?1 ORDER BY created_at, id LIMIT ?2";
    db.prepare_cached(all)?.query_map(params![user_id, MOST_OF_A_USER], of_row)?.collect()
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Passkey> {
    let credential: Vec<u8> = row.get("credential")?;
    Ok(Passkey {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        name: row.get("name")?,
        credential: Credential::from_stored(&credential)
            .ok_or(rusqlite::Error::InvalidColumnName("credential".to_owned()))?,
        created_at: row.get("created_at")?,
        used_at: row.get("used_at")?,
    })
}
