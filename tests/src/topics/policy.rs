//! Policies for tokens of other issuers: fixed claims in place of an audience, tenants in the name
//! of the issuer, several types, scopes in other claims.

use serde_json::{Value, json};

use super::Keys;
use crate::object::Object;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = no_audience(keys);
    vectors.extend(claim_values(keys));
    vectors.extend(claim_options(keys));
    vectors.extend(tenants(keys));
    vectors.extend(types(keys));
    vectors.extend(scope_claims(keys));
    vectors.extend(two_faults(keys));
    vectors
}

/// Returns the claims of a token that names its client and no audience.
fn for_client() -> Object {
    Object::claims().without("aud").set("token_use", r#""access""#)
}

fn no_audience(keys: &Keys) -> Vec<Vector> {
    let asked = |name: &str, claims: &Object, values: Value, expect: &str| {
        keys.claims(name, claims, expect).option("audience", json!(null)).option("claims", values)
    };
    let web = || json!({ "client_id": "web", "token_use": "access" });
    vec![
        asked("fixed claims make up for an audience", &for_client(), web(), "ok"),
        asked(
            "another client's token is refused",
            &for_client().set("client_id", r#""mail""#),
            web(),
            "claim_mismatch",
        ),
        asked(
            "an ID token is refused by its token_use",
            &for_client().set("token_use", r#""id""#),
            web(),
            "claim_mismatch",
        ),
        asked(
            "a token without a fixed claim lacks it",
            &for_client().without("client_id"),
            web(),
            "claim_missing",
        ),
        asked(
            "with audience null any aud is accepted",
            &Object::claims(),
            json!({ "sub": "user-1" }),
            "ok",
        ),
        asked(
            "with audience null an aud of a wrong type is not looked at",
            &Object::claims().set("aud", "1"),
            json!({ "sub": "user-1" }),
            "ok",
        ),
        asked(
            "audience null with no claims is invalid",
            &for_client(),
            json!({}),
            "options_invalid",
        ),
        keys.claims("audience null alone is invalid", &for_client(), "options_invalid")
            .option("audience", json!(null)),
        keys.claims(
            "claims do not make up for a left out audience",
            &for_client(),
            "options_invalid",
        )
        .without_option("audience")
        .option("claims", web()),
        keys.claims(
            "claims with an audience do not make up for aud",
            &for_client(),
            "claim_missing",
        )
        .option("claims", web()),
    ]
}

/// A claim with a value as raw JSON, compared with a fixed one.
fn claim_values(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (raw, expected, expect) in [
        (r#""a""#, json!("a"), "ok"),
        (r#""\u0061""#, json!("a"), "ok"),
        (r#""""#, json!(""), "ok"),
        (r#""A""#, json!("a"), "claim_mismatch"),
        (r#""a ""#, json!("a"), "claim_mismatch"),
        (r#""a b""#, json!("a"), "claim_mismatch"),
        (r#""""#, json!("a"), "claim_mismatch"),
        (r#""b""#, json!(["a", "b"]), "ok"),
        (r#""c""#, json!(["a", "b"]), "claim_mismatch"),
        (r#"["c","a"]"#, json!("a"), "ok"),
        (r#"["c","b"]"#, json!(["a", "b"]), "ok"),
        (r#"["c","d"]"#, json!(["a", "b"]), "claim_mismatch"),
        (r#"[["a"]]"#, json!("a"), "claim_mismatch"),
        ("[]", json!("a"), "claim_mismatch"),
        (r#"{"a":"a"}"#, json!("a"), "claim_mismatch"),
        ("null", json!("a"), "claim_mismatch"),
        ("null", json!("null"), "claim_mismatch"),
        ("true", json!(true), "ok"),
        ("false", json!(true), "claim_mismatch"),
        (r#""true""#, json!(true), "claim_mismatch"),
        ("true", json!("true"), "claim_mismatch"),
        ("1", json!(true), "claim_mismatch"),
        ("false", json!([true, false]), "ok"),
        ("1", json!(1), "ok"),
        ("1.0", json!(1), "ok"),
        ("10e-1", json!(1), "ok"),
        ("-1", json!(-1), "ok"),
        ("1", json!(-1), "claim_mismatch"),
        ("-1", json!(1), "claim_mismatch"),
        (r#""1""#, json!(1), "claim_mismatch"),
        ("1", json!("1"), "claim_mismatch"),
        ("1.5", json!(1.5), "ok"),
        ("1", json!(1.5), "claim_mismatch"),
        ("1.0000000000000000001", json!(1), "claim_mismatch"),
        ("9007199254740993", json!(9_007_199_254_740_992_u64), "claim_mismatch"),
        ("[1,2]", json!([2, "x"]), "ok"),
    ] {
        let verdict = if expect == "ok" { "has" } else { "does not have" };
        let name = format!("the claim {raw} {verdict} the value {expected}");
        let claims = Object::claims().set("x", raw);
        vectors
            .push(keys.claims(&name, &claims, expect).option("claims", json!({ "x": expected })));
    }
    vectors
}

fn claim_options(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (what, value) in [
        ("null", json!(null)),
        ("a string", json!("sub")),
        ("an array", json!(["sub"])),
        ("true", json!(true)),
        ("an object with an object", json!({ "sub": { "is": "user-1" } })),
        ("an object with null", json!({ "sub": null })),
        ("an object with an empty array", json!({ "sub": [] })),
        ("an object with null in an array", json!({ "sub": ["user-1", null] })),
        ("an object with an array in an array", json!({ "sub": [["user-1"]] })),
        ("an object whose second claim is an object", json!({ "jti": "1", "sub": {} })),
    ] {
        vectors.push(
            keys.good(&format!("{what} as claims is invalid"), "options_invalid")
                .option("claims", value),
        );
    }
    vectors
        .push(keys.good("an empty object as claims is accepted", "ok").option("claims", json!({})));
    vectors
}

fn tenants(keys: &Keys) -> Vec<Vector> {
    let issuer = "https://login.example/{tid}/v2.0";
    let token =
        |tid: &str, iss: &str| Object::claims().set("tid", tid).set("iss", &format!("\"{iss}\""));
    let with = |name: &str, claims: &Object, expect: &str| {
        keys.claims(name, claims, expect).option("issuer", issuer)
    };
    let mine = |name: &str, claims: &Object, expect: &str| {
        with(name, claims, expect).option("claims", json!({ "tid": ["t-1", "t-2"] }))
    };
    let good = || token(r#""t-1""#, "https://login.example/t-1/v2.0");
    let mut vectors = vec![
        with("an issuer with the token's tenant is accepted", &good(), "ok"),
        with(
            "an issuer with another tenant than the token's does not match",
            &token(r#""t-2""#, "https://login.example/t-1/v2.0"),
            "issuer_mismatch",
        ),
        with("a token without its tenant lacks a claim", &good().without("tid"), "claim_missing"),
        with(
            "an issuer with the name of the claim does not match",
            &token(r#""t-1""#, issuer),
            "issuer_mismatch",
        ),
        with(
            "an issuer with a tenant and more does not match",
            &token(r#""t-1""#, "https://login.example/t-1/v2.0/"),
            "issuer_mismatch",
        ),
        with(
            "an issuer of another host does not match",
            &token(r#""t-1""#, "https://evil.example/t-1/v2.0"),
            "issuer_mismatch",
        ),
        with(
            "a tenant may hold every unreserved character",
            &token(r#""aZ09-._~""#, "https://login.example/aZ09-._~/v2.0"),
            "ok",
        ),
        mine("a listed tenant is accepted", &good(), "ok"),
        mine(
            "a tenant that is not listed is refused",
            &token(r#""t-3""#, "https://login.example/t-3/v2.0"),
            "claim_mismatch",
        ),
        keys.claims(
            "an issuer may hold two claims",
            &good().set("r", r#""eu""#).set("iss", r#""https://eu.login.example/t-1""#),
            "ok",
        )
        .option("issuer", "https://{r}.login.example/{tid}"),
        keys.claims(
            "a tenant at the end is compared whole",
            &good().set("iss", r#""https://login.example/t-12""#),
            "issuer_mismatch",
        )
        .option("issuer", "https://login.example/{tid}"),
        keys.good("an issuer beside one with a tenant needs no tenant", "ok")
            .option("issuer", json!([issuer, "https://auth.example"])),
        keys.claims("an issuer with a tenant beside another one is accepted", &good(), "ok")
            .option("issuer", json!(["https://auth.example", issuer])),
        keys.claims("an issuer needs no claim of another name before it", &good(), "ok")
            .option("issuer", json!(["https://{org}.example", issuer])),
        keys.claims(
            "an issuer is accepted whatever the claim of another name is",
            &good().set("org", "1"),
            "ok",
        )
        .option("issuer", json!(["https://{org}.example", issuer])),
        keys.claims(
            "an issuer with a claim that no name finds lacks a claim",
            &good().without("tid"),
            "claim_missing",
        )
        .option("issuer", json!(["https://{org}.example", issuer])),
    ];
    for (what, raw, text) in [
        ("empty", r#""""#, ""),
        ("with a slash", r#""t/1""#, "t/1"),
        ("with a question mark", r#""t?1""#, "t?1"),
        ("with a number sign", r##""t#1""##, "t#1"),
        ("with a percent sign", r#""t%31""#, "t%31"),
        ("with an at sign", r#""t@1""#, "t@1"),
        ("with a space", r#""t 1""#, "t 1"),
        ("with a brace", r#""{tid}""#, "{tid}"),
        ("with a letter beyond ASCII", r#""té""#, "té"),
        ("that is a number", "1", "1"),
        ("that is null", "null", "null"),
        ("that is an array", r#"["t-1"]"#, "t-1"),
    ] {
        vectors.push(with(
            &format!("a tenant {what} is an invalid claim"),
            &token(raw, &format!("https://login.example/{text}/v2.0")),
            "claim_invalid",
        ));
    }
    for issuer in
        ["{", "}", "https://x/{}", "https://x/{tid", "https://x/tid}", "https://x/{{tid}}"]
    {
        vectors.push(
            keys.good(&format!("the issuer {issuer} as an option is invalid"), "options_invalid")
                .option("issuer", issuer),
        );
    }
    vectors
}

fn types(keys: &Keys) -> Vec<Vector> {
    let asked = |name: &str, header: &Object, types: Value, expect: &str| {
        keys.header(name, header, expect).option("type", types)
    };
    let typed = |typ: &str| Object::header().set("typ", &format!("\"{typ}\""));
    let both = || json!(["at+jwt", "JWT"]);
    vec![
        asked("the first of two types is accepted", &typed("at+jwt"), both(), "ok"),
        asked("the second of two types is accepted", &typed("jwt"), both(), "ok"),
        asked(
            "a type that is neither of two is refused",
            &typed("rt+jwt"),
            both(),
            "type_mismatch",
        ),
        asked(
            "a header without typ has neither of two types",
            &Object::header().without("typ"),
            both(),
            "type_mismatch",
        ),
        asked(
            "types in one string are one type",
            &typed("JWT"),
            json!("at+jwt JWT"),
            "type_mismatch",
        ),
        asked("an array of one type is accepted", &typed("at+jwt"), json!(["at+jwt"]), "ok"),
        asked("an empty array of types is invalid", &typed("JWT"), json!([]), "options_invalid"),
        asked(
            "an array with null as type is invalid",
            &typed("JWT"),
            json!([null]),
            "options_invalid",
        ),
        asked(
            "an array with an empty type is invalid",
            &typed("JWT"),
            json!(["JWT", ""]),
            "options_invalid",
        ),
    ]
}

fn scope_claims(keys: &Keys) -> Vec<Vector> {
    let with = |name: &str, claim: &str, raw: &str, expect: &str| {
        let claims = Object::claims().without("scope").set(claim, raw);
        keys.claims(name, &claims, expect).option("scope", "read").option("scopeClaim", claim)
    };
    let plain = |name: &str, raw: &str, expect: &str| with(name, "scope", raw, expect);
    let mut vectors = vec![
        with("a scope in scp is accepted", "scp", r#""openid read""#, "ok"),
        with(
            "a scope in an array of permissions is accepted",
            "permissions",
            r#"["x","read"]"#,
            "ok",
        ),
        with("a missing scope in scp is insufficient", "scp", r#""openid""#, "scope_insufficient"),
        with(
            "a missing scope in roles is insufficient",
            "roles",
            r#"["admin"]"#,
            "scope_insufficient",
        ),
        plain("a scope in an array is accepted", r#"["openid","read"]"#, "ok"),
        plain("an empty array of scopes is insufficient", "[]", "scope_insufficient"),
        plain(
            "a scope inside an element is insufficient",
            r#"["openid read"]"#,
            "scope_insufficient",
        ),
        keys.good("a scope in another claim than scopeClaim is insufficient", "scope_insufficient")
            .option("scope", "read")
            .option("scopeClaim", "scp"),
        keys.good("scopeClaim is not looked at unless a scope is required", "ok")
            .option("scopeClaim", "aud"),
    ];
    for (what, raw) in [
        ("a number", "5"),
        ("null", "null"),
        ("an object", "{}"),
        ("an array with a number", r#"["read",5]"#),
    ] {
        vectors.push(plain(
            &format!("{what} as scope is an invalid claim if a scope is required"),
            raw,
            "claim_invalid",
        ));
        vectors.push(keys.claims(
            &format!("{what} as scope is not looked at unless a scope is required"),
            &Object::claims().set("scope", raw),
            "ok",
        ));
    }
    for (what, value) in
        [("an empty string", json!("")), ("null", json!(null)), ("an array", json!(["scp"]))]
    {
        vectors.push(
            keys.good(&format!("{what} as scopeClaim is invalid"), "options_invalid")
                .option("scopeClaim", value),
        );
    }
    vectors
}

/// Tokens with two faults, one of them new with these options.
fn two_faults(keys: &Keys) -> Vec<Vector> {
    let with = |name: &str, claims: &Object, expect: &str| {
        keys.claims(name, claims, expect).option("claims", json!({ "client_id": "mail" }))
    };
    let claims = Object::claims;
    vec![
        with(
            "a missing claim before a claim of another value",
            &claims().without("exp"),
            "claim_missing",
        ),
        with(
            "an invalid claim before a claim of another value",
            &claims().set("sub", "1"),
            "claim_invalid",
        ),
        with(
            "the issuer before a claim of another value",
            &claims().set("iss", r#""x""#),
            "issuer_mismatch",
        ),
        with(
            "the audience before a claim of another value",
            &claims().set("aud", r#""x""#),
            "audience_mismatch",
        ),
        with("a claim of another value before expiry", &claims().set("exp", "1"), "claim_mismatch"),
        with("a claim of another value before the age", &claims(), "claim_mismatch")
            .option("maxTokenAge", 10),
        with("a claim of another value before the scope", &claims(), "claim_mismatch")
            .option("scope", "admin"),
        with(
            "a fixed claim that is missing before another issuer",
            &claims().without("client_id").set("iss", r#""x""#),
            "claim_missing",
        ),
        keys.claims(
            "a missing tenant before another audience",
            &claims().set("aud", r#""x""#),
            "claim_missing",
        )
        .option("issuer", "https://{tid}.example"),
        keys.claims(
            "milliseconds before expiry",
            &claims().set("exp", "1").set("iat", "1700000000000"),
            "claim_invalid",
        ),
        keys.claims(
            "an invalid scope before another issuer",
            &claims().set("iss", r#""x""#).set("scope", "1"),
            "claim_invalid",
        )
        .option("scope", "read"),
        keys.signed(
            "a missing type before a claim of another value",
            &Object::header().without("typ"),
            &claims(),
            "type_mismatch",
        )
        .option("claims", json!({ "client_id": "mail" })),
    ]
}
