use std::sync::Arc;

use countersign_claims::{Audience, Claims, NumericDate, Status};
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::{Array, Object, OneOfBuilder, Schema, Type};

use super::form::Form;
use super::reply::{self, ApiError, ErrorBody, Reply};
use super::token_form::TokenForm;
use super::{Api, Call, client};
use crate::service;

/// `POST /introspect` (RFC 7662): tells an authenticated client the state of a token. The answer for an
/// inactive token says nothing else.
#[utoipa::path(
    post,
    path = "/introspect",
    tag = "OAuth",
    summary = "The state of a token at this moment",
    description = "RFC 7662. The client authenticates by Basic, or by `client_id` and `client_secret` in the form.",
    request_body(content = TokenForm<'_>, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The claims of an active token, or `active: false` alone", body = Introspection),
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
pub(super) async fn introspect(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    let form = Form::read(&call)?;
    api.issuer.authenticate_client(client::credentials(&call, &form)?).await?;
    let TokenForm { token } = form.parse()?;
    let found = api.issuer.introspect(token).await?;
    Ok(reply::json(StatusCode::OK, &Introspection::from(found)))
}

/// The answer of `/introspect`; for an access token with all of its claims.
#[derive(Default, Serialize, ToSchema)]
struct Introspection {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "read write")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "client_first_party")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, nullable = false)]
    exp: Option<NumericDate>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, nullable = false)]
    iat: Option<NumericDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = one_or_many, required = false)]
    aud: Option<Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sid: Option<String>,
    /// The status index of the token's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    status: Option<Status>,
    /// Custom claims, of the user or of the client.
    #[serde(flatten)]
    #[schema(value_type = HashMap<String, Value>)]
    own: Map<String, Value>,
}

/// Returns the schema of [`Audience`].
fn one_or_many() -> Schema {
    let text = Object::with_type(Type::String);
    OneOfBuilder::new().item(text.clone()).item(Array::new(text)).into()
}

impl From<Option<service::Introspection>> for Introspection {
    fn from(found: Option<service::Introspection>) -> Self {
        let (claims, token_type, own) = match found {
            None => return Self::default(),
            Some(service::Introspection::AccessToken(read)) => {
                (read.claims, Some("Bearer"), read.own)
            }
            Some(service::Introspection::RefreshToken(claims)) => (claims, None, Map::new()),
        };
        let Claims { iss, sub, aud, client_id, scope, iat, exp, jti, sid, status, nbf: _ } = claims;
        Self {
            active: true,
            token_type,
            scope,
            client_id,
            exp,
            iat,
            sub,
            aud,
            iss,
            jti,
            sid,
            status,
            own,
        }
    }
}
