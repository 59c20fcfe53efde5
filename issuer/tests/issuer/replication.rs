//! A synchronous standby: an answer means that it has the change.

use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::backends::unready;
use crate::cluster::{Cluster, execute, is_left_out};
use crate::common::{Answer, PASSWORD, Process, add_user, command, login, post_form, refresh};
use crate::common::{stderr, stdout, use_database};

/// Waits until commits wait for the standby and are answered.
fn wait_for_the_standby(url: &str) {
    let started = Instant::now();
    while execute(url, "SELECT sync_state FROM pg_stat_replication") != ["sync"] {
        assert!(started.elapsed() < Duration::from_secs(60), "the standby does not come");
        thread::sleep(Duration::from_millis(50));
    }
}

async fn log_out(url: &str, token: &str) -> Answer {
    post_form(url, "/logout", &[("refresh_token", token)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_changes_nothing_waits_for_the_standby_too() {
    if is_left_out() {
        return;
    }
    let mut primary = Cluster::start();
    let url = primary.new_database();
    let mut standby = primary.standby(primary.port);
    let folder = TempDir::new().unwrap();
    use_database(folder.path(), &url);
    for name in ["demo", "eve"] {
        add_user(folder.path(), name);
    }
    primary.require_a_standby();
    wait_for_the_standby(&url);
    let issuer = Process::start(folder.path());
    let ended = login(&issuer.url).await.refresh_token();
    let refreshed = login(&issuer.url).await.refresh_token();

    standby.stop("fast");
    let delete = || command(folder.path(), &["user", "delete", "eve"], "");
    let refused = async |first_time: bool| {
        let deleted = thread::scope(|scope| scope.spawn(delete).join().unwrap());
        assert_eq!(deleted.status.code(), Some(3), "{first_time}: {}", stderr(&deleted));
        let (logout, refresh) =
            tokio::join!(log_out(&issuer.url, &ended), refresh(&issuer.url, &refreshed));
        logout.refused(503, "temporarily_unavailable");
        refresh.refused(503, "temporarily_unavailable");
    };
    refused(true).await;
    primary.crash();
    // The changes are on the disk of the primary alone.
    primary.start_again();
    let only_here = "SELECT (SELECT count(*) FROM countersign.users WHERE name = 'eve')::text ||
                            (SELECT count(*) FROM countersign.sessions WHERE revoked)::text";
    assert_eq!(execute(&url, only_here), ["01"]);
    refused(false).await;

    standby.start_again();
    wait_for_the_standby(&url);
    assert_eq!(log_out(&issuer.url, &ended).await.status, 204);
    let successor = refresh(&issuer.url, &refreshed).await.refresh_token();
    let deleted = delete();
    assert!(stderr(&deleted).contains("there is no user eve"), "{}", stderr(&deleted));
    drop(issuer);
    primary.crash();
    standby.promote();
    use_database(folder.path(), &url.replace(&primary.port.to_string(), &standby.port.to_string()));
    standby.set("synchronous_standby_names", "");
    let issuer = Process::start(folder.path());
    refresh(&issuer.url, &ended).await.refused(400, "invalid_grant");
    refresh(&issuer.url, &successor).await.refresh_token();
    assert!(!stdout(&command(folder.path(), &["user", "list"], "")).contains("eve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_confirmed_says_so_and_shows_the_secret() {
    if is_left_out() {
        return;
    }
    let cluster = Cluster::start();
    let folder = TempDir::new().unwrap();
    use_database(folder.path(), &cluster.new_database());
    for name in ["passwd", "lock", "delete", "expire"] {
        add_user(folder.path(), name);
    }
    for name in ["rotate", "lock"] {
        let added = command(folder.path(), &["client", "add", name], "");
        assert!(added.status.success(), "{}", stderr(&added));
    }
    let issuer = Process::start(folder.path());
    // There is no standby, so that each COMMIT waits.
    cluster.set("synchronous_standby_names", "missing");
    unready(&issuer.url).await;
    let commands = [
        &["client", "add", "worker", "--json"][..],
        &["client", "rotate", "rotate", "--json"],
        &["client", "lock", "lock"],
        &["user", "add", "new"],
        &["user", "passwd", "passwd"],
        &["user", "lock", "lock"],
        &["user", "delete", "delete"],
        &["user", "expire-passwords", "expire"],
        &["keys", "rotate"],
    ];
    let run = |arguments: &'static [&str]| {
        let folder = folder.path().to_owned();
        thread::spawn(move || command(&folder, arguments, PASSWORD))
    };
    let done = commands.map(run).map(|one| one.join().unwrap());
    for (arguments, done) in commands.iter().zip(&done) {
        let line = stderr(done);
        assert_eq!(done.status.code(), Some(3), "{arguments:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("may have been made") && line.contains("audit list"), "{line}");
    }
    // The commands that only read still work.
    let listed = command(folder.path(), &["audit", "list"], "");
    assert!(listed.status.success(), "{}", stderr(&listed));

    cluster.set("synchronous_standby_names", "");
    for done in &done[..2] {
        let new: serde_json::Value = serde_json::from_str(&stdout(done)).unwrap();
        let [id, secret] = ["client_id", "client_secret"].map(|name| new[name].as_str().unwrap());
        let form =
            [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        let started = Instant::now();
        while post_form(&issuer.url, "/token", &form).await.status != 200 {
            assert!(started.elapsed() < Duration::from_secs(30), "the secret does not work");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let listed = stdout(&command(folder.path(), &["audit", "list"], ""));
    for event in
        ["client_added", "client_secret", "user_locked", "user_deleted", "password_expired"]
    {
        assert!(listed.contains(event), "{event} is not in: {listed}");
    }
}
