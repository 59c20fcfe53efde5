//! The keys of a guard for axum: how often they are fetched, and how long they stay in use. The clock
//! is the test's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use countersign_axum::{Guard, Policy};
use countersign_tests::token::NOW;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::endpoint::{Answer, Endpoint, Fixture, ISSUER, JWKS, key, token, until, verify_at_once};

const HOUR: u64 = 3600;

#[tokio::test]
async fn many_first_tokens_cause_one_fetch() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    fixture.serve(&[("main", &main)]);
    let token = token("main", &main);
    verify_at_once(&fixture.guard, &token).await;
    assert_eq!(fixture.endpoint.count(JWKS), 1);
    fixture.at(479);
    assert!(fixture.verdict(&token).await.is_ok());
    assert_eq!(fixture.endpoint.count(JWKS), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_if_the_request_that_began_it_is_dropped() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    fixture.serve(&[("main", &main)]);
    let token = token("main", &main);
    tokio::select! {
        biased;
        _ = fixture.guard.verify(&token) => panic!("the first poll cannot have the keys"),
        () = std::future::ready(()) => {}
    }
    assert!(fixture.verdict(&token).await.is_ok());
    assert_eq!(fixture.endpoint.count(JWKS), 1);
}

/// The clock is read between the look-up of the keys and the verdict. There, another caller's fetch
/// brings the keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_arrive_during_a_verification_count() {
    let (endpoint, main) = (Endpoint::start().await, key("main"));
    endpoint.set(JWKS, Answer::keys(&[("main", &main)]));
    let (readings, other) = (AtomicUsize::new(0), Arc::new(OnceLock::<Guard>::new()));
    let others = Arc::clone(&other);
    let clock = move || {
        if readings.fetch_add(1, Ordering::Relaxed) == 1 {
            let refresh = others.get().expect("it is set").refresh();
            let fetched = block_in_place(|| Handle::current().block_on(refresh));
            fetched.expect("the endpoint answers");
        }
        UNIX_EPOCH + Duration::from_secs(NOW)
    };
    let builder = Guard::builder(Policy::new(ISSUER, "api"));
    let guard = builder.jwks(format!("{}{JWKS}", endpoint.url)).clock(clock).build();
    let guard = guard.expect("the options are good");
    other.set(guard.clone()).expect("it is set once");
    let verified = guard.verify(&token("main", &main)).await;
    assert!(verified.is_ok(), "{verified:?}");
    assert_eq!(endpoint.count(JWKS), 1);
}

#[tokio::test]
async fn malformed_tokens_cause_no_fetch() {
    let fixture = Fixture::new().await;
    let unsigned = "eyJhbGciOiJub25lIn0.e30.AAAA";
    for (token, code) in [
        ("", "token_malformed"),
        ("a.b.c", "token_malformed"),
        (&"a".repeat(20_000), "token_too_large"),
        (unsigned, "algorithm_not_allowed"),
    ] {
        assert_eq!(fixture.verdict(token).await.err(), Some(code));
    }
    assert_eq!(fixture.endpoint.count(JWKS), 0);
}

#[tokio::test]
async fn keys_are_renewed_in_the_background_with_their_etag() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    fixture.serve(&[("main", &main)]);
    let token = token("main", &main);
    assert!(fixture.verdict(&token).await.is_ok());
    assert!(fixture.endpoint.last_headers().get("if-none-match").is_none());

    fixture.at(540);
    assert!(fixture.verdict(&token).await.is_ok());
    until(|| fixture.endpoint.count(JWKS) == 2).await;
    let headers = fixture.endpoint.last_headers();
    assert!(headers.contains_key("if-none-match"), "{headers:?}");
    assert_eq!(headers["accept"], "application/jwk-set+json, application/json");

    // It was answered with 304, and the keys live for another ten minutes.
    let guard = fixture.guard.clone();
    guard.refresh().await.expect("the endpoint answers");
    let fetched = fixture.endpoint.count(JWKS);
    fixture.at(540 + 479);
    assert!(fixture.verdict(&token).await.is_ok());
    assert_eq!(fixture.endpoint.count(JWKS), fetched);
}

#[tokio::test]
async fn keys_stay_in_use_in_an_outage_and_few_requests_are_made() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    fixture.serve(&[("main", &main)]);
    let token = token("main", &main);
    assert!(fixture.verdict(&token).await.is_ok());
    fixture.endpoint.set(JWKS, Answer::status(500));

    fixture.at(540);
    for _ in 0..100 {
        assert!(fixture.verdict(&token).await.is_ok());
    }
    fixture.failures(1).await;
    for _ in 0..100 {
        assert!(fixture.verdict(&token).await.is_ok());
    }
    assert_eq!(fixture.endpoint.count(JWKS), 2);
    for (attempt, second) in [(2, 542), (3, 545), (4, 550)] {
        fixture.at(second);
        assert!(fixture.verdict(&token).await.is_ok());
        fixture.failures(attempt).await;
    }
    // A day after their lifetime, the keys go out of use.
    fixture.at(24 * HOUR + 599);
    assert!(fixture.verdict(&token).await.is_ok());
    fixture.at(24 * HOUR + 600);
    assert_eq!(fixture.verdict(&token).await.err(), Some("jwks_unavailable"));
    let message = fixture.refusal(&token).await.expect("there are no keys").to_string();
    let url = &fixture.endpoint.url;
    assert_eq!(message, format!("no key set from {url}/jwks: HTTP status 500; expected 200"));

    let requests = fixture.endpoint.count(JWKS);
    for _ in 0..100 {
        assert_eq!(fixture.verdict(&token).await.err(), Some("jwks_unavailable"));
    }
    assert_eq!(fixture.endpoint.count(JWKS), requests);
    fixture.serve(&[("main", &main)]);
    fixture.at(24 * HOUR + 700);
    assert!(fixture.verdict(&token).await.is_ok());
}

#[tokio::test]
async fn a_cold_start_in_an_outage_recovers() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    let token = token("main", &main);
    for _ in 0..20 {
        assert_eq!(fixture.verdict(&token).await.err(), Some("jwks_unavailable"));
    }
    assert_eq!(fixture.endpoint.count(JWKS), 1);
    fixture.serve(&[("main", &main)]);
    fixture.at(2);
    assert!(fixture.verdict(&token).await.is_ok());
    assert_eq!(fixture.endpoint.count(JWKS), 2);
}

#[tokio::test]
async fn refresh_ignores_the_backoff() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    let token = token("main", &main);
    assert!(fixture.verdict(&token).await.is_err());
    let error = fixture.guard.refresh().await.expect_err("the endpoint answers 404");
    assert_eq!(error.code(), "jwks_unavailable");
    fixture.serve(&[("main", &main)]);
    fixture.guard.refresh().await.expect("the endpoint answers");
    assert_eq!(fixture.endpoint.count(JWKS), 3);
    assert!(fixture.verdict(&token).await.is_ok());
    assert_eq!(fixture.endpoint.count(JWKS), 3);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_a_missing_key_is_gone() {
    let (fixture, old, new) = (Fixture::new().await, key("main"), key("other"));
    fixture.serve(&[("old", &old)]);
    let (old_token, new_token) = (token("old", &old), token("new", &new));
    assert!(fixture.verdict(&old_token).await.is_ok());

    fixture.serve(&[("new", &new)]);
    assert!(fixture.verdict(&new_token).await.is_ok());
    assert_eq!(fixture.endpoint.count(JWKS), 2);
    assert_eq!(fixture.verdict(&old_token).await.err(), Some("key_not_found"));
}

#[tokio::test]
async fn while_the_endpoint_fails_a_set_past_its_lifetime_cannot_tell_that_a_key_does_not_exist() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    fixture.serve(&[("main", &main)]);
    let (known, unknown) = (token("main", &main), token("new", &key("new")));
    assert!(fixture.verdict(&known).await.is_ok());
    fixture.endpoint.set(JWKS, Answer::status(500));
    for (second, code) in
        [(599, "key_not_found"), (600, "jwks_unavailable"), (601, "jwks_unavailable")]
    {
        fixture.at(second);
        assert_eq!(fixture.verdict(&unknown).await.err(), Some(code), "second {second}");
        assert!(fixture.verdict(&known).await.is_ok());
    }
    fixture.serve(&[("main", &main)]);
    fixture.at(720);
    assert_eq!(fixture.verdict(&unknown).await.err(), Some("key_not_found"));
}

#[tokio::test]
async fn a_flood_of_unknown_kids_causes_one_fetch_for_each_cooldown() {
    let (fixture, main) = (Fixture::new().await, key("main"));
    fixture.serve(&[("main", &main)]);
    assert!(fixture.verdict(&token("main", &main)).await.is_ok());
    for (second, fetches) in [(1, 2), (10, 2), (11, 3), (20, 3), (21, 4)] {
        fixture.at(second);
        for number in 0..10 {
            let unknown = token(&format!("{second}-{number}"), &main);
            assert_eq!(fixture.verdict(&unknown).await.err(), Some("key_not_found"));
        }
        assert_eq!(fixture.endpoint.count(JWKS), fetches, "second {second}");
    }
}

#[tokio::test]
async fn a_set_without_a_usable_key_takes_the_old_keys_out_of_use() {
    let main = key("main");
    let token = token("main", &main);
    let private =
        json!({ "keys": [{ "kty": "RSA", "kid": "main", "n": "AQAB", "e": "AQAB", "d": "AQAB" }] });
    for (set, fault) in [
        (r#"{"keys":[]}"#, "the set is empty; expected the keys that the issuer signs with"),
        (r#"{"keys":[{"kty":"EC"},{"kty":"oct","k":null}]}"#, "none of its 2 keys is usable"),
        (&private.to_string(), "a key of the set is a private or secret key"),
    ] {
        let fixture = Fixture::new().await;
        fixture.serve(&[("main", &main)]);
        assert!(fixture.verdict(&token).await.is_ok());
        fixture.endpoint.set(JWKS, Answer::json(set));
        fixture.at(600);
        let error = fixture.refusal(&token).await.expect("the keys are gone");
        assert_eq!((error.code(), error.verify_error().http_status()), ("jwks_unavailable", 503));
        assert!(error.to_string().contains(fault), "{error}");
        fixture.failures(1).await;
        fixture.serve(&[("main", &main)]);
        fixture.at(602);
        assert!(fixture.verdict(&token).await.is_ok());
    }
}

#[tokio::test]
async fn responses_that_are_no_key_set_are_refused_with_their_fault() {
    let token = token("main", &key("main"));
    let page = Answer::json("<!DOCTYPE html>").with("content-type", "text/html; charset=utf-8");
    let page = Answer { headers: page.headers[1..].to_vec(), ..page };
    let redirect = |to: &str| Answer::status(302).with("location", to);
    let hanging = Answer { hangs: true, ..Answer::json("{") };
    for (answer, code, fault) in [
        (Answer::status(404), "jwks_unavailable", "HTTP status 404; expected 200"),
        (
            page,
            "jwks_unavailable",
            "the response is HTML or XML, not JSON (text/html); expected a JWK Set",
        ),
        (Answer::json("x"), "jwks_unavailable", "the response is not JSON (application/json)"),
        (Answer::json("{}"), "jwks_invalid", "the key set has no array `keys`"),
        (Answer::json("[]"), "jwks_invalid", "is not a JSON object"),
        (
            Answer::json(format!("\"{}\"", "a".repeat(1 << 20))),
            "jwks_unavailable",
            "more than 1 MiB",
        ),
        (
            redirect("https://auth.example/elsewhere?code=secret"),
            "jwks_unavailable",
            "the response is a redirect to https://auth.example/elsewhere; give the final URL",
        ),
        (redirect("/moved?code=secret"), "jwks_unavailable", "/moved; give the final URL"),
        (hanging, "jwks_unavailable", "no complete response within 200 ms"),
    ] {
        let endpoint = Endpoint::start().await;
        endpoint.set("/jwks?code=secret", answer);
        let url = format!("{}/jwks?code=secret", endpoint.url);
        let builder = Guard::builder(Policy::new(ISSUER, "api")).jwks(url);
        let fixture = Fixture::with(endpoint, builder.timeout(Duration::from_millis(200)));
        let error = fixture.refusal(&token).await.expect("there are no keys");
        let message = error.to_string();
        assert_eq!(error.code(), code, "{message}");
        assert!(message.contains(fault), "{message}");
        assert!(message.starts_with("no key set from http://127.0.0.1:"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        fixture.failures(1).await;
        assert_eq!(fixture.endpoint.count("/elsewhere") + fixture.endpoint.count("/moved"), 0);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let fixture = Fixture::with(
        Endpoint::start().await,
        Guard::builder(Policy::new(ISSUER, "api")).jwks("http://127.0.0.1:1/jwks"),
    );
    let error = fixture.refusal(&token("main", &key("main"))).await.expect("there are no keys");
    let message = error.to_string();
    assert!(
        message.starts_with("no key set from http://127.0.0.1:1/jwks: the network"),
        "{message}"
    );
}

#[test]
fn bad_options_are_refused_by_name() {
    let builder = || Guard::builder(Policy::new(ISSUER, "api"));
    let second = Duration::from_secs(1);
    let many = Policy::new(ISSUER, "api").with_issuers(["https://a.example", "https://b.example"]);
    let tenant = Policy::new("https://{tid}.example", "api");
    for (builder, option) in [
        (builder().jwks("/jwks"), "jwks"),
        (builder().jwks("http://auth.example/jwks"), "jwks"),
        (builder().jwks("https://user:secret@auth.example/jwks"), "jwks"),
        (Guard::builder(Policy::new("auth.example", "api")), "jwks"),
        (Guard::builder(Policy::new("http://auth.example", "api")), "jwks"),
        (Guard::builder(Policy::new("https://auth.example/?a", "api")), "jwks"),
        (Guard::builder(many.expect("the issuers are good")), "jwks"),
        (Guard::builder(tenant), "jwks"),
        (builder().timeout(Duration::ZERO), "timeout"),
        (builder().timeout(61 * second), "timeout"),
        (builder().lifetime(Duration::ZERO, second), "lifetime"),
        (builder().lifetime(60 * second, 30 * second), "lifetime"),
        (builder().lifetime(second, 86_401 * second), "lifetime"),
        (builder().stale_if_error(604_801 * second), "stale_if_error"),
        (builder().cooldown(Duration::ZERO), "cooldown"),
    ] {
        let error = builder.build().expect_err("an option is bad");
        let message = error.to_string();
        assert_eq!(error.code(), "options_invalid", "{message}");
        assert_eq!(error.verify_error().reason(), Some(option), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(builder().jwks("http://keycloak:8080/jwks").allow_http().build().is_ok());
    assert!(builder().build().is_ok());
}
