//! Runs every vector of `tests/status_lists.json` with the Rust verifier.

#![allow(clippy::expect_used, reason = "a fault in a test's own tools should fail the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_tests::status_vector::{StatusVector, URI, read_all};
use countersign_verifier::{Error, KeySet, Policy, Stage, StatusList};
use serde_json::Value;

#[test]
fn every_vector_gets_its_expected_verdict() {
    let vectors = read_all();
    let disagreements: Vec<String> = vectors
        .iter()
        .filter_map(|vector| {
            let code = vector.verify().err().map_or("ok", |error| error.code());
            let StatusVector { name, expect, .. } = vector;
            (code != expect).then(|| format!("{name}: {code}, expected {expect}"))
        })
        .collect();
    assert!(!vectors.is_empty(), "tests/status_lists.json has no vectors");
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

#[test]
fn every_code_of_the_stage_has_a_vector_and_names_are_unique() {
    let vectors = read_all();
    for (code, _) in Error::CODES.iter().filter(|(_, stage)| *stage == Stage::Status) {
        assert!(vectors.iter().any(|vector| vector.expect == *code), "{code}");
    }
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len());
}

/// The list of the first vector of this name.
fn list(name: &str, now: u64) -> Result<StatusList, Error> {
    let vectors = read_all();
    let vector = vectors.iter().find(|vector| vector.name == name).expect("the vector is there");
    let mut options = vector.options.clone();
    let keys = options.remove("jwks").expect("a vector has keys").to_string();
    let policy = Policy::from_json(&Value::Object(options).to_string()).expect("a policy");
    let keys = KeySet::from_json(&keys).expect("keys");
    let list = vector.list.as_ref().expect("the vector has a list");
    policy.verify_status_list(&keys, list, URI, Duration::from_secs(now))
}

#[test]
fn a_list_that_is_refused_names_its_own_fault() {
    for (name, code, claim) in [
        ("a list with another sub", "claim_mismatch", Some("sub")),
        ("a list without iat", "claim_missing", Some("iat")),
        ("a list with exp at exactly now", "token_expired", Some("exp")),
        ("a list with nbf after now", "token_not_yet_valid", Some("nbf")),
        ("a list with a ttl of 0", "claim_invalid", Some("ttl")),
        ("a list without status_list", "claim_missing", Some("status_list")),
        ("a list with 3 bits", "claim_invalid", Some("status_list")),
        ("a list of 64 MiB", "claim_invalid", Some("status_list")),
        ("a list with the typ of access tokens", "type_mismatch", None),
        ("a list with a changed signature", "signature_invalid", None),
        ("a list with an unknown kid", "key_not_found", None),
    ] {
        let error = list(name, 1_700_000_100).expect_err(name);
        assert_eq!((error.code(), error.claim()), (code, claim), "{name}");
    }
}

#[test]
fn a_list_tells_its_lifetime_and_its_statuses() {
    let list = list("the last idx of the list", 1_700_000_100).expect("a good list");
    assert_eq!(list.ttl(), Some(Duration::from_secs(60)));
    let statuses: Vec<_> = [0, 2, 3, 4, 127, 128, u64::MAX].map(|index| list.status(index)).into();
    assert_eq!(statuses, [Some(0), Some(0), Some(1), Some(0), Some(0), None, None]);
    for (now, expected) in [(1_700_000_899, false), (1_700_000_900, true)] {
        assert_eq!(list.has_expired(Duration::from_secs(now)), expected);
    }
}
