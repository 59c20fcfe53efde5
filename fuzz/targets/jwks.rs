//! A key of a set is usable if, and only if, an independent implementation of the rules says so.

#![no_main]

use base64::{
    Engine as _,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use countersign_verifier::{KeySet, fuzzing};
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(keys) = KeySet::from_json(text) else { return };
    // A key may have a member with a number beyond f64, which serde_json refuses.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(document) = serde_json::from_str::<Value>(text) else { return };
    let jwks = document["keys"].as_array().expect("an accepted set has an array `keys`");
    let rejections = fuzzing::rejections(&keys);
    assert_eq!(rejections.len(), jwks.len());
    assert!(jwks.len() <= 1000);
    assert_eq!(keys.has_usable_keys(), rejections.iter().any(Option::is_none));
    for (jwk, rejection) in jwks.iter().zip(rejections) {
        assert_eq!(rejection.is_none(), follows_the_rules(jwk), "{rejection:?}: {jwk}");
    }
});

fn follows_the_rules(jwk: &Value) -> bool {
    if !jwk.is_object() {
        return false;
    }
    // A member that is absent is null here, too.
    let absent_or =
        |name: &str, test: &dyn Fn(&Value) -> bool| jwk[name].is_null() || test(&jwk[name]);
    let verifies = |operations: &Value| {
        operations.as_array().is_some_and(|all| {
            all.iter().all(Value::is_string) && all.iter().any(|one| one == "verify")
        })
    };
    let (Some(n), Some(e)) = (number(&jwk["n"]), number(&jwk["e"])) else { return false };
    jwk["kty"] == "RSA"
        && ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().all(|name| jwk[name].is_null())
        && absent_or("use", &|value| value == "sig")
        && absent_or("alg", &|value| value == "RS256")
        && absent_or("kid", &Value::is_string)
        && absent_or("key_ops", &verifies)
        && (2048..=8192).contains(&n.bits())
        && n.bit(0)
        && e.bit(0)
        && e >= BigUint::from(3u8)
        && e.bits() <= 33
}

fn number(member: &Value) -> Option<BigUint> {
    let text = member.as_str()?.replace('+', "-").replace('/', "_");
    let bytes = URL_SAFE_NO_PAD.decode(&text).or_else(|_| URL_SAFE.decode(&text)).ok()?;
    Some(BigUint::from_bytes_be(&bytes))
}
