use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{audit, failures, one_time};
use crate::audit::{Actor, Event, Network, NewEntry};
use crate::authentication::{Authentication, SecondFactor};
use crate::custom_claims::CustomClaims;
use crate::login::throttle::ProvisionalFailure;
use crate::session::{
    Device, Grace, MOST_ENDED, MOST_OF_A_USER, Refresh, Session, SessionId, SessionPage, Verdict,
    decide,
};
use crate::status::{Candidates, StatusIndex};
use crate::store::unacknowledged::InFlight;

pub(super) fn open(
    db: &Connection,
    mut session: Session,
    password_hash: &str,
    network: &Network,
    failure: Option<&ProvisionalFailure>,
    candidates: Option<&Candidates>,
) -> rusqlite::Result<Option<Session>> {
    session.status = candidates.map(|candidates| choose_index(db, candidates)).transpose()?;
    let mut insert = db.prepare_cached(
        "INSERT INTO sessions (id, user_id, client_id, scope, counter, created_at, rotated_at,
                               expires_at, revoked, status_list, status_index, authenticated_at,
                               methods, network, user_agent, claims)
         SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?10, ?11, ?12, ?13, ?14, ?15, claims FROM users
         WHERE id = ?2 AND password_hash = ?9 AND locked = 0 AND scope = ?4
         AND (?16 OR NOT EXISTS (SELECT * FROM totps WHERE user_id = users.id
                                 AND confirmed_at IS NOT NULL)
                 AND NOT EXISTS (SELECT * FROM passkeys WHERE user_id = users.id))
         RETURNING claims",
    )?;
    let claims = insert.query_row(
        params![
            session.id,
            session.user_id,
            session.client_id,
            session.scope,
            session.counter,
            session.created_at,
            session.rotated_at,
            session.expires_at,
            password_hash,
            session.status.map(|status| status.list),
            session.status.map(|status| status.index),
            session.authentication.at,
            session.authentication.methods,
            session.device.network,
            session.device.user_agent,
            session.authentication.is_strong(),
        ],
        |row| row.get("claims"),
    );
    let Some(claims) = claims.optional()? else { return Ok(None) };
    session.claims = CustomClaims::from_stored(claims);
    let Session { created_at, id, user_id, .. } = &session;
    let entry = NewEntry::of_session(*created_at, Event::Login, id, user_id);
    audit::record(db, &entry.from(network))?;
    end_oldest(db, &session, network)?;
    failure.map_or(Ok(()), |failure| failures::undo(db, failure))?;
    Ok(Some(session))
}

/// Ends the oldest sessions of the user if there are too many with the one just opened. Those that
/// have expired and are not deleted yet count too, or the statement could read any number of them.
fn end_oldest(db: &Connection, opened: &Session, network: &Network) -> rusqlite::Result<()> {
    let surplus = "SELECT id FROM sessions WHERE user_id = ?1 AND revoked = 0 AND id <> ?2
                   ORDER BY created_at DESC LIMIT ?3 OFFSET ?4";
    let others = MOST_OF_A_USER - 1;
    let surplus: Vec<SessionId> = db
        .prepare_cached(surplus)?
        .query_map(params![opened.user_id, opened.id, MOST_ENDED, others], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let by = Actor::from(network.clone());
    surplus.iter().try_for_each(|id| end(db, id, &by, opened.created_at))
}

/// The counter of the session after it.
pub(super) type Rotation = u64;

/// Decides a refresh that `waited` that number of seconds for its turn.
pub(super) fn refresh(
    db: &Connection,
    refresh: &Refresh,
    waited: u64,
    in_flight: &InFlight<Rotation>,
) -> rusqlite::Result<Verdict> {
    let id = refresh.token.session;
    let Some(session) = by_id(db, &id)? else { return Ok(Verdict::Refuse) };
    let answered = !in_flight.is_unacknowledged(session.counter);
    // The issuers on a file share the clock of their machine. A grace begins when the rotation is
    // made. A token that came within the grace is not late because it waited.
    let turn = refresh.now.saturating_add(waited);
    let is_replaced = refresh.token.counter != session.counter;
    let now =
        if answered && is_replaced { session.rotated_at.clamp(refresh.now, turn) } else { turn };
    let mut verdict = decide(&session, refresh, Grace { now, answered });
    if let Verdict::Rotate(next) = &mut verdict {
        let update = "UPDATE sessions SET counter = ?2, rotated_at = ?3, expires_at = ?4
                      WHERE id = ?1";
        db.prepare_cached(update)?.execute(params![
            id,
            next.counter,
            next.rotated_at,
            next.expires_at
        ])?;
        in_flight.rotate();
        if let Some(candidates) = refresh.candidates_for(next) {
            let status = choose_index(db, candidates)?;
            let update = "UPDATE sessions SET status_list = ?2, status_index = ?3 WHERE id = ?1";
            db.prepare_cached(update)?.execute(params![id, status.list, status.index])?;
            next.status = Some(status);
        }
    }
    if let Verdict::Repeat { session, is_first } = &verdict
        && (*is_first || !answered)
    {
        let update = "UPDATE sessions SET repeat_audited = ?2, rotated_at = ?3 WHERE id = ?1";
        let values = params![id, session.repeat_audited, session.rotated_at];
        db.prepare_cached(update)?.execute(values)?;
        if !answered {
            in_flight.rotate();
        }
    }
    if verdict.ends_session() {
        revoke(db, &id)?;
    }
    if let Some(event) = verdict.event() {
        let entry = NewEntry::of_session(refresh.now, event, &id, &session.user_id);
        audit::record(db, &entry.from(&refresh.network))?;
    }
    Ok(verdict)
}

pub(super) fn by_id(db: &Connection, id: &SessionId) -> rusqlite::Result<Option<Session>> {
    db.prepare_cached("SELECT * FROM sessions WHERE id = ?1")?
        .query_row([id], session_of)
        .optional()
}

/// Returns true if the user's session has not ended or expired.
pub(super) fn is_live(
    db: &Connection,
    id: &SessionId,
    user_id: &str,
    now: u64,
) -> rusqlite::Result<bool> {
    let live = "SELECT 1 FROM sessions
                WHERE id = ?1 AND user_id = ?2 AND revoked = 0 AND expires_at > ?3";
    db.prepare_cached(live)?.exists(params![id, user_id, now])
}

/// Makes the authentication of a session new.
pub(super) fn authenticate(
    db: &Connection,
    id: &SessionId,
    authentication: &Authentication,
) -> rusqlite::Result<Option<Session>> {
    let update =
        "UPDATE sessions SET authenticated_at = ?2, methods = ?3 WHERE id = ?1 RETURNING *";
    let values = params![id, authentication.at, authentication.methods];
    db.prepare_cached(update)?.query_row(values, session_of).optional()
}

/// Adds a second factor to the authentication of a session by a password alone. Its time stays.
pub(super) fn strengthen(
    db: &Connection,
    id: &SessionId,
    factor: SecondFactor,
) -> rusqlite::Result<()> {
    let weak = Authentication::by_password(0).methods;
    let strong = Authentication::by_password_and(factor, 0).methods;
    let update = "UPDATE sessions SET methods = ?3 WHERE id = ?1 AND methods = ?2";
    db.prepare_cached(update)?.execute(params![id, weak, strong]).map(drop)
}

pub(super) fn live(db: &Connection, page: &SessionPage) -> rusqlite::Result<Vec<Session>> {
    let SessionPage { user_id, now, after, most } = page;
    let live = "SELECT * FROM sessions
                WHERE user_id = ?1 AND revoked = 0 AND expires_at > ?2
                AND (created_at, id) < (?3, ?4)
                ORDER BY created_at DESC, id DESC LIMIT ?5";
    let parameters = params![user_id, now, after.created_at, after.id, most];
    db.prepare_cached(live)?.query_map(parameters, session_of)?.collect()
}

pub(super) fn end(db: &Connection, id: &SessionId, by: &Actor, now: u64) -> rusqlite::Result<()> {
    if let Some(user_id) = revoke(db, id)? {
        let event = Event::SessionEnded;
        audit::record(db, &NewEntry::of_session(now, event, id, &user_id).by(by))?;
    }
    Ok(())
}

/// Returns the session's user; `None` if the session has ended or never existed.
fn revoke(db: &Connection, id: &SessionId) -> rusqlite::Result<Option<String>> {
    let update = "UPDATE sessions SET revoked = 1 WHERE id = ?1 AND revoked = 0 RETURNING user_id";
    db.prepare_cached(update)?.query_row([id], |row| row.get(0)).optional()
}

/// Ends the sessions of a user, except one, and their one-time tokens, which may open another one.
/// Returns how many sessions ended.
pub(super) fn end_all(
    db: &Connection,
    user_id: &str,
    except: Option<SessionId>,
) -> rusqlite::Result<usize> {
    let revoke = "UPDATE sessions SET revoked = 1
                  WHERE user_id = ?1 AND revoked = 0 AND id IS NOT ?2";
    let ended = db.execute(revoke, params![user_id, except])?;
    one_time::end_all(db, user_id)?;
    Ok(ended)
}

/// Deletes some sessions that had expired at that time. Returns how many.
pub(super) fn prune_some(db: &Connection, at: u64) -> rusqlite::Result<usize> {
    db.prepare_cached(
        "DELETE FROM sessions WHERE id IN (
           SELECT id FROM sessions WHERE expires_at <= ?1 LIMIT 100)",
    )?
    .execute([at])
}

/// Returns 0 if there is no status list.
pub(super) fn newest_status_list(db: &Connection) -> rusqlite::Result<u32> {
    let newest = "SELECT max(status_list) FROM sessions WHERE status_list IS NOT NULL";
    let newest = db.prepare_cached(newest)?.query_row([], |row| row.get::<_, Option<u32>>(0))?;
    Ok(newest.unwrap_or(0))
}

pub(super) fn ended(db: &Connection, list: u32, at: u64) -> rusqlite::Result<Vec<u32>> {
    let ended = "SELECT status_index FROM sessions
                 WHERE status_list = ?1 AND revoked = 1 AND expires_at > ?2";
    db.prepare_cached(ended)?.query_map(params![list, at], |row| row.get(0))?.collect()
}

fn choose_index(db: &Connection, candidates: &Candidates) -> rusqlite::Result<StatusIndex> {
    let newest = newest_status_list(db)?;
    let taken = "SELECT 1 FROM sessions WHERE status_list = ?1 AND status_index = ?2";
    let mut taken = db.prepare_cached(taken)?;
    candidates.choose(newest, |StatusIndex { list, index }| taken.exists([list, index]))
}

fn session_of(row: &Row<'_>) -> rusqlite::Result<Session> {
    let authenticated_at: Option<u64> = row.get("authenticated_at")?;
    let created_at = row.get("created_at")?;
    Ok(Session {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        client_id: row.get("client_id")?,
        scope: row.get("scope")?,
        counter: row.get("counter")?,
        created_at,
        rotated_at: row.get("rotated_at")?,
        expires_at: row.get("expires_at")?,
        revoked: row.get("revoked")?,
        status: match (row.get("status_list")?, row.get("status_index")?) {
            (Some(list), Some(index)) => Some(StatusIndex { list, index }),
            _ => None,
        },
        repeat_audited: row.get("repeat_audited")?,
        claims: CustomClaims::from_stored(row.get("claims")?),
        authentication: Authentication {
            at: authenticated_at.unwrap_or(created_at),
            methods: row.get("methods")?,
        },
        device: Device { network: row.get("network")?, user_agent: row.get("user_agent")? },
    })
}
