//! Strict base64url in each of the three parts: no padding, no other alphabet, one text a value.

use super::Keys;
use crate::object::Object;
use crate::token::{base64url, signed};
use crate::vector::Vector;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (part, name) in ["header", "payload", "signature"].into_iter().enumerate() {
        let mut malformed = |what: &str, change: &dyn Fn(&str) -> String| {
            // A text whose length is no multiple of 4 has unused bits, and room for padding. It is
            // signed as it stands, so that a lax decoder would let it through.
            let token = changed(keys, part, change);
            vectors.push(keys.vector(
                &format!("{what} in the {name} is malformed"),
                token,
                "token_malformed",
            ));
        };
        malformed("padding", &|text| format!("{text}{}", "=".repeat(4 - text.len() % 4)));
        malformed("one padding character", &|text| format!("{text}="));
        malformed("padding that was percent-encoded", &|text| format!("{text}%3D"));
        malformed("a lone character after the last group of four", &|text| {
            format!("{}A", &text[..text.len() / 4 * 4])
        });
        malformed("a set bit among the unused bits of the last character", &|text| {
            other_spelling(text, 1)
        });
        malformed("a full set of unused bits in the last character", &|text| {
            other_spelling(text, if text.len() % 4 == 2 { 15 } else { 3 })
        });
        malformed("a space", &|text| format!("{} {}", &text[..8], &text[8..]));
        malformed("a line break", &|text| format!("{}\n{}", &text[..8], &text[8..]));
        malformed("a comma", &|text| format!("{},{}", &text[..8], &text[8..]));
        // Their marks must not take each other off, wherever they stand in a group.
        for start in [8, 9, 10] {
            malformed(&format!("two commas from character {start} on"), &|text| {
                format!("{},,{}", &text[..start], &text[start + 2..])
            });
        }
        malformed("two commas at the end", &|text| format!("{},,", &text[..text.len() - 2]));
        malformed("a NUL", &|text| format!("{}\0{}", &text[..8], &text[8..]));
        malformed("a letter beyond ASCII", &|text| format!("{}é{}", &text[..8], &text[8..]));
        malformed("a full-width letter", &|text| format!("{}\u{ff21}{}", &text[..8], &text[8..]));
    }

    let standard = |name: &str, part: usize| {
        let token = with_both_symbols(keys);
        let parts: Vec<String> =
            token
                .split('.')
                .enumerate()
                .map(|(index, text)| {
                    if index == part {
                        text.replace('-', "+").replace('_', "/")
                    } else {
                        text.into()
                    }
                })
                .collect();
        keys.vector(name, parts.join("."), "token_malformed")
    };
    vectors.extend([
        standard("the alphabet with + and / in the header is malformed", 0),
        standard("the alphabet with + and / in the payload is malformed", 1),
        standard("the alphabet with + and / in the signature is malformed", 2),
        keys.vector(
            "the alphabet with - and _ in every part is accepted",
            with_both_symbols(keys),
            "ok",
        ),
    ]);
    for length in 0..3 {
        let spaces = " ".repeat(length);
        let claims = Object::claims().text() + &spaces;
        vectors.push(keys.vector(
            &format!("a payload of {} octets is accepted", claims.len()),
            signed(&keys.main, Object::header().text(), claims),
            "ok",
        ));
    }
    vectors
}

/// A token one of whose parts was changed as text, signed afterwards where that is possible.
fn changed(keys: &Keys, part: usize, change: &dyn Fn(&str) -> String) -> String {
    let ragged = |text: String| match text.len() % 3 {
        0 => text + " ",
        _ => text,
    };
    let mut header = base64url(ragged(Object::header().text()));
    let mut payload = base64url(ragged(Object::claims().text()));
    if part == 0 {
        header = change(&header);
    }
    if part == 1 {
        payload = change(&payload);
    }
    let input = format!("{header}.{payload}");
    let mut signature = base64url(keys.main.sign(input.as_bytes()));
    if part == 2 {
        signature = change(&signature);
    }
    format!("{input}.{signature}")
}

/// The text that a lax decoder takes for the same octets: unused bits of the last character set.
fn other_spelling(text: &str, bits: usize) -> String {
    let (start, last) = text.split_at(text.len() - 1);
    let value = ALPHABET.iter().position(|letter| last.as_bytes() == [*letter]);
    let value = value.expect("an encoder writes its alphabet");
    format!("{start}{}", char::from(ALPHABET[value | bits]))
}

/// A good token with both `-` and `_` in every part.
fn with_both_symbols(keys: &Keys) -> String {
    // One of three equal octets in a row stands third in its group, which these end with a symbol.
    let spread = r#"">>>???""#;
    let token = signed(
        &keys.main,
        Object::header().set("x", spread).text(),
        Object::claims().set("x", spread).text(),
    );
    let has_both = |part: &str| part.contains('-') && part.contains('_');
    assert!(token.split('.').all(has_both), "both symbols are in every part");
    token
}
