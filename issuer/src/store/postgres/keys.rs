//! Everything that is sealed under the master key.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{audit, rows};
use crate::audit::{Actor, NewEntry};
use crate::keys::events::events;
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::sealing::{DeploymentSecret, FactorKey};

/// In the same order as the SQLite store.
pub(super) const ALL: &str = "SELECT * FROM countersign.keys ORDER BY published_at, state, kid";

pub(super) async fn change(
    db: &Connection,
    change: &(dyn Fn(&Vault) -> Vault + Send + Sync),
    by: &Actor,
    now: u64,
) -> Result<Vault, Failure> {
    // Serializes all changes: this row exists as long as the database.
    db.query_typed("SELECT FROM countersign.database FOR UPDATE", &[]).await?;
    let before = vault(db).await?;
    let after = change(&before);
    for old in before.keys.iter().filter(|old| !after.keys.contains(old)) {
        let delete = "DELETE FROM countersign.keys WHERE kid = $1";
        db.execute_typed(delete, &[(&old.kid, Type::TEXT)]).await?;
    }
    for key in after.keys.iter().filter(|key| !before.keys.contains(key)) {
        insert(db, key).await?;
    }
    for (name, old, new) in [
        (DeploymentSecret::NAME, &before.secret, &after.secret),
        (FactorKey::NAME, &before.factor_key, &after.factor_key),
    ] {
        if old != new {
            let put = "INSERT INTO countersign.secrets (name, sealed) VALUES ($1, $2)
                       ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed";
            db.execute_typed(put, &[(&name, Type::TEXT), (new, Type::BYTEA)]).await?;
        }
    }
    for (event, subject) in events(&before, &after, now) {
        audit::record(db, &NewEntry::of(now, event, &subject).by(by)).await?;
    }
    vault(db).await
}

pub(super) async fn vault(db: &Connection) -> Result<Vault, Failure> {
    let keys = db.query_typed(ALL, &[]).await?.iter().map(from_row).collect::<Result<_, _>>()?;
    Ok(Vault {
        keys,
        secret: secret(db, DeploymentSecret::NAME).await?,
        factor_key: secret(db, FactorKey::NAME).await?,
    })
}

async fn secret(db: &Connection, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let find = "SELECT sealed FROM countersign.secrets WHERE name = $1";
    let row = db.query_typed_opt(find, &[(&name, Type::TEXT)]).await?;
    Ok(row.map(|row| row.try_get("sealed")).transpose()?)
}

pub(super) fn from_row(row: &Row) -> Result<KeyRecord, Failure> {
    let time = |name| -> Result<Option<u64>, Failure> {
        let time: Option<i64> = row.try_get(name)?;
        time.map(rows::unsigned).transpose()
    };
    let bits: i32 = row.try_get("bits")?;
    Ok(KeyRecord {
        kid: row.try_get("kid")?,
        bits: u32::try_from(bits).map_err(|_| rows::malformed())?,
        n: row.try_get("n")?,
        e: row.try_get("e")?,
        sealed: row.try_get("sealed")?,
        state: KeyState::parse(row.try_get("state")?).ok_or_else(rows::malformed)?,
        published_at: rows::number(row, "published_at")?,
        activates_at: time("activates_at")?,
        retired_at: time("retired_at")?,
        drops_at: time("drops_at")?,
    })
}

async fn insert(db: &Connection, key: &KeyRecord) -> Result<(), Failure> {
    let time = |time: Option<u64>| time.map(rows::signed).transpose();
    db.execute_typed(
        "INSERT INTO countersign.keys
         (kid, bits, n, e, sealed, state, published_at, activates_at, retired_at, drops_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            (&key.kid, Type::TEXT),
            (&i32::try_from(key.bits).map_err(|_| rows::malformed())?, Type::INT4),
            (&key.n, Type::TEXT),
            (&key.e, Type::TEXT),
            (&key.sealed, Type::BYTEA),
            (&key.state.name(), Type::TEXT),
            (&rows::signed(key.published_at)?, Type::INT8),
            (&time(key.activates_at)?, Type::INT8),
            (&time(key.retired_at)?, Type::INT8),
            (&time(key.drops_at)?, Type::INT8),
        ],
    )
    .await?;
    Ok(())
}
