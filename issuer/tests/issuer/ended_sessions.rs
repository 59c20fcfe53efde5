//! Requests whose session ends while they are on their way to the database.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::authenticator::Authenticator;
use crate::cluster::{execute, is_left_out};
use crate::common::{
    Answer, Backend, PASSWORD, Server, client, command, database, login, send, stderr, stdout,
};
use crate::keys::until;
use crate::passkeys;
use crate::second_factor::App;

const END: &str = "UPDATE countersign.sessions SET revoked = true";

/// As `user lock` does.
const LOCK: &str = "UPDATE countersign.sessions SET revoked = true; \
                    UPDATE countersign.users SET locked = true WHERE name = 'demo'";

/// Sends a request, and runs the statements when its transaction waits for the user's row.
async fn meanwhile(server: &Server, statements: &str, request: RequestBuilder) -> Answer {
    let url = database(server.folder.path());
    let (db, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // Others can read, and do not see the change before it is committed.
    let begin = "BEGIN; LOCK TABLE countersign.users IN EXCLUSIVE MODE";
    db.batch_execute(&format!("{begin}; {statements}")).await.unwrap();
    let answer = tokio::spawn(send(request));
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until(async || execute(&url, waiting) == ["1"]).await;
    db.batch_execute("COMMIT").await.unwrap();
    answer.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_session_has_just_ended_is_told_so_and_is_no_failed_login() {
    if is_left_out() {
        return;
    }
    let server = passkeys::server(Backend::Postgres).await;
    let url = &server.url;
    let post = |path: &str, token: &str, body: &Value| {
        client().post(format!("{url}{path}")).bearer_auth(token).json(body)
    };
    let token = async || login(url).await.field("access_token");

    let begin = post("/totp", &token().await, &json!({}));
    meanwhile(&server, END, begin).await.refused(401, "invalid_token");

    let here = token().await;
    let app = App::new(&send(post("/totp", &here, &json!({}))).await);
    let confirm = post("/totp/confirm", &here, &json!({ "code": app.code(&server) }));
    meanwhile(&server, END, confirm).await.refused(401, "invalid_token");

    let replace = post("/recovery-codes", &token().await, &json!({}));
    meanwhile(&server, END, replace).await.refused(401, "invalid_token");

    let here = token().await;
    let (challenge, options) = passkeys::begin(url, &here).await;
    let credential = Authenticator::new().register(&options);
    let new = json!({ "challenge_token": challenge, "credential": credential, "name": "Phone" });
    let add = post("/passkeys", &here, &new);
    meanwhile(&server, END, add).await.refused(401, "invalid_token");

    let new = json!({ "current_password": PASSWORD, "new_password": "seven lanterns under plums" });
    let change = post("/password", &token().await, &new);
    meanwhile(&server, LOCK, change).await.refused(401, "invalid_token");
    let database = database(server.folder.path());
    execute(&database, "UPDATE countersign.users SET locked = false");

    let refresh_token = login(url).await.refresh_token();
    let body = json!({ "refresh_token": refresh_token, "password": PASSWORD });
    let again = client().post(format!("{url}/login/again")).json(&body);
    meanwhile(&server, END, again).await.refused(400, "invalid_grant");

    let (mut phone, _) = passkeys::register(url, &token().await).await;
    let refresh_token = passkeys::login_with(url, &mut phone).await.refresh_token();
    let (challenge, options) = passkeys::begin_login(url, &json!({})).await;
    let body = json!({
        "refresh_token": refresh_token,
        "challenge_token": challenge,
        "credential": phone.answer(&options),
    });
    let again = client().post(format!("{url}/login/again")).json(&body);
    meanwhile(&server, END, again).await.refused(400, "invalid_grant");

    let failures = "SELECT coalesce(sum(failures), 0) FROM countersign.login_failures";
    until(async || execute(&database, failures) == ["0"]).await;
    let folder = server.stop().await;
    let events = ["--event", "login_failed", "--event", "second_factor_failed"];
    let listed = command(folder.path(), &[&["audit", "list"], &events[..]].concat(), "");
    assert!(listed.status.success(), "{}", stderr(&listed));
    assert_eq!(stdout(&listed), "");
}
