//! The claims at a given time: the presence and type of each, then `iss`, `aud`, times, scope.

use serde_json::{Value, json};

use super::Keys;
use crate::object::Object;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = presence(keys);
    vectors.extend(issuers(keys));
    vectors.extend(audiences(keys));
    vectors.extend(numbers(keys));
    vectors.extend(times(keys));
    vectors.extend(scopes(keys));
    vectors.extend(order(keys));
    vectors
}

fn presence(keys: &Keys) -> Vec<Vector> {
    let claims = Object::claims;
    let mut vectors =
        vec![keys.claims("an empty payload lacks claims", &Object::default(), "claim_missing")];
    for name in ["iss", "aud", "exp"] {
        vectors.push(keys.claims(
            &format!("a token without {name} lacks a claim"),
            &claims().without(name),
            "claim_missing",
        ));
        vectors.push(keys.claims(
            &format!("a token with {name} in capitals lacks a claim"),
            &claims().without(name).set(&name.to_uppercase(), "1"),
            "claim_missing",
        ));
    }
    for name in ["sub", "client_id", "scope", "iat", "jti"] {
        vectors.push(keys.claims(
            &format!("a token without {name} is accepted"),
            &claims().without(name),
            "ok",
        ));
    }
    for name in ["iss", "sub", "jti", "client_id", "scope", "sid"] {
        let is_checked = ["iss", "sub", "jti"].contains(&name);
        for (what, raw) in [
            ("null", "null"),
            ("a number", "1"),
            ("false", "false"),
            ("an object", "{}"),
            ("an array of a string", r#"["https://auth.example"]"#),
        ] {
            let (verdict, expect) = match is_checked {
                true => ("is an invalid claim", "claim_invalid"),
                false => ("is not looked at", "ok"),
            };
            vectors.push(keys.claims(
                &format!("{what} as {name} {verdict}"),
                &claims().set(name, raw),
                expect,
            ));
        }
    }
    let required = |name: &str, claims: &Object, asked: Value, expect: &str| {
        keys.claims(name, claims, expect).option("requiredClaims", asked)
    };
    vectors.extend([
        required(
            "required claims that are present are accepted",
            &claims(),
            json!(["sub", "jti"]),
            "ok",
        ),
        required(
            "an absent registered claim that is required is missing",
            &claims().without("sub"),
            json!(["sub"]),
            "claim_missing",
        ),
        required(
            "an absent private claim that is required is missing",
            &claims(),
            json!(["sub", "tenant"]),
            "claim_missing",
        ),
        required(
            "a required private claim may be of any type",
            &claims().set("tenant", r#"{"id":1}"#),
            json!(["tenant"]),
            "ok",
        ),
        required(
            "a required claim inside another claim is missing",
            &claims().set("x", r#"{"tenant":1}"#),
            json!(["tenant"]),
            "claim_missing",
        ),
        required(
            "a required claim named __proto__ is missing like any other",
            &claims(),
            json!(["__proto__"]),
            "claim_missing",
        ),
        required(
            "a required claim named toString is missing like any other",
            &claims(),
            json!(["toString"]),
            "claim_missing",
        ),
        required(
            "null as a required claim is an invalid claim",
            &claims().set("tenant", "null"),
            json!(["tenant"]),
            "claim_invalid",
        ),
        required("an empty list of required claims is accepted", &claims(), json!([]), "ok"),
    ]);
    vectors
}

fn issuers(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for issuer in [
        "",
        "https://evil.example",
        "https://auth.example/",
        "https://AUTH.example",
        "http://auth.example",
        "https://auth.example.evil.example",
        "https://auth.exampl",
        " https://auth.example",
        "https://auth.example ",
        "https://auth.example\\u0000",
        "https://auth.example,https://evil.example",
        "https://аuth.example",
    ] {
        vectors.push(keys.claims(
            &format!("the issuer \"{issuer}\" does not match"),
            &Object::claims().set("iss", &format!("\"{issuer}\"")),
            "issuer_mismatch",
        ));
    }
    vectors.extend([
        keys.good("one of two issuers is accepted", "ok")
            .option("issuer", json!(["https://other.example", "https://auth.example"])),
        keys.good("an issuer that is neither of two does not match", "issuer_mismatch")
            .option("issuer", json!(["https://other.example", "https://third.example"])),
    ]);
    vectors
}

fn audiences(keys: &Keys) -> Vec<Vector> {
    let with = |name: &str, raw: &str, expect: &str| {
        keys.claims(name, &Object::claims().set("aud", raw), expect)
    };
    let mut vectors = vec![
        with("an audience in an array is accepted", r#"["api"]"#, "ok"),
        with("an audience among others is accepted", r#"["web","api","mail"]"#, "ok"),
        with("a duplicate audience in an array is accepted", r#"["api","api"]"#, "ok"),
        with("another audience is refused", r#""web""#, "audience_mismatch"),
        with("other audiences are refused", r#"["web","mail"]"#, "audience_mismatch"),
        with("an empty audience is refused", r#""""#, "audience_mismatch"),
        with("an audience in capitals is refused", r#""API""#, "audience_mismatch"),
        with(
            "an audience that starts with the expected one is refused",
            r#""api2""#,
            "audience_mismatch",
        ),
        with("a prefix of the expected audience is refused", r#""ap""#, "audience_mismatch"),
        with("audiences in one string are refused", r#""web api""#, "audience_mismatch"),
        with("audiences with commas are refused", r#""api,web""#, "audience_mismatch"),
        with("an empty array as aud is an invalid claim", "[]", "claim_invalid"),
        with("null as aud is an invalid claim", "null", "claim_invalid"),
        with("a number as aud is an invalid claim", "1", "claim_invalid"),
        with("true as aud is an invalid claim", "true", "claim_invalid"),
        with("an object as aud is an invalid claim", r#"{"api":"api"}"#, "claim_invalid"),
        with("a number in the array of aud is an invalid claim", r#"["api",1]"#, "claim_invalid"),
        with("null in the array of aud is an invalid claim", r#"[null,"api"]"#, "claim_invalid"),
        with("an array in the array of aud is an invalid claim", r#"[["api"]]"#, "claim_invalid"),
    ];
    let asked = |name: &str, raw: &str, asked: Value, expect: &str| {
        with(name, raw, expect).option("audience", asked)
    };
    vectors.extend([
        asked("one of two expected audiences is accepted", r#""api""#, json!(["web", "api"]), "ok"),
        asked(
            "one of the token's audiences is enough",
            r#"["mail","web"]"#,
            json!(["web", "api"]),
            "ok",
        ),
        asked(
            "an audience that is neither of two is refused",
            r#"["mail"]"#,
            json!(["web", "api"]),
            "audience_mismatch",
        ),
    ]);
    vectors
}

/// Valid and invalid dates (RFC 7519 §2, `NumericDate`).
fn numbers(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for name in ["exp", "nbf", "iat"] {
        for (what, raw) in [
            ("a string", r#""1700000050""#),
            ("an ISO 8601 date", r#""2030-01-01T00:00:00Z""#),
            ("null", "null"),
            ("true", "true"),
            ("an array", "[1700000050]"),
            ("an object", "{}"),
            ("-1", "-1"),
            ("-0", "-0"),
            ("-0.5", "-0.5"),
            ("-1e-400", "-1e-400"),
            ("-1700000050", "-1700000050"),
            ("1e400", "1e400"),
            ("1e20", "1e20"),
            ("2^64", "18446744073709551616"),
            ("2^64 in a long notation", "1844674407370955161600e-2"),
            ("a number of 400 digits", &"9".repeat(400)),
            ("an exponent beyond 64 bits", "1e99999999999999999999"),
        ] {
            vectors.push(keys.claims(
                &format!("{what} as {name} is an invalid claim"),
                &Object::claims().set(name, raw),
                "claim_invalid",
            ));
        }
        for (what, raw) in [("NaN", "NaN"), ("Infinity", "Infinity"), ("an empty text", "")] {
            vectors.push(keys.claims(
                &format!("{what} as {name} is malformed"),
                &Object::claims().set(name, raw),
                "token_malformed",
            ));
        }
    }
    let exp = |raw: &str, expect: &str| {
        let verdict = if expect == "ok" { "in the future" } else { "in the past" };
        let claims = Object::claims().set("exp", raw);
        keys.claims(&format!("an exp of {raw} is {verdict}"), &claims, expect)
    };
    vectors.extend([
        exp("1.7e9", "token_expired"),
        exp("1.8e9", "ok"),
        exp("1.8E+9", "ok"),
        exp("18e8", "ok"),
        exp("180000000000e-2", "ok"),
        exp("0.0000000018e18", "ok"),
        exp("1700000101.0", "ok"),
        exp("1700000100.0", "token_expired"),
        exp("1700000100.000000000000000000001", "ok"),
        exp("1700000099.999999999999999999999", "token_expired"),
        exp("0", "token_expired"),
        exp("0.0", "token_expired"),
        exp("0e400", "token_expired"),
        exp("1e-400", "token_expired"),
        exp("99999999999.999999999", "ok"),
        exp("100000000000", "ok"),
        exp("1e11", "ok"),
    ]);
    for name in ["exp", "nbf", "iat"] {
        for raw in [
            "100000000000.0000000000001",
            "100000000001",
            "1700000000000",
            "1.7e12",
            "9007199254740993",
            "9223372036854775808",
            "18446744073709551615",
        ] {
            vectors.push(keys.claims(
                &format!("{name} of {raw} is in milliseconds"),
                &Object::claims().set(name, raw),
                "claim_invalid",
            ));
        }
    }
    vectors
}

fn times(keys: &Keys) -> Vec<Vector> {
    let claims = Object::claims;
    let with = |name: &str, claim: &str, raw: &str, expect: &str| {
        keys.claims(name, &claims().set(claim, raw), expect)
    };
    let tolerant = |name: &str, claim: &str, raw: &str, expect: &str| {
        with(name, claim, raw, expect).option("clockTolerance", 5)
    };
    let mut vectors = vec![
        with("exp one second ahead is accepted", "exp", "1700000101", "ok"),
        with("exp at exactly now is expired", "exp", "1700000100", "token_expired"),
        with("exp one second ago is expired", "exp", "1700000099", "token_expired"),
        with("nbf one second ago is accepted", "nbf", "1700000099", "ok"),
        with("nbf at exactly now is accepted", "nbf", "1700000100", "ok"),
        with("nbf one second ahead is not yet valid", "nbf", "1700000101", "token_not_yet_valid"),
        with("iat at exactly now is accepted", "iat", "1700000100", "ok"),
        with("iat one second ahead is not yet valid", "iat", "1700000101", "token_not_yet_valid"),
        with("iat in the far future is not yet valid", "iat", "1e11", "token_not_yet_valid"),
        with("iat at 0 is accepted", "iat", "0", "ok"),
        keys.claims(
            "a token with exp before nbf is reported as expired",
            &claims().set("exp", "1700000099").set("nbf", "1700000101"),
            "token_expired",
        ),
    ];
    for (claim, expect) in [("exp", "token_expired"), ("nbf", "token_not_yet_valid")] {
        let (early, late) = if claim == "exp" { (expect, "ok") } else { ("ok", expect) };
        let at_now = if claim == "exp" { expect } else { "ok" };
        let at = |name: &str, raw: &str, expect: &str| {
            with(name, claim, raw, expect).at(1_700_000_100.25)
        };
        vectors.extend([
            at(&format!("{claim} a quarter second after a fractional now"), "1700000100.5", late),
            at(&format!("{claim} a quarter second before a fractional now"), "1700000100", early),
            at(&format!("{claim} at exactly a fractional now"), "1700000100.25", at_now),
            at(
                &format!("{claim} at exactly a fractional now with zeros"),
                "1700000100.2500",
                at_now,
            ),
            at(&format!("{claim} a microsecond after a fractional now"), "1700000100.250001", late),
            at(
                &format!("{claim} a microsecond before a fractional now"),
                "1700000100.249999",
                early,
            ),
            at(
                &format!("{claim} less than a nanosecond after a fractional now"),
                "1700000100.2500000001",
                late,
            ),
            at(
                &format!("{claim} at a fractional now in another notation"),
                "1.70000010025e9",
                at_now,
            ),
        ]);
    }
    vectors.extend([
        with("a fraction of exp is not rounded up", "exp", "1700000100.9", "token_expired")
            .at(1_700_000_101),
        with("a fraction of now is not rounded down", "exp", "1700000100", "token_expired")
            .at(1_700_000_100.5),
        with("a fraction of nbf is not rounded down", "nbf", "1700000100.5", "token_not_yet_valid"),
        tolerant("exp four seconds ago is accepted at a tolerance of 5", "exp", "1700000096", "ok"),
        tolerant(
            "exp five seconds ago is expired at a tolerance of 5",
            "exp",
            "1700000095",
            "token_expired",
        ),
        tolerant(
            "nbf five seconds ahead is accepted at a tolerance of 5",
            "nbf",
            "1700000105",
            "ok",
        ),
        tolerant(
            "nbf six seconds ahead is not yet valid at a tolerance of 5",
            "nbf",
            "1700000106",
            "token_not_yet_valid",
        ),
        tolerant(
            "iat five seconds ahead is accepted at a tolerance of 5",
            "iat",
            "1700000105",
            "ok",
        ),
        tolerant(
            "iat six seconds ahead is not yet valid at a tolerance of 5",
            "iat",
            "1700000106",
            "token_not_yet_valid",
        ),
        with("exp 299 seconds ago is accepted at the maximum tolerance", "exp", "1699999801", "ok")
            .option("clockTolerance", 300),
        with(
            "exp 300 seconds ago is expired at the maximum tolerance",
            "exp",
            "1699999800",
            "token_expired",
        )
        .option("clockTolerance", 300),
        with("a tolerance of half a second is exact", "exp", "1700000099.75", "ok")
            .option("clockTolerance", 0.5),
        with(
            "a tolerance of half a second ends after half a second",
            "exp",
            "1700000099.5",
            "token_expired",
        )
        .option("clockTolerance", 0.5),
        keys.claims(
            "a tolerance greater than now is accepted",
            &claims().set("exp", "1").without("iat"),
            "ok",
        )
        .option("clockTolerance", 300)
        .at(100),
        keys.claims(
            "at time 0 a token that is not expired is accepted",
            &claims().without("iat"),
            "ok",
        )
        .at(0),
    ]);
    vectors.extend(ages(keys));
    vectors
}

fn ages(keys: &Keys) -> Vec<Vector> {
    // The default token was issued 100 seconds before now.
    let aged =
        |name: &str, age: Value, expect: &str| keys.good(name, expect).option("maxTokenAge", age);
    vec![
        aged("a token as old as maxTokenAge is accepted", json!(100), "ok"),
        aged("a token a second older than maxTokenAge is too old", json!(99), "token_too_old"),
        aged(
            "a token half a second older than maxTokenAge is too old",
            json!(99.5),
            "token_too_old",
        ),
        aged("a token just issued is accepted at a maxTokenAge of 0", json!(0), "ok")
            .at(1_700_000_000),
        aged("a token a second old is too old at a maxTokenAge of 0", json!(0), "token_too_old")
            .at(1_700_000_001),
        aged("a maxTokenAge greater than now is accepted", json!(4_000_000_000u64), "ok"),
        aged("clockTolerance adds to maxTokenAge", json!(95), "ok").option("clockTolerance", 5),
        aged("clockTolerance adds only itself to maxTokenAge", json!(94), "token_too_old")
            .option("clockTolerance", 5),
        keys.claims("maxTokenAge requires iat", &Object::claims().without("iat"), "claim_missing")
            .option("maxTokenAge", 100),
        keys.claims(
            "iat in the future is not yet valid under maxTokenAge too",
            &Object::claims().set("iat", "1700000101"),
            "token_not_yet_valid",
        )
        .option("maxTokenAge", 100),
        keys.claims(
            "a fraction of iat counts for maxTokenAge",
            &Object::claims().set("iat", "1699999999.999"),
            "token_too_old",
        )
        .option("maxTokenAge", 100),
    ]
}

fn scopes(keys: &Keys) -> Vec<Vector> {
    let asked = |name: &str, raw: &str, asked: Value, expect: &str| {
        keys.claims(name, &Object::claims().set("scope", raw), expect).option("scope", asked)
    };
    vec![
        asked("a granted scope is accepted", r#""read write""#, json!("read"), "ok"),
        asked("the last scope of the token is accepted", r#""read write""#, json!("write"), "ok"),
        asked(
            "granted scopes are accepted in any order",
            r#""read write""#,
            json!(["write", "read"]),
            "ok",
        ),
        asked(
            "required scopes in one string are each required",
            r#""write admin read""#,
            json!("read write"),
            "ok",
        ),
        asked(
            "a missing scope of a string is insufficient",
            r#""read""#,
            json!("read write"),
            "scope_insufficient",
        ),
        asked(
            "a missing scope of an array is insufficient",
            r#""read write""#,
            json!(["read", "admin"]),
            "scope_insufficient",
        ),
        asked("another scope is insufficient", r#""read""#, json!("admin"), "scope_insufficient"),
        asked(
            "a scope in capitals is insufficient",
            r#""READ""#,
            json!("read"),
            "scope_insufficient",
        ),
        asked(
            "a scope that starts with the required one is insufficient",
            r#""reader""#,
            json!("read"),
            "scope_insufficient",
        ),
        asked(
            "a scope that ends with the required one is insufficient",
            r#""files.read""#,
            json!("read"),
            "scope_insufficient",
        ),
        asked(
            "scopes with a comma are insufficient",
            r#""read,write""#,
            json!("read"),
            "scope_insufficient",
        ),
        asked(
            "scopes with a tab are insufficient",
            r#""read\twrite""#,
            json!("read"),
            "scope_insufficient",
        ),
        asked("an empty scope is insufficient", r#""""#, json!("read"), "scope_insufficient"),
        asked("a duplicate scope is accepted", r#""read read""#, json!("read"), "ok"),
        keys.claims(
            "a token without scope is insufficient",
            &Object::claims().without("scope"),
            "scope_insufficient",
        )
        .option("scope", "read"),
    ]
}

/// Tokens with two bad claims: the earlier check reports.
fn order(keys: &Keys) -> Vec<Vector> {
    let claims = Object::claims;
    let bad = |name: &str, claims: &Object, expect: &str| {
        keys.claims(name, claims, expect).option("scope", "admin")
    };
    let worst = || {
        claims().set("iss", r#""x""#).set("aud", r#""x""#).set("exp", "1").set("nbf", "1800000000")
    };
    vec![
        bad(
            "a claim of a wrong type reports before every mismatch",
            &worst().set("jti", "1"),
            "claim_invalid",
        ),
        bad(
            "a missing claim reports before every mismatch",
            &worst().without("exp"),
            "claim_missing",
        ),
        bad("the issuer reports before audience, times and scope", &worst(), "issuer_mismatch"),
        bad(
            "the audience reports before times and scope",
            &worst().set("iss", r#""https://auth.example""#),
            "audience_mismatch",
        ),
        bad(
            "exp reports before nbf and scope",
            &claims().set("exp", "1").set("nbf", "1800000000"),
            "token_expired",
        ),
        bad("nbf reports before scope", &claims().set("nbf", "1800000000"), "token_not_yet_valid"),
        bad("the age reports before scope", &claims(), "token_too_old").option("maxTokenAge", 10),
        bad("scope reports last", &claims(), "scope_insufficient"),
    ]
}
