//! One-time tokens.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connect::Parameters;
use super::connection::Connection;
use super::failure::Failure;
use super::{audit, rows};
use crate::audit::Actor;
use crate::one_time::{
    ChallengeUse, MOST_OF_A_USER, OneTimeToken, Purpose, Recorded, TokenHash, TokenUse,
};

pub(super) const FIND: &str = "SELECT * FROM countersign.one_time_tokens
     WHERE hash = $1 AND purpose = $2 AND expires_at > $3 AND used_by IS NULL";

pub(super) async fn add(db: &Connection, token: &OneTimeToken, by: &Actor) -> Result<(), Failure> {
    // It is random. If it is there, an earlier run of this transaction was committed.
    let insert = "INSERT INTO countersign.one_time_tokens
                    (hash, purpose, user_id, data, created_at, expires_at)
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let hash = (&token.hash.as_slice() as _, Type::BYTEA);
    let purpose = (&token.purpose.as_str() as _, Type::TEXT);
    let user_id = (&token.user_id as _, Type::TEXT);
    let added = db
        .execute_typed(
            insert,
            &[
                hash.clone(),
                purpose.clone(),
                user_id.clone(),
                (&token.data, Type::BYTEA),
                (&rows::signed(token.created_at)?, Type::INT8),
                (&rows::signed(token.expires_at)?, Type::INT8),
            ],
        )
        .await?;
    if added == 1
        && let Some(entry) = token.entry()
    {
        audit::record(db, &entry.by(by)).await?;
    }
    let surplus = "DELETE FROM countersign.one_time_tokens WHERE hash IN (
                     SELECT hash FROM countersign.one_time_tokens
                     WHERE user_id = $1 AND purpose = $2 AND hash <> $3 AND used_by IS NULL
                     ORDER BY created_at DESC OFFSET $4)";
    let others = i64::from(MOST_OF_A_USER - 1);
    db.execute_typed(surplus, &[user_id, purpose, hash, (&others, Type::INT8)]).await?;
    Ok(())
}

/// Uses the token up. Returns `None` if it cannot be used: it is unknown, expired, or used by another
/// request.
pub(super) async fn take(
    db: &Connection,
    token: &TokenUse,
) -> Result<Option<OneTimeToken>, Failure> {
    // An earlier run of this transaction may have been committed.
    let take = "UPDATE countersign.one_time_tokens SET used_by = $4
                WHERE hash = $1 AND purpose = $2 AND expires_at > $3
                AND (used_by IS NULL OR used_by = $4) RETURNING *";
    let row = db
        .query_typed_opt(
            take,
            &[
                (&token.hash.as_slice(), Type::BYTEA),
                (&token.purpose.as_str(), Type::TEXT),
                (&rows::signed(token.now)?, Type::INT8),
                (&token.id.as_slice(), Type::BYTEA),
            ],
        )
        .await?;
    row.map(|row| from_row(&row, token.purpose)).transpose()
}

/// Records the use of a challenge, unless there is one. Waits for a transaction that records one.
pub(super) async fn record_use(
    db: &Connection,
    used: &ChallengeUse,
    accepted: bool,
) -> Result<Recorded, Failure> {
    let ChallengeUse { hash, id, now, remembered_until } = used;
    let (hash, data) = ((&hash.as_slice() as _, Type::BYTEA), [u8::from(accepted)]);
    let insert = "INSERT INTO countersign.one_time_tokens
                    (hash, purpose, data, created_at, expires_at, used_by)
                  VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hash) DO NOTHING";
    let parameters: Parameters<'_> = &[
        hash.clone(),
        (&Purpose::Passkey.as_str(), Type::TEXT),
        (&data.as_slice(), Type::BYTEA),
        (&rows::signed(*now)?, Type::INT8),
        (&rows::signed(*remembered_until)?, Type::INT8),
        (&id.as_slice(), Type::BYTEA),
    ];
    if db.execute_typed(insert, parameters).await? == 1 {
        return Ok(Recorded::First);
    }
    let before = "SELECT data, used_by FROM countersign.one_time_tokens WHERE hash = $1";
    let Some(row) = db.query_typed_opt(before, &[hash]).await? else {
        return Ok(Recorded::Foreign);
    };
    let (data, used_by): (&[u8], Option<&[u8]>) = (row.try_get("data")?, row.try_get("used_by")?);
    let is_own = used_by == Some(id.as_slice());
    Ok(if is_own { Recorded::Again { accepted: data == [1] } } else { Recorded::Foreign })
}

/// Ends the tokens of a user that nobody has used.
pub(super) async fn end_all(db: &Connection, user_id: &str) -> Result<(), Failure> {
    let end = "DELETE FROM countersign.one_time_tokens WHERE user_id = $1 AND used_by IS NULL";
    db.execute_typed(end, &[(&user_id, Type::TEXT)]).await?;
    Ok(())
}

/// Deletes some tokens that had expired at that time. Returns how many. Leaves locked rows for the next
/// time.
pub(super) async fn prune_some(db: &Connection, at: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.one_time_tokens WHERE hash IN (
                    SELECT hash FROM countersign.one_time_tokens WHERE expires_at <= $1
                    LIMIT 1000 FOR UPDATE SKIP LOCKED)";
    Ok(db.execute_typed(delete, &[(&rows::signed(at)?, Type::INT8)]).await?)
}

pub(super) fn from_row(row: &Row, purpose: Purpose) -> Result<OneTimeToken, Failure> {
    let hash: &[u8] = row.try_get("hash")?;
    Ok(OneTimeToken {
        hash: TokenHash::try_from(hash).map_err(|_| rows::malformed())?,
        purpose,
        user_id: row.try_get("user_id")?,
        data: row.try_get("data")?,
        created_at: rows::number(row, "created_at")?,
        expires_at: rows::number(row, "expires_at")?,
    })
}
