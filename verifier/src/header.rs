use crate::{
    Error, Policy, algorithm,
    json::{Document, Value},
};

/// What the header parameters (RFC 7515 §4) ask for, checked against the policy.
///
/// Parameters that bring a key along (`jwk`, `jku`, `x5c`, `x5u`) are not read: a token does not
/// choose what it is checked with.
pub(crate) struct Header<'a> {
    pub(crate) kid: Option<&'a str>,
}

impl<'a> Header<'a> {
    pub(crate) fn read(header: &'a Document, policy: &Policy) -> Result<Self, Error> {
        let invalid = |parameter, problem| Error::HeaderInvalid { parameter, problem };

        let alg = header
            .get("alg")
            .and_then(Value::as_str)
            .ok_or_else(|| invalid("alg", "is missing or not a string"))?;
        if algorithm::by_name(alg).is_none() {
            return Err(Error::AlgorithmNotAllowed);
        }

        // RFC 7515 §4.1.11: an extension in `crit` must be understood, and none is. `b64`
        // (RFC 7797) changes what is signed, so that it is refused outside `crit` as well.
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Error::CriticalUnsupported);
        }
        if header.get("zip").is_some() {
            return Err(invalid("zip", "is not for signed tokens"));
        }

        if let Some(expected) = &policy.token_type {
            let typ = match header.get("typ") {
                Some(typ) => Some(typ.as_str().ok_or_else(|| invalid("typ", "is not a string"))?),
                None => None,
            };
            if !typ.is_some_and(|typ| same_media_type(typ, expected)) {
                return Err(Error::TypeMismatch { expected: expected.clone() });
            }
        }

        let kid = match header.get("kid") {
            Some(kid) => Some(kid.as_str().ok_or_else(|| invalid("kid", "is not a string"))?),
            None => None,
        };
        Ok(Self { kid })
    }
}

/// RFC 7515 §4.1.9: media types compare without case, and `application/` may be left out.
fn same_media_type(a: &str, b: &str) -> bool {
    subtype(a).eq_ignore_ascii_case(subtype(b))
}

fn subtype(media_type: &str) -> &str {
    const PREFIX: &str = "application/";
    match media_type.split_at_checked(PREFIX.len()) {
        // "It MUST be left in if another slash follows."
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
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
