//! Every endpoint over real HTTP: its responses and its refusals.

use countersign_issuer::{Config, Limits};
use serde_json::json;

use crate::common::{PASSWORD, START, Server, client, get, jwt_part, login, post_form, post_json};
use crate::common::{refresh, send};

#[tokio::test]
async fn a_login_returns_the_documented_tokens() {
    let server = Server::start().await;
    let answer = login(&server.url).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body["refresh_expires_in"], 604_800);
    assert_eq!(body["scope"], "read write");

    let token = answer.field("access_token");
    let header = jwt_part(&token, 0);
    let kid = get(&server.url, "/.well-known/jwks.json").await.json()["keys"][0]["kid"].clone();
    assert_eq!(header, json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid }));
    let claims = answer.claims();
    let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sid", "sub"]);
    assert_eq!(claims["iss"], server.url);
    assert_eq!(claims["aud"], "api");
    assert_eq!(claims["client_id"], "client_first_party");
    assert_eq!(claims["scope"], "read write");
    assert_eq!(claims["iat"], START);
    assert_eq!(claims["exp"], START + 900);
    assert!(claims["sub"].as_str().unwrap().starts_with("user_"));

    let second = login(&server.url).await.claims();
    assert_eq!(second["sub"], claims["sub"]);
    assert_ne!(second["jti"], claims["jti"]);
    assert_ne!(second["sid"], claims["sid"]);
}

#[tokio::test]
async fn another_jwt_library_accepts_the_access_token() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    let server = Server::start().await;
    let token = login(&server.url).await.field("access_token");
    let jwks = get(&server.url, "/.well-known/jwks.json").await.json();
    let kid = jwt_part(&token, 0)["kid"].clone();
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap();
    let (n, e) = (key["n"].as_str().unwrap(), key["e"].as_str().unwrap());
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["api"]);
    validation.set_issuer(&[&server.url]);
    let key = DecodingKey::from_rsa_components(n, e).unwrap();
    let verified = decode::<serde_json::Value>(&token, &key, &validation).unwrap();
    assert_eq!(verified.header.typ.as_deref(), Some("at+jwt"));
}

#[tokio::test]
async fn every_failed_login_has_the_same_response_and_costs_one_hash() {
    let server = Server::start().await;
    let long = "x".repeat(1025);
    let cases = [
        ("demo", "wrong password"),
        ("nobody", PASSWORD),
        ("demo", ""),
        ("demo", &long),
        ("", PASSWORD),
        ("a\u{0}b", PASSWORD),
        ("nobody", ""),
        (&long, &long),
    ];
    let mut seen: Option<String> = None;
    for (count, (username, password)) in (1..).zip(cases) {
        let body = json!({ "username": username, "password": password });
        let answer = post_json(&server.url, "/login", &body).await;
        answer.refused(401, "invalid_grant");
        assert_eq!(*seen.get_or_insert_with(|| answer.text.clone()), answer.text);
        assert_eq!(server.state.password_hashes(), count, "{username:?}");
    }
    assert_eq!(login(&server.url).await.status, 200);
    assert_eq!(server.state.password_hashes(), cases.len() as u64 + 1);
}

#[tokio::test]
async fn a_user_name_is_found_in_any_spelling() {
    let server = Server::start().await;
    for username in ["DEMO", "  demo ", "ｄｅｍｏ"] {
        let body = json!({ "username": username, "password": PASSWORD });
        assert_eq!(post_json(&server.url, "/login", &body).await.status, 200, "{username}");
    }
}

#[tokio::test]
async fn the_openapi_document_names_this_issuer_and_is_cacheable() {
    let server = Server::start().await;
    let answer = get(&server.url, "/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{ "url": server.url }]));
    assert!(document["paths"]["/login"]["post"]["responses"]["429"]["headers"].is_object());
    let request = client().get(format!("{}/openapi.json", server.url));
    let again = send(request.header("if-none-match", answer.header("etag"))).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(again.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn a_bad_request_is_refused_with_a_documented_error() {
    let server = Server::start().await;
    let (json_type, form_type) = ("application/json", "application/x-www-form-urlencoded");
    let big = format!("{{\"username\":\"{}\"}}", "x".repeat(16 * 1024));
    let exact_login =
        format!("{{\"username\":\"demo\",\"password\":\"{}\"}}", "x".repeat(8 * 1024 - 33));
    assert_eq!(exact_login.len(), 8 * 1024);
    // Each parameter is compared with those before it.
    let many = (0..1000).map(|n| format!("{n:x}&")).collect::<String>();
    // Method, path, content type, body, status, error, and a part of the description.
    let cases: &[(&str, &str, &str, &str, u16, &str, &str)] = &[
        ("POST", "/nowhere", json_type, "{}", 404, "not_found", ""),
        ("GET", "/", "", "", 404, "not_found", ""),
        ("GET", "/login/", "", "", 404, "not_found", ""),
        ("GET", "/healthz", "", "", 404, "not_found", ""),
        ("GET", "/login", "", "", 405, "method_not_allowed", "POST"),
        ("PUT", "/login", json_type, "{}", 405, "method_not_allowed", "POST"),
        ("OPTIONS", "/login", "", "", 405, "method_not_allowed", "POST"),
        ("GET", "/token", "", "", 405, "method_not_allowed", "POST"),
        ("DELETE", "/revoke", "", "", 405, "method_not_allowed", "POST"),
        ("GET", "/logout", "", "", 405, "method_not_allowed", "POST"),
        ("POST", "/.well-known/jwks.json", "", "", 405, "method_not_allowed", "GET"),
        ("POST", "/healthz/live", "", "", 405, "method_not_allowed", "GET"),
        ("POST", "/login", "", "{}", 415, "unsupported_media_type", json_type),
        ("POST", "/login", "text/plain", "{}", 415, "unsupported_media_type", json_type),
        ("POST", "/login", form_type, "username=demo", 415, "unsupported_media_type", json_type),
        ("POST", "/token", json_type, "{}", 415, "unsupported_media_type", form_type),
        ("POST", "/revoke", json_type, "{}", 415, "unsupported_media_type", form_type),
        ("POST", "/logout", "text/plain", "x", 415, "unsupported_media_type", form_type),
        ("POST", "/login", json_type, "", 400, "invalid_request", "JSON"),
        ("POST", "/login", json_type, "{", 400, "invalid_request", "JSON"),
        ("POST", "/login", json_type, "[]", 400, "invalid_request", ""),
        ("POST", "/login", json_type, r#"["demo","x",null]"#, 400, "invalid_request", "JSON"),
        ("POST", "/login", json_type, "\"x\"", 400, "invalid_request", "JSON"),
        ("POST", "/login", json_type, "{} {}", 400, "invalid_request", "JSON"),
        ("POST", "/login", json_type, "{}", 400, "invalid_request", "username"),
        ("POST", "/login", json_type, r#"{"username":"a"}"#, 400, "invalid_request", "password"),
        (
            "POST",
            "/login",
            json_type,
            r#"{"username":"a","password":123456}"#,
            400,
            "invalid_request",
            "password must be a string",
        ),
        (
            "POST",
            "/login",
            json_type,
            r#"{"username":"a","username":"b","password":"c"}"#,
            400,
            "invalid_request",
            "JSON",
        ),
        (
            "POST",
            "/login",
            json_type,
            r#"{"username":"a","password":"b","session":"jar"}"#,
            400,
            "invalid_request",
            "session",
        ),
        ("POST", "/login", json_type, &big, 413, "content_too_large", "8192"),
        ("POST", "/token", form_type, &big, 413, "content_too_large", "8192"),
        ("POST", "/revoke", form_type, &big, 413, "content_too_large", "16384"),
        ("POST", "/logout", form_type, &big, 413, "content_too_large", "8192"),
        ("POST", "/login", json_type, &exact_login, 401, "invalid_grant", ""),
        ("POST", "/token", form_type, "", 400, "invalid_request", "grant_type"),
        ("POST", "/token", form_type, "grant_type=", 400, "invalid_request", "grant_type"),
        ("POST", "/token", form_type, "grant_type=%zz", 400, "invalid_request", "form"),
        ("POST", "/token", form_type, "grant_type=%ff", 400, "invalid_request", "form"),
        ("POST", "/token", form_type, "a=1&a=2", 400, "invalid_request", "twice"),
        (
            "POST",
            "/token",
            form_type,
            "grant_type=password&username=demo",
            400,
            "unsupported_grant_type",
            "refresh_token",
        ),
        (
            "POST",
            "/token",
            form_type,
            "grant_type=refresh_token",
            400,
            "invalid_request",
            "refresh_token",
        ),
        (
            "POST",
            "/token",
            form_type,
            "grant_type=refresh_token&refresh_token=nonsense",
            400,
            "invalid_grant",
            "",
        ),
        ("POST", "/token", form_type, &many, 400, "invalid_request", "more than 32 parameters"),
        ("POST", "/revoke", form_type, "", 400, "invalid_request", "token"),
        ("POST", "/logout", "", "", 400, "invalid_request", "refresh_token"),
        ("POST", "/logout", json_type, "{", 400, "invalid_request", "JSON"),
        ("POST", "/logout", json_type, "{}", 400, "invalid_request", "refresh_token"),
        (
            "POST",
            "/logout",
            json_type,
            r#"{"refresh_token":""}"#,
            400,
            "invalid_request",
            "is missing",
        ),
        (
            "POST",
            "/logout",
            json_type,
            r#"{"refresh_token":1}"#,
            400,
            "invalid_request",
            "refresh_token",
        ),
        (
            "POST",
            "/logout",
            json_type,
            r#"{"refresh_token":null}"#,
            400,
            "invalid_request",
            "must be a string",
        ),
    ];
    for (method, path, content_type, body, status, error, word) in cases {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = client().request(method.clone(), format!("{}{path}", server.url));
        if !content_type.is_empty() {
            request = request.header("content-type", *content_type);
        }
        let answer = send(request.body((*body).to_owned())).await;
        answer.refused(*status, error);
        let description = answer.field("error_description");
        assert!(description.contains(word), "{method} {path}: {description}");
        assert!(!description.contains("123456"), "{description}");
        assert_eq!(answer.header("allow").is_empty(), *status != 405, "{method} {path}");
    }
    assert!(cases.len() > 40);
}

#[tokio::test]
async fn a_requested_scope_narrows_the_access_token_and_never_widens_it() {
    let server = Server::start().await;
    let mut token = login(&server.url).await.refresh_token();
    let with_scope = |token: String, scope: &'static str| {
        let url = server.url.clone();
        async move {
            let form =
                [("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", scope)];
            post_form(&url, "/token", &form).await
        }
    };
    let answer = with_scope(token, "read read").await;
    assert_eq!(answer.claims()["scope"], "read");
    assert_eq!(answer.json()["scope"], "read");
    token = answer.refresh_token();
    for scope in ["read admin", "READ", "a\"b"] {
        with_scope(token.clone(), scope).await.refused(400, "invalid_scope");
    }
    // The session kept its scope, and the refused requests did not use up the token.
    let answer = refresh(&server.url, &token).await;
    assert_eq!(answer.claims()["scope"], "read write");
}

#[tokio::test]
async fn a_refresh_token_works_only_for_its_own_client() {
    let server = Server::start().await;
    let token = login(&server.url).await.refresh_token();
    let form = |client_id| {
        [("grant_type", "refresh_token"), ("refresh_token", &*token), ("client_id", client_id)]
    };
    let foreign = post_form(&server.url, "/token", &form("client_other")).await;
    foreign.refused(400, "invalid_grant");
    let description = foreign.field("error_description");
    assert!(description.starts_with("client_id is not the token's client;"), "{description}");
    assert_eq!(post_form(&server.url, "/token", &form("client_first_party")).await.status, 200);
}

#[tokio::test]
async fn the_client_of_all_sessions_is_a_setting() {
    let server = Server::start().await;
    let old = login(&server.url).await.refresh_token();
    let change = |config: &mut Config, _: &mut Limits| config.client_id = "web-app".to_owned();
    let server = Server::over(server.stop().await, change).await;
    let new = login(&server.url).await;
    assert_eq!(new.claims()["client_id"], "web-app");
    // A session from before the change belongs to the client too.
    for token in [old, new.refresh_token()] {
        let form = |client_id| {
            [("grant_type", "refresh_token"), ("refresh_token", &*token), ("client_id", client_id)]
        };
        let foreign = post_form(&server.url, "/token", &form("client_first_party")).await;
        foreign.refused(400, "invalid_grant");
        let answer = post_form(&server.url, "/token", &form("web-app")).await;
        assert_eq!(answer.claims()["client_id"], "web-app");
        let next = answer.refresh_token();
        let revoke = [("token", next.as_str()), ("client_id", "web-app")];
        assert_eq!(post_form(&server.url, "/revoke", &revoke).await.status, 200);
    }
}

#[tokio::test]
async fn revoke_and_logout_end_the_session_and_do_not_reveal_if_it_existed() {
    let server = Server::start().await;
    let revoke = |token: String| {
        let url = server.url.clone();
        async move { post_form(&url, "/revoke", &[("token", &token)]).await }
    };
    let answer = revoke("nonsense".to_owned()).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));

    let first = login(&server.url).await;
    let access = first.field("access_token");
    revoke(access).await.refused(400, "unsupported_token_type");
    let old = first.refresh_token();
    let token = refresh(&server.url, &old).await.refresh_token();
    // A replaced token works too, because it identifies the session.
    assert_eq!(revoke(old).await.status, 200);
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
    assert_eq!(revoke(token).await.status, 200);

    let token = login(&server.url).await.refresh_token();
    let answer = post_form(&server.url, "/logout", &[("refresh_token", &token)]).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    refresh(&server.url, &token).await.refused(400, "invalid_grant");

    let token = login(&server.url).await.refresh_token();
    let body = json!({ "refresh_token": token });
    assert_eq!(post_json(&server.url, "/logout", &body).await.status, 204);
    assert_eq!(post_json(&server.url, "/logout", &body).await.status, 204);
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn the_jwks_is_cacheable_and_supports_if_none_match() {
    let server = Server::start().await;
    let answer = get(&server.url, "/.well-known/jwks.json").await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let etag = answer.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong tag: {etag}");
    for key in answer.json()["keys"].as_array().unwrap() {
        let names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    }
    let url = format!("{}/.well-known/jwks.json", server.url);
    for (tags, status) in [
        (etag.clone(), 304),
        (format!("\"other\", {etag}"), 304),
        (format!("W/{etag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
        ("\"a b\"".to_owned(), 200),
    ] {
        let answer = send(client().get(&url).header("if-none-match", &tags)).await;
        assert_eq!(answer.status, status, "{tags}");
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.text.is_empty(), status == 304);
    }
    let head = send(client().head(&url)).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), answer.text.len().to_string());
}

#[tokio::test]
async fn the_metadata_lists_the_existing_endpoints() {
    let server = Server::with(|config, _| {
        config.issuer = Some("https://auth.example".to_owned());
    })
    .await;
    let answer = get(&server.url, "/.well-known/oauth-authorization-server").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "issuer": "https://auth.example",
            "token_endpoint": "https://auth.example/token",
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "introspection_endpoint": "https://auth.example/introspect",
            "introspection_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post"],
            "revocation_endpoint": "https://auth.example/revoke",
            "revocation_endpoint_auth_methods_supported": ["none"],
            "jwks_uri": "https://auth.example/.well-known/jwks.json",
            "grant_types_supported": ["refresh_token", "client_credentials"],
            "response_types_supported": [],
        })
    );
    let openid = get(&server.url, "/.well-known/openid-configuration").await;
    assert_eq!(openid.text, answer.text);
    for answer in [answer, openid] {
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    }
    for path in ["/healthz/live", "/healthz/ready"] {
        assert_eq!(get(&server.url, path).await.json(), json!({ "status": "ok" }));
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_answers_at_that_path_too() {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    for (issuer, base) in [
        ("https://auth.example/auth", "/auth"),
        ("https://auth.example/auth/", "/auth"),
        ("https://auth.example/a/b", "/a/b"),
        ("https://auth.example/login", "/login"),
        ("https://auth.example/status", "/status"),
    ] {
        let server = Server::with(|config, _| {
            config.issuer = Some(issuer.to_owned());
            config.status_lists = true;
        })
        .await;
        let metadata = get(&server.url, OAUTH).await;
        assert_eq!(metadata.json()["issuer"], issuer);
        let token_endpoint = format!("https://auth.example{base}/token");
        assert_eq!(metadata.json()["token_endpoint"], token_endpoint);
        for path in [OPENID, &format!("{OAUTH}{base}"), &format!("{OPENID}{base}")] {
            assert_eq!(get(&server.url, path).await.text, metadata.text, "{path}");
        }
        for path in [OPENID, OAUTH] {
            let path = format!("{base}{path}");
            assert_eq!(get(&server.url, &path).await.text, metadata.text, "{path}");
        }
        let below = format!("{}{base}", server.url);
        for url in [&server.url, &below] {
            let token = login(url).await.refresh_token();
            assert_eq!(refresh(url, &token).await.status, 200, "{url}");
            for path in ["/.well-known/jwks.json", "/status/1", "/healthz/ready"] {
                assert_eq!(get(url, path).await.status, 200, "{url}{path}");
            }
        }
        for path in ["/other/token", "/authtoken", "/auth/auth/token", "/auth", "/auth/metrics"] {
            assert_eq!(get(&server.url, path).await.status, 404, "{issuer} {path}");
        }
        assert_eq!(get(&server.url, &format!("{OAUTH}/other")).await.status, 404);
    }
}

#[tokio::test]
async fn each_network_has_its_own_limit_of_logins() {
    let server = Server::with(|config, limits| {
        config.login_rate = 2;
        limits.login_window = std::time::Duration::from_secs(120);
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let attempt = |forwarded: &'static str| {
        let body = json!({ "username": "demo", "password": PASSWORD });
        let request = client().post(format!("{}/login", server.url)).json(&body);
        send(request.header("x-forwarded-for", forwarded))
    };
    assert_eq!(attempt("192.0.2.1").await.status, 200);
    // The client wrote the entries to the left. They are ignored.
    assert_eq!(attempt("203.0.113.7, 192.0.2.1").await.status, 200);
    let answer = attempt("192.0.2.1").await;
    answer.refused(429, "too_many_requests");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // The next one comes back after it.
    let answer = attempt("192.0.2.1").await;
    let next: u64 = answer.header("retry-after").parse().unwrap();
    assert!((61..=120).contains(&next), "{next}");
    assert_eq!(attempt("192.0.2.2").await.status, 200);
    // A whole IPv6 /64 is one network.
    assert_eq!(attempt("2001:db8::1").await.status, 200);
    assert_eq!(attempt("2001:db8::2").await.status, 200);
    attempt("2001:db8::3").await.refused(429, "too_many_requests");
    // An entry with a port is that address, and not the proxy's.
    attempt("[2001:db8::3]:443").await.refused(429, "too_many_requests");
    attempt("192.0.2.1:4431,").await.refused(429, "too_many_requests");
    assert_eq!(server.state.password_hashes(), 5, "a limited login costs no hash");
}

#[tokio::test]
async fn a_full_hash_queue_refuses_logins_with_503_at_once() {
    let server = Server::with(|config, limits| {
        limits.hashes = 1;
        limits.hash_queue = 1;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let attempts: Vec<_> = (0..12)
        .map(|n| {
            let body = json!({ "username": "demo", "password": PASSWORD });
            let request = client().post(format!("{}/login", server.url)).json(&body);
            tokio::spawn(send(request.header("x-forwarded-for", format!("192.0.2.{n}"))))
        })
        .collect();
    let mut statuses = Vec::new();
    for attempt in attempts {
        let answer = attempt.await.unwrap();
        if answer.status != 200 {
            answer.refused(503, "temporarily_unavailable");
            assert_eq!(answer.header("retry-after"), "1");
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
}
