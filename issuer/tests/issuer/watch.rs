//! Monitoring: the values of the metrics, and the admin listener.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use countersign_issuer::{Config, Limits};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Backend, PASSWORD, Process, START, Server, add_user, binary, client, command};
use crate::common::{
    execute, folder, folder_on, get, login, over_both, post_form, post_json, refresh,
};
use crate::common::{send, stderr, stdout};

over_both!(
    the_metrics_count_the_results_of_logins_and_refreshes,
    the_metrics_contain_the_age_of_each_key_until_it_is_dropped,
    the_metrics_have_the_size_of_the_database_and_the_number_of_sessions,
);

/// Serves the metrics of the issuer and returns the URL of their listener.
pub(crate) async fn admin(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = server.state.clone();
    tokio::spawn(countersign_issuer::run_admin(listener, state, std::future::pending()));
    url
}

/// Returns every series with its value.
pub(crate) async fn metrics(admin: &str) -> BTreeMap<String, f64> {
    let answer = get(admin, "/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let lines = answer.text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

/// Waits until the metrics satisfy a condition.
pub(crate) async fn until(admin: &str, good: impl Fn(&BTreeMap<String, f64>) -> bool) {
    for _ in 0..500 {
        if good(&metrics(admin).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the condition was never satisfied: {:#?}", metrics(admin).await);
}

async fn the_metrics_count_the_results_of_logins_and_refreshes(backend: Backend) {
    let folder = folder_on(backend);
    add_user(folder.path(), "locked");
    let server = Server::over(folder, |config, limits| {
        config.login_rate = 5;
        limits.login_window = Duration::from_secs(3000);
    })
    .await;
    let locked = command(server.folder.path(), &["user", "lock", "locked"], "");
    assert!(locked.status.success(), "{}", stderr(&locked));
    let url = &server.url;
    let attempt = async |username: &str, password: &str| {
        let body = json!({ "username": username, "password": password });
        post_json(url, "/login", &body).await.status
    };
    let first = login(url).await.refresh_token();
    let other = login(url).await.refresh_token();
    assert_eq!(attempt("demo", "wrong").await, 401);
    assert_eq!(attempt("nobody", PASSWORD).await, 401);
    assert_eq!(attempt("locked", PASSWORD).await, 401);
    assert_eq!(attempt("demo", PASSWORD).await, 429);
    post_json(url, "/login", &json!({})).await.refused(400, "invalid_request");

    let second = refresh(url, &first).await.refresh_token();
    assert_eq!(refresh(url, &first).await.refresh_token(), second);
    let third = refresh(url, &second).await.refresh_token();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &third), ("scope", "admin")];
    post_form(url, "/token", &form).await.refused(400, "invalid_scope");
    refresh(url, &first).await.refused(400, "invalid_grant");
    refresh(url, &third).await.refused(400, "invalid_grant");
    refresh(url, "nonsense").await.refused(400, "invalid_grant");
    assert_eq!(refresh(url, &other).await.status, 200);

    let metrics = metrics(&admin(&server).await).await;
    for (series, expected) in [
        ("countersign_logins_total{result=\"ok\"}", 2.0),
        ("countersign_logins_total{result=\"wrong\"}", 2.0),
        ("countersign_logins_total{result=\"locked\"}", 1.0),
        ("countersign_logins_total{result=\"limited\"}", 1.0),
        ("countersign_logins_total{result=\"queue_full\"}", 0.0),
        ("countersign_refreshes_total{result=\"rotated\"}", 3.0),
        ("countersign_refreshes_total{result=\"repeated\"}", 1.0),
        ("countersign_refreshes_total{result=\"reused\"}", 1.0),
        ("countersign_refreshes_total{result=\"refused\"}", 2.0),
        ("countersign_refreshes_total{result=\"scope_too_wide\"}", 1.0),
        ("countersign_http_requests_total{route=\"/login\",status=\"200\"}", 2.0),
        ("countersign_http_requests_total{route=\"/login\",status=\"400\"}", 1.0),
        ("countersign_http_requests_total{route=\"/login\",status=\"401\"}", 3.0),
        ("countersign_http_requests_total{route=\"/login\",status=\"429\"}", 1.0),
        ("countersign_http_requests_total{route=\"/token\",status=\"200\"}", 4.0),
        ("countersign_http_requests_total{route=\"/token\",status=\"400\"}", 4.0),
        ("countersign_http_request_duration_seconds_count{route=\"/login\"}", 7.0),
        ("countersign_password_hash_duration_seconds_count", 5.0),
        ("countersign_password_hashes_running", 0.0),
        ("countersign_token_sign_duration_seconds_count", 6.0),
        ("countersign_store_errors_total{operation=\"write\"}", 0.0),
        ("countersign_ready{check=\"database\"}", 1.0),
        ("countersign_ready{check=\"signing_key\"}", 1.0),
    ] {
        assert_eq!(metrics.get(series), Some(&expected), "{series} in {metrics:#?}");
    }
    // At least the opened sessions and the refreshes are writes.
    let writes = metrics["countersign_store_duration_seconds_count{operation=\"write\"}"];
    assert!(writes >= 9.0, "{writes}");
    let signing = metrics["countersign_token_sign_duration_seconds_sum"];
    assert!(signing > 0.0 && signing < 60.0, "{signing}");
    assert!(metrics["process_resident_memory_bytes"] > 1e6);
    assert!(metrics["process_open_fds"] > 5.0);
    assert!(metrics["process_cpu_seconds_total"] > 0.0);
    assert!(metrics["process_start_time_seconds"] > 1.7e9);
}

async fn the_metrics_contain_the_age_of_each_key_until_it_is_dropped(backend: Backend) {
    let server = Server::on(backend).await;
    let admin = admin(&server).await;
    let kids = async || {
        let jwks = get(&server.url, "/.well-known/jwks.json").await.json();
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let age = |kid: &str, state: &str| {
        format!("countersign_key_age_seconds{{kid=\"{kid}\",state=\"{state}\"}}")
    };
    let before = kids().await;
    server.advance(100);
    let series = metrics(&admin).await;
    let listed = command(server.folder.path(), &["keys", "list"], "");
    let active = stdout(&listed).lines().find(|line| line.contains("\tactive")).unwrap().to_owned();
    let active = active.split('\t').next().unwrap();
    assert_eq!(series[&age(active, "active")], 100.0);
    assert_eq!(series["countersign_key_signing_seconds"], 100.0);
    assert_eq!(series["countersign_key_next_change_seconds"], 30.0 * 86400.0 - 100.0);
    assert_eq!(series["countersign_key_rotation_period_seconds"], 30.0 * 86400.0);
    assert!(series["countersign_keys_read_age_seconds"] < 30.0);

    server.advance(30 * 86400);
    let next = before.iter().find(|kid| *kid != active).unwrap();
    until(&admin, |now| now.contains_key(&age(next, "active"))).await;
    assert!(metrics(&admin).await.contains_key(&age(active, "retiring")));
    server.advance(3600);
    until(&admin, |now| !now.contains_key(&age(active, "retiring"))).await;
    let series = metrics(&admin).await;
    let all = series.keys().filter(|name| name.starts_with("countersign_key_age_seconds"));
    assert_eq!(all.count(), kids().await.len());
    assert!(!series.keys().any(|name| name.contains(active)), "{series:#?}");
}

async fn the_metrics_have_the_size_of_the_database_and_the_number_of_sessions(backend: Backend) {
    let server = Server::over(folder_on(backend), |_, limits| {
        limits.measure_interval = Duration::ZERO;
    })
    .await;
    let admin = admin(&server).await;
    let first = metrics(&admin).await;
    assert!(first["countersign_sessions"].is_nan(), "measured before the metrics were read");
    until(&admin, |now| now["countersign_sessions"] == 0.0).await;
    for _ in 0..3 {
        login(&server.url).await.refresh_token();
    }
    until(&admin, |now| now["countersign_sessions"] == 3.0).await;
    let now = metrics(&admin).await;
    assert!((50e3..5e6).contains(&now["countersign_database_size_bytes"]), "{now:#?}");
    let space =
        |name: &str| now.get(&format!("countersign_disk_{name}_bytes{{folder=\"database\"}}"));
    if backend == Backend::Sqlite {
        assert!(space("free") <= space("size") && space("size") > Some(&1e6), "{now:#?}");
    } else {
        assert_eq!(space("size"), None, "the disk of the server is not known");
    }
    server.advance(8 * 86400);
    until(&admin, |now| now["countersign_sessions"] == 0.0).await;
    if backend == Backend::Postgres {
        // More than a million would take too long to count.
        let estimate = "UPDATE pg_class SET reltuples = 3e6
                        WHERE oid = 'countersign.sessions'::regclass";
        execute(server.folder.path(), estimate);
        until(&admin, |now| now["countersign_sessions"] == 3e6).await;
    }
}

#[tokio::test]
async fn the_database_is_measured_once_a_minute_however_often_the_metrics_are_read() {
    let server = Server::start().await;
    let admin = admin(&server).await;
    until(&admin, |now| now["countersign_sessions"] == 0.0).await;
    let bulk = "countersign_store_duration_seconds_count{operation=\"bulk\"}";
    for _ in 0..50 {
        metrics(&admin).await;
    }
    // At the start, expired sessions and one-time tokens, unconfirmed second factors, old failures and
    // old answers were deleted.
    assert_eq!(metrics(&admin).await[bulk], 6.0);
}

#[tokio::test]
async fn the_age_of_the_last_backup_survives_a_restart() {
    let age = |now: &BTreeMap<String, f64>| now["countersign_backup_age_seconds"];
    let backups = tempfile::TempDir::new().unwrap();
    let path = backups.path().to_owned();
    let configured = |config: &mut Config, limits: &mut Limits| {
        config.backup_folder = Some(path.clone());
        limits.measure_interval = Duration::ZERO;
    };
    let server = Server::with(configured).await;
    let of_first = admin(&server).await;
    until(&of_first, |now| age(now) == f64::INFINITY).await;
    let made = fs::File::create(path.join("monday.db")).unwrap();
    (&made).write_all(b"a copy").unwrap();
    made.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(START - 5000)).unwrap();
    until(&of_first, |now| age(now) == 5000.0).await;
    server.advance(1000);
    assert_eq!(age(&metrics(&of_first).await), 6000.0);

    let server = Server::over(server.stop().await, configured).await;
    let of_second = admin(&server).await;
    until(&of_second, |now| age(now) == 5000.0).await;
    fs::remove_dir_all(&path).unwrap();
    until(&of_second, |now| age(now) == f64::INFINITY).await;

    let server = Server::start().await;
    let without = admin(&server).await;
    until(&without, |now| now["countersign_sessions"] == 0.0).await;
    assert!(age(&metrics(&without).await).is_nan());
}

#[tokio::test]
async fn the_limit_of_the_connections_is_the_setting() {
    let server = Server::with(|config, _| config.connections = 77).await;
    let limit = metrics(&admin(&server).await).await["countersign_connections_limit"];
    assert_eq!(limit, 77.0);
}

#[tokio::test]
async fn only_the_admin_listener_serves_metrics_and_it_serves_no_public_endpoint() {
    let server = Server::start().await;
    let admin = admin(&server).await;
    get(&server.url, "/metrics").await.refused(404, "not_found");
    let answer = get(&admin, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    login(&admin).await.refused(404, "not_found");
    get(&admin, "/healthz/live").await.refused(404, "not_found");
    post_json(&admin, "/metrics", &json!({})).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn requests_of_clients_create_no_new_series() {
    let server = Server::start().await;
    let admin = admin(&server).await;
    let names = async || metrics(&admin).await.into_keys().collect::<Vec<_>>();
    let before = names().await;
    for index in 0..20 {
        let method = reqwest::Method::from_bytes(format!("M{index}").as_bytes()).unwrap();
        send(client().request(method, format!("{}/path{index}?query{index}", server.url))).await;
        let body = json!({ "username": format!("user{index}"), "password": "wrong" });
        post_json(&server.url, "/login", &body).await.refused(401, "invalid_grant");
        get(&admin, &format!("/path{index}")).await.refused(404, "not_found");
    }
    assert_eq!(names().await, before);
    let unknown = "countersign_http_requests_total{route=\"-\",status=\"404\"}";
    assert_eq!(
        metrics(&admin).await[unknown],
        20.0,
        "requests to the admin listener are not counted"
    );
}

#[tokio::test]
async fn the_metrics_count_open_connections_and_running_and_waiting_hashes() {
    let server = Server::with(|_, limits| {
        limits.hashes = 1;
        limits.hash_queue = 3;
    })
    .await;
    let admin = admin(&server).await;
    let open = TcpStream::connect(server.address).await.unwrap();
    until(&admin, |now| now["countersign_connections_open"] == 1.0).await;
    drop(open);
    until(&admin, |now| now["countersign_connections_open"] == 0.0).await;

    let attempts: Vec<_> = (0..12)
        .map(|_| {
            let url = server.url.clone();
            tokio::spawn(async move { login(&url).await.status })
        })
        .collect();
    until(&admin, |now| {
        now["countersign_password_hashes_running"] == 1.0
            && (1.0..=3.0).contains(&now["countersign_password_hashes_waiting"])
    })
    .await;
    let mut full = 0.0;
    for attempt in attempts {
        full += f64::from(u8::from(attempt.await.unwrap() == 503));
    }
    let now = metrics(&admin).await;
    assert!(full > 0.0);
    assert_eq!(now["countersign_logins_total{result=\"queue_full\"}"], full);
    assert_eq!(now["countersign_password_hashes_running"], 0.0);
    assert_eq!(now["countersign_password_hashes_waiting"], 0.0);
}

#[tokio::test]
async fn the_admin_listener_has_the_timeouts_of_the_public_one() {
    let server = Server::with(|_, limits| limits.header_timeout = Duration::from_millis(300)).await;
    let admin = admin(&server).await;
    let mut silent = TcpStream::connect(admin.strip_prefix("http://").unwrap()).await.unwrap();
    let mut byte = [0; 1];
    let closed = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut byte)).await;
    assert_eq!(closed.expect("a silent connection is closed").unwrap(), 0);
    assert_eq!(get(&admin, "/metrics").await.status, 200);
}

#[tokio::test]
async fn silent_connections_to_the_admin_listener_do_not_delay_others() {
    let server = Server::with(|config, limits| {
        config.connections = 16;
        // Longer than the client waits.
        limits.header_timeout = Duration::from_secs(600);
    })
    .await;
    let admin = admin(&server).await;
    let connect = || TcpStream::connect(admin.strip_prefix("http://").unwrap());
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect().await.unwrap());
    }
    assert_eq!(get(&admin, "/metrics").await.status, 200);
}

/// Starts the binary with an admin listener and returns the URL of that listener.
pub(crate) fn process_with_admin(
    folder: &Path,
    mut command: Command,
    address: &str,
) -> (Process, String) {
    command.args(["--admin-listen", address]);
    let process = Process::with(folder, command);
    let started = Instant::now();
    loop {
        let log = fs::read_to_string(folder.join("issuer.log")).unwrap();
        let at = log.split_once("metrics at ").and_then(|(_, rest)| rest.split_once("/metrics"));
        if let Some((at, _)) = at {
            return (process, at.to_owned());
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the log has no address: {log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn the_binary_serves_metrics_at_the_address_in_its_log() {
    let folder = folder();
    let (process, admin) = process_with_admin(folder.path(), binary(folder.path()), "127.0.0.1:0");
    login(&process.url).await.refresh_token();
    let series = metrics(&admin).await;
    assert_eq!(series["countersign_logins_total{result=\"ok\"}"], 1.0);
    assert!(series.keys().any(|name| name.starts_with("countersign_build_info{version=\"")));
    process.stop();
    let log = fs::read_to_string(folder.path().join("issuer.log")).unwrap();
    assert!(!log.contains("WARN"), "{log}");

    let (process, _) = process_with_admin(folder.path(), binary(folder.path()), "0.0.0.0:0");
    process.stop();
    let log = fs::read_to_string(folder.path().join("issuer.log")).unwrap();
    assert!(log.contains("admin_listen has neither TLS nor a login"), "{log}");
}
