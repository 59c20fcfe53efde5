//! Signing keys in a running issuer: rotation, revocation, import, and changes of the master key.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::cluster;
use crate::common::{
    Backend, MASTER_KEY, Process, START, Server, binary, client, command, database, execute,
    folder_on, get, jwt_part, login, over_all, over_both, refresh, stderr, stdout, with_clocks,
};

over_all!(
    keys_rotate_by_themselves_and_are_dropped_after_their_last_token,
    a_manual_rotation_waits_until_caches_have_the_next_key,
);
over_both!(
    a_revoked_key_is_dropped_at_once_and_the_next_one_signs,
    a_new_key_has_the_configured_size,
    a_change_of_the_master_key_ends_no_session_and_running_issuers_continue,
    a_killed_change_of_the_master_key_is_complete_or_has_no_effect,
    exchanging_the_secret_ends_all_sessions_and_changes_no_key,
    the_stored_secret_alone_refuses_a_wrong_master_key,
    an_imported_key_is_next_and_signs_when_caches_have_it,
    a_clock_that_jumps_forward_and_back_loses_no_key_and_no_session,
    an_issuer_with_a_clock_behind_the_database_is_not_ready_until_it_catches_up,
    reset_clock_forgets_a_wrong_time,
    the_plan_shows_each_key_and_the_intervals_in_force,
    the_key_set_is_never_empty_at_the_start,
);

async fn published(url: &str) -> HashSet<String> {
    let jwks = get(url, "/.well-known/jwks.json").await.json();
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn signer(url: &str) -> String {
    let token = login(url).await.field("access_token");
    jwt_part(&token, 0)["kid"].as_str().unwrap().to_owned()
}

fn states(folder: &Path) -> Vec<Value> {
    let listed = command(folder, &["keys", "list", "--json"], "");
    serde_json::from_str(&stdout(&listed)).unwrap()
}

fn kids(folder: &Path, state: &str) -> Vec<String> {
    let keys = states(folder).into_iter().filter(|key| key["state"] == state);
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Starts a server whose clock shows the real time, like that of the commands.
async fn at_real_time(backend: Backend) -> Server {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Server::at(now, folder_on(backend), |clock| clock, |_, _| {}).await
}

/// Waits for a condition: an issuer reads the keys once a second. Two issuers respond in turns, so the
/// condition must hold twice.
pub(crate) async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..100 {
        if done().await && done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the condition was not satisfied within 10 s");
}

async fn keys_rotate_by_themselves_and_are_dropped_after_their_last_token(backend: Backend) {
    const DAY: u64 = 86400;
    let server = Server::on(backend).await;
    let (first, next) = (signer(&server.url).await, kids(server.folder.path(), "published"));
    assert_eq!(kids(server.folder.path(), "active"), std::slice::from_ref(&first));
    assert_eq!(published(&server.url).await, HashSet::from([first.clone(), next[0].clone()]));
    let etag = get(&server.url, "/.well-known/jwks.json").await.header("etag").to_owned();

    // Shortly before the change nothing happens, but the lifetime in caches gets shorter.
    server.advance(30 * DAY - 100);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(signer(&server.url).await, first);
    let answer = get(&server.url, "/.well-known/jwks.json").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=100");
    assert_eq!(answer.header("etag"), etag);

    server.advance(100);
    until(async || signer(&server.url).await == next[0]).await;
    let after = published(&server.url).await;
    assert_eq!(after.len(), 3, "retiring, active and the next one");
    assert!(after.contains(&first));
    assert_ne!(get(&server.url, "/.well-known/jwks.json").await.header("etag"), etag);
    let retiring =
        states(server.folder.path()).into_iter().find(|key| key["state"] == "retiring").unwrap();
    // 15 min lifetime of tokens, 5 min of caches, 1 min of skew, and 30 s to notice.
    let kept = retiring["drops_at"].as_u64().unwrap() - retiring["retires_at"].as_u64().unwrap();
    assert_eq!(kept, 15 * 60 + 5 * 60 + 60 + 30);

    server.advance(kept - 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(published(&server.url).await.contains(&first));
    server.advance(1);
    until(async || !published(&server.url).await.contains(&first)).await;
    assert_eq!(signer(&server.url).await, next[0]);
}

async fn a_manual_rotation_waits_until_caches_have_the_next_key(backend: Backend) {
    let server = at_real_time(backend).await;
    let (first, next) = (signer(&server.url).await, kids(server.folder.path(), "published"));
    let done = command(server.folder.path(), &["keys", "rotate"], "");
    assert!(done.status.success(), "{done:?}");
    assert!(stdout(&done).starts_with("the next key signs in "), "{}", stdout(&done));
    assert_eq!(signer(&server.url).await, first);

    // 5 min lifetime of caches, 1 min of skew, and 30 s to notice after publication.
    let published =
        states(server.folder.path()).into_iter().find(|key| key["state"] == "published");
    let published = published.unwrap()["created_at"].as_u64().unwrap();
    server.clock.store(published + 389, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(signer(&server.url).await, first);
    server.advance(1);
    until(async || signer(&server.url).await == next[0]).await;
    assert_eq!(kids(server.folder.path(), "retiring"), [first]);
    assert_eq!(kids(server.folder.path(), "published").len(), 1);
}

async fn a_revoked_key_is_dropped_at_once_and_the_next_one_signs(backend: Backend) {
    // The issuer uses the clock of the system, like the command.
    let folder = folder_on(backend);
    let (folder, Process { url, .. }) = (folder.path(), &Process::start(folder.path()));
    let (first, next) = (signer(url).await, kids(folder, "published"));
    // A kid may begin with hyphens.
    for kid in ["nothing", "-nothing", "--nothing"] {
        let none = command(folder, &["keys", "revoke", kid], "");
        assert_eq!(none.status.code(), Some(1));
        let message = format!("there is no key {kid}; see keys list");
        assert!(stderr(&none).contains(&message), "{none:?}");
    }

    let done = stdout(&command(folder, &["keys", "revoke", &first], ""));
    assert!(done.starts_with(&format!("key {first} is no longer in the key set; ")), "{done}");
    assert!(done.ends_with(&format!("key {} signs from now on\n", next[0])), "{done}");
    until(async || signer(url).await == next[0]).await;
    let after = published(url).await;
    assert!(after.len() == 2 && !after.contains(&first), "{after:?}");

    // A revoked key that does not sign yet is replaced.
    let spare = kids(folder, "published");
    let done = stdout(&command(folder, &["keys", "revoke", &spare[0]], ""));
    assert!(done.starts_with(&format!("key {} is no longer", spare[0])), "{done}");
    assert!(!done.contains("signs from now on"), "{done}");
    until(async || !published(url).await.contains(&spare[0])).await;
    assert_eq!((signer(url).await, published(url).await.len()), (next[0].clone(), 2));
}

async fn a_new_key_has_the_configured_size(backend: Backend) {
    let folder = folder_on(backend);
    drop(Process::start(folder.path()));
    let bits = |folder: &Path| {
        let mut bits: Vec<_> = states(folder)
            .into_iter()
            .map(|key| (key["state"].as_str().unwrap().to_owned(), key["bits"].as_u64().unwrap()))
            .collect();
        bits.sort();
        bits
    };
    let of = |active, published| {
        [("active".to_owned(), active), ("published".to_owned(), published)].to_vec()
    };
    assert_eq!(bits(folder.path()), of(2048, 2048));
    for (size, signs) in [("3072", 2048), ("4096", 3072)] {
        let spare = kids(folder.path(), "published");
        let revoke = ["keys", "revoke", &kids(folder.path(), "active")[0], "--key-bits", size];
        let done = command(folder.path(), &revoke, "");
        assert!(done.status.success(), "{done:?}");
        assert_eq!(kids(folder.path(), "active"), spare);
        assert_eq!(bits(folder.path()), of(signs, size.parse().unwrap()));
    }
    // A signature has the length of its key.
    let process = Process::start(folder.path());
    let token = login(&process.url).await.field("access_token");
    assert_eq!(token.rsplit('.').next().unwrap().len(), 512);
    assert_eq!(bits(folder.path()), of(3072, 4096));
}

/// Returns everything in the database that is sealed, as text.
fn sealed(folder: &Path) -> Vec<String> {
    let url = database(folder);
    let columns = "SELECT hex(sealed) FROM keys UNION ALL SELECT hex(sealed) FROM secrets";
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let db = rusqlite::Connection::open(path).unwrap();
            let mut rows = db.prepare(columns).unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
        None => cluster::execute(
            &url,
            "SELECT encode(sealed, 'hex') FROM countersign.keys UNION ALL
             SELECT encode(sealed, 'hex') FROM countersign.secrets",
        ),
    }
}

/// Returns a command with the master key in a file of the folder.
fn with_master_key(folder: &Path, file: &str) -> Command {
    let mut command = binary(folder);
    command.env_remove("COUNTERSIGN_MASTER_KEY").env("COUNTERSIGN_MASTER_KEY_FILE", file);
    command
}

const NEW_MASTER_KEY: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

async fn a_change_of_the_master_key_ends_no_session_and_running_issuers_continue(backend: Backend) {
    let folder = folder_on(backend);
    let new_key = folder.path().join("new-key");
    let rewrap = ["keys", "rewrap", "--to", "new-key"];
    let log = || fs::read_to_string(folder.path().join("issuer.log")).unwrap();
    let old = Process::start(folder.path());
    let first = login(&old.url).await.refresh_token();
    let kid = signer(&old.url).await;
    let before = sealed(folder.path());

    let none = command(folder.path(), &rewrap, "");
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("new-key"), "{none:?}");
    assert!(stderr(&none).contains("openssl rand -base64 32"), "{none:?}");
    fs::write(&new_key, NEW_MASTER_KEY).unwrap();
    fs::set_permissions(&new_key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(sealed(folder.path()), before);

    let done = command(folder.path(), &rewrap, "");
    assert!(done.status.success(), "{done:?}");
    assert!(stdout(&done).starts_with("the database is sealed under the master key in "));
    let next = match backend {
        Backend::Sqlite => "next: replace ",
        _ => "set master_key to the content of new-key, or master_key_file to new-key",
    };
    assert!(stdout(&done).contains(next), "{}", stdout(&done));
    assert!(stderr(&done).contains("chmod o-rwx new-key"), "{}", stderr(&done));
    let after = sealed(folder.path());
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|sealed| !before.contains(sealed)), "some of it is not sealed anew");
    let changed = "SELECT event FROM countersign.audit WHERE event = 'master_key_changed'";
    assert_eq!(execute(folder.path(), changed).len(), 1);
    // A second change to the same key does nothing.
    let again = command(folder.path(), &rewrap, "");
    assert!(stdout(&again).starts_with("the database was sealed already"), "{again:?}");
    let same = with_master_key(folder.path(), "new-key").args(rewrap).output().unwrap();
    assert!(stderr(&same).contains("the configured master key"), "{same:?}");
    assert_eq!(sealed(folder.path()), after);

    // The running issuer continues, logs the change once, and changes nothing.
    until(async || log().contains("another master key now")).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(log().matches("another master key").count(), 1, "{}", log());
    assert!(!log().contains("cannot be read"), "{}", log());
    let second = refresh(&old.url, &first).await.refresh_token();
    assert_eq!(signer(&old.url).await, kid);
    assert_eq!(get(&old.url, "/healthz/ready").await.status, 200);
    assert_eq!(sealed(folder.path()), after);

    // A new process needs the new master key, and has the same keys and sessions.
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["keys", "rotate"]] {
        let refused = command(folder.path(), arguments, "");
        assert!(stderr(&refused).contains("the master key does not open"), "{refused:?}");
        assert!(stderr(&refused).contains("keys rewrap"), "{refused:?}");
    }
    let with_new = || with_master_key(folder.path(), "new-key");
    let new = Process::with(folder.path(), with_new());
    assert_eq!(signer(&new.url).await, kid);
    let third = refresh(&new.url, &second).await.refresh_token();
    let fourth = refresh(&old.url, &third).await.refresh_token();

    // The old issuer cannot open the new signing key. It stops signing, and logs that once.
    let revoked = with_new().args(["keys", "revoke", &kid]).output().unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    until(async || signer(&new.url).await != kid).await;
    until(async || get(&old.url, "/healthz/ready").await.status == 503).await;
    refresh(&old.url, &fourth).await.refused(503, "temporarily_unavailable");
    assert_eq!(published(&old.url).await, published(&new.url).await);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(log().matches("this issuer signs no more").count(), 1, "{}", log());
    refresh(&new.url, &fourth).await.refresh_token();
}

async fn a_killed_change_of_the_master_key_is_complete_or_has_no_effect(backend: Backend) {
    let folder = folder_on(backend);
    let mut keys = ["one", "other"];
    fs::write(folder.path().join(keys[0]), MASTER_KEY).unwrap();
    fs::write(folder.path().join(keys[1]), NEW_MASTER_KEY).unwrap();
    let with = |key: &str| with_master_key(folder.path(), key);
    drop(Process::with(folder.path(), with(keys[0])));
    // The command needs the master key. Repeating it changes nothing.
    let opens = |key: &str| with(key).args(["keys", "rotate"]).output().unwrap().status.success();
    // Kill it at various times, from before its beginning until after its end.
    for round in 0..24 {
        let mut rewrap = with(keys[0]).args(["keys", "rewrap", "--to", keys[1]]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(round * 4)).await;
        rewrap.kill().unwrap();
        rewrap.wait().unwrap();
        if opens(keys[1]) {
            keys.swap(0, 1);
        }
        assert_eq!(keys.map(opens), [true, false], "round {round}");
    }
    let issuer = Process::with(folder.path(), with(keys[0]));
    login(&issuer.url).await.refresh_token();
}

async fn exchanging_the_secret_ends_all_sessions_and_changes_no_key(backend: Backend) {
    let folder = folder_on(backend);
    let issuer = Process::start(folder.path());
    let first = login(&issuer.url).await.refresh_token();
    let before = states(folder.path());
    let done = command(folder.path(), &["keys", "exchange-secret"], "");
    assert!(stdout(&done).contains("next: restart all issuers"), "{done:?}");
    // A running issuer continues with the old secret.
    let second = refresh(&issuer.url, &first).await.refresh_token();
    drop(issuer);

    let issuer = Process::start(folder.path());
    refresh(&issuer.url, &second).await.refused(400, "invalid_grant");
    let again = login(&issuer.url).await.refresh_token();
    refresh(&issuer.url, &again).await.refresh_token();
    assert_eq!(states(folder.path()), before);
    let told = stdout(&command(folder.path(), &["audit", "list"], ""));
    assert_eq!(told.matches("secret_exchanged").count(), 1, "{told}");
    assert_eq!(told.matches("master_key_changed").count(), 0, "{told}");
}

async fn the_stored_secret_alone_refuses_a_wrong_master_key(backend: Backend) {
    let folder = folder_on(backend);
    drop(Process::start(folder.path()));
    execute(folder.path(), "DELETE FROM countersign.keys");
    fs::write(folder.path().join("new-key"), NEW_MASTER_KEY).unwrap();
    let mut serve = with_master_key(folder.path(), "new-key");
    let refused = serve.args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert!(stderr(&refused).contains("the master key does not open"), "{refused:?}");
    // That of refresh tokens, and the key of second factors.
    assert_eq!(sealed(folder.path()).len(), 2);
}

/// Writes a private key to a file in the format of other programs.
fn write_key(path: &Path, size: KeySize) {
    let pair = KeyPair::generate(size).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    fs::write(path, pem).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

async fn an_imported_key_is_next_and_signs_when_caches_have_it(backend: Backend) {
    let server = at_real_time(backend).await;
    let folder = server.folder.path();
    let file = folder.join("key.pem");
    let import = ["keys", "import", "key.pem"];
    let refuse = |words: &[&str]| {
        let before = states(folder);
        let done = command(folder, &import, "");
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        assert_eq!(stderr(&done).lines().count(), 1, "{done:?}");
        for word in words {
            assert!(stderr(&done).contains(word), "{word:?} is not in: {}", stderr(&done));
        }
        assert_eq!(states(folder), before);
    };
    refuse(&["cannot read key.pem"]);
    fs::write(&file, include_str!("../keys/rsa-1024.pem")).unwrap();
    refuse(&["key.pem contains a key of less than 2048 bits"]);
    fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
    refuse(&["cannot read key.pem", "longer than 1048576 bytes"]);
    fs::write(&file, [0xff; 10]).unwrap();
    refuse(&["cannot read key.pem"]);

    write_key(&file, KeySize::Rsa3072);
    let (first, spare) = (signer(&server.url).await, kids(folder, "published"));
    let done = command(folder, &import, "");
    assert!(done.status.success(), "{done:?}");
    assert_eq!(stderr(&done), "");
    let imported = kids(folder, "published");
    assert!(stdout(&done).starts_with(&format!("key {} is published; ", imported[0])), "{done:?}");
    assert!(stdout(&done).contains(&spare[0]), "{done:?}");
    assert_ne!(imported, spare);
    assert_eq!(kids(folder, "active"), std::slice::from_ref(&first));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let again = command(folder, &import, "");
    assert!(stderr(&again).contains("warning: others on this machine may read or write key.pem"));
    assert!(stderr(&again).contains(&format!("key {} is in the database already", imported[0])));

    until(async || published(&server.url).await.contains(&imported[0])).await;
    assert_eq!(signer(&server.url).await, first);
    let done = command(folder, &["keys", "rotate"], "");
    assert!(done.status.success(), "{done:?}");
    server.advance(360);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(signer(&server.url).await, first);
    server.advance(60);
    until(async || signer(&server.url).await == imported[0]).await;
    let token = login(&server.url).await.field("access_token");
    assert_eq!(token.rsplit('.').next().unwrap().len(), 512);
    assert_eq!(published(&server.url).await.len(), 3);
}

async fn a_clock_that_jumps_forward_and_back_loses_no_key_and_no_session(backend: Backend) {
    const DAY: u64 = 86400;
    let (server, monotonic) = with_clocks(backend, |_, _| {}).await;
    let url = &server.url;
    let first = login(url).await.refresh_token();
    let (before, kid) = (states(server.folder.path()), signer(url).await);
    server.looked().await;

    // The clock jumps beyond the end of every key and session, and back.
    for days in [40, 4000] {
        server.advance(days * DAY);
        server.looked().await;
        assert_eq!(states(server.folder.path()), before);
        assert_eq!(signer(url).await, kid, "the key signs on");
        server.clock.fetch_sub(days * DAY, Ordering::Relaxed);
        server.looked().await;
    }
    server.clock.fetch_sub(DAY, Ordering::Relaxed);
    server.looked().await;
    assert_eq!(states(server.folder.path()), before);
    // Counters order the refresh tokens of a session, not times.
    let second = refresh(url, &first).await.refresh_token();
    server.advance(DAY);
    server.looked().await;
    let third = refresh(url, &second).await.refresh_token();
    refresh(url, &first).await.refused(400, "invalid_grant");
    refresh(url, &third).await.refused(400, "invalid_grant");

    // A new time counts once the clock has been steady.
    let session = login(url).await.refresh_token();
    server.advance(6 * DAY + 25 * DAY);
    server.looked().await;
    assert_eq!(signer(url).await, kid);
    for _ in 0..6 {
        server.advance(50);
        monotonic.fetch_add(50, Ordering::Relaxed);
        server.looked().await;
    }
    until(async || signer(url).await != kid).await;
    assert_eq!(kids(server.folder.path(), "retiring"), [kid]);
    refresh(url, &session).await.refused(400, "invalid_grant");
}

async fn an_issuer_with_a_clock_behind_the_database_is_not_ready_until_it_catches_up(
    backend: Backend,
) {
    const LATER: u64 = START + 30 * 86400;
    let folder = folder_on(backend);
    drop(Process::start(folder.path()));
    execute(folder.path(), "DELETE FROM countersign.clock");
    execute(folder.path(), &format!("INSERT INTO countersign.clock VALUES (1, {LATER})"));
    let before = states(folder.path());
    let server = Server::over(folder, |_, _| {}).await;
    let url = &server.url;
    get(url, "/healthz/ready").await.refused(503, "temporarily_unavailable");
    assert!(get(url, "/healthz/ready").await.text.contains("the clock is behind"));
    assert_eq!(get(url, "/healthz/live").await.status, 200);
    login(url).await.refused(503, "temporarily_unavailable");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(states(server.folder.path()), before, "no key is changed");
    for arguments in [&["keys", "rotate"][..], &["keys", "revoke", "x"]] {
        let refused = command(server.folder.path(), arguments, "");
        assert!(stderr(&refused).contains("the clock is behind: it says "), "{refused:?}");
        assert!(stderr(&refused).contains(&LATER.to_string()), "{refused:?}");
    }
    // A difference of one minute is tolerated.
    server.clock.store(LATER - 61, Ordering::Relaxed);
    assert_eq!(get(url, "/healthz/ready").await.status, 503);
    server.clock.store(LATER - 60, Ordering::Relaxed);
    assert_eq!(get(url, "/healthz/ready").await.status, 200);
    until(async || states(server.folder.path()) != before).await;
}

async fn reset_clock_forgets_a_wrong_time(backend: Backend) {
    let folder = folder_on(backend);
    let issuer = Process::start(folder.path());
    let run = |arguments: &[&str]| command(folder.path(), arguments, "");
    let reset = || stdout(&run(&["store", "reset-clock"]));
    assert!(reset().contains("there is nothing to reset"));
    drop(issuer);
    execute(folder.path(), "DELETE FROM countersign.clock");
    execute(folder.path(), "INSERT INTO countersign.clock VALUES (1, 99999999999)");
    assert!(stderr(&run(&["keys", "rotate"])).contains("run store reset-clock"));
    assert!(reset().contains("the latest time that an issuer saw is now"));
    assert!(reset().contains("there is nothing to reset"));
    assert!(run(&["keys", "rotate"]).status.success());
    let told = stdout(&run(&["audit", "list"]));
    assert_eq!(told.matches("clock_reset").count(), 1, "{told}");
    assert_eq!(told.matches("key_rotation_requested").count(), 1, "{told}");
}

async fn the_plan_shows_each_key_and_the_intervals_in_force(backend: Backend) {
    let folder = folder_on(backend);
    drop(Process::start(folder.path()));
    let plan = ["keys", "plan", "--jwks-max-age", "100", "--rotation-period", "7d"];
    let plan = stdout(&command(folder.path(), &plan, ""));
    for kid in [kids(folder.path(), "active"), kids(folder.path(), "published")].concat() {
        let rows = plan.lines().filter(|line| line.starts_with(&kid[..8])).count();
        assert_eq!(rows, 2, "a bar and a line of times: {plan}");
    }
    assert_eq!(plan.matches("to come").count(), 6, "{plan}");
    let intervals = "jwks_max_age 100 s + clock_skew 60 s + 30 s";
    for words in ["now\n", "published + 190 s", "1090 s", "604800 s", intervals] {
        assert!(plan.contains(words), "{words:?} is not in:\n{plan}");
    }
}

/// Sends requests from the first moment that the port is open. Early ones wait, and get keys.
async fn the_key_set_is_never_empty_at_the_start(backend: Backend) {
    for _ in 0..4 {
        let folder = folder_on(backend);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut serve = binary(folder.path());
        serve.args(["serve", "--listen", &address]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = serve.spawn().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let hammers: Vec<_> = (0..4)
            .map(|_| {
                let (url, done) = (format!("http://{address}"), Arc::clone(&done));
                tokio::spawn(async move {
                    let (mut answers, mut first) = (0, None);
                    while !done.load(Ordering::SeqCst) {
                        let asked = client().get(format!("{url}/.well-known/jwks.json"));
                        // The issuer does not listen yet.
                        let Ok(response) = asked.send().await else {
                            assert_eq!(answers, 0, "the issuer was up, and is down again");
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            continue;
                        };
                        assert_eq!(response.status(), 200);
                        let jwks: Value = response.json().await.unwrap();
                        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
                        assert_eq!(*first.get_or_insert_with(|| jwks.clone()), jwks);
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(3)).await;
        done.store(true, Ordering::SeqCst);
        for hammer in hammers {
            assert!(hammer.await.unwrap() > 0, "the issuer did not start in time");
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_rotations_of_issuers_and_commands_make_one_rotation() {
    if cluster::is_left_out() {
        return;
    }
    let folder = folder_on(Backend::Postgres);
    let issuer = || {
        let mut command = binary(folder.path());
        command.env("COUNTERSIGN_ISSUER", "http://localhost:1");
        command
    };
    let (one, other) =
        (Process::with(folder.path(), issuer()), Process::with(folder.path(), issuer()));
    let rotate = || issuer().args(["keys", "rotate"]).spawn().unwrap();
    let rounds = 3;
    for _ in 0..rounds {
        let (first, next) = (signer(&one.url).await, kids(folder.path(), "published"));
        // Let both keys be old, so that a rotation is due. Generating the next key takes so long that
        // all processes begin the same rotation.
        let age = "UPDATE countersign.keys SET published_at = published_at - 4000000,
                   activates_at = activates_at - 4000000 WHERE state <> 'retiring'";
        execute(folder.path(), age);
        for command in [rotate(), rotate(), rotate()] {
            assert!(command.wait_with_output().unwrap().status.success());
        }
        until(async || signer(&one.url).await != first && signer(&other.url).await != first).await;
        for url in [&one.url, &other.url] {
            assert_eq!(signer(url).await, next[0]);
        }
        assert_eq!(published(&one.url).await, published(&other.url).await);
        assert_eq!(kids(folder.path(), "active"), next);
        assert_eq!(kids(folder.path(), "published").len(), 1);
    }
    assert_eq!(kids(folder.path(), "retiring").len(), rounds);
    let audited = |event: &str| {
        let rows = "SELECT subject FROM countersign.audit WHERE event = ";
        execute(folder.path(), &format!("{rows}'{event}'")).len()
    };
    assert_eq!(audited("key_active"), 1 + rounds);
    assert_eq!(audited("key_withdrawn"), 0, "a next key was replaced by another");
}
