//! The second factors of the user who is signed in.

use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{json, text};
use super::login::caller;
use super::passkeys::OwnPasskey;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call, user};

/// `GET /factors`: the second factors of the user who is signed in.
#[utoipa::path(
    get,
    path = "/factors",
    tag = "users",
    summary = "The user's own second factors",
    responses(
        (status = 200, description = "The second factors", body = Factors),
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
    let stored = api.issuer.own_factors(&signed_in).await?;
    let passkeys = api.issuer.own_passkeys(&signed_in).await?;
    let confirmed = stored.totp.filter(|totp| totp.confirmed_at.is_some());
    let totp = confirmed.map(|totp| Totp { created_at: totp.created_at });
    let factors = Factors {
        totp,
        recovery_codes: stored.recovery_codes,
        passkeys: passkeys.into_iter().map(OwnPasskey::from).collect(),
    };
    Ok(reply::json(StatusCode::OK, &factors))
}

/// `POST /totp`: begins to set up an authenticator app.
#[utoipa::path(
    post,
    path = "/totp",
    tag = "users",
    summary = "Begin to set up an authenticator app",
    description = "The secret is in force when its first code was sent to `/totp/confirm`, within an hour. A second call replaces it until then.",
    request_body = Nothing,
    responses(
        (status = 200, description = "The secret, shown once", body = NewTotp),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`unauthorized` without an access token, `invalid_token`, or `insufficient_user_authentication` if the user did not authenticate within 10 minutes",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 409, description = "`conflict`: the user has an authenticator app", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this user changed second factors too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn begin_totp(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    let Nothing {} = json(&call)?;
    let totp = api.issuer.begin_totp(&signed_in, call.client).await?;
    let body = NewTotp { secret: totp.secret.to_string(), uri: totp.uri.to_string() };
    Ok(reply::json(StatusCode::OK, &body))
}

/// `POST /totp/confirm`: puts the authenticator app in force by its first code.
#[utoipa::path(
    post,
    path = "/totp/confirm",
    tag = "users",
    summary = "Confirm an authenticator app by its first code",
    description = "A wrong code counts as a failed login.",
    request_body = ConfirmBody,
    responses(
        (status = 200, description = "The app is in force. Recovery codes, unless the user has some", body = Confirmed<'_>),
        (status = 400, description = "`invalid_request`: malformed, or the code is wrong", body = ErrorBody),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 409, description = "`conflict`: no secret waits for its first code", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this network, or this user, tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn confirm_totp(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let signed_in = user::signed_in(issuer, &call).await?;
    let ConfirmBody { code } = json(&call)?;
    let code = Zeroizing::new(text("code", code)?);
    let codes = issuer.confirm_totp(signed_in, code, caller(issuer, &call)).await?;
    let recovery_codes = (!codes.is_empty()).then_some(codes.as_slice());
    Ok(reply::json(StatusCode::OK, &Confirmed { recovery_codes }))
}

/// `DELETE /totp`: removes the authenticator app.
#[utoipa::path(
    delete,
    path = "/totp",
    tag = "users",
    summary = "Remove the authenticator app",
    description = "The recovery codes go too if the user has no passkey.",
    responses(
        (status = 204, description = "The user has no authenticator app."),
        (
            status = 401,
            description = "`unauthorized` without an access token, `invalid_token`, or `insufficient_user_authentication` if the user did not authenticate within 10 minutes",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
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
pub(super) async fn remove_totp(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    api.issuer.remove_totp(&signed_in, call.client).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /recovery-codes`: new recovery codes. The old ones stop working.
#[utoipa::path(
    post,
    path = "/recovery-codes",
    tag = "users",
    summary = "Replace the recovery codes",
    description = "The old ones stop working.",
    request_body = Nothing,
    responses(
        (status = 200, description = "Ten codes, shown once", body = RecoveryCodes<'_>),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`unauthorized` without an access token, `invalid_token`, or `insufficient_user_authentication` if the user did not authenticate within 10 minutes",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (status = 409, description = "`conflict`: the user has no second factor", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this user changed second factors too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn replace_codes(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let signed_in = user::signed_in(&api.issuer, &call).await?;
    let Nothing {} = json(&call)?;
    let codes = api.issuer.replace_recovery_codes(&signed_in, call.client).await?;
    Ok(reply::json(StatusCode::OK, &RecoveryCodes { recovery_codes: &codes }))
}

/// The second factors of a user. Times are seconds since 1970.
#[derive(Serialize, ToSchema)]
#[schema(as = Factors)]
struct Factors {
    /// The authenticator app, or `null`.
    totp: Option<Totp>,
    /// The recovery codes that are left.
    #[schema(maximum = 10)]
    recovery_codes: u32,
    /// Oldest first.
    passkeys: Vec<OwnPasskey>,
}

/// An authenticator app.
#[derive(Serialize, ToSchema)]
struct Totp {
    created_at: u64,
}

/// The secret of an authenticator app.
#[derive(Serialize, ToSchema)]
struct NewTotp {
    /// In base32, for people who type it.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// For a QR code.
    #[schema(example = "otpauth://totp/…")]
    uri: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConfirmedTotp)]
struct Confirmed<'a> {
    /// Each lets the user in once without the app. They are shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["K7QD-…"]))]
    recovery_codes: Option<&'a [Zeroizing<String>]>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
struct RecoveryCodes<'a> {
    /// Each lets the user in once without the second factor. They are shown once.
    #[schema(value_type = Vec<String>, example = json!(["K7QD-…"]))]
    recovery_codes: &'a [Zeroizing<String>],
}

/// An empty JSON object.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

// Any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[schema(as = TotpConfirmation)]
#[serde(deny_unknown_fields)]
struct ConfirmBody {
    /// The code that the app shows.
    #[schema(value_type = String, required, example = "123456")]
    code: Option<Value>,
}
