//! The queue of `/login`: who gets in, and which logins count as failures.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::cluster::execute;
use crate::common::{
    Backend, PASSWORD, Process, Server, binary, database, folder_on, login, over_both,
};
use crate::login::{NOWHERE, Source, attempt, attempt_by, device_of, has_to_wait, wrong};
use crate::watch::{admin, until};

over_both!(
    a_flood_from_one_network_leaves_room_for_others,
    a_flood_from_many_networks_leaves_room_for_known_devices,
    a_login_whose_client_goes_away_while_it_waits_is_no_failure,
    a_login_whose_client_goes_away_after_that_counts_by_its_password,
    a_right_password_is_no_failure_if_the_database_fails_after_it,
    a_failure_is_taken_back_when_the_database_works_again,
);

/// Clients that try wrong passwords without end, more of them than the queue takes.
struct Flood {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
}

impl Flood {
    /// `address` returns the address of an attempt.
    async fn start(server: &Server, address: fn(usize) -> String) -> Self {
        let flood = Self { stop: Arc::default(), refused: Arc::default() };
        let client = reqwest::Client::new();
        for first in 0..120 {
            let (stop, refused) = (Arc::clone(&flood.stop), Arc::clone(&flood.refused));
            let (client, url) = (client.clone(), server.url.clone());
            tokio::spawn(async move {
                for n in (first..).step_by(120) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (address, name) = (address(n), format!("nobody{n}"));
                    let from = Source { forwarded: &[&address], cookie: "" };
                    if attempt_by(&client, &url, &name, "wrong", from).await.status == 503 {
                        refused.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(100)).await;
                    }
                }
            });
        }
        while flood.refused.load(Ordering::Relaxed) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        flood
    }

    /// Ends the flood. Returns how many of its logins were refused.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.refused.load(Ordering::Relaxed)
    }
}

/// Starts a server behind a proxy, whose queue is shorter than a flood.
async fn flooded(backend: Backend) -> Server {
    Server::over(folder_on(backend), |config, limits| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        limits.hash_queue = 40;
    })
    .await
}

/// Logs in ten times with the right password, and returns how often that succeeded.
async fn log_in_ten_times(server: &Server, cookie: &str) -> usize {
    let mut succeeded = 0;
    for n in 0..10 {
        let address = format!("203.0.113.{n}");
        let from = Source { forwarded: &[&address], cookie };
        let answer = attempt(&server.url, "demo", PASSWORD, from).await;
        succeeded += usize::from(answer.status == 200);
    }
    succeeded
}

async fn a_flood_from_one_network_leaves_room_for_others(backend: Backend) {
    let server = flooded(backend).await;
    let flood = Flood::start(&server, |n| format!("2001:db8:{:x}::1", n % 256)).await;
    let succeeded = log_in_ten_times(&server, "").await;
    let refused = flood.stop();
    assert!(succeeded >= 9, "{succeeded} of 10; the flood was refused {refused} times");
    assert!(refused >= 10, "the flood was refused only {refused} times");
}

async fn a_flood_from_many_networks_leaves_room_for_known_devices(backend: Backend) {
    let server = flooded(backend).await;
    // Its first login comes from the network too: on loopback, cookies have another name.
    let outside = Source { forwarded: &["203.0.113.0"], ..NOWHERE };
    let device = device_of(&attempt(&server.url, "demo", PASSWORD, outside).await).unwrap();
    let flood = Flood::start(&server, |n| format!("{}.{}.0.1", 1 + n / 256 % 100, n % 256)).await;
    let succeeded = log_in_ten_times(&server, &device).await;
    let forged = log_in_ten_times(&server, "__Host-countersign-device=x").await;
    flood.stop();
    assert!(succeeded >= 9, "{succeeded} of 10");
    assert!(forged < 9, "{forged} of 10 without a known device");
}

/// Starts a server with one thread for hashes that take long, except those that the users have.
async fn slow(backend: Backend, mebibytes: u32) -> Server {
    Server::over(folder_on(backend), |config, limits| {
        config.argon2_memory = mebibytes * 1024;
        config.argon2_passes = 16;
        limits.hashes = 1;
    })
    .await
}

async fn a_login_whose_client_goes_away_while_it_waits_is_no_failure(backend: Backend) {
    let server = slow(backend, 96).await;
    let admin = admin(&server).await;
    let (one, other, ()) =
        tokio::join!(wrong(&server.url, "nobody"), wrong(&server.url, "nobody"), async {
            // One hash runs, and the other login has the next turn.
            until(&admin, |metrics| metrics["countersign_password_hashes_waiting"] == 1.0).await;
            let clients: Vec<_> = (0..6)
                .map(|_| {
                    let url = server.url.clone();
                    tokio::spawn(async move { login(&url).await })
                })
                .collect();
            until(&admin, |metrics| metrics["countersign_password_hashes_waiting"] == 7.0).await;
            for client in clients {
                client.abort();
            }
        },);
    one.refused(401, "invalid_grant");
    other.refused(401, "invalid_grant");
    assert_eq!(server.state.password_hashes(), 2);
    assert_eq!(login(&server.url).await.status, 200);
}

async fn a_login_whose_client_goes_away_after_that_counts_by_its_password(backend: Backend) {
    let server = slow(backend, 12).await;
    // Gives the user a hash that takes long.
    login(&server.url).await.refresh_token();
    let leave = async |password: &'static str| {
        let (hashes, url) = (server.state.password_hashes(), server.url.clone());
        let client = tokio::spawn(async move { attempt(&url, "demo", password, NOWHERE).await });
        while server.state.password_hashes() == hashes && !client.is_finished() {
            sleep(Duration::from_millis(5)).await;
        }
        client.abort();
    };
    for _ in 0..6 {
        leave(PASSWORD).await;
    }
    assert_eq!(login(&server.url).await.status, 200);
    for _ in 0..5 {
        leave("wrong").await;
    }
    has_to_wait(&login(&server.url).await, 1);
}

/// Changes the database with statements in the dialect of each.
fn change(server: &Server, backend: Backend, sqlite: &str, postgres: &str) {
    let folder = server.folder.path();
    if backend == Backend::Sqlite {
        let db = rusqlite::Connection::open(folder.join("countersign.db")).unwrap();
        db.execute_batch(sqlite).unwrap();
    } else {
        execute(&database(folder), postgres);
    }
}

/// Lets the database refuse all sessions.
fn refuse_sessions(server: &Server, backend: Backend) {
    change(
        server,
        backend,
        "CREATE TRIGGER no_session BEFORE INSERT ON sessions
         BEGIN SELECT RAISE(ABORT, 'a test'); END",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
         AS $$BEGIN RAISE EXCEPTION 'a test'; END$$;
         CREATE TRIGGER no_session BEFORE INSERT ON countersign.sessions
         EXECUTE FUNCTION refuse()",
    );
}

fn accept_sessions(server: &Server, backend: Backend) {
    let drop = "DROP TRIGGER no_session";
    change(server, backend, drop, &format!("{drop} ON countersign.sessions"));
}

/// Returns the sum of all counters.
fn counted(folder: &Path, backend: Backend) -> u32 {
    let statement = "SELECT coalesce(sum(failures), 0) FROM login_failures";
    if backend == Backend::Sqlite {
        let db = rusqlite::Connection::open(folder.join("countersign.db")).unwrap();
        return db.query_row(statement, [], |row| row.get(0)).unwrap();
    }
    let statement = statement.replace("login_failures", "countersign.login_failures");
    execute(&database(folder), &statement)[0].parse().unwrap()
}

async fn until_counted(server: &Server, backend: Backend, count: u32) {
    for _ in 0..2000 {
        if counted(server.folder.path(), backend) == count {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} are counted; expected {count}", counted(server.folder.path(), backend));
}

async fn a_right_password_is_no_failure_if_the_database_fails_after_it(backend: Backend) {
    let server = Server::on(backend).await;
    refuse_sessions(&server, backend);
    for _ in 0..6 {
        login(&server.url).await.refused(503, "temporarily_unavailable");
        until_counted(&server, backend, 0).await;
    }
    wrong(&server.url, "demo").await.refused(401, "invalid_grant");
    // One for the network, and one for all networks together.
    until_counted(&server, backend, 2).await;
    login(&server.url).await.refused(503, "temporarily_unavailable");
    until_counted(&server, backend, 2).await;
    accept_sessions(&server, backend);
    assert_eq!(login(&server.url).await.status, 200);
    until_counted(&server, backend, 1).await;
}

async fn a_failure_is_taken_back_when_the_database_works_again(backend: Backend) {
    let server = Server::on(backend).await;
    refuse_sessions(&server, backend);
    change(
        &server,
        backend,
        "CREATE TRIGGER no_less BEFORE UPDATE ON login_failures WHEN NEW.failures < OLD.failures
         BEGIN SELECT RAISE(ABORT, 'a test'); END",
        "CREATE TRIGGER no_less BEFORE UPDATE ON countersign.login_failures FOR EACH ROW
         WHEN (NEW.failures < OLD.failures) EXECUTE FUNCTION refuse()",
    );
    for _ in 0..5 {
        login(&server.url).await.refused(503, "temporarily_unavailable");
    }
    has_to_wait(&login(&server.url).await, 1);
    accept_sessions(&server, backend);
    let drop = "DROP TRIGGER no_less";
    change(&server, backend, drop, &format!("{drop} ON countersign.login_failures"));
    until_counted(&server, backend, 0).await;
    assert_eq!(login(&server.url).await.status, 200);
}

#[tokio::test]
async fn a_login_refused_by_a_full_queue_is_no_failure() {
    let server = Server::with(|config, limits| {
        limits.hashes = 1;
        limits.hash_queue = 0;
        config.login_rate = 1000;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut full = 0;
    for _ in 0..20 {
        let from = |forwarded| Source { forwarded, cookie: "" };
        let (one, other) = tokio::join!(
            attempt(&server.url, "demo", PASSWORD, from(&["192.0.2.1"])),
            attempt(&server.url, "demo", PASSWORD, from(&["192.0.2.1"])),
        );
        for answer in [one, other] {
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            full += usize::from(answer.status == 503);
        }
    }
    assert!(full > 5, "only {full} found the queue full");
    assert_eq!(login(&server.url).await.status, 200);
}

/// Returns the resident memory of a process in MiB: the peak and the current value.
fn memory_of(process: &Process) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    (field("VmHWM:"), field("VmRSS:"))
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_stays_within_its_memory_budget() {
    let folder = folder_on(Backend::Sqlite);
    let mut command = binary(folder.path());
    command.env("COUNTERSIGN_TRUSTED_PROXIES", "127.0.0.0/8");
    // The budget has room for one hash at a time, although there are more cores.
    command.env("COUNTERSIGN_ARGON2_MEMORY", "64MiB").env("COUNTERSIGN_HASH_MEMORY", "100MiB");
    let process = Process::with(folder.path(), command);
    assert_eq!(login(&process.url).await.status, 200);
    let (_, idle) = memory_of(&process);
    // The issuer answers within 30 s, also if the machine is slow.
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
    let attempts: Vec<_> = (0..400)
        .map(|n| {
            let (client, url) = (client.clone(), process.url.clone());
            tokio::spawn(async move {
                let address = format!("198.51.100.{}", n % 200);
                let forwarded: &[&str] = &[&address];
                let (username, password) = match n % 4 {
                    0 => ("demo".to_owned(), PASSWORD),
                    1 => ("demo".to_owned(), "wrong"),
                    _ => (format!("nobody{n}"), "wrong"),
                };
                let from = Source { forwarded, cookie: "" };
                attempt_by(&client, &url, &username, password, from).await.status
            })
        })
        .collect();
    let mut statuses = std::collections::BTreeSet::new();
    for attempt in attempts {
        statuses.insert(attempt.await.unwrap());
    }
    assert!(statuses.is_subset(&[200, 401, 429, 503].into()), "{statuses:?}");
    assert!(statuses.contains(&401) && statuses.contains(&503), "{statuses:?}");
    let (most, _) = memory_of(&process);
    // The idle value includes the memory of one hash. The rest is for 400 connections.
    assert!(most < idle + 48, "{most} MiB; {idle} MiB when idle");
    assert!(most > 64, "no hash has run");
}
