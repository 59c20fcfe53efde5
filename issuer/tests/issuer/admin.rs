//! The Admin API.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use countersign_issuer::{AdminApi, Config, Limits};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{
    Answer, Backend, PASSWORD, Server, client, command, distinct, execute, folder_on, get, login,
    post_form, post_json, refresh, send, stderr, stdout,
};
use crate::common::{over_all, over_both};
use crate::watch;

over_all!(
    a_user_is_added_read_changed_and_deleted,
    a_user_is_added_with_a_hash_of_their_password,
    a_new_password_ends_sessions_and_is_not_one_that_has_expired,
    all_passwords_expire_page_by_page,
    a_reset_token_sets_a_password_once,
    every_other_token_is_refused,
    a_client_that_may_read_changes_nothing,
    a_client_is_locked_out_at_once,
    wrong_requests_are_refused_with_a_reason_and_change_nothing,
    lists_are_read_in_pages_while_they_change,
    sessions_are_listed_and_ended,
    a_client_is_added_and_changed_and_gets_a_new_secret,
    keys_are_listed_rotated_and_revoked,
    the_audit_log_says_which_client_made_a_change,
    a_repeated_request_has_the_same_answer,
    requests_with_one_key_at_the_same_time_add_one_user,
);
over_both!(an_answer_is_kept_for_a_day);

/// A server whose public listener has the Admin API, and the access tokens of two clients.
struct World {
    server: Server,
    admin: String,
    reader: String,
}

impl World {
    async fn on(backend: Backend) -> Self {
        Self::with(backend, |_, _| {}).await
    }

    async fn with(backend: Backend, change: impl FnOnce(&mut Config, &mut Limits)) -> Self {
        let public = |config: &mut Config, limits: &mut Limits| {
            config.admin_api = AdminApi::Public;
            change(config, limits);
        };
        let server = Server::over(folder_on(backend), public).await;
        let admin = new_token(&server, "operator", "countersign:admin").await;
        let reader = new_token(&server, "reader", "countersign:read").await;
        Self { server, admin, reader }
    }

    /// Sends a request of the client with the scope `countersign:admin`.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        send(self.request(method, path).json(body)).await
    }

    async fn read(&self, path: &str) -> Value {
        let request = client().get(format!("{}/admin/v1{path}", self.server.url));
        let answer = send(request.bearer_auth(&self.reader)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.json()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &body).await
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path, &body).await
    }

    async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/admin/v1{path}", self.server.url);
        client().request(method, url).bearer_auth(&self.admin)
    }

    /// Adds a user. Returns their `sub`.
    async fn add_user(&self, name: &str) -> String {
        let added = self.post("/users", json!({ "name": name, "password": PASSWORD })).await;
        assert_eq!(added.status, 201, "{added:?}");
        added.field("sub")
    }

    /// Returns the names of all items of a list, page after page.
    async fn names(&self, list: &str, limit: usize) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.read(&format!("/{list}?limit={limit}{cursor}")).await;
            let items = page[list].as_array().unwrap();
            assert!(items.len() <= limit);
            names.extend(items.iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return names,
            }
            assert_eq!(items.len(), limit, "a page is full if there is another one");
        }
    }
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let done = command(folder, arguments, "");
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

/// Adds a client. Returns the answer to its request for a token for the issuer itself.
async fn ask_for_token(server: &Server, name: &str, scope: &str, resource: &str) -> Answer {
    let printed = run(server.folder.path(), &["client", "add", name, "--scope", scope, "--json"]);
    let new: Value = serde_json::from_str(&printed).unwrap();
    let (id, secret) = (new["client_id"].as_str().unwrap(), new["client_secret"].as_str().unwrap());
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", resource),
        ("client_id", id),
        ("client_secret", secret),
    ];
    post_form(&server.url, "/token", &form).await
}

async fn new_token(server: &Server, name: &str, scope: &str) -> String {
    let answer = ask_for_token(server, name, scope, &server.url).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.claims()["aud"], server.url);
    answer.field("access_token")
}

async fn log_in(server: &Server, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password });
    post_json(&server.url, "/login", &body).await
}

async fn a_user_is_added_read_changed_and_deleted(backend: Backend) {
    let world = World::on(backend).await;
    let new = json!({
        "name": "Alice", "password": PASSWORD, "scope": "read read write", "claims": { "team": 7 },
    });
    let added = world.post("/users", new).await;
    assert_eq!(added.status, 201, "{added:?}");
    let mut user = added.json();
    let sub = added.field("sub");
    assert!(sub.starts_with("user_"));
    let now = world.server.clock.load(Ordering::Relaxed);
    let expected = json!({
        "sub": sub, "name": "alice", "scope": "read write", "locked": false,
        "password_expired": false, "second_factors": [], "claims": { "team": 7 },
        "created_at": now,
    });
    assert_eq!(user, expected);
    assert_eq!(world.read(&format!("/users/{sub}")).await, user);
    assert_eq!(world.read("/users?name=ALICE").await, json!({ "users": [user] }));
    assert_eq!(world.read("/users?name=nobody").await, json!({ "users": [] }));
    let session = log_in(&world.server, "alice", PASSWORD).await;
    assert_eq!((session.status, session.claims()["sub"].as_str()), (200, Some(sub.as_str())));
    assert_eq!(session.claims()["team"], 7);

    let path = format!("/users/{sub}");
    for (change, member, value, ends) in [
        (json!({ "scope": "read write more" }), "scope", json!("read write more"), false),
        (json!({ "claims": { "role": "editor" } }), "claims", json!({ "role": "editor" }), false),
        (json!({ "claims": {} }), "claims", json!({}), false),
        (json!({ "scope": "" }), "scope", json!(""), true),
        (json!({ "locked": true }), "locked", json!(true), true),
        (json!({ "locked": false }), "locked", json!(false), false),
        (json!({ "password_expired": true }), "password_expired", json!(true), true),
    ] {
        let session = log_in(&world.server, "alice", PASSWORD).await;
        let changed = world.patch(&path, change.clone()).await;
        user[member] = value;
        assert_eq!((changed.status, changed.json()), (200, user.clone()), "{change}");
        if session.status == 200 {
            let refreshed = refresh(&world.server.url, &session.refresh_token()).await;
            assert_eq!(refreshed.status == 400, ends, "{change}");
        }
    }
    let both = world.patch(&path, json!({ "locked": true, "scope": "one" })).await;
    assert_eq!((both.json()["locked"].clone(), both.field("scope")), (json!(true), "one".into()));

    let deleted = world.delete(&path).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    world.patch(&path, json!({ "locked": false })).await.refused(404, "not_found");
    send(world.request(Method::GET, &path)).await.refused(404, "not_found");
    assert_eq!(world.names("users", 50).await, ["demo"]);
    let again = world.post("/users", json!({ "name": "alice", "password": PASSWORD })).await;
    assert_eq!(again.status, 201);
    assert_ne!(again.field("sub"), sub);
}

async fn a_user_is_added_with_a_hash_of_their_password(backend: Backend) {
    let world = World::on(backend).await;
    let hash = "SELECT password_hash FROM countersign.users WHERE name = 'demo'";
    let hash = &execute(world.server.folder.path(), hash)[0];
    let added = world.post("/users", json!({ "name": "moved", "password_hash": hash })).await;
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(log_in(&world.server, "moved", "another password").await.status, 401);
    let session = log_in(&world.server, "moved", PASSWORD).await;
    assert_eq!(session.claims()["sub"], added.field("sub"));
    let hash = "$2b$04$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";
    let added = world.post("/users", json!({ "name": "foreign", "password_hash": hash })).await;
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(log_in(&world.server, "foreign", "correct horse").await.status, 200);
    for (hash, reason) in [
        ("$2b$99$", "malformed"),
        ("plain", "no kind that is known"),
        ("", "no kind that is known"),
        ("$2b$15$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG", "at most 14"),
        ("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo", "at most hash_memory"),
    ] {
        let refused = world.post("/users", json!({ "name": "x", "password_hash": hash })).await;
        refused.refused(400, "invalid_request");
        assert!(refused.field("error_description").contains(reason), "{refused:?}");
    }
    assert_eq!(world.names("users", 50).await, ["demo", "foreign", "moved"]);
}

async fn a_new_password_ends_sessions_and_is_not_one_that_has_expired(backend: Backend) {
    let world = World::on(backend).await;
    let sub = world.add_user("alice").await;
    let path = format!("/users/{sub}/password");
    let session = log_in(&world.server, "alice", PASSWORD).await;
    let set = world.post(&path, json!({ "password": "seven lanterns under plums" })).await;
    assert_eq!((set.status, set.text.as_str()), (204, ""));
    refresh(&world.server.url, &session.refresh_token()).await.refused(400, "invalid_grant");
    assert_eq!(log_in(&world.server, "alice", PASSWORD).await.status, 401);
    assert_eq!(log_in(&world.server, "alice", "seven lanterns under plums").await.status, 200);

    let expired = world.patch(&format!("/users/{sub}"), json!({ "password_expired": true })).await;
    assert_eq!(expired.status, 200);
    let same = world.post(&path, json!({ "password": "seven lanterns under plums" })).await;
    same.refused(400, "password_refused");
    assert!(same.field("error_description").contains("has expired"), "{same:?}");
    for weak in ["sh0rt", "password123", "countersign2026", "tab\tin the password"] {
        let refused = world.post(&path, json!({ "password": weak })).await;
        refused.refused(400, "password_refused");
        assert!(!refused.text.contains(weak), "{refused:?}");
    }
    assert_eq!(world.post(&path, json!({ "password": PASSWORD })).await.status, 204);
    assert_eq!(log_in(&world.server, "alice", PASSWORD).await.status, 200);
    let nobody = world.post("/users/user_nobody/password", json!({ "password": PASSWORD })).await;
    nobody.refused(404, "not_found");
}

async fn all_passwords_expire_page_by_page(backend: Backend) {
    let world = World::on(backend).await;
    let server = &world.server;
    let session = login(&server.url).await.refresh_token();
    // With `demo` two pages.
    let copy =
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 63)
                INSERT INTO countersign.users
                  (id, name, scope, password_hash, created_at, locked, claims)
                SELECT id || n, 'copy' || n, scope, password_hash, created_at, locked, claims
                FROM countersign.users, numbers";
    execute(server.folder.path(), copy);
    let users = world.names("users", 200).await.len();
    assert_eq!(users, 64);
    let path = "/users/expire-passwords";
    for (body, reason) in [
        (json!({}), "all must be true"),
        (json!({ "all": false }), "all must be true"),
        (json!({ "all": "yes" }), "all must be true or false"),
        (json!({ "all": true, "cursor": "!" }), "cursor is malformed"),
        (json!({ "all": true, "cursor": 7 }), "cursor must be a string"),
        (json!({ "all": true, "limit": 7 }), "unknown field `limit`"),
    ] {
        let refused = world.post(path, body).await;
        refused.refused(400, "invalid_request");
        assert!(refused.field("error_description").contains(reason), "{refused:?}");
    }
    assert_eq!(login(&server.url).await.status, 200);

    // The second round changes nothing.
    for round in 0..2 {
        let (mut subs, mut body) = (HashSet::new(), json!({ "all": true }));
        for size in [50, 14] {
            let answer = world.post(path, body.clone()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json()["subs"].as_array().unwrap().clone();
            assert_eq!(page.len(), size);
            subs.extend(page.iter().map(|sub| sub.as_str().unwrap().to_owned()));
            body["cursor"] = answer.json()["next_cursor"].clone();
        }
        assert_eq!((subs.len(), &body["cursor"]), (users, &Value::Null), "round {round}");
    }
    let refused = login(&server.url).await;
    refused.refused(401, "invalid_grant");
    assert!(refused.field("error_description").contains("has expired"), "{refused:?}");
    refresh(&server.url, &session).await.refused(400, "invalid_grant");
    let listed = world.read("/users?limit=200").await;
    let listed = listed["users"].as_array().unwrap();
    assert!(listed.iter().all(|user| user["password_expired"] == true), "{listed:?}");
    let id = world.read("/clients?name=operator").await["clients"][0]["client_id"].clone();
    let entries = world.read("/audit?event=password_expired&limit=200").await;
    let entries = entries["entries"].as_array().unwrap();
    assert_eq!(entries.len(), users);
    assert!(entries.iter().all(|entry| entry["actor"] == id && entry["network"].is_string()));
    send(world.request(Method::GET, path)).await.refused(405, "method_not_allowed");
}

async fn a_reset_token_sets_a_password_once(backend: Backend) {
    let world = World::on(backend).await;
    let sub = world.add_user("alice").await;
    let begun = world.post(&format!("/users/{sub}/password-reset"), Value::Null).await;
    let now = world.server.clock.load(Ordering::Relaxed);
    assert_eq!((begun.status, begun.json()["expires_at"].as_u64()), (201, Some(now + 3600)));
    assert_eq!(log_in(&world.server, "alice", PASSWORD).await.status, 200);
    let new = "seven lanterns under plums";
    let body = json!({ "token": begun.field("token"), "new_password": new });
    let reset = post_json(&world.server.url, "/password/reset", &body).await;
    assert_eq!(reset.status, 204, "{reset:?}");
    assert!(post_json(&world.server.url, "/password/reset", &body).await.status >= 400);
    assert_eq!(log_in(&world.server, "alice", new).await.status, 200);

    let entries = world.read("/audit?event=password_reset_begun,password_reset").await;
    let id = world.read("/clients?name=operator").await["clients"][0]["client_id"].clone();
    let actors = entries["entries"].as_array().unwrap().iter().map(|entry| entry["actor"].clone());
    assert_eq!(actors.collect::<Vec<_>>(), [Value::Null, id]);
    let nobody = world.post("/users/user_x/password-reset", Value::Null).await;
    nobody.refused(404, "not_found");
}

async fn every_other_token_is_refused(backend: Backend) {
    let world = World::on(backend).await;
    let server = &world.server;
    let url = format!("{}/admin/v1/users", server.url);
    let without = send(client().get(&url)).await;
    without.refused(401, "unauthorized");
    assert_eq!(without.header("www-authenticate"), "Bearer realm=\"countersign\"");
    let twice = client().get(&url).bearer_auth(&world.reader).bearer_auth(&world.reader);
    send(twice).await.refused(400, "invalid_request");

    let user = login(&server.url).await.field("access_token");
    let for_api = [("grant_type", "client_credentials")];
    let printed = run(
        server.folder.path(),
        &["client", "add", "both", "--scope", "read countersign:admin", "--json"],
    );
    let both: Value = serde_json::from_str(&printed).unwrap();
    let (id, secret) =
        (both["client_id"].as_str().unwrap(), both["client_secret"].as_str().unwrap());
    let for_api = client().post(format!("{}/token", server.url)).form(&for_api);
    let for_api = send(for_api.basic_auth(id, Some(secret))).await.field("access_token");
    let mut forged = world.admin.clone();
    let signature = forged.rfind('.').unwrap() + 20;
    let flipped = if &forged[signature..=signature] == "A" { "B" } else { "A" };
    forged.replace_range(signature..=signature, flipped);
    for (name, token) in [
        ("a user's token", &user),
        ("a token for the API", &for_api),
        ("a forged token", &forged),
        ("no token at all", &"x".to_owned()),
    ] {
        let refused = send(client().get(&url).bearer_auth(token)).await;
        refused.refused(401, "invalid_token");
        let challenge = "Bearer realm=\"countersign\", error=\"invalid_token\"";
        assert_eq!(refused.header("www-authenticate"), challenge, "{name}");
    }
    let unscoped = ask_for_token(server, "unscoped", "read", &server.url).await;
    unscoped.refused(400, "invalid_target");
    server.advance(901);
    let expired = send(client().get(&url).bearer_auth(&world.admin)).await;
    expired.refused(401, "invalid_token");
}

async fn a_client_that_may_read_changes_nothing(backend: Backend) {
    let world = World::on(backend).await;
    let sub = world.add_user("alice").await;
    let kid = world.read("/keys").await["keys"][0]["kid"].as_str().unwrap().to_owned();
    let new = json!({ "name": "eve", "password": PASSWORD });
    for (method, path, body) in [
        (Method::POST, "/users".to_owned(), new.clone()),
        (Method::PATCH, format!("/users/{sub}"), json!({ "locked": true })),
        (Method::DELETE, format!("/users/{sub}"), Value::Null),
        (Method::POST, format!("/users/{sub}/password"), json!({ "password": PASSWORD })),
        (Method::POST, format!("/users/{sub}/password-reset"), Value::Null),
        (Method::POST, "/users/expire-passwords".to_owned(), json!({ "all": true })),
        (Method::DELETE, format!("/users/{sub}/sessions"), Value::Null),
        (Method::DELETE, "/sessions/AAAAAAAAAAAAAAAAAAAAAA".to_owned(), Value::Null),
        (Method::POST, "/clients".to_owned(), json!({ "name": "eve" })),
        (Method::PATCH, "/clients/client_x".to_owned(), json!({ "locked": true })),
        (Method::POST, "/clients/client_x/secret".to_owned(), Value::Null),
        (Method::POST, "/keys/rotate".to_owned(), Value::Null),
        (Method::DELETE, format!("/keys/{kid}"), Value::Null),
    ] {
        let url = format!("{}/admin/v1{path}", world.server.url);
        let request = client().request(method.clone(), url).json(&body);
        let refused = send(request.bearer_auth(&world.reader)).await;
        refused.refused(403, "insufficient_scope");
        let challenge = "Bearer realm=\"countersign\", error=\"insufficient_scope\", \
                         scope=\"countersign:admin\"";
        assert_eq!(refused.header("www-authenticate"), challenge, "{method} {path}");
    }
    let entries = world.read("/audit?limit=2").await;
    assert_eq!(entries["entries"][0]["event"], "user_added", "{entries}");
    assert_eq!(world.names("users", 50).await, ["alice", "demo"]);
}

async fn a_client_is_locked_out_at_once(backend: Backend) {
    let world = World::on(backend).await;
    let folder = world.server.folder.path();
    run(folder, &["client", "scope", "operator", "countersign:read"]);
    world.post("/users", json!({})).await.refused(403, "insufficient_scope");
    assert_eq!(send(world.request(Method::GET, "/users")).await.status, 200);
    run(folder, &["client", "lock", "operator"]);
    send(world.request(Method::GET, "/users")).await.refused(401, "invalid_token");
    world.read("/users").await;
}

async fn wrong_requests_are_refused_with_a_reason_and_change_nothing(backend: Backend) {
    let world = World::on(backend).await;
    let sub = world.add_user("alice").await;
    let user = format!("/users/{sub}");
    let id = world.read("/clients?name=reader").await["clients"][0]["client_id"].clone();
    let client_path = format!("/clients/{}", id.as_str().unwrap());
    for (method, path, body, reason) in [
        (Method::POST, "/users", json!([]), "the body is not a well-formed JSON object"),
        (Method::POST, "/users", json!({}), "expected either password or password_hash"),
        (Method::POST, "/users", json!({ "password": PASSWORD }), "name is missing"),
        (Method::POST, "/users", json!({ "name": 7, "password": PASSWORD }), "name must be a"),
        (Method::POST, "/users", json!({ "name": "x", "password": 7 }), "password must be a"),
        (
            Method::POST,
            "/users",
            json!({ "name": "x", "password": PASSWORD, "password_hash": "x" }),
            "expected either",
        ),
        (Method::POST, "/users", json!({ "name": "x", "pass": "s3cret" }), "unknown field `pass`"),
        (Method::POST, "/users", json!({ "name": " ", "password": PASSWORD }), "not a user name"),
        (
            Method::POST,
            "/users",
            json!({ "name": "x", "password": PASSWORD, "scope": "a  b" }),
            "not a scope",
        ),
        (Method::PATCH, &user, json!({}), "changes nothing"),
        (Method::PATCH, &user, json!({ "locked": null }), "changes nothing"),
        (Method::PATCH, &user, json!({ "locked": "yes" }), "locked must be true or false"),
        (Method::PATCH, &user, json!({ "locked": true, "scope": "a  b" }), "not a scope"),
        (Method::PATCH, &user, json!({ "password_expired": false }), "can only become true"),
        (Method::PATCH, &user, json!({ "name": "bob" }), "unknown field `name`"),
        (Method::PATCH, &user, json!({ "claims": { "sub": "x" } }), "is reserved"),
        (Method::PATCH, &user, json!({ "claims": { "a": "x".repeat(5000) } }), "at most 4096"),
        (Method::PATCH, &user, json!({ "locked": true, "claims": [] }), "expected"),
        (Method::POST, "/clients", json!({}), "name is missing"),
        (Method::POST, "/clients", json!({ "name": "a b" }), "not a client name"),
        (Method::POST, "/clients", json!({ "name": "a", "scope": [] }), "scope must be a string"),
        (Method::PATCH, &client_path, json!({}), "changes nothing"),
        (Method::PATCH, &client_path, json!({ "audiences": "x" }), "must be an array of strings"),
        (Method::PATCH, &client_path, json!({ "audiences": ["x"] }), "is not a resource"),
        (Method::PATCH, &client_path, json!({ "scope": "\u{e9}" }), "not a scope"),
    ] {
        let refused = world.ask(method.clone(), path, &body).await;
        refused.refused(400, "invalid_request");
        let description = refused.field("error_description");
        assert!(description.contains(reason), "{method} {path} {body}: {description}");
        assert!(!description.contains("s3cret"), "{description}");
    }
    let twice = world.request(Method::POST, "/clients").header("content-type", "application/json");
    let twice = send(twice.body("{\"name\":\"x\",\"name\":\"y\"}")).await;
    twice.refused(400, "invalid_request");
    let form = send(world.request(Method::POST, "/users").form(&[("name", "x")])).await;
    form.refused(415, "unsupported_media_type");
    let long = json!({ "name": "x", "password": "x".repeat(16 * 1024) });
    world.post("/users", long).await.refused(413, "content_too_large");

    for query in [
        "/users?limit=0",
        "/users?limit=201",
        "/users?limit=x",
        "/users?limit=1&limit=2",
        "/users?cursor=!",
        "/users?cursor=AA",
        "/users?nam=alice",
        "/users?name=%00",
        "/users?name=%zz",
        "/clients?limit=-1",
        "/clients?cursor=AA",
        "/audit?event=unknown",
        "/audit?since=yesterday",
        "/audit?since=18446744073709551615",
        "/audit?cursor=MTg0NDY3NDQwNzM3MDk1NTE2MTU",
        "/audit?cursor=eA",
        "/audit?subject=%00",
        &format!("{user}/sessions?cursor=eA"),
        &format!("{user}/sessions?cursor=MSB4"),
    ] {
        let refused = send(world.request(Method::GET, query)).await;
        refused.refused(400, "invalid_request");
    }
    for path in ["/users/", "/users/user_x", "/users/%00", "/clients/client_x", "/x", "/users/a/b"]
    {
        send(world.request(Method::GET, path)).await.refused(404, "not_found");
    }
    send(world.request(Method::GET, "/audit?user=nobody")).await.refused(404, "not_found");
    let put = send(world.request(Method::PUT, &user)).await;
    put.refused(405, "method_not_allowed");
    assert_eq!(put.header("allow"), "GET, HEAD, PATCH, DELETE");
    send(world.request(Method::OPTIONS, &user)).await.refused(405, "method_not_allowed");
    for key in ["", "\u{e9}", &"x".repeat(256)] {
        let request = world.request(Method::POST, "/clients").json(&json!({ "name": "x" }));
        let refused = send(request.header("idempotency-key", key)).await;
        refused.refused(400, "invalid_request");
    }
    world
        .post("/users", json!({ "name": "ALICE", "password": PASSWORD }))
        .await
        .refused(409, "conflict");
    world.post("/clients", json!({ "name": "reader" })).await.refused(409, "conflict");

    assert_eq!(world.names("users", 50).await, ["alice", "demo"]);
    assert_eq!(world.names("clients", 50).await, ["operator", "reader"]);
    assert_eq!(world.read(&user).await["locked"], false);
}

async fn lists_are_read_in_pages_while_they_change(backend: Backend) {
    let world = World::on(backend).await;
    for name in ["bob", "carol", "dave", "Zoë", "éva", "_"] {
        world.add_user(name).await;
    }
    let all = ["_", "bob", "carol", "dave", "demo", "zoë", "éva"];
    for limit in [1, 3, 6, 7, 8] {
        assert_eq!(world.names("users", limit).await, all, "{limit}");
    }
    assert_eq!(world.names("clients", 1).await, ["operator", "reader"]);

    // The next page begins after the last user of this one, also if that user is gone.
    let page = world.read("/users?limit=3").await;
    let last = page["users"][2]["sub"].as_str().unwrap();
    assert_eq!(world.delete(&format!("/users/{last}")).await.status, 204);
    world.add_user("aaron").await;
    world.add_user("dean").await;
    let next = page["next_cursor"].as_str().unwrap();
    let page = world.read(&format!("/users?limit=200&cursor={next}")).await;
    let names = page["users"].as_array().unwrap().iter().map(|user| user["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["dave", "dean", "demo", "zoë", "éva"]);

    let mut ids = Vec::new();
    let mut path = "/audit?limit=2&event=user_added,user_deleted".to_owned();
    loop {
        let page = world.read(&path).await;
        let entries = page["entries"].as_array().unwrap();
        ids.extend(entries.iter().map(|entry| entry["id"].as_u64().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/audit?limit=2&event=user_added,user_deleted&cursor={next}");
        // A later entry is on no later page.
        world.add_user(&format!("later{}", ids.len())).await;
    }
    assert_eq!(ids.len(), 10);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
}

async fn sessions_are_listed_and_ended(backend: Backend) {
    let world = World::on(backend).await;
    let sub = world.read("/users?name=demo").await["users"][0]["sub"].clone();
    let path = format!("/users/{}/sessions", sub.as_str().unwrap());
    assert_eq!(world.read(&path).await, json!({ "sessions": [] }));
    let mut opened = Vec::new();
    for _ in 0..5 {
        let session = login(&world.server.url).await;
        opened.push((session.claims()["sid"].as_str().unwrap().to_owned(), session));
        if opened.len() == 3 {
            world.server.advance(5);
        }
    }
    let listed = async |limit: usize| {
        let (mut sids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.read(&format!("{path}?limit={limit}{cursor}")).await;
            for session in page["sessions"].as_array().unwrap() {
                assert_eq!(session["methods"], json!(["pwd"]));
                assert_eq!(session["scope"], "read write");
                assert!(session["expires_at"].as_u64() > session["last_used_at"].as_u64());
                sids.push(session["id"].as_str().unwrap().to_owned());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return sids,
            }
        }
    };
    let all: HashSet<_> = opened.iter().map(|(sid, _)| sid.clone()).collect();
    for limit in [1, 2, 5, 200] {
        let sids = listed(limit).await;
        assert_eq!(sids.len(), 5);
        assert_eq!(sids.iter().cloned().collect::<HashSet<_>>(), all);
        let later: HashSet<_> = opened[3..].iter().map(|(sid, _)| sid.clone()).collect();
        assert!(sids[..2].iter().all(|sid| later.contains(sid)), "the last opened first");
    }
    let (sid, session) = &opened[0];
    for _ in 0..2 {
        assert_eq!(world.delete(&format!("/sessions/{sid}")).await.status, 204);
    }
    refresh(&world.server.url, &session.refresh_token()).await.refused(400, "invalid_grant");
    assert_eq!(listed(50).await.len(), 4);
    for unknown in ["AAAAAAAAAAAAAAAAAAAAAA", "x", &format!("{sid}A")] {
        let refused = world.delete(&format!("/sessions/{unknown}")).await;
        refused.refused(404, "not_found");
    }
    for _ in 0..2 {
        assert_eq!(world.delete(&path).await.status, 204);
    }
    assert_eq!(listed(50).await, Vec::<String>::new());
    for (_, session) in &opened[1..] {
        refresh(&world.server.url, &session.refresh_token()).await.refused(400, "invalid_grant");
    }
    let ended = world.read("/audit?event=session_ended,sessions_ended").await;
    assert_eq!(ended["entries"].as_array().unwrap().len(), 2, "{ended}");
    world.delete("/users/user_x/sessions").await.refused(404, "not_found");
}

async fn a_client_is_added_and_changed_and_gets_a_new_secret(backend: Backend) {
    let world = World::on(backend).await;
    let new = json!({
        "name": "worker", "scope": "read", "claims": { "team": 7 },
        "audiences": ["https://orders.example"],
    });
    let added = world.post("/clients", new).await;
    assert_eq!(added.status, 201, "{added:?}");
    let mut client = added.json();
    let secret = client.as_object_mut().unwrap().remove("client_secret").unwrap();
    let id = added.field("client_id");
    let now = world.server.clock.load(Ordering::Relaxed);
    let expected = json!({
        "client_id": id, "name": "worker", "scope": "read", "locked": false, "created_at": now,
        "claims": { "team": 7 }, "audiences": ["https://orders.example"],
    });
    assert_eq!(client, expected);
    let path = format!("/clients/{id}");
    assert_eq!(world.read(&path).await, client);
    assert_eq!(world.read("/clients?name=worker").await, json!({ "clients": [client] }));
    let token = async |secret: &str| {
        let form =
            [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", secret)];
        post_form(&world.server.url, "/token", &form).await
    };
    assert_eq!(token(secret.as_str().unwrap()).await.field("scope"), "read");

    let changes = json!({ "scope": "read write", "locked": true, "claims": {}, "audiences": [] });
    for (name, value) in changes.as_object().unwrap() {
        client[name] = value.clone();
    }
    let changed = world.patch(&path, changes).await;
    assert_eq!((changed.status, changed.json()), (200, client));
    token(secret.as_str().unwrap()).await.refused(401, "invalid_client");
    assert_eq!(world.patch(&path, json!({ "locked": false })).await.status, 200);

    let rotated = world.post(&format!("{path}/secret"), Value::Null).await;
    assert_eq!((rotated.status, rotated.field("client_id")), (201, id.clone()));
    token(secret.as_str().unwrap()).await.refused(401, "invalid_client");
    assert_eq!(token(&rotated.field("client_secret")).await.field("scope"), "read write");
    world.post("/clients/client_x/secret", Value::Null).await.refused(404, "not_found");
    world.patch("/clients/client_x", json!({ "locked": true })).await.refused(404, "not_found");
}

async fn keys_are_listed_rotated_and_revoked(backend: Backend) {
    let world = World::on(backend).await;
    let keys = async || {
        let keys = world.read("/keys").await["keys"].clone();
        let listed: Value =
            serde_json::from_str(&run(world.server.folder.path(), &["keys", "list", "--json"]))
                .unwrap();
        assert_eq!(keys, listed, "as the command lists them");
        keys.as_array().unwrap().clone()
    };
    let before = keys().await;
    let [active, next] = ["active", "published"].map(|state| {
        before.iter().find(|key| key["state"] == state).unwrap()["kid"].as_str().unwrap().to_owned()
    });
    let plan = world.read("/keys/plan").await;
    assert_eq!(plan["now"], world.server.clock.load(Ordering::Relaxed));
    assert_eq!(plan["keys"][0]["kid"], active.as_str());
    assert!(plan["keys"].as_array().unwrap().iter().any(|key| key["kid"].is_null()));

    let rotated = world.post("/keys/rotate", Value::Null).await;
    assert_eq!((rotated.status, rotated.field("signing_kid")), (200, active.clone()));
    assert!(rotated.json()["next_signs_in"].as_u64().unwrap() > 0);

    let revoked = world.delete(&format!("/keys/{active}")).await;
    let expected = json!({ "revoked_kid": active, "signing_kid": next });
    assert_eq!((revoked.status, revoked.json()), (200, expected));
    // The token of this client was signed with the key that is gone.
    world.server.looked().await;
    send(world.request(Method::GET, "/keys")).await.refused(401, "invalid_token");
    let token = new_token(&world.server, "another", "countersign:admin").await;
    let world = World { admin: token.clone(), reader: token, ..world };
    assert!(
        world.read("/keys").await["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["kid"] != active.as_str())
    );
    world.delete(&format!("/keys/{active}")).await.refused(404, "not_found");
}

async fn the_audit_log_says_which_client_made_a_change(backend: Backend) {
    let world = World::on(backend).await;
    let id = world.read("/clients?name=operator").await["clients"][0]["client_id"].clone();
    let sub = world.add_user("alice").await;
    world.patch(&format!("/users/{sub}"), json!({ "locked": true, "scope": "read" })).await;
    world.post(&format!("/users/{sub}/password"), json!({ "password": PASSWORD })).await;
    world.delete(&format!("/users/{sub}")).await;
    world.post("/clients", json!({ "name": "worker" })).await;
    run(world.server.folder.path(), &["user", "lock", "demo"]);

    let entries = world.read("/audit?limit=7").await["entries"].clone();
    let entries = entries.as_array().unwrap();
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry["event"].as_str().unwrap(), entry["actor"].clone()))
        .collect();
    let by = |event| (event, id.clone());
    let expected = [
        ("user_locked", Value::Null),
        by("client_added"),
        by("user_deleted"),
        by("password_changed"),
        by("user_scope_changed"),
        by("user_locked"),
        by("user_added"),
    ];
    assert_eq!(shown, expected);
    assert!(entries[1..].iter().all(|entry| entry["network"].is_string()), "{entries:?}");
    let printed = run(world.server.folder.path(), &["audit", "list", "--limit", "2"]);
    let actors: Vec<_> = printed.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(actors, [id.as_str().unwrap(), "-"]);

    let of_alice = world.read(&format!("/audit?user={sub}&event=user_locked")).await;
    assert_eq!(of_alice["entries"].as_array().unwrap().len(), 1);
    let since = world.server.clock.load(Ordering::Relaxed) + 1;
    assert_eq!(
        world.read(&format!("/audit?since={since}&event=user_added")).await["entries"],
        json!([])
    );
    let network = entries[1]["network"].as_str().unwrap();
    let from = world.read(&format!("/audit?network={network}&subject={sub}")).await;
    assert_eq!(from["entries"].as_array().unwrap().len(), 5, "{from}");
}

async fn a_repeated_request_has_the_same_answer(backend: Backend) {
    let world = World::on(backend).await;
    let add = async |token: &str, path: &str, key: &str, body: &Value| {
        let request = client().post(format!("{}/admin/v1{path}", world.server.url));
        send(request.bearer_auth(token).header("idempotency-key", key).json(body)).await
    };
    let admin = &world.admin;
    let worker = json!({ "name": "worker", "scope": "read" });
    let first = add(admin, "/clients", "one", &worker).await;
    assert_eq!(first.status, 201, "{first:?}");
    for _ in 0..3 {
        let again = add(admin, "/clients", "one", &worker).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
    }
    let alice = json!({ "name": "alice", "password": PASSWORD });
    let user = add(admin, "/users", "two", &alice).await;
    assert_eq!(add(admin, "/users", "two", &alice).await.text, user.text);
    // The answer stays, whatever happens to the user.
    world.patch(&format!("/users/{}", user.field("sub")), json!({ "locked": true })).await;
    assert_eq!(add(admin, "/users", "two", &alice).await.text, user.text);

    let bob = json!({ "name": "bob", "password": PASSWORD });
    add(admin, "/users", "two", &bob).await.refused(422, "idempotency_key_reused");
    add(admin, "/users", "one", &alice).await.refused(422, "idempotency_key_reused");
    // A refusal is not stored.
    add(admin, "/users", "three", &alice).await.refused(409, "conflict");
    add(admin, "/users", "three", &json!({ "name": "bob" })).await.refused(400, "invalid_request");
    assert_eq!(add(admin, "/users", "three", &bob).await.status, 201);
    // Each client has its own keys.
    let other = new_token(&world.server, "other", "countersign:admin").await;
    let carol = json!({ "name": "carol", "password": PASSWORD });
    assert_eq!(add(&other, "/users", "two", &carol).await.status, 201);
    assert_eq!(world.names("users", 50).await, ["alice", "bob", "carol", "demo"]);
}

async fn requests_with_one_key_at_the_same_time_add_one_user(backend: Backend) {
    let world = World::on(backend).await;
    for round in 0..5 {
        let name = format!("worker{round}");
        let attempts = (0..8).map(|_| {
            let request = world.request(Method::POST, "/clients").json(&json!({ "name": name }));
            let request = request.header("idempotency-key", format!("key {round}"));
            tokio::spawn(async move {
                let answer = send(request).await;
                match answer.status {
                    201 => answer.text,
                    // Another one was being answered.
                    409 => answer.field("error"),
                    _ => panic!("{answer:?}"),
                }
            })
        });
        let mut answers = distinct(attempts.collect()).await;
        answers.remove("conflict");
        assert_eq!(answers.len(), 1, "{answers:?}");
        let request = world.request(Method::POST, "/clients").json(&json!({ "name": name }));
        let last = send(request.header("idempotency-key", format!("key {round}"))).await;
        assert_eq!(answers.into_iter().next(), Some(last.text));
    }
    let added = world.read("/audit?event=client_added&limit=200").await;
    assert_eq!(added["entries"].as_array().unwrap().len(), 2 + 5);
}

async fn an_answer_is_kept_for_a_day(backend: Backend) {
    let world =
        World::with(backend, |config, _| config.access_ttl = Duration::from_secs(86_400)).await;
    let add = async |world: &World, name: &str| {
        let request = world.request(Method::POST, "/clients").json(&json!({ "name": name }));
        send(request.header("idempotency-key", "key")).await
    };
    let first = add(&world, "worker").await;
    world.server.advance(86_399);
    assert_eq!(add(&world, "worker").await.text, first.text);
    world.server.advance(1);
    let token = new_token(&world.server, "another", "countersign:admin").await;
    // The key is of the client.
    let printed = run(world.server.folder.path(), &["client", "rotate", "operator", "--json"]);
    let new: Value = serde_json::from_str(&printed).unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", &world.server.url),
        ("client_id", new["client_id"].as_str().unwrap()),
        ("client_secret", new["client_secret"].as_str().unwrap()),
    ];
    let admin = post_form(&world.server.url, "/token", &form).await.field("access_token");
    let world = World { admin, reader: token, ..world };
    add(&world, "worker").await.refused(409, "conflict");
    assert_eq!(add(&world, "second").await.status, 201);
}

#[tokio::test]
async fn the_admin_listener_serves_it_and_the_public_one_only_if_it_is_configured() {
    let server = Server::start().await;
    let admin = watch::admin(&server).await;
    let token = new_token(&server, "operator", "countersign:read").await;
    get(&server.url, "/admin/v1/users").await.refused(404, "not_found");
    get(&admin, "/admin/v1/users").await.refused(401, "unauthorized");
    let request = client().get(format!("{admin}/admin/v1/users"));
    assert_eq!(send(request.bearer_auth(&token)).await.status, 200);
    let foreign = client().get(format!("{admin}/admin/v1/users")).header("host", "evil.example");
    send(foreign.bearer_auth(&token)).await.refused(400, "invalid_request");
    let document = get(&admin, "/admin/v1/openapi.json").await;
    assert_eq!((document.status, &document.json()["openapi"]), (200, &json!("3.1.0")));
    get(&admin, "/users").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_client_has_a_limit_of_its_own() {
    let world = World::with(Backend::Sqlite, |_, limits| {
        limits.admin_requests = 3;
        limits.admin_window = Duration::from_secs(3600);
    })
    .await;
    for _ in 0..3 {
        world.read("/users").await;
    }
    let url = format!("{}/admin/v1/users", world.server.url);
    let refused = send(client().get(url).bearer_auth(&world.reader)).await;
    refused.refused(429, "too_many_requests");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(send(world.request(Method::GET, "/users")).await.status, 200);
}

#[test]
fn a_command_says_what_a_scope_allows_in_the_admin_api() {
    let folder = tempfile::TempDir::new().unwrap();
    for (name, scope, line) in [
        ("a", "read", None),
        ("b", "read countersign:read", Some("may read everything")),
        ("c", "countersign:admin countersign:read", Some("may do everything")),
        ("d", "countersign:administrator", None),
    ] {
        let arguments = ["client", "add", name, "--scope", scope];
        let added = run(folder.path(), &arguments);
        let changed = run(folder.path(), &["client", "scope", name, scope]);
        for printed in [added, changed] {
            assert_eq!(printed.contains("Admin API"), line.is_some(), "{printed}");
            assert!(printed.contains(line.unwrap_or_default()), "{printed}");
        }
    }
}
