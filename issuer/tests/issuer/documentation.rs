//! `docs/issuer.md` agrees with the binary.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use crate::common::{
    ADMIN_LISTEN, MASTER_KEY, Server, binary, client, command, get, login, send, stdout,
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
    let mut endpoints = 0;
    for cells in rows("Endpoints") {
        let Some((method, path)) = cells[1].split_once(' ') else { continue };
        endpoints += 1;
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{}", server.url, path.replace("{n}", "1"));
        let answer = send(client().request(method, url)).await;
        assert!(![404, 405].contains(&answer.status), "{path}: {answer:?}");
    }
    assert_eq!(endpoints, 13);
}
