//! A good token with one character changed, at every position, is refused with the code that an
//! independent reading of it gives.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a fault in a test's own tools should fail the test"
)]

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::{NOW, signed};
use countersign_verifier::{Error, KeySet, Policy, Verifier};
use serde_json::{Map, Value, json};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[test]
fn a_token_with_one_character_changed_is_refused() {
    let (verifier, token) = fixture();
    let mut ran = 0;
    for (at, letter) in token.char_indices() {
        for other in replacements(letter) {
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            let change = format!("{letter} at {at} changed to {other}");
            assert_eq!(verdict(&verifier, &changed), expected(&changed), "{change}");
            ran += 1;
        }
    }
    assert!(ran >= 4 * (token.len() - 2), "every position was changed");
}

#[test]
fn a_token_with_one_character_more_or_less_is_refused() {
    let (verifier, token) = fixture();
    for at in 0..token.len() {
        let less = format!("{}{}", &token[..at], &token[at + 1..]);
        let more = format!("{}A{}", &token[..at], &token[at..]);
        let twice = format!("{}{}", &token[..=at], &token[at..]);
        for changed in [less, more, twice] {
            assert_eq!(verdict(&verifier, &changed), expected(&changed), "at {at}: {changed}");
        }
    }
    for changed in [format!("{token}A"), token[1..].into(), token.repeat(2)] {
        assert_eq!(verdict(&verifier, &changed), expected(&changed), "{changed}");
    }
}

#[test]
fn a_token_cut_short_anywhere_is_refused() {
    let (verifier, token) = fixture();
    for end in 0..token.len() {
        assert_ne!(verdict(&verifier, &token[..end]), "ok", "cut at {end}");
    }
}

fn fixture() -> (Verifier, String) {
    let key = RsaKey::generate("main", 2048, 65537);
    let keys = json!({ "keys": [key.jwk("main")] }).to_string();
    let keys = KeySet::from_json(&keys).expect("the key set is good");
    let verifier = Verifier::with_keys(Policy::new("https://auth.example", "api"), keys);
    let token = signed(&key, Object::header().text(), Object::claims().text());
    assert_eq!(verdict(&verifier, &token), "ok");
    (verifier, token)
}

/// Returns replacements for a character. A letter of base64url is replaced by the letters whose
/// value differs in the lowest, a middle or the highest bit, and by a dot. A dot is replaced by two
/// letters, a space and a comma.
fn replacements(letter: char) -> Vec<char> {
    match ALPHABET.iter().position(|known| char::from(*known) == letter) {
        Some(value) => [1, 8, 32]
            .into_iter()
            .map(|bit| char::from(ALPHABET[value ^ bit]))
            .chain(['.'])
            .collect(),
        None => vec!['A', '-', ' ', ','],
    }
}

fn verdict(verifier: &Verifier, token: &str) -> &'static str {
    verifier
        .verify(token, Duration::from_secs(NOW))
        .map_or_else(|error| Error::code(&error), |_| "ok")
}

/// Returns the expected verdict on a changed token, which is read with independent libraries.
fn expected(token: &str) -> &'static str {
    let parts: Vec<&str> = token.split('.').collect();
    let &[header, payload, signature] = parts.as_slice() else { return "token_malformed" };
    let object = |part: &str| -> Option<Map<String, Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (Some(header), Some(_)) = (object(header), object(payload)) else {
        return "token_malformed";
    };
    if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
        return "token_malformed";
    }
    match header.get("alg").map(|alg| alg.as_str()) {
        None | Some(None) => return "header_invalid",
        Some(Some("RS256")) => {}
        Some(Some(_)) => return "algorithm_not_allowed",
    }
    if !header.get("typ").is_some_and(|typ| typ.as_str().is_some_and(is_access_token)) {
        return "type_mismatch";
    }
    // Without kid, the only key of the set is used.
    if header.get("kid").is_some_and(|kid| kid != "main") {
        return "key_not_found";
    }
    "signature_invalid"
}

fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt")
}
