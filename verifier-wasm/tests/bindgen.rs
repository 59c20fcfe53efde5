//! The class `Verifier`. `cargo xtask test` runs this in Node.js and in Chromium.

#![cfg(all(target_family = "wasm", feature = "bindgen"))]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy does not recognise these functions as tests"
)]

use core::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_verifier::{Error, KeySet, Policy, Stage};
use countersign_wasm::Verifier;
use js_sys::{Array, Date, Function, JSON, Object, Reflect};
use serde::Deserialize;
use serde_json::{Map, Value};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

/// The files of `tests/vectors`. `tests/tests/vectors.rs` compares the names.
const FILES: [&str; 13] = [
    include_str!("../../tests/vectors/accepted.json"),
    include_str!("../../tests/vectors/attacks.json"),
    include_str!("../../tests/vectors/base64url.json"),
    include_str!("../../tests/vectors/claims.json"),
    include_str!("../../tests/vectors/header.json"),
    include_str!("../../tests/vectors/issuers.json"),
    include_str!("../../tests/vectors/json.json"),
    include_str!("../../tests/vectors/key.json"),
    include_str!("../../tests/vectors/options.json"),
    include_str!("../../tests/vectors/policy.json"),
    include_str!("../../tests/vectors/signature.json"),
    include_str!("../../tests/vectors/stage_order.json"),
    include_str!("../../tests/vectors/structure.json"),
];

#[wasm_bindgen_test]
fn every_vector_has_the_verdict_and_the_error_of_the_rust_verifier() {
    let mut disagreements = Vec::new();
    for file in FILES {
        let vectors: Vec<Vector> = serde_json::from_str(file).unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let fault = match (vector.verify(Some(vector.now)), vector.verify_in_rust()) {
                (Ok(verified), Ok(())) if vector.expect == "ok" => {
                    let expected = Object::new();
                    set(&expected, "header", &json_of_part(&vector, 0));
                    set(&expected, "payload", &json_of_part(&vector, 1));
                    difference(&verified, &expected)
                }
                (Err(thrown), Err(error)) if vector.expect == error.code() => {
                    difference(&members(&thrown), &expected_members(&error, &vector))
                }
                (verdict, in_rust) => Some(format!("{verdict:?}, but in Rust {in_rust:?}")),
            };
            disagreements.extend(fault.map(|fault| format!("{}: {fault}", vector.name)));
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

/// A vector of `tests/vectors`. `tests/README.md` describes it.
#[derive(Deserialize)]
struct Vector {
    name: String,
    token: String,
    options: Map<String, Value>,
    now: f64,
    expect: String,
}

impl Vector {
    fn policy_and_keys(&self) -> (String, Option<String>) {
        let mut options = self.options.clone();
        let jwks = options.remove("jwks").map(|jwks| jwks.to_string());
        (Value::from(options).to_string(), jwks)
    }

    fn verify(&self, now: Option<f64>) -> Result<JsValue, JsValue> {
        let (policy, jwks) = self.policy_and_keys();
        let verifier = Verifier::new(&parse(&policy))?;
        if let Some(jwks) = jwks {
            verifier.set_keys(parse(&jwks))?;
        }
        verifier.verify(&self.token.as_str().into(), &now.into())
    }

    fn verify_in_rust(&self) -> Result<(), Error> {
        let (policy, jwks) = self.policy_and_keys();
        let mut verifier = countersign_verifier::Verifier::new(Policy::from_json(&policy)?);
        if let Some(jwks) = jwks {
            verifier.set_keys(KeySet::from_json(&jwks)?);
        }
        verifier.verify(&self.token, Duration::from_secs_f64(self.now)).map(drop)
    }
}

/// Returns the header or the payload of a token as `JSON.parse` reads it.
fn json_of_part(vector: &Vector, index: usize) -> JsValue {
    let part = vector.token.split('.').nth(index).unwrap();
    parse(&String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
}

/// Returns the members of an error, with its message.
fn members(thrown: &JsValue) -> JsValue {
    let error: &js_sys::Error = thrown.dyn_ref().expect("an Error");
    let members = Object::assign(&Object::new(), error);
    set(&members, "message", &error.message());
    members.into()
}

fn expected_members(error: &Error, vector: &Vector) -> JsValue {
    let members = Object::new();
    for (name, value) in [
        ("name", JsValue::from("VerifyError")),
        ("code", error.code().into()),
        ("stage", error.stage().name().into()),
        ("reason", error.reason().into()),
        ("claim", error.claim().into()),
        ("retryable", error.retryable().into()),
        ("wwwAuthenticate", error.www_authenticate().into()),
    ] {
        if !value.is_undefined() {
            set(&members, name, &value);
        }
    }
    if error.stage() >= Stage::Claims {
        set(&members, "claims", &json_of_part(vector, 1));
    }
    set(&members, "message", &error.message().into());
    members.into()
}

/// Returns the first difference of two values, if there is one: in a type, in the order of members, or
/// between 0 and -0.
fn difference(found: &JsValue, expected: &JsValue) -> Option<String> {
    if !found.is_object() || !expected.is_object() {
        let is_same = Object::is(found, expected);
        return (!is_same).then(|| format!("{found:?}, expected {expected:?}"));
    }
    if Object::get_prototype_of(found) != Object::get_prototype_of(expected) {
        return Some(format!("another prototype than {expected:?}"));
    }
    let [found, expected] = [found, expected].map(|it| Object::entries(it.unchecked_ref()));
    let [names, expected_names] = [&found, &expected].map(|entries| {
        let names = entries.iter().map(|entry| Array::from(&entry).get(0).as_string());
        names.collect::<Option<Vec<_>>>()
    });
    if names != expected_names {
        return Some(format!("the members {names:?}, expected {expected_names:?}"));
    }
    found.iter().zip(expected.iter()).find_map(|(found, expected)| {
        let [(name, found), (_, expected)] = [found, expected].map(|entry| {
            let entry = Array::from(&entry);
            (entry.get(0), entry.get(1))
        });
        Some(format!("{name:?}: {}", difference(&found, &expected)?))
    })
}

const POLICY: &str = r#"{ "issuer": "https://auth.example", "audience": "api" }"#;

fn verifier() -> Verifier {
    Verifier::new(&parse(POLICY)).unwrap()
}

#[wasm_bindgen_test]
fn options_that_json_would_drop_or_change_are_refused() {
    let function = Function::new_no_args("");
    let instance = Object::create(&Object::create(&Object::new()));
    let map = js_sys::Map::new();
    map.set(&"level".into(), &JsValue::from(1));
    let cycle = Object::new();
    set(&cycle, "level", &Array::of1(&cycle));
    for (name, value, expected) in [
        ("clockTolerance", JsValue::UNDEFINED, None),
        ("clockTolerance", JsValue::from(f64::NAN), Some("clockTolerance")),
        ("clockTolerance", JsValue::from("1"), Some("clockTolerance")),
        ("requiredClaims", function.clone().into(), Some("requiredClaims")),
        ("now", function.into(), Some("now")),
        ("claims", instance.into(), Some("claims")),
        ("claims", cycle.into(), Some("claims")),
        ("claims", Date::new_0().into(), Some("claims")),
        ("claims", map.into(), None),
        ("issuers", JsValue::UNDEFINED, None),
        ("issuers", JsValue::NULL, Some("issuers")),
    ] {
        let options = parse(POLICY);
        set(&options, name, &value);
        let refused = Verifier::new(&options).err().map(|error| {
            assert_eq!(get(&error, "code"), "options_invalid");
            get(&error, "reason").as_string().unwrap()
        });
        assert_eq!(refused.as_deref(), expected, "{name}: {value:?}");
    }
    for options in [JsValue::UNDEFINED, JsValue::NULL, JsValue::from(POLICY), Array::new().into()] {
        let error = Verifier::new(&options).unwrap_err();
        assert_eq!(get(&error, "reason"), "options", "{options:?}");
    }
}

#[wasm_bindgen_test]
fn a_key_set_is_an_object_or_its_text() {
    let verifier = verifier();
    // A modulus of 2048 bits, all of them set.
    let key = format!(r#"{{"kty":"RSA","n":"{}_w","e":"AQAB"}}"#, "_".repeat(340));
    let keys = format!(r#"{{"keys":[{key}]}}"#);
    let cycle = Object::new();
    set(&cycle, "keys", &Array::of1(&cycle));
    for (jwks, expected) in [
        (JsValue::from(&*keys), Ok(true)),
        (parse(&keys), Ok(true)),
        (parse(r#"{"keys":[]}"#), Ok(false)),
        (JsValue::from(r#"{"keys":[],"keys":[]}"#), Err("json")),
        (cycle.into(), Err("json")),
        (JsValue::UNDEFINED, Err("json")),
        (parse("{}"), Err("no_keys_array")),
    ] {
        let outcome = verifier.set_keys(jwks.clone()).map(|()| verifier.has_usable_keys());
        let outcome = outcome.map_err(|error| {
            assert_eq!(get(&error, "code"), "jwks_invalid");
            get(&error, "reason").as_string().unwrap()
        });
        assert_eq!(outcome, expected.map_err(String::from), "{jwks:?}");
    }
    verifier.set_keys(parse(&keys)).unwrap();
    verifier.drop_keys();
    assert!(!verifier.has_usable_keys());
}

#[wasm_bindgen_test]
fn a_token_is_text_and_its_time_in_seconds() {
    let token = JsValue::from("a.b.c");
    let absent = JsValue::UNDEFINED;
    for (token, now, expected) in [
        (&token, absent.clone(), "token_malformed"),
        (&token, 0.into(), "token_malformed"),
        (&token, Date::now().into(), "options_invalid"),
        (&token, (-1).into(), "options_invalid"),
        (&token, f64::NAN.into(), "options_invalid"),
        (&token, f64::INFINITY.into(), "options_invalid"),
        // JavaScript would convert these to the numbers 0, 1, 0 and 5.
        (&token, JsValue::NULL, "options_invalid"),
        (&token, true.into(), "options_invalid"),
        (&token, Array::new().into(), "options_invalid"),
        (&token, "5".into(), "options_invalid"),
        (&absent, absent.clone(), "token_malformed"),
        (&1.into(), absent.clone(), "token_malformed"),
    ] {
        let error = verifier().verify(token, &now).unwrap_err();
        assert_eq!(get(&error, "code"), expected, "{token:?} at {now:?}");
    }
}

#[wasm_bindgen_test]
fn without_a_time_the_systems_is_used() {
    let [accepted, ..] = FILES;
    let vectors: Vec<Vector> = serde_json::from_str(accepted).unwrap();
    let vector = vectors.iter().find(|vector| vector.expect == "ok").unwrap();
    let error = vector.verify(None).unwrap_err();
    assert_eq!(get(&error, "code"), "token_expired");
}

fn parse(json: &str) -> JsValue {
    JSON::parse(json).unwrap()
}

fn get(value: &JsValue, name: &str) -> JsValue {
    Reflect::get(value, &name.into()).unwrap()
}

fn set(value: &JsValue, name: &str, member: &JsValue) {
    Reflect::set(value, &name.into(), member).unwrap();
}
