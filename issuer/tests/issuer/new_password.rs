//! Passwords that users set themselves, over HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::common::{Answer, Backend, PASSWORD, Server, client, command, folder_on, login};
use crate::common::{over_all, over_both, post_json, refresh, send, stderr, stdout};
use crate::login::{NOWHERE, Source, attempt, device_of, has_to_wait, wrong};
use crate::second_factor::set_up;
use crate::signed_in::end;

// They count the hashes of one issuer.
over_both!(
    a_hundred_parallel_guesses_get_no_more_hashes_than_sequential_ones,
    a_reset_token_sets_one_password_and_ends_all_sessions,
    a_reset_unlocks_nobody_and_ends_the_expiry_of_a_password,
    a_reset_token_leaves_the_second_factors,
);

over_all!(
    a_user_changes_the_password_and_only_the_session_of_the_change_stays,
    a_wrong_current_password_counts_as_a_failed_login,
    a_stranger_cannot_keep_a_known_device_from_a_change,
    a_password_that_is_refused_changes_nothing_and_costs_no_hash,
    one_of_several_changes_at_the_same_time_wins,
    a_reset_token_is_used_once_by_parallel_requests,
    a_reset_token_expires_and_ends_with_a_change_of_the_password,
    unknown_reset_tokens_are_limited_like_logins,
);

const NEW: &str = "seven lanterns under plum trees";

fn run(server: &Server, arguments: &[&str]) -> String {
    let done = command(server.folder.path(), arguments, NEW);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

fn events(server: &Server, event: &str) -> Value {
    let listed = run(server, &["audit", "list", "--event", event, "--json"]);
    serde_json::from_str(&listed).unwrap()
}

async fn log_in_with(url: &str, password: &str) -> Answer {
    post_json(url, "/login", &json!({ "username": "demo", "password": password })).await
}

async fn change(url: &str, token: &str, current: &str, new: &str) -> Answer {
    change_from(url, token, current, new, "").await
}

async fn change_from(url: &str, token: &str, current: &str, new: &str, cookie: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    let request = client().post(format!("{url}/password")).bearer_auth(token).json(&body);
    send(if cookie.is_empty() { request } else { request.header("cookie", cookie) }).await
}

async fn reset(url: &str, token: &str, new: &str) -> Answer {
    post_json(url, "/password/reset", &json!({ "token": token, "new_password": new })).await
}

async fn a_user_changes_the_password_and_only_the_session_of_the_change_stays(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let (here, there) = (login(url).await, login(url).await);
    let token = here.field("access_token");
    let changed = change(url, &token, PASSWORD, NEW).await;
    assert_eq!((changed.status, changed.text.as_str()), (204, ""), "{changed:?}");
    refresh(url, &there.refresh_token()).await.refused(400, "invalid_grant");
    end(url, "x", &there.field("access_token")).await.refused(401, "invalid_token");
    end(url, "x", &token).await.refused(404, "not_found");
    refresh(url, &here.refresh_token()).await.refresh_token();
    login(url).await.refused(401, "invalid_grant");
    assert_eq!(log_in_with(url, NEW).await.status, 200);
    let changes = events(&server, "password_changed");
    assert_eq!(changes.as_array().unwrap().len(), 1);
    assert_eq!(changes[0]["user"], "demo");
    assert!(changes[0]["network"].is_string(), "{changes}");
    // The same change once more.
    change(url, &token, PASSWORD, NEW).await.refused(400, "invalid_grant");
}

async fn a_wrong_current_password_counts_as_a_failed_login(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let token = login(url).await.field("access_token");
    let guess = async || change(url, &token, "wrong", NEW).await;
    for _ in 0..3 {
        let refused = guess().await;
        refused.refused(400, "invalid_grant");
        assert!(refused.text.contains("the current password is wrong"), "{refused:?}");
    }
    for _ in 0..2 {
        wrong(url, "demo").await.refused(401, "invalid_grant");
    }
    has_to_wait(&guess().await, 1);
    has_to_wait(&change(url, &token, PASSWORD, NEW).await, 1);
    has_to_wait(&login(url).await, 1);
    server.advance(1);
    guess().await.refused(400, "invalid_grant");
    has_to_wait(&guess().await, 2);
    server.advance(2);
    assert_eq!(change(url, &token, PASSWORD, NEW).await.status, 204);
    // The right one has cleared the failures.
    for _ in 0..4 {
        guess().await.refused(400, "invalid_grant");
    }
    assert_eq!(log_in_with(url, NEW).await.status, 200);
}

async fn a_hundred_parallel_guesses_get_no_more_hashes_than_sequential_ones(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, limits| {
        config.login_rate = 1000;
        limits.hash_queue = 1000;
    })
    .await;
    let token = login(&server.url).await.field("access_token");
    let before = server.state.password_hashes();
    let guesses: Vec<_> = (0..100)
        .map(|_| {
            let (url, token) = (server.url.clone(), token.clone());
            tokio::spawn(async move { change(&url, &token, "wrong", NEW).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for guess in guesses {
        statuses.push(guess.await.unwrap());
    }
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(400), count(429)), (5, 95), "{statuses:?}");
    assert_eq!(server.state.password_hashes() - before, 5);
    // One hash for the current password, and one for the new one.
    server.advance(1);
    assert_eq!(change(&server.url, &token, PASSWORD, NEW).await.status, 204);
    assert_eq!(server.state.password_hashes() - before, 7);
}

async fn a_stranger_cannot_keep_a_known_device_from_a_change(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let here = attempt(url, "demo", PASSWORD, NOWHERE).await;
    let token = here.field("access_token");
    let device = device_of(&here).unwrap();
    for _ in 0..5 {
        wrong(url, "demo").await.refused(401, "invalid_grant");
    }
    has_to_wait(&change(url, &token, PASSWORD, NEW).await, 1);
    let known = Source { cookie: &device, ..NOWHERE };
    attempt(url, "demo", "wrong", known).await.refused(401, "invalid_grant");
    assert_eq!(change_from(url, &token, PASSWORD, NEW, &device).await.status, 204);
    // The device is unknown to the new password.
    has_to_wait(&attempt(url, "demo", NEW, known).await, 1);
}

async fn a_password_that_is_refused_changes_nothing_and_costs_no_hash(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let here = login(url).await;
    let (access, there) = (here.field("access_token"), login(url).await);
    let hashes = server.state.password_hashes();
    let long = "x".repeat(1025);
    for (new, reason) in [
        ("", "too short"),
        ("seven77", "too short"),
        ("password1234", "among the first that an attacker tries"),
        ("Countersign1", "among the first that an attacker tries"),
        ("seven\u{0}lanterns", "control character"),
        (&long, "longer than 1024 bytes"),
        (PASSWORD, "is the current one"),
        ("correct\u{a0}horse battery staple", "is the current one"),
    ] {
        let refused = change(url, &access, PASSWORD, new).await;
        refused.refused(400, "password_refused");
        assert!(refused.text.contains(reason), "{new:?}: {refused:?}");
    }
    let json_type = "application/json";
    let change = json!({ "current_password": PASSWORD, "new_password": NEW }).to_string();
    let cases = [
        ("/password", "text/plain", change.as_str(), 415, "unsupported_media_type", json_type),
        ("/password", json_type, "[]", 400, "invalid_request", "not a well-formed JSON object"),
        ("/password", json_type, "{\"", 400, "invalid_request", "not a well-formed JSON object"),
        ("/password", json_type, "{}", 400, "invalid_request", "current_password is missing"),
        (
            "/password",
            json_type,
            "{\"current_password\":\"x\"}",
            400,
            "invalid_request",
            "new_password is missing",
        ),
        (
            "/password",
            json_type,
            "{\"current_password\":1,\"new_password\":\"x\"}",
            400,
            "invalid_request",
            "current_password must be a string",
        ),
        (
            "/password",
            json_type,
            "{\"current_password\":\"x\",\"new_password\":\"x\",\"user\":\"x\"}",
            400,
            "invalid_request",
            "an unknown member",
        ),
        (
            "/password",
            json_type,
            "{\"new_password\":\"x\",\"new_password\":\"y\"}",
            400,
            "invalid_request",
            "one twice",
        ),
        ("/password/reset", json_type, "{}", 400, "invalid_request", "token is missing"),
        (
            "/password/reset",
            json_type,
            "{\"token\":\"x\",\"new_password\":null}",
            400,
            "invalid_request",
            "new_password is missing",
        ),
        (
            "/password/reset",
            json_type,
            "{\"token\":[\"x\"],\"new_password\":\"x\"}",
            400,
            "invalid_request",
            "token must be a string",
        ),
    ];
    for (path, content_type, body, status, error, reason) in cases {
        let request = client().post(format!("{url}{path}")).bearer_auth(&access);
        let refused =
            send(request.header("content-type", content_type).body(body.to_owned())).await;
        refused.refused(status, error);
        assert!(refused.text.contains(reason), "{body}: {refused:?}");
    }
    post_json(url, "/password", &json!({})).await.refused(401, "unauthorized");
    let large = json!({ "current_password": "x".repeat(8192), "new_password": "x" });
    let request = client().post(format!("{url}/password")).bearer_auth(&access).json(&large);
    send(request).await.refused(413, "content_too_large");

    assert_eq!(server.state.password_hashes(), hashes);
    refresh(url, &there.refresh_token()).await.refresh_token();
    assert_eq!(login(url).await.status, 200);
}

async fn one_of_several_changes_at_the_same_time_wins(backend: Backend) {
    let server = Server::on(backend).await;
    let mut current = PASSWORD.to_owned();
    for round in 0..3 {
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(log_in_with(&server.url, &current).await);
        }
        let mut changes = Vec::new();
        for (number, here) in sessions.into_iter().enumerate() {
            let (url, token) = (server.url.clone(), here.field("access_token"));
            let (current, new) = (current.clone(), format!("{NEW} {round} {number}"));
            changes.push(tokio::spawn(async move {
                let answer = change(&url, &token, &current, &new).await;
                match answer.status {
                    204 => Some((new, here.refresh_token())),
                    // Its session has ended, or its current password is wrong by now.
                    401 => None,
                    _ => {
                        answer.refused(400, "invalid_grant");
                        None
                    }
                }
            }));
        }
        let mut set = Vec::new();
        for change in changes {
            set.extend(change.await.unwrap());
        }
        assert_eq!(set.len(), 1, "{set:?}");
        let (new, refresh_token) = set.remove(0);
        refresh(&server.url, &refresh_token).await.refresh_token();
        log_in_with(&server.url, &current).await.refused(401, "invalid_grant");
        current = new;
        assert_eq!(log_in_with(&server.url, &current).await.status, 200);
    }
}

/// Starts a server with the clock of the commands.
async fn in_real_time(backend: Backend) -> Server {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Server::at(now, folder_on(backend), |clock| clock, |_, _| {}).await
}

fn reset_token(server: &Server) -> String {
    let printed: Value =
        serde_json::from_str(&run(server, &["user", "reset", "Demo", "--json"])).unwrap();
    assert_eq!(printed["name"], "demo");
    printed["token"].as_str().unwrap().to_owned()
}

async fn a_reset_token_sets_one_password_and_ends_all_sessions(backend: Backend) {
    let server = in_real_time(backend).await;
    let url = &server.url;
    let sessions = [login(url).await, login(url).await];
    let (token, other) = (reset_token(&server), reset_token(&server));
    assert_eq!(token.len(), 43);
    let hashes = server.state.password_hashes();
    let unknown = reset(url, &"A".repeat(43), NEW).await;
    for bad in ["", "x", &token[1..], &format!("{token}="), &format!("{token} ")] {
        let refused = reset(url, bad, NEW).await;
        refused.refused(400, "invalid_grant");
        assert_eq!(refused.text, unknown.text, "{bad}");
    }
    for bad in ["seven77", "password1234", "Countersign1"] {
        reset(url, &token, bad).await.refused(400, "password_refused");
    }
    assert_eq!(server.state.password_hashes(), hashes);
    // Nothing has changed until the token is used.
    refresh(url, &sessions[0].refresh_token()).await.refresh_token();
    assert_eq!(login(url).await.status, 200);

    let done = reset(url, &token, NEW).await;
    assert_eq!((done.status, done.text.as_str()), (204, ""), "{done:?}");
    assert_eq!(server.state.password_hashes(), hashes + 2, "with that of the login");
    for session in sessions {
        refresh(url, &session.refresh_token()).await.refused(400, "invalid_grant");
        end(url, "x", &session.field("access_token")).await.refused(401, "invalid_token");
    }
    login(url).await.refused(401, "invalid_grant");
    let again = log_in_with(url, NEW).await.refresh_token();
    for used in [&token, &other] {
        let refused = reset(url, used, PASSWORD).await;
        refused.refused(400, "invalid_grant");
        assert_eq!(refused.text, unknown.text);
    }
    refresh(url, &again).await.refresh_token();
    for (event, count) in
        [("password_reset_begun", 2), ("password_reset", 1), ("password_changed", 0)]
    {
        let listed = events(&server, event);
        assert_eq!(listed.as_array().unwrap().len(), count, "{event}");
        if count > 0 {
            assert_eq!(listed[0]["user"], "demo");
            assert_eq!(listed[0]["network"].is_string(), event == "password_reset", "{listed}");
        }
    }
}

async fn a_reset_token_is_used_once_by_parallel_requests(backend: Backend) {
    let server = in_real_time(backend).await;
    for _ in 0..3 {
        let token = reset_token(&server);
        let resets: Vec<_> = (0..8)
            .map(|number| {
                let (url, token) = (server.url.clone(), token.clone());
                let new = format!("{NEW} {number}");
                tokio::spawn(async move {
                    let answer = reset(&url, &token, &new).await;
                    if answer.status == 204 {
                        return Some(new);
                    }
                    answer.refused(400, "invalid_grant");
                    None
                })
            })
            .collect();
        let mut set = Vec::new();
        for reset in resets {
            set.extend(reset.await.unwrap());
        }
        assert_eq!(set.len(), 1, "{set:?}");
        assert_eq!(log_in_with(&server.url, &set[0]).await.status, 200);
    }
}

async fn a_reset_token_expires_and_ends_with_a_change_of_the_password(backend: Backend) {
    let server = in_real_time(backend).await;
    let url = &server.url;
    let expired = reset_token(&server);
    // The clock of the command has gone on since the start.
    server.advance(3600 + 600);
    reset(url, &expired, NEW).await.refused(400, "invalid_grant");

    let server = in_real_time(backend).await;
    let url = &server.url;
    let token = login(url).await.field("access_token");
    for change_by in ["user", "passwd", "lock", "expire-passwords"] {
        let open = reset_token(&server);
        match change_by {
            "user" => assert_eq!(change(url, &token, PASSWORD, NEW).await.status, 204),
            command => drop(run(&server, &["user", command, "demo"])),
        }
        reset(url, &open, NEW).await.refused(400, "invalid_grant");
    }
    let done = command(server.folder.path(), &["user", "reset", "nobody"], "");
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).contains("there is no user nobody"), "{}", stderr(&done));
}

async fn a_reset_unlocks_nobody_and_ends_the_expiry_of_a_password(backend: Backend) {
    let server = in_real_time(backend).await;
    let url = &server.url;
    run(&server, &["user", "expire-passwords", "demo"]);
    let token = reset_token(&server);
    let hashes = server.state.password_hashes();
    let refused = reset(url, &token, PASSWORD).await;
    refused.refused(400, "password_refused");
    assert!(refused.text.contains("has expired"), "{refused:?}");
    assert_eq!(reset(url, &token, NEW).await.status, 204);
    assert_eq!(server.state.password_hashes(), hashes + 3);
    assert_eq!(log_in_with(url, NEW).await.status, 200);

    run(&server, &["user", "lock", "demo"]);
    assert_eq!(reset(url, &reset_token(&server), PASSWORD).await.status, 204);
    login(url).await.refused(401, "invalid_grant");
    run(&server, &["user", "unlock", "demo"]);
    assert_eq!(login(url).await.status, 200);
}

async fn a_reset_token_leaves_the_second_factors(backend: Backend) {
    let server = in_real_time(backend).await;
    set_up(&server).await;
    assert_eq!(reset(&server.url, &reset_token(&server), NEW).await.status, 204);
    log_in_with(&server.url, NEW).await.refused(401, "mfa_required");
}

async fn unknown_reset_tokens_are_limited_like_logins(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, _| config.login_rate = 2).await;
    let url = &server.url;
    let mut refused = Vec::new();
    for _ in 0..5 {
        refused.push(reset(url, "x", NEW).await);
    }
    // Two issuers count apart.
    let limited: Vec<_> = refused.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!(limited.len(), if backend == Backend::PostgresTwice { 1 } else { 3 });
    limited[0].refused(429, "too_many_requests");
    assert!(limited[0].header("retry-after").parse::<u32>().unwrap() > 0);
    let others = refused.iter().filter(|answer| answer.status != 429);
    others.for_each(|answer| answer.refused(400, "invalid_grant"));
}
