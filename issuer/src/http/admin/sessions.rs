use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::{Paging, malformed_cursor, query};
use super::{Access, admin};
use crate::authentication::Authentication;
use crate::http::reply::{self, ApiError, Reply};
use crate::http::{Api, Call};
use crate::session::{self, Cursor};

/// An open session.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// The `sid` claim of the session's access tokens.
    id: String,
    client_id: String,
    scope: String,
    /// UNIX seconds.
    created_at: u64,
    /// The last refresh, or the login. UNIX seconds.
    last_used_at: u64,
    /// UNIX seconds.
    expires_at: u64,
    /// The last authentication of the user. UNIX seconds.
    authenticated_at: u64,
    /// How the user authenticated (RFC 8176).
    #[schema(example = json!(["pwd"]))]
    methods: Vec<String>,
    /// The network of the login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    network: Option<String>,
    /// The program of the login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_agent: Option<String>,
}

impl From<session::Session> for Session {
    fn from(session: session::Session) -> Self {
        let id = session.sid();
        let Authentication { at, methods } = session.authentication;
        let session::Device { network, user_agent } = session.device;
        Self {
            id,
            client_id: session.client_id,
            scope: session.scope,
            created_at: session.created_at,
            last_used_at: session.rotated_at,
            expires_at: session.expires_at,
            authenticated_at: at,
            methods: methods.split_ascii_whitespace().map(str::to_owned).collect(),
            network,
            user_agent,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    /// The last opened first.
    sessions: Vec<Session>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListSessions<'a> {
    /// Number of items.
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<&'a str>,
    /// `next_cursor` of the previous page.
    #[param(nullable = false)]
    cursor: Option<&'a str>,
}

/// `GET /admin/v1/users/{sub}/sessions`: the open sessions of a user.
#[utoipa::path(
    get,
    path = "/admin/v1/users/{sub}/sessions",
    tag = "sessions",
    summary = "List the open sessions of a user",
    params(("sub" = String, Path), ListSessions<'_>),
    responses((status = 200, description = "A page", body = Sessions)),
)]
pub(super) async fn list(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let form = query(&call)?;
    let ListSessions { limit, cursor: after } = form.parse()?;
    let limit = Paging::new(limit, None)?.limit;
    let after = after.map_or(Some(Cursor::START), Cursor::decode).ok_or_else(malformed_cursor)?;
    let page = admin.sessions(&call.parameter, after, limit).await?;
    let last = page.items.last().filter(|_| page.is_cut);
    let next_cursor = last.map(|last| Cursor::of(last).encode());
    let sessions = page.items.into_iter().map(Session::from).collect();
    Ok(reply::json(StatusCode::OK, &Sessions { sessions, next_cursor }))
}

/// `DELETE /admin/v1/users/{sub}/sessions`: ends all sessions of a user.
#[utoipa::path(
    delete,
    path = "/admin/v1/users/{sub}/sessions",
    tag = "sessions",
    summary = "End all sessions of a user",
    params(("sub" = String, Path)),
    responses((status = 204, description = "The sessions of the user have ended.")),
)]
pub(super) async fn end_all(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    admin.end_sessions(&call.parameter).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /admin/v1/sessions/{id}`: ends a session.
#[utoipa::path(
    delete,
    path = "/admin/v1/sessions/{id}",
    tag = "sessions",
    summary = "End a session",
    params(("id" = String, Path)),
    responses((status = 204, description = "The session has ended, now or earlier.")),
)]
pub(super) async fn end(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    admin.end_session(&call.parameter).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
