use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::audit;
use crate::audit::{Event, NewEntry};
use crate::own_claims::OwnClaims;
use crate::users::{BELONGINGS, User, UserChange};

pub(super) fn add(db: &Connection, user: &User) -> rusqlite::Result<bool> {
    let added = db.execute(
        "INSERT INTO users (id, name, scope, password_hash, created_at, locked, claims)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO NOTHING",
        params![
            user.id,
            user.name,
            user.scope,
            user.password_hash,
            user.created_at,
            user.locked,
            user.claims.as_stored(),
        ],
    )?;
    if added == 1 {
        audit::record(db, &NewEntry::of_user(user.created_at, Event::UserAdded, &user.id))?;
    }
    Ok(added == 1)
}

/// Changes the user of that name. Returns `false` if there is none.
pub(super) fn change(
    db: &Connection,
    name: &str,
    change: &UserChange,
    now: u64,
) -> rusqlite::Result<bool> {
    let Some(found) = by_name(db, name)? else { return Ok(false) };
    let Some(changed) = change.apply(&found, now) else { return Ok(true) };
    let user = &changed.user;
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
    )?;
    if changed.ends_sessions {
        db.execute(
            "UPDATE sessions SET revoked = 1 WHERE user_id = ?1 AND revoked = 0",
            [&user.id],
        )?;
    }
    if changed.event == Event::UserDeleted {
        for table in BELONGINGS {
            let delete = format!("DELETE FROM {table} WHERE user_id = ?1");
            db.prepare_cached(&delete)?.execute([&user.id])?;
        }
    }
    audit::record(db, &NewEntry::of_user(now, changed.event, &user.id))?;
    Ok(true)
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
    db.prepare_cached("SELECT * FROM users WHERE name = ?1")?.query_row([name], user_of).optional()
}

pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<User>> {
    // Without deleted users: their names begin with char(7).
    let users = "SELECT * FROM users WHERE name >= char(8) ORDER BY name";
    db.prepare(users)?.query_map([], user_of)?.collect()
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
        claims: OwnClaims::from_stored(row.get("claims")?),
    })
}
