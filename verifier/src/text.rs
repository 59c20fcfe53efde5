//! Texts composed without `core::fmt`, which would be a good part of the WASM module.

use alloc::string::String;

/// Joins the parts of a message.
pub(crate) fn text(parts: &[&str]) -> String {
    // Most messages fit, and need no second allocation.
    let mut message = String::with_capacity(128);
    for part in parts {
        message.push_str(part);
    }
    message
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
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 16_384, u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
        }
    }
}
