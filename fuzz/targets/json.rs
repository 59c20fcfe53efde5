//! `serde_json` reads every text that the JSON parser accepts, with the same value. It refuses
//! every text that the parser refuses, except for the cases in [`STRICTNESS`].

#![no_main]

use countersign_verifier::fuzzing::{self, Json};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Words in the reasons for refusing valid JSON: a duplicate member name, a member
/// named `__proto__`, and depth.
const STRICTNESS: [&str; 3] = ["twice", "__proto__", "deeper than 64"];

fuzz_target!(|bytes: &[u8]| {
    match (fuzzing::json(bytes), serde_json::from_slice(bytes)) {
        (Ok(ours), Ok(Value::Object(theirs))) => {
            assert_eq!(ours.len(), theirs.len());
            assert!(ours.iter().all(|(name, value)| theirs.get(name) == Some(&value_of(value))));
        }
        (Ok(_), Ok(other)) => panic!("no object: {other}"),
        // serde_json reads numbers as f64; the parser keeps them as text.
        (Ok(_), Err(error)) => {
            assert!(error.to_string().contains("number out of range"), "{error}")
        }
        (Err(reason), Ok(Value::Object(_))) => {
            assert!(STRICTNESS.iter().any(|strictness| reason.contains(strictness)), "{reason}");
        }
        (Err(_), _) => {}
    }
});

fn value_of(value: &Json) -> Value {
    match value {
        Json::Scalar(text) => serde_json::from_str(text).expect("it is a number or a literal"),
        Json::String(text) => text.clone().into(),
        Json::Array(elements) => elements.iter().map(value_of).collect(),
        Json::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), value_of(value))).collect()
        }
    }
}
