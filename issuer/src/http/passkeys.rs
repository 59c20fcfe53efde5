use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{json, missing, optional_text, text};
use super::cookie::{Cookies, check_site};
use super::login::{caller, delivery, welcome};
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::tokens::{Delivery, Tokens};
use super::{Api, Call, user};
use crate::passkeys::Passkey;
use crate::service::{PasskeyAnswer, PasskeyOptions, PasskeyRegistration};

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
            description = "`unauthorized` without an access token, `invalid_token`, or `insufficient_user_authentication` if the user did not authenticate within 10 minutes",
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
fn options(options: PasskeyOptions) -> Reply {
    let PasskeyOptions { challenge_token, expires_in, public_key } = options;
    reply::json(StatusCode::OK, &Options { challenge_token, expires_in, public_key })
}

/// `POST /login/passkey/options`: begins a login with a passkey.
#[utoipa::path(
    post,
    path = "/login/passkey/options",
    tag = "users",
    summary = "Begin a login with a passkey",
    description = "Without `mfa_token`, for a passkey alone: the user chooses one. With it, for a passkey as the second factor; the token stays as it is. The challenge works once, within five minutes.",
    request_body = LoginOptions,
    responses(
        (status = 200, description = "The options for the browser", body = Options),
        (status = 400, description = "`invalid_request`, also if the user has no passkey", body = ErrorBody),
        (
            status = 401,
            description = "`invalid_grant`: the `mfa_token` is unknown, expired or used; log in again",
            body = ErrorBody,
        ),
        (status = 404, description = "`not_found`: passkeys are off", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this network tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn begin_login(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let LoginOptions { mfa_token } = json(&call)?;
    let mfa_token = optional_text("mfa_token", mfa_token)?.map(Zeroizing::new);
    let mfa_token = mfa_token.as_ref().map(|token| token.as_str());
    Ok(options(api.issuer.passkey_options(mfa_token, call.client).await?))
}

/// `POST /login/passkey`: opens a session for the user of a passkey. Every failure has the same answer.
#[utoipa::path(
    post,
    path = "/login/passkey",
    tag = "users",
    summary = "Open a session with a passkey alone",
    request_body = PasskeyLogin,
    responses(
        (
            status = 200,
            description = "Tokens. With `session: cookie` only the cookie has the refresh token.",
            body = Tokens<'_>,
            headers(("Set-Cookie" = String, description = "With `session: cookie`: the refresh token, and a mark of the device")),
        ),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (status = 401, description = "`invalid_grant`: the same for every failure", body = ErrorBody),
        (
            status = 403,
            description = "`access_denied`: a page of another site sent the request, or it did not come through the proxy",
            body = ErrorBody,
        ),
        (status = 404, description = "`not_found`: passkeys are off", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this network tried too often, or used wrong passkeys of the user too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn login(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let PasskeyLogin { challenge_token, credential, session } = json(&call)?;
    let answer = passkey_answer(challenge_token, credential)?;
    let (answer, delivery) =
        (answer.ok_or_else(|| missing("credential"))?, delivery(session.as_ref())?);
    if delivery == Delivery::Cookie {
        // As at /login.
        check_site(issuer, &call.headers)?;
    }
    let by_cookie = delivery == Delivery::Cookie;
    let logged_in = issuer.login_by_passkey(answer, by_cookie, caller(issuer, &call)).await?;
    Ok(welcome(&logged_in, delivery, Cookies::of(issuer, &call)))
}

/// Reads the answer of an authenticator, if the request has one.
pub(super) fn passkey_answer(
    challenge_token: Option<Value>,
    credential: Option<Value>,
) -> Result<Option<PasskeyAnswer>, ApiError> {
    match (optional_text("challenge_token", challenge_token)?, credential) {
        (None, None) => Ok(None),
        (Some(challenge_token), Some(credential)) => {
            Ok(Some(PasskeyAnswer { challenge_token, credential }))
        }
        (None, Some(_)) => Err(missing("challenge_token")),
        (Some(_), None) => Err(missing("credential")),
    }
}

/// `POST /passkeys`: registers a passkey.
#[utoipa::path(
    post,
    path = "/passkeys",
    tag = "users",
    summary = "Register a passkey",
    request_body = Registration,
    responses(
        (status = 201, description = "The user can log in with the passkey.", body = Registered),
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
        (
            status = 429,
            description = "`too_many_requests`: this user changed second factors too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
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
    let (passkey, recovery_codes) = api.issuer.add_passkey(&signed_in, registration).await?;
    let passkey = OwnPasskey::from(passkey);
    Ok(reply::json(StatusCode::CREATED, &Registered { passkey, recovery_codes }))
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
        (
            status = 429,
            description = "`too_many_requests`: this user changed second factors too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
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
    description = "The recovery codes go too if the user has no other second factor.",
    params(("id" = String, Path, description = "The credential id in base64url")),
    responses(
        (status = 204, description = "Nobody can log in with the passkey any more."),
        (
            status = 401,
            description = "`unauthorized` without an access token, `invalid_token`, or `insufficient_user_authentication` if the user did not authenticate within 10 minutes",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 404, description = "`not_found`: the user has no such passkey", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this user changed second factors too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
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
    #[schema(value_type = String, required, min_length = 1, max_length = 64, example = "My phone")]
    name: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyLoginOptions)]
#[serde(deny_unknown_fields)]
struct LoginOptions {
    /// From `mfa_required`.
    #[schema(value_type = Option<String>, nullable = false, example = "9Zk2…")]
    mfa_token: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyLogin {
    #[schema(value_type = String, required)]
    challenge_token: Option<Value>,
    /// `AuthenticationResponseJSON` of WebAuthn: the result of `toJSON()`.
    #[schema(value_type = Object, required)]
    credential: Option<Value>,
    /// The refresh token is delivered in the answer, or in a cookie that no script can read.
    #[schema(value_type = Option<Delivery>, default = "token")]
    session: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasskeyName)]
#[serde(deny_unknown_fields)]
struct NewName {
    /// 1 to 64 characters.
    #[schema(value_type = String, required, min_length = 1, max_length = 64, example = "My phone")]
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

/// A new passkey.
#[derive(Serialize, ToSchema)]
#[schema(as = NewPasskey)]
struct Registered {
    #[serde(flatten)]
    passkey: OwnPasskey,
    /// New recovery codes, if the user has none left: each lets the user in once without a second factor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["K7QD-…"]))]
    recovery_codes: Vec<Zeroizing<String>>,
}

impl From<Passkey> for OwnPasskey {
    fn from(passkey: Passkey) -> Self {
        let id = passkey.encoded_id();
        let Passkey { name, created_at, used_at, .. } = passkey;
        Self { id, name, created_at, last_used_at: used_at }
    }
}
