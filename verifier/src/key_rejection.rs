//! The reasons why a key must not be used.

use alloc::string::String;
use core::fmt;

use crate::text::{decimal, text};

/// The reason why a key of a key set must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRejection {
    /// The key has members of a private key. Anybody who has read it can sign: replace the key.
    Private,
    /// `kty` is missing or not `RSA`.
    KeyType,
    /// `use` is not `sig`.
    Use,
    /// `key_ops` is not an array of strings that contains `verify`.
    KeyOperations,
    /// `alg` is not `RS256`.
    Algorithm,
    /// `kid` is not a string.
    KeyId,
    /// `n` is missing or not canonical base64url (RFC 7518 §6.3.1.1: no leading zero bytes).
    ModulusEncoding,
    /// `n` is shorter than 2048 or longer than 8192 bits.
    ModulusSize {
        /// The length of `n`.
        bits: usize,
    },
    /// `n` is even, so it is not an RSA modulus.
    ModulusEven,
    /// `e` is missing or not canonical base64url.
    ExponentEncoding,
    /// `e` is even, or not within 3 ≤ e < 2³³.
    ExponentRange,
}

impl KeyRejection {
    /// Returns the stable name: `private`, `key_type`, `use`, `key_ops`, `alg`, `kid`,
    /// `modulus_encoding`, `modulus_size`, `modulus_even`, `exponent_encoding` or `exponent_range`.
    /// [`Error::reason`](crate::Error::reason) returns the same name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name_and_problem().0
    }

    pub(crate) fn message(self) -> String {
        let (_, problem) = self.name_and_problem();
        match self {
            Self::ModulusSize { bits } => {
                text(&[problem, &decimal(bits as u64), " bits: expected 2048 to 8192"])
            }
            _ => text(&[problem]),
        }
    }

    const fn name_and_problem(self) -> (&'static str, &'static str) {
        match self {
            Self::Private => (
                "private",
                "it is a private key: remove it, and rotate it, since it may have leaked",
            ),
            Self::KeyType => ("key_type", "its kty is not \"RSA\""),
            Self::Use => ("use", "its use is not \"sig\""),
            Self::KeyOperations => ("key_ops", "its key_ops do not contain \"verify\""),
            Self::Algorithm => ("alg", "its alg is not \"RS256\""),
            Self::KeyId => ("kid", "its kid is not a string"),
            Self::ModulusEncoding => (
                "modulus_encoding",
                "its modulus n is missing, or not base64url without padding and leading zero bytes",
            ),
            Self::ModulusSize { .. } => ("modulus_size", "its modulus n has "),
            Self::ModulusEven => ("modulus_even", "its modulus n is even"),
            Self::ExponentEncoding => (
                "exponent_encoding",
                "its exponent e is missing, or not base64url without padding and leading zero bytes",
            ),
            Self::ExponentRange => {
                ("exponent_range", "its exponent e is not odd, at least 3 and below 2^33")
            }
        }
    }
}

impl fmt::Display for KeyRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}
