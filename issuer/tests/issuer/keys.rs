//! Key rotation in a running issuer, with a clock that the test sets.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::common::{
    Backend, Process, Server, command, folder_on, get, jwt_part, login, over_both, stderr, stdout,
};

over_both!(
    keys_rotate_by_themselves_and_are_dropped_when_their_tokens_are_gone,
    a_rotation_by_hand_is_picked_up_once_caches_can_have_the_next_key,
    a_revoked_key_is_gone_at_once_and_the_next_one_signs,
    the_next_key_that_is_made_has_the_configured_size,
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

/// The running issuer looks once a second.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..100 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the issuer did not get there in 10 s");
}

async fn keys_rotate_by_themselves_and_are_dropped_when_their_tokens_are_gone(backend: Backend) {
    const DAY: u64 = 86400;
    let server = Server::on(backend).await;
    let (first, next) = (signer(&server.url).await, kids(server.folder.path(), "published"));
    assert_eq!(kids(server.folder.path(), "active"), std::slice::from_ref(&first));
    assert_eq!(published(&server.url).await, HashSet::from([first.clone(), next[0].clone()]));
    let etag = get(&server.url, "/.well-known/jwks.json").await.header("etag").to_owned();

    // A day before the change, nothing happens; a cache is told to come back in time.
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
    // 15 min of tokens, 5 min of caches, 1 min of skew, 30 s to notice.
    let kept = retiring["drops_at"].as_u64().unwrap() - retiring["retires_at"].as_u64().unwrap();
    assert_eq!(kept, 15 * 60 + 5 * 60 + 60 + 30);

    server.advance(kept - 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(published(&server.url).await.contains(&first));
    server.advance(1);
    until(async || !published(&server.url).await.contains(&first)).await;
    assert_eq!(signer(&server.url).await, next[0]);
}

async fn a_rotation_by_hand_is_picked_up_once_caches_can_have_the_next_key(backend: Backend) {
    let server = Server::on(backend).await;
    let (first, next) = (signer(&server.url).await, kids(server.folder.path(), "published"));
    let done = command(server.folder.path(), &["keys", "rotate"], "");
    assert!(done.status.success(), "{done:?}");
    assert!(stdout(&done).starts_with("the next key signs in "), "{}", stdout(&done));
    assert_eq!(signer(&server.url).await, first);

    // 5 min of caches and 1 min of skew after it was published.
    server.advance(359);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(signer(&server.url).await, first);
    server.advance(1);
    until(async || signer(&server.url).await == next[0]).await;
    assert_eq!(kids(server.folder.path(), "retiring"), [first]);
    assert_eq!(kids(server.folder.path(), "published").len(), 1);
}

async fn a_revoked_key_is_gone_at_once_and_the_next_one_signs(backend: Backend) {
    // By the system's clock, which the command has.
    let folder = folder_on(backend);
    let (folder, Process { url, .. }) = (folder.path(), &Process::start(folder.path()));
    let (first, next) = (signer(url).await, kids(folder, "published"));
    // A thumbprint may begin with hyphens.
    for kid in ["nothing", "-nothing", "--nothing"] {
        let none = command(folder, &["keys", "revoke", kid], "");
        assert_eq!(none.status.code(), Some(1));
        let message = format!("there is no key {kid}; see keys list");
        assert!(stderr(&none).contains(&message), "{none:?}");
    }

    let done = stdout(&command(folder, &["keys", "revoke", &first], ""));
    assert!(done.starts_with(&format!("key {first} is gone from the key set; ")), "{done}");
    assert!(done.ends_with(&format!("key {} signs from now on\n", next[0])), "{done}");
    until(async || signer(url).await == next[0]).await;
    let after = published(url).await;
    assert!(after.len() == 2 && !after.contains(&first), "{after:?}");

    // One that does not sign yet is replaced.
    let spare = kids(folder, "published");
    let done = stdout(&command(folder, &["keys", "revoke", &spare[0]], ""));
    assert!(done.starts_with(&format!("key {} is gone", spare[0])), "{done}");
    assert!(!done.contains("signs from now on"), "{done}");
    until(async || !published(url).await.contains(&spare[0])).await;
    assert_eq!((signer(url).await, published(url).await.len()), (next[0].clone(), 2));
}

async fn the_next_key_that_is_made_has_the_configured_size(backend: Backend) {
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
    // A signature is as long as its key.
    let process = Process::start(folder.path());
    let token = login(&process.url).await.field("access_token");
    assert_eq!(token.rsplit('.').next().unwrap().len(), 512);
    assert_eq!(bits(folder.path()), of(3072, 4096));
}
