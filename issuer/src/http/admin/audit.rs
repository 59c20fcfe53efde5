use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::{Paging, cursor, malformed_cursor, query};
use super::{Access, admin};
use crate::audit::{AuditEntry, AuditFilter, Event};
use crate::http::reply::{self, ApiError, Reply};
use crate::http::{Api, Call};

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    id: u64,
    /// UNIX seconds.
    at: u64,
    #[schema(example = "user_locked")]
    event: String,
    /// The id of a user, a client or a session, or a kid.
    subject: String,
    /// The user whose change, login or session it is.
    sub: Option<String>,
    /// The present name of that user.
    user: Option<String>,
    /// The network of the request.
    network: Option<String>,
    /// How often it happened.
    count: u64,
    /// The client that made the change through the Admin API.
    actor: Option<String>,
}

impl From<AuditEntry> for Entry {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, event, subject, user_id, user_name, network, count, actor } =
            entry;
        Self { id, at, event, subject, sub: user_id, user: user_name, network, count, actor }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Entries {
    /// Newest first.
    entries: Vec<Entry>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEntries<'a> {
    /// Only those of this user, a name or a `sub`.
    #[param(nullable = false)]
    user: Option<&'a str>,
    /// Only those with this subject.
    #[param(nullable = false)]
    subject: Option<&'a str>,
    /// Only those from this network, as it is listed.
    #[param(nullable = false)]
    network: Option<&'a str>,
    /// Only these events, separated by commas.
    #[param(nullable = false, example = "login,login_failed")]
    event: Option<&'a str>,
    /// Only those since this time, in UNIX seconds.
    #[param(value_type = Option<u64>, nullable = false)]
    since: Option<&'a str>,
    /// Number of items.
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<&'a str>,
    /// `next_cursor` of the previous page.
    #[param(nullable = false)]
    cursor: Option<&'a str>,
}

/// `GET /admin/v1/audit`: the audit log.
#[utoipa::path(
    get,
    path = "/admin/v1/audit",
    tag = "audit",
    summary = "Read the audit log",
    params(ListEntries<'_>),
    responses((status = 200, description = "A page", body = Entries)),
)]
pub(super) async fn list(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let form = query(&call)?;
    let ListEntries { user, subject, network, event, since, limit, cursor: after } =
        form.parse()?;
    let Paging { limit, after } = Paging::new(limit, after)?;
    let before = after.map(|after| number(&after).ok_or_else(malformed_cursor)).transpose()?;
    let filter = AuditFilter {
        subject: subject.map(str::to_owned),
        user_id: None,
        network: network.map(str::to_owned),
        events: events(event)?,
        since: since
            .map_or(Some(0), number)
            .ok_or_else(|| ApiError::invalid_request("since must be a time in UNIX seconds"))?,
        before,
        most: limit,
    };
    let page = admin.audit(user, filter).await?;
    let last = page.items.last().filter(|_| page.is_cut);
    let next_cursor = last.map(|last| cursor(&last.id.to_string()));
    let entries = page.items.into_iter().map(Entry::from).collect();
    Ok(reply::json(StatusCode::OK, &Entries { entries, next_cursor }))
}

fn events(names: Option<&str>) -> Result<Vec<String>, ApiError> {
    let names: Vec<_> = names.into_iter().flat_map(|names| names.split(',')).collect();
    if let Some(unknown) = names.iter().find(|name| !Event::NAMES.contains(name)) {
        return Err(ApiError::invalid_request(format!("{unknown:?} is not an event")));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Reads a number that the databases have too.
fn number(text: &str) -> Option<u64> {
    text.parse::<i64>().ok()?.try_into().ok()
}
