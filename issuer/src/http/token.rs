use std::sync::Arc;

use serde::Deserialize;
use utoipa::ToSchema;

use super::body::missing;
use super::cookie::Cookies;
use super::form::Form;
use super::reply::{ApiError, ErrorBody, Reply};
use super::tokens::{Delivery, Tokens, tokens};
use super::{Api, Call, client};
use crate::service::{RefreshRequest, Requested};

/// The form of `/token`.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub(super) enum TokenRequest<'a> {
    /// Exchanges a refresh token for its successor and an access token.
    RefreshToken {
        /// If it is absent, the refresh token is read from the session cookie.
        #[schema(nullable = false, example = "AVbk…")]
        refresh_token: Option<&'a str>,
        /// The client of the session.
        #[schema(nullable = false, example = "client_first_party")]
        client_id: Option<&'a str>,
        /// At most the scope of the session.
        #[schema(
            nullable = false,
            pattern = r"^([\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*)?$",
            example = "read"
        )]
        scope: Option<&'a str>,
        /// Audiences of the access token (RFC 8707), instead of the default.
        #[serde(default)]
        #[schema(required = false, example = json!(["https://orders.example"]))]
        resource: Vec<&'a str>,
        /// The most seconds since the user authenticated. If it was longer ago, the refresh token is not
        /// used up.
        #[schema(nullable = false, pattern = "^[0-9]{1,9}$", example = "300")]
        max_age: Option<&'a str>,
    },
    /// Issues an access token for a client itself.
    ClientCredentials {
        /// At most the scope of the client.
        #[schema(
            nullable = false,
            pattern = r"^([\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*)?$",
            example = "read"
        )]
        scope: Option<&'a str>,
        /// Audiences of the access token (RFC 8707), instead of the default.
        #[serde(default)]
        #[schema(required = false, example = json!(["https://orders.example"]))]
        resource: Vec<&'a str>,
    },
}

/// `POST /token`: a new access token, for a session or for a client itself.
#[utoipa::path(
    post,
    path = "/token",
    tag = "OAuth",
    summary = "Refresh a session, or get an access token for a client",
    description = "RFC 6749 sections 4.4 and 6, RFC 8707. A refresh needs the refresh token or the cookie. A client \
                   authenticates by Basic, or by `client_id` and `client_secret` in the form.",
    request_body(content = TokenRequest<'_>, content_type = "application/x-www-form-urlencoded"),
    responses(
        (
            status = 200,
            description = "Tokens. The presented refresh token is used up.",
            body = Tokens<'_>,
            headers(("Set-Cookie" = String, description = "If the refresh token came in the cookie")),
        ),
        (
            status = 400,
            description = "`invalid_request`, `invalid_grant`, `invalid_scope`, `invalid_target` or `unsupported_grant_type`",
            body = ErrorBody,
        ),
        (
            status = 401,
            description = "`invalid_client`, or `insufficient_user_authentication` if the user authenticated longer ago than `max_age`",
            body = ErrorBody,
            headers(("WWW-Authenticate" = String, description = "`Basic`, or `Bearer` with `max_age` (RFC 9470)")),
        ),
        (
            status = 403,
            description = "`access_denied`: a page of another site sent the cookie, or the request did not come through the proxy",
            body = ErrorBody,
        ),
    ),
    security((), ("session" = []), ("client" = [])),
)]
pub(super) async fn token(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let issuer = &api.issuer;
    let form = Form::read(&call)?;
    let cookies = Cookies::of(issuer, &call);
    match form.parse()? {
        TokenRequest::RefreshToken { refresh_token, client_id, scope, resource, max_age } => {
            let max_age = max_age.map(seconds).transpose()?;
            let (token, delivery) = match refresh_token {
                Some(token) => (Some(token), Delivery::Body),
                None => (cookies.read(issuer, &call.headers)?, Delivery::Cookie),
            };
            let token = token.ok_or_else(|| missing("refresh_token"))?;
            let client = client::authenticated(issuer, &call, &form).await?;
            let client_id = client.as_ref().map(|client| client.id.as_str()).or(client_id);
            let requested = Requested { scope, resources: resource };
            let request =
                RefreshRequest { token, client_id, requested, max_age, client: call.client };
            let grant = issuer.refresh(request).await?;
            Ok(tokens(&grant, delivery, cookies))
        }
        TokenRequest::ClientCredentials { scope, resource } => {
            let credentials = client::credentials(&call, &form)?;
            let requested = Requested { scope, resources: resource };
            let grant = issuer.client_token(credentials, &requested).await?;
            Ok(tokens(&grant, Delivery::Body, cookies))
        }
    }
}

/// Reads `max_age`.
fn seconds(text: &str) -> Result<u64, ApiError> {
    let is_number = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number);
    seconds.ok_or_else(|| ApiError::invalid_request("max_age must be a number of seconds"))
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;
    use crate::http::body::FORM;
    use crate::service::Issuer;

    #[tokio::test]
    async fn a_refresh_token_is_not_used_up_while_no_key_may_sign() {
        let folder = tempfile::TempDir::new().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        let refresh_token = issuer.session_for_tests().await;
        let api = Api::for_tests(issuer);
        let call = || Call {
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]),
            path: "/token".to_owned(),
            query: String::new(),
            body: format!("grant_type=refresh_token&refresh_token={refresh_token}").into(),
            ..Call::for_tests()
        };

        api.issuer.keys.age();
        let refused = token(Arc::clone(&api), call()).await.unwrap_err().reply();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        api.issuer.keys.refresh(true).await.unwrap();
        let answer = token(api, call()).await.unwrap_or_else(ApiError::reply);
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
