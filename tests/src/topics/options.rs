//! Options that are refused before any token is read, and accepted options at the limits.

use serde_json::json;

use super::Keys;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for name in ["issuer", "audience"] {
        vectors.push(
            keys.good(&format!("a policy without {name} is invalid"), "options_invalid")
                .without_option(name),
        );
        for (what, value) in [
            ("an empty string", json!("")),
            ("an empty array", json!([])),
            ("an array with an empty string", json!(["api", ""])),
            ("an array with a number", json!(["api", 1])),
            ("an array in an array", json!([["api"]])),
            ("null", json!(null)),
            ("a number", json!(1)),
            ("false", json!(false)),
            ("an object", json!({})),
        ] {
            vectors.push(
                keys.good(&format!("{what} as {name} is invalid"), "options_invalid")
                    .option(name, value),
            );
        }
    }
    for (name, what, value) in [
        ("type", "an empty string", json!("")),
        ("type", "a number", json!(1)),
        ("type", "false", json!(false)),
        ("type", "an object", json!({ "is": "at+jwt" })),
        ("clockTolerance", "301", json!(301)),
        ("clockTolerance", "300.001", json!(300.001)),
        ("clockTolerance", "-1", json!(-1)),
        ("clockTolerance", "-0.5", json!(-0.5)),
        ("clockTolerance", "1e300", json!(1e300)),
        ("clockTolerance", "a string", json!("5")),
        ("clockTolerance", "null", json!(null)),
        ("clockTolerance", "true", json!(true)),
        ("maxTokenAge", "-1", json!(-1)),
        ("maxTokenAge", "a string", json!("60")),
        ("maxTokenAge", "null", json!(null)),
        ("maxTokenAge", "an array", json!([60])),
        ("maxTokenBytes", "0", json!(0)),
        ("maxTokenBytes", "-1", json!(-1)),
        ("maxTokenBytes", "1.5", json!(1.5)),
        ("maxTokenBytes", "a string", json!("16384")),
        ("maxTokenBytes", "null", json!(null)),
        ("maxTokenBytes", "more than a mebibyte", json!(1_048_577)),
        ("maxTokenBytes", "1e300", json!(1e300)),
        ("requiredClaims", "a string", json!("sub")),
        ("requiredClaims", "null", json!(null)),
        ("requiredClaims", "an array with a number", json!(["sub", 1])),
        ("requiredClaims", "an object", json!({ "sub": true })),
        ("scope", "an empty string", json!("")),
        ("scope", "a space", json!(" ")),
        ("scope", "an empty array", json!([])),
        ("scope", "null", json!(null)),
        ("scope", "a number", json!(1)),
        ("scope", "an array with a number", json!(["read", 1])),
        ("scope", "an array with an empty string", json!(["read", ""])),
        ("scope", "a quotation mark", json!("read\"")),
        ("scope", "a newline", json!("read\nwrite")),
    ] {
        vectors.push(
            keys.good(&format!("{what} as {name} is invalid"), "options_invalid")
                .option(name, value),
        );
    }
    for name in ["algorithms", "Issuer", "iss", "clock_tolerance", "ignoreExpiration", "x", ""] {
        vectors.push(
            keys.good(&format!("the option \"{name}\" is unknown"), "options_invalid")
                .option(name, "RS256"),
        );
    }
    vectors.extend([
        keys.good("a clockTolerance of 0 is accepted", "ok").option("clockTolerance", 0),
        keys.good("a clockTolerance of 300 is accepted", "ok").option("clockTolerance", 300),
        keys.good("a fractional clockTolerance is accepted", "ok").option("clockTolerance", 0.25),
        keys.good("a maxTokenBytes of a mebibyte is accepted", "ok")
            .option("maxTokenBytes", 1_048_576),
        keys.good("a fractional maxTokenAge is accepted", "ok").option("maxTokenAge", 100.5),
        keys.vector(
            "a bad option is reported before a bad token",
            String::new(),
            "options_invalid",
        )
        .option("issuer", json!([])),
        keys.good("a bad option is reported before a bad key set", "options_invalid")
            .option("clockTolerance", 301)
            .option("jwks", json!({})),
    ]);
    vectors
}
