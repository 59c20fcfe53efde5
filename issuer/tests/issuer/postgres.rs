//! A database on a network: outages, lost answers, TLS, and several issuers on one database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign_issuer::Config;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::cluster::{Cluster, DATABASE_PASSWORD, execute, is_left_out, new_database};
use crate::common::{Backend, PASSWORD, Process, Server, add_user, command, folder_on, get};
use crate::common::{
    database, distinct, login, post_form, post_json, refresh, send, stderr, stdout, use_database,
};
use crate::lossy_proxy::LossyProxy;

/// Makes a folder that is configured for the database at `url`, and adds the user `demo`.
fn folder_at(url: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    use_database(folder.path(), url);
    add_user(folder.path(), "demo");
    folder
}

/// The hash of a password.
const BCRYPT: &str = "$2b$04$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";

fn audited(url: &str, event: &str) -> usize {
    let count = format!("SELECT count(*) FROM countersign.audit WHERE event = '{event}'");
    execute(url, &count)[0].parse().unwrap()
}

/// Refreshes one session until `stop`, and retries each refresh until it succeeds. Returns all tokens
/// and the number of 503 responses.
async fn refresh_until(url: String, first: String, stop: Arc<AtomicBool>) -> (Vec<String>, usize) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(8)).build().unwrap();
    let (mut tokens, mut unavailable) = (vec![first], 0);
    while !stop.load(Ordering::SeqCst) {
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.last().unwrap())];
        let answer = send(client.post(format!("{url}/token")).form(&form)).await;
        if answer.status == 200 {
            tokens.push(answer.refresh_token());
        } else {
            answer.refused(503, "temporarily_unavailable");
            unavailable += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    (tokens, unavailable)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_is_503_and_loses_nothing() {
    if !is_left_out() {
        outage("fast").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_database_loses_nothing() {
    if !is_left_out() {
        outage("immediate").await;
    }
}

async fn outage(mode: &'static str) {
    let mut cluster = Cluster::start();
    let folder = folder_at(&cluster.new_database());
    let process = Process::start(folder.path());
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..6 {
        let first = login(&process.url).await.refresh_token();
        clients.push(tokio::spawn(refresh_until(process.url.clone(), first, Arc::clone(&stop))));
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut cluster = tokio::task::spawn_blocking(move || {
        cluster.stop(mode);
        cluster
    })
    .await
    .unwrap();
    let asked = Instant::now();
    get(&process.url, "/healthz/ready").await.refused(503, "temporarily_unavailable");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(get(&process.url, "/healthz/live").await.status, 200);
    login(&process.url).await.refused(503, "temporarily_unavailable");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cluster = tokio::task::spawn_blocking(move || {
        cluster.start_again();
        cluster
    })
    .await
    .unwrap();
    let recovered = Instant::now();
    while get(&process.url, "/healthz/ready").await.status != 200 {
        assert!(recovered.elapsed() < Duration::from_secs(5), "the issuer does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        let (tokens, unavailable) = client.await.unwrap();
        assert!(tokens.len() > 10, "only {} refreshes", tokens.len());
        assert!(unavailable > 0, "no refresh ran during the outage");
        let last = tokens.last().unwrap();
        assert_eq!(refresh(&process.url, last).await.status, 200);
        refresh(&process.url, &tokens[tokens.len() - 3]).await.refused(400, "invalid_grant");
    }
    drop((process, cluster));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_survives_a_failover_to_the_standby_and_back() {
    if is_left_out() {
        return;
    }
    let mut primary = Cluster::start();
    let url = primary.new_database();
    primary.require_a_standby();
    let mut standby = primary.standby(primary.port);
    let (host, name) = url.rsplit_once('/').unwrap();
    let folder = folder_at(&format!("{host},127.0.0.1:{}/{name}", standby.port));
    let process = Process::start(folder.path());
    let mut token = login(&process.url).await.refresh_token();
    for _ in 0..2 {
        primary.crash();
        standby.promote();
        primary.follow(&standby, standby.port);
        std::mem::swap(&mut primary, &mut standby);
        let used = token;
        token = refresh(&process.url, &used).await.refresh_token();
        assert_eq!(refresh(&process.url, &used).await.refresh_token(), token);
    }
}

/// Refreshes a session so that the database commits, and nobody gets the answer: the connections
/// end, and there are no new ones until the client has an error.
async fn lose_refresh(proxy: &LossyProxy, direct: &str, issuer: &str, token: &str) {
    let refreshes = || execute(direct, "SELECT sum(counter) FROM countersign.sessions");
    let before = refreshes();
    proxy.close_after_faults(true);
    // The lost answer may be that of another transaction.
    while refreshes() == before {
        proxy.lose(1);
        refresh(issuer, token).await.refused(503, "temporarily_unavailable");
        proxy.open();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_commit_is_not_acknowledged_is_made_once_and_reported_as_done() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, through) = LossyProxy::start(&direct).await;
    let folder = folder_at(&through);
    // Without a grace, a retry would look like a replay.
    let server = Server::over(folder, |config, _| config.refresh_grace = Duration::ZERO).await;
    let lose = |which| proxy.lose(which);

    // The first COMMIT of a login stores the provisional failure.
    for which in [1, 2] {
        lose(which);
        login(&server.url).await.refresh_token();
    }
    let counted = "SELECT coalesce(sum(failures), 0) FROM countersign.login_failures";
    assert_eq!(execute(&direct, counted), ["0"]);
    lose(1);
    let wrong = serde_json::json!({ "username": "demo", "password": "wrong" });
    post_json(&server.url, "/login", &wrong).await.refused(401, "invalid_grant");
    // One for the network, and one for all networks together.
    assert_eq!(execute(&direct, counted), ["2"]);
    let first = login(&server.url).await.refresh_token();
    lose(1);
    let second = refresh(&server.url, &first).await.refresh_token();
    let third = refresh(&server.url, &second).await.refresh_token();
    assert_eq!(proxy.broken(), 4);
    assert_eq!(audited(&direct, "login"), 3);

    for arguments in
        [&["user", "add"][..], &["user", "passwd"], &["user", "lock"], &["user", "delete"]]
    {
        // The first COMMIT of a command belongs to the opening of the database.
        for which in [1, 2] {
            lose(which);
            let name = format!("eve{which}");
            let arguments = [arguments, &[name.as_str()]].concat();
            let done = command(server.folder.path(), &arguments, PASSWORD);
            assert!(done.status.success(), "{}", stderr(&done));
        }
    }
    for event in ["user_added", "password_changed", "user_locked", "user_deleted"] {
        let demo = usize::from(event == "user_added");
        assert_eq!(audited(&direct, event), 2 + demo, "{event}");
    }
    for which in [1, 2, 3] {
        lose(which);
        let line =
            |n| format!("{{\"name\":\"mallory{which}-{n}\",\"password_hash\":\"{BCRYPT}\"}}\n");
        let lines: String = (0..600).map(line).collect();
        let done = command(server.folder.path(), &["user", "import", "-"], &lines);
        let expected = "added users: 600; there already: 0; refused lines: 0\n";
        assert!(stdout(&done).starts_with(expected), "{}{}", stdout(&done), stderr(&done));
    }
    assert_eq!(audited(&direct, "user_added"), 3 + 1800);
    lose(1);
    let form = [("token", third.as_str())];
    assert_eq!(post_form(&server.url, "/revoke", &form).await.status, 200);
    refresh(&server.url, &third).await.refused(400, "invalid_grant");
    assert_eq!(audited(&direct, "session_ended"), 1);
    assert_eq!(proxy.broken(), 4 + 8 + 3 + 1);

    // The last failed logins are written at the stop.
    post_json(&server.url, "/login", &wrong).await.refused(401, "invalid_grant");
    lose(1);
    server.stop().await;
    let failed = "SELECT sum(count) FROM countersign.audit WHERE event = 'login_failed'";
    assert_eq!(execute(&direct, failed), ["2"]);
    assert_eq!(proxy.broken(), 4 + 8 + 3 + 1 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_whose_count_was_not_acknowledged_is_no_failure() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, through) = LossyProxy::start(&direct).await;
    let server = Server::over(folder_at(&through), |_, _| {}).await;
    proxy.close_after_faults(true);
    let counted =
        || execute(&direct, "SELECT coalesce(sum(failures), 0) FROM countersign.login_failures");
    for _ in 0..3 {
        // The lost answer may be that of another transaction.
        while counted() != ["2"] {
            proxy.open();
            proxy.lose(1);
            login(&server.url).await.refused(503, "temporarily_unavailable");
        }
        // Nothing else is lost from now on.
        proxy.lose(0);
        let recovered = Instant::now();
        while counted() != ["0"] {
            proxy.open();
            assert!(recovered.elapsed() < Duration::from_secs(20), "the login stays counted");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    login(&server.url).await.refresh_token();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_refresh_was_not_acknowledged_works_after_an_outage() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, through) = LossyProxy::start(&direct).await;
    let server = Server::over(folder_at(&through), |_, _| {}).await;
    let first = login(&server.url).await.refresh_token();
    let second = refresh(&server.url, &first).await.refresh_token();
    lose_refresh(&proxy, &direct, &server.url, &second).await;

    // Long after the grace.
    server.advance(3600);
    let third = refresh(&server.url, &second).await.refresh_token();
    let fourth = refresh(&server.url, &third).await.refresh_token();
    // Its successor has been used, so that it is a replay now.
    server.advance(3600);
    refresh(&server.url, &second).await.refused(400, "invalid_grant");
    refresh(&server.url, &fourth).await.refused(400, "invalid_grant");
    assert_eq!(audited(&direct, "refresh_reused"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_after_a_lost_answer_begins_with_the_next_one() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, through) = LossyProxy::start(&direct).await;
    let folder = folder_at(&direct);
    let twin = TempDir::new().unwrap();
    use_database(twin.path(), &through);
    let other = Server::over(folder, |config, _| same_issuer(config)).await;
    let one = Server::over(twin, |config, _| same_issuer(config)).await;
    // Loses the answer to a refresh at the first issuer, until long after the grace if `late`.
    let lose_answer = async |late| {
        let token = login(&one.url).await.refresh_token();
        lose_refresh(&proxy, &direct, &one.url, &token).await;
        if late {
            other.advance(3600);
        }
        token
    };
    // The issuer that answers, and the one that is asked after it.
    let cases =
        [(&one, &other, true), (&one, &one, true), (&other, &one, false), (&other, &other, false)];
    for (first, second, late) in cases {
        for other_tab in [true, false] {
            let token = lose_answer(late).await;
            let successor = refresh(&first.url, &token).await.refresh_token();
            if other_tab {
                assert_eq!(refresh(&second.url, &token).await.refresh_token(), successor);
            }
            other.advance(20);
            if other_tab {
                assert_eq!(refresh(&second.url, &token).await.refresh_token(), successor);
            }
            other.advance(11);
            refresh(&second.url, &token).await.refused(400, "invalid_grant");
            refresh(&first.url, &successor).await.refused(400, "invalid_grant");
        }
    }
    assert_eq!(audited(&direct, "refresh_reused"), 8);
}

/// Tabs of one browser, with issuers in turns.
#[tokio::test(flavor = "multi_thread")]
async fn issuers_with_different_clocks_end_no_session_as_stolen() {
    if is_left_out() {
        return;
    }
    let folder = folder_on(Backend::Postgres);
    let twin = TempDir::new().unwrap();
    use_database(twin.path(), &database(folder.path()));
    let one = Server::over(folder, |config, _| same_issuer(config)).await;
    let other = Server::over(twin, |config, _| same_issuer(config)).await;
    for ahead in [15, 300] {
        other.clock.store(one.clock.load(Ordering::Relaxed) + ahead, Ordering::Relaxed);
        let mut token = login(&one.url).await.refresh_token();
        for (first, second) in [(&one, &other), (&other, &one), (&one, &other), (&other, &one)] {
            let next = refresh(&first.url, &token).await.refresh_token();
            assert_eq!(refresh(&second.url, &token).await.refresh_token(), next);
            token = next;
        }
    }
}

/// Several issuers on one database have one URL.
fn same_issuer(config: &mut Config) {
    config.issuer = Some("http://localhost:1".to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_issuers_on_one_database_act_as_one() {
    if is_left_out() {
        return;
    }
    let folder = folder_on(Backend::Postgres);
    let twin = TempDir::new().unwrap();
    use_database(twin.path(), &database(folder.path()));
    let one = Server::over(folder, |config, _| same_issuer(config)).await;
    let other = Server::over(twin, |config, _| same_issuer(config)).await;

    let first = login(&one.url).await.refresh_token();
    let second = refresh(&other.url, &first).await.refresh_token();
    assert_eq!(refresh(&one.url, &first).await.refresh_token(), second);
    let attempts: Vec<_> = (0..24)
        .map(|index| {
            let url = if index % 2 == 0 { &one.url } else { &other.url }.clone();
            let token = second.clone();
            tokio::spawn(async move { refresh(&url, &token).await.refresh_token() })
        })
        .collect();
    let successors = distinct(attempts).await;
    assert_eq!(successors.len(), 1);
    let third = successors.into_iter().next().unwrap();
    let revoked = post_form(&one.url, "/revoke", &[("token", third.as_str())]).await;
    assert_eq!(revoked.status, 200);
    refresh(&other.url, &third).await.refused(400, "invalid_grant");

    // Both issuers are due to rotate at the same moment; only one rotation happens.
    let jwks = async |url: &str| get(url, "/.well-known/jwks.json").await.text;
    for _ in 0..3 {
        one.advance(30 * 86400);
        other.advance(30 * 86400);
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let listed = stdout(&command(one.folder.path(), &["keys", "list"], ""));
        let active = listed.lines().find(|line| line.contains("\tactive")).unwrap();
        let kid = active.split('\t').next().unwrap();
        assert_eq!(jwks(&one.url).await, jwks(&other.url).await);
        for url in [&one.url, &other.url] {
            let token = login(url).await.field("access_token");
            assert_eq!(crate::common::jwt_part(&token, 0)["kid"], kid);
        }
    }
    let url = database(one.folder.path());
    assert_eq!(audited(&url, "key_published"), 4);
    assert_eq!(audited(&url, "key_active"), 4);
}

#[test]
fn a_database_that_cannot_be_served_is_not_changed() {
    if is_left_out() {
        return;
    }
    let content = "SELECT string_agg(t, '') FROM (
        SELECT d::text AS t FROM countersign.database d UNION ALL
        SELECT k::text FROM countersign.keys k UNION ALL
        SELECT s::text FROM countersign.secrets s UNION ALL
        SELECT u::text FROM countersign.users u UNION ALL
        SELECT a::text FROM countersign.audit a) AS all_rows";
    let folder = folder_on(Backend::Postgres);
    let url = database(folder.path());
    drop(Process::start(folder.path()));
    let before = execute(&url, content);
    let refuse = |arguments: &[&str], words: &[&str]| {
        let done = command(folder.path(), arguments, PASSWORD);
        let line = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{arguments:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
        assert!(!line.contains(DATABASE_PASSWORD), "{line}");
    };
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let wrong = ["--master-key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="];
    refuse(&[&listen[..], &wrong].concat(), &["master key does not open"]);
    refuse(&[&["keys", "rotate"][..], &wrong].concat(), &["master key does not open"]);
    assert_eq!(execute(&url, content), before);

    execute(&url, "UPDATE countersign.database SET schema_version = 99");
    // A newer schema that is compatible is served.
    drop(Process::start(folder.path()));
    assert_eq!(execute(&url, "SELECT schema_version FROM countersign.database"), ["99"]);
    execute(&url, "UPDATE countersign.database SET compatible_version = 99");
    let newer = execute(&url, content);
    for arguments in [&listen[..], &["user", "add", "eve"], &["keys", "list"]] {
        refuse(arguments, &["newer version", "schema 99", "postgres:(hidden)@127.0.0.1"]);
    }
    assert_eq!(execute(&url, content), newer);
    execute(&url, "UPDATE countersign.database SET application = 'x'");
    refuse(&listen, &["something else's"]);

    // A database of another application stays as it is.
    let other = new_database();
    execute(&other, "CREATE SCHEMA countersign; CREATE TABLE countersign.users (id int)");
    use_database(folder.path(), &other);
    refuse(&listen, &["something else's"]);
    refuse(&["user", "add", "eve"], &["something else's"]);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'countersign'";
    assert_eq!(execute(&other, tables), ["1"]);

    // Only `serve` and `user add` make the schema in an empty database.
    let empty = new_database();
    use_database(folder.path(), &empty);
    for arguments in [&["user", "list"][..], &["keys", "rotate"], &["user", "passwd", "x"]] {
        refuse(arguments, &["there is no database"]);
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'countersign'";
    assert_eq!(execute(&empty, schemas), ["0"]);
    let alone = |name: &str, password: &str| {
        empty.replace("postgres:canary-of-the-database", &format!("{name}:{password}"))
    };
    use_database(folder.path(), &alone("postgres", "wrong-canary-of-the-database"));
    refuse(&listen, &["password authentication failed", "(hidden)", "correct user, password"]);
    execute(&empty, "CREATE ROLE weak LOGIN PASSWORD 'weak'");
    use_database(folder.path(), &alone("weak", "weak"));
    refuse(&listen, &["permission denied", "create a schema"]);
}

#[test]
fn the_password_of_the_database_is_shown_nowhere() {
    if is_left_out() {
        return;
    }
    let folder = folder_on(Backend::Postgres);
    let done = command(folder.path(), &["config", "check"], "");
    assert!(done.status.success());
    let shown = stdout(&done);
    assert!(shown.contains("database = postgres://postgres:(hidden)@127.0.0.1:"), "{shown}");
    assert!(!shown.contains(DATABASE_PASSWORD));
    Process::start(folder.path()).stop();
    let log = std::fs::read_to_string(folder.path().join("issuer.log")).unwrap();
    assert!(!log.contains(DATABASE_PASSWORD), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_to_the_database_needs_the_trusted_authority_and_the_right_name() {
    if is_left_out() {
        return;
    }
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let cluster = Cluster::with(&[
        ("ssl_cert_file", "server.pem", &certificate.pem()),
        ("ssl_key_file", "server.key", &key.serialize_pem()),
    ]);
    let direct = cluster.new_database();
    let folder = TempDir::new().unwrap();
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let with = |host: &str, query: &str| {
        use_database(folder.path(), &format!("{}?{query}", direct.replace("127.0.0.1", host)));
        command(folder.path(), &["user", "add", "demo"], PASSWORD)
    };
    let root = format!("sslmode=require&sslrootcert={}", trusted.display());
    for (host, query) in [("localhost", "sslmode=require"), ("127.0.0.1", &root)] {
        let done = with(host, query);
        assert_eq!(done.status.code(), Some(1), "{host} {query}");
        assert!(stderr(&done).contains("certificate"), "{}", stderr(&done));
    }
    let done = with("localhost", &root);
    assert!(done.status.success(), "{}", stderr(&done));
    let process = Process::start(folder.path());
    login(&process.url).await.refresh_token();
    let encrypted = "SELECT bool_and(ssl)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name LIKE 'countersign-issuer %'";
    assert_eq!(execute(&direct, encrypted), ["true"]);
}
