//! Documents that are not a JWK Set, as an endpoint may serve them, and the exact rejection of
//! keys. Vectors cannot express these: in a vector, the key set is a JSON value with an array
//! `keys`, and a verdict is only a code.

#![allow(clippy::expect_used, reason = "a fault in a test's own tools should fail the test")]

use std::time::Duration;

use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::{NOW, base64url, signed};
use countersign_verifier::{Error, KeyRejection, KeySet, Policy, Verifier};
use serde_json::json;

#[test]
fn a_document_that_is_not_a_key_set_is_invalid() {
    for document in [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "\"keys\"",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":"main"}"#,
        r#"{"Keys":[]}"#,
        r#"{"kty":"RSA","kid":"main","n":"AQAB","e":"AQAB"}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[],"\u006beys":[]}"#,
        r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#,
        r#"{"keys":[]}x"#,
        r#"{"keys":[]"#,
        "{\"keys\":[]}\0",
        "\u{feff}\u{feff}{\"keys\":[]}",
        "{\"keys\":[]}\u{feff}",
        r#"{"keys":[{"__proto__":{}}]}"#,
        "<!doctype html><title>503</title>",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        let error = KeySet::from_json(document).err().map(|error| error.code());
        assert_eq!(error, Some("jwks_invalid"), "{document}");
    }
    for document in [r#"{"keys":[]}"#, "\u{feff}{\"keys\":[]}", r#"{"keys":[1]}"#] {
        assert!(KeySet::from_json(document).is_ok(), "{document}");
    }
}

#[test]
fn an_invalid_key_set_names_its_fault() {
    let many = vec![json!({}); 1001];
    for (document, reason) in [
        ("<html>".into(), "json"),
        ("[]".into(), "json"),
        (r#"{"keys":[],"keys":[]}"#.into(), "json"),
        ("{}".into(), "no_keys_array"),
        (r#"{"d":null}"#.into(), "no_keys_array"),
        (json!({ "keys": many }).to_string(), "too_many_keys"),
    ] {
        let error = KeySet::from_json(&document).expect_err("no key set");
        assert_eq!((error.code(), error.reason()), ("jwks_invalid", Some(reason)), "{document}");
    }
}

#[test]
fn two_different_keys_with_one_kid_spoil_no_others() {
    let [main, one, two] = ["main", "one", "two"].map(|kid| RsaKey::generate(kid, 2048, 65537));
    let keys = json!({ "keys": [one.jwk("twin"), main.jwk("main"), two.jwk("twin")] });
    let keys = KeySet::from_json(&keys.to_string()).expect("a key set");
    let verifier = Verifier::with_keys(Policy::new("https://auth.example", "api"), keys);
    let token = |key: &RsaKey, kid: &str| {
        let header = Object::header().set("kid", &format!("\"{kid}\""));
        signed(key, header.text(), Object::claims().text())
    };
    let now = Duration::from_secs(NOW);
    for key in [&one, &two] {
        let error = verifier.verify(&token(key, "twin"), now).expect_err("two keys fit");
        assert_eq!(error, Error::KeyRejected { reason: KeyRejection::DuplicateKeyId });
        assert_eq!(error.reason(), Some("duplicate_kid"));
    }
    assert!(verifier.verify(&token(&main, "main"), now).is_ok());
}

#[test]
fn a_private_key_instead_of_a_set_is_reported_as_one() {
    let jwk = |member, value| {
        let mut jwk = RsaKey::generate("main", 2048, 65537).jwk("main");
        jwk[member] = json!(value);
        jwk.to_string()
    };
    for (document, reason, message) in [
        (
            jwk("d", "c2VjcmV0"),
            "private_key",
            "the key set is a private key: remove it, and rotate it, since it may have leaked",
        ),
        (
            jwk("use", "sig"),
            "no_keys_array",
            "the key set has no array `keys`: expected { \"keys\": [ … ] }",
        ),
    ] {
        let error = KeySet::from_json(&document).expect_err("no set");
        assert_eq!((error.code(), &*error.to_string()), ("jwks_invalid", message));
        assert_eq!(error.reason(), Some(reason));
    }
}

#[test]
fn a_rejected_key_names_the_faulty_member() {
    let key = RsaKey::generate("main", 2048, 65537);
    let token = signed(&key, Object::header().without("kid").text(), Object::claims().text());
    let mut even = [0; 256];
    even[0] = 0x80;
    for (member, value, reason, name, words) in [
        ("d", json!("AQAB"), KeyRejection::Private, "private", "private key"),
        ("kty", json!("EC"), KeyRejection::KeyType, "key_type", "kty"),
        ("use", json!("enc"), KeyRejection::Use, "use", "use"),
        ("key_ops", json!(["sign"]), KeyRejection::KeyOperations, "key_ops", "key_ops"),
        ("alg", json!("RS512"), KeyRejection::Algorithm, "alg", "alg"),
        ("kid", json!(1), KeyRejection::KeyId, "kid", "kid"),
        (
            "n",
            json!("AQAB\n"),
            KeyRejection::ModulusEncoding { problem: "has a length that no base64url text has" },
            "modulus_encoding",
            "modulus n has a length that no base64url text has",
        ),
        (
            "n",
            json!("AQ\nB"),
            KeyRejection::ModulusEncoding {
                problem: "holds a character outside the base64url alphabet (A-Z a-z 0-9 - _)",
            },
            "modulus_encoding",
            "modulus n holds a character outside the base64url alphabet",
        ),
        (
            "n",
            json!(null),
            KeyRejection::ModulusEncoding { problem: "is missing" },
            "modulus_encoding",
            "modulus n is missing: expected a number in base64url",
        ),
        (
            "n",
            json!(65537),
            KeyRejection::ModulusEncoding { problem: "is a number" },
            "modulus_encoding",
            "modulus n is a number",
        ),
        (
            "n",
            json!("AQAB"),
            KeyRejection::ModulusSize { bits: 17 },
            "modulus_size",
            "modulus n has 17 bits: expected 2048 to 8192",
        ),
        (
            "n",
            json!(base64url(even)),
            KeyRejection::ModulusEven,
            "modulus_even",
            "modulus n is even",
        ),
        (
            "e",
            json!("AA=="),
            KeyRejection::ExponentEncoding { problem: "is empty or zero" },
            "exponent_encoding",
            "exponent e is empty or zero",
        ),
        (
            "e",
            json!("AQAA"),
            KeyRejection::ExponentRange,
            "exponent_range",
            "exponent e is out of range: expected an odd number",
        ),
    ] {
        let mut jwk = key.jwk("main");
        jwk[member] = value;
        let keys = KeySet::from_json(&json!({ "keys": [jwk] }).to_string()).expect("a key set");
        let verifier = Verifier::with_keys(Policy::new("https://auth.example", "api"), keys);
        let error = verifier.verify(&token, Duration::from_secs(NOW)).expect_err("no good key");
        assert_eq!(error, Error::KeyRejected { reason });
        assert_eq!(error.to_string(), format!("the token's key must not be used: {reason}"));
        assert_eq!(error.reason(), Some(name));
        assert!(reason.to_string().contains(words), "{reason}");
    }
}

#[test]
fn entries_that_are_no_rsa_key_say_so() {
    let key = RsaKey::generate("main", 2048, 65537);
    let token = signed(&key, Object::header().without("kid").text(), Object::claims().text());
    let certificate = json!({ "kty": "RSA", "x5c": ["MIIB"] });
    for (entry, reason, words) in [
        (json!(7), "not_object", "it is not a JSON object"),
        (
            certificate,
            "certificate",
            "n and exponent e are missing: its certificate (x5c) is not read",
        ),
    ] {
        let keys = KeySet::from_json(&json!({ "keys": [entry] }).to_string()).expect("a key set");
        let verifier = Verifier::with_keys(Policy::new("https://auth.example", "api"), keys);
        let error = verifier.verify(&token, Duration::from_secs(NOW)).expect_err("no key");
        assert_eq!((error.code(), error.reason()), ("key_rejected", Some(reason)));
        assert!(error.to_string().contains(words), "{error}");
    }
}
