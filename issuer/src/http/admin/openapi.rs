//! The OpenAPI document of the Admin API.

use std::sync::Arc;

use hyper::StatusCode;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, Type};
use utoipa::{Modify, OpenApi as _};

use super::{audit, clients, keys, sessions, users};
use crate::http::openapi::{Common, Document, add, header_of, operations, refusal};
use crate::http::reply::{ApiError, ErrorBody, Reply};
use crate::http::{Api, Call};

/// `GET /admin/v1/openapi.json`: this document. It needs no access token.
#[utoipa::path(
    get,
    path = "/admin/v1/openapi.json",
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
    security(()),
)]
pub(super) async fn openapi(api: Arc<Api>, call: Call) -> Result<Reply, ApiError> {
    Ok(api.admin_openapi.answer(&call.headers))
}

/// Returns the document for the issuer with this URL.
pub(in crate::http) fn document(issuer: &str) -> Document {
    Document::new(Endpoints::openapi(), issuer)
}

/// Every endpoint is listed here and in [`super::ENDPOINTS`].
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Countersign issuer: Admin API",
        description = "What operators can do, for clients with the scope `countersign:admin`, or `countersign:read` for reading. Their access tokens have the issuer as their audience.",
    ),
    paths(
        users::list,
        users::add,
        users::expire_passwords,
        users::read,
        users::change,
        users::delete,
        users::set_password,
        users::reset_password,
        users::reset_factors,
        sessions::list,
        sessions::end_all,
        sessions::end,
        clients::list,
        clients::add,
        clients::read,
        clients::change,
        clients::rotate_secret,
        keys::list,
        keys::plan,
        keys::rotate,
        keys::revoke,
        audit::list,
        openapi,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Security, &Refusals, &Common),
)]
struct Endpoints;

/// The only way to authenticate.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let of_a_client = "A client's own access token, with the issuer's URL as its audience";
        let bearer = bearer.description(Some(of_a_client)).build();
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme("client_token", SecurityScheme::Http(bearer));
        let required = SecurityRequirement::new("client_token", Vec::<String>::new());
        document.security = Some(vec![required]);
    }
}

/// Adds the refusals that all endpoints share but the one without an access token.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item).filter(|operation| operation.security.is_none()) {
                let mut wrong_token =
                    refusal("`unauthorized` without an access token, or `invalid_token`");
                let mut too_narrow = refusal(
                    "`insufficient_scope`, or `access_denied`: the request did not come through the proxy",
                );
                for response in [&mut wrong_token, &mut too_narrow] {
                    let challenge = header_of(Type::String, "`Bearer` (RFC 6750)");
                    response.headers.insert("WWW-Authenticate".to_owned(), challenge.into());
                }
                add(operation, StatusCode::UNAUTHORIZED, wrong_token);
                add(operation, StatusCode::FORBIDDEN, too_narrow);
                if operation.parameters.is_some() || operation.request_body.is_some() {
                    add(operation, StatusCode::BAD_REQUEST, refusal("`invalid_request`"));
                }
                if path.contains('{') || path.ends_with("/audit") {
                    add(operation, StatusCode::NOT_FOUND, refusal("`not_found`"));
                }
                let mut too_many = refusal("`too_many_requests` of this client");
                let seconds = header_of(Type::Integer, "Seconds to wait");
                too_many.headers.insert("Retry-After".to_owned(), seconds.into());
                add(operation, StatusCode::TOO_MANY_REQUESTS, too_many);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ENDPOINTS;
    use super::*;
    use crate::http::openapi::tests::{check_endpoints, check_refusals};

    #[test]
    fn the_document_has_every_endpoint_with_its_methods_and_no_other() {
        check_endpoints(&Endpoints::openapi(), ENDPOINTS);
    }

    #[test]
    fn every_refusal_has_the_one_shape_and_says_when_to_come_back() {
        assert!(check_refusals(&Endpoints::openapi()) > 150);
    }
}
