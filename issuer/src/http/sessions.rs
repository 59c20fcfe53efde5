use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::form::Form;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call, user};
use crate::session::{Cursor, Device, Session, SessionId};

/// The most sessions of one answer.
const MOST: u32 = 100;

/// `GET /sessions`: the live sessions of the user who is signed in, newest first.
#[utoipa::path(
    get,
    path = "/sessions",
    tag = "users",
    summary = "The user's own sessions",
    params(
        ("limit" = Option<u32>, Query, nullable = false, minimum = 1, maximum = 100, description = "The most sessions of the answer; 100 by default"),
        ("cursor" = Option<String>, Query, nullable = false, description = "`next_cursor` of the answer before"),
    ),
    responses(
        (status = 200, description = "The sessions that have not ended, newest first", body = Sessions),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn list(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    let query = Form::of_query(&call)?;
    let most = limit(query.get("limit"))?;
    let page = api.issuer.own_sessions(&signed_in, cursor(query.get("cursor"))?, most).await?;
    let last = page.items.last().filter(|_| page.is_cut);
    let next_cursor = last.map(|last| Cursor::of(last).encode());
    let current = signed_in.session.id;
    let sessions = page.items.into_iter().map(|session| OwnSession::new(session, current));
    let sessions = sessions.collect();
    Ok(reply::json(StatusCode::OK, &Sessions { sessions, next_cursor }))
}

fn limit(given: Option<&str>) -> Result<u32, ApiError> {
    let Some(given) = given else { return Ok(MOST) };
    let limit = given.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| {
        ApiError::invalid_request(format!("limit must be a number from 1 to {MOST}"))
    })
}

fn cursor(given: Option<&str>) -> Result<Cursor, ApiError> {
    let Some(given) = given else { return Ok(Cursor::START) };
    Cursor::decode(given).ok_or_else(|| {
        let description = "cursor must be the next_cursor of an answer; leave it out to begin anew";
        ApiError::invalid_request(description)
    })
}

/// `DELETE /sessions/{id}`: ends a session of the user, which may be that of the request. Other users'
/// sessions have the same answer as unknown ones.
#[utoipa::path(
    delete,
    path = "/sessions/{id}",
    tag = "users",
    summary = "End one of the user's own sessions",
    params(("id" = String, Path, description = "`id` in the list of sessions, and the `sid` claim of the session's access tokens")),
    responses(
        (status = 204, description = "The session is over."),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: the user has no such session, or it has ended", body = ErrorBody),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn end(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    api.issuer.end_own_session(&signed_in, &call.parameter, call.client).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// A page of sessions.
#[derive(Serialize, ToSchema)]
struct Sessions {
    sessions: Vec<OwnSession>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A session of the user. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnSession)]
struct OwnSession {
    /// The `sid` claim of its access tokens.
    id: String,
    /// The time of the login.
    created_at: u64,
    /// The time of the last refresh, or of the login.
    last_used_at: u64,
    /// The time at which it ends without a refresh.
    expires_at: u64,
    /// The network of the login: an IPv4 /24 or an IPv6 /48. Absent with `audit_network = "hash"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "192.0.2.0/24")]
    network: Option<String>,
    /// The header `User-Agent` of the login, at most 256 bytes of printable ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_agent: Option<String>,
    /// True for the session of the request.
    current: bool,
}

impl OwnSession {
    fn new(session: Session, current: SessionId) -> Self {
        let id = session.sid();
        let Device { network, user_agent } = session.device;
        Self {
            id,
            created_at: session.created_at,
            last_used_at: session.rotated_at,
            expires_at: session.expires_at,
            network,
            user_agent,
            current: session.id == current,
        }
    }
}
