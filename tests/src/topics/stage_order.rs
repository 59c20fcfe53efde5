//! Tokens with two faults: the earlier stage reports.

use serde_json::json;

use super::{Keys, jwk_with};
use crate::object::Object;
use crate::token::{base64url, signed, signed_with};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let header = Object::header;
    let claims = Object::claims;
    let expired = || claims().set("exp", "1");
    let unsigned = |header: Object, claims: Object| {
        signed_with(header.text(), claims.text(), |_| vec![7; 256])
    };
    let none = || header().set("alg", r#""none""#);
    let good = signed(&keys.main, header().text(), claims().text());
    vec![
        // Parse.
        keys.vector("too large before malformed", good.replace('.', "="), "token_too_large")
            .option("maxTokenBytes", 100),
        keys.vector("too large before a missing key", good.clone(), "token_too_large")
            .option("maxTokenBytes", 100)
            .without_option("jwks"),
        keys.vector(
            "a malformed payload before a bad alg",
            signed(&keys.main, none().text(), "{"),
            "token_malformed",
        ),
        keys.vector(
            "a malformed payload before a bad typ",
            signed(&keys.main, header().set("typ", r#""JWT""#).text(), "[]"),
            "token_malformed",
        ),
        keys.vector(
            "a malformed payload before a bad signature",
            signed_with(header().text(), "{}x", |_| vec![7; 256]),
            "token_malformed",
        ),
        keys.vector(
            "a malformed signature before a bad alg",
            format!("{}=", unsigned(none(), claims())),
            "token_malformed",
        ),
        keys.vector(
            "an empty signature before alg none",
            format!("{}.{}.", base64url(none().text()), base64url(claims().text())),
            "token_malformed",
        ),
        keys.vector(
            "malformed before keys that are not loaded",
            format!("{good}\n"),
            "token_malformed",
        )
        .without_option("jwks"),
        keys.vector(
            "a duplicate member before a bad signature",
            unsigned(header(), claims().add("exp", "1")),
            "token_malformed",
        ),
        // Header.
        keys.header(
            "alg before crit, typ and kid",
            &none().set("crit", "[]").set("typ", r#""JWT""#).set("kid", "1"),
            "algorithm_not_allowed",
        ),
        keys.header(
            "a missing alg before crit, typ and kid",
            &header().without("alg").set("crit", "[]").set("typ", r#""JWT""#).set("kid", "1"),
            "header_invalid",
        ),
        keys.header(
            "crit before typ and kid",
            &header().set("crit", "[]").set("typ", r#""JWT""#).set("kid", "1"),
            "critical_unsupported",
        ),
        keys.header(
            "crit before zip",
            &header().set("zip", r#""DEF""#).set("crit", "[]"),
            "critical_unsupported",
        ),
        keys.header(
            "zip before typ",
            &header().set("typ", r#""JWT""#).set("zip", r#""DEF""#),
            "header_invalid",
        ),
        keys.header(
            "typ before kid",
            &header().set("kid", "1").set("typ", r#""JWT""#),
            "type_mismatch",
        ),
        keys.header(
            "alg before an unknown kid",
            &none().set("kid", r#""x""#),
            "algorithm_not_allowed",
        ),
        keys.header("alg before keys that are not loaded", &none(), "algorithm_not_allowed")
            .without_option("jwks"),
        keys.header(
            "typ before keys that are not loaded",
            &header().set("typ", r#""JWT""#),
            "type_mismatch",
        )
        .without_option("jwks"),
        keys.vector(
            "typ before a bad signature",
            unsigned(header().without("typ"), claims()),
            "type_mismatch",
        ),
        keys.vector(
            "alg before a bad signature and bad claims",
            unsigned(none(), expired()),
            "algorithm_not_allowed",
        ),
        // Key.
        keys.vector(
            "an unknown kid before a bad signature",
            unsigned(header().set("kid", r#""x""#), claims()),
            "key_not_found",
        ),
        keys.signed(
            "an unknown kid before bad claims",
            &header().set("kid", r#""x""#),
            &expired(),
            "key_not_found",
        ),
        keys.vector(
            "keys that are not loaded before a bad signature",
            unsigned(header(), expired()),
            "jwks_unavailable",
        )
        .without_option("jwks"),
        keys.vector(
            "a rejected key before a bad signature",
            unsigned(header(), expired()),
            "key_rejected",
        )
        .keys(&[jwk_with(keys.main.jwk("main"), "use", json!("enc"))]),
        keys.vector(
            "a duplicate kid before a bad signature",
            unsigned(header(), expired()),
            "key_rejected",
        )
        .keys(&[keys.main.jwk("main"), keys.second.jwk("main")]),
        keys.claims("a private key before bad claims", &expired(), "key_rejected")
            .keys(&[jwk_with(keys.main.jwk("main"), "d", json!("AQAB"))]),
        // Signature, before every claim.
        keys.vector(
            "a bad signature before expiry",
            unsigned(header(), expired()),
            "signature_invalid",
        ),
        keys.vector(
            "a bad signature before a missing claim",
            unsigned(header(), Object::default()),
            "signature_invalid",
        ),
        keys.vector(
            "a bad signature before an invalid claim",
            unsigned(header(), claims().set("exp", "null")),
            "signature_invalid",
        ),
        keys.vector(
            "a bad signature before another issuer",
            unsigned(header(), claims().set("iss", r#""x""#)),
            "signature_invalid",
        ),
        keys.vector(
            "a bad signature before another audience",
            unsigned(header(), claims().set("aud", r#""x""#)),
            "signature_invalid",
        ),
        keys.vector(
            "a bad signature before an insufficient scope",
            unsigned(header(), claims()),
            "signature_invalid",
        )
        .option("scope", "admin"),
        keys.vector(
            "a bad signature before the age",
            unsigned(header(), claims()),
            "signature_invalid",
        )
        .option("maxTokenAge", 1),
        // Claims.
        keys.claims("a missing claim before expiry", &expired().without("aud"), "claim_missing"),
        keys.claims(
            "an invalid claim before expiry",
            &expired().set("nbf", "null"),
            "claim_invalid",
        ),
    ]
}
