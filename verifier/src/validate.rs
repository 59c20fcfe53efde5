//! The check of the claims at a given time (RFC 7519 §4.1, RFC 9068 §4): first the presence and
//! type of each, then `iss`, `aud`, the times and the scope.

use alloc::{string::ToString, vec::Vec};
use core::time::Duration;

use countersign_claims::{Audience, Claims, NumericDate, Status, StatusReference, scope};

use crate::{
    Error, Policy,
    json::{Document, Value},
    text::join,
};

/// The claims that are checked, each of the right type. They borrow from the token.
struct Presented<'a> {
    iss: &'a str,
    aud: Vec<&'a str>,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    scope: Option<&'a str>,
}

/// Refuses the claims in `payload` unless the policy accepts them at the time `now`.
pub(crate) fn validate(payload: &Document, policy: &Policy, now: Duration) -> Result<(), Error> {
    let claims = present(payload, policy)?;
    check_issuer(&claims, policy)?;
    check_audience(&claims, policy)?;
    check_times(&claims, policy, now)?;
    check_scope(&claims, policy)
}

fn present<'a>(payload: &'a Document, policy: &Policy) -> Result<Presented<'a>, Error> {
    let iss = required("iss", string(payload, "iss")?)?;
    let aud = required("aud", audience(payload)?)?;
    let exp = required("exp", date(payload, "exp")?)?;
    let nbf = date(payload, "nbf")?;
    let iat = date(payload, "iat")?;
    for claim in ["sub", "jti", "client_id", "sid"] {
        string(payload, claim)?;
    }
    let scope = string(payload, "scope")?;

    if policy.max_token_age.is_some() {
        required("iat", iat)?;
    }
    for claim in &policy.required_claims {
        required(claim, payload.get(claim))?;
    }
    Ok(Presented { iss, aud, exp, nbf, iat, scope })
}

fn check_issuer(claims: &Presented<'_>, policy: &Policy) -> Result<(), Error> {
    if policy.issuers.iter().any(|expected| *expected == claims.iss) {
        return Ok(());
    }
    let only_slash_differs =
        policy.issuers.iter().any(|expected| stem(expected) == stem(claims.iss));
    Err(Error::IssuerMismatch { expected: policy.issuers.clone(), only_slash_differs })
}

fn stem(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}

fn check_audience(claims: &Presented<'_>, policy: &Policy) -> Result<(), Error> {
    if policy.audiences.iter().any(|expected| claims.aud.iter().any(|one| expected == one)) {
        return Ok(());
    }
    Err(Error::AudienceMismatch { expected: policy.audiences.clone() })
}

fn check_times(claims: &Presented<'_>, policy: &Policy, now: Duration) -> Result<(), Error> {
    let earliest = NumericDate::from(now.saturating_sub(policy.clock_tolerance));
    let latest = NumericDate::from(now.saturating_add(policy.clock_tolerance));

    // A token must not be accepted "on or after" its exp (RFC 7519 §4.1.4).
    if claims.exp <= earliest {
        let seconds_ago = now.as_secs().saturating_sub(claims.exp.seconds());
        return Err(Error::TokenExpired { seconds_ago });
    }
    for (claim, date) in [("nbf", claims.nbf), ("iat", claims.iat)] {
        if let Some(date) = date
            && date > latest
        {
            let seconds_left = date.seconds().saturating_sub(now.as_secs());
            return Err(Error::TokenNotYetValid { claim, seconds_left });
        }
    }
    if let (Some(max_age), Some(iat)) = (policy.max_token_age, claims.iat) {
        let oldest = now.saturating_sub(max_age.saturating_add(policy.clock_tolerance));
        if iat < NumericDate::from(oldest) {
            return Err(Error::TokenTooOld { max_token_age: max_age.as_secs() });
        }
    }
    Ok(())
}

fn check_scope(claims: &Presented<'_>, policy: &Policy) -> Result<(), Error> {
    let granted = claims.scope.unwrap_or_default();
    if policy.scope.iter().all(|token| scope::contains(granted, token)) {
        return Ok(());
    }
    Err(Error::ScopeInsufficient { required: join(&policy.scope, " ") })
}

fn required<T>(claim: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| missing(claim))
}

/// Kept out of line: inlined copies would enlarge the WASM module.
#[cold]
fn missing(claim: &str) -> Error {
    Error::ClaimMissing { claim: claim.to_string() }
}

fn string<'a>(payload: &'a Document, claim: &'static str) -> Result<Option<&'a str>, Error> {
    typed(payload, claim, "a string", Value::as_str)
}

fn date(payload: &Document, claim: &'static str) -> Result<Option<NumericDate>, Error> {
    typed(payload, claim, "a number of seconds, 0 or more", |value| {
        value.as_number().and_then(NumericDate::parse)
    })
}

fn audience(payload: &Document) -> Result<Option<Vec<&str>>, Error> {
    typed(payload, "aud", "a string, or an array of at least one string", |value| {
        if let Some(one) = value.as_str() {
            return Some(Vec::from([one]));
        }
        let many: Vec<_> = value.as_array()?.map(Value::as_str).collect::<Option<_>>()?;
        (!many.is_empty()).then_some(many)
    })
}

/// Reads a claim, if it is there. A claim that is `null` is there and has the wrong type.
fn typed<'a, T>(
    payload: &'a Document,
    claim: &'static str,
    expected: &'static str,
    read: impl Fn(Value<'a>) -> Option<T>,
) -> Result<Option<T>, Error> {
    match payload.get(claim) {
        None => Ok(None),
        Some(value) => read(value).map(Some).ok_or(Error::ClaimInvalid { claim, expected }),
    }
}

/// Returns the registered claims of a payload that [`validate`] accepted.
pub(crate) fn claims(payload: &Document) -> Claims {
    let string = |claim| payload.get(claim).and_then(Value::as_str).map(ToString::to_string);
    let date = |claim| payload.get(claim).and_then(Value::as_number).and_then(NumericDate::parse);
    let aud = payload.get("aud").and_then(|aud| match aud.as_str() {
        Some(one) => Some(Audience::One(one.to_string())),
        None => Some(Audience::Many(
            aud.as_array()?.filter_map(Value::as_str).map(ToString::to_string).collect(),
        )),
    });
    let reference = |list: Value<'_>| {
        let idx = list.get("idx")?.as_number()?.parse().ok()?;
        Some(StatusReference { idx, uri: list.get("uri")?.as_str()?.to_string() })
    };
    let status_list = payload.get("status").and_then(|status| status.get("status_list"));
    Claims {
        iss: string("iss"),
        sub: string("sub"),
        aud,
        client_id: string("client_id"),
        scope: string("scope"),
        iat: date("iat"),
        nbf: date("nbf"),
        exp: date("exp"),
        jti: string("jti"),
        sid: string("sid"),
        status: status_list.and_then(reference).map(|list| Status { status_list: Some(list) }),
    }
}
