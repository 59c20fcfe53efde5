//! The header parameters, in the order of their checks: `alg`, extensions, `typ`, `kid`.

use serde_json::{Value, json};

use super::Keys;
use crate::object::Object;
use crate::token::{pss_signed, rs512, signed_with};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = algorithms(keys);
    vectors.extend(extensions(keys));
    vectors.extend(types(keys));
    vectors.extend(key_ids(keys));
    vectors
}

fn algorithms(keys: &Keys) -> Vec<Vector> {
    let header = Object::header;
    let mut vectors = vec![keys.header(
        "a header without alg is invalid",
        &header().without("alg"),
        "header_invalid",
    )];
    for (what, raw) in NOT_STRINGS {
        vectors.push(keys.header(
            &format!("{what} as alg is invalid"),
            &header().set("alg", raw),
            "header_invalid",
        ));
    }
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES256K",
        "ES384",
        "ES512",
        "EdDSA",
        "Ed25519",
        "RS1",
        "rs256",
        "Rs256",
        "RS256 ",
        " RS256",
        "RS256\\u0000",
        "RS256,none",
        "RSA-OAEP",
        "dir",
        "A256GCM",
        "ＲＳ256",
    ] {
        vectors.push(keys.header(
            &format!("the algorithm \"{alg}\" is not allowed, even with an RS256 signature"),
            &header().set("alg", &format!("\"{alg}\"")),
            "algorithm_not_allowed",
        ));
    }
    vectors.extend([
        keys.header(
            "the algorithm may be written with escapes",
            &header().set("alg", r#""\u0052S256""#),
            "ok",
        ),
        keys.vector(
            "a good RS512 signature under RS512 is not allowed",
            signed_with(
                header().set("alg", r#""RS512""#).text(),
                Object::claims().text(),
                |message| rs512(&keys.main, message),
            ),
            "algorithm_not_allowed",
        ),
        keys.vector(
            "a good PS256 signature under PS256 is not allowed",
            pss_signed(&keys.main, &header().set("alg", r#""PS256""#)),
            "algorithm_not_allowed",
        ),
    ]);
    vectors
}

fn extensions(keys: &Keys) -> Vec<Vector> {
    let header = Object::header;
    let mut vectors = Vec::new();
    for (what, raw) in [
        ("an empty array", "[]"),
        ("a known parameter", r#"["kid"]"#),
        ("an unknown extension", r#"["exp"]"#),
        ("b64", r#"["b64"]"#),
        ("an empty name", r#"[""]"#),
        ("a string", r#""exp""#),
        ("an object", "{}"),
        ("a number", "0"),
        ("false", "false"),
        ("null", "null"),
    ] {
        vectors.push(keys.header(
            &format!("crit with {what} is refused"),
            &header().set("crit", raw).set("exp", "1700000900"),
            "critical_unsupported",
        ));
    }
    for (what, raw) in
        [("true", "true"), ("false", "false"), ("null", "null"), ("a string", r#""false""#)]
    {
        vectors.push(keys.header(
            &format!("b64 with {what} is refused even outside crit"),
            &header().set("b64", raw),
            "critical_unsupported",
        ));
    }
    for (what, raw) in [("DEF", r#""DEF""#), ("null", "null"), ("an empty string", r#""""#)] {
        vectors.push(keys.header(
            &format!("zip with {what} is invalid"),
            &header().set("zip", raw),
            "header_invalid",
        ));
    }
    vectors.push(keys.header(
        "Crit with a capital letter is an unknown parameter and ignored",
        &header().set("Crit", r#"["exp"]"#),
        "ok",
    ));
    vectors
}

fn types(keys: &Keys) -> Vec<Vector> {
    let typed = |typ: &str| Object::header().set("typ", &format!("\"{typ}\""));
    let mut vectors = Vec::new();
    for typ in ["AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+JWT", "at\\u002bjwt"] {
        vectors.push(keys.header(&format!("the type \"{typ}\" is at+jwt"), &typed(typ), "ok"));
    }
    for typ in [
        "JWT",
        "jwt",
        "rt+jwt",
        "statuslist+jwt",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "id_token",
        "",
        " ",
        "at+jwt ",
        " at+jwt",
        "at+jwt;v=1",
        "at+jwtx",
        "xat+jwt",
        "at-jwt",
        "text/at+jwt",
        "application/",
        "application/application/at+jwt",
        "/at+jwt",
        "at+jwt\\u0000",
        "\u{ff41}t+jwt",
    ] {
        vectors.push(keys.header(
            &format!("the type \"{typ}\" is not at+jwt"),
            &typed(typ),
            "type_mismatch",
        ));
    }
    for (what, raw) in NOT_STRINGS {
        vectors.push(keys.header(
            &format!("{what} as typ is invalid"),
            &Object::header().set("typ", raw),
            "header_invalid",
        ));
    }
    let asked = |name: &str, typ: &str, option: Value, expect: &str| {
        keys.header(name, &typed(typ), expect).option("type", option)
    };
    let untyped = Object::header().without("typ");
    vectors.extend([
        keys.header(
            "a header without typ does not have the default type",
            &untyped,
            "type_mismatch",
        ),
        asked("the option type JWT accepts typ JWT", "JWT", json!("JWT"), "ok"),
        asked("the option type JWT accepts typ jwt", "jwt", json!("JWT"), "ok"),
        asked(
            "the option type JWT refuses an access token",
            "at+jwt",
            json!("JWT"),
            "type_mismatch",
        ),
        keys.header("the option type JWT refuses a token without typ", &untyped, "type_mismatch")
            .option("type", "JWT"),
        asked(
            "the option type application/at+jwt accepts the short form",
            "at+jwt",
            json!("application/at+jwt"),
            "ok",
        ),
        asked(
            "a media type outside application/ is compared whole",
            "text/x",
            json!("text/x"),
            "ok",
        ),
        asked(
            "application/ is compared if another slash follows",
            "application/text/x",
            json!("text/x"),
            "type_mismatch",
        ),
        asked("the option type null accepts any type", "rt+jwt", json!(null), "ok"),
        keys.header("the option type null accepts a token without typ", &untyped, "ok")
            .option("type", json!(null)),
    ]);
    vectors
}

fn key_ids(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (what, raw) in NOT_STRINGS {
        vectors.push(keys.header(
            &format!("{what} as kid is invalid"),
            &Object::header().set("kid", raw),
            "header_invalid",
        ));
    }
    vectors
}

/// Values that are not a string.
const NOT_STRINGS: [(&str, &str); 6] = [
    ("null", "null"),
    ("a number", "256"),
    ("true", "true"),
    ("an array of a string", r#"["RS256"]"#),
    ("an object", r#"{"alg":"RS256"}"#),
    ("an empty array", "[]"),
];
