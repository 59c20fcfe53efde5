//! The Admin API. [`ENDPOINTS`] lists its endpoints; each file has those of one noun. Every request has
//! the access token of a client.

#![allow(unused_qualifications, reason = "utoipa's macro qualifies the types of parameters")]

mod audit;
mod clients;
mod keys;
mod openapi;
mod query;
mod sessions;
mod users;

use hyper::Method;
use hyper::header::HeaderName;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) use self::openapi::document;
use super::body::json_or;
use super::reply::ApiError;
use super::{Call, Endpoint, Handler, LONGEST_BODY, cors, user};
use crate::crypto::sha256;
use crate::service::Issuer;
use crate::service::admin::{Access, Admin};

/// The endpoints of the Admin API.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    endpoint("/admin/v1/users", "GET, HEAD, POST", |api, call| match call.method {
        Method::POST => Box::pin(users::add(api, call)),
        _ => Box::pin(users::list(api, call)),
    }),
    // Before the path that it fits too. No sub is such a word.
    endpoint("/admin/v1/users/expire-passwords", "POST", |api, call| {
        Box::pin(users::expire_passwords(api, call))
    }),
    endpoint("/admin/v1/users/{sub}", "GET, HEAD, PATCH, DELETE", |api, call| match call.method {
        Method::PATCH => Box::pin(users::change(api, call)),
        Method::DELETE => Box::pin(users::delete(api, call)),
        _ => Box::pin(users::read(api, call)),
    }),
    endpoint("/admin/v1/users/{sub}/password", "POST", |api, call| {
        Box::pin(users::set_password(api, call))
    }),
    endpoint("/admin/v1/users/{sub}/password-reset", "POST", |api, call| {
        Box::pin(users::reset_password(api, call))
    }),
    endpoint("/admin/v1/users/{sub}/factors", "DELETE", |api, call| {
        Box::pin(users::reset_factors(api, call))
    }),
    endpoint("/admin/v1/users/{sub}/sessions", "GET, HEAD, DELETE", |api, call| {
        match call.method {
            Method::DELETE => Box::pin(sessions::end_all(api, call)),
            _ => Box::pin(sessions::list(api, call)),
        }
    }),
    endpoint("/admin/v1/sessions/{id}", "DELETE", |api, call| Box::pin(sessions::end(api, call))),
    endpoint("/admin/v1/clients", "GET, HEAD, POST", |api, call| match call.method {
        Method::POST => Box::pin(clients::add(api, call)),
        _ => Box::pin(clients::list(api, call)),
    }),
    endpoint("/admin/v1/clients/{client_id}", "GET, HEAD, PATCH", |api, call| match call.method {
        Method::PATCH => Box::pin(clients::change(api, call)),
        _ => Box::pin(clients::read(api, call)),
    }),
    endpoint("/admin/v1/clients/{client_id}/secret", "POST", |api, call| {
        Box::pin(clients::rotate_secret(api, call))
    }),
    endpoint("/admin/v1/keys", "GET, HEAD", |api, call| Box::pin(keys::list(api, call))),
    endpoint("/admin/v1/keys/plan", "GET, HEAD", |api, call| Box::pin(keys::plan(api, call))),
    endpoint("/admin/v1/keys/rotate", "POST", |api, call| Box::pin(keys::rotate(api, call))),
    endpoint("/admin/v1/keys/{kid}", "DELETE", |api, call| Box::pin(keys::revoke(api, call))),
    endpoint("/admin/v1/audit", "GET, HEAD", |api, call| Box::pin(audit::list(api, call))),
    endpoint("/admin/v1/openapi.json", "GET, HEAD", |api, call| {
        Box::pin(openapi::openapi(api, call))
    }),
];

/// The beginning of all their paths.
pub(super) const PATH: &str = "/admin/";

const fn endpoint(path: &'static str, allow: &'static str, handler: Handler) -> Endpoint {
    Endpoint { path, allow, cors: cors::Kind::None, body: LONGEST_BODY, handler }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Returns the client of a request, if it may do this.
async fn admin<'a>(issuer: &'a Issuer, call: &Call, access: Access) -> Result<Admin<'a>, ApiError> {
    Ok(issuer.admin(user::access_token(call)?, access, call.client).await?)
}

/// Returns the `Idempotency-Key` of a request, with SHA-256 of the request.
fn idempotency_key(call: &Call) -> Result<Option<(&str, [u8; 32])>, ApiError> {
    let mut values = call.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.filter(|_| values.next().is_none()).ok_or_else(|| {
        ApiError::invalid_request(
            "Idempotency-Key must be there once, with 1 to 255 visible ASCII characters",
        )
    })?;
    let request = [call.path.as_bytes(), b"\n", &call.body].concat();
    Ok(Some((key, sha256(&request))))
}

/// Reads the body as a JSON object. Unknown and repeated members are refused; a member that is `null`
/// counts as absent.
fn body<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    // Each member may be any value, so that serde's error names a member and quotes no value.
    json_or(call, serde_json::Error::to_string)
}

/// Returns a member that is a boolean, if it is there.
fn boolean(name: &str, value: Option<&Value>) -> Result<Option<bool>, ApiError> {
    let wrong = || ApiError::invalid_request(format!("{name} must be true or false"));
    value.map(|value| value.as_bool().ok_or_else(wrong)).transpose()
}

/// Refuses a change of nothing.
fn some_of<T>(changes: Vec<T>, members: &str) -> Result<Vec<T>, ApiError> {
    if changes.is_empty() {
        let description = format!("the body changes nothing; expected one or more of {members}");
        return Err(ApiError::invalid_request(description));
    }
    Ok(changes)
}
