//! Strict JSON in header and payload: duplicates, encoding, depth, grammar.

use super::Keys;
use crate::object::Object;
use crate::token::signed;
use crate::vector::Vector;

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = duplicates(keys);
    vectors.extend(prototypes(keys));
    vectors.extend(texts(keys));
    vectors.extend(encodings(keys));
    vectors.extend(depths(keys));
    vectors
}

fn duplicates(keys: &Keys) -> Vec<Vector> {
    let header = Object::header;
    let claims = Object::claims;
    let bad_header = |name: &str, header: Object| keys.header(name, &header, "token_malformed");
    let bad_claims = |name: &str, claims: Object| keys.claims(name, &claims, "token_malformed");
    vec![
        bad_header("a header with alg twice is malformed", header().add("alg", r#""RS256""#)),
        bad_header(
            "a header with alg twice, the first one none, is malformed",
            header().add_first("alg", r#""none""#),
        ),
        bad_header("a header with kid twice is malformed", header().add("kid", r#""other""#)),
        bad_header(
            "a header with an unknown member twice is malformed",
            header().add("x", "1").add("x", "1"),
        ),
        bad_header(
            "a header with alg twice, once escaped, is malformed",
            header().add(r"\u0061lg", r#""none""#),
        ),
        bad_header(
            "a duplicate member inside a member of the header is malformed",
            header().set("x", r#"{"a":1,"a":2}"#),
        ),
        bad_claims("a payload with exp twice is malformed", claims().add("exp", "9999999999")),
        bad_claims(
            "a payload with exp twice, both the same, is malformed",
            claims().add("exp", "1700000900"),
        ),
        bad_claims("a payload with aud twice is malformed", claims().add_first("aud", r#""x""#)),
        bad_claims(
            "a payload with iss twice, once escaped, is malformed",
            claims().add(r"is\u0073", r#""https://evil.example""#),
        ),
        bad_claims(
            "a payload with an unknown member twice is malformed",
            claims().add("x", "1").add("x", "2"),
        ),
        bad_claims(
            "a payload with __proto__ twice is malformed",
            claims().add("__proto__", "{}").add("__proto__", "{}"),
        ),
        bad_claims(
            "a payload with the empty name twice is malformed",
            claims().add("", "1").add("", "2"),
        ),
        bad_claims(
            "a duplicate member inside an object of the payload is malformed",
            claims().set("x", r#"{"a":1,"b":2,"a":1}"#),
        ),
        bad_claims(
            "a duplicate member inside an object inside an array is malformed",
            claims().set("x", r#"[0,[{"a":1,"a":2}]]"#),
        ),
        bad_claims(
            "a duplicate member ten objects deep is malformed",
            claims().set(
                "x",
                &format!("{}{}{}", r#"{"a":"#.repeat(10), r#"{"b":1,"b":1}"#, "}".repeat(10)),
            ),
        ),
        bad_claims("a duplicate among sixteen names is malformed", crowd(15).add("m0", "1")),
        bad_claims("a duplicate among a hundred names is malformed", crowd(99).add("m0", "1")),
        bad_claims(
            "a duplicate among a hundred names, once escaped, is malformed",
            crowd(99).add(r"m\u0039\u0030", "1"),
        ),
        keys.claims("a hundred members of different names are accepted", &crowd(100), "ok"),
        bad_claims(
            "a duplicate name beyond the basic plane, once escaped, is malformed",
            claims().add("🦊", "1").add(r"\ud83e\udd8a", "1"),
        ),
    ]
}

fn prototypes(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (what, name, raw) in [
        ("a member named __proto__", "__proto__", r#"{"admin":true}"#),
        ("a member named __proto__ that is null", "__proto__", "null"),
        ("a member named __proto__, once escaped,", r"__proto\u005f_", "1"),
        ("a member named __proto__ in an object", "x", r#"{"a":1,"__proto__":{}}"#),
        ("a member named __proto__ in an array", "x", r#"[1,[{"__proto__":[]}]]"#),
    ] {
        vectors.push(keys.header(
            &format!("a header with {what} is malformed"),
            &Object::header().set(name, raw),
            "token_malformed",
        ));
        vectors.push(keys.claims(
            &format!("a payload with {what} is malformed"),
            &Object::claims().set(name, raw),
            "token_malformed",
        ));
    }
    vectors.push(keys.claims(
        "__proto__ as a value, and names like it, are accepted",
        &Object::claims().set("x", r#""__proto__""#).set("__proto", "1").set("__PROTO__", "1"),
        "ok",
    ));
    vectors
}

/// Returns the default claims and others, `m0` and so on, `count` in all.
fn crowd(count: usize) -> Object {
    (0..count - 8).fold(Object::claims(), |claims, number| claims.set(&format!("m{number}"), "1"))
}

/// Texts that are not a JSON object, in place of the header and of the payload.
fn texts(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (part, good) in [("header", Object::header().text()), ("payload", Object::claims().text())]
    {
        let inner = good.trim_start_matches('{').trim_end_matches('}');
        for (what, text) in [
            ("an array", format!("[{good}]")),
            ("an empty array", "[]".into()),
            ("a string", "\"text\"".into()),
            ("a number", "1".into()),
            ("true", "true".into()),
            ("null", "null".into()),
            ("white space", "  ".into()),
            ("an object without its end", good.trim_end_matches('}').into()),
            ("an object without its start", good.trim_start_matches('{').into()),
            ("an object with a letter after it", format!("{good}x")),
            ("an object with a brace after it", format!("{good}}}")),
            ("an object with a NUL after it", format!("{good}\0")),
            ("an object with a second object after it", format!("{good}{good}")),
            ("an object with an empty object on the next line", format!("{good}\n{{}}")),
            ("an object with a no-break space after it", format!("{good}\u{a0}")),
            ("an object with a form feed before it", format!("\x0c{good}")),
            ("an object with a byte order mark before it", format!("\u{feff}{good}")),
            ("an object with a trailing comma", format!("{{{inner},}}")),
            ("an object with a leading comma", format!("{{,{inner}}}")),
            ("an object with a doubled comma", format!("{{\"x\":1,,{inner}}}")),
            ("an object with a missing comma", format!("{{\"x\":1 {inner}}}")),
            ("an object with a missing colon", format!("{{\"x\" 1,{inner}}}")),
            ("an object with a missing value", format!("{{\"x\":,{inner}}}")),
            ("an object with a comment", format!("{{/* */{inner}}}")),
            ("an object with a line comment", format!("{{//\n{inner}}}")),
            ("an object with a bare name", format!("{{x:1,{inner}}}")),
            ("an object with single quotes", format!("{{'x':1,{inner}}}")),
            ("an object with a number for a name", format!("{{1:1,{inner}}}")),
            (
                "an object with an array that has a trailing comma",
                format!("{{\"x\":[1,],{inner}}}"),
            ),
            ("an object with an array that has no end", format!("{{{inner},\"x\":[1}}")),
            ("an object with NaN", format!("{{\"x\":NaN,{inner}}}")),
            ("an object with Infinity", format!("{{\"x\":Infinity,{inner}}}")),
            ("an object with -Infinity", format!("{{\"x\":-Infinity,{inner}}}")),
            ("an object with undefined", format!("{{\"x\":undefined,{inner}}}")),
            ("an object with True", format!("{{\"x\":True,{inner}}}")),
            ("an object with a number that has a leading zero", format!("{{\"x\":01,{inner}}}")),
            (
                "an object with a negative number that has a leading zero",
                format!("{{\"x\":-01,{inner}}}"),
            ),
            ("an object with a number that has a plus", format!("{{\"x\":+1,{inner}}}")),
            ("an object with a number that starts with a point", format!("{{\"x\":.5,{inner}}}")),
            ("an object with a number that ends with a point", format!("{{\"x\":1.,{inner}}}")),
            ("an object with a number that has an empty exponent", format!("{{\"x\":1e,{inner}}}")),
            ("an object with a lone minus", format!("{{\"x\":-,{inner}}}")),
            ("an object with a hexadecimal number", format!("{{\"x\":0x10,{inner}}}")),
            ("an object with a raw newline in a string", format!("{{\"x\":\"a\nb\",{inner}}}")),
            ("an object with a raw tab in a string", format!("{{\"x\":\"a\tb\",{inner}}}")),
            ("an object with a raw NUL in a string", format!("{{\"x\":\"a\0b\",{inner}}}")),
            ("an object with a raw U+001F in a string", format!("{{\"x\":\"a\x1fb\",{inner}}}")),
            ("an object with a raw newline in a name", format!("{{\"a\nb\":1,{inner}}}")),
            ("an object with an unknown escape", format!("{{\"x\":\"\\x41\",{inner}}}")),
            ("an object with an escaped single quote", format!("{{\"x\":\"\\'\",{inner}}}")),
            ("an object with a short escape", format!("{{\"x\":\"\\u41\",{inner}}}")),
            (
                "an object with an escape that is not hexadecimal",
                format!("{{\"x\":\"\\u00g1\",{inner}}}"),
            ),
            ("an object with a string without its end", format!("{{{inner},\"x\":\"a}}")),
            ("a lone high surrogate escape", format!("{{\"x\":\"\\ud800\",{inner}}}")),
            ("a lone low surrogate escape", format!("{{\"x\":\"\\udc00\",{inner}}}")),
            ("the last high surrogate escape alone", format!("{{\"x\":\"\\udbff\",{inner}}}")),
            ("the last low surrogate escape alone", format!("{{\"x\":\"\\udfff\",{inner}}}")),
            (
                "a high surrogate escape before the last high surrogate",
                format!("{{\"x\":\"\\ud800\\udbff\",{inner}}}"),
            ),
            (
                "a high surrogate escape before U+E000",
                format!("{{\"x\":\"\\ud800\\ue000\",{inner}}}"),
            ),
            ("surrogate escapes in reverse", format!("{{\"x\":\"\\udd8a\\ud83e\",{inner}}}")),
            ("two high surrogate escapes", format!("{{\"x\":\"\\ud83e\\ud83e\",{inner}}}")),
            ("a high surrogate escape before a letter", format!("{{\"x\":\"\\ud83ea\",{inner}}}")),
            (
                "a high surrogate escape before another escape",
                format!("{{\"x\":\"\\ud83e\\n\",{inner}}}"),
            ),
            ("a lone surrogate escape in a name", format!("{{\"\\udead\":1,{inner}}}")),
        ] {
            vectors.push(replaced(
                keys,
                part,
                &format!("{what} as the {part} is malformed"),
                text.as_bytes(),
            ));
        }
    }
    vectors
}

/// Octets that are not UTF-8.
fn encodings(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (part, good) in [("header", Object::header().text()), ("payload", Object::claims().text())]
    {
        let around = |octets: &[u8]| {
            let end = format!("\",{}", &good[1..]);
            [b"{\"x\":\"", octets, end.as_bytes()].concat()
        };
        let wide = |octets: fn(u16) -> [u8; 2]| -> Vec<u8> {
            good.encode_utf16().flat_map(octets).collect()
        };
        for (what, octets) in [
            ("an octet FF", around(&[0xff])),
            ("a continuation octet alone", around(&[0x80])),
            ("a sequence without its end", around(&[0xe2, 0x82])),
            ("an overlong slash", around(&[0xc0, 0xaf])),
            ("an overlong NUL", around(&[0xc0, 0x80])),
            ("an overlong sequence of three", around(&[0xe0, 0x80, 0xaf])),
            ("a surrogate in UTF-8", around(&[0xed, 0xa0, 0x80])),
            ("a surrogate pair in UTF-8", around(&[0xed, 0xa0, 0xbe, 0xed, 0xb6, 0x8a])),
            ("a code point above 10FFFF", around(&[0xf4, 0x90, 0x80, 0x80])),
            ("a letter in Latin-1", around(&[b'Z', b'o', 0xeb])),
            ("little-endian UTF-16", wide(u16::to_le_bytes)),
            ("big-endian UTF-16", wide(u16::to_be_bytes)),
            (
                "UTF-16 with a byte order mark",
                [&[0xff, 0xfe][..], &wide(u16::to_le_bytes)].concat(),
            ),
        ] {
            vectors.push(replaced(
                keys,
                part,
                &format!("{what} in the {part} is malformed"),
                &octets,
            ));
        }
    }
    vectors
}

/// The outermost object has depth 1. The greatest depth is 64.
fn depths(keys: &Keys) -> Vec<Vector> {
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let objects =
        |depth: usize| format!("{}{}{}", r#"{"a":"#.repeat(depth - 2), "{}", "}".repeat(depth - 2));
    let mixed = |depth: usize| {
        let pairs = (depth - 2) / 2;
        let inner = if depth.is_multiple_of(2) { "1" } else { "[]" };
        // Each pair adds an array and an object.
        format!("{}[{inner}]{}", r#"[{"a":"#.repeat(pairs), "}]".repeat(pairs))
    };
    let header = |value: String| Object::header().set("x", &value);
    let claims = |value: String| Object::claims().set("x", &value);
    vec![
        keys.claims("arrays to depth 64 in the payload are accepted", &claims(arrays(64)), "ok"),
        keys.claims(
            "arrays to depth 65 in the payload are malformed",
            &claims(arrays(65)),
            "token_malformed",
        ),
        keys.claims("objects to depth 64 in the payload are accepted", &claims(objects(64)), "ok"),
        keys.claims(
            "objects to depth 65 in the payload are malformed",
            &claims(objects(65)),
            "token_malformed",
        ),
        keys.claims(
            "arrays and objects to depth 64 in the payload are accepted",
            &claims(mixed(64)),
            "ok",
        ),
        keys.claims(
            "arrays and objects to depth 65 in the payload are malformed",
            &claims(mixed(65)),
            "token_malformed",
        ),
        keys.header("arrays to depth 64 in the header are accepted", &header(arrays(64)), "ok"),
        keys.header(
            "arrays to depth 65 in the header are malformed",
            &header(arrays(65)),
            "token_malformed",
        ),
        keys.header("objects to depth 64 in the header are accepted", &header(objects(64)), "ok"),
        keys.header(
            "objects to depth 65 in the header are malformed",
            &header(objects(65)),
            "token_malformed",
        ),
        keys.claims(
            "many sibling arrays are not deep",
            &claims(format!("[{}[]]", "[],".repeat(200))),
            "ok",
        ),
        keys.claims(
            "brackets inside a string are not deep",
            &claims(format!("\"{}\"", "[{".repeat(100))),
            "ok",
        ),
        keys.claims(
            "arrays a thousand deep without an end are malformed",
            &claims("[".repeat(1000)),
            "token_malformed",
        ),
    ]
}

fn replaced(keys: &Keys, part: &str, name: &str, octets: &[u8]) -> Vector {
    let token = match part {
        "header" => signed(&keys.main, octets, Object::claims().text()),
        _ => signed(&keys.main, Object::header().text(), octets),
    };
    keys.vector(name, token, "token_malformed")
}
