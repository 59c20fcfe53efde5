//! Strict base64url in each of the three parts: no padding, no other alphabet, one text for a
//! value.

use super::Keys;
use crate::object::Object;
use crate::token::{base64url, signed};
use crate::vector::Vector;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) fn vectors(keys: &Keys) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for (part, name) in ["header", "payload", "signature"].into_iter().enumerate() {
        let mut malformed = |what: &str, change: &dyn Fn(&str) -> String| {
            // The length of the text is not a multiple of 4, so it has unused bits and room for
            // padding. The signature covers the changed text: a lax decoder would accept it.
            let token = changed(keys, part, change);
            vectors.push(keys.vector(
                &format!("{what} in the {name} is malformed"),
                token,
                "token_malformed",
            ));
        };
        malformed("padding", &|text| format!("{text}{}", "=".repeat(4 - text.len() % 4)));
        malformed("one padding character", &|text| format!("{text}="));
        malformed("percent-encoded padding", &|text| format!("{text}%3D"));
        malformed("a lone character after the last group of four", &|text| {
            format!("{}A", &text[..text.len() / 4 * 4])
        });
        malformed("one set unused bit", &|text| other_spelling(text, 1));
        malformed("all unused bits set", &|text| {
            other_spelling(text, if text.len() % 4 == 2 { 15 } else { 3 })
        });
        malformed("a space", &|text| format!("{} {}", &text[..8], &text[8..]));
        malformed("a line break", &|text| format!("{}\n{}", &text[..8], &text[8..]));
        malformed("a comma", &|text| format!("{},{}", &text[..8], &text[8..]));
        // The marks of two invalid characters must not cancel out, at any position in a group.
        for start in [8, 9, 10] {
            malformed(&format!("two commas at character {start}"), &|text| {
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

/// Changes the text of one part of a token. A change of header or payload is signed.
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

/// Sets unused bits of the last character: a lax decoder reads the same octets.
fn other_spelling(text: &str, bits: usize) -> String {
    let (start, last) = text.split_at(text.len() - 1);
    let value = ALPHABET.iter().position(|letter| last.as_bytes() == [*letter]);
    let value = value.expect("an encoder writes its alphabet");
    format!("{start}{}", char::from(ALPHABET[value | bits]))
}

/// Returns a good token with both `-` and `_` in every part.
fn with_both_symbols(keys: &Keys) -> String {
    // Of three equal octets in a row, one is the third of its group, and its last character is then
    // a symbol.
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
