use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{audit, failures, one_time, sessions};
use crate::audit::{Actor, Event, NewEntry};
use crate::authentication::Factors;
use crate::custom_claims::CustomClaims;
use crate::login::new_password::{NewPassword, Proof};
use crate::users::{Addition, BELONGINGS, User, UserChange};

/// Returns the statement that reads users with their second factors.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT *,
               EXISTS (SELECT * FROM totps WHERE user_id = users.id AND confirmed_at IS NOT NULL)
                 AS has_totp,
               EXISTS (SELECT * FROM passkeys WHERE user_id = users.id) AS has_passkey
             FROM users ",
            $condition
        )
    };
}

pub(super) fn add(db: &Connection, user: &User, by: &Actor) -> rusqlite::Result<bool> {
    let insert = "INSERT INTO users (id, name, scope, password_hash, created_at, locked, claims)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
    let added = db.prepare_cached(insert)?.execute(params![
        user.id,
        user.name,
        user.scope,
        user.password_hash,
        user.created_at,
        user.locked,
        user.claims.as_stored(),
    ])?;
    if added == 1 {
        let entry = NewEntry::of_user(user.created_at, Event::UserAdded, &user.id);
        audit::record(db, &entry.by(by))?;
    }
    Ok(added == 1)
}

/// Adds one of several users.
pub(super) fn add_one_of(db: &Connection, user: &User, by: &Actor) -> rusqlite::Result<Addition> {
    if add(db, user, by)? {
        return Ok(Addition::Added);
    }
    let is_present = db.prepare_cached("SELECT 1 FROM users WHERE id = ?1")?.exists([&user.id])?;
    Ok(if is_present { Addition::Present } else { Addition::NameTaken })
}

/// Changes the user of that id. Returns `false` if there is none.
pub(super) fn change(
    db: &Connection,
    id: &str,
    changes: &[UserChange],
    by: &Actor,
    now: u64,
) -> rusqlite::Result<bool> {
    let found = any_by_id(db, id)?;
    let is_possible = |user: &User| changes.iter().all(|change| change.is_possible(user));
    let Some(mut user) = found.filter(is_possible) else { return Ok(false) };
    for change in changes {
        user = apply(db, user, change, by, now)?;
    }
    Ok(true)
}

/// Deletes the user of that name. Returns `false` if there is none.
pub(super) fn delete(db: &Connection, name: &str, by: &Actor, now: u64) -> rusqlite::Result<bool> {
    let Some(found) = by_name(db, name)? else { return Ok(false) };
    apply(db, found, &UserChange::Deleted, by, now)?;
    Ok(true)
}

/// Applies a change. Returns the row after it.
fn apply(
    db: &Connection,
    found: User,
    change: &UserChange,
    by: &Actor,
    now: u64,
) -> rusqlite::Result<User> {
    let Some(changed) = change.apply(&found, now) else { return Ok(found) };
    let user = changed.user;
    update(db, &user)?;
    if user.claims != found.claims {
        let update = "UPDATE sessions SET claims = ?2 WHERE user_id = ?1";
        db.execute(update, [&user.id, user.claims.as_stored()])?;
    }
    if changed.ends_sessions {
        let ended = sessions::end_all(db, &user.id, None)?;
        // Nothing has happened then.
        if ended == 0 && changed.event == Event::SessionsEnded {
            return Ok(user);
        }
    }
    if changed.event == Event::UserDeleted {
        for table in BELONGINGS {
            let delete = format!("DELETE FROM {table} WHERE user_id = ?1");
            db.prepare_cached(&delete)?.execute([&user.id])?;
        }
    }
    audit::record(db, &NewEntry::of_user(now, changed.event, &user.id).by(by))?;
    Ok(user)
}

/// Sets a password that its user chose. Returns `false` if the proof does not hold.
pub(super) fn set_password(db: &Connection, new: &NewPassword) -> rusqlite::Result<bool> {
    let found = by_id(db, &new.user_id)?.filter(|user| new.is_allowed(user));
    let Some(user) = found else { return Ok(false) };
    match &new.proof {
        Proof::Password { failure, .. } => failures::undo(db, failure)?,
        Proof::Reset(token) => {
            if one_time::take(db, token)?.is_none() {
                return Ok(false);
            }
        }
    }
    update(db, &user.with_password(&new.hash))?;
    sessions::end_all(db, &user.id, new.staying_session())?;
    let entry = NewEntry::of_user(new.now, new.event(), &user.id);
    audit::record(db, &entry.from(&new.network))?;
    Ok(true)
}

fn update(db: &Connection, user: &User) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE users SET name = ?2, scope = ?3, password_hash = ?4, locked = ?5,
                          password_version = ?6, unlocked_at = ?7, claims = ?8 WHERE id = ?1",
        params![
            user.id,
            user.name,
            user.scope,
            user.password_hash,
            user.locked,
            user.password_version,
            user.unlocked_at,
            user.claims.as_stored(),
        ],
    )
    .map(drop)
}

pub(super) fn replace_hash(
    db: &Connection,
    id: &str,
    old: &str,
    new: &str,
    now: u64,
) -> rusqlite::Result<()> {
    let update = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
    if db.execute(update, [id, old, new])? == 1 {
        audit::record(db, &NewEntry::of_user(now, Event::PasswordRehashed, id))?;
    }
    Ok(())
}

pub(super) fn by_name(db: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    let find = select!("WHERE name = ?1");
    db.prepare_cached(find)?.query_row([name], user_of).optional()
}

pub(super) fn by_id(db: &Connection, id: &str) -> rusqlite::Result<Option<User>> {
    // A deleted user has a name that begins with char(7).
    let find = select!("WHERE id = ?1 AND name >= char(8)");
    db.prepare_cached(find)?.query_row([id], user_of).optional()
}

/// Returns the user of that id, also a deleted one.
fn any_by_id(db: &Connection, id: &str) -> rusqlite::Result<Option<User>> {
    db.prepare_cached(select!("WHERE id = ?1"))?.query_row([id], user_of).optional()
}

/// Returns the first users after that name.
pub(super) fn after(db: &Connection, name: &str, most: u32) -> rusqlite::Result<Vec<User>> {
    // Without deleted users: their names begin with char(7).
    let users = select!("WHERE name > max(?1, char(8)) ORDER BY name LIMIT ?2");
    db.prepare_cached(users)?.query_map(params![name, most], user_of)?.collect()
}

/// Looks at some deleted users after that name, and deletes the rows of those that have no session
/// any more. Returns the last name; `None` at the end.
pub(super) fn prune_some(db: &Connection, after: &str) -> rusqlite::Result<Option<String>> {
    let last = "SELECT max(name) FROM (SELECT name FROM users WHERE name > ?1 AND name < char(8)
                                       ORDER BY name LIMIT 100)";
    let last: Option<String> = db.prepare_cached(last)?.query_row([after], |row| row.get(0))?;
    if let Some(last) = &last {
        db.prepare_cached(
            "DELETE FROM users WHERE name > ?1 AND name <= ?2
             AND NOT EXISTS (SELECT * FROM sessions WHERE user_id = users.id)",
        )?
        .execute([after, last])?;
    }
    Ok(last)
}

fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        scope: row.get("scope")?,
        password_hash: row.get("password_hash")?,
        created_at: row.get("created_at")?,
        locked: row.get("locked")?,
        unlocked_at: row.get("unlocked_at")?,
        password_version: row.get("password_version")?,
        factors: Factors { totp: row.get("has_totp")?, passkeys: row.get("has_passkey")? },
        claims: CustomClaims::from_stored(row.get("claims")?),
    })
}
