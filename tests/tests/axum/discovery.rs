//! Discovery of the key set by a guard for axum.

use std::time::Duration;

use countersign_axum::{Guard, Policy};
use serde_json::json;

use crate::endpoint::{Answer, Endpoint, Fixture, JWKS, key, token_of, until, verify_at_once};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// A guard for the issuer at the endpoint's URL.
async fn fixture() -> Fixture {
    let endpoint = Endpoint::start().await;
    let builder = Guard::builder(Policy::new(&*endpoint.url, "api"));
    Fixture::with(endpoint, builder)
}

fn metadata(endpoint: &Endpoint) -> Answer {
    let url = &endpoint.url;
    let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}{JWKS}") });
    Answer::json(metadata.to_string()).with("cache-control", "max-age=600").with("etag", "\"m\"")
}

#[tokio::test]
async fn many_first_tokens_cause_one_fetch_of_metadata_and_one_of_keys() {
    let (fixture, main) = (fixture().await, key("main"));
    fixture.endpoint.set(OAUTH, metadata(&fixture.endpoint));
    fixture.serve(&[("main", &main)]);
    let token = token_of(&fixture.endpoint.url, "main", &main);
    verify_at_once(&fixture.guard, &token).await;
    let count = |path| fixture.endpoint.count(path);
    assert_eq!((count(OAUTH), count(OPENID), count(JWKS)), (1, 0, 1));

    // A new key needs no new metadata before 80 to 90 % of its lifetime are over.
    let other = key("other");
    fixture.serve(&[("main", &main), ("other", &other)]);
    let new = token_of(&fixture.endpoint.url, "other", &other);
    assert!(fixture.verdict(&new).await.is_ok());
    assert_eq!((count(OAUTH), count(JWKS)), (1, 2));
    fixture.at(540);
    assert!(fixture.verdict(&token).await.is_ok());
    until(|| count(JWKS) == 3).await;
    assert_eq!(count(OAUTH), 2);
}

#[tokio::test]
async fn the_second_well_known_path_is_asked_if_the_first_fails() {
    let main = key("main");
    let redirect = Answer::status(302).with("location", "/login");
    let page = Answer::json("<html>");
    let of_another = Answer::json(r#"{"issuer":"https://other.example"}"#);
    for first in [Answer::status(404), redirect, page, of_another] {
        let fixture = fixture().await;
        fixture.endpoint.set(OAUTH, first);
        fixture.endpoint.set(OPENID, metadata(&fixture.endpoint));
        fixture.serve(&[("main", &main)]);
        let token = token_of(&fixture.endpoint.url, "main", &main);
        assert!(fixture.verdict(&token).await.is_ok());
        let count = |path| fixture.endpoint.count(path);
        assert_eq!((count(OAUTH), count(OPENID), count(JWKS)), (1, 1, 1));
        // The path that answered is the first from then on.
        fixture.at(600);
        assert!(fixture.verdict(&token).await.is_ok());
        assert_eq!((count(OAUTH), count(OPENID), count(JWKS)), (1, 2, 2));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_asked_twice() {
    let endpoint = Endpoint::start().await;
    endpoint.set(OAUTH, Answer { hangs: true, ..Answer::json("{") });
    endpoint.set(OPENID, metadata(&endpoint));
    let builder = Guard::builder(Policy::new(&*endpoint.url, "api"));
    let fixture = Fixture::with(endpoint, builder.timeout(Duration::from_millis(200)));
    let message = fixture.guard.refresh().await.expect_err("no answer ends").to_string();
    assert!(message.ends_with("no complete response within 200 ms"), "{message}");
    assert_eq!(fixture.endpoint.count(OPENID), 0);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused_with_both_names() {
    let fixture = fixture().await;
    let url = fixture.endpoint.url.clone();
    for (issuer, found) in
        [(json!("https://other.example"), "\"https://other.example\""), (json!(null), "null")]
    {
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{url}{JWKS}") }).to_string();
        fixture.endpoint.set(OAUTH, Answer::json(&*metadata));
        fixture.endpoint.set(OPENID, Answer::json(metadata));
        let error = fixture.guard.refresh().await.expect_err("the metadata is another's");
        let message = error.to_string();
        assert_eq!(error.code(), "jwks_unavailable");
        for name in [found, &*format!("\"{url}\"")] {
            assert!(message.contains(name), "{message}");
        }
    }
    assert_eq!(fixture.endpoint.count(JWKS), 0);
}

#[tokio::test]
async fn both_failures_are_named() {
    let fixture = fixture().await;
    fixture.endpoint.set(OAUTH, Answer::status(500));
    let message = fixture.guard.refresh().await.expect_err("there is no metadata").to_string();
    let url = &fixture.endpoint.url;
    assert_eq!(
        message,
        format!(
            "no metadata from {url}{OAUTH}: HTTP status 500; expected 200; \
             no metadata from {url}{OPENID}: HTTP status 404; expected 200"
        )
    );
}

#[tokio::test]
async fn old_metadata_stays_in_use_in_an_outage() {
    let (fixture, main) = (fixture().await, key("main"));
    fixture.endpoint.set(OAUTH, metadata(&fixture.endpoint));
    fixture.serve(&[("main", &main)]);
    let token = token_of(&fixture.endpoint.url, "main", &main);
    assert!(fixture.verdict(&token).await.is_ok());
    fixture.endpoint.set(OAUTH, Answer::status(500));
    fixture.at(600);
    assert!(fixture.verdict(&token).await.is_ok());
    fixture.failures(1).await;
    assert_eq!(fixture.endpoint.count(JWKS), 2);
}

#[tokio::test]
async fn keys_that_moved_are_found_after_a_failure() {
    let (fixture, main) = (fixture().await, key("main"));
    fixture.endpoint.set(OAUTH, metadata(&fixture.endpoint));
    fixture.serve(&[("main", &main)]);
    let token = token_of(&fixture.endpoint.url, "main", &main);
    assert!(fixture.verdict(&token).await.is_ok());
    let url = &fixture.endpoint.url;
    let moved = json!({ "issuer": url, "jwks_uri": format!("{url}/moved") }).to_string();
    fixture.endpoint.set(OAUTH, Answer::json(moved));
    fixture.endpoint.set(JWKS, Answer::status(410));
    fixture.endpoint.set("/moved", Answer::keys(&[("new", &main)]));
    // The metadata is not due yet.
    let new = token_of(url, "new", &main);
    assert_eq!(fixture.verdict(&new).await.err(), Some("key_not_found"));
    fixture.at(12);
    assert!(fixture.verdict(&new).await.is_ok());
}
