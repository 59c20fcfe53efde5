//! The audit log: its entries of logins and failed logins, and `audit list`.

use std::path::Path;
use std::time::Duration;

use countersign_issuer::AuditNetwork;
use serde_json::{Value, json};

use crate::common::{Backend, PASSWORD, START, Server, add_user, command, folder_on, login};
use crate::common::{over_both, post_form, refresh, stderr, stdout};
use crate::login::{NOWHERE, Source, attempt, wrong};

over_both!(
    the_audit_log_is_listed_and_kept_for_the_configured_time,
    every_event_of_a_session_names_user_and_network,
    failed_logins_are_audited_without_the_names_that_nobody_has,
    options_of_audit_list_combine,
);

/// Returns the output of `audit list`.
fn list(folder: &Path, arguments: &[&str]) -> String {
    let done = command(folder, &[&["audit", "list"], arguments].concat(), "");
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

/// Returns the entries of `audit list --json`, without `id`, `at` and `sub`.
fn entries(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let listed = list(folder, &[&["--json"], arguments].concat());
    let mut entries: Vec<Value> = serde_json::from_str(&listed).unwrap();
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        for (name, is_right) in [
            ("id", entry["id"].is_u64()),
            ("at", entry["at"].is_u64()),
            ("sub", entry["sub"].as_str().is_none_or(|sub| sub.starts_with("user_"))),
        ] {
            assert!(is_right, "{name} of {entry:?}");
            entry.remove(name);
        }
    }
    entries
}

async fn every_event_of_a_session_names_user_and_network(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, _| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.audit_network = AuditNetwork::Address;
    })
    .await;
    let from = |forwarded| Source { forwarded, ..NOWHERE };
    let opened = attempt(&server.url, "demo", PASSWORD, from(&["192.0.2.1"])).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    let token = login(&server.url).await.refresh_token();
    // Twice within the grace, and once after it.
    for advance in [0, 0, 60] {
        server.advance(advance);
        refresh(&server.url, &token).await;
    }
    let token = login(&server.url).await.refresh_token();
    post_form(&server.url, "/logout", &[("refresh_token", &token)]).await;
    let token = login(&server.url).await.refresh_token();
    post_form(&server.url, "/revoke", &[("token", &token)]).await;

    let entries = entries(server.folder.path(), &["--user", "demo"]);
    let shown = entries.iter().map(|entry| {
        assert_eq!((&entry["user"], &entry["count"]), (&json!("demo"), &json!(1)), "{entry}");
        let [event, network] = ["event", "network"].map(|name| entry[name].as_str().unwrap_or("-"));
        format!("{event} {network}")
    });
    let expected = [
        "user_added -",
        "login 192.0.2.1",
        "login 127.0.0.1",
        "refresh_repeated 127.0.0.1",
        "refresh_reused 127.0.0.1",
        "login 127.0.0.1",
        "session_ended 127.0.0.1",
        "login 127.0.0.1",
        "session_ended 127.0.0.1",
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

async fn failed_logins_are_audited_without_the_names_that_nobody_has(backend: Backend) {
    let folder = folder_on(backend);
    add_user(folder.path(), "eve");
    let server = Server::over(folder, |_, _| {}).await;
    assert!(command(server.folder.path(), &["user", "lock", "eve"], "").status.success());
    for _ in 0..6 {
        wrong(&server.url, "demo").await;
    }
    attempt(&server.url, "eve", PASSWORD, NOWHERE).await.refused(401, "invalid_grant");
    for n in 0..4 {
        wrong(&server.url, &format!("a name like a password {n}")).await;
    }
    let folder = server.stop().await;
    let failed = |event: &str, user: Option<&str>, count, network: &Value| {
        let subject = user.map_or_else(
            || json!("-"),
            |user| {
                let users = command(folder.path(), &["user", "list", "--json"], "");
                let users: Vec<Value> = serde_json::from_str(&stdout(&users)).unwrap();
                users.iter().find(|one| one["name"] == user).unwrap()["sub"].clone()
            },
        );
        json!({ "event": event, "subject": subject, "user": user, "network": network,
                "count": count, "actor": null })
    };
    let mut found = entries(folder.path(), &[]);
    found.retain(|entry| entry["event"].as_str().unwrap().starts_with("login_"));
    // A code, and the same one for all, although the names differ.
    let network = found[0]["network"].clone();
    assert_eq!(network.as_str().unwrap().len(), 22, "{found:?}");
    let mut expected = vec![
        failed("login_failed", Some("demo"), 5, &network),
        failed("login_held_back", Some("demo"), 1, &network),
        failed("login_locked", Some("eve"), 1, &network),
        failed("login_failed", None, 4, &network),
    ];
    for entries in [&mut found, &mut expected] {
        entries.sort_by_key(ToString::to_string);
    }
    assert_eq!(found, expected);
    assert!(!list(folder.path(), &[]).contains("a name like"));

    // Another issuer on the database names the network in the same way.
    let server = Server::over(folder, |_, _| {}).await;
    server.advance(60);
    login(&server.url).await.refresh_token();
    let last = entries(server.folder.path(), &["--limit", "1"]);
    assert_eq!((&last[0]["event"], &last[0]["network"]), (&json!("login"), &network));
}

async fn options_of_audit_list_combine(backend: Backend) {
    let folder = folder_on(backend);
    add_user(folder.path(), "eve");
    for name in ["demo", "eve"] {
        assert!(command(folder.path(), &["user", "lock", name], "").status.success());
    }
    let events = |arguments: &[&str]| {
        let entries = entries(folder.path(), arguments);
        entries.iter().map(|entry| entry["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events(&["--user", "EVE"]), ["user_added", "user_locked"]);
    assert_eq!(events(&["--user", "eve", "--event", "user_locked"]), ["user_locked"]);
    let both = ["--event", "user_locked", "--event", "user_added", "--limit", "3"];
    assert_eq!(events(&both), ["user_added", "user_locked", "user_locked"]);
    assert_eq!(events(&["--user", "eve", "--since", "1h", "--event", "login"]), [""; 0]);
    assert_eq!(events(&["--user", "eve", "--since", "2000-01-01T00:00:00Z"]).len(), 2);
    assert_eq!(events(&["--since", "2999-01-01T00:00:00Z"]), [""; 0]);

    let all: Vec<Value> = serde_json::from_str(&list(folder.path(), &["--json"])).unwrap();
    let third = all[2]["id"].to_string();
    assert_eq!(events(&["--before", &third]).len(), 2);
    let sub = all[1]["sub"].as_str().unwrap();
    assert!(command(folder.path(), &["user", "delete", "eve"], "").status.success());
    assert_eq!(events(&["--user", sub]), ["user_added", "user_locked", "user_deleted"]);
    let deleted = list(folder.path(), &["--user", sub, "--limit", "1"]);
    assert!(deleted.ends_with(&format!("\tuser_deleted\t{sub}\t{sub}\t-\t1\t-\n")), "{deleted}");

    for (arguments, code, words) in [
        (["--user", "eve"], 1, "there is no user eve"),
        (["--event", "logins"], 2, "logins for --event <EVENT>; did you mean login?"),
        (["--event", "xyz"], 2, "; expected user_added, user_locked, "),
        (["--since", "yesterday"], 2, "or a time such as"),
        (["--limit", "0"], 2, "1..=100000"),
        (["--limit", "100001"], 2, "1..=100000"),
    ] {
        let done = command(folder.path(), &[&["audit", "list"], &arguments[..]].concat(), "");
        let line = stderr(&done);
        assert_eq!((done.status.code(), line.lines().count()), (Some(code), 1), "{line}");
        assert!(line.contains(words), "{line}");
    }
}

async fn the_audit_log_is_listed_and_kept_for_the_configured_time(backend: Backend) {
    let server = Server::on(backend).await;
    let first = login(&server.url).await.refresh_token();
    server.advance(60);
    login(&server.url).await.refresh_token();
    post_form(&server.url, "/logout", &[("refresh_token", &first)]).await;
    let last = list(server.folder.path(), &["--limit", "3"]);
    let last: Vec<Vec<_>> = last.lines().map(|line| line.split('\t').collect()).collect();
    let session = last[0][2];
    let (opened, ended) = (START.to_string(), (START + 60).to_string());
    let network = last[0][4];
    assert_eq!(last[0], [&opened, "login", session, "demo", network, "1", "-"]);
    assert_eq!(last[1][..2], [&ended, "login"]);
    assert_eq!(last[2], [&ended, "session_ended", session, "demo", network, "1", "-"]);
    let of_one = entries(server.folder.path(), &["--subject", session, "--limit", "1"]);
    let expected = json!({ "event": "session_ended", "subject": session, "user": "demo",
                           "network": network, "count": 1, "actor": null });
    assert_eq!(of_one, [expected]);
    let all = list(server.folder.path(), &[]);
    assert!(all.contains("\tuser_added\t"), "the user was added long ago");

    // Commands use the clock of this machine, which is far behind that of the test.
    let folder = server.stop().await;
    let server = Server::over(folder, |config, _| {
        config.audit_retention = Some(Duration::from_secs(86400));
    })
    .await;
    let list = || list(server.folder.path(), &[]);
    for _ in 0..500 {
        if !list().contains("user_added") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(list().lines().filter(|line| line.contains("\tlogin\t")).count(), 2);
    assert!(!list().contains("user_added"));
}
