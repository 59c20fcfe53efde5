use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::connect::Parameters;
use super::connection::Connection;
use super::failure::Failure;
use super::{audit, failures, one_time, rows};
use crate::audit::{Actor, Event, Network, NewEntry};
use crate::authentication::{Authentication, SecondFactor};
use crate::custom_claims::CustomClaims;
use crate::login::throttle::ProvisionalFailure;
use crate::session::{
    Device, Grace, MOST_ENDED, MOST_OF_A_USER, Refresh, Session, SessionId, Verdict, decide,
};
use crate::status::{Candidates, StatusIndex};
use crate::store::unacknowledged::InFlight;

/// The random number of a refresh. The session's row has the number of its last rotation.
pub(super) type Rotation = [u8; 16];

pub(super) const BY_ID: &str = "SELECT * FROM countersign.sessions WHERE id = $1";

pub(super) const LIVE: &str = "SELECT * FROM countersign.sessions
     WHERE user_id = $1 AND NOT revoked AND expires_at > $2 AND (created_at, id) < ($3, $4)
     ORDER BY created_at DESC, id DESC LIMIT $5";

pub(super) const NEWEST_STATUS_LIST: &str =
    "SELECT coalesce(max(status_list), 0) FROM countersign.sessions WHERE status_list IS NOT NULL";

pub(super) const ENDED: &str = "SELECT status_index FROM countersign.sessions
                                WHERE status_list = $1 AND revoked AND expires_at > $2";

/// Opens a session for a user whose row is not locked yet. The lock makes changes of the user wait, or
/// waits for them: the statements after it see their tables as they left them.
pub(super) async fn lock_and_open(
    db: &Connection,
    session: &Session,
    password_hash: &str,
    network: &Network,
    failure: Option<&ProvisionalFailure>,
    candidates: Option<&Candidates>,
) -> Result<Option<Session>, Failure> {
    let lock = "SELECT FROM countersign.users WHERE id = $1 FOR SHARE";
    db.query_typed_opt(lock, &[(&session.user_id, Type::TEXT)]).await?;
    open(db, session, password_hash, network, failure, candidates).await
}

/// Opens a session. The caller has locked the user's row.
pub(super) async fn open(
    db: &Connection,
    session: &Session,
    password_hash: &str,
    network: &Network,
    failure: Option<&ProvisionalFailure>,
    candidates: Option<&Candidates>,
) -> Result<Option<Session>, Failure> {
    let status = match candidates {
        Some(candidates) => Some(choose_index(db, candidates).await?),
        None => None,
    };
    let session = Session { status, ..session.clone() };
    if let Some(claims) = insert(db, &session, password_hash).await? {
        let session = Session { claims, ..session };
        let Session { created_at, id, user_id, .. } = &session;
        let entry = NewEntry::of_session(*created_at, Event::Login, id, user_id);
        audit::record(db, &entry.from(network)).await?;
        end_oldest(db, &session, network).await?;
        if let Some(failure) = failure {
            failures::undo(db, failure).await?;
        }
        return Ok(Some(session));
    }
    // The id is random. If it is there, an earlier run of this transaction was committed.
    let same = "SELECT * FROM countersign.sessions WHERE id = $1 AND NOT revoked";
    let row = db.query_typed_opt(same, &[(&session.id.as_slice(), Type::BYTEA)]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns the user's claims; `None` if the user may not log in, or the session exists already.
async fn insert(
    db: &Connection,
    session: &Session,
    password_hash: &str,
) -> Result<Option<CustomClaims>, Failure> {
    let insert = "
        INSERT INTO countersign.sessions
          (id, user_id, client_id, scope, counter, created_at, rotated_at, expires_at, revoked,
           status_list, status_index, authenticated_at, methods, network, user_agent, claims)
        SELECT $1, id, $3, $4, $5, $6, $7, $8, false, $10, $11, $12, $13, $14, $15, claims
        FROM countersign.users
        WHERE id = $2 AND password_hash = $9 AND NOT locked AND scope = $4
        AND ($16 OR NOT EXISTS (SELECT FROM countersign.totps WHERE user_id = users.id
                                AND confirmed_at IS NOT NULL)
                AND NOT EXISTS (SELECT FROM countersign.passkeys WHERE user_id = users.id))
        ON CONFLICT (id) DO NOTHING RETURNING claims";
    let list = session.status.map(|status| i64::from(status.list));
    let index = session.status.map(|status| i64::from(status.index));
    let inserted = db
        .query_typed_opt(
            insert,
            &[
                (&session.id.as_slice(), Type::BYTEA),
                (&session.user_id, Type::TEXT),
                (&session.client_id, Type::TEXT),
                (&session.scope, Type::TEXT),
                (&rows::signed(session.counter)?, Type::INT8),
                (&rows::signed(session.created_at)?, Type::INT8),
                (&rows::signed(session.rotated_at)?, Type::INT8),
                (&rows::signed(session.expires_at)?, Type::INT8),
                (&password_hash, Type::TEXT),
                (&list, Type::INT8),
                (&index, Type::INT8),
                (&rows::signed(session.authentication.at)?, Type::INT8),
                (&session.authentication.methods, Type::TEXT),
                (&session.device.network, Type::TEXT),
                (&session.device.user_agent, Type::TEXT),
                (&session.authentication.is_strong(), Type::BOOL),
            ],
        )
        .await;
    let Some(row) = inserted.map_err(status_conflict)? else { return Ok(None) };
    Ok(Some(CustomClaims::from_stored(row.try_get("claims")?)))
}

/// Ends the oldest sessions of the user if there are too many with the one just opened. Those that
/// have expired and are not deleted yet count too, or the statement could read any number of them.
async fn end_oldest(db: &Connection, opened: &Session, network: &Network) -> Result<(), Failure> {
    let surplus = "SELECT id FROM countersign.sessions
                   WHERE user_id = $1 AND NOT revoked AND id <> $2
                   ORDER BY created_at DESC LIMIT $3 OFFSET $4";
    let parameters: Parameters<'_> = &[
        (&opened.user_id, Type::TEXT),
        (&opened.id.as_slice(), Type::BYTEA),
        (&i64::from(MOST_ENDED), Type::INT8),
        (&i64::from(MOST_OF_A_USER - 1), Type::INT8),
    ];
    let by = Actor::from(network.clone());
    for row in db.query_typed(surplus, parameters).await? {
        let id: &[u8] = row.try_get("id")?;
        let id = SessionId::try_from(id).map_err(|_| rows::malformed())?;
        end(db, id, &by, opened.created_at).await?;
    }
    Ok(())
}

pub(super) async fn refresh(
    db: &Connection,
    refresh: &Refresh,
    in_flight: &InFlight<Rotation>,
) -> Result<Verdict, Failure> {
    let id = refresh.token.session;
    let lock = "SELECT *, clock_timestamp() AS now FROM countersign.sessions
                WHERE id = $1 FOR UPDATE";
    let begun = Instant::now();
    let Some(row) = db.query_typed_opt(lock, &[(&id.as_slice(), Type::BYTEA)]).await? else {
        return Ok(Verdict::Refuse);
    };
    // The clocks of issuers may differ by more than the grace.
    let mut now = rows::time(&row, "now")?;
    if begun.elapsed() >= Duration::from_secs(1) {
        // The server looked at its clock before it waited for the lock.
        let again = db.query_typed_one("SELECT clock_timestamp() AS now", &[]).await?;
        now = rows::time(&again, "now")?;
    }
    let session = from_row(&row)?;
    let last: Option<&[u8]> = row.try_get("rotation")?;
    let last = last.map(Rotation::try_from).transpose().map_err(|_| rows::malformed())?;
    // An earlier run of this refresh may have made the rotation.
    let has_no_recipient = |last| last == in_flight.rotation || in_flight.is_unacknowledged(last);
    let answered = !last.is_some_and(has_no_recipient);
    let grace = Grace { now, answered };
    let mut verdict = decide(&session, refresh, grace);
    if let Verdict::Rotate(next) = &mut verdict {
        put(db, next, Some(in_flight.rotate())).await?;
        if let Some(candidates) = refresh.candidates_for(next) {
            next.status = Some(set_status(db, id, candidates).await?);
        }
    }
    if let Verdict::Repeat { session, is_first } = &verdict
        && (*is_first || last.is_some())
    {
        // Without a number, no issuer takes the rotation for one without an answer any longer.
        let rotation = (!answered).then(|| in_flight.rotate());
        put(db, session, rotation).await?;
    }
    if verdict.ends_session() {
        revoke(db, id).await?;
    }
    if let Some(event) = verdict.event() {
        let entry = NewEntry::of_session(refresh.now, event, &id, &session.user_id);
        audit::record(db, &entry.from(&refresh.network)).await?;
    }
    Ok(verdict)
}

/// Stores the session after a refresh with that number.
async fn put(
    db: &Connection,
    session: &Session,
    rotation: Option<Rotation>,
) -> Result<(), Failure> {
    let update = "UPDATE countersign.sessions SET counter = $2, rotated_at = $3, expires_at = $4,
                  repeat_audited = $5, rotation = $6 WHERE id = $1";
    db.execute_typed(
        update,
        &[
            (&session.id.as_slice(), Type::BYTEA),
            (&rows::signed(session.counter)?, Type::INT8),
            (&rows::signed(session.rotated_at)?, Type::INT8),
            (&rows::signed(session.expires_at)?, Type::INT8),
            (&session.repeat_audited.map(rows::signed).transpose()?, Type::INT8),
            (&rotation.as_ref().map(<[u8; 16]>::as_slice), Type::BYTEA),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn by_id(db: &Connection, id: SessionId) -> Result<Option<Session>, Failure> {
    let row = db.query_typed_opt(BY_ID, &[(&id.as_slice(), Type::BYTEA)]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns true if the user's session has not ended or expired.
pub(super) async fn is_live(
    db: &Connection,
    id: SessionId,
    user_id: &str,
    now: u64,
) -> Result<bool, Failure> {
    let live = "SELECT FROM countersign.sessions
                WHERE id = $1 AND user_id = $2 AND NOT revoked AND expires_at > $3 FOR UPDATE";
    let parameters: Parameters<'_> =
        &[(&id.as_slice(), Type::BYTEA), (&user_id, Type::TEXT), (&rows::signed(now)?, Type::INT8)];
    Ok(db.query_typed_opt(live, parameters).await?.is_some())
}

/// Makes the authentication of a session new. Returns `None` if it is that already.
pub(super) async fn authenticate(
    db: &Connection,
    id: SessionId,
    authentication: &Authentication,
) -> Result<Option<Session>, Failure> {
    let update = "UPDATE countersign.sessions SET authenticated_at = $2, methods = $3
                  WHERE id = $1 AND (authenticated_at IS DISTINCT FROM $2 OR methods <> $3)
                  RETURNING *";
    let parameters: Parameters<'_> = &[
        (&id.as_slice(), Type::BYTEA),
        (&rows::signed(authentication.at)?, Type::INT8),
        (&authentication.methods, Type::TEXT),
    ];
    let row = db.query_typed_opt(update, parameters).await?;
    row.as_ref().map(from_row).transpose()
}

/// Adds a second factor to the authentication of a session by a password alone. Its time stays.
pub(super) async fn strengthen(
    db: &Connection,
    id: SessionId,
    factor: SecondFactor,
) -> Result<(), Failure> {
    let weak = Authentication::by_password(0).methods;
    let strong = Authentication::by_password_and(factor, 0).methods;
    let update = "UPDATE countersign.sessions SET methods = $3 WHERE id = $1 AND methods = $2";
    let parameters: Parameters<'_> =
        &[(&id.as_slice(), Type::BYTEA), (&weak, Type::TEXT), (&strong, Type::TEXT)];
    db.execute_typed(update, parameters).await?;
    Ok(())
}

pub(super) async fn end(
    db: &Connection,
    id: SessionId,
    by: &Actor,
    now: u64,
) -> Result<(), Failure> {
    if let Some(user_id) = revoke(db, id).await? {
        let event = Event::SessionEnded;
        audit::record(db, &NewEntry::of_session(now, event, &id, &user_id).by(by)).await?;
    }
    Ok(())
}

/// Returns the session's user; `None` if the session has ended or never existed.
async fn revoke(db: &Connection, id: SessionId) -> Result<Option<String>, Failure> {
    let update = "UPDATE countersign.sessions SET revoked = true WHERE id = $1 AND NOT revoked
                  RETURNING user_id";
    let row = db.query_typed_opt(update, &[(&id.as_slice(), Type::BYTEA)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Ends the sessions of a user, except one, and their one-time tokens, which may open another one.
/// Returns how many sessions ended.
pub(super) async fn end_all(
    db: &Connection,
    user_id: &str,
    except: Option<SessionId>,
) -> Result<u64, Failure> {
    let revoke = "UPDATE countersign.sessions SET revoked = true
                  WHERE user_id = $1 AND NOT revoked AND id IS DISTINCT FROM $2";
    let except = except.as_ref().map(<[u8; 16]>::as_slice);
    let ended = db.execute_typed(revoke, &[(&user_id, Type::TEXT), (&except, Type::BYTEA)]).await?;
    one_time::end_all(db, user_id).await?;
    Ok(ended)
}

/// Deletes some sessions that had expired at that time. Returns how many. Leaves locked rows for the
/// next time.
pub(super) async fn prune_some(db: &Connection, at: u64) -> Result<u64, Failure> {
    let delete = "DELETE FROM countersign.sessions WHERE id IN (
                    SELECT id FROM countersign.sessions WHERE expires_at <= $1
                    LIMIT 200 FOR UPDATE SKIP LOCKED)";
    Ok(db.execute_typed(delete, &[(&rows::signed(at)?, Type::INT8)]).await?)
}

async fn choose_index(db: &Connection, candidates: &Candidates) -> Result<StatusIndex, Failure> {
    let taken = "
        WITH newest AS (
          SELECT coalesce(max(status_list), 0) AS list FROM countersign.sessions
          WHERE status_list IS NOT NULL
        )
        SELECT list, ARRAY(
          SELECT status_index FROM countersign.sessions
          WHERE status_list = list AND status_index = ANY ($1)
        ) AS taken FROM newest";
    let indices = candidates.indices().map(i64::from);
    let row = db.query_typed_one(taken, &[(&indices.as_slice(), Type::INT8_ARRAY)]).await?;
    let (newest, taken): (i64, Vec<i64>) = (row.try_get("list")?, row.try_get("taken")?);
    candidates.choose(rows::small(newest)?, |candidate| Ok(taken.contains(&candidate.index.into())))
}

async fn set_status(
    db: &Connection,
    id: SessionId,
    candidates: &Candidates,
) -> Result<StatusIndex, Failure> {
    let status = choose_index(db, candidates).await?;
    let update =
        "UPDATE countersign.sessions SET status_list = $2, status_index = $3 WHERE id = $1";
    let (list, index) = (i64::from(status.list), i64::from(status.index));
    let id = (&id.as_slice() as _, Type::BYTEA);
    let updated = db.execute_typed(update, &[id, (&list, Type::INT8), (&index, Type::INT8)]).await;
    updated.map_err(status_conflict)?;
    Ok(status)
}

/// Allows a retry if another transaction has taken the status index meanwhile.
fn status_conflict(e: Error) -> Failure {
    if e.code() == Some(&SqlState::UNIQUE_VIOLATION) {
        return Failure::Transient("another session got the same status index".to_owned());
    }
    e.into()
}

pub(super) fn from_row(row: &Row) -> Result<Session, Failure> {
    let id: &[u8] = row.try_get("id")?;
    let small = |name| -> Result<Option<u32>, Failure> {
        let number: Option<i64> = row.try_get(name)?;
        number.map(rows::small).transpose()
    };
    let (list, index) = (small("status_list")?, small("status_index")?);
    let repeat_audited: Option<i64> = row.try_get("repeat_audited")?;
    let authenticated_at: Option<i64> = row.try_get("authenticated_at")?;
    let created_at = rows::number(row, "created_at")?;
    Ok(Session {
        id: SessionId::try_from(id).map_err(|_| rows::malformed())?,
        user_id: row.try_get("user_id")?,
        client_id: row.try_get("client_id")?,
        scope: row.try_get("scope")?,
        counter: rows::number(row, "counter")?,
        created_at,
        rotated_at: rows::number(row, "rotated_at")?,
        expires_at: rows::number(row, "expires_at")?,
        revoked: row.try_get("revoked")?,
        status: list.zip(index).map(|(list, index)| StatusIndex { list, index }),
        repeat_audited: repeat_audited.map(rows::unsigned).transpose()?,
        claims: CustomClaims::from_stored(row.try_get("claims")?),
        authentication: Authentication {
            at: authenticated_at.map_or(Ok(created_at), rows::unsigned)?,
            methods: row.try_get("methods")?,
        },
        device: Device { network: row.try_get("network")?, user_agent: row.try_get("user_agent")? },
    })
}
