use std::collections::HashSet;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{audit, failures, one_time, rows, sessions};
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
               EXISTS (SELECT FROM countersign.totps
                       WHERE user_id = users.id AND confirmed_at IS NOT NULL) AS has_totp,
               EXISTS (SELECT FROM countersign.passkeys WHERE user_id = users.id) AS has_passkey
             FROM countersign.users ",
            $condition
        )
    };
}

pub(super) const BY_NAME: &str = select!("WHERE name = $1");

/// Without deleted users: their names begin with `chr(7)`.
pub(super) const BY_ID: &str = select!("WHERE id = $1 AND name >= chr(8)");

/// The first `$2` users after the name `$1`, without deleted users.
pub(super) const AFTER: &str = select!("WHERE name > $1 AND name >= chr(8) ORDER BY name LIMIT $2");

/// The user of that id, also a deleted one. Others' changes of the row wait.
const LOCK: &str = select!("WHERE id = $1 FOR UPDATE OF users");

/// The ids among `$1` that users have, also deleted ones.
pub(super) const WITH_IDS: &str = "SELECT id FROM countersign.users WHERE id = ANY ($1)";

pub(super) async fn add(db: &Connection, user: &User, by: &Actor) -> Result<bool, Failure> {
    let added = db
        .execute_typed(
            "INSERT INTO countersign.users
               (id, name, scope, password_hash, created_at, locked, claims)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            &[
                (&user.id, Type::TEXT),
                (&user.name, Type::TEXT),
                (&user.scope, Type::TEXT),
                (&user.password_hash, Type::TEXT),
                (&rows::signed(user.created_at)?, Type::INT8),
                (&user.locked, Type::BOOL),
                (&user.claims.as_stored(), Type::TEXT),
            ],
        )
        .await?;
    if added == 1 {
        let entry = NewEntry::of_user(user.created_at, Event::UserAdded, &user.id);
        audit::record(db, &entry.by(by)).await?;
        return Ok(true);
    }
    // The id is random. If it is there, an earlier run of this transaction was committed.
    let same = "SELECT FROM countersign.users WHERE id = $1";
    Ok(db.query_typed_opt(same, &[(&user.id, Type::TEXT)]).await?.is_some())
}

/// Adds those of the users that can be added. Returns the ids of all that are there after that.
pub(super) async fn add_all(
    db: &Connection,
    users: &[User],
    by: &Actor,
) -> Result<HashSet<String>, Failure> {
    let column = |text: fn(&User) -> &str| users.iter().map(text).collect::<Vec<_>>();
    let ids = column(|user| &user.id);
    let created_at = users.iter().map(|user| rows::signed(user.created_at));
    let created_at = created_at.collect::<Result<Vec<_>, _>>()?;
    let locked: Vec<_> = users.iter().map(|user| user.locked).collect();
    let insert = "INSERT INTO countersign.users
                    (id, name, scope, password_hash, claims, created_at, locked)
                  SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
                  ON CONFLICT DO NOTHING RETURNING id";
    let parameters = [
        (&ids as _, Type::TEXT_ARRAY),
        (&column(|user| &user.name) as _, Type::TEXT_ARRAY),
        (&column(|user| &user.scope) as _, Type::TEXT_ARRAY),
        (&column(|user| &user.password_hash) as _, Type::TEXT_ARRAY),
        (&column(|user| user.claims.as_stored()) as _, Type::TEXT_ARRAY),
        (&created_at as _, Type::INT8_ARRAY),
        (&locked as _, Type::BOOL_ARRAY),
    ];
    let mut added = self::ids(&db.query_typed(insert, &parameters).await?)?;
    // A line may be there twice.
    let added = users.iter().filter(|user| added.remove(&user.id));
    let entry = |user: &User| NewEntry::of_user(user.created_at, Event::UserAdded, &user.id).by(by);
    audit::record_new(db, &added.map(entry).collect::<Vec<_>>()).await?;
    self::ids(&db.query_typed(WITH_IDS, &[(&ids, Type::TEXT_ARRAY)]).await?)
}

/// Returns the ids in the first column.
pub(super) fn ids(rows: &[Row]) -> Result<HashSet<String>, Failure> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Returns the outcome for each user, from the ids that were there before and after. The first of two
/// with the same id was added.
pub(super) fn additions(
    users: &[User],
    mut before: HashSet<String>,
    after: &HashSet<String>,
) -> Vec<Addition> {
    let outcome = |user: &User| match after.contains(&user.id) {
        false => Addition::NameTaken,
        true if before.insert(user.id.clone()) => Addition::Added,
        true => Addition::Present,
    };
    users.iter().map(outcome).collect()
}

/// Changes the user of that id. Returns `false` if there is none.
pub(super) async fn change(
    db: &Connection,
    id: &str,
    changes: &[UserChange],
    by: &Actor,
    now: u64,
) -> Result<bool, Failure> {
    let locked = lock(db, id).await?;
    let is_possible = |user: &User| changes.iter().all(|change| change.is_possible(user));
    let Some(mut user) = locked.filter(is_possible) else { return Ok(false) };
    for change in changes {
        user = apply(db, user, change, by, now).await?;
    }
    Ok(true)
}

/// Applies a change to a locked row. Returns the row after it. A login that was checked against the
/// old row waits for the lock; the sessions of earlier logins are visible to the statement that ends
/// them.
async fn apply(
    db: &Connection,
    locked: User,
    change: &UserChange,
    by: &Actor,
    now: u64,
) -> Result<User, Failure> {
    let Some(changed) = change.apply(&locked, now) else { return Ok(locked) };
    let user = changed.user;
    update(db, &user).await?;
    if user.claims != locked.claims {
        let update = "UPDATE countersign.sessions SET claims = $2 WHERE user_id = $1";
        let claims = user.claims.as_stored();
        let parameters = [(&user.id as _, Type::TEXT), (&claims as _, Type::TEXT)];
        db.execute_typed(update, &parameters).await?;
    }
    if changed.ends_sessions {
        let ended = sessions::end_all(db, &user.id, None).await?;
        // Nothing has happened then.
        if ended == 0 && changed.event == Event::SessionsEnded {
            return Ok(user);
        }
    }
    if changed.event == Event::UserDeleted {
        for table in BELONGINGS {
            let delete = format!("DELETE FROM countersign.{table} WHERE user_id = $1");
            db.execute_typed(&delete, &[(&user.id, Type::TEXT)]).await?;
        }
    }
    audit::record(db, &NewEntry::of_user(now, changed.event, &user.id).by(by)).await?;
    Ok(user)
}

/// Sets a password that its user chose. Returns `false` if the proof does not hold.
pub(super) async fn set_password(db: &Connection, new: &NewPassword) -> Result<bool, Failure> {
    // The user before a token, as in other changes: two transactions never wait for each other.
    let user = lock(db, &new.user_id).await?.filter(|user| !user.is_deleted());
    let Some(user) = user else { return Ok(false) };
    // A hash has a random salt. The same hash means that the transaction runs again after it was
    // committed.
    if user.password_hash == new.hash {
        return Ok(true);
    }
    if !new.is_allowed(&user) {
        return Ok(false);
    }
    match &new.proof {
        Proof::Password { failure, .. } => failures::undo(db, failure).await?,
        Proof::Reset(token) => {
            if one_time::take(db, token).await?.is_none() {
                return Ok(false);
            }
        }
    }
    update(db, &user.with_password(&new.hash)).await?;
    sessions::end_all(db, &user.id, new.staying_session()).await?;
    let entry = NewEntry::of_user(new.now, new.event(), &user.id);
    audit::record(db, &entry.from(&new.network)).await?;
    Ok(true)
}

/// Returns the user of that id, also a deleted one, and lets others' changes of the row wait.
pub(super) async fn lock(db: &Connection, id: &str) -> Result<Option<User>, Failure> {
    let row = db.query_typed_opt(LOCK, &[(&id, Type::TEXT)]).await?;
    row.as_ref().map(from_row).transpose()
}

async fn update(db: &Connection, user: &User) -> Result<(), Failure> {
    db.execute_typed(
        "UPDATE countersign.users SET name = $2, scope = $3, password_hash = $4, locked = $5,
                                      password_version = $6, unlocked_at = $7,
                                      claims = $8 WHERE id = $1",
        &[
            (&user.id, Type::TEXT),
            (&user.name, Type::TEXT),
            (&user.scope, Type::TEXT),
            (&user.password_hash, Type::TEXT),
            (&user.locked, Type::BOOL),
            (&rows::signed(user.password_version)?, Type::INT8),
            (&rows::signed(user.unlocked_at)?, Type::INT8),
            (&user.claims.as_stored(), Type::TEXT),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn replace_hash(
    db: &Connection,
    id: &str,
    old: &str,
    new: &str,
    now: u64,
) -> Result<(), Failure> {
    let update = "UPDATE countersign.users SET password_hash = $3
                  WHERE id = $1 AND password_hash = $2";
    let parameters = [(&id as _, Type::TEXT), (&old as _, Type::TEXT), (&new as _, Type::TEXT)];
    // Nothing is replaced if an earlier run of this transaction was committed.
    if db.execute_typed(update, &parameters).await? == 1 {
        audit::record(db, &NewEntry::of_user(now, Event::PasswordRehashed, id)).await?;
    }
    Ok(())
}

/// Looks at some deleted users after that name, and deletes the rows of those that have no session
/// any more. Returns the last name; `None` at the end.
pub(super) async fn prune_some(db: &Connection, after: &str) -> Result<Option<String>, Failure> {
    let last = "SELECT max(name) FROM (SELECT name FROM countersign.users
                                       WHERE name > $1 AND name < chr(8)
                                       ORDER BY name LIMIT 200) AS next";
    let last = db.query_typed_one(last, &[(&after, Type::TEXT)]).await?;
    let last: Option<String> = last.try_get(0)?;
    if let Some(last) = &last {
        let delete = "DELETE FROM countersign.users AS u
                      WHERE name > $1 AND name <= $2 AND NOT EXISTS
                        (SELECT FROM countersign.sessions WHERE user_id = u.id)";
        db.execute_typed(delete, &[(&after, Type::TEXT), (last, Type::TEXT)]).await?;
    }
    Ok(last)
}

pub(super) fn from_row(row: &Row) -> Result<User, Failure> {
    Ok(User {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scope: row.try_get("scope")?,
        password_hash: row.try_get("password_hash")?,
        created_at: rows::number(row, "created_at")?,
        locked: row.try_get("locked")?,
        unlocked_at: rows::number(row, "unlocked_at")?,
        password_version: rows::number(row, "password_version")?,
        factors: Factors { totp: row.try_get("has_totp")?, passkeys: row.try_get("has_passkey")? },
        claims: CustomClaims::from_stored(row.try_get("claims")?),
    })
}
