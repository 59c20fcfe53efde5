//! The contents of an accepted token, replaced and dropped keys, and extreme times.

#![allow(clippy::expect_used, reason = "a fault in a test's own tools should fail the test")]

use std::time::Duration;

use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::{NOW, signed};
use countersign_verifier::{Error, KeySet, Policy, Verifier};
use serde_json::json;

const AT_NOW: Duration = Duration::from_secs(NOW);

#[test]
fn header_and_payload_are_returned_as_they_stand_in_the_token() {
    // A JSON writer would write this text in another way.
    let header = r#"{ "kid":"main","typ":"at+jwt" , "alg":"\u0052S256"}"#;
    let payload = Object::claims().set("n", "1.0").set("text", r#""\u00e9\/""#).text();
    let (verifier, key) = fixture(policy());
    let token = signed(&key, header, &payload);

    let verified = verifier.verify(&token, AT_NOW).expect("the token is good");
    assert_eq!((verified.header_json(), verified.payload_json()), (header, &*payload));

    let signed = verifier.verify_signature(&token).expect("the signature is good");
    assert_eq!((signed.header_json(), signed.payload_json()), (header, &*payload));
}

#[test]
fn the_registered_claims_are_returned_with_their_types() {
    let (verifier, key) = fixture(policy());
    let claims = |payload: &Object| {
        let token = signed(&key, Object::header().text(), payload.text());
        let verified = verifier.verify(&token, AT_NOW).expect("the token is good");
        serde_json::to_value(verified.claims()).expect("claims are JSON")
    };
    let usual = Object::claims().set("private", "1");
    let expected = json!({
        "iss": "https://auth.example",
        "sub": "user-1",
        "aud": "api",
        "client_id": "web",
        "scope": "read write",
        "iat": 1_700_000_000,
        "exp": 1_700_000_900,
        "jti": "1",
    });
    assert_eq!(claims(&usual), expected);

    let fewest = Object::default()
        .set("iss", r#""https:\/\/auth.example""#)
        .set("aud", r#"["web","api"]"#)
        .set("nbf", "1700000001.5")
        .set("exp", "17000009e2")
        .set("sid", r#""session""#)
        .set("status", r#"{"status_list":{"uri":"https:\/\/auth.example\/status\/1","idx":7}}"#);
    let expected = json!({
        "iss": "https://auth.example",
        "aud": ["web", "api"],
        "nbf": 1_700_000_001.5,
        "exp": 1_700_000_900,
        "sid": "session",
        "status": { "status_list": { "idx": 7, "uri": "https://auth.example/status/1" } },
    });
    assert_eq!(claims(&fewest), expected);
}

#[test]
fn a_good_signature_does_not_make_the_claims_good() {
    let (verifier, key) = fixture(policy());
    let token = signed(&key, Object::header().text(), Object::claims().text());
    let signed = verifier.verify_signature(&token).expect("the signature is good");
    let verified = signed.validate(AT_NOW).expect("the claims are good");
    assert_eq!(verified.payload_json(), Object::claims().text());

    let signed = verifier.verify_signature(&token).expect("the signature is good");
    let late = signed.validate(Duration::from_secs(1_700_000_907)).expect_err("it is expired");
    assert_eq!(late, Error::TokenExpired { seconds_ago: 7 });

    let (elsewhere, _) = fixture(Policy::new("https://auth.example", "web"));
    let signed = elsewhere.verify_signature(&token).expect("the signature is good");
    let mismatch = signed.validate(AT_NOW).expect_err("it is for another audience");
    assert_eq!(mismatch, Error::AudienceMismatch { expected: vec!["web".into()] });
}

#[test]
fn a_replaced_key_no_longer_verifies() {
    let (mut verifier, key) = fixture(policy());
    let token = signed(&key, Object::header().text(), Object::claims().text());
    assert!(verifier.verify(&token, AT_NOW).is_ok());
    verifier.set_keys(KeySet::from_json(r#"{"keys":[]}"#).expect("the key set is good"));
    let error = verifier.verify(&token, AT_NOW).expect_err("the key is gone");
    assert_eq!(error, Error::KeyNotFound { named: true, set_is_empty: true });
}

#[test]
fn a_verifier_knows_if_it_has_usable_keys() {
    let (mut verifier, _) = fixture(policy());
    assert!(verifier.has_usable_keys());
    for unusable in [r#"{"keys":[]}"#, r#"{"keys":[{"kty":"EC"},null]}"#] {
        let keys = KeySet::from_json(unusable).expect("the key set is good");
        assert!(!keys.has_usable_keys());
        verifier.set_keys(keys);
        assert!(!verifier.has_usable_keys());
    }
    verifier.clear_keys();
    assert!(!verifier.has_usable_keys());
}

#[test]
fn one_verifier_serves_many_threads() {
    let (verifier, key) = fixture(policy());
    let token = signed(&key, Object::header().text(), Object::claims().text());
    std::thread::scope(|scope| {
        let verify = || verifier.verify(&token, AT_NOW).is_ok();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(verify)).collect();
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
    });
}

#[test]
fn a_verifier_without_its_keys_refuses_until_the_next_key_set() {
    let (mut verifier, key) = fixture(policy());
    let token = signed(&key, Object::header().text(), Object::claims().text());
    verifier.clear_keys();
    assert_eq!(verifier.verify(&token, AT_NOW).err(), Some(Error::JwksUnavailable));
    let keys = json!({ "keys": [key.jwk("main")] }).to_string();
    verifier.set_keys(KeySet::from_json(&keys).expect("the key set is good"));
    assert!(verifier.verify(&token, AT_NOW).is_ok());
}

#[test]
fn debug_output_shows_nothing_of_the_token() {
    let (verifier, key) = fixture(policy());
    let token = signed(&key, Object::header().text(), Object::claims().text());
    let verified = verifier.verify(&token, AT_NOW).expect("the token is good");
    assert_eq!(format!("{verified:?}"), "Verified { .. }");
    let signed = verifier.verify_signature(&token).expect("the signature is good");
    assert_eq!(format!("{signed:?}"), "SignedToken { .. }");
}

#[test]
fn debug_output_of_a_key_set_shows_only_key_ids() {
    let jwks = r#"{"keys":[{"kid":"main","kty":"RSA","d":"c2VjcmV0"},{"kty":"oct"}]}"#;
    let keys = KeySet::from_json(jwks).expect("the key set is good");
    assert_eq!(format!("{keys:?}"), r#"[Some("main"), None]"#);
}

#[test]
fn extreme_times_are_handled() {
    let forgiving = policy()
        .with_clock_tolerance(Duration::from_secs(300))
        .expect("300 seconds are allowed")
        .with_max_token_age(Duration::MAX);
    let (verifier, key) = fixture(forgiving);
    let token = signed(&key, Object::header().text(), Object::claims().text());
    assert!(verifier.verify(&token, AT_NOW).is_ok());
    for (now, code) in [(Duration::ZERO, "token_not_yet_valid"), (Duration::MAX, "token_expired")] {
        let error = verifier.verify(&token, now).expect_err("the token is of another time");
        assert_eq!(error.code(), code, "{now:?}");
    }
}

fn policy() -> Policy {
    Policy::new("https://auth.example", "api")
}

fn fixture(policy: Policy) -> (Verifier, RsaKey) {
    let key = RsaKey::generate("main", 2048, 65537);
    let keys = json!({ "keys": [key.jwk("main")] }).to_string();
    let keys = KeySet::from_json(&keys).expect("the key set is good");
    (Verifier::with_keys(policy, keys), key)
}
