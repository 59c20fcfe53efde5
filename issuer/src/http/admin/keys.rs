use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Access, admin};
use crate::http::reply::{self, ApiError, Reply};
use crate::http::{Api, Call};
use crate::keys::{Life, ListedKey};
use crate::service::keys::operator::{Revoked, Rotated};

/// A signing key. Times are UNIX seconds: past ones as they were, future ones as planned.
#[derive(Serialize, ToSchema)]
pub(super) struct Key<'a> {
    kid: &'a str,
    #[schema(example = "active")]
    state: &'static str,
    created_at: u64,
    activates_at: Option<u64>,
    retires_at: Option<u64>,
    drops_at: Option<u64>,
    bits: u32,
}

impl<'a> From<&ListedKey<'a>> for Key<'a> {
    fn from(key: &ListedKey<'a>) -> Self {
        Self {
            kid: &key.record.kid,
            state: key.record.state.name(),
            created_at: key.record.published_at,
            activates_at: key.activates_at,
            retires_at: key.retires_at,
            drops_at: key.record.drops_at,
            bits: key.record.bits,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Keys<'a> {
    /// Oldest first.
    keys: Vec<Key<'a>>,
}

/// `GET /admin/v1/keys`: the signing keys.
#[utoipa::path(
    get,
    path = "/admin/v1/keys",
    tag = "keys",
    summary = "List the signing keys",
    responses((status = 200, description = "All keys", body = Keys<'_>)),
)]
pub(super) async fn list(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let (records, rules) = admin.keys().await?;
    let listed = rules.list(&records);
    Ok(reply::json(StatusCode::OK, &Keys { keys: listed.iter().map(Key::from).collect() }))
}

/// The past and planned times of a key, in UNIX seconds.
#[derive(Serialize, ToSchema)]
pub(super) struct PlannedKey {
    /// `null` for a key to come.
    kid: Option<String>,
    created_at: u64,
    activates_at: Option<u64>,
    retires_at: Option<u64>,
    drops_at: Option<u64>,
}

impl From<Life> for PlannedKey {
    fn from(Life { kid, published, activates, retires, drops }: Life) -> Self {
        Self {
            kid,
            created_at: published,
            activates_at: activates,
            retires_at: retires,
            drops_at: drops,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct Plan {
    /// UNIX seconds.
    now: u64,
    keys: Vec<PlannedKey>,
}

/// `GET /admin/v1/keys/plan`: the past and future of the keys, if nobody asks for a change.
#[utoipa::path(
    get,
    path = "/admin/v1/keys/plan",
    tag = "keys",
    summary = "The past and future of the signing keys",
    responses((status = 200, description = "The keys, and three rotations to come", body = Plan)),
)]
pub(super) async fn plan(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Read).await?;
    let (lives, now) = admin.plan().await?;
    let keys = lives.into_iter().map(PlannedKey::from).collect();
    Ok(reply::json(StatusCode::OK, &Plan { now, keys }))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Rotation {
    signing_kid: String,
    /// Seconds until the next key signs; 0 if it signs already.
    next_signs_in: u64,
}

/// `POST /admin/v1/keys/rotate`: lets the next key sign as soon as every cache can have it.
#[utoipa::path(
    post,
    path = "/admin/v1/keys/rotate",
    tag = "keys",
    summary = "Let the next key sign as soon as every cache can have it",
    responses((status = 200, description = "The key that signs, and the time until the next one does", body = Rotation)),
)]
pub(super) async fn rotate(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let Rotated { signing_kid, next_signs_in, .. } = admin.rotate_keys().await?;
    Ok(reply::json(StatusCode::OK, &Rotation { signing_kid, next_signs_in }))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Revocation<'a> {
    revoked_kid: &'a str,
    signing_kid: String,
}

/// `DELETE /admin/v1/keys/{kid}`: removes a key at once. If it signs, the next key signs from now on.
#[utoipa::path(
    delete,
    path = "/admin/v1/keys/{kid}",
    tag = "keys",
    summary = "Revoke a key",
    description = "For a stolen key. If it signs, the next key signs from now on.",
    params(("kid" = String, Path)),
    responses((status = 200, description = "The key is gone.", body = Revocation<'_>)),
)]
pub(super) async fn revoke(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let admin = admin(&api.issuer, &call, Access::Change).await?;
    let Revoked { signing_kid, .. } = admin.revoke_key(&call.parameter).await?;
    let revocation = Revocation { revoked_kid: &call.parameter, signing_kid };
    Ok(reply::json(StatusCode::OK, &revocation))
}
