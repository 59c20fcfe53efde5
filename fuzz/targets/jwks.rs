//! A key of a set is usable if, and only if, an independent implementation of the rules says so.

#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_verifier::{KeySet, fuzzing};
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Ok(keys) = KeySet::from_json(text) else { return };
    // A key may have a member with a number beyond f64, which serde_json refuses.
    let Ok(document) = serde_json::from_str::<Value>(text) else { return };
    let jwks = document["keys"].as_array().expect("an accepted set has an array `keys`");
    let rejections = fuzzing::rejections(&keys);
    assert_eq!(rejections.len(), jwks.len());
    assert!(jwks.len() <= 64);
    for (jwk, rejection) in jwks.iter().zip(rejections) {
        assert_eq!(rejection.is_none(), follows_the_rules(jwk), "{rejection:?}: {jwk}");
    }
});

fn follows_the_rules(jwk: &Value) -> bool {
    let members = jwk.as_object().expect("an accepted set holds objects");
    let absent_or = |name: &str, test: &dyn Fn(&Value) -> bool| members.get(name).is_none_or(test);
    let verifies = |operations: &Value| {
        operations.as_array().is_some_and(|all| {
            all.iter().all(Value::is_string) && all.iter().any(|one| one == "verify")
        })
    };
    let (Some(n), Some(e)) = (number(&jwk["n"]), number(&jwk["e"])) else { return false };
    jwk["kty"] == "RSA"
        && ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().all(|name| !members.contains_key(*name))
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
    let bytes = URL_SAFE_NO_PAD.decode(member.as_str()?).ok()?;
    (*bytes.first()? != 0).then(|| BigUint::from_bytes_be(&bytes))
}
