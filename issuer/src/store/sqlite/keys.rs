//! Everything that is sealed under the master key.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::audit;
use crate::audit::{Actor, NewEntry};
use crate::keys::events::events;
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::sealing::{DeploymentSecret, FactorKey};

pub(super) fn change(
    db: &Connection,
    change: &dyn Fn(&Vault) -> Vault,
    by: &Actor,
    now: u64,
) -> rusqlite::Result<Vault> {
    let before = vault(db)?;
    let after = change(&before);
    for old in before.keys.iter().filter(|old| !after.keys.contains(old)) {
        db.execute("DELETE FROM keys WHERE kid = ?1", [&old.kid])?;
    }
    for key in after.keys.iter().filter(|key| !before.keys.contains(key)) {
        insert(db, key)?;
    }
    for (name, old, new) in [
        (DeploymentSecret::NAME, &before.secret, &after.secret),
        (FactorKey::NAME, &before.factor_key, &after.factor_key),
    ] {
        if old != new {
            db.execute(
                "INSERT INTO secrets (name, sealed) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
                params![name, new],
            )?;
        }
    }
    for (event, subject) in events(&before, &after, now) {
        audit::record(db, &NewEntry::of(now, event, &subject).by(by))?;
    }
    vault(db)
}

pub(super) fn vault(db: &Connection) -> rusqlite::Result<Vault> {
    let secret = |name| {
        let secret = "SELECT sealed FROM secrets WHERE name = ?1";
        db.query_row(secret, [name], |row| row.get(0)).optional()
    };
    Ok(Vault {
        keys: all(db)?,
        secret: secret(DeploymentSecret::NAME)?,
        factor_key: secret(FactorKey::NAME)?,
    })
}

pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<KeyRecord>> {
    db.prepare_cached("SELECT * FROM keys ORDER BY published_at, state, kid")?
        .query_map([], key_of)?
        .collect()
}

fn key_of(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let state: String = row.get("state")?;
    Ok(KeyRecord {
        kid: row.get("kid")?,
        bits: row.get("bits")?,
        n: row.get("n")?,
        e: row.get("e")?,
        sealed: row.get("sealed")?,
        state: KeyState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
        published_at: row.get("published_at")?,
        activates_at: row.get("activates_at")?,
        retired_at: row.get("retired_at")?,
        drops_at: row.get("drops_at")?,
    })
}

fn insert(db: &Connection, key: &KeyRecord) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO keys (kid, bits, n, e, sealed, state, published_at, activates_at, retired_at,
                           drops_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            key.kid,
            key.bits,
            key.n,
            key.e,
            key.sealed,
            key.state.name(),
            key.published_at,
            key.activates_at,
            key.retired_at,
            key.drops_at,
        ],
    )
    .map(drop)
}
