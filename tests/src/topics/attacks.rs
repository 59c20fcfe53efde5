//! Attacks that worked on other JWT libraries, by name.

use num_bigint::BigUint;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Keys, jwk_with};
use crate::der::{pem, rsa_public_key, subject_public_key_info};
use crate::object::Object;
use crate::rsa::{RsaKey, SHA256_PREFIX, block};
use crate::token::{base64url, hmac_sha256, signed, signed_with, signing_input};
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = no_signature(keys);
    vectors.extend(symmetric(keys));
    vectors.extend(own_keys(keys));
    vectors.extend(key_ids(keys));
    vectors.extend(padding_forgeries(keys));
    vectors.extend(confusions(keys));
    vectors
}

fn admin() -> Object {
    Object::claims().set("sub", r#""admin""#)
}

fn no_signature(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "none ", "\\u006eone", "", "null"] {
        let header = Object::header().set("alg", &format!("\"{alg}\""));
        let input = signing_input(header.text(), admin().text());
        vectors.push(keys.vector(
            &format!("alg \"{alg}\" and no signature is malformed"),
            format!("{input}."),
            "token_malformed",
        ));
        vectors.push(keys.vector(
            &format!("alg \"{alg}\" and a signature of one zero octet is not allowed"),
            format!("{input}.AA"),
            "algorithm_not_allowed",
        ));
    }
    let input = signing_input(Object::header().text(), admin().text());
    vectors.extend([
        keys.vector("RS256 and no signature is malformed", format!("{input}."), "token_malformed"),
        keys.vector("a token whose signature was cut off is malformed", input, "token_malformed"),
        keys.vector(
            "the all-zero ECDSA signature of CVE-2022-21449 under ES256 is not allowed",
            signed_with(Object::header().set("alg", r#""ES256""#).text(), admin().text(), |_| {
                vec![0; 64]
            }),
            "algorithm_not_allowed",
        ),
        keys.vector(
            "the all-zero ECDSA signature of CVE-2022-21449 under RS256 is invalid",
            signed_with(Object::header().text(), admin().text(), |_| vec![0; 64]),
            "signature_invalid",
        ),
    ]);
    vectors
}

/// HMAC with the public key as the secret (CVE-2015-9235 and many more).
fn symmetric(keys: &Keys) -> Vec<Vector> {
    let main = &keys.main;
    let spki = pem("PUBLIC KEY", &subject_public_key_info(main));
    let secrets: [(&str, Vec<u8>); 10] = [
        ("the public key in PEM", spki.clone().into()),
        ("the public key in PEM without the last newline", spki.trim_end().into()),
        ("the public key in PEM with CRLF", spki.replace('\n', "\r\n").into()),
        ("the public key in PKCS#1 PEM", pem("RSA PUBLIC KEY", &rsa_public_key(main)).into()),
        ("the public key in DER", subject_public_key_info(main)),
        ("the public key in PKCS#1 DER", rsa_public_key(main)),
        ("the octets of the modulus", main.n.to_bytes_be()),
        ("the modulus in base64url", base64url(main.n.to_bytes_be()).into()),
        ("the JWK", main.jwk("main").to_string().into()),
        ("an empty string", Vec::new()),
    ];
    let mut vectors = Vec::new();
    for (what, secret) in secrets {
        for (alg, expect) in [("HS256", "algorithm_not_allowed"), ("RS256", "signature_invalid")] {
            let header = Object::header().set("alg", &format!("\"{alg}\""));
            let token =
                signed_with(header.text(), admin().text(), |message| hmac_sha256(&secret, message));
            vectors.push(keys.vector(
                &format!("an HMAC with {what} as the secret under {alg} is refused"),
                token,
                expect,
            ));
        }
    }
    let secret = base64url([1; 32]);
    vectors.push(
        keys.vector(
            "an HMAC under a symmetric key of the set is not allowed",
            signed_with(
                Object::header().set("alg", r#""HS256""#).text(),
                admin().text(),
                |message| hmac_sha256(&[1; 32], message),
            ),
            "algorithm_not_allowed",
        )
        .keys(&[json!({ "kty": "oct", "kid": "main", "alg": "HS256", "k": secret })]),
    );
    vectors
}

/// Tokens that carry the key that signed them (CVE-2018-0114).
fn own_keys(keys: &Keys) -> Vec<Vector> {
    let attacker = &keys.second;
    let jwk = attacker.jwk("main").to_string();
    let certificate = format!(
        "[\"{}\"]",
        pem("", &subject_public_key_info(attacker)).lines().nth(1).unwrap_or_default()
    );
    let mut vectors = Vec::new();
    for (name, raw) in [
        ("jwk", jwk.as_str()),
        ("jku", r#""https://evil.example/jwks.json""#),
        ("x5u", r#""https://evil.example/key.pem""#),
        ("x5c", certificate.as_str()),
        ("x5t", r#""AAAAAAAAAAAAAAAAAAAAAAAAAAA""#),
        ("key", jwk.as_str()),
    ] {
        let forged = |header: Object| signed(attacker, header.text(), admin().text());
        vectors.extend([
            keys.vector(
                &format!("an attacker's key in {name} with our kid is ignored"),
                forged(Object::header().set(name, raw)),
                "signature_invalid",
            ),
            keys.vector(
                &format!("an attacker's key in {name} without kid is ignored"),
                forged(Object::header().without("kid").set(name, raw)),
                "signature_invalid",
            ),
            keys.vector(
                &format!("an attacker's key in {name} with a new kid is not found"),
                forged(Object::header().set("kid", r#""new""#).set(name, raw)),
                "key_not_found",
            ),
            keys.vector(
                &format!(
                    "an attacker's key in {name} does not replace a key set that is not loaded"
                ),
                forged(Object::header().set(name, raw)),
                "jwks_unavailable",
            )
            .without_option("jwks"),
        ]);
    }
    vectors.push(keys.vector(
        "an attacker's key in the payload is ignored",
        signed(attacker, Object::header().text(), admin().set("jwk", &jwk).text()),
        "signature_invalid",
    ));
    vectors
}

/// Key ids that are paths, queries, commands or names of built-in members.
fn key_ids(keys: &Keys) -> Vec<Vector> {
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///proc/self/environ",
        "https://evil.example/jwks.json",
        "main' UNION SELECT 'secret' --",
        "main\\\" OR \\\"1\\\"=\\\"1",
        "main | curl evil.example",
        "$(id)",
        "main\\u0000",
        "main\\n",
        "*",
        "%",
        ".*",
        "0",
        "-1",
        "__proto__",
        "constructor",
        "toString",
        "length",
        "undefined",
        "null",
        "ｍａｉｎ",
        "ma\u{200b}in",
    ]
    .into_iter()
    .map(|kid| {
        let header = Object::header().set("kid", &format!("\"{kid}\""));
        keys.header(&format!("the kid \"{kid}\" finds no key"), &header, "key_not_found")
    })
    .collect()
}

/// Blocks that need no private key if e = 3 and the verifier parses the padding.
fn padding_forgeries(keys: &Keys) -> Vec<Vector> {
    let key = &keys.e3;
    let forged = |name: &str, forge: &dyn Fn(&[u8]) -> Vec<u8>| {
        let token = signed_with(Object::header().text(), admin().text(), |message| {
            forge(&Sha256::digest(message))
        });
        keys.vector(name, token, "signature_invalid").keys(&[key.jwk("main")])
    };
    // The cube of the root begins with `start`. The rest of it is arbitrary.
    let cube_root_of = |start: &[u8]| {
        let mut octets = start.to_vec();
        octets.resize(key.size(), 0);
        let below = BigUint::from_bytes_be(&octets);
        let root = below.cbrt() + 1u8;
        let cube = key.octets(&root.pow(3));
        assert!(cube.starts_with(start), "the root's cube begins with `start`");
        key.octets(&root)
    };
    vec![
        forged(
            "Bleichenbacher's forgery of 2006 with eight octets of padding is invalid",
            &|hash| cube_root_of(&[&[0, 1][..], &[0xff; 8], &[0], &SHA256_PREFIX, hash].concat()),
        ),
        forged("Bleichenbacher's forgery with one octet of padding is invalid", &|hash| {
            cube_root_of(&[&[0, 1, 0xff, 0][..], &SHA256_PREFIX, hash].concat())
        }),
        forged("Bleichenbacher's forgery without padding is invalid", &|hash| {
            cube_root_of(&[&[0, 1, 0][..], &SHA256_PREFIX, hash].concat())
        }),
        forged("a forgery with garbage in the algorithm's parameters is invalid", &|hash| {
            // The hash ends the block (CVE-2006-4790). The private key replaces a long search.
            let garbage = vec![0x5a; 100];
            let oid = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
            let inner = [&[0x30, 113][..], &oid, &[0x04, 100], &garbage].concat();
            let outer = [&[0x30, 0x81, 149][..], &inner, &[0x04, 0x20], hash].concat();
            key.sign_block(&block(key.size(), &outer))
        }),
        forged("a BERserk forgery with garbage in a length of many octets is invalid", &|hash| {
            let oid = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
            let length = [&[0xff][..], &[0x5a; 126], &[0x20]].concat();
            let inner = [&[0x30, 0x0d][..], &oid, &[0x05, 0x00]].concat();
            let outer = [&[0x30, 0x31][..], &inner, &[0x04], &length, hash].concat();
            key.sign_block(&block(key.size(), &outer))
        }),
        forged("a signature that is a perfect cube of a small number is invalid", &|_| {
            key.octets(&BigUint::from(27u8))
        }),
    ]
}

/// Tokens that two readers may understand in different ways.
fn confusions(keys: &Keys) -> Vec<Vector> {
    let header = Object::header;
    let claims = Object::claims;
    let good = signed(&keys.main, header().text(), claims().text());
    let parts: Vec<&str> = good.split('.').collect();
    let malformed = |name: &str, token: String| keys.vector(name, token, "token_malformed");
    let weak = RsaKey::generate("512", 512, 65537);
    vec![
        malformed(
            "a token inside a signed token is malformed",
            signed(&keys.main, header().set("cty", r#""JWT""#).text(), &good),
        ),
        malformed(
            "a quoted token inside a signed token is malformed",
            signed(&keys.main, header().set("cty", r#""JWT""#).text(), format!("\"{good}\"")),
        ),
        malformed(
            "a JWE with a token inside is malformed",
            format!(
                "{}..{}.{}.{}",
                base64url(r#"{"alg":"dir","enc":"A128CBC-HS256"}"#),
                base64url([7; 16]),
                parts[1],
                base64url([7; 16])
            ),
        ),
        malformed(
            "the flattened JSON serialization with an unprotected header is malformed",
            format!(
                r#"{{"header":{{"alg":"RS256"}},"protected":"{}","payload":"{}","signature":"{}"}}"#,
                parts[0], parts[1], parts[2]
            ),
        ),
        malformed(
            "the general JSON serialization is malformed",
            format!(
                r#"{{"payload":"{}","signatures":[{{"protected":"{}","signature":"{}"}}]}}"#,
                parts[1], parts[0], parts[2]
            ),
        ),
        malformed("a detached payload is malformed", format!("{}..{}", parts[0], parts[2])),
        keys.header(
            "an unencoded payload with b64 is refused",
            &header().set("b64", "false").set("crit", r#"["b64"]"#),
            "critical_unsupported",
        ),
        malformed(
            "a second sub for another reader is malformed",
            signed(&keys.main, header().text(), claims().add("sub", r#""admin""#).text()),
        ),
        malformed(
            "a second alg for another reader is malformed",
            signed(&keys.main, header().add("alg", r#""HS256""#).text(), claims().text()),
        ),
        keys.header(
            "Alg and ALG do not replace alg",
            &header().without("alg").set("Alg", r#""RS256""#).set("ALG", r#""RS256""#),
            "header_invalid",
        ),
        keys.header(
            "alg in look-alike letters does not replace alg",
            &header().without("alg").set("аlg", r#""RS256""#),
            "header_invalid",
        ),
        keys.header(
            "alg in full-width letters does not replace alg",
            &header().without("alg").set("ａｌｇ", r#""RS256""#),
            "header_invalid",
        ),
        keys.header(
            "alg on the prototype does not replace alg",
            &header().without("alg").set("__proto__", r#"{"alg":"RS256"}"#),
            "token_malformed",
        ),
        keys.claims(
            "exp on the prototype does not replace exp",
            &claims().without("exp").set("__proto__", r#"{"exp":9999999999}"#),
            "token_malformed",
        ),
        keys.claims(
            "exp in look-alike letters does not replace exp",
            &claims().without("exp").set("ехр", "9999999999"),
            "claim_missing",
        ),
        keys.claims(
            "a member Exp does not extend an expired token",
            &claims().set("exp", "1").set("Exp", "9999999999"),
            "token_expired",
        ),
        keys.header("a claim in the header is ignored", &header().set("exp", "9999999999"), "ok"),
        keys.signed(
            "exp in the header does not replace the claim",
            &header().set("exp", "9999999999"),
            &claims().without("exp"),
            "claim_missing",
        ),
        keys.header(
            "a refresh token is not an access token",
            &header().set("typ", r#""rt+jwt""#),
            "type_mismatch",
        ),
        keys.header(
            "an ID token is not an access token",
            &header().set("typ", r#""JWT""#),
            "type_mismatch",
        ),
        keys.claims(
            "an ID token for the client is not for the API",
            &claims().set("aud", r#""web""#),
            "audience_mismatch",
        ),
        keys.vector(
            "a weak key in the set is not used for a token without kid",
            signed(&weak, header().without("kid").text(), admin().text()),
            "signature_invalid",
        )
        .keys(&[weak.jwk("weak"), keys.main.jwk("main")]),
        keys.vector(
            "a weak key in the set is rejected for a token with its kid",
            signed(&weak, header().set("kid", r#""weak""#).text(), admin().text()),
            "key_rejected",
        )
        .keys(&[weak.jwk("weak"), keys.main.jwk("main")]),
        keys.vector(
            "a key for encryption is rejected",
            signed(&keys.second, header().set("kid", r#""enc""#).text(), admin().text()),
            "key_rejected",
        )
        .keys(&[
            keys.main.jwk("main"),
            jwk_with(jwk_with(keys.second.jwk("enc"), "use", json!("enc")), "alg", json!(null)),
        ]),
        rfc_7515_a_2(keys),
    ]
}

/// RFC 7515 §A.2: the signature is good, but the claims lack an audience.
fn rfc_7515_a_2(keys: &Keys) -> Vector {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEz\
             P1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf6\
             3kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw\
             Kh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW\
             yuXpoQ";
    let token = "eyJhbGciOiJSUzI1NiJ9.\
         eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0\
         cnVlfQ.\
         cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W\
         2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS\
         jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv\
         Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    keys.vector(
        "the token of RFC 7515 appendix A.2 lacks an audience",
        token.into(),
        "claim_missing",
    )
    .option("issuer", "joe")
    .option("type", json!(null))
    .at(1_300_819_000)
    .keys(&[json!({ "kty": "RSA", "n": n, "e": "AQAB" })])
}
