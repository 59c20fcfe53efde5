use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::body::{JSON, is_type, missing};
use super::reply::{ApiError, ErrorBody, Reply};
use super::token::{self, Delivery, FIRST_PARTY, Tokens};
use super::{Call, Shared, cookie};
use crate::crypto;
use crate::login::throttle::{Attempt, Counter, Reserved, Verdict};
use crate::login::user_name;
use crate::session::Session;

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
            headers(("Set-Cookie" = String, description = "With `session: cookie`: the refresh token, and the device")),
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
            description = "`too_many_requests` from this network, or for this user",
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

    // Before the attempt is counted: who finds the queue full has not tried a password.
    let queue_full = |_| {
        results.queue_full.inc();
        ApiError::unavailable("too many logins are waiting")
    };
    let place = state.hasher.admit().map_err(queue_full)?;
    let name = user_name::normalise(&username);
    // What cannot be a name is counted as it was typed.
    let account = state.counters.account(name.as_deref().unwrap_or(&username));
    let reserved = reserve(&state, &call, account).await?;

    let user = match name {
        Some(name) => state.store.user(name).await?,
        None => None,
    };
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let good = state.hasher.verify(place, &password, stored).await;
    let Some(mut user) = user.filter(|_| good) else {
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
        user_id: user.id.clone(),
        client_id: FIRST_PARTY.to_owned(),
        scope: user.scope.clone(),
        counter: 0,
        created_at: now,
        rotated_at: now,
        expires_at: state.lifetimes().expiry(now, now),
        revoked: false,
        status: None,
    };
    // The password may have been changed since it was checked.
    let open = |hash: String, draw| {
        state.store.open_session(session.clone(), hash, Some(reserved.clone()), draw)
    };
    let mut opened = open(user.password_hash.clone(), state.draw()?).await?;
    let outdated = state.hasher.is_outdated(&user.password_hash);
    // Or another login of the same user has just put the same password's hash in a new form.
    if opened.is_none()
        && outdated
        && let Some(again) = state.store.user(user.name.clone()).await?
    {
        let place = state.hasher.admit().map_err(queue_full)?;
        if state.hasher.verify(place, &password, Some(&again.password_hash)).await {
            opened = open(again.password_hash.clone(), state.draw()?).await?;
        }
        user = again;
    }
    let Some(session) = opened else {
        results.wrong.inc();
        return Err(ApiError::login_failed());
    };
    results.ok.inc();
    if state.hasher.is_outdated(&user.password_hash)
        && let Some(hash) = state.hasher.hash(&password).await
    {
        let replaced = state.store.replace_hash(user.id, user.password_hash, hash, now);
        // The login is done all the same, and the next one will do.
        replaced.await.unwrap_or_else(|e| tracing::warn!("a password's hash stays as it was: {e}"));
    }
    let mut reply = token::grant_session(&state, &session, &session.scope, delivery, now)?;
    // Only for who keeps cookies.
    if delivery == Delivery::Cookie || cookie::device(&state, &call.headers).is_some() {
        let device = state.counters.cookie(&account, crypto::random()?, now);
        cookie::set_device(&mut reply, &device);
    }
    Ok(reply)
}

/// Counts the attempt as a failure before its password is looked at, so that no number of them at
/// once is one too many. Where there were too many already, no hash is computed: that is so for
/// names that nobody has as well.
async fn reserve(state: &Shared, call: &Call, account: Counter) -> Result<Reserved, ApiError> {
    let now = state.clock.now();
    let device = cookie::device(state, &call.headers);
    let attempt = Attempt {
        account,
        network: state.counters.network(&account, call.client),
        device: device.and_then(|cookie| state.counters.device(&account, cookie, now)),
        id: crypto::random()?,
        now,
    };
    match state.store.attempt(attempt).await? {
        Verdict::Admit(reserved) => Ok(reserved),
        Verdict::Refuse(wait) => {
            state.metrics.logins.held_back.inc();
            Err(ApiError::too_many_requests(Duration::from_secs(wait)))
        }
    }
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
