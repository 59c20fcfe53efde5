//! The reasons why a key must not be used.

use alloc::string::{String, ToString as _};
use core::fmt;

use crate::text::{decimal, fill};

/// The reason why a key of a key set must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRejection {
    /// The entry of the set is not a JSON object.
    NotObject,
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
    /// The set has two different usable keys with this `kid`. Each may be the token's.
    DuplicateKeyId,
    /// It has neither `n` nor `e`, only a certificate, which is not read.
    Certificate,
    /// `n` is missing, or not a number in base64url. Padding, leading zero bytes and the alphabet
    /// of plain base64 are accepted.
    ModulusEncoding {
        /// The fault, in words that follow the member's name.
        problem: &'static str,
    },
    /// `n` is shorter than 2048 or longer than 8192 bits.
    ModulusSize {
        /// The length of `n`.
        bits: usize,
    },
    /// `n` is even, so it is not an RSA modulus.
    ModulusEven,
    /// `e` is missing, or not a number in base64url.
    ExponentEncoding {
        /// The fault, in words that follow the member's name.
        problem: &'static str,
    },
    /// `e` is even, or not within 3 ≤ e < 2³³.
    ExponentRange,
}

impl KeyRejection {
    /// Returns the stable name: `not_object`, `private`, `key_type`, `use`, `key_ops`, `alg`, `kid`,
    /// `duplicate_kid`, `certificate`, `modulus_encoding`, `modulus_size`, `modulus_even`,
    /// `exponent_encoding`, or `exponent_range`. [`Error::reason`](crate::Error::reason) returns the
    /// same name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name_and_problem().0
    }

    pub(crate) fn message(self) -> String {
        let (_, template) = self.name_and_problem();
        match self {
            Self::ModulusSize { bits } => fill(template, &[&decimal(bits as u64)]),
            Self::ModulusEncoding { problem } | Self::ExponentEncoding { problem } => {
                fill(template, &[problem])
            }
            _ => template.to_string(),
        }
    }

    /// Returns the stable name, and the template of the message.
    const fn name_and_problem(self) -> (&'static str, &'static str) {
        match self {
            Self::NotObject => ("not_object", "it is not a JSON object"),
            Self::Private => (
                "private",
                "it is a private key: remove it, and rotate it, since it may have leaked",
            ),
            Self::KeyType => ("key_type", "its kty is not \"RSA\""),
            Self::Use => ("use", "its use is not \"sig\""),
            Self::KeyOperations => ("key_ops", "its key_ops do not contain \"verify\""),
            Self::Algorithm => ("alg", "its alg is not \"RS256\""),
            Self::KeyId => ("kid", "its kid is not a string: expected one, or no kid"),
            Self::DuplicateKeyId => (
                "duplicate_kid",
                "another key of the set has the same kid: the issuer must give each its own",
            ),
            Self::Certificate => (
                "certificate",
                "its modulus n and exponent e are missing: its certificate (x5c) is not read",
            ),
            Self::ModulusEncoding { .. } => {
                ("modulus_encoding", "its modulus n %: expected a number in base64url")
            }
            Self::ModulusSize { .. } => {
                ("modulus_size", "its modulus n has % bits: expected 2048 to 8192")
            }
            Self::ModulusEven => ("modulus_even", "its modulus n is even"),
            Self::ExponentEncoding { .. } => {
                ("exponent_encoding", "its exponent e %: expected a number in base64url")
            }
            Self::ExponentRange => (
                "exponent_range",
                "its exponent e is out of range: expected an odd number from 3 to 2^33",
            ),
        }
    }
}

impl fmt::Display for KeyRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}
