//! The verifier in a service: keys that are exchanged, scopes of a route, claims of a type.

#![allow(clippy::expect_used, reason = "a fault in a test's own tools should fail the test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::{NOW, signed};
use countersign_verifier::{Error, KeySet, Policy, Verifier};
use serde::Deserialize;
use serde_json::json;

const AT_NOW: Duration = Duration::from_secs(NOW);

#[test]
fn a_policy_verifies_with_the_keys_it_is_given() {
    let (ours, others) =
        (RsaKey::generate("main", 2048, 65537), RsaKey::generate("other", 2048, 65537));
    let token = signed(&ours, Object::header().text(), Object::claims().text());
    assert!(policy().verify(&keys(&ours), &token, AT_NOW).is_ok());
    let error = policy().verify(&keys(&others), &token, AT_NOW).err();
    assert_eq!(error, Some(Error::SignatureInvalid { nonce: false }));
    let late = policy().verify(&keys(&ours), &token, Duration::from_secs(1_700_000_907)).err();
    assert_eq!(late, Some(Error::TokenExpired { seconds_ago: 7 }));
}

#[test]
fn keys_are_exchanged_while_other_threads_verify() {
    let key = RsaKey::generate("main", 2048, 65537);
    let token = signed(&key, Object::header().text(), Object::claims().text());
    let policy = policy();
    let shared = RwLock::new(Arc::new(keys(&key)));
    let current = || Arc::clone(&shared.read().expect("no panic"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let verify = || {
            let mut refusals = Vec::new();
            while !done.load(Ordering::Relaxed) {
                refusals.extend(policy.verify(&current(), &token, AT_NOW).err());
            }
            refusals
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(verify)).collect();
        for _ in 0..200 {
            *shared.write().expect("no panic") = Arc::new(keys(&key));
        }
        done.store(true, Ordering::Relaxed);
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), []);
        }
    });
    *shared.write().expect("no panic") =
        Arc::new(KeySet::from_json(r#"{"keys":[]}"#).expect("a set"));
    let gone = policy.verify(&current(), &token, AT_NOW).err();
    assert_eq!(gone, Some(Error::KeyNotFound { named: true, set_is_empty: true }));
}

#[test]
fn copies_verify_like_their_original() {
    let key = RsaKey::generate("main", 2048, 65537);
    let token = signed(&key, Object::header().text(), Object::claims().text());
    let verifier = Verifier::with_keys(policy(), keys(&key));
    let before = verifier.clone();
    let verified = verifier.verify(&token, AT_NOW).expect("the token is good");
    assert_eq!(verified.clone().payload_json(), verified.payload_json());
    for copy in [before, verifier.clone()] {
        assert!(copy.verify(&token, AT_NOW).is_ok());
    }
}

#[test]
fn a_text_that_is_no_key_set_does_not_parse() {
    assert!(r#"{"keys":[]}"#.parse::<KeySet>().is_ok());
    let error = "{}".parse::<KeySet>().expect_err("it has no keys");
    assert_eq!(error.reason(), Some("no_keys_array"));
}

#[test]
fn a_policy_names_its_issuers() {
    assert_eq!(policy().issuers(), ["https://auth.example"]);
    let many = policy().with_issuers(["https://a.example", "https://{tid}.example"]);
    let many = many.expect("the issuers are good");
    assert_eq!(many.issuers(), ["https://a.example", "https://{tid}.example"]);
}

#[test]
fn one_of_several_audiences_is_enough() {
    let key = RsaKey::generate("main", 2048, 65537);
    let token = signed(&key, Object::header().text(), Object::claims().text());
    let verdict = |audiences: &[&str]| {
        let policy = Policy::new("https://auth.example", "web");
        policy.with_audiences(audiences.iter().copied())?.verify(&keys(&key), &token, AT_NOW)
    };
    assert!(verdict(&["web", "api"]).is_ok());
    let mismatch = verdict(&["web", "ap"]).err();
    assert_eq!(
        mismatch,
        Some(Error::AudienceMismatch { expected: vec!["web".into(), "ap".into()] })
    );
    assert_eq!(verdict(&[]).err().as_ref().and_then(Error::reason), Some("audience"));
}

#[test]
fn a_route_can_require_more_scopes() {
    let key = RsaKey::generate("main", 2048, 65537);
    let refusal = |policy: &Policy, payload: &Object, scope: &str| {
        let token = signed(&key, Object::header().text(), payload.text());
        let verified = policy.verify(&keys(&key), &token, AT_NOW).expect("the token is good");
        policy.require_scope(&verified, scope).err()
    };
    let lacks = |claim: &str, required: &str| {
        Some(Error::ScopeInsufficient { claim: claim.into(), required: required.into() })
    };
    let usual = Object::claims();
    for (scope, expected) in [
        ("read", None),
        ("write read", None),
        ("", None),
        ("admin", lacks("scope", "admin")),
        ("read admin", lacks("scope", "read admin")),
        ("rea", lacks("scope", "rea")),
    ] {
        assert_eq!(refusal(&policy(), &usual, scope), expected, "{scope}");
    }
    let scp = policy().with_scope_claim("scp").expect("a name");
    assert_eq!(refusal(&scp, &usual, "read"), lacks("scp", "read"));
    for (value, expected) in [
        (r#"["read","write"]"#, None),
        (r#""write read""#, None),
        (r#"["read write"]"#, lacks("scp", "read")),
        ("7", lacks("scp", "read")),
    ] {
        assert_eq!(refusal(&scp, &usual.clone().set("scp", value), "read"), expected, "{value}");
    }
}

#[test]
fn claims_become_a_type_of_the_service() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Mine<'a> {
        sub: &'a str,
        groups: Vec<String>,
    }
    let key = RsaKey::generate("main", 2048, 65537);
    let verified = |payload: Object| {
        let token = signed(&key, Object::header().text(), payload.text());
        policy().verify(&keys(&key), &token, AT_NOW).expect("the token is good")
    };
    let good = verified(Object::claims().set("groups", r#"["a","\u0062"]"#));
    let claims = good.claims_as::<Mine<'_>>().expect("the claims fit");
    assert_eq!(claims, Mine { sub: "user-1", groups: vec!["a".into(), "b".into()] });

    let lacking = verified(Object::claims());
    let missing = lacking.claims_as::<Mine<'_>>().expect_err("there are no groups");
    assert_eq!(missing, Error::ClaimMissing { claim: "groups".into() });
    let unfit = verified(Object::claims().set("groups", r#""secret""#));
    let unfit = unfit.claims_as::<Mine<'_>>().expect_err("the groups are no array");
    assert_eq!(
        unfit.to_string(),
        "the claim groups is a string: expected a value of the type that the service reads"
    );
}

fn policy() -> Policy {
    Policy::new("https://auth.example", "api")
}

fn keys(key: &RsaKey) -> KeySet {
    json!({ "keys": [key.jwk("main")] }).to_string().parse().expect("a key set")
}
