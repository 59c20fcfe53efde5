//! Good tokens, with the variations that a verifier must accept.

use serde_json::json;

use super::{Keys, jwk_with};
use crate::object::Object;
use crate::rsa::RsaKey;
use crate::token::signed;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let header = Object::header;
    let claims = Object::claims;
    let mut vectors = vec![
        keys.good("a token of the issuer is accepted", "ok"),
        keys.claims(
            "a token with only iss, aud and exp is accepted",
            &Object::default()
                .set("iss", r#""https://auth.example""#)
                .set("aud", r#""api""#)
                .set("exp", "1700000900"),
            "ok",
        ),
        keys.header(
            "an unknown header parameter is ignored",
            &header().set("x", r#"{"deep":[1]}"#),
            "ok",
        ),
        keys.claims("an unknown claim is kept", &claims().set("groups", r#"["a","b"]"#), "ok"),
        keys.claims(
            "a claim named constructor is accepted",
            &claims().set("constructor", r#"{"prototype":1}"#),
            "ok",
        ),
        keys.claims(
            "text beyond ASCII is accepted, raw or escaped",
            &claims().set("name", r#""Zoë 🦊 \u00e9 \ud83e\udd8a""#),
            "ok",
        ),
        keys.claims(
            "escapes at the edges of the surrogates are accepted",
            &claims().set("name", r#""\ud7ff\ue000\ud800\udc00\udbff\udfff""#),
            "ok",
        ),
        keys.claims(
            "characters at the edges of every range are accepted raw",
            &claims().set("name", "\" !~\x7f\u{80}\u{d7ff}\u{e000}\u{10ffff}\""),
            "ok",
        ),
        keys.claims(
            "every form of value is accepted",
            &claims().set(
                "x",
                r#"[0,-0,0.5,-1.5e3,1E+2,0e-1,10,9E400,"",[],{},[[ ] , { }],true,false,null]"#,
            ),
            "ok",
        ),
        keys.claims(
            "an escaped NUL inside a string is accepted",
            &claims().set("name", r#""a\u0000b""#),
            "ok",
        ),
        keys.claims(
            "member names that differ only in case are different members",
            &claims().set("EXP", "1").set("Iss", r#""someone""#),
            "ok",
        ),
        keys.claims("an empty member name is accepted", &claims().set("", "1"), "ok"),
        keys.claims(
            "one name in two objects is not a duplicate",
            &claims().set("a", r#"{"exp":1}"#).set("b", r#"[{"exp":1},{"exp":1}]"#),
            "ok",
        ),
        keys.claims(
            "escapes in the name of a claim are resolved",
            &claims().without("iss").set(r"\u0069ss", r#""https:\/\/auth.example""#),
            "ok",
        ),
        keys.vector(
            "JSON white space around and between members is accepted",
            signed(
                &keys.main,
                "\r\n{ \"alg\" : \"RS256\" ,\t\"typ\": \"at+jwt\", \"kid\": \"main\" }\n",
                " {\"iss\": \"https://auth.example\",\n\"aud\": [ \"api\" ], \"exp\": 1700000900 } ",
            ),
            "ok",
        ),
        keys.vector(
            "header members may stand in any order",
            signed(
                &keys.main,
                r#"{"kid":"main","typ":"at+jwt","alg":"RS256"}"#,
                claims().text(),
            ),
            "ok",
        ),
    ];

    for (name, key) in [
        ("a key of 2048 bits, the minimum, is accepted", keys.main.clone()),
        ("a key of 2049 bits is accepted", RsaKey::generate("2049", 2049, 65537)),
        ("a key of 2056 bits is accepted", RsaKey::generate("2056", 2056, 65537)),
        ("a key of 3072 bits is accepted", RsaKey::generate("3072", 3072, 65537)),
        ("a key of 4096 bits is accepted", RsaKey::generate("4096", 4096, 65537)),
        ("a key of 8192 bits, the maximum, is accepted", RsaKey::generate("8192", 8192, 65537)),
        ("a key with e = 3, the minimum, is accepted", keys.e3.clone()),
        ("a key with e = 17 is accepted", RsaKey::generate("e17", 2048, 17)),
        ("a key with e = 65539 is accepted", RsaKey::generate("e65539", 2048, 65539)),
        (
            "a key with e = 2^33 - 1, the maximum, is accepted",
            RsaKey::generate("e33", 2048, (1 << 33) - 1),
        ),
        ("a key whose modulus is just below 2^2048 is accepted", just_below()),
    ] {
        let token = signed(&key, header().text(), claims().text());
        vectors.push(keys.vector(name, token, "ok").keys(&[key.jwk("main")]));
    }

    let main = || keys.main.jwk("main");
    vectors.extend([
        keys.good("a key with only kid, kty, n and e is accepted", "ok").keys(&[jwk_with(
            jwk_with(main(), "use", json!(null)),
            "alg",
            json!(null),
        )]),
        keys.good("key_ops that contain verify are accepted", "ok").keys(&[jwk_with(
            main(),
            "key_ops",
            json!(["verify"]),
        )]),
        keys.good("key_ops with other operations besides verify are accepted", "ok")
            .keys(&[jwk_with(main(), "key_ops", json!(["sign", "verify"]))]),
        keys.good("an unknown member of a key is ignored", "ok").keys(&[jwk_with(
            main(),
            "x5t#S256",
            json!("dGh1bWJwcmludA"),
        )]),
        keys.good("an unknown member of the key set is ignored", "ok")
            .option("jwks", json!({ "keys": [main()], "issued": 1 })),
    ]);
    vectors
}

/// Generates a key whose modulus begins with fifty one-bits, an extreme for every accumulator.
fn just_below() -> RsaKey {
    let one = num_bigint::BigUint::from(1u8);
    let target = (&one << 2048) - (&one << 1998);
    RsaKey::near("just below", &target, &[], 65537)
}
