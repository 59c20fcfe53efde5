use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{audit, rows};
use crate::audit::{Actor, Event, NewEntry};
use crate::clients::{Client, ClientChange};
use crate::custom_claims::CustomClaims;

pub(super) const BY_ID: &str = "SELECT * FROM countersign.clients WHERE id = $1";
pub(super) const BY_NAME: &str = "SELECT * FROM countersign.clients WHERE name = $1";

/// The first `$2` clients after the name `$1`.
pub(super) const AFTER: &str =
    "SELECT * FROM countersign.clients WHERE name > $1 ORDER BY name LIMIT $2";

pub(super) async fn add(db: &Connection, client: &Client, by: &Actor) -> Result<bool, Failure> {
    let added = db
        .execute_typed(
            "INSERT INTO countersign.clients
               (id, name, scope, secret_hash, locked, created_at, claims, audiences)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
            &[
                (&client.id, Type::TEXT),
                (&client.name, Type::TEXT),
                (&client.scope, Type::TEXT),
                (&client.secret_hash, Type::BYTEA),
                (&client.locked, Type::BOOL),
                (&rows::signed(client.created_at)?, Type::INT8),
                (&client.claims.as_stored(), Type::TEXT),
                (&client.audiences, Type::TEXT),
            ],
        )
        .await?;
    if added == 1 {
        let entry = NewEntry::of(client.created_at, Event::ClientAdded, &client.id);
        audit::record(db, &entry.by(by)).await?;
        return Ok(true);
    }
    // The id is random. If it is there, an earlier run of this transaction was committed.
    let same = "SELECT FROM countersign.clients WHERE id = $1";
    Ok(db.query_typed_opt(same, &[(&client.id, Type::TEXT)]).await?.is_some())
}

/// Changes the client of that id. Returns `false` if there is none.
pub(super) async fn change(
    db: &Connection,
    id: &str,
    changes: &[ClientChange],
    by: &Actor,
    now: u64,
) -> Result<bool, Failure> {
    let lock = "SELECT * FROM countersign.clients WHERE id = $1 FOR UPDATE";
    let Some(row) = db.query_typed_opt(lock, &[(&id, Type::TEXT)]).await? else {
        return Ok(false);
    };
    let mut client = from_row(&row)?;
    for change in changes {
        let Some((changed, event)) = change.apply(&client) else { continue };
        client = changed;
        db.execute_typed(
            "UPDATE countersign.clients SET secret_hash = $2, locked = $3, scope = $4, claims = $5,
                                            audiences = $6 WHERE id = $1",
            &[
                (&client.id, Type::TEXT),
                (&client.secret_hash, Type::BYTEA),
                (&client.locked, Type::BOOL),
                (&client.scope, Type::TEXT),
                (&client.claims.as_stored(), Type::TEXT),
                (&client.audiences, Type::TEXT),
            ],
        )
        .await?;
        audit::record(db, &NewEntry::of(now, event, &client.id).by(by)).await?;
    }
    Ok(true)
}

pub(super) fn from_row(row: &Row) -> Result<Client, Failure> {
    Ok(Client {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scope: row.try_get("scope")?,
        secret_hash: row.try_get("secret_hash")?,
        locked: row.try_get("locked")?,
        created_at: rows::number(row, "created_at")?,
        claims: CustomClaims::from_stored(row.try_get("claims")?),
        audiences: row.try_get("audiences")?,
    })
}
