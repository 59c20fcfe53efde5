use hyper::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::body::Form;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::revoke::TokenForm;
use super::{Call, Shared, client};
use crate::session::{RefreshToken, Session, SessionId};

/// `POST /introspect` (RFC 7662): what a token is worth at this moment, to clients that
/// authenticate. Of a token that is worth nothing nobody learns more than that.
#[utoipa::path(
    post,
    path = "/introspect",
    tag = "OAuth",
    summary = "What a token is worth at this moment",
    description = "RFC 7662. The client authenticates by Basic, or by `client_id` and `client_secret` in the form.",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it says, or `active: false` alone", body = Introspection),
        (status = 400, description = "`invalid_request`", body = ErrorBody),
        (
            status = 401,
            description = "`invalid_client`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Basic`")),
        ),
    ),
    security(("client" = [])),
)]
pub(super) async fn introspect(state: Shared, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    client::authenticate(&state, &call, &form).await?;
    let token = form.require("token")?;
    let found = match RefreshToken::decode(token, &state.refresh_key) {
        Some(token) => refresh_token(&state, token).await?,
        None => access_token(&state, token).await?,
    };
    Ok(reply::json(StatusCode::OK, &found.unwrap_or_else(|| json!({ "active": false }))))
}

/// What `/introspect` answers; of an access token all of its claims.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the claims of a token come as they are")]
struct Introspection {
    active: bool,
    #[schema(nullable = false, example = "read write")]
    scope: Option<String>,
    #[schema(nullable = false, example = "client_first_party")]
    client_id: Option<String>,
    #[schema(nullable = false)]
    token_type: Option<String>,
    /// Seconds since 1970.
    #[schema(nullable = false)]
    exp: Option<u64>,
    /// Seconds since 1970.
    #[schema(nullable = false)]
    iat: Option<u64>,
    #[schema(nullable = false)]
    sub: Option<String>,
    #[schema(nullable = false)]
    aud: Option<String>,
    #[schema(nullable = false)]
    iss: Option<String>,
    #[schema(nullable = false)]
    jti: Option<String>,
    #[schema(nullable = false)]
    sid: Option<String>,
}

async fn refresh_token(state: &Shared, token: RefreshToken) -> Result<Option<Value>, ApiError> {
    let session = live_session(state, token.session).await?;
    Ok(session.filter(|session| session.counter == token.counter).map(|session| {
        json!({
            "active": true,
            "scope": session.scope,
            "client_id": session.client_id,
            "sub": session.user_id,
            "iss": state.issuer,
            "iat": session.rotated_at,
            "exp": session.expires_at,
        })
    }))
}

async fn access_token(state: &Shared, token: &str) -> Result<Option<Value>, ApiError> {
    let Some(mut claims) = live_access_token(state, token) else { return Ok(None) };
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let alive = match text("sid") {
        Some(sid) => match Session::parse_sid(sid) {
            Some(id) => live_session(state, id).await?.is_some(),
            None => false,
        },
        None => {
            let client = state.store.client(text("client_id").unwrap_or_default().to_owned());
            client.await?.is_some_and(|client| !client.locked)
        }
    };
    claims.insert("active".to_owned(), true.into());
    claims.insert("token_type".to_owned(), "Bearer".into());
    Ok(alive.then_some(Value::Object(claims)))
}

/// The claims of an access token of this issuer that has not expired; its session may have ended.
pub(super) fn live_access_token(state: &Shared, token: &str) -> Option<Map<String, Value>> {
    let Some(Value::Object(claims)) = state.keys.open_access_token(token) else { return None };
    let ours = claims.get("iss").and_then(Value::as_str) == Some(state.issuer.as_str());
    let exp = claims.get("exp").and_then(Value::as_u64);
    (ours && exp.is_some_and(|at| state.clock.now() < at)).then_some(claims)
}

async fn live_session(state: &Shared, id: SessionId) -> Result<Option<Session>, ApiError> {
    let session = state.store.session(id).await?;
    let now = state.clock.now();
    Ok(session.filter(|session| !session.revoked && now < session.expires_at))
}
