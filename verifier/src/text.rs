//! Texts composed without `core::fmt`, which would be a good part of the WASM module.

use alloc::string::String;

use crate::search::count_before;

/// Replaces each `%` of a template with the next value. One without a value stays.
pub(crate) fn fill(template: &str, values: &[&str]) -> String {
    // Most texts fit, and need no second allocation.
    let mut text = String::with_capacity(128);
    let mut rest = template;
    for value in values {
        let Some((before, after)) = split_once(rest, b'%') else { break };
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Returns the texts before and after the first `byte`, an ASCII character. The standard library's
/// search is several times as many bytes of WASM.
pub(crate) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = count_before(text.as_bytes(), 0, [byte; 2]);
    text.get(..at).zip(text.get(at + 1..))
}

/// Joins texts. The standard library's `join` is several times as many bytes of WASM.
pub(crate) fn join(texts: &[String], separator: &str) -> String {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    joined
}

/// Returns a number in decimal digits.
pub(crate) fn decimal(number: u64) -> String {
    let mut digits = if number < 10 { String::new() } else { decimal(number / 10) };
    digits.push(char::from(b'0' + (number % 10) as u8));
    digits
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn a_template_is_filled_from_left_to_right() {
        assert_eq!(fill("% and %%", &["50 %", "b"]), "50 % and b%");
        assert_eq!(fill("", &["a"]), "");
    }

    #[test]
    fn a_text_is_split_at_the_first_of_the_bytes() {
        for before in 0..20 {
            for after in ["", "b", "b.b", "\u{e9}\0/-.bbbbbbbbb"] {
                let text = "a".repeat(before);
                let joined = [&text, after].join(".");
                assert_eq!(split_once(&joined, b'.'), Some((&*text, after)), "{joined}");
                assert_eq!(split_once(&joined, b'c'), None, "{joined}");
            }
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 16_384, u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
        }
    }
}
