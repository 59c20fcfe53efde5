//! Confidential clients: tokens for themselves, and introspection of other tokens.

use std::path::Path;
use std::sync::atomic::Ordering;

use countersign_issuer::{Config, Limits};
use serde_json::{Value, json};

use crate::common::{
    Answer, Backend, PASSWORD, START, Server, client, command, execute, jwt_part, login,
};
use crate::common::{over_all, post_form, post_json, refresh, send, stderr, stdout};

over_all!(
    a_client_gets_a_token_for_itself_and_no_refresh_token,
    a_client_may_narrow_its_scope_but_not_widen_it,
    every_failed_client_authentication_has_the_same_response,
    credentials_are_checked_also_where_none_are_needed,
    a_new_secret_replaces_the_old_one,
    a_wrong_client_command_is_refused_with_a_reason_and_changes_nothing,
    introspection_returns_the_current_state_of_a_token,
    introspection_refuses_the_tokens_of_a_locked_client,
    a_clock_that_is_behind_revives_no_access_token,
    locking_a_user_ends_their_sessions_and_unlocking_allows_logins_again,
    a_narrower_scope_ends_the_sessions_of_a_user_and_a_wider_one_does_not,
    a_password_that_has_expired_opens_no_session_until_another_one_is_set,
    deleting_a_user_ends_their_sessions_and_a_new_user_of_that_name_is_another,
);

/// The id and the secret of a client.
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> String {
    let done = command(folder, arguments, "");
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

fn credentials(printed: &str) -> Credentials {
    let printed: Value = serde_json::from_str(printed).unwrap();
    let text = |name: &str| printed[name].as_str().unwrap().to_owned();
    Credentials { id: text("client_id"), secret: text("client_secret") }
}

pub(crate) fn add(folder: &Path, name: &str, scope: &str) -> Credentials {
    credentials(&run(folder, &["client", "add", name, "--scope", scope, "--json"]))
}

pub(crate) const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Sends a request with HTTP Basic authentication.
pub(crate) async fn ask(
    server: &Server,
    path: &str,
    by: &Credentials,
    form: &[(&str, &str)],
) -> Answer {
    let request = client().post(format!("{}{path}", server.url)).form(form);
    send(request.basic_auth(&by.id, Some(&by.secret))).await
}

pub(crate) async fn introspect(server: &Server, by: &Credentials, token: &str) -> Value {
    let answer = ask(server, "/introspect", by, &[("token", token)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

async fn a_client_gets_a_token_for_itself_and_no_refresh_token(backend: Backend) {
    let server = Server::on(backend).await;
    let worker = add(server.folder.path(), "worker", "read write");
    let basic = ask(&server, "/token", &worker, &[GRANT]).await;
    let form = [GRANT, ("client_id", &worker.id), ("client_secret", &worker.secret)];
    let post = post_form(&server.url, "/token", &form).await;
    for answer in [basic, post] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["access_token", "expires_in", "scope", "token_type"]);
        assert_eq!((&body["expires_in"], &body["scope"]), (&json!(900), &json!("read write")));
        let mut claims = answer.claims();
        assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
        let expected = json!({
            "iss": server.url, "sub": worker.id, "aud": "api", "client_id": worker.id,
            "scope": "read write", "iat": START, "exp": START + 900,
        });
        assert_eq!(claims, expected);
        assert_eq!(jwt_part(&answer.field("access_token"), 0)["typ"], "at+jwt");
    }
    assert!(worker.id.starts_with("client_"));
}

async fn a_client_may_narrow_its_scope_but_not_widen_it(backend: Backend) {
    let server = Server::on(backend).await;
    let worker = add(server.folder.path(), "worker", "read write");
    let less = ask(&server, "/token", &worker, &[GRANT, ("scope", "write")]).await;
    assert_eq!((less.status, less.claims()["scope"].as_str()), (200, Some("write")));
    let many = "read ".repeat(1000) + "write";
    let once = ask(&server, "/token", &worker, &[GRANT, ("scope", &many)]).await;
    assert_eq!((once.status, once.field("scope")), (200, "read write".to_owned()));
    assert_eq!(once.claims()["scope"], "read write");
    for scope in ["read admin", "READ", "read  write"] {
        let more = ask(&server, "/token", &worker, &[GRANT, ("scope", scope)]).await;
        more.refused(400, "invalid_scope");
    }
    let twice = add(server.folder.path(), "twice", "write read write");
    assert_eq!(ask(&server, "/token", &twice, &[GRANT]).await.field("scope"), "write read");
    let without = add(server.folder.path(), "without", "");
    let answer = ask(&server, "/token", &without, &[GRANT]).await;
    assert_eq!((answer.status, answer.field("scope")), (200, String::new()));
    assert_eq!(answer.claims().get("scope"), None);
}

async fn every_failed_client_authentication_has_the_same_response(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let worker = add(folder, "worker", "read");
    let locked = add(folder, "locked", "read");
    run(folder, &["client", "lock", "locked"]);
    let with = |id: &str, secret: &str| Credentials { id: id.into(), secret: secret.into() };
    let mut answers = Vec::new();
    let wrong = [
        with(&worker.id, &locked.secret),
        with(&worker.id, ""),
        with(&worker.id, &format!("{}A", worker.secret)),
        with("client_nobody", &worker.secret),
        with("worker", &worker.secret),
        with("client_first_party", ""),
        with("", ""),
        locked,
    ];
    for wrong in &wrong {
        answers.push(ask(&server, "/token", wrong, &[GRANT]).await);
        answers.push(ask(&server, "/introspect", wrong, &[("token", "x")]).await);
    }
    for answer in &answers {
        answer.refused(401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"countersign\"");
        assert_eq!(answer.text, answers[0].text);
    }
    let twice = [GRANT, ("client_id", worker.id.as_str()), ("client_secret", &worker.secret)];
    ask(&server, "/token", &worker, &twice).await.refused(400, "invalid_request");
    let other = [GRANT, ("client_id", "client_other")];
    ask(&server, "/token", &worker, &other).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn missing_credentials_are_said_to_be_missing() {
    let server = Server::start().await;
    let worker = add(server.folder.path(), "worker", "read");
    for form in [
        &[GRANT][..],
        &[GRANT, ("client_id", &worker.id)],
        &[GRANT, ("client_secret", &worker.secret)],
        &[GRANT, ("client_id", &worker.id), ("client_secret", "")],
    ] {
        for header in ["", "Bearer x", "Digest x", "Basics x"] {
            let request = client().post(format!("{}/token", server.url)).form(form);
            let answer = send(request.header("authorization", header)).await;
            answer.refused(401, "invalid_client");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"countersign\"");
            let description = answer.field("error_description");
            assert!(description.contains("no credentials of a client"), "{description}");
        }
    }
}

#[tokio::test]
async fn only_basic_is_a_second_way_to_authenticate() {
    let server = Server::start().await;
    let worker = add(server.folder.path(), "worker", "read");
    let in_form = [("client_id", worker.id.as_str()), ("client_secret", &worker.secret)];
    let cases: [(&str, &[_]); 3] =
        [("/token", &[GRANT]), ("/introspect", &[("token", "x")]), ("/revoke", &[("token", "x")])];
    for (path, form) in cases {
        let with = |headers: &[&str], form: &[(&str, &str)]| {
            let mut request = client().post(format!("{}{path}", server.url)).form(form);
            for header in headers {
                request = request.header("authorization", *header);
            }
            send(request)
        };
        let both = [form, &in_form].concat();
        for header in ["Bearer x", "Digest username=\"x\"", "Negotiate x", "Basics x", "", "x"] {
            assert_eq!(with(&[header], &both).await.status, 200, "{path} {header}");
        }
        let second: &[&[&str]] =
            &[&["Basic eDp5"], &["basic eDp5"], &["Basic"], &["Bearer x", "Basic eDp5"]];
        for headers in second {
            let answer = with(headers, &both).await;
            answer.refused(400, "invalid_request");
            assert!(answer.field("error_description").contains("two ways"), "{answer:?}");
        }
        with(&["Basic eDp5", "Basic eDp5"], form).await.refused(400, "invalid_request");
        with(&["Bearer x", "Basic eDp5"], form).await.refused(401, "invalid_client");
    }
}

async fn credentials_are_checked_also_where_none_are_needed(backend: Backend) {
    let server = Server::on(backend).await;
    let worker = add(server.folder.path(), "worker", "read");
    let wrong = Credentials { id: worker.id.clone(), secret: "wrong".to_owned() };
    let token = login(&server.url).await.refresh_token();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let in_form = [("client_id", worker.id.as_str()), ("client_secret", "wrong")];
    for (path, form) in [("/token", &refresh[..]), ("/revoke", &[("token", token.as_str())])] {
        ask(&server, path, &wrong, form).await.refused(401, "invalid_client");
        let both = [form, &in_form].concat();
        post_form(&server.url, path, &both).await.refused(401, "invalid_client");
        // The session belongs to another client.
        ask(&server, path, &worker, form).await.refused(400, "invalid_grant");
    }
    // An access token is no credential of a client.
    let request = client().post(format!("{}/token", server.url)).form(&refresh);
    assert_eq!(send(request.bearer_auth("x")).await.status, 200);
}

async fn a_new_secret_replaces_the_old_one(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let before = add(folder, "worker", "read");
    let after = credentials(&run(folder, &["client", "rotate", "worker", "--json"]));
    assert_eq!(before.id, after.id);
    assert_eq!(ask(&server, "/token", &after, &[GRANT]).await.status, 200);
    ask(&server, "/token", &before, &[GRANT]).await.refused(401, "invalid_client");
    run(folder, &["client", "lock", "worker"]);
    ask(&server, "/token", &after, &[GRANT]).await.refused(401, "invalid_client");
    assert!(run(folder, &["client", "list"]).ends_with("\tread\tlocked\n"));
    run(folder, &["client", "unlock", "worker"]);
    assert_eq!(ask(&server, "/token", &after, &[GRANT]).await.status, 200);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_stored_nowhere() {
    let server = Server::start().await;
    let folder = server.folder.path();
    let worker = add(folder, "worker", "read");
    assert_eq!(worker.secret.len(), 43);
    let shown = run(folder, &["client", "add", "other", "--scope", "read"]);
    assert!(shown.contains("client_id      client_") && shown.contains("client_secret  "));
    assert_eq!(run(folder, &["client", "list"]).matches("client_").count(), 2);
    assert!(!run(folder, &["client", "list"]).contains(&worker.secret));
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let found = bytes.windows(worker.secret.len()).any(|w| w == worker.secret.as_bytes());
        assert!(!found);
    }
}

async fn a_wrong_client_command_is_refused_with_a_reason_and_changes_nothing(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let worker = add(folder, "worker", "read");
    let cases: [(&[&str], &str); 11] = [
        (&["client", "add", "worker"], "client worker exists; use client rotate"),
        (&["client", "add", "two words"], "is not a client name"),
        (&["client", "add", "new", "--scope", "a  b"], "is not a scope"),
        (&["client", "rotate", "nobody"], "there is no client nobody; see client list"),
        (&["client", "lock", "nobody"], "there is no client nobody; see client list"),
        (&["user", "lock", "nobody"], "there is no user nobody; see user list"),
        (&["user", "scope", "nobody", "read"], "there is no user nobody; see user list"),
        (&["user", "scope", "demo", "a  b"], "not a scope"),
        (&["user", "delete", "nobody"], "there is no user nobody; see user list"),
        (&["user", "expire-passwords", "demo", "nobody"], "there is no user nobody"),
        (&["user", "expire-passwords", ""], "is not a user name"),
    ];
    for (arguments, message) in cases {
        let done = command(folder, arguments, "");
        assert_eq!(done.status.code(), Some(1));
        assert!(stderr(&done).contains(message), "{}", stderr(&done));
        assert_eq!(stdout(&done), "");
    }
    assert_eq!(ask(&server, "/token", &worker, &[GRANT]).await.status, 200);
}

async fn introspection_returns_the_current_state_of_a_token(backend: Backend) {
    let server = Server::on(backend).await;
    let api = add(server.folder.path(), "api", "");
    let dead = json!({ "active": false });

    let first = login(&server.url).await;
    let access_token = first.field("access_token");
    let mut expected = first.claims();
    expected["active"] = json!(true);
    expected["token_type"] = json!("Bearer");
    assert_eq!(introspect(&server, &api, &access_token).await, expected);

    let found = introspect(&server, &api, &first.refresh_token()).await;
    let expected = json!({
        "active": true, "scope": "read write", "client_id": "client_first_party",
        "sub": first.claims()["sub"], "iss": server.url, "iat": START, "exp": START + 604_800,
    });
    assert_eq!(found, expected);
    let second = refresh(&server.url, &first.refresh_token()).await;
    assert_eq!(introspect(&server, &api, &first.refresh_token()).await, dead);
    assert_eq!(introspect(&server, &api, &second.refresh_token()).await["active"], true);

    let start = access_token.rfind('.').unwrap() + 1;
    let other = if access_token[start..].starts_with('A') { "B" } else { "A" };
    let forged = format!("{}{other}{}", &access_token[..start], &access_token[start + 1..]);
    for token in [forged.as_str(), "x", "a.b.c", &access_token[1..]] {
        assert_eq!(introspect(&server, &api, token).await, dead);
    }

    post_json(&server.url, "/logout", &json!({ "refresh_token": second.refresh_token() })).await;
    for token in [&access_token, &second.field("access_token"), &second.refresh_token()] {
        assert_eq!(introspect(&server, &api, token).await, dead);
    }
    let expires = login(&server.url).await.field("access_token");
    server.advance(899);
    assert_eq!(introspect(&server, &api, &expires).await["active"], true);
    server.advance(1);
    assert_eq!(introspect(&server, &api, &expires).await, dead);
    ask(&server, "/introspect", &api, &[]).await.refused(400, "invalid_request");
}

async fn introspection_refuses_the_tokens_of_a_locked_client(backend: Backend) {
    let server = Server::on(backend).await;
    let (api, worker) =
        (add(server.folder.path(), "api", ""), add(server.folder.path(), "worker", "read"));
    let token = ask(&server, "/token", &worker, &[GRANT]).await.field("access_token");
    assert_eq!(introspect(&server, &api, &token).await["sub"], worker.id.as_str());
    run(server.folder.path(), &["client", "lock", "worker"]);
    assert_eq!(introspect(&server, &api, &token).await, json!({ "active": false }));
}

async fn a_clock_that_is_behind_revives_no_access_token(backend: Backend) {
    let server = Server::on(backend).await;
    let api = add(server.folder.path(), "api", "read");
    let dead = json!({ "active": false });
    let user = login(&server.url).await.field("access_token");
    let own = ask(&server, "/token", &api, &[GRANT]).await.field("access_token");
    server.advance(900);
    server.looked().await;
    let later = login(&server.url).await.field("access_token");
    server.clock.fetch_sub(120, Ordering::Relaxed);
    for token in [&user, &own] {
        assert_eq!(introspect(&server, &api, token).await, dead);
    }
    assert_eq!(introspect(&server, &api, &later).await["active"], true);
    ask(&server, "/token", &api, &[GRANT]).await.refused(503, "temporarily_unavailable");

    // An issuer that starts with a clock that is behind knows the time from the database.
    let url = server.url.clone();
    let folder = server.stop().await;
    execute(folder.path(), "DELETE FROM countersign.clock");
    let latest = START + 900;
    execute(folder.path(), &format!("INSERT INTO countersign.clock VALUES (1, {latest})"));
    let same = |config: &mut Config, _: &mut Limits| config.issuer = Some(url);
    let server = Server::at(latest - 3600, folder, |clock| clock, same).await;
    for token in [&user, &own] {
        assert_eq!(introspect(&server, &api, token).await, dead);
    }
    assert_eq!(introspect(&server, &api, &later).await["active"], true);
}

async fn a_narrower_scope_ends_the_sessions_of_a_user_and_a_wider_one_does_not(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let token = login(&server.url).await.refresh_token();
    run(folder, &["user", "scope", "demo", "read write admin"]);
    let kept = refresh(&server.url, &token).await;
    assert_eq!(kept.json()["scope"], "read write", "a session keeps its scope");
    run(folder, &["user", "scope", "demo", "admin read"]);
    refresh(&server.url, &kept.refresh_token()).await.refused(400, "invalid_grant");
    let again = login(&server.url).await;
    assert_eq!(again.json()["scope"], "admin read");
    let listed: Value = serde_json::from_str(&run(folder, &["user", "list", "--json"])).unwrap();
    let sub = again.claims()["sub"].clone();
    let created_at = listed[0]["created_at"].clone();
    assert!(created_at.is_u64());
    let demo = json!({ "name": "demo", "sub": sub, "scope": "admin read", "locked": false,
                       "password_expired": false, "second_factors": [], "created_at": created_at });
    assert_eq!(listed, json!([demo]));

    let worker = add(folder, "worker", "read");
    run(folder, &["client", "scope", "worker", "write"]);
    run(folder, &["client", "lock", "worker"]);
    run(folder, &["client", "unlock", "worker"]);
    let answer = ask(&server, "/token", &worker, &[GRANT]).await;
    assert_eq!(answer.json()["scope"], "write");
    let listed: Value = serde_json::from_str(&run(folder, &["client", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["client_id"], worker.id);
    assert_eq!(listed[0]["scope"], "write");
}

async fn locking_a_user_ends_their_sessions_and_unlocking_allows_logins_again(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let token = login(&server.url).await.refresh_token();
    run(folder, &["user", "lock", "demo"]);
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
    let hashes = server.state.password_hashes();
    login(&server.url).await.refused(401, "invalid_grant");
    assert_eq!(server.state.password_hashes(), hashes + 1);
    assert!(run(folder, &["user", "list"]).ends_with("\tread write\tlocked\n"));
    run(folder, &["user", "unlock", "demo"]);
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
    assert_eq!(login(&server.url).await.status, 200);
}

async fn a_password_that_has_expired_opens_no_session_until_another_one_is_set(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    crate::common::add_user(folder, "eve");
    let token = login(&server.url).await.refresh_token();
    for arguments in [&["--all"][..], &["Demo", "eve"], &["--all"]] {
        let said = run(folder, &[&["user", "expire-passwords"], arguments].concat());
        assert!(said.starts_with("passwords that have expired: 2;"), "{said}");
    }
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
    let hashes = server.state.password_hashes();
    let answer = login(&server.url).await;
    answer.refused(401, "invalid_grant");
    assert!(answer.field("error_description").contains("has expired"), "{answer:?}");
    assert_eq!(server.state.password_hashes(), hashes + 1);
    let wrong = json!({ "username": "demo", "password": "wrong" });
    let answer = post_json(&server.url, "/login", &wrong).await;
    answer.refused(401, "invalid_grant");
    assert!(answer.field("error_description").contains("is wrong"), "{answer:?}");
    let listed = run(folder, &["user", "list"]);
    assert_eq!(listed.matches("\tread write\texpired\n").count(), 2, "{listed}");

    // A locked user is told nothing more.
    run(folder, &["user", "lock", "demo"]);
    let answer = login(&server.url).await;
    assert!(answer.field("error_description").contains("is wrong"), "{answer:?}");
    run(folder, &["user", "unlock", "demo"]);
    // A thief may know the old one.
    let again = command(folder, &["user", "passwd", "demo"], PASSWORD);
    assert!(stderr(&again).contains("this password of user demo has expired"), "{again:?}");
    assert!(command(folder, &["user", "passwd", "demo"], "quite another one").status.success());
    let new = json!({ "username": "demo", "password": "quite another one" });
    post_json(&server.url, "/login", &new).await.refresh_token();
    let folder = server.stop().await;
    let listed = run(folder.path(), &["user", "list"]);
    assert!(listed.starts_with("demo\t") && listed.matches("\texpired\n").count() == 1, "{listed}");
    let audited = run(folder.path(), &["audit", "list"]);
    assert_eq!(audited.matches("\tpassword_expired\t").count(), 2, "{audited}");
    assert_eq!(audited.matches("\tlogin_expired\t").count(), 1, "{audited}");
}

async fn deleting_a_user_ends_their_sessions_and_a_new_user_of_that_name_is_another(
    backend: Backend,
) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let api = add(folder, "api", "");
    let answer = login(&server.url).await;
    let (sub, token) = (answer.claims()["sub"].clone(), answer.refresh_token());
    assert_eq!(
        run(folder, &["user", "delete", "DEMO"]),
        "deleted user demo and ended their sessions\n"
    );
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
    for token in [&token, &answer.field("access_token")] {
        assert_eq!(introspect(&server, &api, token).await, json!({ "active": false }));
    }
    let hashes = server.state.password_hashes();
    login(&server.url).await.refused(401, "invalid_grant");
    assert_eq!(server.state.password_hashes(), hashes + 1);
    assert_eq!(run(folder, &["user", "list"]), "");
    crate::common::add_user(folder, "demo");
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
    let again = login(&server.url).await;
    assert_eq!(again.status, 200);
    assert_ne!(again.claims()["sub"], sub);
}
