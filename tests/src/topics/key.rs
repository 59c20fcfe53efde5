//! The choice of the key, and keys that must not be used.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use num_bigint::BigUint;
use serde_json::{Value, json};

use super::{Keys, jwk_with};
use crate::object::Object;
use crate::rsa::{RsaKey, pkcs1};
use crate::token::{base64url, first_signed, signed};
use crate::vector::Vector;
use sha2::{Digest, Sha256};

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = choice(keys);
    vectors.extend(sets(keys));
    vectors.extend(strength(keys));
    vectors.extend(encoding(keys));
    vectors.extend(purpose(keys));
    vectors
}

fn choice(keys: &Keys) -> Vec<Vector> {
    let main = || keys.main.jwk("main");
    let second = || keys.second.jwk("second");
    let anonymous = |key: Value| jwk_with(key, "kid", json!(null));
    let unusable = || json!({ "kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA" });
    let named = |name: &str, kid: &str, expect: &str| {
        keys.header(name, &Object::header().set("kid", &format!("\"{kid}\"")), expect)
    };
    let unnamed =
        |name: &str, expect: &str| keys.header(name, &Object::header().without("kid"), expect);
    vec![
        keys.good("the first of two keys is found by its kid", "ok").keys(&[main(), second()]),
        keys.good("the second of two keys is found by its kid", "ok").keys(&[second(), main()]),
        keys.good("an unknown kid is not found", "key_not_found").keys(&[second()]),
        named("the kid is compared with its case", "MAIN", "key_not_found"),
        named("the kid is compared whole", "mai", "key_not_found"),
        named("the kid is not trimmed", "main ", "key_not_found"),
        named("an empty kid is a kid", "", "key_not_found"),
        named("an empty kid selects the key with an empty kid", "", "ok").keys(&[jwk_with(
            main(),
            "kid",
            json!(""),
        )]),
        named("a kid may be written with escapes", "m\\u0061in", "ok"),
        named("a kid may be any text", "schlüssel 🦊 \\\\ '", "ok").keys(&[jwk_with(
            main(),
            "kid",
            json!("schlüssel 🦊 \\ '"),
        )]),
        named("a kid may be written with every kind of escape", EVERY_ESCAPE, "ok").keys(&[
            jwk_with(
                main(),
                "kid",
                json!("\"\\/\u{8}\u{c}\n\r\t\\n\\\\u0041é\u{10000}\u{1f98a}\u{10ffff}"),
            ),
        ]),
        keys.good("a kid does not find a key without one", "key_not_found")
            .keys(&[anonymous(main())]),
        keys.good("two different keys with the token's kid are rejected", "key_rejected")
            .keys(&[main(), jwk_with(second(), "kid", json!("main"))]),
        keys.good("the token's key twice counts once", "ok").keys(&[main(), main()]),
        keys.good("the token's key twice counts once, however it is written", "ok").keys(&[
            main(),
            jwk_with(jwk_with(main(), "n", spelled_out(&keys.main)), "e", json!("AAEAAQ==")),
        ]),
        keys.good("the token's key twice and a different one are rejected", "key_rejected")
            .keys(&[main(), main(), jwk_with(second(), "kid", json!("main"))]),
        keys.good("two keys with one modulus and two exponents are different", "key_rejected")
            .keys(&[main(), jwk_with(main(), "e", json!("Aw"))]),
        keys.good("an unusable key with the token's kid is ignored", "ok")
            .keys(&[jwk_with(unusable(), "kid", json!("main")), main()]),
        keys.good("an encryption key with the token's kid is ignored", "ok").keys(&[
            jwk_with(jwk_with(second(), "kid", json!("main")), "use", json!("enc")),
            main(),
        ]),
        keys.good("the token's key for other algorithms is ignored", "ok").keys(&[
            main(),
            jwk_with(main(), "alg", json!("RS384")),
            jwk_with(main(), "alg", json!("RS512")),
        ]),
        keys.good("a short key with the token's kid is ignored", "ok")
            .keys(&[jwk_with(main(), "n", json!("AQAB")), main()]),
        keys.good("an unreadable key with the token's kid is ignored", "ok")
            .keys(&[main(), jwk_with(main(), "n", json!("!"))]),
        keys.good("two unusable keys with the token's kid are rejected", "key_rejected").keys(&[
            jwk_with(main(), "use", json!("enc")),
            jwk_with(unusable(), "kid", json!("main")),
        ]),
        keys.good("a key whose private twin has its kid is rejected", "key_rejected")
            .keys(&[main(), jwk_with(main(), "d", json!("AQAB"))]),
        keys.good("a private key with another kid does not matter", "ok")
            .keys(&[main(), jwk_with(second(), "d", json!("AQAB"))]),
        keys.good("two different keys with another kid do not matter", "ok").keys(&[
            second(),
            main(),
            jwk_with(keys.e3.jwk("main"), "kid", json!("second")),
        ]),
        keys.good("two keys with another kid do not matter", "ok").keys(&[
            second(),
            main(),
            second(),
        ]),
        unnamed("without kid the only key is used", "ok"),
        unnamed("without kid the only key is used, even if it has no kid", "ok")
            .keys(&[anonymous(main())]),
        unnamed("without kid the only usable key is used", "ok").keys(&[
            unusable(),
            main(),
            jwk_with(second(), "use", json!("enc")),
        ]),
        unnamed("without kid and with two usable keys no key is found", "key_not_found")
            .keys(&[main(), second()]),
        unnamed("without kid one key twice counts once", "ok")
            .keys(&[anonymous(main()), anonymous(main())]),
        unnamed("without kid a single unusable key is rejected", "key_rejected").keys(&[jwk_with(
            main(),
            "use",
            json!("enc"),
        )]),
        unnamed("without kid and with two unusable keys no key is found", "key_not_found")
            .keys(&[unusable(), jwk_with(main(), "use", json!("enc"))]),
        unnamed("without kid and with an empty set no key is found", "key_not_found").keys(&[]),
        keys.good("with a kid and an empty set no key is found", "key_not_found").keys(&[]),
        keys.good("unusable keys with another kid do not matter", "ok").keys(&[
            unusable(),
            json!({}),
            json!({ "kty": "oct", "kid": "oct" }),
            jwk_with(second(), "n", json!("!")),
            main(),
        ]),
        keys.good("a key with a kid that is not a string is not found", "key_not_found")
            .keys(&[jwk_with(main(), "kid", json!(1)), second()]),
        unnamed("a single key with a kid that is not a string is rejected", "key_rejected")
            .keys(&[jwk_with(main(), "kid", json!(1))]),
        unnamed("a key with a kid that is not a string is not usable", "ok")
            .keys(&[anonymous(main()), jwk_with(second(), "kid", json!(1))]),
        keys.good("a signature of another key than the named one is invalid", "signature_invalid")
            .keys(&[
                jwk_with(second(), "kid", json!("main")),
                jwk_with(main(), "kid", json!("other")),
            ]),
    ]
}

/// Returns the modulus with a leading zero octet, in plain base64 with padding.
fn spelled_out(key: &RsaKey) -> String {
    STANDARD.encode([&[0, 0][..], &key.n.to_bytes_be()].concat())
}

/// One of them is an escaped backslash before a letter that would be an escape.
const EVERY_ESCAPE: &str =
    r#"\"\\\/\b\f\n\r\t\\n\\\\u0041\u00E9\ud800\udc00\uD83E\uDD8a\udbff\udfff"#;

fn sets(keys: &Keys) -> Vec<Vector> {
    let main = || keys.main.jwk("main");
    let crowd = |others: usize| -> Vec<Value> {
        (0..others)
            .map(|number| json!({ "kty": "EC", "kid": number.to_string() }))
            .chain([main()])
            .collect()
    };
    let beside = |name: &str, entry: Value| keys.good(name, "ok").keys(&[entry, main()]);
    vec![
        keys.good("a set of 1000 keys is accepted", "ok").keys(&crowd(999)),
        keys.good("a set of 1001 keys is invalid", "jwks_invalid").keys(&crowd(1000)),
        beside("a string as a key spoils only itself", json!("key")),
        beside("a number as a key spoils only itself", json!(7)),
        beside("null as a key spoils only itself", json!(null)),
        beside("an array as a key spoils only itself", json!([main()])),
        keys.good("an entry that is no object is no key", "key_not_found").keys(&[json!("main")]),
        keys.header(
            "without kid a single entry that is no object is rejected",
            &Object::header().without("kid"),
            "key_rejected",
        )
        .keys(&[json!("main")]),
        keys.good("without a loaded set no key is found", "jwks_unavailable")
            .without_option("jwks"),
        keys.header(
            "without a loaded set no key is found, even without kid",
            &Object::header().without("kid"),
            "jwks_unavailable",
        )
        .without_option("jwks"),
    ]
}

/// Keys that would verify their token, but are rejected.
fn strength(keys: &Keys) -> Vec<Vector> {
    let weak = |name: &str, key: &RsaKey| {
        let token = signed(key, Object::header().text(), Object::claims().text());
        keys.vector(name, token, "key_rejected").keys(&[key.jwk("main")])
    };
    let big = |bits: u64| BigUint::from(1u8) << bits;
    let two = BigUint::from(2u8);
    let square = RsaKey::generate("e2", 2048, 2);
    let mut vectors = vec![
        weak("a key of 512 bits is rejected", &RsaKey::generate("512", 512, 65537)),
        weak("a key of 1024 bits is rejected", &RsaKey::generate("1024", 1024, 65537)),
        weak("a key of 2040 bits is rejected", &RsaKey::generate("2040", 2040, 65537)),
        weak(
            "a key of 2047 bits, in as many octets as 2048, is rejected",
            &RsaKey::generate("2047", 2047, 65537),
        ),
        weak("a key of 8193 bits is rejected", &RsaKey::generate("8193", 8193, 65537)),
        weak("a key of 8200 bits is rejected", &RsaKey::generate("8200", 8200, 65537)),
        weak(
            "a key with an even modulus is rejected",
            &RsaKey::near("even", &(BigUint::from(5u8) << 2045), &[two], 65537),
        ),
        weak("a key with e = 1 is rejected", &RsaKey::generate("e1", 2048, 1)),
        weak(
            "a key with e = 2^33 + 1 is rejected",
            &RsaKey::generate("e33+1", 2048, (1 << 33) + 1),
        ),
        weak("a key with e = 2^64 - 1 is rejected", &RsaKey::generate("e64-1", 2048, u64::MAX)),
        keys.vector(
            "a key with e = 2 is rejected, even if the signature is a square root",
            first_signed(&Object::header(), |message| {
                square.square_root(&pkcs1(square.size(), &Sha256::digest(message)))
            }),
            "key_rejected",
        )
        .keys(&[square.jwk("main")]),
    ];
    for (what, e) in [
        ("e = 0", BigUint::default()),
        ("e = 4", BigUint::from(4u8)),
        ("e = 65536", BigUint::from(65536u32)),
        ("e = 2^33", big(33)),
        ("e = 2^64 + 1, which is 1 in 64 bits,", big(64) + 1u8),
        ("e = 2^64 + 65537, which is 65537 in 64 bits,", big(64) + 65537u32),
        ("e = 2^32 + 2, which is 2 in 32 bits,", big(32) + 2u8),
        ("an e as long as the modulus", &keys.main.n - 2u8),
    ] {
        let key = jwk_with(keys.main.jwk("main"), "e", base64url(e.to_bytes_be()));
        vectors.push(
            keys.good(&format!("a key with {what} is rejected"), "key_rejected").keys(&[key]),
        );
    }
    vectors
}

fn encoding(keys: &Keys) -> Vec<Vector> {
    let main = || keys.main.jwk("main");
    let octets = keys.main.n.to_bytes_be();
    let n = base64url(&octets);
    let with_n =
        |name: &str, n: Value| keys.good(name, "key_rejected").keys(&[jwk_with(main(), "n", n)]);
    let with_e =
        |name: &str, e: Value| keys.good(name, "key_rejected").keys(&[jwk_with(main(), "e", e)]);
    let value = |name: &str, member: &str, text: String| {
        keys.good(name, "ok").keys(&[jwk_with(main(), member, text)])
    };
    let spelled = |last: char| format!("{}{last}", &n[..n.len() - 1]);
    // 256 octets leave four bits of the last character unused.
    let alternative = spelled(match n.chars().last() {
        Some('A') => 'B',
        Some('Q') => 'R',
        Some('g') => 'h',
        _ => 'x',
    });
    let e3 = |name: &str, e: &str, expect: &str| {
        let token = signed(&keys.e3, Object::header().text(), Object::claims().text());
        keys.vector(name, token, expect).keys(&[jwk_with(keys.e3.jwk("main"), "e", e)])
    };
    vec![
        with_n("a key without n is rejected", json!(null)),
        with_n("a key with an empty n is rejected", json!("")),
        with_n("a key with a number as n is rejected", json!(65537)),
        with_n("a key with an array as n is rejected", json!([n])),
        value(
            "a modulus with a leading zero octet is read by value",
            "n",
            base64url([&[0][..], &octets].concat()),
        ),
        value(
            "a modulus with 64 leading zero octets is read by value",
            "n",
            base64url([&[0; 64][..], &octets].concat()),
        ),
        value("a modulus with padding is read by value", "n", format!("{n}==")),
        value(
            "a modulus in the alphabet with + and / is read by value",
            "n",
            n.replace('-', "+").replace('_', "/"),
        ),
        value("a modulus in plain base64 is read by value", "n", spelled_out(&keys.main)),
        value("an exponent with leading zero octets is read by value", "e", "AAABAAE=".into()),
        with_n("a modulus with too little padding is rejected", json!(format!("{n}="))),
        with_n("a modulus with too much padding is rejected", json!(format!("{n}==="))),
        with_n("a modulus of zeros is rejected", json!("AAAA")),
        with_n("a modulus with a set unused bit is rejected", json!(alternative)),
        with_n("a modulus with a newline after it is rejected", json!(format!("{n}\n"))),
        with_n("a modulus with a space before it is rejected", json!(format!(" {n}"))),
        with_n("a modulus with extra characters is rejected", json!(format!("{n}AAA"))),
        with_e("a key without e is rejected", json!(null)),
        with_e("a key with an empty e is rejected", json!("")),
        with_e("a key with a number as e is rejected", json!(65537)),
        with_e("an exponent with needless padding is rejected", json!("AQAB=")),
        with_e("an exponent with a newline after it is rejected", json!("AQAB\n")),
        with_e("an exponent of five characters is rejected", json!("AQABA")),
        e3("e = 3 in its canonical spelling is accepted", "Aw", "ok"),
        e3("e = 3 with a set unused bit is rejected", "Ax", "key_rejected"),
        e3("e = 3 with padding is accepted", "Aw==", "ok"),
        e3("e = 3 with three leading zero octets is accepted", "AAAAAw", "ok"),
    ]
}

/// Good moduli in keys with other wrong members.
fn purpose(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (what, name, value) in [
        ("without kty", "kty", json!(null)),
        ("with kty rsa", "kty", json!("rsa")),
        ("with kty EC", "kty", json!("EC")),
        ("with kty OKP", "kty", json!("OKP")),
        ("with kty oct", "kty", json!("oct")),
        ("with kty in an array", "kty", json!(["RSA"])),
        ("with use enc", "use", json!("enc")),
        ("with use SIG", "use", json!("SIG")),
        ("with an empty use", "use", json!("")),
        ("with use in an array", "use", json!(["sig"])),
        ("with empty key_ops", "key_ops", json!([])),
        ("with key_ops of only sign", "key_ops", json!(["sign"])),
        ("with key_ops of encrypt and wrapKey", "key_ops", json!(["encrypt", "wrapKey"])),
        ("with key_ops of Verify", "key_ops", json!(["Verify"])),
        ("with key_ops as a string", "key_ops", json!("verify")),
        ("with key_ops that hold a number", "key_ops", json!(["verify", 1])),
        ("with alg RS512", "alg", json!("RS512")),
        ("with alg PS256", "alg", json!("PS256")),
        ("with alg RSA-OAEP", "alg", json!("RSA-OAEP")),
        ("with alg rs256", "alg", json!("rs256")),
        ("with alg none", "alg", json!("none")),
        ("with alg in an array", "alg", json!(["RS256"])),
        ("with the private exponent d", "d", json!("AQAB")),
        ("with the prime p", "p", json!("AQAB")),
        ("with the prime q", "q", json!("AQAB")),
        ("with the exponent dp", "dp", json!("AQAB")),
        ("with the exponent dq", "dq", json!("AQAB")),
        ("with the coefficient qi", "qi", json!("AQAB")),
        ("with more primes in oth", "oth", json!([])),
        ("with an empty d", "d", json!("")),
    ] {
        vectors.push(
            keys.good(&format!("a key {what} is rejected"), "key_rejected").keys(&[jwk_with(
                keys.main.jwk("main"),
                name,
                value,
            )]),
        );
    }
    for name in ["use", "key_ops", "alg", "d", "p", "oth", "k"] {
        let mut key = keys.main.jwk("main");
        key[name] = json!(null);
        vectors.push(keys.good(&format!("a key whose {name} is null has none"), "ok").keys(&[key]));
    }
    for name in ["kty", "n", "e"] {
        let mut key = keys.main.jwk("main");
        key[name] = json!(null);
        vectors.push(
            keys.good(&format!("a key whose {name} is null lacks it"), "key_rejected").keys(&[key]),
        );
    }
    let mut key = keys.main.jwk("main");
    key["kid"] = json!(null);
    vectors.push(
        keys.header("a key whose kid is null has none", &Object::header().without("kid"), "ok")
            .keys(&[key]),
    );
    let certificate = json!({ "kty": "RSA", "use": "sig", "x5c": ["MIIB"] });
    for (what, key) in [
        ("a key that is only a certificate", certificate),
        (
            "an EC key",
            json!({ "kty": "EC", "crv": "P-256", "x": base64url([1; 32]), "y": base64url([2; 32]) }),
        ),
        ("an OKP key", json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url([1; 32]) })),
        ("a symmetric key", json!({ "kty": "oct", "k": base64url([1; 32]) })),
        ("an empty key", json!({})),
    ] {
        let key = jwk_with(key, "kid", json!("main"));
        vectors.push(keys.good(&format!("{what} is rejected"), "key_rejected").keys(&[key]));
    }
    vectors
}
