//! Pages in a browser: the session cookie, and calls from other origins.

use serde_json::json;

use crate::common::{Answer, PASSWORD, Server, client, post_json, send};

const ORIGIN: &str = "http://app.example";

#[tokio::test]
async fn a_cookie_session_hides_the_refresh_token_from_the_page() {
    let server = Server::with(|config, _| config.cors_origins = vec![ORIGIN.to_owned()]).await;
    let body = json!({ "username": "demo", "password": PASSWORD, "session": "cookie" });
    let answer = post_json(&server.url, "/login", &body).await;
    assert_eq!(answer.json().get("refresh_token"), None);
    let cookie_of = |answer: &Answer| {
        let cookie = answer.header("set-cookie").to_owned();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(
            attributes, "Path=/; Max-Age=604800; Secure; HttpOnly; SameSite=Strict",
            "{answer:?}"
        );
        assert!(pair.starts_with("__Host-countersign-refresh="), "{pair}");
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
    assert!(answer.header("set-cookie").starts_with("__Host-countersign-refresh=; "));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    request(&cookie, "/token", &[]).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn only_listed_origins_get_cors_headers() {
    let server = Server::with(|config, _| config.cors_origins = vec![ORIGIN.to_owned()]).await;
    let ask = |method: &str, path: &str, origin: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client().request(method, format!("{}{path}", server.url));
        send(request.header("origin", origin).header("access-control-request-method", "POST"))
    };
    for path in ["/login", "/token", "/logout", "/revoke", "/.well-known/jwks.json"] {
        let credentials = if path.starts_with("/.well") { "" } else { "true" };
        let answer = ask("OPTIONS", path, ORIGIN).await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(answer.header("access-control-allow-headers"), "content-type");
        assert_eq!(answer.header("access-control-allow-credentials"), credentials);
        assert_eq!(answer.header("vary"), "Origin");
        let answer = ask("OPTIONS", path, "http://evil.example").await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert_eq!(answer.header("access-control-allow-headers"), "");
        assert_eq!(answer.header("vary"), "Origin");
    }
    // A refusal needs CORS headers too, or the page could not read the reason.
    let answer = ask("POST", "/login", ORIGIN).await;
    assert_eq!(answer.status, 415);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(ask("OPTIONS", "/healthz/live", ORIGIN).await.status, 405);

    let closed = Server::start().await;
    let url = format!("{}/.well-known/jwks.json", closed.url);
    let answer = send(client().get(url).header("origin", ORIGIN)).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("vary"), "");
}
