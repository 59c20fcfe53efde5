//! Bad input is refused in one line, with an exit code, and the disk is unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{
    ADMIN_LISTEN, Backend, MASTER_KEY, PASSWORD, Process, add_user, binary, command,
};
use crate::common::{empty_folder_on, folder, get, login, over_both, stderr, stdout};

over_both!(issuers_that_start_together_on_a_new_database_share_its_keys);

/// Returns every file in `folder` with the length and a hash of its content.
fn snapshot(folder: &Path) -> BTreeMap<String, (usize, u64)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // A folder counts as empty.
            let content = fs::read(&path).unwrap_or_default();
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            (name, (content.len(), hasher.finish()))
        })
        .collect()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("countersign-issuer: "), "{line}");
    assert_eq!(stdout(output), "");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
}

#[test]
fn bad_configuration_is_refused_in_one_line_and_leaves_no_file() {
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["serve", "--lissten", "x"], 2, &["unknown flag --lissten", "--listen"]),
        (&["serv"], 2, &["unknown command serv", "serve"]),
        (&["user", "add"], 2, &["<NAME>"]),
        (&["serve", "--listen"], 2, &["--listen"]),
        (&["serve", "--listen", "8080"], 1, &["--listen", "\"8080\"", "127.0.0.1:8080"]),
        (&["serve", "--admin-listen", "off"], 1, &["--admin-listen", "\"off\"", "or none"]),
        (&["serve", "--log-format", "xml"], 1, &["--log-format", "\"xml\"", "text, json"]),
        (&["serve", "--log-level", "loud"], 1, &["--log-level", "error, warn, info, debug, trace"]),
        (&["serve", "--access-ttl", "15 parsecs"], 1, &["--access-ttl", "15m"]),
        (&["serve", "--access-ttl", "2d"], 1, &["access_ttl is 2d", "1s to 1d"]),
        (&["serve", "--access-ttl", "99999999999d"], 1, &["--access-ttl", "too long"]),
        (&["serve", "--refresh-ttl", "31d"], 1, &["refresh_ttl is 31d"]),
        (&["serve", "--refresh-grace", "25h"], 1, &["refresh_grace is 25h", "0s to 1d"]),
        (&["serve", "--clock-skew", "1h"], 1, &["clock_skew"]),
        (&["serve", "--key-bits", "1024"], 1, &["--key-bits", "2048, 3072 or 4096"]),
        (&["serve", "--rotation-period", "389"], 1, &["rotation_period is 389 s"]),
        (
            &["serve", "--rotation-period", "3m"],
            1,
            &["rotation_period is 180 s", "jwks_max_age (300 s)", "= 390 s"],
        ),
        (
            &["serve", "--rotation-period", "7m", "--access-ttl", "1d"],
            1,
            &["rotation_period is 420 s", "access_ttl (86400 s)", "retiring keys", "64"],
        ),
        (&["serve", "--audience", ""], 1, &["audience is empty"]),
        (&["serve", "--audiences", "api"], 1, &["--audiences", "\"api\"", "absolute URI"]),
        (&["serve", "--audiences", "https://a.example,urn:a#b"], 1, &["\"urn:a#b\""]),
        (
            &["serve", "--issuer", "https://a.example", "--audience", "https://a.example"],
            1,
            &["https://a.example is both issuer and an audience"],
        ),
        (
            &["serve", "--issuer", "https://a.example", "--audiences", "https://a.example"],
            1,
            &["https://a.example is both issuer and an audience"],
        ),
        (&["serve", "--issuer", "auth.example"], 1, &["issuer", "https://auth.example"]),
        (&["serve", "--issuer", "https://a.example?x"], 1, &["issuer", "query"]),
        (&["serve", "--issuer", "https://a.example:99999"], 1, &["issuer", "a URL with a host"]),
        (&["serve", "--database", "x.db"], 1, &["database", "sqlite://PATH"]),
        (&["serve", "--database", "sqlite://:memory:"], 1, &["database", "sqlite://PATH"]),
        (
            &["serve", "--database", "sqlite://file:x?mode=memory"],
            1,
            &["database", "sqlite://PATH"],
        ),
        (&["serve", "--database", "postgres://db/x"], 1, &["PostgreSQL", "master_key"]),
        (&["serve", "--database", "postgres://db"], 1, &["--database", "names no database"]),
        (&["user", "list", "--database", "postgres://db"], 1, &["postgres://USER", "DATABASE"]),
        (&["user", "list", "--database", "mysql://db"], 1, &["sqlite://PATH", "postgres://"]),
        (&["serve", "--trusted-proxies", "10.0.0.0/33"], 1, &["--trusted-proxies", "10.0.0.0/8"]),
        (&["serve", "--cors-origins", "*"], 1, &["--cors-origins", "https://app.example"]),
        (&["serve", "--cors-origins", "https://a.example/"], 1, &["\"https://a.example/\""]),
        (
            &["serve", "--cors-origins", "capacitor://localhost,http://127.1:3000"],
            1,
            &["--cors-origins", "expected http://127.0.0.1:3000"],
        ),
        (&["serve", "--idle-timeout", "0s"], 1, &["idle_timeout is 0s", "1s to 2h"]),
        (&["serve", "--shutdown-delay", "121s"], 1, &["shutdown_delay is 121s", "0s to 2m"]),
        (&["serve", "--connections", "0"], 1, &["connections is 0", "1 to 100000"]),
        (&["serve", "--login-rate", "100001"], 1, &["login_rate is 100001", "1 to 100000"]),
        (&["serve", "--client-id", ""], 1, &["client_id", "1 to 128"]),
        (&["serve", "--client-id", "web app"], 1, &["client_id", "visible ASCII"]),
        (&["serve", "--client-id", "user_x"], 1, &["client_id", "user_"]),
        (&["serve", "--argon2-memory", "18MiB"], 1, &["argon2_memory is 18MiB", "19MiB to 1GiB"]),
        (&["serve", "--argon2-passes", "1"], 1, &["argon2_passes = 1", "46MiB to 1GiB"]),
        (&["serve", "--argon2-memory", "7167KiB", "--argon2-passes", "9"], 1, &["7MiB to 1GiB"]),
        (&["serve", "--argon2-memory", "2GiB"], 1, &["argon2_memory is 2GiB"]),
        (&["serve", "--argon2-memory", "19"], 1, &["--argon2-memory", "64MiB"]),
        (&["serve", "--argon2-memory", "99999999GiB"], 1, &["--argon2-memory", "far too much"]),
        (&["serve", "--argon2-passes", "0"], 1, &["argon2_passes is 0", "1 to 16"]),
        (&["serve", "--argon2-passes", "two"], 1, &["--argon2-passes", "a number"]),
        (&["serve", "--argon2-lanes", "17"], 1, &["argon2_lanes is 17", "1 to 16"]),
        (
            &["serve", "--argon2-memory", "64MiB", "--hash-memory", "63MiB"],
            1,
            &["hash_memory is 63MiB", "nobody could log in", "64MiB"],
        ),
        (&["serve", "--behind-proxy=maybe"], 1, &["--behind-proxy", "true or false"]),
        (&["serve", "--tls-cert", "a.pem"], 1, &["tls_cert and tls_key"]),
        (&["serve", "--tls-cert", "a.pem", "--tls-key", "b.pem"], 1, &["a.pem", "PEM"]),
        (&["serve", "--listen", "0.0.0.0:0"], 1, &["loopback", "tls_cert", "behind_proxy"]),
        (&["serve", "--listen", "[::]:0"], 1, &["loopback", "tls_cert", "behind_proxy"]),
        (&["serve", "--listen", "0.0.0.0:0", "--behind-proxy"], 1, &["issuer", "https"]),
        (
            &["serve", "--listen", "0.0.0.0:0", "--behind-proxy", "--issuer", "http://a.example"],
            1,
            &["issuer", "https"],
        ),
        (
            &["serve", "--listen", "0.0.0.0:0", "--behind-proxy", "--issuer", "https://a.example"],
            1,
            &["master_key", "openssl rand -base64 32"],
        ),
        (&["serve", "--master-key", "c2hvcnQ="], 1, &["master_key", "32 bytes"]),
        (&["serve", "--master-key-file", "missing"], 1, &["missing", "cannot read"]),
        (&["serve", "--master-key", "x", "--master-key-file", "y"], 1, &["both set"]),
        (
            &["serve", "--config", "missing.toml"],
            1,
            &["missing.toml", "cannot read", "name a TOML file"],
        ),
        (&["user", "passwd", "demo"], 1, &["no database", "user add"]),
        (&["user", "list"], 1, &["no database"]),
        (&["keys", "list"], 1, &["no database"]),
        (&["keys", "rotate"], 1, &["no database"]),
        (&["user", "add", " "], 1, &["not a user name"]),
        (&["user", "add", "demo", "--scope", "a  b"], 1, &["not a scope"]),
    ];
    let folder = TempDir::new().unwrap();
    for (arguments, code, words) in cases {
        let done = command(folder.path(), arguments, PASSWORD);
        refused(&done, *code, words);
        let secret = stderr(&done);
        assert!(!secret.contains("c2hvcnQ"), "{secret}");
        assert!(snapshot(folder.path()).is_empty(), "{arguments:?} left a file");
    }
}

#[test]
fn an_unknown_setting_is_refused_in_the_file_with_the_nearest_name() {
    let folder = TempDir::new().unwrap();
    let toml = folder.path().join("issuer.toml");
    let with_file = |text: &str| {
        fs::write(&toml, text).unwrap();
        command(folder.path(), &["config", "check", "--config", "issuer.toml"], "")
    };
    refused(&with_file("acces_ttl = \"5m\""), 1, &["acces_ttl", "access_ttl?"]);
    refused(&with_file("zzz = 1"), 1, &["zzz", "--help"]);
    refused(&with_file("[access_ttl]\nx = 1"), 1, &["access_ttl", "expected"]);
    refused(&with_file("audience = [1]"), 1, &["audience", "expected"]);
    refused(&with_file("\n\naudience = "), 1, &["issuer.toml, line 3", "not TOML"]);
    let secret = with_file("master_key = c2VjcmV0");
    refused(&secret, 1, &["line 1"]);
    assert!(!stderr(&secret).contains("c2VjcmV0"));
}

#[test]
fn a_variable_that_looks_like_a_setting_is_refused_and_others_do_not_matter() {
    let folder = TempDir::new().unwrap();
    let check = |name: &str, value: &str| {
        binary(folder.path()).args(["config", "check"]).env(name, value).output().unwrap()
    };
    for (name, nearest) in [
        ("COUNTERSIGN_LISTN", "COUNTERSIGN_LISTEN?"),
        ("COUNTERSIGN_listen", "COUNTERSIGN_LISTEN?"),
        ("COUNTERSIGN_ACESS_TTL", "COUNTERSIGN_ACCESS_TTL?"),
        ("COUNTERSIGN_ISUER", "COUNTERSIGN_ISSUER?"),
        ("COUNTERSIGN_DATABASE_URL", "COUNTERSIGN_DATABASE?"),
        ("COUNTERSIGN_MASTERKEY", "COUNTERSIGN_MASTER_KEY?"),
        ("COUNTERSIGN_TLS_CERTIFICATE", "COUNTERSIGN_TLS_CERT?"),
        ("COUNTERSIGN_TRUSTED_PROXY", "COUNTERSIGN_TRUSTED_PROXIES?"),
        ("COUNTERSIGN_CORS_ORIGIN", "COUNTERSIGN_CORS_ORIGINS?"),
        ("COUNTERSIGN_LOGLEVEL", "COUNTERSIGN_LOG_LEVEL?"),
    ] {
        refused(&check(name, "x"), 1, &[name, nearest]);
    }
    // Kubernetes and Docker set these in every container beside a service of our name.
    for (name, value) in [
        ("COUNTERSIGN_SERVICE_HOST", "10.96.0.7"),
        ("COUNTERSIGN_SERVICE_PORT_HTTP", "8080"),
        ("COUNTERSIGN_PORT", "tcp://10.96.0.7:8080"),
        ("COUNTERSIGN_PORT_8080_TCP_ADDR", "10.96.0.7"),
        ("COUNTERSIGN_POSTGRES_SERVICE_HOST", "10.96.0.8"),
        ("COUNTERSIGN_POSTGRES_NAME", "/app/countersign-postgres"),
        ("COUNTERSIGN_POSTGRES_ENV_X", "1"),
    ] {
        let done = check(name, value);
        assert!(done.status.success() && stderr(&done).is_empty(), "{name}: {}", stderr(&done));
    }
    for name in ["VERSION", "IMAGE", "HOME", "METRICS", "PORT", "HOST", "URL", "TAG", "REPLICAS"] {
        let name = format!("COUNTERSIGN_{name}");
        let done = check(&name, "c2VjcmV0");
        assert!(done.status.success(), "{name}: {}", stderr(&done));
        let warning = format!("{name} is not a setting and is ignored");
        assert!(stderr(&done).contains(&warning), "{}", stderr(&done));
        assert!(!stderr(&done).contains("c2VjcmV0"));
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let folder = TempDir::new().unwrap();
    let text = "audience = \"file\"\naccess_ttl = 60\nrefresh_ttl = \"1d\"\nbehind_proxy = true\n\
                cors_origins = [\"http://a.example\", \"http://b.example\"]\n";
    let text = format!("{text}master_key = \"{MASTER_KEY}\"");
    fs::write(folder.path().join("issuer.toml"), text).unwrap();
    let done = binary(folder.path())
        .args(["--config", "issuer.toml", "config", "check", "--audience", "flag"])
        .env("COUNTERSIGN_AUDIENCE", "environment")
        .env("COUNTERSIGN_ACCESS_TTL", "2m")
        .env("COUNTERSIGN_ISSUER_BINARY", "of the tests")
        .env("COUNTERSIGN_FIREFOX", "of the tests")
        .env("COUNTERSIGN_POSTGRES", "of the tests")
        .env("COUNTERSIGN_SKIP", "of the tests")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let shown = stdout(&done);
    for line in [
        "audience = flag",
        "access_ttl = 2m",
        "refresh_ttl = 1d",
        "refresh_grace = 30s",
        "behind_proxy = true",
        "cors_origins = http://a.example, http://b.example",
        "master_key = (hidden)",
        "issuer = http://127.0.0.1:8080",
        "tls_cert = (not set)",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in:\n{shown}");
    }
    assert!(!shown.contains(MASTER_KEY));
}

#[test]
fn connections_behind_a_proxy_may_be_idle_for_longer_than_balancers_keep_them() {
    let folder = TempDir::new().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&[], "10s"),
        (&["--behind-proxy"], "620s"),
        (&["--behind-proxy", "--idle-timeout", "75"], "75s"),
    ];
    for (flags, shown) in cases {
        let done = command(folder.path(), &[&["config", "check"], *flags].concat(), "");
        assert!(stdout(&done).contains(&format!("\nidle_timeout = {shown}\n")), "{done:?}");
    }
}

#[test]
fn config_check_shows_the_defaults_that_follow_from_other_settings() {
    let folder = TempDir::new().unwrap();
    let page = "http://localhost:3000";
    let flags = ["--listen", "[::1]:9", "--database", "sqlite://x.db", "--cors-origins", page];
    let shown = stdout(&command(folder.path(), &[&["config", "check"], &flags[..]].concat(), ""));
    for line in [
        "issuer = http://[::1]:9",
        "master_key_file = x.db.master-key",
        "passkey_rp_id = localhost",
        "passkey_origins = http://localhost:3000",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in:\n{shown}");
    }
    let arguments = ["config", "check", "--json", "--listen", "127.0.0.1:0"];
    let shown: Value =
        serde_json::from_str(&stdout(&command(folder.path(), &arguments, ""))).unwrap();
    assert_eq!(shown["issuer"], Value::Null);
    assert_eq!(shown["master_key_file"], "countersign.db.master-key");
    assert!(snapshot(folder.path()).is_empty());
}

#[test]
fn passwords_are_checked_before_anything_is_written() {
    let folder = folder();
    let before = snapshot(folder.path());
    let long = "x".repeat(1025);
    let far_too_long = "x".repeat(100_000);
    for (password, word) in [
        ("", "too short"),
        ("7 chars", "too short"),
        (long.as_str(), "longer than 1024 bytes"),
        (far_too_long.as_str(), "longer than 1024 bytes"),
        ("control\u{7}character", "control character"),
        ("Password123!", "among the first that an attacker tries"),
    ] {
        refused(&command(folder.path(), &["user", "add", "eve"], password), 1, &[word]);
        refused(&command(folder.path(), &["user", "passwd", "demo"], password), 1, &[word]);
    }
    refused(&command(folder.path(), &["user", "add", "DEMO"], PASSWORD), 1, &["demo exists"]);
    refused(&command(folder.path(), &["user", "passwd", "eve"], PASSWORD), 1, &["no user eve"]);
    assert_eq!(snapshot(folder.path()), before);

    // Passwords of the minimum and maximum length, with a line end as on Windows.
    let longest = "0 chars, and many more of them: ".repeat(32);
    assert_eq!(longest.len(), 1024);
    for (name, password) in [("a", "8 chars!"), ("b", &longest.replace("m: ", "m:!"))] {
        let done = command(folder.path(), &["user", "add", name], &format!("{password}\r"));
        assert!(done.status.success(), "{}", stderr(&done));
    }
    let listed = stdout(&command(folder.path(), &["user", "list"], ""));
    let names: Vec<_> = listed.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["a", "b", "demo"]);
}

#[tokio::test]
async fn a_refused_start_does_not_change_the_database() {
    let folder = folder();
    let process = Process::start(folder.path());
    login(&process.url).await.refresh_token();
    let port = process.url.rsplit(':').next().unwrap().to_owned();

    let other = TempDir::new().unwrap();
    let taken = command(other.path(), &["serve", "--listen", &format!("127.0.0.1:{port}")], "");
    refused(&taken, 1, &["cannot listen", &port, "set listen", "port 0"]);
    let taken =
        ["serve", "--listen", "127.0.0.1:0", "--admin-listen", &format!("127.0.0.1:{port}")];
    let taken = command(other.path(), &taken, "");
    refused(&taken, 1, &["cannot listen", &port, "stop what uses it", "set admin_listen", "none"]);
    let absent = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "192.0.2.1:9090"];
    let absent = command(other.path(), &absent, "");
    refused(&absent, 1, &["cannot listen", "no such address", "set admin_listen"]);
    assert!(snapshot(other.path()).is_empty());
    drop(process);
    // Moves the write-ahead log into the file, which the checks below compare.
    command(folder.path(), &["user", "list"], "");

    let before = snapshot(folder.path());
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let done = command(folder.path(), &[&listen[..], &["--master-key", wrong]].concat(), "");
    refused(&done, 1, &["master key does not open"]);
    let done = command(folder.path(), &["keys", "rotate", "--master-key", wrong], "");
    refused(&done, 1, &["master key does not open"]);
    assert_eq!(snapshot(folder.path()), before);

    let key = folder.path().join("countersign.db.master-key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let done = command(folder.path(), &listen, "");
    refused(&done, 1, &["countersign.db.master-key is missing", "restore it"]);
    assert!(!key.exists());
    fs::write(&key, kept).unwrap();

    let database = folder.path().join("countersign.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    // A newer schema that is compatible with this version is served.
    let process = Process::start(folder.path());
    login(&process.url).await.refresh_token();
    drop(process);
    let db = rusqlite::Connection::open(&database).unwrap();
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
    db.execute("UPDATE database SET compatible_version = 99", []).unwrap();
    drop(db);
    let before = snapshot(folder.path());
    for arguments in [&listen[..], &["user", "add", "eve"], &["keys", "list"]] {
        let done = command(folder.path(), arguments, PASSWORD);
        refused(&done, 1, &["newer version", "schema 99"]);
    }
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn config_check_refuses_everything_that_serve_refuses_and_changes_nothing() {
    let folder = folder();
    let path = folder.path();
    // Makes the keys, which another master key does not open.
    Process::start(path).stop();
    let other_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    // Something that is refused, and if it is refused without the database too.
    let cases: [(&[&str], bool); 7] = [
        (&["--master-key", "none"], true),
        (&["--master-key-file", "absent"], true),
        (&["--tls-cert", "absent", "--tls-key", "absent"], true),
        (&["--listen", "0.0.0.0:0", "--behind-proxy", "--issuer", "https://a.example"], true),
        (&["--master-key", other_key], false),
        (&["--database", "sqlite://absent/x.db"], false),
        (&["--database", "sqlite://foreign.db"], false),
    ];
    let db = rusqlite::Connection::open(path.join("foreign.db")).unwrap();
    db.execute_batch("CREATE TABLE things (id)").unwrap();
    drop(db);
    let before = snapshot(path);
    for (flags, offline_too) in cases {
        let run = |start: &[&str]| command(path, &[start, flags].concat(), "");
        let served = run(if flags.contains(&"--listen") {
            &["serve"]
        } else {
            &["serve", "--listen", "127.0.0.1:0"]
        });
        let checked = run(&["config", "check"]);
        assert_eq!(checked.status.code(), Some(1), "{flags:?}: {}", stdout(&checked));
        assert_eq!(stderr(&checked), stderr(&served), "{flags:?}");
        let offline = run(&["config", "check", "--offline"]);
        assert_eq!(!offline.status.success(), offline_too, "{flags:?}: {}", stderr(&offline));
        assert_eq!(snapshot(path), before, "{flags:?}");
    }
    let done = command(path, &["config", "check"], "");
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(snapshot(path), before);
}

/// A database that lacks migrations is as it was after the check, in both kinds.
#[tokio::test]
async fn config_check_runs_no_migration() {
    let empty = TempDir::new().unwrap();
    let done = command(empty.path(), &["config", "check"], "");
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(snapshot(empty.path()).is_empty());
    if crate::cluster::is_left_out() {
        return;
    }
    let folder = empty_folder_on(Backend::Postgres);
    for _ in 0..2 {
        let done = command(folder.path(), &["config", "check"], "");
        assert!(done.status.success(), "{}", stderr(&done));
        let done = command(folder.path(), &["migrate"], "");
        refused(&done, 1, &["there is no database"]);
    }
}

#[test]
fn migrate_makes_no_database() {
    let empty = TempDir::new().unwrap();
    refused(&command(empty.path(), &["migrate"], ""), 1, &["there is no database"]);
    assert!(snapshot(empty.path()).is_empty());
    // Nobody can say if it is there.
    std::os::unix::fs::symlink("countersign.db", empty.path().join("countersign.db")).unwrap();
    refused(&command(empty.path(), &["migrate"], ""), 1, &["cannot use the database"]);
    let folder = folder();
    let done = command(folder.path(), &["migrate"], "");
    assert_eq!(stdout(&done), "the database is ready for version 0.1.0\n");
}

#[test]
fn a_foreign_file_is_refused_and_unchanged() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("countersign.db");
    let refuse = |words: &[&str]| {
        let before = snapshot(folder.path());
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["user", "add", "eve"]] {
            refused(&command(folder.path(), arguments, PASSWORD), 1, words);
        }
        assert_eq!(snapshot(folder.path()), before);
    };
    fs::create_dir(&database).unwrap();
    refuse(&["cannot use the database"]);
    fs::remove_dir(&database).unwrap();
    fs::write(&database, "not a database, and long enough to be looked at as one").unwrap();
    refuse(&["cannot use the database"]);
    fs::remove_file(&database).unwrap();
    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch("CREATE TABLE things (id)").unwrap();
    drop(db);
    refuse(&["database of something else"]);

    let done = command(folder.path(), &["user", "add", "eve", "--database", "sqlite:///no/x"], "");
    refused(&done, 1, &["/no/x", "No such file", "set database"]);
}

#[test]
fn health_asks_the_issuer_that_runs() {
    let folder = folder();
    let path = folder.path();
    let health = |url: &str, flags: &[&str]| {
        let address = url.split_once("://").unwrap().1;
        command(path, &[&["health", "--listen", address], flags].concat(), "")
    };
    let process = Process::start(path);
    for flags in [&[][..], &["--ready"]] {
        let done = health(&process.url, flags);
        assert_eq!(stdout(&done), "{\"status\":\"ok\"}\n", "{}", stderr(&done));
    }
    let url = process.url.clone();
    // The address of every interface is reached by loopback.
    let done = health(&url.replace("127.0.0.1", "0.0.0.0"), &["--behind-proxy"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    process.stop();
    refused(&health(&url, &[]), 1, &["no issuer answers at 127.0.0.1:", "listen"]);
    refused(&health("http://127.0.0.1:0", &[]), 1, &["listen has port 0"]);

    crate::tls::Pair::make().write(path);
    let flags = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let mut command = binary(path);
    command.args(flags);
    let process = Process::with(path, command);
    let done = health(&process.url, &[&["--ready"], &flags[..]].concat());
    assert_eq!(stdout(&done), "{\"status\":\"ok\"}\n", "{}", stderr(&done));
}

#[test]
fn health_fails_with_the_answer_of_an_issuer_that_is_not_ready() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        assert!(request[..length].starts_with(b"GET /healthz/ready HTTP/1.1\r\n"));
        let answer = b"HTTP/1.1 503 x\r\nContent-Length: 8\r\n\r\ndatabase";
        stream.write_all(answer).unwrap();
    });
    let empty = TempDir::new().unwrap();
    let done = command(empty.path(), &["health", "--ready", "--listen", &address], "");
    refused(&done, 1, &["/healthz/ready answered 503", "database"]);
}

#[test]
fn short_help_has_the_options_of_the_command_and_long_help_the_settings_too() {
    let folder = TempDir::new().unwrap();
    let help = |arguments: &[&str]| stdout(&command(folder.path(), arguments, ""));
    let short = help(&["client", "add", "-h"]);
    assert!(short.contains("--scope") && !short.contains("--jwks-max-age"), "{short}");
    let long = help(&["client", "add", "--help"]);
    assert!(long.contains("--scope") && long.contains("Settings:"), "{long}");
    assert!(long.contains("--jwks-max-age"), "{long}");
}

#[test]
fn completions_and_man_pages_name_the_commands() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&command(folder.path(), &["completions", shell], ""));
        assert!(script.contains("passwd") && script.contains("jwks-max-age"), "{shell}");
    }
    let done = command(folder.path(), &["man", "."], "");
    assert!(done.status.success(), "{}", stderr(&done));
    let page = fs::read_to_string(folder.path().join("countersign-issuer-user-passwd.1")).unwrap();
    assert!(page.contains("Set a password"), "{page}");
    refused(&command(folder.path(), &["man", "absent"], ""), 1, &["absent", "man pages"]);
}

#[tokio::test]
async fn an_issuer_serves_although_nobody_reads_its_stdout() {
    use std::io::Write as _;
    let folder = folder();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // A pipe holds 64 KiB.
    writer.write_all(&[b'x'; 64 * 1024]).unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut serve = binary(folder.path());
    serve.args(["serve", "--listen", &address.to_string()]).stdout(writer);
    let child = serve.stderr(std::process::Stdio::null()).spawn().unwrap();
    let process = Process { child, url: format!("http://{address}") };
    for second in 0..60 {
        assert!(second < 59, "it does not answer");
        if reqwest::get(format!("{}/healthz/live", process.url)).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(process.stop().code(), Some(0));
    drop(reader);
}

#[test]
fn sighup_does_not_end_an_issuer_without_a_certificate() {
    let folder = folder();
    let process = Process::start(folder.path());
    process.signal("-HUP");
    let log = folder.path().join("issuer.log");
    let is_logged = || fs::read_to_string(&log).unwrap().contains("SIGHUP");
    for _ in 0..600 {
        if is_logged() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(is_logged());
    assert_eq!(process.stop().code(), Some(0));
}

/// Permissions do not restrict root. If the tests run as root, the binary runs as another user.
#[tokio::test]
async fn an_issuer_serves_on_for_the_shutdown_delay_and_is_not_ready() {
    let folder = folder();
    let mut command = binary(folder.path());
    command.env("COUNTERSIGN_SHUTDOWN_DELAY", "2m");
    let process = Process::with(folder.path(), command);
    let before = get(&process.url, "/healthz/ready").await;
    assert_eq!((before.status, before.header("connection")), (200, ""));
    process.signal("-TERM");
    let mut ready = before;
    while ready.status == 200 {
        ready = get(&process.url, "/healthz/ready").await;
    }
    ready.refused(503, "temporarily_unavailable");
    assert!(ready.text.contains("stopping"), "{ready:?}");
    for _ in 0..3 {
        let answer = get(&process.url, "/.well-known/jwks.json").await;
        assert_eq!((answer.status, answer.header("connection")), (200, "close"));
    }
    // Another signal ends the delay.
    assert!(process.stop().success());
}

#[test]
fn a_database_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    let folder = TempDir::new().unwrap();
    add_user(folder.path(), "demo");
    let database = folder.path().join("countersign.db");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = snapshot(folder.path());
    let copies = TempDir::new().unwrap();
    let copy = copies.path().join("issuer");
    fs::copy(env!("CARGO_BIN_EXE_countersign-issuer"), &copy).unwrap();
    fs::set_permissions(copies.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["user", "list"]] {
        let mut command = std::process::Command::new(&copy);
        command.args(arguments).current_dir(folder.path()).env(ADMIN_LISTEN, "none");
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65534).gid(65534);
        }
        refused(&command.output().unwrap(), 1, &["cannot use the database", "writable"]);
    }
    assert_eq!(snapshot(folder.path()), before);
}

#[test]
fn files_made_on_loopback_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let process = Process::start(folder.path());
    for name in ["countersign.db", "countersign.db-wal", "countersign.db.master-key"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(process);
}

#[test]
fn a_database_made_where_a_link_leads_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = TempDir::new().unwrap();
    symlink("elsewhere.db", folder.path().join("countersign.db")).unwrap();
    add_user(folder.path(), "demo");
    let mode = fs::metadata(folder.path().join("elsewhere.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn serve_warns_of_secret_files_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("cert.pem"), made.cert.pem()).unwrap();
    fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(path("issuer.toml"), format!("master_key = \"{MASTER_KEY}\"")).unwrap();
    let secret = ["countersign.db", "key.pem", "issuer.toml"];
    let warned = |mode: u32| {
        for name in secret.iter().chain(&["cert.pem"]) {
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut command = binary(folder.path());
        command.args(["--config", "issuer.toml", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
        Process::with(folder.path(), command).stop();
        let log = fs::read_to_string(path("issuer.log")).unwrap();
        fs::remove_file(path("issuer.log")).unwrap();
        assert!(!log.contains("others on this machine may read or write cert.pem"), "{log}");
        let says =
            |name: &&&str| log.contains(&format!("may read or write {name}; chmod o-rwx {name}"));
        secret.iter().filter(says).count()
    };
    assert_eq!(warned(0o640), 0);
    assert_eq!(warned(0o644), secret.len());
    assert_eq!(warned(0o602), secret.len());
}

/// The commands run where a FIFO or a device is in the place of a file.
#[test]
fn a_file_that_is_not_a_regular_one_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status();
    assert!(made.unwrap().success());
    for file in ["fifo", "/dev/zero"] {
        for arguments in [
            &["config", "check", "--config", file][..],
            &["serve", "--listen", "127.0.0.1:0", "--master-key-file", file],
            &["serve", "--listen", "127.0.0.1:0", "--tls-cert", file, "--tls-key", file],
            &["keys", "import", file],
        ] {
            let done = command(folder.path(), arguments, "");
            refused(&done, 1, &[file, "not a regular file"]);
        }
    }
}

async fn issuers_that_start_together_on_a_new_database_share_its_keys(backend: Backend) {
    for _ in 0..3 {
        let folder = empty_folder_on(backend);
        let start = || {
            std::thread::scope(|scope| {
                let one = scope.spawn(|| Process::start(folder.path()));
                let other = scope.spawn(|| Process::start(folder.path()));
                (one.join().unwrap(), other.join().unwrap())
            })
        };
        let _both = start();
        let listed = command(folder.path(), &["keys", "list", "--json"], "");
        let keys: Vec<Value> = serde_json::from_str(&stdout(&listed)).unwrap();
        let states: Vec<_> = keys.iter().map(|key| key["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["active", "published"]);
    }
}
