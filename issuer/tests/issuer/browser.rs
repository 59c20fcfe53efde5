//! Pages in a browser: the session cookie, and calls from other origins.

use countersign_issuer::Origin;
use serde_json::json;

use crate::common::{Answer, PASSWORD, Server, client, get, login, post_json, send};

const ORIGIN: &str = "http://app.example";

#[tokio::test]
async fn a_cookie_session_hides_the_refresh_token_from_the_page() {
    let server = Server::with(|config, _| config.cors_origins = listed(&[ORIGIN])).await;
    let body = json!({ "username": "demo", "password": PASSWORD, "session": "cookie" });
    let answer = post_json(&server.url, "/login", &body).await;
    assert_eq!(answer.json().get("refresh_token"), None);
    let cookie_of = |answer: &Answer| {
        let cookie = answer.header("set-cookie").to_owned();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Max-Age=604800; HttpOnly; SameSite=Strict", "{answer:?}");
        assert!(pair.starts_with("countersign-refresh="), "{pair}");
        pair.to_owned()
    };
    let cookie = cookie_of(&answer);
    let request = |cookie: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = client()
            .post(format!("{}{path}", server.url))
            .header("cookie", format!("a=é; {cookie}; c=d"))
            .form(&[("grant_type", "refresh_token")]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request)
    };
    let foreign: &[&[(&str, &str)]] = &[
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        request(&cookie, "/token", headers).await.refused(403, "access_denied");
        request(&cookie, "/logout", headers).await.refused(403, "access_denied");
        let mut login = client().post(format!("{}/login", server.url)).json(&body);
        for (name, value) in *headers {
            login = login.header(*name, *value);
        }
        send(login).await.refused(403, "access_denied");
    }
    let own: &[&[(&str, &str)]] = &[
        &[],
        &[("origin", &server.url), ("sec-fetch-site", "same-origin")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
    ];
    let mut cookie = cookie;
    for headers in own {
        let answer = request(&cookie, "/token", headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json().get("refresh_token"), None);
        let next = cookie_of(&answer);
        assert_ne!(next, cookie);
        cookie = next;
    }
    let answer = request(&cookie, "/logout", &[]).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").starts_with("countersign-refresh=; "));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    request(&cookie, "/token", &[]).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn the_cookie_is_secure_except_over_http_on_loopback() {
    let server = Server::with(|config, _| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let proxied = Server::with(|config, _| config.issuer = Some("https://auth.example".to_owned()));
    let proxied = proxied.await;
    let named = Server::with(|config, _| config.issuer = Some("http://auth.test".to_owned())).await;
    let local = server.address.to_string();
    for (server, host, forwarded, is_plain) in [
        (&server, local.as_str(), "", true),
        (&server, "localhost:8080", "", true),
        (&server, "[::1]:8080", "127.0.0.1", true),
        (&server, "auth.example", "", false),
        (&server, "", "", false),
        (&server, &local, "192.0.2.1", false),
        (&proxied, &local, "", false),
        (&named, &local, "", false),
    ] {
        let body = json!({ "username": "demo", "password": PASSWORD, "session": "cookie" });
        let request = client()
            .post(format!("{}/login", server.url))
            .header("host", host)
            .header("x-forwarded-for", forwarded);
        let answer = send(request.json(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut names = Vec::new();
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, attributes) = cookie.split_once('=').unwrap();
            assert_eq!(
                attributes.contains("; Secure; "),
                !is_plain,
                "{host} {forwarded}: {cookie}"
            );
            assert!(attributes.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
            names.push(name.to_owned());
        }
        let prefix = if is_plain { "" } else { "__Host-" };
        let expected = ["refresh", "device"].map(|name| format!("{prefix}countersign-{name}"));
        assert_eq!(names, expected, "{host} {forwarded}");
    }
}

#[tokio::test]
async fn two_names_of_this_machine_are_explained() {
    let origins = ["http://localhost:3000", "http://127.0.0.1:3000"];
    let server = Server::with(|config, _| config.cors_origins = listed(&origins)).await;
    let body = json!({ "username": "demo", "password": PASSWORD, "session": "cookie" });
    let log_in = |origin: &'static str| {
        send(client().post(format!("{}/login", server.url)).header("origin", origin).json(&body))
    };
    let answer = log_in("http://localhost:3000").await;
    answer.refused(403, "access_denied");
    let description = answer.field("error_description");
    for word in ["localhost", "127.0.0.1", "two sites", "same host name"] {
        assert!(description.contains(word), "{description}");
    }
    assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:3000");
    assert_eq!(log_in("http://127.0.0.1:3000").await.status, 200);
    let answer = log_in("http://127.0.0.1:4000").await;
    answer.refused(403, "access_denied");
    assert!(answer.field("error_description").contains("cors_origins"));
}

const PUBLIC: [&str; 5] = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/status/1",
    "/openapi.json",
];

const NAMES: &str = "authorization,baggage,content-type,sentry-trace,traceparent,x-requested-with";
const EXPOSED: &str = "Age, ETag, Retry-After, WWW-Authenticate, X-Request-Id";

async fn preflight(url: &str, path: &str, method: &str, origin: &str, names: &str) -> Answer {
    let request = client().request(reqwest::Method::OPTIONS, format!("{url}{path}"));
    let request = request.header("origin", origin).header("access-control-request-method", method);
    send(request.header("access-control-request-headers", names)).await
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_with_any_header_and_others_may_not() {
    let app = "capacitor://localhost";
    let server = Server::with(|config, _| config.cors_origins = listed(&[ORIGIN, app])).await;
    let vary = |answer: &Answer| {
        let lines = answer.headers.get_all("vary").into_iter();
        lines.map(|line| line.to_str().unwrap().to_lowercase()).collect::<Vec<_>>().join(", ")
    };
    for path in ["/login", "/token", "/logout", "/revoke"] {
        for origin in [ORIGIN, app] {
            let answer = preflight(&server.url, path, "POST", origin, NAMES).await;
            assert_eq!(answer.status, 204, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            assert_eq!(answer.header("access-control-allow-methods"), "POST");
            assert_eq!(answer.header("access-control-allow-headers"), NAMES);
            assert_eq!(answer.header("access-control-allow-credentials"), "true");
            assert_eq!(vary(&answer), "access-control-request-headers, origin");
        }
        for origin in ["http://evil.example", "http://app.example:80", "HTTP://app.example"] {
            let answer = preflight(&server.url, path, "POST", origin, NAMES).await;
            let headers = answer.headers.keys().filter(|name| name.as_str().starts_with("access-"));
            assert_eq!(headers.count(), 0, "{path} {origin}: {answer:?}");
            assert_eq!(vary(&answer), "access-control-request-headers, origin");
        }
        // A refusal needs CORS headers too, or the page could not read the reason.
        let request = client().post(format!("{}{path}", server.url)).header("origin", ORIGIN);
        for (body, status) in [(String::new(), 415), ("x".repeat(64 * 1024 + 1), 413)] {
            let status = if path == "/logout" && body.is_empty() { 400 } else { status };
            let answer = send(request.try_clone().unwrap().body(body)).await;
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
            assert_eq!(answer.header("access-control-allow-credentials"), "true");
            assert_eq!(answer.header("access-control-expose-headers"), EXPOSED);
            assert_eq!(vary(&answer), "origin");
        }
    }
    let long = "x".repeat(2049);
    let answer = preflight(&server.url, "/login", "POST", ORIGIN, &long).await;
    assert_eq!((answer.status, answer.header("access-control-allow-headers")), (204, ""));
    for path in ["/introspect", "/healthz/live"] {
        assert_eq!(preflight(&server.url, path, "POST", ORIGIN, NAMES).await.status, 405, "{path}");
    }

    let closed = Server::start().await;
    let answer = preflight(&closed.url, "/login", "POST", ORIGIN, NAMES).await;
    assert_eq!((answer.status, vary(&answer).as_str()), (405, ""));
}

#[tokio::test]
async fn pages_of_any_origin_may_read_the_documents() {
    let server = Server::with(|config, _| config.status_lists = true).await;
    // The first login creates a status list.
    assert_eq!(login(&server.url).await.status, 200);
    for path in PUBLIC {
        for origin in [ORIGIN, "null"] {
            let request = client().get(format!("{}{path}", server.url)).header("origin", origin);
            let answer = send(request).await;
            assert_eq!(answer.status, 200, "{path}");
            let asked = "authorization,if-none-match,traceparent";
            let allowed = preflight(&server.url, path, "GET", origin, asked).await;
            assert_eq!(allowed.status, 204, "{path}");
            assert_eq!(allowed.header("access-control-allow-methods"), "GET, HEAD");
            assert_eq!(allowed.header("access-control-allow-headers"), asked);
            assert_eq!(allowed.header("vary"), "access-control-request-headers");
            for answer in [answer, allowed] {
                assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
                assert_eq!(answer.header("access-control-allow-credentials"), "");
                assert_eq!(answer.header("access-control-expose-headers"), EXPOSED);
            }
        }
        // The answer is the same for every origin: one copy in a cache serves all.
        assert_eq!(get(&server.url, path).await.header("vary"), "");
        assert_eq!(get(&server.url, path).await.header("access-control-allow-origin"), "*");
    }
}

fn listed(origins: &[&str]) -> Vec<Origin> {
    origins.iter().map(|origin| origin.parse().unwrap()).collect()
}
