use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{JSON, is_type, missing};
use super::reply::{ApiError, ErrorBody, Reply};
use super::token::{self, Delivery, FIRST_PARTY, Tokens};
use super::{Call, Shared, cookie};
use crate::session::Session;
use crate::{crypto, username};

/// `POST /login`: a user's name and password for the tokens of a new session. Every way to fail
/// has the same answer, after the work of one password hash.
#[utoipa::path(
    post,
    path = "/login",
    tag = "users",
    summary = "Open a session with a user's name and password",
    request_body = Body,
    responses(
        (
            status = 200,
            description = "Tokens. With `session: cookie` the refresh token is in the cookie alone.",
            body = Tokens<'_>,
            headers(("Set-Cookie" = String, description = "With `session: cookie`")),
        ),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (status = 401, description = "`invalid_grant`, whatever was wrong", body = ErrorBody),
        (
            status = 403,
            description = "`access_denied`: the page is of another site, or the request came around the proxy",
            body = ErrorBody,
        ),
        (
            status = 429,
            description = "`too_many_requests` from this network",
            body = ErrorBody,
            headers(("Retry-After" = u64, description = "Seconds to wait")),
        ),
    ),
)]
pub(super) async fn login(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let Login { username, password, delivery } = Login::read(&call)?;
    if delivery == Delivery::Cookie {
        // Else a page of another site could log its visitor in as somebody else.
        cookie::check_site(&state, &call.headers)?;
    }
    let results = &state.metrics.logins;
    state.login_limit.check(call.client).map_err(|wait| {
        results.limited.inc();
        ApiError::too_many_requests(wait)
    })?;
    state.keys.signer().ok_or_else(ApiError::no_signing_key)?;

    let user = match username::normalise(&username) {
        Some(name) => state.store.user(name).await?,
        None => None,
    };
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let verified = state.hasher.verify(password, stored).await;
    let good = verified.map_err(|_| {
        results.queue_full.inc();
        ApiError::unavailable("too many logins are waiting")
    })?;
    let Some(user) = user.filter(|_| good) else {
        results.wrong.inc();
        return Err(ApiError::login_failed());
    };
    if user.locked {
        results.locked.inc();
        return Err(ApiError::login_failed());
    }

    let now = state.clock.now();
    let session = Session {
        id: crypto::random()?,
        user_id: user.id,
        client_id: FIRST_PARTY.to_owned(),
        scope: user.scope,
        counter: 0,
        created_at: now,
        rotated_at: now,
        expires_at: state.lifetimes().expiry(now, now),
        revoked: false,
        status: None,
    };
    // The password may have been changed since it was checked.
    let opened = state.store.open_session(session, user.password_hash, state.draw()?);
    let Some(session) = opened.await? else {
        results.wrong.inc();
        return Err(ApiError::login_failed());
    };
    results.ok.inc();
    token::grant_session(&state, &session, &session.scope, delivery, now)
}

// Any values, so that each has a message of its own.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login)]
struct Body {
    #[schema(value_type = String, required, example = "alice")]
    username: Option<Value>,
    #[schema(value_type = String, required, format = Password, example = "a password of your own")]
    password: Option<Value>,
    /// Where the refresh token goes: into the answer, or into a cookie that no script can read.
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
        if !is_type(&call.headers, JSON) {
            return Err(ApiError::unsupported_media_type(JSON));
        }
        // serde's own message could quote the password.
        let body: Body = serde_json::from_slice(&call.body)
            .map_err(|_| ApiError::invalid_request("the body is not a well-formed JSON object"))?;
        let text = |name: &str, value| match value {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(ApiError::invalid_request(format!("{name} must be a string"))),
            None => Err(missing(name)),
        };
        let delivery = match body.session.as_ref().map(Value::as_str) {
            None | Some(Some("token")) => Delivery::Body,
            Some(Some("cookie")) => Delivery::Cookie,
            _ => {
                let description = "session must be \"token\" or \"cookie\"";
                return Err(ApiError::invalid_request(description));
            }
        };
        Ok(Self {
            username: text("username", body.username)?,
            password: text("password", body.password).map(Zeroizing::new)?,
            delivery,
        })
    }
}
