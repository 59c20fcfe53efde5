//! The responses of a guard to requests, which are those of the npm package's guard.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::Form;
use axum::http::{HeaderMap, Request, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use countersign_axum::{Claims, Error, Guard, Policy, Verified};
use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::signed;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_service::Service;

use crate::endpoint::{Answer, Endpoint, Fixture, ISSUER, JWKS, key, token};

#[derive(Deserialize)]
struct Me {
    sub: String,
}

async fn me(Claims(me): Claims<Me>, Extension(verified): Extension<Arc<Verified>>) -> String {
    assert_eq!(verified.claims().sub.as_ref(), Some(&me.sub));
    me.sub
}

fn guard(key: &RsaKey) -> Guard {
    let keys = json!({ "keys": [key.jwk("main")] }).to_string();
    let fixed = Guard::builder(Policy::new(ISSUER, "api"))
        .keys(keys.parse().expect("a key set"))
        .clock(|| std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_100));
    fixed.build().expect("the options are good")
}

fn app(guard: &Guard) -> Router {
    Router::new().route("/", any(me)).layer(guard.clone())
}

/// A request with these header fields. A URI has a query, and no path besides `/`.
fn request(uri: &str, fields: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method("POST").uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).expect("a request")
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().call(request).await.expect("a router is infallible")
}

async fn text(response: Response<Body>) -> String {
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(body.to_vec()).expect("text")
}

/// The parts of a refusal that the tests compare.
#[derive(Debug, PartialEq)]
struct Refused {
    status: u16,
    error: String,
    challenge: Option<String>,
    retry_after: Option<String>,
    code: Option<&'static str>,
}

/// Checks the form of a refusal, and that it holds no part of the token.
async fn refused(response: Response<Body>, token: &str) -> (Refused, String) {
    let (parts, body) = response.into_parts();
    let field = |headers: &HeaderMap, name| {
        headers.get(name).map(|value| value.to_str().expect("text").to_owned())
    };
    let headers = &parts.headers;
    assert_eq!(field(headers, "content-type").as_deref(), Some("application/json"));
    assert_eq!(field(headers, "cache-control").as_deref(), Some("no-store"));
    let body = text(Response::new(body)).await;
    for part in token.split('.').filter(|part| !part.is_empty()) {
        assert!(!body.contains(part) && !format!("{headers:?}").contains(part), "{body}");
    }
    let json: Value = serde_json::from_str(&body).expect("JSON");
    let member = |name: &str| json[name].as_str().expect("a string").to_owned();
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(2));
    let refused = Refused {
        status: parts.status.as_u16(),
        error: member("error"),
        challenge: field(headers, "www-authenticate"),
        retry_after: field(headers, "retry-after"),
        code: parts.extensions.get::<Error>().map(Error::code),
    };
    (refused, member("error_description"))
}

#[tokio::test]
async fn a_good_token_passes_and_its_claims_are_extracted() {
    let main = key("main");
    let (app, token) = (app(&guard(&main)), token("main", &main));
    for authorization in [format!("Bearer {token}"), format!("bearer  {token}")] {
        let response = send(&app, request("/", &[("authorization", &authorization)], "")).await;
        assert_eq!((response.status().as_u16(), &*text(response).await), (200, "user-1"));
    }
}

#[tokio::test]
async fn a_request_without_a_token_gets_a_bare_challenge() {
    let main = key("main");
    let (app, token) = (app(&guard(&main)), token("main", &main));
    let in_query = format!("/?access_token={token}");
    let digest = r#"Digest username="u", realm="bearers""#;
    for (uri, fields) in [
        ("/", &[][..]),
        (&in_query, &[]),
        ("/", &[("authorization", "")]),
        ("/", &[("authorization", "Basic dTpw")]),
        ("/", &[("authorization", digest)]),
        ("/", &[("authorization", "BearerToken a.b.c")]),
    ] {
        let (refused, description) =
            refused(send(&app, request(uri, fields, "")).await, &token).await;
        assert_eq!(
            refused,
            Refused {
                status: 401,
                error: "unauthorized".into(),
                challenge: Some("Bearer".into()),
                retry_after: None,
                code: None,
            }
        );
        assert_eq!(description, "expected an access token: \"Authorization: Bearer …\"");
    }
}

#[tokio::test]
async fn anything_but_one_token_is_a_bad_request() {
    let main = key("main");
    let (app, token) = (app(&guard(&main)), token("main", &main));
    let good = format!("Bearer {token}");
    let good = ("authorization", &*good);
    let form = ("content-type", "Application/X-WWW-Form-Urlencoded ; charset=utf-8");
    let late = format!("{}&access_token=b", "a".repeat(60_000));
    let one = "expected one token in one Authorization header, after \"Bearer \"";
    let alone = "expected one access token, in the Authorization header alone";
    for (uri, fields, body, expected) in [
        ("/", &[("authorization", "Bearer")][..], "", one),
        ("/", &[("authorization", "Bearer a b")], "", one),
        ("/", &[("authorization", "Bearer \u{e9}")], "", one),
        ("/", &[good, good], "", one),
        ("/", &[("authorization", "Basic dTpw"), good], "", one),
        ("/?b=c&access_token=d", &[good], "", alone),
        ("/?access%5ftoken=", &[good], "", alone),
        ("/", &[good, form], "a=b&access_token=c", alone),
        ("/", &[good, form], &late, alone),
    ] {
        let response = send(&app, request(uri, fields, body)).await;
        let (refused, description) = refused(response, &token).await;
        let challenge = description.replace('"', "'");
        assert_eq!(description, expected, "{uri} {fields:?}");
        assert_eq!(
            refused,
            Refused {
                status: 400,
                error: "invalid_request".into(),
                challenge: Some(format!(
                    "Bearer error=\"invalid_request\", error_description=\"{challenge}\""
                )),
                retry_after: None,
                code: None,
            }
        );
    }
}

#[tokio::test]
async fn a_refused_token_gets_the_verifiers_challenge() {
    let main = key("main");
    let app = app(&guard(&main));
    let expired =
        signed(&main, Object::header().text(), Object::claims().set("exp", "1700000000").text());
    let tampered = format!("{}A", &token("main", &main)[..token("main", &main).len() - 1]);
    for (token, code, words) in [
        ("a.b.c", "token_malformed", "the token's header"),
        (&expired, "token_expired", "the token expired 100 s ago"),
        (&tampered, "signature_invalid", "the signature"),
    ] {
        let fields = [("authorization", &*format!("Bearer {token}"))];
        let (refused, description) =
            refused(send(&app, request("/", &fields, "")).await, &tampered).await;
        assert_eq!((refused.status, &*refused.error), (401, "invalid_token"), "{code}");
        assert_eq!(refused.code, Some(code));
        let challenge = refused.challenge.expect("a challenge");
        assert!(
            challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""),
            "{challenge}"
        );
        assert!(description.starts_with(words) && challenge.contains(words), "{description}");
    }
}

#[tokio::test]
async fn scopes_are_required_for_each_route() {
    let main = key("main");
    let guard = guard(&main);
    let scope = |scope| guard.with_scope(scope).expect("the scope is well formed");
    let hello = || async { "hello" };
    let app = Router::new()
        .route("/notes", get(hello).merge(post(hello).layer(scope("write read"))))
        .route("/admin", get(hello).layer(scope("admin")))
        .layer(scope("read"));
    let reader = Object::claims().set("scope", "\"read\"");
    let writer = Object::claims();
    let nobody = Object::claims().without("scope");
    for (method, path, claims, lacking) in [
        ("GET", "/notes", &reader, None),
        ("POST", "/notes", &reader, Some("write read")),
        ("POST", "/notes", &writer, None),
        ("GET", "/admin", &writer, Some("admin")),
        ("GET", "/notes", &nobody, Some("read")),
    ] {
        let token = signed(&main, Object::header().text(), claims.text());
        let request = Request::builder().method(method).uri(path);
        let request =
            request.header("authorization", format!("Bearer {token}")).body(Body::empty());
        let response = send(&app, request.expect("a request")).await;
        let Some(required) = lacking else {
            assert_eq!(response.status(), 200, "{method} {path}");
            continue;
        };
        let (refused, _) = refused(response, &token).await;
        assert_eq!(
            refused,
            Refused {
                status: 403,
                error: "insufficient_scope".into(),
                challenge: Some(format!(
                    "Bearer error=\"insufficient_scope\", error_description=\"the claim scope does \
                 not hold the required scope\", scope=\"{required}\""
                )),
                retry_after: None,
                code: Some("scope_insufficient"),
            }
        );
    }
    assert_eq!(guard.with_scope("read  write").expect_err("two spaces").code(), "options_invalid");
    assert_eq!(guard.with_scope("").expect_err("no scope").code(), "options_invalid");
}

#[tokio::test]
async fn a_guard_trusts_no_other_guard() {
    let (main, other) = (key("main"), key("other"));
    let app = Router::new().route("/", any(me)).layer(guard(&other)).layer(guard(&main));
    let token = token("main", &main);
    let fields = [("authorization", &*format!("Bearer {token}"))];
    let (refused, _) = refused(send(&app, request("/", &fields, "")).await, &token).await;
    assert_eq!(refused.code, Some("signature_invalid"));
}

#[tokio::test]
async fn a_form_reaches_the_service_whole() {
    let main = key("main");
    let read = |Form(fields): Form<Vec<(String, String)>>| async move {
        fields.iter().map(|(_, value)| value.len()).sum::<usize>().to_string()
    };
    let app = Router::new().route("/", post(read)).layer(guard(&main));
    let authorization = format!("Bearer {}", token("main", &main));
    let form = ("content-type", "application/x-www-form-urlencoded");
    for size in [0, 10, 64 * 1024, 200_000] {
        let body = format!("my_access_token={}&b=access_token", "a".repeat(size));
        let sent = request("/", &[("authorization", &authorization), form], &body);
        let response = send(&app, sent).await;
        assert_eq!(text(response).await, (size + "access_token".len()).to_string());
    }
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused() {
    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only the type matters")]
    struct Grouped {
        groups: Vec<String>,
    }
    let main = key("main");
    let app = Router::new().route("/", any(|_: Claims<Grouped>| async {})).layer(guard(&main));
    let usual = Object::claims();
    for (claims, code) in [
        (usual.clone(), Some("claim_missing")),
        (usual.clone().set("groups", "\"confidential\""), Some("claim_invalid")),
        (usual.set("groups", "[]"), None),
    ] {
        let token = signed(&main, Object::header().text(), claims.text());
        let fields = [("authorization", &*format!("Bearer {token}"))];
        let response = send(&app, request("/", &fields, "")).await;
        let Some(code) = code else {
            assert_eq!(response.status(), 200);
            continue;
        };
        let (refused, description) = refused(response, &token).await;
        assert_eq!((refused.status, &*refused.error), (401, "invalid_token"));
        assert_eq!(refused.code, Some(code));
        assert!(description.contains("groups") && !description.contains("confidential"));
    }
}

#[tokio::test]
async fn claims_without_a_guard_are_a_fault_of_the_service() {
    let app = Router::new().route("/", any(me));
    let (refused, description) = refused(send(&app, request("/", &[], "")).await, "").await;
    assert_eq!((refused.status, &*refused.error, refused.code), (500, "server_error", None));
    assert!(description.contains("no guard"), "{description}");
}

#[tokio::test]
async fn an_outage_is_no_fault_of_the_token() {
    let main = key("main");
    let token = token("main", &main);
    let fields = [("authorization", &*format!("Bearer {token}"))];
    for (answer, expected) in [
        (
            Answer::status(500),
            Refused {
                status: 503,
                error: "temporarily_unavailable".into(),
                challenge: None,
                retry_after: Some("10".into()),
                code: Some("jwks_unavailable"),
            },
        ),
        (
            Answer::json("{}"),
            Refused {
                status: 500,
                error: "server_error".into(),
                challenge: None,
                retry_after: None,
                code: Some("jwks_invalid"),
            },
        ),
    ] {
        let endpoint = Endpoint::start().await;
        endpoint.set(JWKS, answer);
        let url = format!("{}{JWKS}", endpoint.url);
        let builder = Guard::builder(Policy::new(ISSUER, "api")).jwks(url);
        let fixture = Fixture::with(endpoint, builder);
        let response = send(&app(&fixture.guard), request("/", &fields, "")).await;
        let (refused, description) = refused(response, &token).await;
        assert_eq!(refused, expected);
        assert!(!description.contains("127.0.0.1"), "{description}");
    }
}
