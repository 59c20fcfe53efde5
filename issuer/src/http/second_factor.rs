//! The steps of a login after the password, and the step-up of a session.

use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{json, missing, optional_text, text};
use super::cookie::{Cookies, check_site};
use super::login::{caller, welcome};
use super::passkeys::passkey_answer;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::tokens::{Delivery, Tokens, tokens};
use super::{Api, Call};
use crate::service::Given;

/// `POST /login/second-factor`: completes a login by a second factor.
#[utoipa::path(
    post,
    path = "/login/second-factor",
    tag = "users",
    summary = "Complete a login by a second factor",
    description = "Each guess counts as a failed login. The tokens are delivered as `/login` was asked to.",
    request_body = SecondFactorBody,
    responses(
        (
            status = 200,
            description = "Tokens. After `/login/again` without a refresh token: the client has it.",
            body = Tokens<'_>,
            headers(("Set-Cookie" = String, description = "With `session: cookie` at `/login`: the refresh token, and a mark of the device")),
        ),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`invalid_grant`: with `mfa_token`, the second factor is wrong, and the answer has the token for another try; without it, log in again",
            body = ErrorBody,
        ),
        (
            status = 403,
            description = "`access_denied`: a page of another site sent the request, or it did not come through the proxy",
            body = ErrorBody,
        ),
        (status = 404, description = "`not_found`: passkeys are off", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this network, or this user, tried too often. The token still works.",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn complete(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let body: SecondFactorBody = json(&call)?;
    let SecondFactorBody { mfa_token, code, recovery_code, challenge_token, credential } = body;
    let mfa_token = Zeroizing::new(text("mfa_token", mfa_token)?);
    let code = optional_text("code", code)?.map(Zeroizing::new);
    let recovery_code = optional_text("recovery_code", recovery_code)?.map(Zeroizing::new);
    let given = match (code, recovery_code, passkey_answer(challenge_token, credential)?) {
        (Some(code), None, None) => Given::Code(code),
        (None, Some(code), None) => Given::RecoveryCode(code),
        (None, None, Some(answer)) => Given::Passkey(answer),
        _ => {
            let description =
                "expected either code or recovery_code, or credential with challenge_token";
            return Err(ApiError::invalid_request(description));
        }
    };
    let login = issuer.pending_login(&mfa_token, call.client).await?;
    let delivery = if login.by_cookie() { Delivery::Cookie } else { Delivery::Body };
    if delivery == Delivery::Cookie {
        // As at /login.
        check_site(issuer, &call.headers)?;
    }
    let logged_in = issuer.second_step(login, given, caller(issuer, &call)).await?;
    Ok(welcome(&logged_in, delivery, Cookies::of(issuer, &call)))
}

/// `POST /login/totp`: begins to set up an authenticator app at a login that needs one.
#[utoipa::path(
    post,
    path = "/login/totp",
    tag = "users",
    summary = "Set up an authenticator app at a login",
    description = "If `/login` answers `mfa_required` with the method `totp_enrolment`. The first code of the app at `/login/second-factor` completes the login. The token of the login stays as it is.",
    request_body = EnrolBody,
    responses(
        (status = 200, description = "The secret of the app, shown once", body = EnrolledTotp),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (status = 401, description = "`invalid_grant`: the token is unknown, expired or used; log in again", body = ErrorBody),
        (status = 409, description = "`conflict`: the user has an authenticator app by now", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this network tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn enrol(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let EnrolBody { mfa_token } = json(&call)?;
    let mfa_token = Zeroizing::new(text("mfa_token", mfa_token)?);
    let login = api.issuer.pending_login(&mfa_token, call.client).await?;
    let totp = api.issuer.enrol(&login, call.client).await?;
    let body = EnrolledTotp {
        secret: totp.secret.to_string(),
        uri: totp.uri.to_string(),
        mfa_token: mfa_token.to_string(),
        expires_in: login.expires_in(),
    };
    Ok(reply::json(StatusCode::OK, &body))
}

/// `POST /login/again`: the user of a session authenticates again.
#[utoipa::path(
    post,
    path = "/login/again",
    tag = "users",
    summary = "Authenticate again in a session",
    description = "Makes the authentication of the session new (RFC 9470). The session and its refresh token stay as they are.",
    request_body = AgainBody,
    responses(
        (status = 200, description = "An access token with the new `auth_time`", body = Tokens<'_>),
        (status = 400, description = "`invalid_request`, or `invalid_grant` if the refresh token is invalid or was replaced", body = ErrorBody),
        (
            status = 401,
            description = "`invalid_grant`: the password is wrong, or has expired; or `mfa_required`: it is right, and a second factor is needed",
            body = ErrorBody,
        ),
        (
            status = 403,
            description = "`access_denied`: a page of another site sent the cookie, or the request did not come through the proxy",
            body = ErrorBody,
        ),
        (status = 404, description = "`not_found`: passkeys are off", body = ErrorBody),
        (
            status = 429,
            description = "`too_many_requests`: this network, or this user, tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
    security((), ("session" = [])),
)]
pub(super) async fn again(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let AgainBody { refresh_token, password, challenge_token, credential } = json(&call)?;
    let cookies = Cookies::of(issuer, &call);
    let given = optional_text("refresh_token", refresh_token)?.map(Zeroizing::new);
    let token = match &given {
        Some(token) => Some(token.as_str()),
        None => cookies.read(issuer, &call.headers)?,
    };
    let token = token.ok_or_else(|| missing("refresh_token"))?;
    let (password, caller) = (optional_text("password", password)?, caller(issuer, &call));
    let grant = match (password.map(Zeroizing::new), passkey_answer(challenge_token, credential)?) {
        (Some(password), None) => issuer.authenticate_again(token, password, caller).await?,
        (None, Some(answer)) => issuer.authenticate_again_by_passkey(token, answer, caller).await?,
        (None, None) => return Err(missing("password")),
        _ => {
            let description = "expected either password, or credential with challenge_token";
            return Err(ApiError::invalid_request(description));
        }
    };
    Ok(tokens(&grant, Delivery::Body, cookies))
}

// Each member may be any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[schema(as = SecondFactor)]
#[serde(deny_unknown_fields)]
struct SecondFactorBody {
    /// From `mfa_required`, or the answer to the last wrong code.
    #[schema(value_type = String, required, example = "9Zk2…")]
    mfa_token: Option<Value>,
    /// The code that the authenticator app shows. Either this, or `recovery_code`, or `credential`.
    #[schema(value_type = Option<String>, nullable = false, example = "123456")]
    code: Option<Value>,
    /// Case, spaces and hyphens do not matter.
    #[schema(value_type = Option<String>, nullable = false, example = "K7QD-…")]
    recovery_code: Option<Value>,
    /// From `/login/passkey/options` with this `mfa_token`. With `credential`.
    #[schema(value_type = Option<String>, nullable = false)]
    challenge_token: Option<Value>,
    /// `AuthenticationResponseJSON` of WebAuthn: the result of `toJSON()`.
    #[schema(value_type = Option<Object>, nullable = false)]
    credential: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = TotpAtLogin)]
#[serde(deny_unknown_fields)]
struct EnrolBody {
    #[schema(value_type = String, required, example = "9Zk2…")]
    mfa_token: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LoginAgain)]
#[serde(deny_unknown_fields)]
struct AgainBody {
    /// If it is absent, the refresh token is read from the session cookie.
    #[schema(value_type = Option<String>, nullable = false, example = "AVbk…")]
    refresh_token: Option<Value>,
    /// Either this or `credential`.
    #[schema(value_type = Option<String>, nullable = false, format = Password, example = "a password of your own")]
    password: Option<Value>,
    /// From `/login/passkey/options`. With `credential`.
    #[schema(value_type = Option<String>, nullable = false)]
    challenge_token: Option<Value>,
    /// `AuthenticationResponseJSON` of WebAuthn: the result of `toJSON()`.
    #[schema(value_type = Option<Object>, nullable = false)]
    credential: Option<Value>,
}

/// The secret of an authenticator app that a login sets up.
#[derive(Serialize, ToSchema)]
struct EnrolledTotp {
    /// In base32, for people who type it.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// For a QR code.
    #[schema(example = "otpauth://totp/…")]
    uri: String,
    #[schema(example = "9Zk2…")]
    mfa_token: String,
    /// The seconds until the login must be complete.
    #[schema(example = 300)]
    expires_in: u64,
}
