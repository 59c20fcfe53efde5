//! The header parameters (RFC 7515 §4), checked against the policy.

use crate::{
    Error, Policy,
    algorithm::Algorithm,
    error::{Refusal, boxed},
    json::Document,
    text::split_once,
};

/// The parts of a checked header that select the key.
///
/// Parameters that carry a key (`jwk`, `jku`, `x5c`, `x5u`) are not read: a token does not choose
/// the key that checks it.
pub(crate) struct Header<'a> {
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) kid: Option<&'a str>,
}

impl<'a> Header<'a> {
    /// Checks, in this order: `alg`, critical extensions, `zip`, `typ`, `kid`.
    pub(crate) fn read(header: &'a Document, policy: &Policy) -> Result<Self, Refusal> {
        let invalid = |parameter, problem| boxed(Error::HeaderInvalid { parameter, problem });

        let alg = optional_string(header, "alg")?.ok_or_else(|| invalid("alg", "is missing"))?;
        let algorithm = Algorithm::by_name(alg).ok_or_else(|| boxed(Error::AlgorithmNotAllowed))?;

        // RFC 7515 §4.1.11: every extension in `crit` must be understood, and this verifier
        // understands none. `b64` (RFC 7797) changes the signed bytes, so it is refused outside
        // `crit` too.
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(boxed(Error::CriticalUnsupported));
        }
        if header.get("zip").is_some() {
            return Err(invalid("zip", "is not for signed tokens"));
        }

        if policy.get("type").is_some() {
            let typ = optional_string(header, "typ")?;
            let is = |typ| policy.texts("type").any(|expected| same_media_type(typ, expected));
            if !typ.is_some_and(is) {
                let expected = policy.shown("type");
                return Err(boxed(Error::TypeMismatch { expected, missing: typ.is_none() }));
            }
        }

        Ok(Self { algorithm, kid: optional_string(header, "kid")? })
    }
}

const IS_NULL: &str = "is null: expected a string";

fn optional_string<'a>(
    header: &'a Document,
    parameter: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    match header.get(parameter) {
        None => Ok(None),
        Some(value) => {
            let problem = if value.is_null() { IS_NULL } else { "is not a string" };
            value
                .as_str()
                .map(Some)
                .ok_or_else(|| boxed(Error::HeaderInvalid { parameter, problem }))
        }
    }
}

/// Compares media types: without case, and with an optional `application/` (RFC 7515 §4.1.9).
fn same_media_type(a: &str, b: &str) -> bool {
    subtype(a).eq_ignore_ascii_case(subtype(b))
}

fn subtype(media_type: &str) -> &str {
    const PREFIX: &str = "application/";
    match media_type.split_at_checked(PREFIX.len()) {
        // "It MUST be left in if another slash follows."
        Some((prefix, rest))
            if prefix.eq_ignore_ascii_case(PREFIX) && split_once(rest, b'/').is_none() =>
        {
            rest
        }
        _ => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::same_media_type;

    #[test]
    fn media_types_compare_without_case_and_prefix() {
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(same_media_type(same, "at+jwt") && same_media_type("at+jwt", same), "{same}");
        }
        for other in ["", "jwt", "at+jwt ", "text/at+jwt", "application/", "application/x/at+jwt"] {
            assert!(!same_media_type(other, "at+jwt"), "{other}");
        }
    }
}
