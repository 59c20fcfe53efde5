use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{json, text};
use super::cookie::{Cookies, check_site};
use super::reply::{ApiError, ErrorBody, Reply};
use super::tokens::{Delivery, Tokens, with_codes};
use super::user_agent::user_agent;
use super::{Api, Call};
use crate::service::{Caller, Issuer, LoggedIn, LoginRequest};

/// `POST /login`: opens a session. Every failure has the same answer, after the work of one password
/// hash, unless the password is right and has expired.
#[utoipa::path(
    post,
    path = "/login",
    tag = "users",
    summary = "Open a session with a user's name and password",
    request_body = Body,
    responses(
        (
            status = 200,
            description = "Tokens. With `session: cookie` only the cookie has the refresh token.",
            body = Tokens<'_>,
            headers(("Set-Cookie" = String, description = "With `session: cookie`: the refresh token, and a mark of the device")),
        ),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`invalid_grant`: the same for every failure, unless the password is right and has expired; or `mfa_required`: the password is right, and a second factor is needed",
            body = ErrorBody,
        ),
        (
            status = 403,
            description = "`access_denied`: a page of another site sent the request, or it did not come through the proxy",
            body = ErrorBody,
        ),
        (
            status = 429,
            description = "`too_many_requests`: this network, or this user, tried too often",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn login(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let Login { username, password, delivery } = Login::read(&call)?;
    if delivery == Delivery::Cookie {
        // Otherwise a page of another site could log its visitor in as somebody else.
        check_site(issuer, &call.headers)?;
    }
    let request = LoginRequest {
        user_name: username,
        password,
        by_cookie: delivery == Delivery::Cookie,
        caller: caller(issuer, &call),
    };
    let logged_in = issuer.login(request).await?;
    Ok(welcome(&logged_in, delivery, Cookies::of(issuer, &call)))
}

/// Returns the client of a request that logs in.
pub(super) fn caller(issuer: &Issuer, call: &Call) -> Caller {
    let device = Cookies::of(issuer, call).device(issuer, &call.headers);
    Caller {
        address: call.client,
        user_agent: user_agent(&call.headers),
        device: device.map(str::to_owned),
    }
}

/// Returns the answer to a login.
pub(super) fn welcome(logged_in: &LoggedIn, delivery: Delivery, cookies: &Cookies) -> Reply {
    let LoggedIn { grant, device, recovery_codes } = logged_in;
    let mut reply = with_codes(grant, delivery, cookies, recovery_codes);
    if let Some(device) = device {
        cookies.set_device(&mut reply, device);
    }
    reply
}

// Each member may be any value, so that a wrong type has a message of its own.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
struct Body {
    #[schema(value_type = String, required, example = "alice")]
    username: Option<Value>,
    #[schema(value_type = String, required, format = Password, example = "a password of your own")]
    password: Option<Value>,
    /// The refresh token is delivered in the answer, or in a cookie that no script can read.
    #[schema(value_type = Option<Delivery>, default = "token")]
    session: Option<Value>,
}

struct Login {
    username: String,
    password: Zeroizing<String>,
    delivery: Delivery,
}

impl Login {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let body: Body = json(call)?;
        let delivery = delivery(body.session.as_ref())?;
        Ok(Self {
            username: text("username", body.username)?,
            password: text("password", body.password).map(Zeroizing::new)?,
            delivery,
        })
    }
}

/// Reads the member `session`.
pub(super) fn delivery(session: Option<&Value>) -> Result<Delivery, ApiError> {
    match session.map(Value::as_str) {
        None | Some(Some("token")) => Ok(Delivery::Body),
        Some(Some("cookie")) => Ok(Delivery::Cookie),
        _ => Err(ApiError::invalid_request("session must be \"token\" or \"cookie\"")),
    }
}
