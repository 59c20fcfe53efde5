//! Only signed tokens verify: no arbitrary text, no token with a piece replaced, and no other text
//! under a good signature. Only claims that follow the policy are valid.
//!
//! The first byte of an input selects the kind of check.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_tests::{
    object::Object,
    rsa::RsaKey,
    token::{NOW, signed},
};
use countersign_verifier::{Error, KeySet, Policy, Verifier, fuzzing};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(NOW);

struct Fixture {
    verifier: Verifier,
    tokens: Vec<String>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    // The keys differ from those of tests/vectors, whose tokens may be in the corpus.
    let [main, other] = [("main", 2048), ("other", 3072)]
        .map(|(kid, bits)| (RsaKey::generate(&format!("fuzz {kid}"), bits, 65_537), kid));
    let jwks = json!({ "keys": [main.0.jwk(main.1), other.0.jwk(other.1)] });
    let keys = KeySet::from_json(&jwks.to_string()).expect("a good key set");
    let several = Object::claims().set("aud", r#"["web","api"]"#).set("exp", "1.70000020e9");
    let tokens = vec![
        signed(&main.0, Object::header().text(), Object::claims().text()),
        signed(&other.0, Object::header().set("kid", r#""other""#).text(), several.text()),
    ];
    Fixture { verifier: Verifier::with_keys(policy(), keys), tokens }
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else { return };
    match choice % 4 {
        0 => check(&String::from_utf8_lossy(input)),
        1 => check_splice(input),
        2 => check_other_texts(input),
        _ => check_claims(input),
    }
});

/// The signed tokens verify, and no others. Errors are as documented.
fn check(token: &str) {
    let Fixture { verifier, tokens } = &*FIXTURE;
    let is_signed = tokens.iter().any(|signed| signed == token);
    assert_eq!(verifier.verify_signature(token).is_ok(), is_signed, "{token}");
    let verdict = verifier.verify(token, TIME);
    assert_eq!(verdict.is_ok(), is_signed, "{token}");
    if let Err(error) = verdict {
        check_error(&error);
    }
}

fn check_error(error: &Error) {
    assert!(Error::CODES.contains(&(error.code(), error.stage())), "{error}");
    for text in [error.to_string(), error.www_authenticate()] {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    assert!(error.www_authenticate().len() <= 200);
}

/// Checks a token with some bytes replaced. The input selects the token in one byte, the position
/// in two, the length in one; the rest is the replacement.
fn check_splice(input: &[u8]) {
    let Some(([which, high, low, length], piece)) = input.split_first_chunk() else { return };
    let tokens = &FIXTURE.tokens;
    let token = &tokens[usize::from(*which) % tokens.len()];
    let start = usize::from(u16::from_be_bytes([*high, *low])) % (token.len() + 1);
    let end = token.len().min(start + usize::from(*length));
    let piece = String::from_utf8_lossy(piece);
    check(&format!("{}{piece}{}", &token[..start], &token[end..]));
}

/// Checks a header and a payload, with a line feed between them, under each good signature.
fn check_other_texts(input: &[u8]) {
    let mut texts = input.splitn(2, |byte| *byte == b'\n');
    let (header, payload) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    let [header, payload] = [header, payload].map(|text| URL_SAFE_NO_PAD.encode(text));
    for token in &FIXTURE.tokens {
        let (_, signature) = token.rsplit_once('.').expect("a token has three parts");
        check(&format!("{header}.{payload}.{signature}"));
    }
}

/// A payload that passes has valid claims, as serde_json reads them.
fn check_claims(payload: &[u8]) {
    match fuzzing::validate(payload, &policy(), TIME) {
        None => {}
        Some(Err(error)) => check_error(&error),
        Some(Ok(())) => {
            // serde_json refuses numbers beyond f64. Such a number is none of the claims below.
            let Ok(claims) = serde_json::from_slice::<Value>(payload) else { return };
            let time = |name: &str| claims[name].as_f64();
            let now = NOW as f64;
            assert_eq!(claims["iss"], "https://auth.example");
            assert!(match &claims["aud"] {
                Value::Array(all) => all.iter().any(|one| one == "api"),
                one => one == "api",
            });
            assert!(time("exp").is_some_and(|exp| exp >= now), "{claims}");
            assert!(time("iat").is_some_and(|iat| (now - 600.0..=now).contains(&iat)), "{claims}");
            assert!(claims.get("nbf").is_none() || time("nbf").is_some_and(|nbf| nbf <= now));
            assert!(match &claims["scope"] {
                Value::Array(all) => all.iter().any(|one| one == "read"),
                one => one.as_str().unwrap_or_default().split(' ').any(|token| token == "read"),
            });
            assert!(claims.get("jti").is_some_and(Value::is_string), "{claims}");
            assert_eq!(claims["client_id"], "web", "{claims}");
        }
    }
}

fn policy() -> Policy {
    let options = json!({
        "issuer": "https://auth.example", "audience": "api", "clockTolerance": 0,
        "maxTokenAge": 600, "scope": "read", "requiredClaims": ["jti"], "claims": { "client_id": "web" },
    });
    Policy::from_json(&options.to_string()).expect("good options")
}
