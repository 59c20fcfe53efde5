use countersign_claims::scope;
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Form, missing};
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::{Call, Shared, client, cookie};
use crate::service::Access;
use crate::session::{Refresh, RefreshToken, Session, Verdict};

/// The client of `/login`. Client ids have a prefix, so that none equals a `sub` (RFC 9068 §5).
pub(super) const FIRST_PARTY: &str = "client_first_party";

/// How the client gets its refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(as = Session)]
pub(super) enum Delivery {
    #[schema(rename = "token")]
    Body,
    #[schema(rename = "cookie")]
    Cookie,
}

/// What is answered to whom may have it (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens<'a> {
    /// A JWT (RFC 9068).
    #[schema(example = "eyJ0eXAi…")]
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'a str,
    /// Seconds.
    #[schema(example = 900)]
    expires_in: u64,
    /// Works once: each refresh answers the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "AVbk…")]
    refresh_token: Option<&'a str>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 604_800)]
    refresh_expires_in: Option<u64>,
    #[schema(example = "read write")]
    scope: &'a str,
}

/// The form of `/token`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is read by name")]
enum TokenRequest {
    Refresh(RefreshRequest),
    ClientCredentials(ClientCredentialsRequest),
}

/// A refresh token for the next one and an access token.
#[derive(Serialize, ToSchema)]
struct RefreshRequest {
    grant_type: RefreshGrant,
    /// Without it the session cookie is taken.
    #[schema(nullable = false, example = "AVbk…")]
    refresh_token: Option<String>,
    /// Not more than the session has.
    #[schema(
        nullable = false,
        pattern = r"^([\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*)?$",
        example = "read"
    )]
    scope: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is read by name")]
enum RefreshGrant {
    RefreshToken,
}

/// An access token for a client itself.
#[derive(Serialize, ToSchema)]
struct ClientCredentialsRequest {
    grant_type: ClientCredentialsGrant,
    /// Not more than the client has.
    #[schema(
        nullable = false,
        pattern = r"^([\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*)?$",
        example = "read"
    )]
    scope: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is read by name")]
enum ClientCredentialsGrant {
    ClientCredentials,
}

/// `POST /token`.
#[utoipa::path(
    post,
    path = "/token",
    tag = "OAuth",
    summary = "Refresh a session, or get an access token for a client",
    description = "RFC 6749 sections 4.4 and 6. A refresh takes the refresh token or the cookie; a client \
                   authenticates by Basic, or by `client_id` and `client_secret` in the form.",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (
            status = 200,
            description = "Tokens. The refresh token that was presented is spent.",
            body = Tokens<'_>,
            headers(("Set-Cookie" = String, description = "If the refresh token came in the cookie")),
        ),
        (
            status = 400,
            description = "`invalid_request`, `invalid_grant`, `invalid_scope` or `unsupported_grant_type`",
            body = ErrorBody,
        ),
        (
            status = 401,
            description = "`invalid_client`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Basic`")),
        ),
        (
            status = 403,
            description = "`access_denied`: another site's page sent the cookie, or the request came around the proxy",
            body = ErrorBody,
        ),
    ),
    security((), ("session" = []), ("client" = [])),
)]
pub(super) async fn token(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    match form.require("grant_type")? {
        "refresh_token" => refresh(&state, &call, &form).await,
        "client_credentials" => client_credentials(&state, &call, &form).await,
        _ => Err(ApiError::bad_request(
            "unsupported_grant_type",
            "grant_type must be refresh_token or client_credentials",
        )),
    }
}

/// RFC 6749 §4.4: an access token for the client itself, which is then its `sub` (RFC 9068 §2.2).
/// There is no refresh token: the client can come again.
async fn client_credentials(state: &Shared, call: &Call, form: &Form) -> Result<Reply, ApiError> {
    let client = client::authenticate(state, call, form).await?;
    let scope = wanted_scope(form)?.unwrap_or(&client.scope);
    if !scope::tokens(scope).all(|one| scope::contains(&client.scope, one)) {
        return Err(ApiError::bad_request(
            "invalid_scope",
            "scope asks for more than the client was given",
        ));
    }
    let access = Access { sub: &client.id, client_id: &client.id, sid: None, status: None, scope };
    grant(state, access, None, state.clock.now())
}

/// RFC 6749 §6: a refresh token for its successor and a new access token.
async fn refresh(state: &Shared, call: &Call, form: &Form) -> Result<Reply, ApiError> {
    let (text, delivery) = presented(state, call, form)?;
    let results = &state.metrics.refreshes;
    let refused = || {
        results.refused.inc();
        ApiError::invalid_refresh_token()
    };
    if form.get("client_id").is_some_and(|id| id != FIRST_PARTY) {
        return Err(refused());
    }
    let wanted = wanted_scope(form)?;
    let token = RefreshToken::decode(text, &state.refresh_key).ok_or_else(refused)?;
    // Before the token is spent: a client that comes back after the grace would lose its session.
    state.keys.signer().ok_or_else(ApiError::no_signing_key)?;
    let now = state.clock.now();
    let lifetimes = state.lifetimes();
    let (scope, draw) = (wanted.map(Into::into), state.draw()?);
    let refresh = Refresh { token, scope, now, lifetimes, draw };
    let verdict = state.store.refresh(refresh).await?;
    match &verdict {
        Verdict::Rotate(_) => &results.rotated,
        Verdict::Repeat(_) => &results.repeated,
        Verdict::Reuse => &results.reused,
        Verdict::Refuse => &results.refused,
        Verdict::ScopeTooWide => &results.scope_too_wide,
    }
    .inc();
    match verdict {
        Verdict::Rotate(session) | Verdict::Repeat(session) => {
            let scope = wanted.unwrap_or(&session.scope);
            grant_session(state, &session, scope, delivery, now)
        }
        Verdict::Reuse => {
            tracing::warn!("a replaced refresh token was used; its session is ended");
            Err(ApiError::invalid_refresh_token())
        }
        Verdict::Refuse => Err(ApiError::invalid_refresh_token()),
        Verdict::ScopeTooWide => Err(ApiError::bad_request(
            "invalid_scope",
            "scope asks for more than the session was granted",
        )),
    }
}

/// The refresh token in the form or, without one, in the cookie.
pub(super) fn presented<'a>(
    state: &Shared,
    call: &'a Call,
    form: &'a Form,
) -> Result<(&'a str, Delivery), ApiError> {
    if let Some(token) = form.get("refresh_token") {
        return Ok((token, Delivery::Body));
    }
    let token = cookie::read(state, &call.headers)?;
    token.map(|token| (token, Delivery::Cookie)).ok_or_else(|| missing("refresh_token"))
}

/// The scope that the form asks for, if it does.
fn wanted_scope(form: &Form) -> Result<Option<&str>, ApiError> {
    let wanted = form.get("scope");
    if wanted.is_some_and(|wanted| !scope::is_well_formed(wanted)) {
        return Err(ApiError::bad_request("invalid_scope", "scope is malformed"));
    }
    Ok(wanted)
}

/// The session's current refresh token, and a new access token with that scope.
pub(super) fn grant_session(
    state: &Shared,
    session: &Session,
    scope: &str,
    delivery: Delivery,
    now: u64,
) -> Result<Reply, ApiError> {
    let access = Access {
        sub: &session.user_id,
        client_id: &session.client_id,
        sid: Some(session.sid()),
        status: session.status,
        scope,
    };
    let token = RefreshToken { session: session.id, counter: session.counter };
    let token = token.encode(&state.refresh_key);
    let expires_in = session.expires_at.saturating_sub(now);
    let mut reply = grant(state, access, Some((&token, delivery, expires_in)), now)?;
    if delivery == Delivery::Cookie {
        cookie::set(&mut reply, &token, expires_in);
    }
    Ok(reply)
}

/// The answer of `/login` and `/token` (RFC 6749 §5.1).
fn grant(
    state: &Shared,
    access: Access<'_>,
    refresh: Option<(&str, Delivery, u64)>,
    now: u64,
) -> Result<Reply, ApiError> {
    let scope = access.scope;
    let access_token = state.access_token(access, now).ok_or_else(ApiError::no_signing_key)??;
    let in_body = |(token, delivery, _)| (delivery == Delivery::Body).then_some(token);
    let body = Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: state.config.access_ttl.as_secs(),
        refresh_token: refresh.and_then(in_body),
        refresh_expires_in: refresh.map(|(_, _, expires_in)| expires_in),
        scope,
    };
    Ok(reply::json(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;
    use crate::http::body::FORM;
    use crate::users::User;
    use crate::{Clock, Config, Limits, State};

    #[tokio::test]
    async fn a_refresh_spends_nothing_while_no_key_may_sign() {
        let folder = tempfile::TempDir::new().unwrap();
        let config = Config {
            database: format!("sqlite://{}", folder.path().join("x.db").display()),
            refresh_grace: std::time::Duration::ZERO,
            ..Config::default()
        };
        let (address, clock) = (config.listen, Clock::new(|| 1_800_000_000));
        let State(state) = State::open(config, address, Limits::default(), clock).await.unwrap();
        let user = User {
            id: "user_x".to_owned(),
            name: "demo".to_owned(),
            scope: String::new(),
            password_hash: "hash".to_owned(),
            created_at: 0,
            locked: false,
        };
        assert!(state.store.add_user(user).await.unwrap());
        let session = Session {
            id: [7; 16],
            user_id: "user_x".to_owned(),
            client_id: FIRST_PARTY.to_owned(),
            scope: String::new(),
            counter: 0,
            created_at: 1_800_000_000,
            rotated_at: 1_800_000_000,
            expires_at: 1_800_000_900,
            revoked: false,
            status: None,
        };
        let opened = state.store.open_session(session, "hash".to_owned(), None, None);
        assert!(opened.await.unwrap().is_some());
        let refresh_token =
            RefreshToken { session: [7; 16], counter: 0 }.encode(&state.refresh_key);
        let call = || Call {
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
            client: [127, 0, 0, 1].into(),
            path: "/token".to_owned(),
            body: format!("grant_type=refresh_token&refresh_token={refresh_token}").into(),
        };

        state.keys.age();
        let refused = token(state.clone(), call()).await.unwrap_err().reply();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        state.keys.refresh(true).await.unwrap();
        let answer = token(state.clone(), call()).await.unwrap_or_else(ApiError::reply);
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
