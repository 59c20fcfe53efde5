//! Base64url: strict for tokens, by value for keys.

use alloc::{vec, vec::Vec};

/// Decodes base64url without padding (RFC 7515 §2, RFC 4648 §5). Accepts one spelling only: no
/// padding, no white space, no `+` or `/`, unused bits zero (RFC 4648 §3.5). Two different texts
/// never decode to the same bytes.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    decode_bytes(text.as_bytes())
}

/// Decodes base64 in either alphabet (RFC 4648 §4 and §5), with or without padding.
pub(crate) fn decode_any(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut text: Vec<u8> = text
        .bytes()
        .map(|character| match character {
            b'+' => b'-',
            b'/' => b'_',
            _ => character,
        })
        .collect();
    if text.len().is_multiple_of(4) {
        for _ in 0..2 {
            text.pop_if(|last| *last == b'=');
        }
    }
    decode_bytes(&text)
}

fn decode_bytes(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (quads, tail) = text.as_chunks::<4>();
    let mut bytes = vec![0; text.len() / 4 * 3 + text.len() % 4 * 3 / 4];
    let (triples, rest) = bytes.as_chunks_mut::<3>();
    // A value above 63 marks a character outside the alphabet. The marks are collected, and checked
    // once at the end.
    let mut seen = 0;
    for (&[a, b, c, d], triple) in quads.iter().zip(triples) {
        let (a, b, c, d) = (value(a), value(b), value(c), value(d));
        seen |= a | b | c | d;
        *triple = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
    }
    let unused_bits = match (tail, rest) {
        ([], []) => 0,
        (&[a, b], [first]) => {
            let (a, b) = (value(a), value(b));
            seen |= a | b;
            *first = a << 2 | b >> 4;
            b << 4
        }
        (&[a, b, c], [first, second]) => {
            let (a, b, c) = (value(a), value(b), value(c));
            seen |= a | b | c;
            [*first, *second] = [a << 2 | b >> 4, b << 4 | c >> 2];
            c << 6
        }
        _ => return Err("has a length that no base64url text has"),
    };
    if seen > 63 {
        return Err("holds a character outside the base64url alphabet (A-Z a-z 0-9 - _)");
    }
    if unused_bits != 0 {
        return Err("ends in a base64url character whose unused bits are not zero");
    }
    Ok(bytes)
}

const INVALID: u8 = 0x80;

fn value(character: u8) -> u8 {
    VALUES.get(usize::from(character)).copied().unwrap_or(INVALID)
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut values = [INVALID; 256];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::{decode, decode_any};
    use alloc::string::String;
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoded_bytes_decode_to_themselves(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&URL_SAFE_NO_PAD.encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn bytes_encoded_in_any_base64_decode_to_themselves(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                prop_assert_eq!(decode_any(&engine.encode(&bytes)), Ok(bytes.clone()));
            }
        }

        #[test]
        fn the_reference_agrees_on_any_text(text in "[A-Za-z0-9_\\-+/= .é]{0,12}") {
            prop_assert_eq!(decode(&text).ok(), URL_SAFE_NO_PAD.decode(&text).ok());
        }
    }

    #[test]
    fn a_last_group_of_one_character_is_refused() {
        assert!(decode("").is_ok());
        for length in [1, 5, 9] {
            assert!(decode(&"A".repeat(length)).is_err());
        }
    }

    #[test]
    fn padding_has_the_right_length() {
        for text in ["AAA=", "AA==", "", "AAAA"] {
            assert!(decode_any(text).is_ok(), "{text}");
        }
        for text in ["AAAA=", "AAA==", "AA=", "A===", "====", "=", "=AAA", "AA==AAAA", "AA= "] {
            assert!(decode_any(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_invalid_characters_do_not_cancel_out() {
        for length in [4, 6, 7] {
            for position in 1..length {
                let mut text = "A".repeat(length);
                text.replace_range(position - 1..=position, ",,");
                assert!(decode(&text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn an_invalid_character_is_refused_at_every_position() {
        for position in 0..7 {
            for character in ['+', '/', '=', ' ', '\n', '.', '\0', '\u{7f}', '\u{e9}'] {
                let mut text = String::from("AAAAAAA");
                text.replace_range(position..=position, character.encode_utf8(&mut [0; 4]));
                assert!(decode(&text).is_err(), "{character:?} at {position}");
            }
        }
    }
}
