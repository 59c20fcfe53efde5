//! Runs every vector of `tests/vectors/` with the Rust verifier.

#![allow(clippy::expect_used, reason = "a fault in a test's own tools should fail the test")]

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_tests::vector::{Vector, folder, read_all};
use countersign_verifier::Error;
use serde_json::Value;

/// Codes with vectors in `tests/status_lists.json`.
const OF_STATUS_LISTS: [&str; 2] = ["token_revoked", "status_unavailable"];

#[test]
fn every_vector_gets_its_expected_verdict() {
    let mut disagreements = Vec::new();
    let mut ran = 0;
    for (file, vectors) in read_all() {
        assert!(!vectors.is_empty(), "{file} has no vectors");
        for vector in vectors {
            ran += 1;
            let verdict = vector.verify();
            let code = verdict.as_ref().map_or_else(Error::code, |()| "ok");
            if code != vector.expect {
                let Vector { name, expect, .. } = &vector;
                disagreements.push(format!("{file}: {name}: {code}, expected {expect}"));
            }
            if let Err(error) = verdict {
                disagreements.extend(
                    faults(&error, &vector)
                        .map(|fault| format!("{file}: {}: {fault}", vector.name)),
                );
            }
        }
    }
    assert!(ran > 0, "tests/vectors has no vectors");
    assert!(disagreements.is_empty(), "of {ran} vectors:\n{}", disagreements.join("\n"));
}

#[test]
fn every_code_has_a_vector_and_every_vector_a_known_code() {
    let expected: BTreeSet<String> = all().map(|vector| vector.expect).collect();
    let known: BTreeSet<String> = Error::CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !OF_STATUS_LISTS.contains(code))
        .chain(["ok"])
        .map(String::from)
        .collect();
    assert_eq!(expected, known);
}

#[test]
fn names_are_unique_over_all_files() {
    let mut counts = BTreeMap::new();
    for vector in all() {
        *counts.entry(vector.name).or_insert(0) += 1;
    }
    let repeated: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}

#[test]
fn the_files_are_what_the_generator_writes() {
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_generate-vectors"))
        .arg("--check")
        .output()
        .expect("the generator runs");
    assert!(
        check.status.success(),
        "{}run: cargo run -p countersign-tests --bin generate-vectors",
        String::from_utf8_lossy(&check.stderr)
    );
}

/// A module in a browser reads no files, so its test has them by name.
#[test]
fn the_test_of_wasm_bindgen_has_every_file() {
    let path = folder().join("../../verifier-wasm/tests/bindgen.rs");
    let source = std::fs::read_to_string(path).expect("the test is there");
    for (file, _) in read_all() {
        assert!(source.contains(&format!("vectors/{file}\")")), "{file}");
    }
}

fn all() -> impl Iterator<Item = Vector> {
    read_all().into_iter().flat_map(|(_, vectors)| vectors)
}

/// Returns the faults of an error, apart from its code.
fn faults(error: &Error, vector: &Vector) -> impl Iterator<Item = String> {
    let message = error.to_string();
    let challenge = error.www_authenticate();
    let (code, stage) = (error.code(), error.stage());
    let mut faults = Vec::new();
    if !Error::CODES.contains(&(code, stage)) {
        faults.push(format!("{code} at the stage {}", stage.name()));
    }
    let retryable = ["jwks_unavailable", "status_unavailable", "token_not_yet_valid"];
    if error.retryable() != retryable.contains(&code) {
        faults.push(format!("{code} is retryable: {}", error.retryable()));
    }
    if message.is_empty() || message.contains(char::is_control) {
        faults.push(format!("not one line of text: {message:?}"));
    }
    for text in [&message, &challenge] {
        if let Some(leak) = leaked(text, vector) {
            faults.push(format!("{text:?} contains {leak:?} of the token"));
        }
    }
    faults.into_iter()
}

/// Returns a piece of twelve characters that is in the text and in the token, encoded or decoded,
/// but not in the options.
fn leaked<'a>(text: &'a str, vector: &Vector) -> Option<&'a str> {
    let decoded: Vec<String> = vector
        .token
        .split('.')
        .filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .map(|octets| String::from_utf8_lossy(&octets).into_owned())
        .collect();
    let options = Value::Object(vector.options.clone()).to_string();
    let ends = |start: usize| text.get(start..)?.char_indices().nth(12).map(|(end, _)| start + end);
    text.char_indices()
        .filter_map(|(start, _)| text.get(start..ends(start)?))
        .filter(|piece| !options.contains(piece))
        .find(|piece| {
            vector.token.contains(piece) || decoded.iter().any(|part| part.contains(piece))
        })
}
