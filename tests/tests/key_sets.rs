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
        r#"{"keys":[1]}"#,
        r#"{"Keys":[]}"#,
        r#"{"kty":"RSA","kid":"main","n":"AQAB","e":"AQAB"}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[],"\u006beys":[]}"#,
        r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#,
        r#"{"keys":[]}x"#,
        r#"{"keys":[]"#,
        "{\"keys\":[]}\0",
        "\u{feff}{\"keys\":[]}",
        "<!doctype html><title>503</title>",
        "-----BEGIN PUBLIC KEY-----",
    ] {
        let error = KeySet::from_json(document).err().map(|error| error.code());
        assert_eq!(error, Some("jwks_invalid"), "{document}");
    }
    assert!(KeySet::from_json(r#"{"keys":[]}"#).is_ok());
}

#[test]
fn an_invalid_key_set_names_its_fault() {
    let many = vec![json!({}); 65];
    for (document, reason) in [
        ("<html>".into(), "json"),
        ("[]".into(), "json"),
        (r#"{"keys":[],"keys":[]}"#.into(), "json"),
        ("{}".into(), "no_keys_array"),
        (json!({ "keys": [1] }).to_string(), "key_not_object"),
        (json!({ "keys": many }).to_string(), "too_many_keys"),
    ] {
        let error = KeySet::from_json(&document).expect_err("no key set");
        assert_eq!((error.code(), error.reason()), ("jwks_invalid", Some(reason)), "{document}");
    }

    let key = RsaKey::generate("main", 2048, 65537);
    let jwk = key.jwk("main");
    let keys = KeySet::from_json(&json!({ "keys": [jwk, jwk] }).to_string()).expect("a key set");
    let verifier = Verifier::with_keys(Policy::new("https://auth.example", "api"), keys);
    let token = signed(&key, Object::header().text(), Object::claims().text());
    let error = verifier.verify(&token, Duration::from_secs(NOW)).expect_err("two keys fit");
    assert_eq!((error.code(), error.reason()), ("jwks_invalid", Some("duplicate_kid")));
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
            json!("AQAB="),
            KeyRejection::ModulusEncoding,
            "modulus_encoding",
            "modulus n is missing, or not base64url",
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
            json!("AQAB="),
            KeyRejection::ExponentEncoding,
            "exponent_encoding",
            "exponent e is missing, or not base64url",
        ),
        (
            "e",
            json!("AQAA"),
            KeyRejection::ExponentRange,
            "exponent_range",
            "exponent e is not odd",
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
