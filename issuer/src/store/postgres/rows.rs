//! Rows, read and written.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::connection::{Failure, Parameters};
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::login::throttle::{Attempt, Counter, Failures, Reserved};
use crate::sealing::DeploymentSecret;
use crate::session::{Session, SessionId};
use crate::status::{self, Candidates};
use crate::store::{self, User};

/// The order that the other store has as well.
pub(super) const KEYS: &str = "SELECT * FROM countersign.keys ORDER BY published_at, state, kid";

pub(super) async fn vault(db: &Client) -> Result<Vault, Failure> {
    let keys = db.query_typed(KEYS, &[]).await?.iter().map(key).collect::<Result<_, _>>()?;
    let secret = "SELECT sealed FROM countersign.secrets WHERE name = $1";
    let secret = db.query_typed_opt(secret, &[(&DeploymentSecret::NAME, Type::TEXT)]).await?;
    let secret = secret.map(|row| row.try_get("sealed")).transpose()?;
    Ok(Vault { keys, secret })
}

pub(super) async fn set_secret(db: &Client, sealed: Option<&[u8]>) -> Result<(), Failure> {
    let set = "INSERT INTO countersign.secrets (name, sealed) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed";
    let name = (&DeploymentSecret::NAME as _, Type::TEXT);
    db.execute_typed(set, &[name, (&sealed, Type::BYTEA)]).await?;
    Ok(())
}

pub(super) fn key(row: &Row) -> Result<KeyRecord, Failure> {
    let state = KeyState::parse(row.try_get("state")?);
    let time = |name| -> Result<Option<u64>, Failure> {
        let time: Option<i64> = row.try_get(name)?;
        time.map(unsigned).transpose()
    };
    let bits: i32 = row.try_get("bits")?;
    Ok(KeyRecord {
        kid: row.try_get("kid")?,
        bits: u32::try_from(bits).map_err(|_| malformed())?,
        n: row.try_get("n")?,
        e: row.try_get("e")?,
        sealed: row.try_get("sealed")?,
        state: state.ok_or_else(malformed)?,
        published_at: number(row, "published_at")?,
        activates_at: time("activates_at")?,
        retired_at: time("retired_at")?,
        drops_at: time("drops_at")?,
    })
}

pub(super) async fn insert_key(db: &Client, key: &KeyRecord) -> Result<(), Failure> {
    let time = |time: Option<u64>| time.map(signed).transpose();
    let (published_at, activates_at) = (signed(key.published_at)?, time(key.activates_at)?);
    let (retired_at, drops_at) = (time(key.retired_at)?, time(key.drops_at)?);
    let bits = i32::try_from(key.bits).map_err(|_| malformed())?;
    db.execute_typed(
        "INSERT INTO countersign.keys
         (kid, bits, n, e, sealed, state, published_at, activates_at, retired_at, drops_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            (&key.kid, Type::TEXT),
            (&bits, Type::INT4),
            (&key.n, Type::TEXT),
            (&key.e, Type::TEXT),
            (&key.sealed, Type::BYTEA),
            (&key.state.name(), Type::TEXT),
            (&published_at, Type::INT8),
            (&activates_at, Type::INT8),
            (&retired_at, Type::INT8),
            (&drops_at, Type::INT8),
        ],
    )
    .await?;
    Ok(())
}

pub(super) fn user(row: &Row) -> Result<User, Failure> {
    Ok(User {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scope: row.try_get("scope")?,
        password_hash: row.try_get("password_hash")?,
        created_at: number(row, "created_at")?,
        locked: row.try_get("locked")?,
    })
}

/// The user of that name, whom nobody else changes before the end of the transaction.
pub(super) async fn user_to_change(db: &Client, name: &str) -> Result<Option<User>, Failure> {
    let statement = "SELECT * FROM countersign.users WHERE name = $1 FOR UPDATE";
    let row = db.query_typed_opt(statement, &[(&name, Type::TEXT)]).await?;
    row.as_ref().map(user).transpose()
}

pub(super) fn client(row: &Row) -> Result<store::Client, Failure> {
    Ok(store::Client {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scope: row.try_get("scope")?,
        secret_hash: row.try_get("secret_hash")?,
        locked: row.try_get("locked")?,
        created_at: number(row, "created_at")?,
    })
}

pub(super) fn session(row: &Row) -> Result<Session, Failure> {
    let id: &[u8] = row.try_get("id")?;
    Ok(Session {
        id: SessionId::try_from(id).map_err(|_| malformed())?,
        user_id: row.try_get("user_id")?,
        client_id: row.try_get("client_id")?,
        scope: row.try_get("scope")?,
        counter: number(row, "counter")?,
        created_at: number(row, "created_at")?,
        rotated_at: number(row, "rotated_at")?,
        expires_at: number(row, "expires_at")?,
        revoked: row.try_get("revoked")?,
        status: place(row)?,
    })
}

pub(super) fn entry(row: &Row) -> Result<store::AuditEntry, Failure> {
    Ok(store::AuditEntry {
        at: number(row, "at")?,
        event: row.try_get("event")?,
        subject: row.try_get("subject")?,
    })
}

/// A session's place in the status lists.
fn place(row: &Row) -> Result<Option<status::StatusIndex>, Failure> {
    let number = |name| -> Result<Option<u32>, Failure> {
        let number: Option<i64> = row.try_get(name)?;
        number.map(small).transpose()
    };
    let (list, index) = (number("status_list")?, number("status_index")?);
    Ok(list.zip(index).map(|(list, index)| status::StatusIndex { list, index }))
}

/// The number of a status list or an index in one, alone in its row.
pub(super) fn only(row: &Row) -> Result<u32, Failure> {
    small(row.try_get(0)?)
}

/// Gives a session the place in the status lists that was drawn for it.
pub(super) async fn set_place(
    db: &Client,
    id: SessionId,
    draw: &Candidates,
) -> Result<Option<status::StatusIndex>, Failure> {
    let statement = "
        WITH newest AS (
          SELECT coalesce(max(status_list), 1) AS list FROM countersign.sessions
          WHERE status_list IS NOT NULL
        ), free AS (
          SELECT list, drawn.index
          FROM newest, unnest($2::bigint[]) WITH ORDINALITY AS drawn (index, place)
          WHERE NOT EXISTS (SELECT FROM countersign.sessions
                            WHERE status_list = list AND status_index = drawn.index)
          ORDER BY drawn.place LIMIT 1
        )
        UPDATE countersign.sessions SET
          status_list = coalesce((SELECT list FROM free), (SELECT list + 1 FROM newest)),
          status_index = coalesce((SELECT index FROM free), ($2::bigint[])[1])
        WHERE id = $1 RETURNING status_list, status_index";
    let drawn = draw.indices().map(i64::from);
    let parameters: Parameters<'_> =
        &[(&id.as_slice(), Type::BYTEA), (&drawn.as_slice(), Type::INT8_ARRAY)];
    match db.query_typed_opt(statement, parameters).await {
        Ok(row) => Ok(row.as_ref().map(place).transpose()?.flatten()),
        // Somebody else was faster; the next attempt sees that.
        Err(e) if e.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            Err(Failure::Passing("another session got the same place".to_owned()))
        }
        Err(e) => Err(e.into()),
    }
}

/// What there is of an attempt's counters, which nobody else changes before the end of the
/// transaction.
pub(super) async fn failures_to_change(
    db: &Client,
    attempt: &Attempt,
) -> Result<Vec<Failures>, Failure> {
    let account = (&attempt.account.as_slice() as _, Type::BYTEA);
    let lock = "SELECT * FROM countersign.login_failures WHERE counter = $1 FOR UPDATE";
    let mut account_row = db.query_typed_opt(lock, std::slice::from_ref(&account)).await?;
    if account_row.is_none() {
        // A row that is not there cannot be locked.
        let make = "INSERT INTO countersign.login_failures
                    (counter, failures, blocked_until, last_at, attempt)
                    VALUES ($1, 0, 0, $2, '') ON CONFLICT DO NOTHING";
        let now = signed(attempt.now)?;
        db.execute_typed(make, &[account.clone(), (&now, Type::INT8)]).await?;
        account_row = db.query_typed_opt(lock, &[account]).await?;
    }
    // A statement of its own: it sees what was done before the lock was had.
    let others = "SELECT * FROM countersign.login_failures WHERE counter IN ($1, $2)";
    let device = attempt.device.unwrap_or(attempt.network);
    let (network, device) = (attempt.network.as_slice(), device.as_slice());
    let others = db.query_typed(others, &[(&network, Type::BYTEA), (&device, Type::BYTEA)]).await?;
    others.iter().chain(&account_row).map(failures).collect()
}

fn failures(row: &Row) -> Result<Failures, Failure> {
    let (counter, last): (&[u8], &[u8]) = (row.try_get("counter")?, row.try_get("attempt")?);
    Ok(Failures {
        counter: Counter::try_from(counter).map_err(|_| malformed())?,
        count: u32::try_from(number(row, "failures")?).map_err(|_| malformed())?,
        blocked_until: number(row, "blocked_until")?,
        last_at: number(row, "last_at")?,
        // Of a row that nothing was counted in yet it is empty.
        last: last.try_into().unwrap_or_default(),
    })
}

pub(super) async fn put_failures(db: &Client, failures: &Failures) -> Result<(), Failure> {
    db.execute_typed(
        "INSERT INTO countersign.login_failures
         (counter, failures, blocked_until, last_at, attempt)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (counter) DO UPDATE SET failures = excluded.failures,
           blocked_until = excluded.blocked_until, last_at = excluded.last_at,
           attempt = excluded.attempt",
        &[
            (&failures.counter.as_slice(), Type::BYTEA),
            (&i64::from(failures.count), Type::INT8),
            (&signed(failures.blocked_until)?, Type::INT8),
            (&signed(failures.last_at)?, Type::INT8),
            (&failures.last.as_slice(), Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}

/// The attempt was no failure.
pub(super) async fn take_back(db: &Client, reserved: &Reserved) -> Result<(), Failure> {
    // The account's row first, as by attempts: they would else wait for each other.
    if let Some(everywhere) = &reserved.everywhere {
        db.execute_typed(
            "UPDATE countersign.login_failures
             SET failures = greatest(failures - 1, 0), blocked_until = 0 WHERE counter = $1",
            &[(&everywhere.counter.as_slice(), Type::BYTEA)],
        )
        .await?;
    }
    let delete = "DELETE FROM countersign.login_failures WHERE counter = $1";
    db.execute_typed(delete, &[(&reserved.own.counter.as_slice(), Type::BYTEA)]).await?;
    Ok(())
}

pub(super) async fn audit(db: &Client, at: u64, event: &str, subject: &str) -> Result<(), Failure> {
    db.execute_typed(
        "INSERT INTO countersign.audit (at, event, subject) VALUES ($1, $2, $3)",
        &[(&signed(at)?, Type::INT8), (&event, Type::TEXT), (&subject, Type::TEXT)],
    )
    .await?;
    Ok(())
}

pub(super) fn number(row: &Row, name: &str) -> Result<u64, Failure> {
    unsigned(row.try_get(name)?)
}

/// A number of a status list, or an index in one.
fn small(number: i64) -> Result<u32, Failure> {
    u32::try_from(number).map_err(|_| malformed())
}

fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| malformed())
}

pub(super) fn signed(number: u64) -> Result<i64, Failure> {
    i64::try_from(number).map_err(|_| Failure::Lasting("a number is too large".to_owned()))
}

fn malformed() -> Failure {
    Failure::Lasting("a row holds what no issuer wrote".to_owned())
}
