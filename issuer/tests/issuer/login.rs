//! `/login` under attack: throttling of failures, and known devices.

use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::cluster::is_left_out;
use crate::common::{
    Answer, Backend, PASSWORD, Server, add_user, client, folder_on, over_all, over_both,
};
use crate::common::{command, database, login, refresh, send, stderr, use_database, with_clocks};

over_both!(
    a_hundred_parallel_wrong_passwords_get_no_more_hashes_than_sequential_ones,
    each_failure_doubles_the_wait_and_the_right_password_resets_it,
    a_clock_that_was_ahead_makes_no_wait_longer,
    a_login_renews_a_hash_with_outdated_parameters,
    a_password_may_be_typed_in_another_form_than_it_was_set,
    a_typed_user_name_is_not_stored,
);

over_all!(
    an_unknown_name_is_throttled_like_a_known_one,
    spellings_of_a_name_are_counted_together,
    only_trusted_proxies_may_name_the_client_address,
    a_stranger_cannot_lock_out_a_device_that_has_logged_in,
    known_devices_are_counted_together_and_unknown_after_a_new_password,
    unlock_forgets_the_failures_of_an_account_and_no_device,
    failures_survive_a_restart,
);

/// The headers of a login that identify its client.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) forwarded: &'a [&'a str],
    pub(crate) cookie: &'a str,
}

pub(crate) const NOWHERE: Source<'_> = Source { forwarded: &[], cookie: "" };

pub(crate) async fn attempt(url: &str, username: &str, password: &str, from: Source<'_>) -> Answer {
    attempt_by(&client(), url, username, password, from).await
}

pub(crate) async fn attempt_by(
    client: &reqwest::Client,
    url: &str,
    username: &str,
    password: &str,
    from: Source<'_>,
) -> Answer {
    let body = json!({ "username": username, "password": password, "session": "cookie" });
    let mut request = client.post(format!("{url}/login")).json(&body);
    for line in from.forwarded {
        request = request.header("x-forwarded-for", *line);
    }
    if !from.cookie.is_empty() {
        request = request.header("cookie", from.cookie);
    }
    send(request).await
}

pub(crate) async fn wrong(url: &str, username: &str) -> Answer {
    attempt(url, username, "wrong", NOWHERE).await
}

/// Asserts that a login was refused with this wait.
#[track_caller]
pub(crate) fn has_to_wait(answer: &Answer, seconds: u64) {
    answer.refused(429, "too_many_requests");
    assert_eq!(answer.header("retry-after"), seconds.to_string());
}

/// Makes the failed attempts that are free of a wait.
async fn fail_five_times(url: &str, username: &str) {
    for _ in 0..5 {
        wrong(url, username).await.refused(401, "invalid_grant");
    }
    has_to_wait(&wrong(url, username).await, 1);
}

/// Starts a server that reads the addresses of its clients from `X-Forwarded-For`.
async fn behind_proxy(backend: Backend) -> Server {
    Server::over(folder_on(backend), |config, _| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
}

async fn a_hundred_parallel_wrong_passwords_get_no_more_hashes_than_sequential_ones(
    backend: Backend,
) {
    let server = Server::over(folder_on(backend), |config, limits| {
        config.login_rate = 1000;
        limits.hash_queue = 1000;
    })
    .await;
    for username in ["demo", "nobody"] {
        let before = server.state.password_hashes();
        let attempts: Vec<_> = (0..100)
            .map(|_| {
                let url = server.url.clone();
                tokio::spawn(async move { wrong(&url, username).await.status })
            })
            .collect();
        let mut statuses = Vec::new();
        for attempt in attempts {
            statuses.push(attempt.await.unwrap());
        }
        let count = |status| statuses.iter().filter(|one| **one == status).count();
        assert_eq!((count(401), count(429)), (5, 95), "{statuses:?}");
        assert_eq!(server.state.password_hashes() - before, 5);
    }
}

async fn each_failure_doubles_the_wait_and_the_right_password_resets_it(backend: Backend) {
    let server = Server::on(backend).await;
    let mut hashes = 0;
    for wait in [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        wrong(&server.url, "demo").await.refused(401, "invalid_grant");
        hashes += 1;
        assert_eq!(server.state.password_hashes(), hashes);
        if wait > 0 {
            has_to_wait(&login(&server.url).await, wait);
            server.advance(wait - 1);
            // A refused attempt does not make the wait longer.
            has_to_wait(&login(&server.url).await, 1);
            server.advance(1);
        }
        assert_eq!(server.state.password_hashes(), hashes, "a refused attempt costs no hash");
    }
    assert_eq!(login(&server.url).await.status, 200);
    fail_five_times(&server.url, "demo").await;
    server.advance(86400);
    fail_five_times(&server.url, "demo").await;
}

async fn an_unknown_name_is_throttled_like_a_known_one(backend: Backend) {
    let server = Server::on(backend).await;
    add_user(server.folder.path(), "locked");
    let lock = ["user", "lock", "locked"];
    assert!(command(server.folder.path(), &lock, "").status.success());
    let mut seen = Vec::new();
    for username in ["demo", "nobody", "locked", "\u{0}", ""] {
        let mut answers = Vec::new();
        for _ in 0..7 {
            let answer = wrong(&server.url, username).await;
            answers.push((answer.status, answer.header("retry-after").to_owned(), answer.text));
        }
        seen.push(answers);
    }
    assert_eq!(seen[0][5].0, 429);
    assert!(seen.iter().all(|answers| *answers == seen[0]), "{seen:?}");
}

async fn spellings_of_a_name_are_counted_together(backend: Backend) {
    let server = Server::on(backend).await;
    for username in ["Demo", " demo", "demo\t", "ＤＥＭＯ", "ⓓemo"] {
        wrong(&server.url, username).await.refused(401, "invalid_grant");
    }
    has_to_wait(&login(&server.url).await, 1);
    has_to_wait(&wrong(&server.url, "DEMO ").await, 1);
    wrong(&server.url, "demo2").await.refused(401, "invalid_grant");
}

async fn only_trusted_proxies_may_name_the_client_address(backend: Backend) {
    let server = Server::on(backend).await;
    let spoofed: [&[&str]; 5] = [
        &["192.0.2.1"],
        &["192.0.2.2, 192.0.2.3"],
        &["192.0.2.4", "192.0.2.5"],
        &["127.0.0.1"],
        &["2001:db8::1"],
    ];
    for forwarded in spoofed {
        let from = Source { forwarded, ..NOWHERE };
        attempt(&server.url, "demo", "wrong", from).await.refused(401, "invalid_grant");
    }
    for forwarded in spoofed {
        has_to_wait(
            &attempt(&server.url, "demo", PASSWORD, Source { forwarded, ..NOWHERE }).await,
            1,
        );
    }

    let server = behind_proxy(backend).await;
    let spoofed: [&[&str]; 5] = [
        &["192.0.2.1"],
        &["203.0.113.1, 192.0.2.1"],
        &["203.0.113.2", "192.0.2.1"],
        &["203.0.113.3, 203.0.113.4", "unknown", "192.0.2.1, 127.0.0.9"],
        &["192.0.2.1", "127.0.0.8,127.0.0.9"],
    ];
    for forwarded in spoofed {
        let from = Source { forwarded, ..NOWHERE };
        attempt(&server.url, "demo", "wrong", from).await.refused(401, "invalid_grant");
    }
    let from = |forwarded| attempt(&server.url, "demo", PASSWORD, Source { forwarded, ..NOWHERE });
    has_to_wait(&from(&["203.0.113.9, 192.0.2.1"]).await, 1);
    assert_eq!(from(&["192.0.2.1, 203.0.113.9"]).await.status, 200);
}

/// Returns the device cookie of a response.
pub(crate) fn device_of(answer: &Answer) -> Option<String> {
    let cookies = answer.headers.get_all("set-cookie").into_iter();
    let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap());
    let cookie = cookies.find(|cookie| cookie.contains("countersign-device="))?;
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let secure = if pair.starts_with("__Host-") { "Secure; " } else { "" };
    let expected = format!("Path=/; Max-Age=15552000; {secure}HttpOnly; SameSite=Strict");
    assert_eq!(attributes, expected);
    Some(pair.to_owned())
}

async fn a_stranger_cannot_lock_out_a_device_that_has_logged_in(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, limits| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        limits.hash_queue = 200;
    })
    .await;
    add_user(server.folder.path(), "eve");
    let home: &[&str] = &["192.0.2.1"];
    let at_home = |cookie| Source { forwarded: home, cookie };
    let demo = attempt(&server.url, "demo", PASSWORD, at_home("")).await;
    let demo = device_of(&demo).unwrap();
    let eve = attempt(&server.url, "eve", PASSWORD, at_home("")).await;
    let eve = device_of(&eve).unwrap();

    // Strangers try from many networks.
    let attempts: Vec<_> = (0..110)
        .map(|n| {
            let url = server.url.clone();
            tokio::spawn(async move {
                let address = format!("198.51.100.{n}");
                let forwarded: &[&str] = &[&address];
                attempt(&url, "demo", "wrong", Source { forwarded, cookie: "" }).await.status
            })
        })
        .collect();
    let mut failed = 0;
    for attempt in attempts {
        failed += usize::from(attempt.await.unwrap() == 401);
    }
    assert_eq!(failed, 100, "the limit of all networks together");
    let elsewhere: &[&str] = &["203.0.113.1"];
    for cookie in ["", &eve, "__Host-countersign-device=x"] {
        for forwarded in [home, elsewhere] {
            let from = Source { forwarded, cookie };
            has_to_wait(&attempt(&server.url, "demo", PASSWORD, from).await, 1);
        }
    }
    // The device is known in every network.
    let from = Source { forwarded: elsewhere, cookie: &demo };
    let answer = attempt(&server.url, "demo", PASSWORD, from).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let demo = device_of(&answer).unwrap();

    // Failures of the device are counted too. After too many it is treated as unknown.
    for _ in 0..5 {
        let answer = attempt(&server.url, "demo", "wrong", at_home(&demo)).await;
        answer.refused(401, "invalid_grant");
        assert_eq!(device_of(&answer), None);
    }
    has_to_wait(&attempt(&server.url, "demo", PASSWORD, at_home(&demo)).await, 1);
    server.advance(1);
    assert_eq!(attempt(&server.url, "demo", PASSWORD, at_home(&demo)).await.status, 200);
}

async fn known_devices_are_counted_together_and_unknown_after_a_new_password(backend: Backend) {
    let server = Server::on(backend).await;
    let with =
        |password, cookie| attempt(&server.url, "demo", password, Source { cookie, ..NOWHERE });
    let one = device_of(&with(PASSWORD, "").await).unwrap();
    server.advance(1);
    let other = device_of(&with(PASSWORD, "").await).unwrap();
    fail_five_times(&server.url, "demo").await;
    for device in [&one, &one, &one, &other, &other] {
        with("wrong", device).await.refused(401, "invalid_grant");
    }
    has_to_wait(&with(PASSWORD, &one).await, 1);
    server.advance(1);
    let one = device_of(&with(PASSWORD, &one).await).unwrap();

    let new = "another long password";
    let done = command(server.folder.path(), &["user", "passwd", "demo"], new);
    assert!(done.status.success(), "{}", stderr(&done));
    wrong(&server.url, "demo").await.refused(401, "invalid_grant");
    has_to_wait(&with(new, &one).await, 2);
    server.advance(2);
    assert_eq!(with(new, &one).await.status, 200);
}

async fn unlock_forgets_the_failures_of_an_account_and_no_device(backend: Backend) {
    let server = Server::on(backend).await;
    add_user(server.folder.path(), "eve");
    let with = |cookie| attempt(&server.url, "demo", PASSWORD, Source { cookie, ..NOWHERE });
    let device = device_of(&with("").await).unwrap();
    let fail = async || {
        fail_five_times(&server.url, "demo").await;
        let known = Source { cookie: &device, ..NOWHERE };
        for _ in 0..5 {
            attempt(&server.url, "demo", "wrong", known).await.refused(401, "invalid_grant");
        }
        has_to_wait(&with("").await, 1);
        has_to_wait(&with(&device).await, 1);
    };
    fail().await;
    fail_five_times(&server.url, "eve").await;
    let unlocked = command(server.folder.path(), &["user", "unlock", "demo"], "");
    assert!(unlocked.status.success(), "{}", stderr(&unlocked));
    // Nothing is counted any more, for strangers and for the device, which is still known.
    fail().await;
    has_to_wait(&attempt(&server.url, "eve", PASSWORD, NOWHERE).await, 1);
}

#[tokio::test]
async fn a_device_cookie_is_set_only_for_clients_with_cookies_and_ignored_across_sites() {
    let server = Server::start().await;
    let token = |headers: &[(&str, &str)]| {
        let body = json!({ "username": "demo", "password": PASSWORD });
        let mut request = client().post(format!("{}/login", server.url)).json(&body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request)
    };
    assert_eq!(device_of(&token(&[]).await), None);
    let first = device_of(&attempt(&server.url, "demo", PASSWORD, NOWHERE).await).unwrap();
    server.advance(1);
    let second = device_of(&token(&[("cookie", &first)]).await).unwrap();
    assert_ne!(first, second);
    let foreign = ("sec-fetch-site", "cross-site");
    assert_eq!(device_of(&token(&[("cookie", &first), foreign]).await), None);

    fail_five_times(&server.url, "demo").await;
    let answer = token(&[("cookie", &first), foreign]).await;
    has_to_wait(&answer, 1);
    // The cookie does not contain the account, and it is valid for half a year.
    assert!(!first.contains("demo"));
    assert_eq!(token(&[("cookie", &first)]).await.status, 200);
    server.advance(180 * 86400 - 2);
    fail_five_times(&server.url, "demo").await;
    assert_eq!(token(&[("cookie", &first)]).await.status, 200);
    server.advance(1);
    wrong(&server.url, "demo").await.refused(401, "invalid_grant");
    has_to_wait(&token(&[("cookie", &first)]).await, 2);
}

async fn failures_survive_a_restart(backend: Backend) {
    let server = Server::on(backend).await;
    let device = device_of(&attempt(&server.url, "demo", PASSWORD, NOWHERE).await).unwrap();
    fail_five_times(&server.url, "demo").await;
    fail_five_times(&server.url, "nobody").await;
    let server = Server::over(server.stop().await, |_, _| {}).await;
    has_to_wait(&login(&server.url).await, 1);
    has_to_wait(&wrong(&server.url, "nobody").await, 1);
    let from = Source { cookie: &device, ..NOWHERE };
    assert_eq!(attempt(&server.url, "demo", PASSWORD, from).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_on_one_database_count_together() {
    if is_left_out() {
        return;
    }
    let folder = folder_on(Backend::Postgres);
    let twin = tempfile::TempDir::new().unwrap();
    use_database(twin.path(), &database(folder.path()));
    let one = Server::over(folder, |_, _| {}).await;
    let other = Server::over(twin, |_, _| {}).await;
    let device = device_of(&attempt(&one.url, "demo", PASSWORD, NOWHERE).await).unwrap();
    let attempts: Vec<_> = (0..40)
        .map(|index| {
            let url = if index % 2 == 0 { &one.url } else { &other.url }.clone();
            tokio::spawn(async move { wrong(&url, "demo").await.status })
        })
        .collect();
    let mut failed = 0;
    for attempt in attempts {
        failed += usize::from(attempt.await.unwrap() == 401);
    }
    assert_eq!(failed, 5);
    assert_eq!(one.state.password_hashes() + other.state.password_hashes(), 1 + 5);
    has_to_wait(&login(&other.url).await, 1);
    let from = Source { cookie: &device, ..NOWHERE };
    assert_eq!(attempt(&other.url, "demo", PASSWORD, from).await.status, 200);
}

async fn a_typed_user_name_is_not_stored(backend: Backend) {
    let typed = "my secret, in the wrong field";
    let server = Server::on(backend).await;
    wrong(&server.url, typed).await.refused(401, "invalid_grant");
    wrong(&server.url, &format!("{typed}\u{0}")).await.refused(401, "invalid_grant");
    let content = match backend {
        Backend::Sqlite => {
            let files = std::fs::read_dir(server.folder.path()).unwrap();
            files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect::<Vec<_>>()
        }
        Backend::Postgres | Backend::PostgresTwice => {
            let all = "SELECT encode(counter, 'escape') || f::text
                       FROM countersign.login_failures f";
            let rows = crate::cluster::execute(&database(server.folder.path()), all);
            assert_eq!(rows.len(), 4);
            rows.concat().into_bytes()
        }
    };
    for word in [typed, "wrong field", "127.0.0.1"] {
        assert!(!content.windows(word.len()).any(|found| found == word.as_bytes()), "{word}");
    }
}

async fn a_password_may_be_typed_in_another_form_than_it_was_set(backend: Backend) {
    let server = Server::on(backend).await;
    let cases = [
        ("a line that ends as in Windows", format!("{PASSWORD}\r"), PASSWORD),
        ("a file with a byte order mark", format!("\u{feff}{PASSWORD}"), PASSWORD),
        (
            "NFD for NFC",
            "caf\u{e9} under seven lanterns".into(),
            "cafe\u{301} under seven lanterns",
        ),
        ("NFC for NFD", "cafe\u{301} under ten lanterns".into(), "caf\u{e9} under ten lanterns"),
        ("another space", "plum\u{3000}carousel lantern".into(), "plum carousel\u{a0}lantern"),
    ];
    for (name, set, typed) in cases {
        let done = command(server.folder.path(), &["user", "passwd", "demo"], &set);
        assert!(done.status.success(), "{name}: {}", stderr(&done));
        let hashes = server.state.password_hashes();
        let answer = attempt(&server.url, "demo", typed, NOWHERE).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(server.state.password_hashes(), hashes + 1, "{name}");
    }
}

fn hash_of(folder: &Path, backend: Backend) -> String {
    let statement = "SELECT password_hash FROM users WHERE name = 'demo'";
    match backend {
        Backend::Sqlite => {
            let db = rusqlite::Connection::open(folder.join("countersign.db")).unwrap();
            db.query_row(statement, [], |row| row.get(0)).unwrap()
        }
        Backend::Postgres | Backend::PostgresTwice => {
            let statement = statement.replace("users", "countersign.users");
            crate::cluster::execute(&database(folder), &statement).remove(0)
        }
    }
}

async fn a_clock_that_was_ahead_makes_no_wait_longer(backend: Backend) {
    const ERROR: u64 = 20 * 3600;
    let (server, _) = with_clocks(backend, |_, _| {}).await;
    assert_eq!(login(&server.url).await.status, 200);
    server.advance(ERROR);
    fail_five_times(&server.url, "demo").await;
    server.clock.fetch_sub(ERROR, Ordering::Relaxed);
    // Earlier failures count, and so does the wait after the next one.
    wrong(&server.url, "demo").await.refused(401, "invalid_grant");
    has_to_wait(&login(&server.url).await, 2);
    server.advance(2);
    assert_eq!(login(&server.url).await.status, 200);
}

async fn a_login_renews_a_hash_with_outdated_parameters(backend: Backend) {
    let before = Server::on(backend).await;
    let device = device_of(&attempt(&before.url, "demo", PASSWORD, NOWHERE).await).unwrap();
    let session = login(&before.url).await.refresh_token();
    let old = hash_of(before.folder.path(), backend);
    assert!(old.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{old}");
    let server = Server::over(before.stop().await, |config, _| {
        config.argon2_memory = 12 * 1024;
        config.argon2_passes = 3;
    })
    .await;
    wrong(&server.url, "demo").await.refused(401, "invalid_grant");
    assert_eq!(server.state.password_hashes(), 1, "a failed login costs one hash");
    assert_eq!(hash_of(server.folder.path(), backend), old);

    // All of them check against the old hash. None fails because another one renewed it.
    let attempts: Vec<_> = (0..5)
        .map(|_| {
            let (url, device) = (server.url.clone(), device.clone());
            tokio::spawn(async move {
                let from = Source { cookie: &device, ..NOWHERE };
                attempt(&url, "demo", PASSWORD, from).await.status
            })
        })
        .collect();
    for attempt in attempts {
        assert_eq!(attempt.await.unwrap(), 200);
    }
    let new = hash_of(server.folder.path(), backend);
    assert!(new.starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{new}");
    let hashes = server.state.password_hashes();
    assert_eq!(login(&server.url).await.status, 200);
    assert_eq!(server.state.password_hashes(), hashes + 1);
    assert_eq!(hash_of(server.folder.path(), backend), new);
    assert_eq!(refresh(&server.url, &session).await.status, 200, "no session ended");
}
