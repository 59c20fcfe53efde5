//! Durability: whatever the issuer has answered survives kill -9 and a full disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::{
    ADMIN_LISTEN, Backend, Process, add_user, command, folder, folder_on, get, login,
};
use crate::common::{over_both, refresh, send, stdout};

over_both!(every_answered_refresh_keeps_its_verdict_after_kill_9);

/// Refreshes. Returns `None` if the process is gone.
async fn try_refresh(client: &reqwest::Client, url: &str, token: &str) -> Option<(u16, String)> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let response = client.post(format!("{url}/token")).form(&form).send().await.ok()?;
    let status = response.status().as_u16();
    let body: serde_json::Value = serde_json::from_str(&response.text().await.ok()?).ok()?;
    Some((status, body["refresh_token"].as_str().unwrap_or_default().to_owned()))
}

async fn every_answered_refresh_keeps_its_verdict_after_kill_9(backend: Backend) {
    let folder = folder_on(backend);
    let mut answered = 0;
    for round in 0..5_u64 {
        let mut process = Process::start(folder.path());
        let killed = Arc::new(AtomicBool::new(false));
        let mut chains = Vec::new();
        for _ in 0..4 {
            let first = login(&process.url).await.refresh_token();
            let (url, killed) = (process.url.clone(), Arc::clone(&killed));
            // Refreshes one session until the kill. Returns all tokens, oldest first.
            chains.push(tokio::spawn(async move {
                let client = reqwest::Client::new();
                let mut tokens = vec![first];
                while let Some((status, next)) =
                    try_refresh(&client, &url, tokens.last().unwrap()).await
                {
                    assert_eq!(status, 200);
                    tokens.push(next);
                }
                assert!(killed.load(Ordering::SeqCst), "a refresh failed before the kill");
                tokens
            }));
        }
        // Adds a user while the issuer is busy. The command succeeds just before the kill.
        let path = folder.path().to_owned();
        let name = format!("user{round}");
        tokio::task::spawn_blocking(move || add_user(&path, &name)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(137 * (round + 1))).await;
        killed.store(true, Ordering::SeqCst);
        process.child.kill().unwrap();
        process.child.wait().unwrap();

        let process = Process::start(folder.path());
        let client = reqwest::Client::new();
        for (index, chain) in chains.into_iter().enumerate() {
            let tokens = chain.await.unwrap();
            answered += tokens.len();
            let last = tokens.last().unwrap();
            if index % 2 == 0 {
                // The last token is current, or its successor was stored just before the kill and
                // not sent. In both cases a refresh succeeds.
                let (status, next) = try_refresh(&client, &process.url, last).await.unwrap();
                assert_eq!(status, 200);
                assert!(!tokens.contains(&next), "the issuer returned a token for a second time");
            } else if let [.., old, _, _] = tokens.as_slice() {
                // A token that was replaced twice is a replay and ends the session.
                let (status, _) = try_refresh(&client, &process.url, old).await.unwrap();
                assert_eq!(status, 400);
                let (status, _) = try_refresh(&client, &process.url, last).await.unwrap();
                assert_eq!(status, 400);
            }
        }
    }
    assert!(answered > 100, "only {answered} refreshes were answered");
    let users = stdout(&command(folder.path(), &["user", "list"], ""));
    for round in 0..5 {
        assert!(users.contains(&format!("user{round}\t")), "{users}");
    }
}

#[tokio::test]
async fn a_full_disk_makes_the_issuer_unready_and_loses_nothing() {
    let folder = folder();
    // Limits the size of each file, which acts like a full disk.
    let mut shell = std::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_countersign-issuer")]);
    shell.env(ADMIN_LISTEN, "none");
    shell.current_dir(folder.path()).stdout(std::process::Stdio::piped());
    let process = Process::with(folder.path(), shell);
    let ready = async || get(&process.url, "/healthz/ready").await;
    assert_eq!(ready().await.status, 200);
    let first = login(&process.url).await.refresh_token();
    let mut logins = 0;
    while ready().await.status == 200 {
        logins += 1;
        assert!(logins < 60, "still ready");
        let answer = login(&process.url).await;
        if answer.status != 200 {
            answer.refused(503, "temporarily_unavailable");
            // The database is probed once a second.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    ready().await.refused(503, "temporarily_unavailable");
    refresh(&process.url, &first).await.refused(503, "temporarily_unavailable");
    drop(process);

    let process = Process::start(folder.path());
    assert_eq!(refresh(&process.url, &first).await.status, 200);
    assert_eq!(get(&process.url, "/healthz/ready").await.status, 200);
}

#[tokio::test]
async fn sigterm_ends_the_process_with_code_0() {
    let folder = folder();
    let process = Process::start(folder.path());
    login(&process.url).await.refresh_token();
    assert_eq!(process.stop().code(), Some(0));
    // The database is closed properly and usable.
    assert!(!folder.path().join("countersign.db-wal").exists());
    let process = Process::start(folder.path());
    let request = reqwest::Client::new().get(format!("{}/healthz/ready", process.url));
    assert_eq!(send(request).await.status, 200);
}
