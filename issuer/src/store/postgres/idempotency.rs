use tokio_postgres::types::Type;

use super::connection::Connection;
use super::failure::Failure;
use super::{clients, rows, users};
use crate::audit::Actor;
use crate::idempotency::{Added, KEPT, New, NewAnswer};

/// Adds a user or a client with the answer to its request, unless there is an answer already: that of
/// another request, or of an earlier run of this transaction.
pub(super) async fn add(
    db: &Connection,
    new: &New,
    answer: &NewAnswer,
    by: &Actor,
) -> Result<Added, Failure> {
    let NewAnswer { to, sealed, now } = answer;
    let key = (&to.key.as_slice() as _, Type::BYTEA);
    let expired = "DELETE FROM countersign.idempotency WHERE key = $1 AND created_at <= $2";
    let until = rows::signed(now.saturating_sub(KEPT))?;
    db.execute_typed(expired, &[key.clone(), (&until, Type::INT8)]).await?;
    // Waits for a request with the same key, and finds its answer.
    let put = "INSERT INTO countersign.idempotency (key, request, answer, created_at)
               VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING";
    let parameters = [
        key.clone(),
        (&to.request.as_slice() as _, Type::BYTEA),
        (sealed as _, Type::BYTEA),
        (&rows::signed(*now)? as _, Type::INT8),
    ];
    if db.execute_typed(put, &parameters).await? == 0 {
        let before = "SELECT request, answer FROM countersign.idempotency WHERE key = $1";
        let row = db.query_typed_one(before, &[key]).await?;
        return Ok(Added::Before {
            request: row.try_get("request")?,
            answer: row.try_get("answer")?,
        });
    }
    let is_added = match new {
        New::User(user) => users::add(db, user, by).await?,
        New::Client(client) => clients::add(db, client, by).await?,
    };
    if is_added {
        return Ok(Added::New);
    }
    db.execute_typed("DELETE FROM countersign.idempotency WHERE key = $1", &[key]).await?;
    Ok(Added::NameTaken)
}

/// Deletes some answers that are not kept any more. Returns how many.
pub(super) async fn prune_some(db: &Connection, now: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.idempotency WHERE key IN (
                    SELECT key FROM countersign.idempotency WHERE created_at <= $1
                    LIMIT 200 FOR UPDATE SKIP LOCKED)";
    let until = rows::signed(now.saturating_sub(KEPT))?;
    Ok(db.execute_typed(delete, &[(&until, Type::INT8)]).await?)
}
