//! docs/issuer.md, held to what the binary does.

use std::fs;

use tempfile::TempDir;

use crate::common::{Server, client, command, login, send, stdout};

fn document() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/issuer.md")).unwrap()
}

/// The cells of each row of the tables in the section with that heading, without backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let document = document();
    let from = document.find(&format!("\n## {heading}\n")).unwrap() + 4;
    let section = document[from..].split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn the_configuration_table_has_every_name_with_its_default_in_the_order_of_config_check() {
    let folder = TempDir::new().unwrap();
    let shown = stdout(&command(folder.path(), &["config", "check"], ""));
    let shown = shown.replace("(not set)", "none");
    let documented = rows("Configuration");
    let documented = documented.iter().map(|cells| format!("{} = {}\n", cells[1], cells[2]));
    assert_eq!(documented.collect::<String>(), shown);
}

#[test]
fn the_configuration_file_of_the_document_is_accepted() {
    let document = document();
    let text = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = TempDir::new().unwrap();
    // The certificate is not there to be read.
    let lines = text.lines().filter(|line| !line.starts_with("tls_"));
    let text = lines.map(|line| format!("{line}\n")).collect::<String>();
    fs::write(folder.path().join("issuer.toml"), text).unwrap();
    let arguments = ["--config", "issuer.toml", "config", "check", "--behind-proxy"];
    let done = command(folder.path(), &arguments, "");
    assert!(done.status.success(), "{done:?}");
    assert!(stdout(&done).contains("access_ttl = 5m\n"));
}

#[tokio::test]
async fn each_documented_endpoint_exists() {
    let server = Server::with(|config, _| config.status_lists = true).await;
    // So that there is a status list.
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
    assert_eq!(endpoints, 11);
}
