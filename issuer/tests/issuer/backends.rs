//! The connections to PostgreSQL: how many the server has, and what happens if they are slow or dead.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::{Cluster, execute, is_left_out, new_database, unprivileged};
use crate::common::{Answer, PASSWORD, Process, Server, add_user, command, get, login, post_form};
use crate::common::{refresh, send, stderr, stdout, use_database};
use crate::keys::until;

/// The most connections that an issuer has.
const MOST: usize = 13;

/// Makes a folder that is configured for the database at `url`, with the user `demo`.
fn folder_at(url: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    use_database(folder.path(), url);
    add_user(folder.path(), "demo");
    folder
}

/// Returns the number of issuers' backends that the server has.
fn backends(url: &str) -> usize {
    backends_with(url, "true")
}

fn backends_with(url: &str, condition: &str) -> usize {
    let count = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
         AND application_name LIKE 'countersign-issuer %' AND {condition}"
    );
    execute(url, &count)[0].parse().unwrap()
}

/// Returns the issuers' backends, each with its start.
fn backends_by_start(url: &str) -> Vec<String> {
    let list = "SELECT pid || ' ' || backend_start FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'countersign-issuer %'";
    execute(url, list)
}

/// Locks a table until the result is dropped.
async fn lock(url: &str, table: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; LOCK TABLE countersign.{table}")).await.unwrap();
    client
}

/// Repeats a request from 40 clients until `stop`.
struct Crowd {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Vec<u16>>>,
}

impl Crowd {
    fn start(
        request: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder + Clone + Send + 'static,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let client = |_| {
            let (stop, request) = (Arc::clone(&stop), request.clone());
            tokio::spawn(async move {
                let client =
                    reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
                let mut statuses = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    statuses.push(send(request(&client)).await.status);
                }
                statuses
            })
        };
        Self { clients: (0..40).map(client).collect(), stop }
    }

    /// Returns the statuses of all answers.
    async fn stop(self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        let mut statuses = Vec::new();
        for client in self.clients {
            statuses.extend(client.await.unwrap());
        }
        statuses
    }

    /// Closes all connections without waiting for answers.
    fn leave(self) {
        for client in self.clients {
            client.abort();
        }
    }
}

/// Fails if the server ever has more backends than one issuer may have.
async fn count_backends(url: &str, time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time {
        if backends(url) > MOST {
            // One that was just closed may still be there.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let count = backends(url);
            assert!(count <= MOST, "{count} backends");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn add_client(folder: &Path) -> [String; 2] {
    let added = command(folder, &["client", "add", "worker", "--json"], "");
    let new: Value = serde_json::from_str(&stdout(&added)).unwrap();
    ["client_id", "client_secret"].map(|name| new[name].as_str().unwrap().to_owned())
}

/// An issuer with a session, and a client that may ask about it.
struct Busy {
    issuer: Process,
    session: Answer,
    client: [String; 2],
    _folder: TempDir,
}

impl Busy {
    /// Starts the issuer on the database at `url`.
    async fn on(url: &str) -> Self {
        let folder = folder_at(url);
        let client = add_client(folder.path());
        let issuer = Process::start(folder.path());
        let session = login(&issuer.url).await;
        Self { issuer, session, client, _folder: folder }
    }

    /// Returns a request that introspects the access token of the session.
    fn introspection(
        &self,
    ) -> impl Fn(&reqwest::Client) -> reqwest::RequestBuilder + Clone + Send + use<> {
        let url = format!("{}/introspect", self.issuer.url);
        let ([id, secret], token) = (self.client.clone(), self.session.field("access_token"));
        move |client| {
            client.post(&url).basic_auth(&id, Some(&secret)).form(&[("token", token.as_str())])
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_locked_table_take_no_more_connections() {
    if is_left_out() {
        return;
    }
    let url = new_database();
    let busy = Busy::on(&url).await;
    let introspect = busy.introspection();

    let locked = lock(&url, "clients").await;
    let crowd = Crowd::start(introspect.clone());
    count_backends(&url, Duration::from_secs(14)).await;
    drop(locked);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let statuses = crowd.stop().await;
    assert!(statuses.contains(&503) && statuses.contains(&200), "{statuses:?}");
    assert_eq!(send(introspect(&reqwest::Client::new())).await.json()["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_nobody_waits_for_are_cancelled() {
    if is_left_out() {
        return;
    }
    let url = new_database();
    let busy = Busy::on(&url).await;

    let locked = lock(&url, "clients").await;
    let crowd = Crowd::start(busy.introspection());
    let waiting = || backends_with(&url, "wait_event_type = 'Lock'");
    until(async || waiting() > 0).await;
    crowd.leave();
    until(async || waiting() == 0).await;
    drop(locked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_costs_no_connection() {
    if is_left_out() {
        return;
    }
    let url = new_database();
    let busy = Busy::on(&url).await;
    let introspect = busy.introspection();
    let (token_url, token) = (format!("{}/token", busy.issuer.url), busy.session.refresh_token());
    let refreshing = |client: &reqwest::Client| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
        client.post(&token_url).form(&form)
    };
    for _ in 0..5 {
        for (table, is_read) in [("clients", true), ("sessions", false)] {
            let before = backends_by_start(&url);
            let locked = lock(&url, table).await;
            let impatient = reqwest::Client::builder().timeout(Duration::from_millis(300));
            let impatient = impatient.build().unwrap();
            let request = if is_read { introspect(&impatient) } else { refreshing(&impatient) };
            assert!(request.send().await.unwrap_err().is_timeout());
            drop(locked);
            let busy = "SELECT pid::text FROM pg_stat_activity
                        WHERE datname = current_database() AND state <> 'idle'
                          AND application_name LIKE 'countersign-issuer %'";
            while !execute(&url, busy).is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let after = backends_by_start(&url);
            assert!(before.iter().all(|one| after.contains(one)), "{before:?} {after:?}");
        }
    }
    // The refreshes that were given up have changed nothing.
    assert_eq!(send(refreshing(&reqwest::Client::new())).await.status, 200);
    assert_eq!(execute(&url, "SELECT counter FROM countersign.sessions"), ["1"]);
    assert_eq!(send(introspect(&reqwest::Client::new())).await.json()["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_wait_for_a_standby_take_no_more_connections_and_leave_some_for_reads() {
    if is_left_out() {
        return;
    }
    let cluster = Cluster::start();
    let url = cluster.new_database();
    hold_to_connections(&cluster, &url, &url).await;

    // A role takes the place of another one, as when the password of the database changes.
    let direct = cluster.new_database();
    let name = direct.rsplit('/').next().unwrap();
    execute(
        &direct,
        &format!(
            "CREATE USER owner; ALTER DATABASE {name} OWNER TO owner;
         CREATE USER another PASSWORD 'another' IN ROLE owner; ALTER USER another SET ROLE owner"
        ),
    );
    let host = direct.rsplit('@').next().unwrap();
    hold_to_connections(&cluster, &format!("postgres://another:another@{host}"), &direct).await;
}

/// Lets an issuer at `url` commit without a standby, and counts its backends at `direct`.
async fn hold_to_connections(cluster: &Cluster, url: &str, direct: &str) {
    let busy = Busy::on(url).await;
    let introspect = busy.introspection();
    let mut sessions = vec![busy.session.refresh_token()];
    while sessions.len() < 2 * MOST {
        sessions.push(login(&busy.issuer.url).await.refresh_token());
    }

    // There is no standby, so that each COMMIT waits.
    cluster.set("synchronous_standby_names", "missing");
    // By default, the server would hide that it stopped to wait.
    cluster.set("client_min_messages", "error");
    unready(&busy.issuer.url).await;
    let next = Arc::<AtomicUsize>::default();
    let (url_of_refresh, tokens) = (format!("{}/token", busy.issuer.url), sessions.clone());
    let crowd = Crowd::start(move |client| {
        let token = &tokens[next.fetch_add(1, Ordering::Relaxed) % tokens.len()];
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        client.post(&url_of_refresh).form(&form)
    });
    count_backends(direct, Duration::from_secs(2)).await;
    // Then only the primary has the change, so that this is no reason to answer.
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    assert!(!execute(direct, cancel).is_empty(), "no COMMIT waits");
    count_backends(direct, Duration::from_secs(12)).await;
    get(&busy.issuer.url, "/healthz/ready").await.refused(503, "temporarily_unavailable");
    for _ in 0..20 {
        let answer = send(introspect(&reqwest::Client::new())).await;
        assert_eq!(answer.json()["active"], true, "{answer:?}");
    }
    let statuses = crowd.stop().await;
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    cluster.set("synchronous_standby_names", "");
    ready_again(&busy.issuer.url).await;
    for token in sessions {
        refresh(&busy.issuer.url, &token).await.refresh_token();
    }
}

async fn ready_again(url: &str) {
    let started = Instant::now();
    while get(url, "/healthz/ready").await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "the issuer does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the issuer is not ready.
pub(crate) async fn unready(url: &str) {
    let started = Instant::now();
    while get(url, "/healthz/ready").await.status == 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "the issuer stays ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Checks that readiness fails, and that it does not recover because something else succeeds.
async fn stays_unready(url: &str) {
    for _ in 0..3 {
        // The last probe counts for a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        get(url, "/healthz/ready").await.refused(503, "temporarily_unavailable");
        get(url, "/.well-known/jwks.json").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_not_ready_while_a_table_that_logins_write_is_locked() {
    if is_left_out() {
        return;
    }
    let url = new_database();
    let folder = folder_at(&url);
    let issuer = Process::start(folder.path());
    for table in ["users", "sessions", "login_failures", "audit"] {
        ready_again(&issuer.url).await;
        let locked = lock(&url, table).await;
        stays_unready(&issuer.url).await;
        drop(locked);
    }
    ready_again(&issuer.url).await;
    login(&issuer.url).await.refresh_token();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_not_ready_while_the_database_s_disk_is_full() {
    if is_left_out() {
        return;
    }
    let cluster = Cluster::start();
    let url = cluster.new_database();
    let folder = folder_at(&url);
    // Limits the size of each file, which acts like a full disk: no smaller than a part of the log.
    let limit = |bytes: &str| {
        let mut prlimit = unprivileged(PathBuf::from("prlimit"), cluster.folder.path());
        prlimit.args(["--pid", &cluster.process().to_string(), &format!("--fsize={bytes}")]);
        assert!(prlimit.status().unwrap().success());
    };
    limit("16777216:");
    let issuer = Process::start(folder.path());
    ready_again(&issuer.url).await;
    // With rows of two sizes, until the last page is full.
    execute(
        &url,
        "DO $$ DECLARE padding text; BEGIN
           FOREACH padding IN ARRAY ARRAY[repeat('x', 1800), ''] LOOP
             BEGIN
               LOOP
                 BEGIN
                   INSERT INTO countersign.sessions (id, user_id, client_id, scope, counter,
                                 created_at, rotated_at, expires_at, revoked)
                     SELECT uuid_send(gen_random_uuid()), id, '', padding, 0, 0, 0, 4000000000, true
                     FROM countersign.users;
                 EXCEPTION WHEN internal_error THEN EXIT;
                 END;
               END LOOP;
             END;
           END LOOP;
         END $$",
    );
    login(&issuer.url).await.refused(503, "temporarily_unavailable");
    stays_unready(&issuer.url).await;
    drop(issuer);

    limit("unlimited:");
    let issuer = Process::start(folder.path());
    ready_again(&issuer.url).await;
    login(&issuer.url).await.refresh_token();
}

/// A proxy in front of a server.
#[derive(Default)]
struct Proxy {
    /// The time that each packet takes, one way.
    delay: Duration,
    connections: AtomicUsize,
    /// The connections before this number pass nothing on, and are not closed.
    silent: AtomicUsize,
}

impl Proxy {
    /// Starts a proxy to the server at `url`. Returns it with the URL that leads through it.
    async fn start(url: &str, delay: Duration) -> (Arc<Self>, String) {
        let proxy = Arc::new(Self { delay, ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = format!(":{}/", listener.local_addr().unwrap().port());
        let port = port(url);
        let shared = Arc::clone(&proxy);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(Arc::clone(&shared).pass(number, from_client, to_server));
                tokio::spawn(Arc::clone(&shared).pass(number, from_server, to_client));
            }
        });
        (proxy, url.replace(&format!(":{port}/"), &through))
    }

    async fn pass(self: Arc<Self>, number: usize, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            if number < self.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.delay).await;
            if to.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    }
}

/// Returns the port in a database URL.
fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_although_all_idle_connections_are_dead() {
    if is_left_out() {
        return;
    }
    let (proxy, url) = Proxy::start(&new_database(), Duration::ZERO).await;
    let server = Server::over(folder_at(&url), |_, _| {}).await;
    let mut sessions: Vec<String> = Vec::new();
    for _ in 0..MOST {
        sessions.push(login(&server.url).await.refresh_token());
    }
    // Opens as many connections as there may be.
    let at_once = async |sessions: Vec<String>| {
        let refreshes = sessions.into_iter().map(|token| {
            let url = server.url.clone();
            tokio::spawn(async move { refresh(&url, &token).await })
        });
        let mut answers: Vec<Answer> = Vec::new();
        for refresh in refreshes.collect::<Vec<_>>() {
            answers.push(refresh.await.unwrap());
        }
        answers.iter().map(Answer::refresh_token).collect::<Vec<_>>()
    };
    for _ in 0..5 {
        sessions = at_once(sessions).await;
    }
    for round in 0..2 {
        let before = proxy.connections.load(Ordering::SeqCst);
        assert!(before > 1, "only {before} connections");
        proxy.silent.store(before, Ordering::SeqCst);
        if round == 0 {
            for token in &mut sessions {
                *token = refresh(&server.url, token).await.refresh_token();
            }
        } else {
            sessions = at_once(sessions).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_whose_answers_are_lost_are_given_up() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, url) = Proxy::start(&direct, Duration::ZERO).await;
    let server = Server::over(folder_at(&url), |_, _| {}).await;
    let mut sessions: Vec<String> = Vec::new();
    for _ in 0..2 * MOST {
        sessions.push(login(&server.url).await.refresh_token());
    }
    let locked = lock(&direct, "sessions").await;
    let refreshes = sessions.clone().into_iter().map(|token| {
        let url = server.url.clone();
        tokio::spawn(async move { refresh(&url, &token).await.status })
    });
    let refreshes: Vec<_> = refreshes.collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Each connection waits for an answer now.
    proxy.silent.store(proxy.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    drop(locked);
    for refresh in refreshes {
        assert_eq!(refresh.await.unwrap(), 503);
    }
    ready_again(&server.url).await;
    for token in sessions {
        refresh(&server.url, &token).await.refresh_token();
    }
}

/// Runs a long statement on a connection with a name.
async fn work_as(url: &str, name: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("SET application_name = '{name}'")).await.unwrap();
    tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(120)").await });
}

/// Waits until an introspection is answered.
async fn active_again(introspect: &impl Fn(&reqwest::Client) -> reqwest::RequestBuilder) {
    let (client, started) = (reqwest::Client::new(), Instant::now());
    while send(introspect(&client)).await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(30), "the issuer does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(send(introspect(&client)).await.json()["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_recovers_although_all_its_connections_are_lost() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, url) = Proxy::start(&direct, Duration::ZERO).await;
    let busy = Busy::on(&url).await;
    let introspect = busy.introspection();
    // This is the same user, but not the issuer.
    work_as(&direct, "psql").await;
    for is_answered in [true, false] {
        let locked = lock(&direct, "clients").await;
        let crowd = Crowd::start(introspect.clone());
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.silent.store(proxy.connections.load(Ordering::SeqCst), Ordering::SeqCst);
        drop(locked);
        if is_answered {
            crowd.stop().await;
        } else {
            crowd.leave();
        }
        active_again(&introspect).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_uses_the_other_host_although_all_connections_to_the_former_one_are_lost() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (former, through) = Proxy::start(&direct, Duration::ZERO).await;
    let (_, next) = Proxy::start(&direct, Duration::ZERO).await;
    let hosts = format!("@127.0.0.1:{},127.0.0.1:{}/", port(&through), port(&next));
    let both = through.replace(&format!("@127.0.0.1:{}/", port(&through)), &hosts);
    let busy = Busy::on(&both).await;
    let introspect = busy.introspection();
    // The next server works for the issuer, but not for the connections that are lost.
    let name = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()
                  AND application_name LIKE 'countersign-issuer%'";
    work_as(&direct, &execute(&direct, name)[0]).await;

    let locked = lock(&direct, "clients").await;
    let crowd = Crowd::start(introspect.clone());
    tokio::time::sleep(Duration::from_millis(500)).await;
    // It still accepts connections, as the kernel of a stopped server does.
    former.silent.store(usize::MAX, Ordering::SeqCst);
    drop(locked);
    crowd.stop().await;
    active_again(&introspect).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_host_of_a_url_has_its_own_time_to_connect() {
    if is_left_out() {
        return;
    }
    const ONE_WAY: Duration = Duration::from_millis(140);
    let (standby, primary) = (Cluster::start(), Cluster::start());
    let url = primary.new_database();
    // Both servers have a database of that name.
    let name = url.rsplit('/').next().unwrap();
    execute(&standby.url("postgres"), &format!("CREATE DATABASE {name}"));
    standby.set("default_transaction_read_only", "on");
    let read_only = standby.url("postgres");
    let ((_, read_only), (_, through)) =
        (Proxy::start(&read_only, ONE_WAY).await, Proxy::start(&url, ONE_WAY).await);
    let hosts = format!("@127.0.0.1:{},127.0.0.1:{}/", port(&read_only), port(&through));
    let both = through.replace(&format!("@127.0.0.1:{}/", port(&through)), &hosts);

    let folder = TempDir::new().unwrap();
    use_database(folder.path(), &both);
    let added = command(folder.path(), &["user", "add", "demo"], PASSWORD);
    assert!(added.status.success(), "{}", stderr(&added));
    let issuer = Process::start(folder.path());
    let token = login(&issuer.url).await.refresh_token();
    refresh(&issuer.url, &token).await.refresh_token();
    assert_eq!(get(&issuer.url, "/healthz/ready").await.status, 200);
    assert_eq!(post_form(&issuer.url, "/logout", &[("refresh_token", &token)]).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_session_take_no_connections_from_those_of_others() {
    if is_left_out() {
        return;
    }
    let database = new_database();
    let folder = folder_at(&database);
    let server = Process::start(folder.path());
    let token = login(&server.url).await.refresh_token();
    let (db, connection) = tokio_postgres::connect(&database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    db.batch_execute("BEGIN; SELECT FROM countersign.sessions FOR UPDATE").await.unwrap();
    let flood: Vec<_> = (0..40)
        .map(|_| {
            let (url, token) = (server.url.clone(), token.clone());
            tokio::spawn(async move { refresh(&url, &token).await })
        })
        .collect();
    let waiting = || backends_with(&database, "wait_event_type = 'Lock'");
    until(async || waiting() > 0).await;
    // All have arrived meanwhile.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(waiting(), 1);
    let other = login(&server.url).await.refresh_token();
    refresh(&server.url, &other).await.refresh_token();
    db.batch_execute("COMMIT").await.unwrap();
    for answer in flood {
        let answer = answer.await.unwrap();
        assert!([200, 503].contains(&answer.status), "{answer:?}");
    }
    refresh(&server.url, &token).await.refresh_token();
}
