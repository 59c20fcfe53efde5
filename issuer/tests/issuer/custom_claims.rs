//! Custom claims: those of a user in the tokens of their sessions, those of a client in its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::clients::{GRANT, add, ask, introspect, run};
use crate::common::{
    Answer, Backend, Server, command, jwt_part, login, over_all, refresh, stderr, stdout,
};

over_all!(
    access_tokens_have_the_claims_that_their_user_has_at_the_refresh,
    access_tokens_of_a_client_have_its_claims,
    claims_that_could_be_taken_for_others_are_refused_and_change_nothing,
);

/// Claims that are as large as they may be.
fn largest() -> String {
    format!(r#"{{"x":"{}"}}"#, "é".repeat(2044))
}

async fn access_tokens_have_the_claims_that_their_user_has_at_the_refresh(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let api = add(folder, "api", "");
    let registered = login(&server.url).await;
    let names = |token: &Value| token.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let plain = names(&registered.claims());
    assert!(!plain.contains(&"roles".to_owned()));

    let said = run(folder, &["user", "claims", "Demo", r#"{ "roles": ["editor"], "team": 7 }"#]);
    assert!(said.starts_with("set the claims of user demo;"), "{said}");
    assert_eq!(run(folder, &["user", "claims", "demo"]), "{\"roles\":[\"editor\"],\"team\":7}\n");
    let shown = run(folder, &["user", "claims", "demo", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let expected = json!({ "name": "demo", "claims": { "roles": ["editor"], "team": 7 } });
    assert_eq!(shown, expected);

    // The session of before goes on, and a new one is the same.
    let refreshed = refresh(&server.url, &registered.refresh_token()).await;
    for answer in [&refreshed, &login(&server.url).await] {
        let claims = answer.claims();
        assert_eq!((&claims["roles"], &claims["team"]), (&json!(["editor"]), &json!(7)));
        assert_eq!(claims.as_object().unwrap().len(), plain.len() + 2);
        let mut expected = claims;
        expected["active"] = json!(true);
        expected["token_type"] = json!("Bearer");
        let found = introspect(&server, &api, &answer.field("access_token")).await;
        assert_eq!(found, expected);
    }
    let of_refresh_token = introspect(&server, &api, &refreshed.refresh_token()).await;
    assert_eq!(of_refresh_token.get("roles"), None);

    // From stdin, and as many bytes as there may be.
    let done = command(folder, &["user", "claims", "demo", "-"], &largest());
    assert!(done.status.success(), "{}", stderr(&done));
    let large = refresh(&server.url, &refreshed.refresh_token()).await;
    assert_eq!(large.claims()["x"], "é".repeat(2044));
    let token = large.field("access_token");
    assert!(token.len() < 7000, "{}", token.len());
    assert_eq!(introspect(&server, &api, &token).await["x"], large.claims()["x"]);

    run(folder, &["user", "claims", "demo", "{}"]);
    let answer = refresh(&server.url, &large.refresh_token()).await;
    assert_eq!(names(&answer.claims()), plain);
    assert_eq!(run(folder, &["user", "claims", "demo"]), "{}\n");
    let audited = run(folder, &["audit", "list", "--event", "user_claims_changed"]);
    assert_eq!(audited.lines().count(), 3, "{audited}");
}

async fn access_tokens_of_a_client_have_its_claims(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let worker = add(folder, "worker", "read");
    let before = ask(&server, "/token", &worker, &[GRANT]).await;
    assert_eq!(run(folder, &["client", "claims", "worker"]), "{}\n");
    let set = run(folder, &["client", "claims", "worker", r#"{"entitlements":["a"]}"#, "--json"]);
    let set: Value = serde_json::from_str(&set).unwrap();
    let claims = json!({ "entitlements": ["a"] });
    assert_eq!(set, json!({ "name": "worker", "client_id": worker.id, "claims": claims }));
    let after = ask(&server, "/token", &worker, &[GRANT]).await;
    assert_eq!(after.claims()["entitlements"], json!(["a"]));
    let mut same = after.claims();
    same.as_object_mut().unwrap().remove("entitlements");
    let mut expected = before.claims();
    expected["jti"] = same["jti"].clone();
    assert_eq!(same, expected);
    run(folder, &["client", "claims", "worker", "{}"]);
    let length = |answer: &Answer| answer.field("access_token").len();
    let again = ask(&server, "/token", &worker, &[GRANT]).await;
    assert_eq!(length(&again), length(&before));
    let audited = run(folder, &["audit", "list", "--subject", &worker.id]);
    assert_eq!(audited.matches("\tclient_claims_changed\t").count(), 2, "{audited}");
}

async fn claims_that_could_be_taken_for_others_are_refused_and_change_nothing(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    add(folder, "worker", "read");
    let too_large = largest().replace("\"x\"", "\"xx\"");
    let five_kib = format!(r#"{{"x":"{}"}}"#, "x".repeat(5 * 1024));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(64), "]".repeat(64));
    let endless = format!("{{\"x\":1{}}}", " ".repeat(64 * 1024));
    for (claims, reason) in [
        (r#"{"sub":"user_y"}"#, "the claim \"sub\" is reserved"),
        (r#"{"exp":9999999999}"#, "the claim \"exp\" is reserved"),
        (r#"{"Scope":"admin"}"#, "the claim \"Scope\" is reserved"),
        (r#"{"roles":[],"acr":"2"}"#, "the claim \"acr\" is reserved"),
        (r#"["roles"]"#, "not a JSON object"),
        ("roles", "not a JSON object"),
        ("", "not a JSON object"),
        ("{\"roles\": [}", "the claims are refused: expected value"),
        (r#"{"a":1,"a":2}"#, "the member \"a\" is there twice"),
        (r#"{"a":{"b":1,"b":2}}"#, "the member \"b\" is there twice"),
        (r#"{"id":12345678901234567890}"#, "beyond ±9007199254740991"),
        (&deep, "more than 64 levels"),
        (&too_large, "the claims have 4097 bytes"),
        (&five_kib, "expected at most 4096"),
        (&endless, "more than 65536 bytes"),
    ] {
        for (noun, name) in [("user", "demo"), ("client", "worker")] {
            let done = command(folder, &[noun, "claims", name, "-"], claims);
            assert_eq!((done.status.code(), stdout(&done)), (Some(1), String::new()));
            assert!(stderr(&done).contains(reason), "{}", stderr(&done));
            assert_eq!(stderr(&done).lines().count(), 1);
        }
    }
    for noun in ["user", "client"] {
        for claims in [&["{}"][..], &[]] {
            let done = command(folder, &[&[noun, "claims", "nobody"], claims].concat(), "");
            assert!(stderr(&done).contains(&format!("there is no {noun} nobody")), "{done:?}");
        }
    }
    let audited = run(folder, &["audit", "list"]);
    assert!(!audited.contains("claims_changed"), "{audited}");
    assert_eq!(login(&server.url).await.claims()["scope"], "read write");
}

#[tokio::test]
async fn a_token_without_claims_of_its_own_has_the_members_of_before() {
    let server = Server::start().await;
    let worker = add(server.folder.path(), "worker", "read");
    let token = ask(&server, "/token", &worker, &[GRANT]).await.field("access_token");
    let claims = jwt_part(&token, 1);
    let text = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let expected = format!(
        r#"{{"iss":"{}","sub":"{id}","aud":"api","client_id":"{id}","scope":"read","iat":{},"exp":{},"jti":{}}}"#,
        server.url,
        claims["iat"],
        claims["exp"],
        claims["jti"],
        id = worker.id,
    );
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}
