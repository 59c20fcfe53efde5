use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::query::{Paging, cursor, query};
use super::{Access, admin, body, boolean, idempotency_key, some_of};
use crate::clients::{self, ClientChange, parse_audiences};
use crate::custom_claims::CustomClaims;
use crate::http::body::{optional_text, text};
use crate::http::reply::{self, ApiError, ErrorBody, Reply};
use crate::http::{Api, Call};
use crate::scope;
use crate::service::admin::NewClient;

/// A client.
#[derive(Serialize, ToSchema)]
pub(super) struct Client<'a> {
    #[schema(example = "client_4Gq…")]
    client_id: &'a str,
    #[schema(example = "worker")]
    name: &'a str,
    #[schema(example = "read write")]
    scope: &'a str,
    locked: bool,
    /// The custom claims.
    #[schema(value_type = Object)]
    claims: Value,
    /// The audiences that the client may choose.
    audiences: Vec<&'a str>,
    /// UNIX seconds.
    created_at: u64,
}

impl<'a> From<&'a clients::Client> for Client<'a> {
    fn from(client: &'a clients::Client) -> Self {
        Self {
            client_id: &client.id,
            name: &client.name,
            scope: &client.scope,
            locked: client.locked,
            claims: client.claims.to_value(),
            audiences: client.audiences().collect(),
            created_at: client.created_at,
        }
    }
}

/// A client with its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedClient<'a> {
    #[serde(flatten)]
    client: Client<'a>,
    /// Not shown again.
    client_secret: &'a str,
}

/// The id and the new secret of a client.
#[derive(Serialize, ToSchema)]
pub(super) struct NewSecret<'a> {
    client_id: &'a str,
    /// Not shown again.
    client_secret: &'a str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Clients<'a> {
    /// By name.
    clients: Vec<Client<'a>>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListClients<'a> {
    /// Only the client with this name.
    #[param(nullable = false)]
    name: Option<&'a str>,
    /// Number of items.
    #[param(value_type = Option<u32>, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<&'a str>,
    /// `next_cursor` of the previous page.
    #[param(nullable = false)]
    cursor: Option<&'a str>,
}

/// `GET /admin/v1/clients`: the clients by name, or the one with a name.
#[utoipa::path(
    get,
    path = "/admin/v1/clients",
    tag = "clients",
    summary = "List clients",
    params(ListClients<'_>),
    responses((status = 200, description = "A page", body = Clients<'_>)),
)]
pub(super) async fn list(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let form = query(&call)?;
    let ListClients { name, limit, cursor: after } = form.parse()?;
    let paging = Paging::new(limit, after)?;
    let (clients, is_cut) = match name {
        Some(name) => (admin.client_named(name).await?.into_iter().collect(), false),
        None => {
            let page = admin.clients(paging.after.unwrap_or_default(), paging.limit).await?;
            (page.items, page.is_cut)
        }
    };
    let next_cursor = clients.last().filter(|_| is_cut).map(|last| cursor(&last.name));
    let clients = clients.iter().map(Client::from).collect();
    Ok(reply::json(StatusCode::OK, &Clients { clients, next_cursor }))
}

// Each member may be any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddClient {
    #[schema(value_type = String, required, example = "worker")]
    name: Option<Value>,
    #[schema(value_type = Option<String>, nullable = false, default = "", example = "read write")]
    scope: Option<Value>,
    /// Custom claims, for the access tokens of the client.
    #[schema(value_type = Option<Object>, nullable = false)]
    claims: Option<CustomClaims>,
    /// The audiences that the client may choose.
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["https://orders.example"]))]
    audiences: Option<Value>,
}

/// `POST /admin/v1/clients`: adds a client with a random secret.
#[utoipa::path(
    post,
    path = "/admin/v1/clients",
    tag = "clients",
    summary = "Add a client",
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, description = "A repeated request has the same answer for 24 h, with the same secret.")),
    request_body = AddClient,
    responses(
        (status = 201, description = "The client and its secret", body = AddedClient<'_>),
        (status = 409, description = "`conflict`: the name is taken, or a request with the same key is being answered", body = ErrorBody),
        (status = 422, description = "`idempotency_key_reused`: another request had the key", body = ErrorBody),
    ),
)]
pub(super) async fn add(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let AddClient { name, scope, claims, audiences } = body(&call)?;
    let new = NewClient {
        name: text("name", name)?,
        scope: optional_text("scope", scope)?.unwrap_or_default(),
        claims: claims.unwrap_or_default(),
        audiences: read_audiences(audiences)?.unwrap_or_default(),
    };
    let render = |client: &clients::Client, client_secret: &str| {
        let new = AddedClient { client: client.into(), client_secret };
        serde_json::to_vec(&new).unwrap_or_default()
    };
    let client = admin.add_client(new, idempotency_key(&call)?, render).await?;
    Ok(reply::typed(StatusCode::CREATED, "application/json", client.into()))
}

/// Reads the member `audiences`, if it is there.
fn read_audiences(value: Option<Value>) -> Result<Option<String>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let audiences = serde_json::from_value::<Vec<String>>(value)
        .map_err(|_| ApiError::invalid_request("audiences must be an array of strings"))?;
    Ok(Some(parse_audiences(audiences.iter().map(String::as_str))?))
}

/// `GET /admin/v1/clients/{client_id}`: a client.
#[utoipa::path(
    get,
    path = "/admin/v1/clients/{client_id}",
    tag = "clients",
    summary = "Read a client",
    params(("client_id" = String, Path)),
    responses((status = 200, description = "The client", body = Client<'_>)),
)]
pub(super) async fn read(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let client = admin.client(&call.parameter).await?;
    Ok(reply::json(StatusCode::OK, &Client::from(&client)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientChange)]
pub(super) struct ChangeClient {
    /// A locked client gets no more tokens.
    #[schema(value_type = Option<bool>, nullable = false)]
    locked: Option<Value>,
    /// The scope of new tokens.
    #[schema(value_type = Option<String>, nullable = false)]
    scope: Option<Value>,
    /// Replaces the custom claims in new tokens.
    #[schema(value_type = Option<Object>, nullable = false)]
    claims: Option<CustomClaims>,
    /// Replaces the audiences that the client may choose.
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
    audiences: Option<Value>,
}

impl ChangeClient {
    fn changes(self) -> Result<Vec<ClientChange>, ApiError> {
        let mut changes = Vec::new();
        changes.extend(boolean("locked", self.locked.as_ref())?.map(ClientChange::Locked));
        if let Some(scope) = optional_text("scope", self.scope)? {
            changes.push(ClientChange::Scope(scope::check(&scope)?));
        }
        changes.extend(self.claims.map(ClientChange::Claims));
        changes.extend(read_audiences(self.audiences)?.map(ClientChange::Audiences));
        some_of(changes, "locked, scope, claims and audiences")
    }
}

/// `PATCH /admin/v1/clients/{client_id}`: changes a client. All of the changes are made, or none.
#[utoipa::path(
    patch,
    path = "/admin/v1/clients/{client_id}",
    tag = "clients",
    summary = "Change a client",
    params(("client_id" = String, Path)),
    request_body = ChangeClient,
    responses((status = 200, description = "The client after the change", body = Client<'_>)),
)]
pub(super) async fn change(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let changes = body::<ChangeClient>(&call)?.changes()?;
    let client = admin.change_client(&call.parameter, changes).await?;
    Ok(reply::json(StatusCode::OK, &Client::from(&client)))
}

/// `POST /admin/v1/clients/{client_id}/secret`: gives a client a new secret.
#[utoipa::path(
    post,
    path = "/admin/v1/clients/{client_id}/secret",
    tag = "clients",
    summary = "Replace a client's secret",
    description = "The old secret stops working at once.",
    params(("client_id" = String, Path)),
    responses((status = 201, description = "The new secret", body = NewSecret<'_>)),
)]
pub(super) async fn rotate_secret(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let new = admin.rotate_secret(&call.parameter).await?;
    let body = NewSecret { client_id: &new.client_id, client_secret: &new.secret };
    Ok(reply::json(StatusCode::CREATED, &body))
}
