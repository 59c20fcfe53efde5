//! With nobody there, an issuer hardly asks its database. The next request is answered by the state
//! of that moment all the same.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_issuer::Config;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::cluster::{execute, is_left_out, new_database};
use crate::common::{Answer, Backend, PASSWORD, Server, add_user, client, command, folder_on, get};
use crate::common::{database, use_database};
use crate::common::{jwt_part, login, over_both, post_form, refresh, send, stderr, stdout};
use crate::watch::{admin, metrics};

over_both!(an_issuer_asks_its_database_at_most_once_a_minute_while_nobody_is_there);

/// Starts an issuer with the clock of the commands.
async fn issuer(folder: TempDir) -> Server {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let change = |config: &mut Config, _: &mut _| {
        config.issuer = Some("http://localhost:1".to_owned());
        config.status_lists = true;
    };
    Server::at(now, folder, |clock| clock, change).await
}

/// Returns the number of questions to the database so far.
async fn questions(admin: &str) -> f64 {
    let is_count =
        |name: &str| name.starts_with("countersign_store_duration_seconds_count{operation=");
    metrics(admin).await.iter().filter(|(name, _)| is_count(name)).map(|(_, count)| count).sum()
}

/// Waits until an issuer asks its database nothing for three seconds.
async fn until_quiet(admin: &str) {
    let (mut last, mut seconds) = (0.0, 0);
    for _ in 0..60 {
        let now = questions(admin).await;
        seconds = if now > last { 0 } else { seconds + 1 };
        if seconds == 3 {
            return;
        }
        last = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the issuer goes on asking its database");
}

async fn an_issuer_asks_its_database_at_most_once_a_minute_while_nobody_is_there(backend: Backend) {
    let server = issuer(folder_on(backend)).await;
    let admin = admin(&server).await;
    login(&server.url).await.refresh_token();
    until_quiet(&admin).await;
    let before = questions(&admin).await;
    let mut seen = Vec::new();
    for _ in 0..15 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(get(&server.url, "/healthz/live").await.status, 200);
        assert_eq!(get(&server.url, "/openapi.json").await.status, 200);
        assert_eq!(metrics(&admin).await["countersign_ready{check=\"database\"}"], 1.0);
        if backend == Backend::Postgres {
            let last = "SELECT max(query_start)::text FROM pg_stat_activity
                        WHERE application_name LIKE 'countersign-issuer %'
                          AND datname = current_database()";
            seen.extend(execute(&database(server.folder.path()), last));
        }
    }
    // Once it reads the keys, stores the time, and probes and measures the database.
    assert!(questions(&admin).await - before <= 4.0);
    seen.dedup();
    assert!(seen.len() <= 4, "{seen:?}");

    // With somebody there it is as before.
    let before = questions(&admin).await;
    for _ in 0..6 {
        get(&server.url, "/.well-known/jwks.json").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(questions(&admin).await - before >= 5.0);
}

fn run(folder: &TempDir, arguments: &[&str]) -> String {
    let done = command(folder.path(), arguments, PASSWORD);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_after_a_pause_is_answered_with_the_keys_of_that_moment() {
    if is_left_out() {
        return;
    }
    let url = new_database();
    let folder = || {
        let folder = TempDir::new().unwrap();
        use_database(folder.path(), &url);
        folder
    };
    let commands = folder();
    add_user(commands.path(), "demo");
    let added = run(&commands, &["client", "add", "service", "--json"]);
    let added: Value = serde_json::from_str(&added).unwrap();
    let text = |name: &str| added[name].as_str().unwrap().to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let as_client = async |server: &Server, path: &str, form: &[(&str, &str)]| {
        let request = client().post(format!("{}{path}", server.url)).form(form);
        send(request.basic_auth(&id, Some(&secret))).await
    };
    // One issuer for each kind of request: after the first one, an issuer is awake.
    let mut issuers = Vec::new();
    for _ in 0..7 {
        issuers.push(issuer(folder()).await);
    }
    let first = login(&issuers[0].url).await;
    let token = first.field("access_token");
    let signer = |token: &str| jwt_part(token, 0)["kid"].as_str().unwrap().to_owned();
    let revoked = signer(&token);
    let mut waits = JoinSet::new();
    for server in &issuers {
        let admin = admin(server).await;
        waits.spawn(async move { until_quiet(&admin).await });
    }
    waits.join_all().await;
    run(&commands, &["keys", "revoke", &revoked]);

    let of = |answer: Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        signer(&answer.field("access_token"))
    };
    let keys = get(&issuers[0].url, "/.well-known/jwks.json").await;
    assert!(keys.status == 200 && !keys.text.contains(&revoked), "{keys:?}");
    let next = of(login(&issuers[1].url).await);
    assert_ne!(next, revoked);
    assert_eq!(of(refresh(&issuers[2].url, &first.refresh_token()).await), next);
    let grant = [("grant_type", "client_credentials")];
    assert_eq!(of(as_client(&issuers[3], "/token", &grant).await), next);
    let list = get(&issuers[4].url, "/status/1").await;
    assert_eq!(signer(&list.text), next);
    let introspected = as_client(&issuers[5], "/introspect", &[("token", &token)]).await;
    assert_eq!(introspected.text, "{\"active\":false}");
    // Nobody can end a session with a token that a thief of the key may have made.
    let ended = post_form(&issuers[6].url, "/revoke", &[("token", &token)]).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let sessions = "SELECT count(*) FROM countersign.sessions WHERE revoked";
    assert_eq!(execute(&url, sessions), ["0"]);
}
