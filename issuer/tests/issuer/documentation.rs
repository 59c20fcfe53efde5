//! `docs/issuer.md` agrees with the binary.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{
    ADMIN_LISTEN, MASTER_KEY, PASSWORD, Server, binary, client, command, get, login, post_json,
    send, stderr, stdout,
};

fn document() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/issuer.md")).unwrap()
}

/// Returns the cells of each table row in the section with this heading, without backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let document = document();
    let from = document.find(&format!("\n## {heading}\n")).unwrap() + 4;
    let section = document[from..].split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn the_configuration_table_has_the_names_and_defaults_of_config_check_in_its_order() {
    let folder = TempDir::new().unwrap();
    let mut check = binary(folder.path());
    let shown = check.env_remove(ADMIN_LISTEN).args(["config", "check"]).output().unwrap();
    let shown = stdout(&shown);
    let shown = shown.replace("(not set)", "none");
    let documented = rows("Configuration");
    let documented = documented.iter().map(|cells| format!("{} = {}\n", cells[1], cells[2]));
    assert_eq!(documented.collect::<String>(), shown);
}

#[test]
fn the_documented_configuration_file_is_accepted() {
    let document = document();
    let text = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = TempDir::new().unwrap();
    // The files of the certificate do not exist here.
    let lines = text.lines().filter(|line| !line.starts_with("tls_"));
    let text = lines.map(|line| format!("{line}\n")).collect::<String>();
    let here = folder.path().to_str().unwrap();
    let text = text.replace("/etc/countersign", here).replace("/var/lib/countersign", here);
    fs::write(folder.path().join("issuer.toml"), text).unwrap();
    fs::write(folder.path().join("master-key"), MASTER_KEY).unwrap();
    let arguments = ["--config", "issuer.toml", "config", "check", "--behind-proxy"];
    let done = command(folder.path(), &arguments, "");
    assert!(done.status.success(), "{done:?}");
    assert!(stdout(&done).contains("access_ttl = 5m\n"));
}

#[tokio::test]
async fn the_table_of_metrics_is_complete() {
    let server = Server::start().await;
    let admin = crate::watch::admin(&server).await;
    let served = get(&admin, "/metrics").await.text;
    let served = served.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let served: BTreeSet<_> = served.filter_map(|line| line.split(' ').next()).collect();
    let rows = rows("Metrics");
    let documented = rows.iter().flat_map(|cells| cells[1].split(", "));
    let documented: Vec<_> = documented.collect();
    assert_eq!(documented.iter().copied().collect::<BTreeSet<_>>(), served);
    assert_eq!(documented.len(), served.len());
}

#[tokio::test]
async fn each_documented_endpoint_exists() {
    let server = Server::with(|config, _| config.status_lists = true).await;
    // The first login creates a status list.
    assert_eq!(login(&server.url).await.status, 200);
    let mut endpoints = BTreeSet::new();
    for cells in rows("Endpoints") {
        // Other tables of the section have names of members and codes.
        let Some((method, path)) = cells[1].split_once(' ') else { continue };
        if !path.starts_with('/') {
            continue;
        }
        endpoints.insert(cells[1].clone());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{}", server.url, path.replace("{n}", "1"));
        let answer = send(client().request(method, url)).await;
        assert!(![404, 405].contains(&answer.status), "{path}: {answer:?}");
    }
    let document = get(&server.url, "/openapi.json").await.json();
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    assert_eq!(endpoints, described.collect());
}

/// The documented output of each command with `--json`: its members.
fn json_members() -> Vec<(String, Vec<String>)> {
    let document = document();
    let table = document.split("\n### JSON\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let row = |line: &str| {
        let mut cells = line.split('|').skip(1).map(|cell| cell.trim().replace('`', ""));
        let command = cells.next().unwrap();
        let members = cells.next().unwrap();
        let members = members.trim_start_matches("array of ").split(", ");
        (command, members.map(str::to_owned).collect())
    };
    table.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

#[tokio::test]
async fn every_command_prints_the_documented_json() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("new-key"), "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=")
        .unwrap();
    let hash = "$2b$04$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";
    let user = json!({ "name": "moved", "password_hash": hash }).to_string();
    fs::write(folder.path().join("users.jsonl"), user).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let run = |arguments: &[&str]| {
        let done = command(folder.path(), &[arguments, &["--json"]].concat(), PASSWORD);
        assert!(done.status.success(), "{arguments:?}: {}", stderr(&done));
        let printed = stdout(&done);
        assert_eq!(printed.lines().count(), 1, "{arguments:?}: {printed}");
        serde_json::from_str::<Value>(&printed).unwrap()
    };
    let mut issuer = binary(folder.path());
    issuer.args(["--json", "serve", "--listen", "127.0.0.1:0"]);
    let mut issuer = issuer.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(issuer.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let served: Value = serde_json::from_str(&line).unwrap();
    let listen = served["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let health = run(&["health", "--listen", &listen]);
    let added = run(&["user", "add", "alice"]);
    let session = json!({ "username": "alice", "password": PASSWORD });
    post_json(served["url"].as_str().unwrap(), "/login", &session).await.refresh_token();
    issuer.kill().unwrap();
    issuer.wait().unwrap();

    let mut printed = vec![("serve", served), ("health", health), ("user add", added)];
    let words = |command: &[&str]| if command.get(1) == Some(&"mfa") { 3 } else { 2 };
    let names = |command: &[&str]| command[..command.len().min(words(command))].join(" ");
    let keys = run(&["keys", "list"]);
    let kid = keys.as_array().unwrap().iter().find(|key| key["state"] == "published").unwrap();
    let kid = kid["kid"].as_str().unwrap();
    let commands: [&[&str]; 32] = [
        &["user", "import", "users.jsonl"],
        &["user", "sessions", "alice"],
        &["user", "passwd", "alice"],
        &["user", "lock", "alice"],
        &["user", "unlock", "alice"],
        &["user", "scope", "alice", "read"],
        &["user", "reset", "alice"],
        &["user", "claims", "alice", "{}"],
        &["user", "mfa", "reset", "alice"],
        &["user", "expire-passwords", "--all"],
        &["user", "list"],
        &["user", "delete", "alice"],
        &["client", "add", "worker"],
        &["client", "rotate", "worker"],
        &["client", "lock", "worker"],
        &["client", "unlock", "worker"],
        &["client", "scope", "worker", "read"],
        &["client", "claims", "worker"],
        &["client", "audiences", "worker", "urn:example:orders"],
        &["client", "list"],
        &["keys", "list"],
        &["keys", "plan"],
        &["keys", "revoke", kid],
        &["keys", "rotate"],
        &["keys", "import", "key.pem"],
        &["keys", "exchange-secret"],
        &["store", "copy", "--from", "sqlite://countersign.db", "--to", "sqlite://copy.db"],
        &["store", "reset-clock"],
        &["migrate"],
        &["audit", "list"],
        &["config", "check"],
        &["keys", "rewrap", "--to", "new-key"],
    ];
    let named: Vec<_> = commands.iter().map(|command| (names(command), run(command))).collect();
    printed.extend(named.iter().map(|(name, value)| (name.as_str(), value.clone())));

    let documented = json_members();
    for (name, value) in &printed {
        let value = value.as_array().map_or(value, |rows| &rows[0]);
        let mut members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let documented = documented.iter().find(|(command, _)| command == name);
        let mut expected: Vec<_> = documented
            .unwrap_or_else(|| panic!("{name} is not documented"))
            .1
            .iter()
            .map(String::as_str)
            .collect();
        if *name == "config check" {
            assert_eq!(expected, ["the names of the settings"]);
            expected.clone_from(&members);
        }
        members.sort_unstable();
        expected.sort_unstable();
        assert_eq!(members, expected, "{name}");
    }
    assert_eq!(documented.len(), printed.len());

    // There is a man page for each command.
    let pages = folder.path().join("man");
    fs::create_dir(&pages).unwrap();
    assert!(command(folder.path(), &["man", "man"], "").status.success());
    let pages = fs::read_dir(pages).unwrap().map(|page| page.unwrap().file_name());
    let pages: Vec<_> = pages
        .filter_map(|page| {
            let name = page.to_str()?.strip_prefix("countersign-issuer-")?.strip_suffix(".1")?;
            Some(name.replacen('-', " ", if name.starts_with("user-mfa-") { 2 } else { 1 }))
        })
        .collect();
    let is_group = |name: &&String| pages.iter().any(|one| one.starts_with(&format!("{name} ")));
    for name in pages.iter().filter(|name| !is_group(name)) {
        let prints_no_result = ["completions", "man", "help"].contains(&name.as_str());
        let is_tried = printed.iter().any(|(one, _)| one == name);
        assert!(is_tried || prints_no_result, "{name} is not tried with --json");
    }
}
