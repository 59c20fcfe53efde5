//! Recovery codes: for a user who has lost the second factor. Each works once.

use zeroize::Zeroizing;

use crate::{Error, crypto};

/// The codes of a user.
pub(crate) const COUNT: usize = 10;

/// The random bytes of a code. Nobody can guess it, with its hash or without.
const BYTES: usize = 10;

/// The characters of a code between two hyphens.
const GROUP: usize = 4;

/// SHA-256 of a code and its user's id.
pub(crate) type RecoveryHash = [u8; 32];

/// New codes, and their hashes for the store.
pub(crate) struct NewCodes {
    pub(crate) codes: Vec<Zeroizing<String>>,
    pub(crate) hashes: Vec<RecoveryHash>,
}

impl NewCodes {
    pub(crate) fn random(user_id: &str) -> Result<Self, Error> {
        let code = |_| crypto::random::<BYTES>().map(|bytes| shown(&bytes));
        let codes: Vec<_> = (0..COUNT).map(code).collect::<Result<_, _>>()?;
        let hashes = codes.iter().map(|code| hash(user_id, code)).collect();
        Ok(Self { codes, hashes })
    }
}

/// Returns the hash of a code as it was typed: case, spaces and hyphens do not matter. With the user's
/// id, so that an attempt on the hashes of all users costs as much for each of them.
pub(crate) fn hash(user_id: &str, code: &str) -> RecoveryHash {
    let code = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let code: Zeroizing<String> = Zeroizing::new(code.map(|c| c.to_ascii_uppercase()).collect());
    // No id contains a space.
    let text = Zeroizing::new(format!("{user_id} {}", *code));
    crypto::sha256(text.as_bytes())
}

/// Returns the code as it is shown: `XXXX-XXXX-XXXX-XXXX`.
fn shown(bytes: &[u8; BYTES]) -> Zeroizing<String> {
    let text = base32(bytes);
    let mut shown = Zeroizing::new(String::with_capacity(text.len() * 5 / GROUP));
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % GROUP == 0 {
            shown.push('-');
        }
        shown.push(c);
    }
    shown
}

/// Encodes bytes whose number is a multiple of 5 in base32 (RFC 4648 §6).
pub(super) fn base32(bytes: &[u8]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 8 / 5));
    for chunk in bytes.chunks(5) {
        let number = chunk.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let digits = (0..8).rev().map(|digit| (number >> (digit * 5)) as usize % ALPHABET.len());
        text.extend(digits.filter_map(|digit| ALPHABET.get(digit)).map(|byte| char::from(*byte)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(*base32(b"fooba"), "MZXW6YTB");
        assert_eq!(*base32(&[0, 0, 0, 0, 0, 255, 255, 255, 255, 255]), "AAAAAAAA77777777");
    }

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let NewCodes { codes, hashes } = NewCodes::random("user_x").unwrap();
        assert_eq!((codes.len(), hashes.len()), (COUNT, COUNT));
        for (code, expected) in codes.iter().zip(&hashes) {
            assert_eq!((code.len(), code.split('-').count()), (19, 4), "{}", **code);
            for typed in [
                code.to_string(),
                code.to_lowercase(),
                code.replace('-', " "),
                code.replace('-', ""),
            ] {
                assert_eq!(hash("user_x", &typed), *expected);
            }
            assert_ne!(hash("user_y", code), *expected);
            assert_eq!(hashes.iter().filter(|other| *other == expected).count(), 1);
        }
    }
}
