use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::audit;
use crate::audit::{Actor, Event, NewEntry};
use crate::clients::{Client, ClientChange};
use crate::custom_claims::CustomClaims;

pub(super) fn add(db: &Connection, client: &Client, by: &Actor) -> rusqlite::Result<bool> {
    let added = db.execute(
        "INSERT INTO clients (id, name, scope, secret_hash, locked, created_at, claims, audiences)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO NOTHING",
        params![
            client.id,
            client.name,
            client.scope,
            client.secret_hash,
            client.locked,
            client.created_at,
            client.claims.as_stored(),
            client.audiences,
        ],
    )?;
    if added == 1 {
        let entry = NewEntry::of(client.created_at, Event::ClientAdded, &client.id);
        audit::record(db, &entry.by(by))?;
    }
    Ok(added == 1)
}

/// Changes the client of that id. Returns `false` if there is none.
pub(super) fn change(
    db: &Connection,
    id: &str,
    changes: &[ClientChange],
    by: &Actor,
    now: u64,
) -> rusqlite::Result<bool> {
    let Some(mut client) = by_id(db, id)? else { return Ok(false) };
    for change in changes {
        let Some((changed, event)) = change.apply(&client) else { continue };
        client = changed;
        db.execute(
            "UPDATE clients SET secret_hash = ?2, locked = ?3, scope = ?4, claims = ?5, audiences = ?6
             WHERE id = ?1",
            params![
                client.id,
                client.secret_hash,
                client.locked,
                client.scope,
                client.claims.as_stored(),
                client.audiences,
            ],
        )?;
        audit::record(db, &NewEntry::of(now, event, &client.id).by(by))?;
    }
    Ok(true)
}

pub(super) fn by_id(db: &Connection, id: &str) -> rusqlite::Result<Option<Client>> {
    db.prepare_cached("SELECT * FROM clients WHERE id = ?1")?.query_row([id], client_of).optional()
}

pub(super) fn by_name(db: &Connection, name: &str) -> rusqlite::Result<Option<Client>> {
    db.query_row("SELECT * FROM clients WHERE name = ?1", [name], client_of).optional()
}

/// Returns the first clients after that name.
pub(super) fn after(db: &Connection, name: &str, most: u32) -> rusqlite::Result<Vec<Client>> {
    let clients = "SELECT * FROM clients WHERE name > ?1 ORDER BY name LIMIT ?2";
    db.prepare_cached(clients)?.query_map(params![name, most], client_of)?.collect()
}

fn client_of(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: row.get("id")?,
        name: row.get("name")?,
        scope: row.get("scope")?,
        secret_hash: row.get("secret_hash")?,
        locked: row.get("locked")?,
        created_at: row.get("created_at")?,
        claims: CustomClaims::from_stored(row.get("claims")?),
        audiences: row.get("audiences")?,
    })
}
