use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{json, text};
use super::cookie::Cookies;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Api, Call, user};
use crate::service::PasswordChange;

/// `POST /password`: replaces the password of the user who is signed in. The session of the request
/// stays; all others end.
#[utoipa::path(
    post,
    path = "/password",
    tag = "users",
    summary = "Change the password",
    description = "Ends all other sessions of the user. A wrong current password counts as a failed login.",
    request_body = ChangeBody,
    responses(
        (status = 204, description = "The new password works."),
        (
            status = 400,
            description = "`invalid_request`, `invalid_grant` if the current password is wrong, or `password_refused` if the new one breaks a rule",
            body = ErrorBody,
        ),
        (
            status = 401,
            description = "`unauthorized` without an access token, or `invalid_token`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Bearer`")),
        ),
        (
            status = 429,
            description = "`too_many_requests`: this network, or this user, tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
    security(("access_token" = [])),
)]
pub(super) async fn change(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let signed_in = user::signed_in(issuer, &call).await?;
    let ChangeBody { current_password, new_password } = json(&call)?;
    let change = PasswordChange {
        current: Zeroizing::new(text("current_password", current_password)?),
        new: Zeroizing::new(text("new_password", new_password)?),
        client: call.client,
        device: Cookies::of(issuer, &call).device(issuer, &call.headers).map(str::to_owned),
    };
    issuer.change_password(signed_in, change).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /password/reset`: sets a new password with a token that an operator or the application has
/// made. All sessions of the user end.
#[utoipa::path(
    post,
    path = "/password/reset",
    tag = "users",
    summary = "Set a new password with a token for a reset",
    description = "The token works once, within an hour. Ends all sessions of the user.",
    request_body = ResetBody,
    responses(
        (status = 204, description = "The new password works."),
        (
            status = 400,
            description = "`invalid_request`, `invalid_grant` if the token is unknown, expired or used, or `password_refused` if the new password breaks a rule",
            body = ErrorBody,
        ),
        (
            status = 429,
            description = "`too_many_requests`: this network tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn reset(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let ResetBody { token, new_password } = json(&call)?;
    let token = Zeroizing::new(text("token", token)?);
    let new = Zeroizing::new(text("new_password", new_password)?);
    api.issuer.reset_password(&token, new, call.client).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

// Each member may be any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[schema(value_type = String, required, format = Password, example = "a password of your own")]
    current_password: Option<Value>,
    #[schema(value_type = String, required, format = Password, example = "another password of your own")]
    new_password: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset)]
#[serde(deny_unknown_fields)]
struct ResetBody {
    #[schema(value_type = String, required, example = "9Zk2…")]
    token: Option<Value>,
    #[schema(value_type = String, required, format = Password, example = "another password of your own")]
    new_password: Option<Value>,
}
