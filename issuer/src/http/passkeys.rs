use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{json, missing, text};
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call, user};
use crate::passkeys::Passkey;
use crate::service::{PasskeyOptions, PasskeyRegistration};

/// `POST /passkeys/options`: begins the registration of a passkey.
#[utoipa::path(
    post,
    path = "/passkeys/options",
    tag = "users",
    summary = "Begin the registration of a passkey",
    description = "The challenge works once, within five minutes, for this session.",
    responses(
        (status = 200, description = "The options for the browser", body = Options),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: passkeys are off", body = ErrorBody),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn begin(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    Ok(options(api.issuer.begin_passkey(&signed_in).await?))
}

/// Returns the answer with the options of a registration or a login.
pub(super) fn options(options: PasskeyOptions) -> Reply {
    let PasskeyOptions { challenge_token, expires_in, public_key } = options;
    reply::json(StatusCode::OK, &Options { challenge_token, expires_in, public_key })
}

/// `POST /passkeys`: registers a passkey.
#[utoipa::path(
    post,
    path = "/passkeys",
    tag = "users",
    summary = "Register a passkey",
    request_body = Registration,
    responses(
        (status = 201, description = "The user can log in with the passkey.", body = OwnPasskey),
        (
            status = 400,
            description = "`invalid_request`, also if the challenge or the credential is refused",
            body = ErrorBody,
        ),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: passkeys are off", body = ErrorBody),
        (
            status = 409,
            description = "`conflict`: the passkey is registered already, or the user has 20",
            body = ErrorBody,
        ),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn add(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    let Registration { challenge_token, credential, name } = json(&call)?;
    let registration = PasskeyRegistration {
        challenge_token: text("challenge_token", challenge_token)?,
        credential: credential.ok_or_else(|| missing("credential"))?,
        name: text("name", name)?,
        client: call.client,
    };
    let passkey = api.issuer.add_passkey(&signed_in, registration).await?;
    Ok(reply::json(StatusCode::CREATED, &OwnPasskey::from(passkey)))
}

/// `PATCH /passkeys/{id}`: renames a passkey. Other users' passkeys have the same answer as unknown ones.
#[utoipa::path(
    patch,
    path = "/passkeys/{id}",
    tag = "users",
    summary = "Rename a passkey",
    params(("id" = String, Path, description = "The credential id in base64url")),
    request_body = NewName,
    responses(
        (status = 204, description = "The passkey has the name."),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: the user has no such passkey", body = ErrorBody),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn rename(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    let NewName { name } = json(&call)?;
    let name = text("name", name)?;
    api.issuer.rename_passkey(&signed_in, &call.parameter, &name, call.client).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /passkeys/{id}`: removes a passkey. Other users' passkeys have the same answer as unknown ones.
#[utoipa::path(
    delete,
    path = "/passkeys/{id}",
    tag = "users",
    summary = "Remove a passkey",
    params(("id" = String, Path, description = "The credential id in base64url")),
    responses(
        (status = 204, description = "Nobody can log in with the passkey any more."),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: the user has no such passkey", body = ErrorBody),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn remove(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    api.issuer.remove_passkey(&signed_in, &call.parameter, call.client).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

// Each member may be any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyRegistration)]
#[serde(deny_unknown_fields)]
struct Registration {
    #[schema(value_type = String, required)]
    challenge_token: Option<Value>,
    /// `RegistrationResponseJSON` of WebAuthn: the result of `toJSON()`.
    #[schema(value_type = Object, required)]
    credential: Option<Value>,
    /// 1 to 64 characters.
    #[schema(value_type = String, required, example = "My phone")]
    name: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyName)]
#[serde(deny_unknown_fields)]
struct NewName {
    /// 1 to 64 characters.
    #[schema(value_type = String, required, example = "My phone")]
    name: Option<Value>,
}

/// A challenge for an authenticator.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyOptions)]
struct Options {
    /// To be sent back with the answer of the authenticator.
    challenge_token: String,
    /// The seconds in which the answer must come.
    #[schema(example = 300)]
    expires_in: u64,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`.
    #[schema(value_type = Object)]
    public_key: Value,
}

/// A passkey of the user. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnPasskey {
    /// The credential id in base64url.
    id: String,
    name: String,
    created_at: u64,
    /// The time of the last login with it; null if there was none.
    #[schema(required)]
    last_used_at: Option<u64>,
}

impl From<Passkey> for OwnPasskey {
    fn from(passkey: Passkey) -> Self {
        let id = passkey.encoded_id();
        let Passkey { name, created_at, used_at, .. } = passkey;
        Self { id, name, created_at, last_used_at: used_at }
    }
}
