//! The token as text: its size limit and its three parts.

use crate::{
    Error, Part,
    error::{Refusal, boxed},
    text::split_once,
};

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
    pub(crate) fn split(token: &'a str, max_token_bytes: usize) -> Result<Self, Refusal> {
        if token.len() > max_token_bytes {
            return Err(boxed(Error::TokenTooLarge { max_token_bytes }));
        }
        let malformed = |problem| boxed(Error::TokenMalformed { part: Part::Token, problem });
        let not_three_parts = || malformed(NOT_THREE_PARTS);
        let (header, rest) = split_once(token, b'.').ok_or_else(not_three_parts)?;
        let (payload, signature) = split_once(rest, b'.').ok_or_else(not_three_parts)?;
        if split_once(signature, b'.').is_some() {
            return Err(not_three_parts());
        }
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(malformed("has an empty part: expected header.payload.signature"));
        }
        let signing_input = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        Ok(Self { signing_input, header, payload, signature })
    }
}

const NOT_THREE_PARTS: &str =
    "does not have exactly three parts: expected header.payload.signature";
