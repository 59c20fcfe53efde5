//! The token as text: its size limit and its three parts.

use crate::{Error, Part};

/// The three parts of a JWS in compact serialization (RFC 7515 §7.1), still encoded.
pub(crate) struct Compact<'a> {
    /// The signed text: header, period and payload as they stand in the token.
    pub(crate) signing_input: &'a str,
    pub(crate) header: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: &'a str,
}

impl<'a> Compact<'a> {
    /// Splits the token. The length is checked first, so that no work is spent on one that is too
    /// long.
    pub(crate) fn split(token: &'a str, max_token_bytes: usize) -> Result<Self, Error> {
        if token.len() > max_token_bytes {
            return Err(Error::TokenTooLarge { max_token_bytes });
        }
        let malformed = |problem| Error::TokenMalformed { part: Part::Token, problem };
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed(NOT_THREE_PARTS));
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(malformed("has an empty part: expected header.payload.signature"));
        }
        let signing_input = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        Ok(Self { signing_input, header, payload, signature })
    }
}

const NOT_THREE_PARTS: &str =
    "does not have exactly three parts: expected header.payload.signature";
