//! The OpenAPI document: the descriptions beside the handlers, and the answers that all endpoints
//! share.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityScheme,
};
use utoipa::openapi::{
    Components, Content, Header, HeaderBuilder, Object, OpenApi, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema, Server, Type,
};
use utoipa::{Modify, OpenApi as _};

use super::reply::{ApiError, ErrorBody, Reply};
use super::{
    Api, BODY, Call, ENDPOINTS, admin, cookie, document, endpoint_at, factors, health, introspect,
    login, logout, passkeys, password, revoke, second_factor, sessions, status, token, well_known,
};
use crate::crypto::sha256;

/// The seconds that the document may be cached. It changes only with the version of the issuer.
const MAX_AGE: u64 = 3600;

/// `GET /openapi.json`: this document, for generators of clients and tests.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "documents",
    summary = "This document",
    params(("If-None-Match" = Option<String>, Header, nullable = false, description = "The `ETag` of the copy that the client has")),
    responses(
        (
            status = 200,
            description = "OpenAPI",
            body = Object,
            headers(("ETag" = String, description = "Strong"), ("Cache-Control" = String)),
        ),
        (
            status = 304,
            description = "The copy of the client is current.",
            headers(("ETag" = String), ("Cache-Control" = String)),
        ),
    ),
)]
pub(super) async fn openapi(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    Ok(api.openapi.answer(&call.headers))
}

/// Returns the document for the issuer with this URL.
pub(super) fn document(issuer: &str) -> Document {
    Document::new(Endpoints::openapi(), issuer)
}

/// An OpenAPI document of one issuer.
pub(super) struct Document {
    json: Bytes,
    /// Its strong entity tag, quotes included.
    etag: String,
}

impl Document {
    pub(super) fn new(mut document: OpenApi, issuer: &str) -> Self {
        document.servers = Some(vec![Server::new(issuer.trim_end_matches('/'))]);
        let json = serde_json::to_vec(&document).unwrap_or_default();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(&json)));
        Self { json: json.into(), etag }
    }

    pub(super) fn answer(&self, headers: &HeaderMap) -> Reply {
        document::answer(headers, "application/json", &self.json, &self.etag, MAX_AGE)
    }
}

/// Every endpoint is listed here and in [`super::ENDPOINTS`].
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Countersign issuer",
        description = "Logs users in and gives them, and programs, short-lived RS256 access tokens.",
    ),
    paths(
        login::login,
        second_factor::complete,
        second_factor::enrol,
        second_factor::again,
        token::token,
        logout::logout,
        revoke::revoke,
        introspect::introspect,
        password::change,
        password::reset,
        passkeys::begin_login,
        passkeys::login,
        passkeys::begin,
        passkeys::add,
        passkeys::rename,
        passkeys::remove,
        factors::list,
        factors::begin_totp,
        factors::confirm_totp,
        factors::remove_totp,
        factors::replace_codes,
        sessions::list,
        sessions::end,
        well_known::jwks,
        well_known::metadata,
        well_known::openid_configuration,
        status::status,
        openapi,
        health::live,
        health::ready,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Security, &Forms, &Common),
)]
struct Endpoints;

/// The ways to authenticate.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Components::new);
        let client = Http::new(HttpAuthScheme::Basic);
        components.add_security_scheme("client", SecurityScheme::Http(client));
        let over_http = format!("Over http on loopback its name is `{}`.", cookie::PLAIN_NAME);
        let session = ApiKey::Cookie(ApiKeyValue::with_description(cookie::NAME, &over_http));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let of_a_session = "An access token of a session, which has not ended";
        let bearer = bearer.description(Some(of_a_session)).build();
        components.add_security_scheme("access_token", SecurityScheme::Http(bearer));
    }
}

/// The schemas of forms.
const FORMS: [&str; 3] = ["TokenRequest", "TokenForm", "LogoutForm"];

/// Unknown parameters of a form are ignored, but none may be there twice (RFC 6749 §3.2): each is
/// one text.
struct Forms;

impl Modify for Forms {
    fn modify(&self, document: &mut OpenApi) {
        let Some(components) = &mut document.components else { return };
        for name in FORMS {
            match components.schemas.get_mut(name) {
                Some(RefOr::T(Schema::OneOf(forms))) => forms.items.iter_mut().for_each(text_alone),
                Some(form) => text_alone(form),
                None => {}
            }
        }
    }
}

fn text_alone(form: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(form)) = form {
        let text = RefOr::T(Schema::Object(Object::with_type(Type::String)));
        form.additional_properties = Some(Box::new(text.into()));
    }
}

/// Adds the answers that all endpoints share, also those of the Admin API.
pub(super) struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                if !path.starts_with("/healthz/") {
                    let around = "`access_denied`: the request did not come through the proxy";
                    add(operation, StatusCode::FORBIDDEN, refusal(around));
                }
                if let Some(body) = &mut operation.request_body {
                    // The session cookie is enough for a logout.
                    if let RefOr::T(body) = body
                        && path == "/logout"
                    {
                        body.required = Some(Required::False);
                    }
                    let wrong = "`unsupported_media_type` of the body";
                    add(operation, StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal(wrong));
                }
                let slow = "`request_timeout`: the body did not arrive in time";
                add(operation, StatusCode::REQUEST_TIMEOUT, refusal(slow));
                let found = endpoint_at(&[ENDPOINTS, admin::ENDPOINTS], "", path);
                let limit = found.map_or(BODY, |(endpoint, _)| endpoint.body);
                let long = format!("`content_too_large`: the body is over {} KiB", limit / 1024);
                add(operation, StatusCode::PAYLOAD_TOO_LARGE, refusal(&long));
                let failed = "`server_error`: the issuer failed";
                add(operation, StatusCode::INTERNAL_SERVER_ERROR, refusal(failed));
                let mut away = refusal("`temporarily_unavailable`: try again later");
                let seconds = header_of(Type::Integer, "Seconds to wait");
                away.headers.insert("Retry-After".to_owned(), seconds.into());
                add(operation, StatusCode::SERVICE_UNAVAILABLE, away);
                for response in operation.responses.responses.values_mut() {
                    if let RefOr::T(response) = response {
                        let id = header_of(Type::String, "As in the issuer's log");
                        response.headers.insert("X-Request-Id".to_owned(), id.into());
                    }
                }
            }
        }
    }
}

/// Returns the operations of a path.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Adds the answer, unless the endpoint describes that status itself.
pub(super) fn add(operation: &mut Operation, status: StatusCode, response: Response) {
    let responses = &mut operation.responses.responses;
    responses.entry(status.as_str().to_owned()).or_insert(RefOr::T(response));
}

pub(super) fn header_of(kind: Type, description: &str) -> Header {
    let schema = Object::with_type(kind);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

pub(super) fn refusal(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Error")));
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::Endpoint;

    #[test]
    fn the_document_has_every_endpoint_with_its_methods_and_no_other() {
        check_endpoints(&Endpoints::openapi(), ENDPOINTS);
    }

    pub(in crate::http) fn check_endpoints(document: &OpenApi, endpoints: &[Endpoint]) {
        let mut documented = BTreeSet::new();
        for (path, item) in &document.paths.paths {
            let item = serde_json::to_value(item).unwrap();
            for method in item.as_object().unwrap().keys() {
                documented.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let mut served = BTreeSet::new();
        for endpoint in endpoints {
            // HEAD is documented with GET.
            for method in endpoint.allow.split(", ").filter(|method| *method != "HEAD") {
                served.insert(format!("{method} {}", endpoint.path));
            }
        }
        assert_eq!(documented, served);
    }

    #[test]
    fn a_form_has_texts_alone() {
        let document = serde_json::to_value(Endpoints::openapi()).unwrap();
        let schema = |reference: &serde_json::Value| {
            let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#').to_owned();
            document.pointer(&pointer).unwrap().clone()
        };
        let mut forms = 0;
        for item in document["paths"].as_object().unwrap().values() {
            let form = &item["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
            let Some(reference) = form.get("schema") else { continue };
            let one = schema(reference);
            let variants = one.get("oneOf").and_then(|all| all.as_array().cloned());
            for variant in variants.unwrap_or_else(|| vec![one]) {
                assert_eq!(variant["additionalProperties"]["type"], "string", "{variant}");
                forms += 1;
            }
        }
        assert_eq!(forms, 5);
    }

    #[test]
    fn every_refusal_has_the_one_shape_and_says_when_to_come_back() {
        assert!(check_refusals(&Endpoints::openapi()) > 40);
    }

    /// Returns the number of refusals.
    pub(in crate::http) fn check_refusals(document: &OpenApi) -> usize {
        let document = serde_json::to_value(document).unwrap();
        let mut refusals = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    if status.as_str() < "400" {
                        continue;
                    }
                    refusals += 1;
                    let shape = &response["content"]["application/json"]["schema"]["$ref"];
                    assert_eq!(shape, "#/components/schemas/Error", "{path} {status}");
                    let waits = response["headers"].get("Retry-After").is_some();
                    assert_eq!(waits, ["429", "503"].contains(&status.as_str()), "{path} {status}");
                    let asks = response["headers"].get("WWW-Authenticate").is_some();
                    let description = response["description"].as_str().unwrap();
                    let is_challenge = status == "401" && !path.starts_with("/login")
                        || description.starts_with("`insufficient_scope`");
                    assert_eq!(asks, is_challenge, "{path} {status}");
                }
            }
        }
        refusals
    }
}
