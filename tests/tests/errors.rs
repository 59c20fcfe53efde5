//! The details of errors: reason, claim, expectation and message.

#![allow(clippy::expect_used, reason = "a fault in a test's own tools should fail the test")]

use std::time::Duration;

use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::{NOW, base64url, signed};
use countersign_verifier::{ClaimFault, Error, KeySet, Part, Policy, Verifier};
use serde_json::json;

#[test]
fn a_malformed_token_reports_the_part() {
    let key = key();
    let header = base64url(Object::header().text());
    let payload = base64url(Object::claims().text());
    for (token, part, message) in [
        (format!("{header}.{payload}"), Part::Token, "the token does not have exactly three parts"),
        (
            format!("{header}.{payload}.AAAA.AAAA"),
            Part::Token,
            "the token does not have exactly three parts",
        ),
        (format!(".{payload}.AAAA"), Part::Token, "the token has an empty part"),
        (format!("{header}..AAAA"), Part::Token, "the token has an empty part"),
        (format!("{header}.{payload}."), Part::Token, "the token has an empty part"),
        (format!("{header}=.{payload}.AAAA"), Part::Header, "the token's header holds a character"),
        (format!("{header}.AAAA.AAAA"), Part::Payload, "the token's payload is not a JSON object"),
        (
            format!("{}.{payload}.AAAA", base64url("\u{feff}{}")),
            Part::Header,
            "the token's header starts with a byte order mark",
        ),
        (
            // The first octet of a full-width brace is that of the byte order mark.
            format!("{}.{payload}.AAAA", base64url("\u{ff5b}}")),
            Part::Header,
            "the token's header is not a JSON object",
        ),
        (format!("{header}.{payload}.AB"), Part::Signature, "the token's signature ends in a"),
    ] {
        let error = refusal(&key, &policy(), &token);
        assert!(matches!(error, Error::TokenMalformed { part: at, .. } if at == part), "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn a_token_that_is_too_large_reports_the_limit() {
    let key = key();
    let policy = policy().with_max_token_bytes(120).expect("120 bytes are allowed");
    let error = refusal(&key, &policy, &"A".repeat(121));
    assert_eq!(error, Error::TokenTooLarge { max_token_bytes: 120 });
    let message = "the token is longer than the 120 bytes that maxTokenBytes allows";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_refused_header_reports_the_expectation() {
    let (key, header) = (key(), Object::header);
    for (header, expected, message) in [
        (
            header().set("alg", r#""none""#),
            Error::AlgorithmNotAllowed,
            "the header parameter alg is not RS256, the only algorithm allowed",
        ),
        (
            header().without("typ"),
            Error::TypeMismatch { expected: vec!["at+jwt".into()], missing: true },
            "the header has no typ: expected \"at+jwt\". If the issuer's access tokens have no typ, \
             set the option type to null (type: null), but only if its ID tokens have another aud, \
             or the option claims tells them apart",
        ),
        (
            header().set("typ", r#""JWT""#),
            Error::TypeMismatch { expected: vec!["at+jwt".into()], missing: false },
            "the header parameter typ is not \"at+jwt\": is it an ID token? If the issuer's access \
             tokens have another typ, set the option type to it (type: 'JWT'), but only if its ID \
             tokens have another aud, or the option claims tells them apart",
        ),
        (
            header().set("crit", r#"["exp"]"#),
            Error::CriticalUnsupported,
            "the header has crit or b64, and this verifier understands no critical extension",
        ),
        (
            header().set("kid", r#""other""#),
            Error::KeyNotFound { named: true, set_is_empty: false },
            "the key set has no key with the kid that the header names",
        ),
    ] {
        let error = refusal(&key, &policy(), &signed(&key, header.text(), Object::claims().text()));
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.claim(), None);
    }
}

#[test]
fn a_reason_names_the_header_parameter_or_the_option() {
    let (key, header) = (key(), Object::header);
    for (header, reason) in [
        (header().without("alg"), Some("alg")),
        (header().set("kid", "1"), Some("kid")),
        (header().set("typ", "1"), Some("typ")),
        (header().set("zip", r#""DEF""#), Some("zip")),
        (header().set("alg", r#""none""#), None),
    ] {
        let error = refusal(&key, &policy(), &signed(&key, header.text(), Object::claims().text()));
        assert_eq!(error.reason(), reason, "{error}");
    }
    for (options, reason) in [
        ("[]", "options"),
        (r#"{ "issuer": "a", "audience": "b", "clockTolerance": 301 }"#, "clockTolerance"),
        (r#"{ "issuer": "a", "audience": "b", "other": 1 }"#, "other"),
        (r#"{ "issuer": "a" }"#, "audience"),
    ] {
        let error = Policy::from_json(options).expect_err("a bad option");
        assert_eq!((error.code(), error.reason()), ("options_invalid", Some(reason)), "{error}");
    }
}

#[test]
fn a_token_without_a_key_reports_if_it_names_one() {
    let other = json!({ "keys": [{ "kty": "EC" }, { "kty": "OKP" }] }).to_string();
    let others = KeySet::from_json(&other).expect("the key set is good");
    let verifier = Verifier::with_keys(policy(), others);
    let empty = KeySet::from_json(r#"{ "keys": [] }"#).expect("the key set is good");
    let without_keys = Verifier::with_keys(policy(), empty);
    for (header, named, message) in [
        (Object::header(), true, "the key set has no key with the kid"),
        (Object::header().without("kid"), false, "the header has no kid, which is allowed only"),
    ] {
        let token = signed(&key(), header.text(), Object::claims().text());
        let error = verifier.verify_signature(&token).expect_err("there is no key");
        assert_eq!(error, Error::KeyNotFound { named, set_is_empty: false });
        assert!(error.to_string().starts_with(message), "{error}");
        let error = without_keys.verify_signature(&token).expect_err("there is no key");
        assert_eq!(error, Error::KeyNotFound { named, set_is_empty: true });
        assert!(error.to_string().starts_with("the key set is empty"), "{error}");
    }
}

#[test]
fn refused_claims_report_the_expectation() {
    let key = key();
    let claims = || Object::claims().set("tenant", "1");
    for (claims, claim, expected, message) in [
        (
            claims().without("tenant"),
            "tenant",
            Error::ClaimMissing { claim: "tenant".into() },
            "the required claim tenant is missing",
        ),
        (
            claims().set("sub", "1"),
            "sub",
            Error::ClaimInvalid {
                claim: "sub".into(),
                found: ClaimFault::Number,
                expected: "a string (RFC 7519), which only its issuer can correct",
            },
            "the claim sub is a number: expected a string (RFC 7519), which only its issuer can correct",
        ),
        (
            claims().set("exp", "-1"),
            "exp",
            Error::ClaimInvalid {
                claim: "exp".into(),
                found: ClaimFault::Negative,
                expected: "a number of seconds, 0 or more",
            },
            "the claim exp is a negative number: expected a number of seconds, 0 or more",
        ),
        (
            claims().set("iat", "1700000000000"),
            "iat",
            Error::ClaimInvalid {
                claim: "iat".into(),
                found: ClaimFault::Milliseconds,
                expected: "seconds: divide by 1000",
            },
            "the claim iat is a number of milliseconds, or of seconds after the year 5000: \
             expected seconds: divide by 1000",
        ),
        (
            claims().set("iat", "null"),
            "iat",
            Error::ClaimInvalid {
                claim: "iat".into(),
                found: ClaimFault::Null,
                expected: "a number of seconds, 0 or more",
            },
            "the claim iat is null: expected a number of seconds, 0 or more",
        ),
        (
            claims().set("tenant", "true"),
            "tenant",
            Error::ClaimMismatch {
                claim: "tenant".into(),
                found: ClaimFault::Boolean,
                expected: vec!["1".into(), "true".into()],
            },
            "the claim tenant has another value than expected: it is a boolean, but not \"1\" or \
             \"true\"",
        ),
        (
            claims().set("iss", r#""other""#),
            "iss",
            Error::IssuerMismatch {
                expected: vec!["https://auth.example".into()],
                only_slash_differs: false,
            },
            r#"the claim iss is not the expected issuer, "https://auth.example""#,
        ),
        (
            claims().set("iss", r#""https://auth.example/""#),
            "iss",
            Error::IssuerMismatch {
                expected: vec!["https://auth.example".into()],
                only_slash_differs: true,
            },
            "the claim iss is not the expected issuer, \"https://auth.example\": they differ by a / \
             at the end; set the option issuer as in the issuer's metadata",
        ),
        (
            claims().set("iss", r#""https://auth.example//""#),
            "iss",
            Error::IssuerMismatch {
                expected: vec!["https://auth.example".into()],
                only_slash_differs: false,
            },
            r#"the claim iss is not the expected issuer, "https://auth.example""#,
        ),
        (
            claims().set("aud", r#""other""#),
            "aud",
            Error::AudienceMismatch { expected: vec!["api".into(), "web".into()] },
            "the claim aud does not hold the expected audience, \"api\" or \"web\": is it for another \
             API, or an ID token? Ask the issuer for this audience, or correct the option audience",
        ),
        (
            claims().set("exp", "1700000000"),
            "exp",
            Error::TokenExpired { seconds_ago: 100 },
            "the token expired 100 s ago: get a new one; if a clock is wrong, set it, or the \
             option clockTolerance (up to 300 s)",
        ),
        (
            claims().set("nbf", "1700000120"),
            "nbf",
            Error::TokenNotYetValid { claim: "nbf", seconds_left: 20 },
            "the token is not valid yet: the claim nbf lies 20 s ahead of this clock; if a clock \
             is wrong, set it, or the option clockTolerance (up to 300 s)",
        ),
        (
            claims().set("iat", "1700000130"),
            "iat",
            Error::TokenNotYetValid { claim: "iat", seconds_left: 30 },
            "the token is not valid yet: the claim iat lies 30 s ahead of this clock; if a clock \
             is wrong, set it, or the option clockTolerance (up to 300 s)",
        ),
        (
            claims().set("iat", "1700000130").set("nbf", "1700000120"),
            "nbf",
            Error::TokenNotYetValid { claim: "nbf", seconds_left: 20 },
            "the token is not valid yet: the claim nbf lies 20 s ahead of this clock; if a clock \
             is wrong, set it, or the option clockTolerance (up to 300 s)",
        ),
        (
            claims().set("iat", "1699990000"),
            "iat",
            Error::TokenTooOld { max_token_age: 600 },
            "the token was issued longer ago than the 600 s that maxTokenAge allows",
        ),
        (
            claims().set("scope", r#""read""#),
            "scope",
            Error::ScopeInsufficient { claim: "scope".into(), required: "read write".into() },
            "the claim scope does not hold the required scope: expected all of \"read write\"; if \
             the scopes are in another claim, set the option scopeClaim",
        ),
    ] {
        let token = signed(&key, Object::header().text(), claims.text());
        let options = r#"{ "issuer": "https://auth.example", "audience": ["api", "web"],
            "clockTolerance": 5, "maxTokenAge": 600, "scope": ["read", "write"],
            "requiredClaims": ["sub", "tenant"], "claims": { "tenant": [1, "true"] } }"#;
        let policy = Policy::from_json(options).expect("the options are good");
        let error = refusal(&key, &policy, &token);
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.claim(), Some(claim));
    }
}

#[test]
fn no_advice_is_to_do_what_was_done() {
    let key = key();
    let typed = |typ: &str| Object::header().set("typ", typ);
    for (types, header, advised) in [
        (r#""at+jwt""#, typed(r#""JWT""#), "type: 'JWT'"),
        (r#""at+jwt""#, Object::header().without("typ"), "type: null"),
        (r#""JWT""#, Object::header().without("typ"), "type: null"),
        (r#""JWT""#, typed(r#""at+jwt""#), "set the option type to it, but"),
        (r#"["JWT","at+jwt"]"#, typed(r#""x""#), "set the option type to it, but"),
    ] {
        let options = format!(
            r#"{{ "issuer": "https://auth.example", "audience": "api", "type": {types} }}"#
        );
        let policy = Policy::from_json(&options).expect("the options are good");
        let error = refusal(&key, &policy, &signed(&key, header.text(), Object::claims().text()));
        assert_eq!(error.code(), "type_mismatch");
        let message = error.to_string();
        assert!(message.contains(advised), "{message}");
        assert_eq!(message.contains("type: 'JWT'"), advised.contains("type: 'JWT'"), "{message}");
    }
}

#[test]
fn a_nonce_in_the_header_explains_a_bad_signature() {
    let (key, header) = (key(), Object::header());
    for (header, nonce) in [(header.clone(), false), (header.set("nonce", r#""AQAB""#), true)] {
        let token = signed(&key, header.text(), Object::claims().text());
        let error = refusal(&key, &policy(), &format!("{}A", &token[..token.len() - 1]));
        assert_eq!(error, Error::SignatureInvalid { nonce });
        assert_eq!(error.to_string().contains("nonce"), nonce, "{error}");
    }
}

#[test]
fn a_value_that_is_null_is_called_null() {
    let key = key();
    let token = |header: Object, claims: Object| signed(&key, header.text(), claims.text());
    for (header, claims) in [
        (Object::header().set("alg", "null"), Object::claims()),
        (Object::header().set("typ", "null"), Object::claims()),
        (Object::header().set("kid", "null"), Object::claims()),
        (Object::header(), Object::claims().set("iss", "null")),
        (Object::header(), Object::claims().set("aud", "null")),
        (Object::header(), Object::claims().set("exp", "null")),
        (Object::header(), Object::claims().set("sub", "null")),
    ] {
        let error = refusal(&key, &policy(), &token(header, claims));
        assert!(error.to_string().contains("is null"), "{error}");
    }
}

#[test]
fn a_challenge_is_short_and_names_no_issuer_audience_or_value() {
    let long = "x".repeat(300);
    let secret = |text: &str| vec![format!("secret {text}"), long.clone()];
    for error in [
        Error::IssuerMismatch { expected: secret("issuer"), only_slash_differs: true },
        Error::AudienceMismatch { expected: secret("audience") },
        Error::ClaimMismatch {
            claim: "tid".into(),
            found: ClaimFault::String,
            expected: secret("value"),
        },
        Error::ClaimMissing { claim: long.clone() },
        Error::ClaimMissing { claim: format!("https://claims.example/{}", "é".repeat(300)) },
        Error::TypeMismatch { expected: vec![long.clone()], missing: false },
        Error::ScopeInsufficient { claim: "scope".into(), required: long.clone() },
        Error::ScopeInsufficient { claim: long.clone(), required: "read".into() },
        Error::ScopeInsufficient { claim: "scope".into(), required: "x".repeat(70) },
        Error::SignatureInvalid { nonce: true },
    ] {
        let challenge = error.www_authenticate();
        assert!(challenge.len() <= 200, "{challenge}");
        assert!(!challenge.contains("secret"), "{challenge}");
        assert_eq!(challenge.matches('"').count() % 2, 0, "{challenge}");
    }
    let claim = "https://claims.example/role".into();
    let challenge = Error::ClaimMissing { claim }.www_authenticate();
    let description = "the required claim https://claims.example/role is missing";
    let expected = format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
    assert_eq!(challenge, expected);
}

/// The npm package makes the challenge from the code, the message and the scope. Its tests read the
/// same file.
#[test]
fn the_challenges_are_those_of_the_npm_package() {
    let scope = |claim: &str, required: &str| Error::ScopeInsufficient {
        claim: claim.into(),
        required: required.into(),
    };
    let challenges: Vec<_> = [
        Error::OptionsInvalid { option: "issuer".into(), problem: "is unknown" },
        Error::JwksUnavailable,
        Error::JwksInvalid { reason: "json", problem: "is not JSON" },
        Error::StatusUnavailable,
        Error::TokenRevoked,
        Error::AlgorithmNotAllowed,
        Error::KeyNotFound { named: true, set_is_empty: false },
        Error::SignatureInvalid { nonce: true },
        Error::TokenExpired { seconds_ago: 7 },
        Error::TokenNotYetValid { claim: "nbf", seconds_left: 7 },
        Error::AudienceMismatch { expected: vec!["api".into()] },
        Error::ClaimMissing { claim: "https://claims.example/\"r\u{f6}le\\\u{1f98a}\"".into() },
        Error::ClaimMissing { claim: "x".repeat(300) },
        scope("scp", "read write"),
        scope("s\"c", "r\u{e9}ad \"all\""),
        scope("scope", &"x".repeat(70)),
        scope("scope", &"x".repeat(300)),
    ]
    .iter()
    .map(|error| {
        let required = match error {
            Error::ScopeInsufficient { required, .. } => Some(required),
            _ => None,
        };
        json!({
            "code": error.code(),
            "message": error.to_string(),
            "scope": required,
            "challenge": error.www_authenticate(),
        })
    })
    .collect();
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../challenges.json")).expect("JSON");
    assert_eq!(file, json!(challenges));
}

#[test]
fn the_builder_and_the_options_make_the_same_policy() {
    let built = Policy::without_audience("https://auth.example", "client_id", ["web", "a\"\n"])
        .and_then(|policy| policy.with_claim("ok", [true]))
        .and_then(|policy| policy.with_claim("n", [1, -2]))
        .and_then(|policy| policy.with_issuers(["https://auth.example", "https://{tid}.example"]))
        .and_then(|policy| policy.with_token_types(["at+jwt", "JWT"]))
        .and_then(|policy| policy.with_scope("read"))
        .and_then(|policy| policy.with_scope_claim("scp"))
        .expect("the policy is good");
    let read = Policy::from_json(
        r#"{ "issuer": ["https://auth.example", "https://{tid}.example"], "audience": null,
             "type": ["at+jwt", "JWT"], "scope": "read", "scopeClaim": "scp",
             "claims": { "client_id": ["web", "a\"\n"], "ok": true, "n": [1, -2] } }"#,
    )
    .expect("the options are good");
    assert_eq!(format!("{built:?}"), format!("{read:?}"));

    let replaced = Policy::new("https://auth.example", "api")
        .with_claim("hd", ["one.example"])
        .and_then(|policy| policy.with_claim("hd", ["two.example"]))
        .expect("the policy is good");
    assert!(!format!("{replaced:?}").contains("one.example"), "{replaced:?}");
}

#[test]
fn the_builder_refuses_what_the_options_refuse() {
    let none: [&str; 0] = [];
    for (policy, reason) in [
        (policy().with_claim("sub", none), "claims"),
        (Policy::without_audience("https://auth.example", "sub", none), "claims"),
        (policy().with_issuers(none), "issuer"),
        (policy().with_issuers(["https://{}"]), "issuer"),
        (policy().with_token_types(none), "type"),
        (policy().with_scope_claim(""), "scopeClaim"),
    ] {
        let error = policy.expect_err("a bad option");
        assert_eq!((error.code(), error.reason()), ("options_invalid", Some(reason)), "{error}");
    }
}

fn refusal(key: &RsaKey, policy: &Policy, token: &str) -> Error {
    let keys = json!({ "keys": [key.jwk("main")] }).to_string();
    let keys = KeySet::from_json(&keys).expect("the key set is good");
    let verifier = Verifier::with_keys(policy.clone(), keys);
    verifier.verify(token, Duration::from_secs(NOW)).expect_err("the token is refused")
}

fn policy() -> Policy {
    Policy::new("https://auth.example", "api")
}

fn key() -> RsaKey {
    RsaKey::generate("main", 2048, 65537)
}
