//! Logins with a second factor, step-up, and the second factors of a user, over HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::hmac;
use countersign_issuer::SecondFactorPolicy;
use serde_json::{Value, json};

use crate::common::{Answer, Backend, PASSWORD, Server, client, command, folder_on, get, login};
use crate::common::{over_all, over_both, post_form, post_json, refresh, send, stderr, stdout};
use crate::login::{NOWHERE, Source, attempt, device_of, has_to_wait, wrong};

// They count hashes, or run commands on the files of an issuer.
over_both!(
    a_wrong_password_tells_nothing_about_second_factors,
    another_master_key_takes_the_secrets_along,
    a_reset_lets_the_user_in_with_the_password_alone,
);

over_all!(
    a_login_with_an_app_has_two_steps,
    a_code_works_once_and_neither_long_before_nor_after_its_time,
    a_wrong_code_uses_the_token_up_and_the_answer_has_the_next_one,
    somebody_who_knows_the_password_has_no_more_guesses,
    a_code_and_a_token_work_once_in_parallel,
    a_recovery_code_stands_in_for_the_app_once,
    a_login_that_waits_ends_with_its_time_and_with_the_password,
    the_policy_lets_a_user_set_up_an_app_at_the_login,
    a_user_authenticates_again_in_a_session,
    a_refresh_may_ask_for_a_young_authentication,
    changes_of_second_factors_want_a_fresh_authentication,
    the_first_app_ends_all_other_sessions_and_makes_its_own_strong,
    an_app_is_in_force_when_its_first_code_was_right,
    malformed_requests_use_nothing_up,
);

/// The authenticator app of a user, and the recovery codes.
pub(crate) struct App {
    secret: Vec<u8>,
    pub(crate) codes: Vec<String>,
}

impl App {
    pub(crate) fn new(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = answer.field("secret");
        assert_eq!(text.len(), 32);
        assert!(answer.field("uri").contains(&format!("?secret={text}&issuer=")), "{answer:?}");
        let digit = |c| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap() as u64;
        let secret = text.as_bytes().chunks(8).flat_map(|chunk| {
            let number = chunk.iter().fold(0, |number, c| number << 5 | digit(char::from(*c)));
            number.to_be_bytes()[3..].to_vec()
        });
        Self { secret: secret.collect(), codes: Vec::new() }
    }

    pub(crate) fn code_at(&self, time: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let tag = hmac::sign(&key, &(time / 30).to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[19] & 15);
        let number = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap());
        format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
    }

    pub(crate) fn code(&self, server: &Server) -> String {
        self.code_at(now(server))
    }

    /// Returns a code that is wrong at this time.
    fn wrong_code(&self, server: &Server) -> String {
        let right: Vec<_> =
            [30, 60, 90].map(|offset| self.code_at(now(server) + offset - 60)).into();
        let mut codes = (0..).map(|number| format!("{number:06}"));
        codes.find(|code| !right.contains(code)).unwrap()
    }
}

fn now(server: &Server) -> u64 {
    server.clock.load(Ordering::Relaxed)
}

pub(crate) async fn of_user(
    url: &str,
    method: &str,
    path: &str,
    token: &str,
    body: Value,
) -> Answer {
    let request = client().request(method.parse().unwrap(), format!("{url}{path}"));
    let request = request.bearer_auth(token);
    send(if method == "POST" { request.json(&body) } else { request }).await
}

/// Sets up an app for `demo`, who has no second factor. Its next code is new.
pub(crate) async fn set_up(server: &Server) -> App {
    let token = login(&server.url).await.field("access_token");
    set_up_by(server, &token).await
}

/// Sets up an app by an access token.
pub(crate) async fn set_up_by(server: &Server, token: &str) -> App {
    let url = &server.url;
    let app = App::new(&of_user(url, "POST", "/totp", token, json!({})).await);
    let code = json!({ "code": app.code(server) });
    let confirmed = of_user(url, "POST", "/totp/confirm", token, code).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    server.advance(30);
    App { codes: codes(&confirmed), ..app }
}

pub(crate) fn codes(answer: &Answer) -> Vec<String> {
    let codes = answer.json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// Logs in with the password. Returns the token of the login that waits.
async fn begin(url: &str) -> String {
    let asked = login(url).await;
    asked.refused(401, "mfa_required");
    asked.field("mfa_token")
}

pub(crate) async fn second(url: &str, token: &str, code: &str) -> Answer {
    post_json(url, "/login/second-factor", &json!({ "mfa_token": token, "code": code })).await
}

pub(crate) async fn by_recovery_code(url: &str, token: &str, code: &str) -> Answer {
    let body = json!({ "mfa_token": token, "recovery_code": code });
    post_json(url, "/login/second-factor", &body).await
}

async fn again(url: &str, refresh_token: &str, password: &str) -> Answer {
    let body = json!({ "refresh_token": refresh_token, "password": password });
    post_json(url, "/login/again", &body).await
}

async fn refresh_within(url: &str, token: &str, max_age: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("max_age", max_age)];
    post_form(url, "/token", &form).await
}

fn run(server: &Server, arguments: &[&str]) -> String {
    let done = command(server.folder.path(), arguments, PASSWORD);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

/// Asserts that a proof was refused as wrong. Returns the token for another try.
#[track_caller]
fn is_wrong(answer: &Answer) -> String {
    answer.refused(401, "invalid_grant");
    assert!(answer.text.contains("second factor is wrong"), "{answer:?}");
    let token = answer.field("mfa_token");
    assert_eq!(token.len(), 43, "{answer:?}");
    token
}

/// Asserts that the login has to begin anew.
#[track_caller]
fn is_over(answer: &Answer) {
    answer.refused(401, "invalid_grant");
    let members = answer.json().as_object().unwrap().len();
    assert_eq!(members, 2, "{answer:?}");
}

async fn a_login_with_an_app_has_two_steps(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let plain = login(url).await.claims();
    for claim in ["amr", "acr", "auth_time"] {
        assert!(plain.get(claim).is_none(), "{plain}");
    }
    let app = set_up(&server).await;
    let asked = login(url).await;
    asked.refused(401, "mfa_required");
    assert_eq!(asked.json()["methods"], json!(["totp", "recovery_code"]));
    assert_eq!(asked.json()["expires_in"], 300);
    assert!(asked.header("set-cookie").is_empty());
    let done = second(url, &asked.field("mfa_token"), &app.code(&server)).await;
    let first = done.claims();
    assert_eq!(first["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!((&first["acr"], &first["auth_time"]), (&json!("2"), &json!(now(&server))));
    assert!(done.json().get("recovery_codes").is_none());
    server.advance(100);
    let refreshed = refresh(url, &done.refresh_token()).await.claims();
    for claim in ["amr", "acr", "auth_time", "sid"] {
        assert_eq!(refreshed[claim], first[claim], "{claim}");
    }

    // The cookie is chosen at the first step.
    server.advance(30);
    let asked = attempt(url, "demo", PASSWORD, NOWHERE).await;
    asked.refused(401, "mfa_required");
    let body = json!({ "mfa_token": asked.field("mfa_token"), "code": app.code(&server) });
    let request = client().post(format!("{url}/login/second-factor")).json(&body);
    let foreign = send(request.try_clone().unwrap().header("sec-fetch-site", "cross-site")).await;
    foreign.refused(403, "access_denied");
    let done = send(request).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(done.json().get("refresh_token").is_none() && device_of(&done).is_some());
}

async fn a_code_works_once_and_neither_long_before_nor_after_its_time(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    for offset in [-60_i64, 60] {
        let time = now(&server).checked_add_signed(offset).unwrap();
        is_wrong(&second(url, &begin(url).await, &app.code_at(time)).await);
    }
    // The next one is early by a step, and ends those before it.
    let early = app.code_at(now(&server) + 30);
    assert_eq!(second(url, &begin(url).await, &early).await.status, 200);
    for used in [early, app.code(&server)] {
        is_wrong(&second(url, &begin(url).await, &used).await);
    }
    server.advance(90);
    let late = app.code_at(now(&server) - 30);
    assert_eq!(second(url, &begin(url).await, &late).await.status, 200);
    assert_eq!(second(url, &begin(url).await, &app.code(&server)).await.status, 200);
}

async fn a_wrong_code_uses_the_token_up_and_the_answer_has_the_next_one(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    let first = begin(url).await;
    let refused = second(url, &first, &app.wrong_code(&server)).await;
    let next = is_wrong(&refused);
    assert_eq!(refused.json()["methods"], json!(["totp", "recovery_code"]));
    is_over(&second(url, &first, &app.code(&server)).await);
    server.advance(100);
    let refused = by_recovery_code(url, &next, "AAAA-AAAA-AAAA-AAAA").await;
    let last = is_wrong(&refused);
    assert_eq!(refused.json()["expires_in"], 200, "the end stays the same");
    for bad in ["", "x", &next, &last[1..], &format!("{last} ")] {
        is_over(&second(url, bad, &app.code(&server)).await);
    }
    assert_eq!(second(url, &last, &app.code(&server)).await.status, 200);
    is_over(&second(url, &last, &app.code(&server)).await);
}

async fn somebody_who_knows_the_password_has_no_more_guesses(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    // Each guess has a login of its own, whose password is right.
    for _ in 0..5 {
        is_wrong(&second(url, &begin(url).await, &app.wrong_code(&server)).await);
    }
    has_to_wait(&login(url).await, 1);
    server.advance(1);
    let token = begin(url).await;
    let next = is_wrong(&second(url, &token, &app.wrong_code(&server)).await);
    for _ in 0..2 {
        has_to_wait(&login(url).await, 2);
        has_to_wait(&second(url, &next, &app.code(&server)).await, 2);
    }
    server.advance(2);
    // Wrong passwords and wrong codes are counted together.
    wrong(url, "demo").await.refused(401, "invalid_grant");
    has_to_wait(&second(url, &next, &app.code(&server)).await, 4);
    server.advance(4);
    // The whole login clears them.
    assert_eq!(second(url, &next, &app.code(&server)).await.status, 200);
    server.advance(30);
    for _ in 0..4 {
        is_wrong(&second(url, &begin(url).await, &app.wrong_code(&server)).await);
    }
    let done = second(url, &begin(url).await, &app.code(&server)).await;
    assert_eq!(done.status, 200, "{done:?}");
}

async fn a_code_and_a_token_work_once_in_parallel(backend: Backend) {
    let server = Server::on(backend).await;
    let app = set_up(&server).await;
    for one_token in [true, false, true, false] {
        // A login clears the failures of the round before.
        server.advance(60);
        let token = begin(&server.url).await;
        assert_eq!(second(&server.url, &token, &app.code(&server)).await.status, 200);
        server.advance(30);
        let first = begin(&server.url).await;
        let mut running = Vec::new();
        // Not more than are admitted without a wait.
        for _ in 0..4 {
            let token = if one_token { first.clone() } else { begin(&server.url).await };
            let (url, code) = (server.url.clone(), app.code(&server));
            running.push(tokio::spawn(async move { second(&url, &token, &code).await }));
        }
        let mut done = 0;
        for one in running {
            match one.await.unwrap() {
                answer if answer.status == 200 => done += 1,
                answer if one_token => is_over(&answer),
                answer => drop(is_wrong(&answer)),
            }
        }
        assert_eq!(done, 1);
    }
}

async fn a_recovery_code_stands_in_for_the_app_once(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    let typed = app.codes[0].to_lowercase().replace('-', " ");
    let done = by_recovery_code(url, &begin(url).await, &typed).await;
    assert_eq!(done.claims()["amr"], json!(["pwd", "mfa"]));
    let token = done.field("access_token");
    let factors = of_user(url, "GET", "/factors", &token, json!({})).await.json();
    assert_eq!(factors["recovery_codes"], 9);
    is_wrong(&by_recovery_code(url, &begin(url).await, &app.codes[0]).await);
    let replaced = of_user(url, "POST", "/recovery-codes", &token, json!({})).await;
    let new = codes(&replaced);
    is_wrong(&by_recovery_code(url, &begin(url).await, &app.codes[1]).await);
    assert_eq!(by_recovery_code(url, &begin(url).await, &new[0]).await.status, 200);
    let events = run(&server, &["audit", "list", "--json"]);
    let events: Value = serde_json::from_str(&events).unwrap();
    let count = |name: &str| {
        events.as_array().unwrap().iter().filter(|entry| entry["event"] == name).count()
    };
    for (name, expected) in
        [("totp_added", 1), ("recovery_code_used", 2), ("recovery_codes_replaced", 1)]
    {
        assert_eq!(count(name), expected, "{name}");
    }
}

async fn a_login_that_waits_ends_with_its_time_and_with_the_password(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    let token = begin(url).await;
    server.advance(299);
    let next = is_wrong(&second(url, &token, &app.wrong_code(&server)).await);
    server.advance(1);
    is_over(&second(url, &next, &app.code(&server)).await);

    let signed_in = second(url, &begin(url).await, &app.code(&server)).await;
    server.advance(30);
    let waiting = begin(url).await;
    let new = "seven lanterns under plum trees";
    let change = json!({ "current_password": PASSWORD, "new_password": new });
    let access = signed_in.field("access_token");
    let changed = of_user(url, "POST", "/password", &access, change).await;
    assert_eq!(changed.status, 204, "{changed:?}");
    is_over(&second(url, &waiting, &app.code(&server)).await);
    // The app stays.
    let asked = attempt(url, "demo", new, NOWHERE).await;
    asked.refused(401, "mfa_required");
}

async fn the_policy_lets_a_user_set_up_an_app_at_the_login(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, _| {
        config.second_factor = SecondFactorPolicy::Scopes(vec!["write".to_owned()]);
    })
    .await;
    let url = &server.url;
    let asked = login(url).await;
    asked.refused(401, "mfa_required");
    assert_eq!(asked.json()["methods"], json!(["totp_enrolment"]));
    let token = asked.field("mfa_token");
    // Without an app there is no code.
    let token = is_wrong(&second(url, &token, "000000").await);
    let enrol = async || post_json(url, "/login/totp", &json!({ "mfa_token": token })).await;
    let first = App::new(&enrol().await);
    let begun = enrol().await;
    let (app, same) = (App::new(&begun), begun.field("mfa_token"));
    assert_eq!((same.as_str(), &begun.json()["expires_in"]), (token.as_str(), &json!(300)));
    let token = is_wrong(&second(url, &same, &first.code(&server)).await);
    let done = second(url, &token, &app.code(&server)).await;
    assert_eq!(done.claims()["amr"], json!(["pwd", "otp", "mfa"]));
    let codes = codes(&done);
    is_over(&post_json(url, "/login/totp", &json!({ "mfa_token": token })).await);
    // From now on the app is asked for.
    let token = begin(url).await;
    let refused = post_json(url, "/login/totp", &json!({ "mfa_token": token })).await;
    refused.refused(400, "invalid_request");
    is_wrong(&second(url, &token, &app.code(&server)).await);
    assert_eq!(by_recovery_code(url, &begin(url).await, &codes[9]).await.status, 200);
    run(&server, &["user", "scope", "demo", "read"]);
    server.advance(30);
    assert_eq!(second(url, &begin(url).await, &app.code(&server)).await.status, 200);

    // Users of another scope log in with the password alone.
    run(&server, &["user", "add", "reader", "--scope", "read"]);
    assert_eq!(attempt(url, "reader", PASSWORD, NOWHERE).await.status, 200);
}

async fn a_user_authenticates_again_in_a_session(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let here = login(url).await;
    let token = here.refresh_token();
    server.advance(100);
    let fresh = again(url, &token, PASSWORD).await;
    let claims = fresh.claims();
    assert_eq!((&claims["amr"], &claims["acr"]), (&json!(["pwd"]), &json!("1")));
    assert_eq!(claims["auth_time"], now(&server));
    assert_eq!(claims["sid"], here.claims()["sid"]);
    let members: Vec<_> = fresh.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    again(url, &token, "wrong").await.refused(401, "invalid_grant");
    again(url, "x", PASSWORD).await.refused(400, "invalid_grant");
    // The refresh token is the same, and its successor one of the same session.
    let next = refresh(url, &token).await.refresh_token();
    assert_eq!(again(url, &token, PASSWORD).await.status, 200, "another tab was faster");
    let last = refresh(url, &next).await;
    again(url, &token, PASSWORD).await.refused(400, "invalid_grant");

    // With an app, in two steps.
    let app = set_up_by(&server, &last.field("access_token")).await;
    let last = last.refresh_token();
    let asked = again(url, &last, PASSWORD).await;
    asked.refused(401, "mfa_required");
    let next = is_wrong(&second(url, &asked.field("mfa_token"), &app.wrong_code(&server)).await);
    let fresh = second(url, &next, &app.code(&server)).await;
    assert!(fresh.json().get("refresh_token").is_none() && device_of(&fresh).is_none());
    assert_eq!(fresh.claims()["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(fresh.claims()["sid"], here.claims()["sid"]);
    let refreshed = refresh(url, &last).await;
    assert_eq!(refreshed.claims()["acr"], "2");
    // A session that has ended does not go on.
    server.advance(30);
    let asked = again(url, &refreshed.refresh_token(), PASSWORD).await;
    post_json(url, "/logout", &json!({ "refresh_token": refreshed.refresh_token() })).await;
    is_over(&second(url, &asked.field("mfa_token"), &app.code(&server)).await);
}

async fn a_refresh_may_ask_for_a_young_authentication(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let here = login(url).await;
    let token = here.refresh_token();
    server.advance(60);
    let refused = refresh_within(url, &token, "59").await;
    refused.refused(401, "insufficient_user_authentication");
    assert_eq!(refused.json()["max_age"], 59);
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert!(challenge.ends_with("max_age=\"59\""), "{challenge}");
    for bad in ["-1", "1.5", "x", "1000000000", "+5"] {
        refresh_within(url, &token, bad).await.refused(400, "invalid_request");
    }
    // It was not spent.
    let next = refresh_within(url, &token, "60").await;
    assert_eq!(next.claims()["auth_time"], now(&server) - 60);
    assert_eq!(again(url, &next.refresh_token(), PASSWORD).await.status, 200);
    let fresh = refresh_within(url, &next.refresh_token(), "0").await;
    assert_eq!(fresh.claims()["auth_time"], now(&server));
    let plain = refresh(url, &fresh.refresh_token()).await;
    assert!(plain.claims().get("auth_time").is_none());
}

async fn changes_of_second_factors_want_a_fresh_authentication(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let here = login(url).await;
    server.advance(601);
    let token = refresh(url, &here.refresh_token()).await;
    let stale = token.field("access_token");
    for (method, path) in [("POST", "/totp"), ("DELETE", "/totp"), ("POST", "/recovery-codes")] {
        let refused = of_user(url, method, path, &stale, json!({})).await;
        refused.refused(401, "insufficient_user_authentication");
        assert_eq!(refused.json()["max_age"], 600);
        assert!(refused.header("www-authenticate").contains("max_age=\"600\""));
    }
    assert_eq!(of_user(url, "GET", "/factors", &stale, json!({})).await.status, 200);
    assert_eq!(again(url, &token.refresh_token(), PASSWORD).await.status, 200);
    // The session counts, not the token.
    App::new(&of_user(url, "POST", "/totp", &stale, json!({})).await);
}

async fn the_first_app_ends_all_other_sessions_and_makes_its_own_strong(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    // Somebody else knows the password too.
    let (thief, owner) = (login(url).await, login(url).await);
    let (stolen, token) = (thief.field("access_token"), owner.field("access_token"));
    let call = |method, path, body| of_user(url, method, path, &token, body);
    let app = App::new(&call("POST", "/totp", json!({})).await);
    assert_eq!(of_user(url, "GET", "/factors", &stolen, json!({})).await.status, 200);
    server.advance(1);
    let confirmed = call("POST", "/totp/confirm", json!({ "code": app.code(&server) })).await;
    codes(&confirmed);
    for (method, path) in [("DELETE", "/totp"), ("POST", "/recovery-codes"), ("GET", "/factors")] {
        of_user(url, method, path, &stolen, json!({})).await.refused(401, "invalid_token");
    }
    refresh(url, &thief.refresh_token()).await.refused(400, "invalid_grant");
    // The password was checked when the session began.
    let refreshed = refresh(url, &owner.refresh_token()).await;
    assert_eq!(refreshed.claims()["amr"], json!(["pwd", "otp", "mfa"]));
    assert_eq!(refreshed.claims()["auth_time"], now(&server) - 1);
    codes(&call("POST", "/recovery-codes", json!({})).await);
    assert_eq!(call("DELETE", "/totp", json!({})).await.status, 204);
}

#[tokio::test]
async fn changes_of_second_factors_have_a_limit_for_each_user() {
    let server = Server::with(|_, limits| {
        limits.factor_changes = 3;
        limits.change_window = Duration::from_secs(3600);
    })
    .await;
    let url = &server.url;
    run(&server, &["user", "add", "eve"]);
    let eve = post_json(url, "/login", &json!({ "username": "eve", "password": PASSWORD })).await;
    let eve = eve.field("access_token");
    let token = login(url).await.field("access_token");
    let call = |method, path| of_user(url, method, path, &token, json!({}));
    for _ in 0..3 {
        assert_eq!(call("POST", "/totp").await.status, 200);
    }
    for (method, path) in [
        ("POST", "/totp"),
        ("DELETE", "/totp"),
        ("POST", "/recovery-codes"),
        ("DELETE", "/passkeys/AAAA"),
    ] {
        let refused = call(method, path).await;
        refused.refused(429, "too_many_requests");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    assert_eq!(call("GET", "/factors").await.status, 200);
    assert_eq!(of_user(url, "POST", "/totp", &eve, json!({})).await.status, 200);
}

async fn an_app_is_in_force_when_its_first_code_was_right(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let token = login(url).await.field("access_token");
    let call = |method, path, body| of_user(url, method, path, &token, body);
    let factors = || call("GET", "/factors", json!({}));
    let nothing = factors().await.json();
    assert_eq!((&nothing["totp"], &nothing["recovery_codes"]), (&Value::Null, &json!(0)));
    call("POST", "/recovery-codes", json!({})).await.refused(409, "conflict");
    call("POST", "/totp/confirm", json!({ "code": "000000" })).await.refused(409, "conflict");
    let first = App::new(&call("POST", "/totp", json!({})).await);
    let app = App::new(&call("POST", "/totp", json!({})).await);
    assert_eq!(login(url).await.status, 200, "it is not in force yet");
    let confirm = |code| call("POST", "/totp/confirm", json!({ "code": code }));
    for _ in 0..4 {
        confirm(first.code(&server)).await.refused(400, "invalid_request");
    }
    let confirmed = confirm(app.code(&server)).await;
    let made = codes(&confirmed);
    assert_eq!(factors().await.json()["totp"], json!({ "created_at": now(&server) }));
    call("POST", "/totp", json!({})).await.refused(409, "conflict");
    confirm(app.code(&server)).await.refused(409, "conflict");
    // A right code takes back its own attempt alone: its owner may be a thief.
    is_wrong(&second(url, &begin(url).await, &app.wrong_code(&server)).await);
    has_to_wait(&login(url).await, 1);
    server.advance(1);
    assert_eq!(by_recovery_code(url, &begin(url).await, &made[0]).await.status, 200);

    for _ in 0..2 {
        assert_eq!(call("DELETE", "/totp", json!({})).await.status, 204);
        let left = factors().await.json();
        assert_eq!((&left["totp"], &left["recovery_codes"]), (&Value::Null, &json!(0)));
    }
    assert_eq!(login(url).await.status, 200);
    App::new(&call("POST", "/totp", json!({})).await);
    // After an hour nobody can confirm it.
    let here = login(url).await;
    server.advance(3600);
    let late = refresh(url, &here.refresh_token()).await.field("access_token");
    let refused = of_user(url, "POST", "/totp/confirm", &late, json!({ "code": "000000" })).await;
    refused.refused(409, "conflict");
}

async fn malformed_requests_use_nothing_up(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    let token = begin(url).await;
    for (path, body, reason) in [
        ("/login/second-factor", json!({}), "mfa_token is missing"),
        ("/login/second-factor", json!({ "mfa_token": token }), "either code or recovery_code"),
        ("/login/second-factor", json!({ "mfa_token": token, "code": 1 }), "code must be a string"),
        (
            "/login/second-factor",
            json!({ "mfa_token": token, "code": "x", "recovery_code": "x" }),
            "either code or recovery_code",
        ),
        ("/login/second-factor", json!({ "mfa_token": [token], "code": "x" }), "must be a string"),
        ("/login/second-factor", json!({ "mfa_token": token, "pin": "x" }), "an unknown member"),
        ("/login/second-factor", json!([]), "not a well-formed JSON object"),
        ("/login/totp", json!({}), "mfa_token is missing"),
        ("/login/again", json!({ "password": "x" }), "refresh_token is missing"),
        ("/login/again", json!({ "refresh_token": "x" }), "password is missing"),
        ("/login/again", json!({ "refresh_token": 1, "password": "x" }), "must be a string"),
    ] {
        let refused = post_json(url, path, &body).await;
        refused.refused(400, "invalid_request");
        assert!(refused.text.contains(reason), "{body}: {refused:?}");
    }
    for path in ["/factors", "/totp", "/totp/confirm", "/recovery-codes"] {
        let request = client().request(
            if path == "/factors" { "GET" } else { "POST" }.parse().unwrap(),
            format!("{url}{path}"),
        );
        send(request.json(&json!({}))).await.refused(401, "unauthorized");
    }
    // A code of other digits, or of another length, is a guess.
    let mut token = token;
    for code in ["", "１２３４５６", "12345", "1234567"] {
        token = is_wrong(&second(url, &token, code).await);
    }
    assert_eq!(second(url, &token, &app.code(&server)).await.status, 200);
}

async fn a_wrong_password_tells_nothing_about_second_factors(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    run(&server, &["user", "add", "plain", "--scope", "read write"]);
    set_up(&server).await;
    let hashes = server.state.password_hashes();
    let mut answers = Vec::new();
    for name in ["demo", "plain", "nobody"] {
        let refused = wrong(url, name).await;
        refused.refused(401, "invalid_grant");
        answers.push(refused.text);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(server.state.password_hashes() - hashes, 3);
    for command in ["lock", "unlock"] {
        run(&server, &["user", command, "demo"]);
        let answer = login(url).await;
        let expected = if command == "lock" { "invalid_grant" } else { "mfa_required" };
        answer.refused(401, expected);
        assert_eq!(answer.json().get("mfa_token").is_some(), command == "unlock");
    }
    // A known device is known after the whole login, and not before.
    let asked = attempt(url, "demo", PASSWORD, Source { cookie: "x=y", ..NOWHERE }).await;
    assert_eq!(device_of(&asked), None);
}

async fn another_master_key_takes_the_secrets_along(backend: Backend) {
    let server = Server::on(backend).await;
    let app = set_up(&server).await;
    let new = server.folder.path().join("new-key");
    std::fs::write(&new, "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=").unwrap();
    run(&server, &["keys", "rewrap", "--to", new.to_str().unwrap()]);
    // The running issuer goes on, and so does one with the new key.
    let url = &server.url;
    assert_eq!(second(url, &begin(url).await, &app.code(&server)).await.status, 200);
    let time = now(&server) + 30;
    let folder = server.stop().await;
    let server = Server::at(
        time,
        folder,
        |clock| clock,
        |config, _| {
            config.master_key = None;
            config.master_key_file = Some(new);
        },
    )
    .await;
    let url = &server.url;
    assert_eq!(second(url, &begin(url).await, &app.code(&server)).await.status, 200);
}

#[tokio::test]
async fn the_database_has_neither_the_secret_of_an_app_nor_a_recovery_code() {
    let server = Server::start().await;
    let app = set_up(&server).await;
    for file in std::fs::read_dir(server.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let has = |secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!has(&app.secret));
        assert!(!app.codes.iter().any(|code| has(code.as_bytes())));
        assert!(!app.codes.iter().any(|code| has(code.replace('-', "").as_bytes())));
    }
}

async fn a_reset_lets_the_user_in_with_the_password_alone(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let app = set_up(&server).await;
    let done = second(url, &begin(url).await, &app.code(&server)).await;
    let waiting = begin(url).await;
    let listed: Value = serde_json::from_str(&run(&server, &["user", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["second_factors"], json!(["totp"]));
    assert!(run(&server, &["user", "list"]).trim_end().ends_with("\ttotp"));
    let text = run(&server, &["user", "mfa", "reset", "Demo"]);
    assert_eq!(text, "removed the second factors of user demo and ended their sessions\n");
    assert_eq!(run(&server, &["user", "mfa", "reset", "demo"]), "user demo has no second factor\n");
    server.advance(30);
    is_over(&second(url, &waiting, &app.code(&server)).await);
    refresh(url, &done.refresh_token()).await.refused(400, "invalid_grant");
    assert_eq!(login(url).await.status, 200);
    let unknown = command(server.folder.path(), &["user", "mfa", "reset", "nobody"], "");
    assert_eq!(unknown.status.code(), Some(1));
    let metrics = crate::watch::admin(&server).await;
    let metrics = get(&metrics, "/metrics").await.text;
    let asked = "countersign_logins_total{result=\"second_factor\"} 2";
    assert!(metrics.contains(asked), "{metrics}");
}
