//! The status index of a token (draft-ietf-oauth-status-list §6.2).

use alloc::string::ToString;

use countersign_claims::StatusReference;

use crate::{
    Error,
    error::Refusal,
    json::{Document, Value},
};

/// Reads the claim `status`. A token without it, or with other mechanisms alone, has no reference.
pub(crate) fn read(payload: &Document) -> Result<Option<StatusReference>, Refusal> {
    let Some(status) = payload.get("status") else { return Ok(None) };
    let reference = status.get("status_list");
    if status.is_object() && reference.is_none() {
        return Ok(None);
    }
    match reference.and_then(parse) {
        Some(reference) => Ok(Some(reference)),
        None => Err(Error::claim_invalid("status", status.kind(), EXPECTED)),
    }
}

const EXPECTED: &str =
    "an object with status_list: { idx, uri }, a whole number of 0 or more and a URL";

fn parse(list: Value<'_>) -> Option<StatusReference> {
    let idx = list.get("idx").and_then(whole)?;
    Some(StatusReference { idx, uri: list.get("uri")?.as_str()?.to_string() })
}

/// Returns a whole number up to 2⁵³ − 1, by its value, as JavaScript reads it: `7.0` is 7.
pub(crate) fn whole(value: Value<'_>) -> Option<u64> {
    let number: f64 = value.as_number()?.parse().ok()?;
    let whole = number as u64;
    (whole < 1 << 53 && whole as f64 == number).then_some(whole)
}
