//! The check of the claims at a given time (RFC 7519 §4.1, RFC 9068 §4): first the presence and
//! type of each, then `iss`, `aud`, the claims that the policy names, the times and the scope.

use alloc::string::{String, ToString};
use core::time::Duration;

use countersign_claims::{Audience, Claims, NumericDate, Status, StatusReference, scope};

use crate::{
    ClaimFault, Error, Policy, claim_value, issuer,
    json::{Document, Value},
    text::join,
};

/// The claims that are checked, each of the right type. They borrow from the token.
struct Presented<'a> {
    iss: &'a str,
    /// True if `iss` is an issuer of the policy.
    is_issuer: bool,
    /// Absent if the policy expects no audience.
    aud: Option<Value<'a>>,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    /// Absent if the policy requires no scope.
    scope: Option<Value<'a>>,
}

/// Refuses the claims in `payload` unless the policy accepts them at the time `now`.
pub(crate) fn validate(payload: &Document, policy: &Policy, now: Duration) -> Result<(), Error> {
    let claims = present(payload, policy)?;
    check_issuer(&claims, policy)?;
    check_audience(&claims, policy)?;
    check_values(payload, policy)?;
    check_times(&claims, policy, now)?;
    check_scope(&claims, policy)
}

fn present<'a>(payload: &'a Document, policy: &Policy) -> Result<Presented<'a>, Error> {
    let iss = required("iss", typed(payload, "iss", is_string, "a string")?)?;
    let iss = iss.as_str().unwrap_or_default();
    let mut aud = None;
    if !policy.audiences.is_empty() {
        let expected = "a string, or an array of at least one string";
        aud = Some(required("aud", typed(payload, "aud", is_audience, expected)?)?);
    }
    let exp = required("exp", date(payload, "exp")?)?;
    let nbf = date(payload, "nbf")?;
    let iat = date(payload, "iat")?;
    for claim in ["sub", "jti"] {
        typed(payload, claim, is_string, "a string (RFC 7519), which only its issuer can correct")?;
    }
    if policy.max_token_age.is_some() {
        required("iat", iat)?;
    }
    for claim in &policy.required_claims {
        required(claim, typed(payload, claim, |value| !value.is_null(), "a value")?)?;
    }
    for (claim, _) in policy.claims.iter() {
        required(claim, payload.get(claim))?;
    }
    let mut scope = None;
    if !policy.scope.is_empty() {
        let expected = "a string, or an array of strings";
        scope = typed(payload, &policy.scope_claim, are_strings, expected)?;
    }
    // An exact issuer is tried first: its tokens need no claim that another issuer's name holds.
    let is_exact = iss.bytes().all(|byte| byte != b'{');
    let mut is_issuer = is_exact && policy.issuers.iter().any(|issuer| *issuer == iss);
    // A claim that one name lacks is a fault only if no other name matches.
    let mut fault = None;
    for issuer in &policy.issuers {
        if !is_issuer {
            match issuer::matches(issuer, iss, payload) {
                Ok(matches) => is_issuer = matches,
                Err(error) => fault = fault.or(Some(error)),
            }
        }
    }
    if let Some(fault) = fault
        && !is_issuer
    {
        return Err(fault);
    }
    Ok(Presented { iss, is_issuer, aud, exp, nbf, iat, scope })
}

fn check_issuer(claims: &Presented<'_>, policy: &Policy) -> Result<(), Error> {
    if claims.is_issuer {
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
    let Some(aud) = claims.aud else { return Ok(()) };
    if policy.audiences.iter().any(|expected| holds(aud, expected)) {
        return Ok(());
    }
    Err(Error::AudienceMismatch { expected: policy.audiences.clone() })
}

fn check_values(payload: &Document, policy: &Policy) -> Result<(), Error> {
    for (claim, expected) in policy.claims.iter() {
        let Some(value) = payload.get(claim) else { continue };
        if !claim_value::matches(expected, value) {
            let (claim, expected) = (claim.to_string(), claim_value::shown(expected));
            return Err(Error::ClaimMismatch { claim, found: value.kind(), expected });
        }
    }
    Ok(())
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
    if policy.scope.iter().all(|required| grants(claims.scope, required)) {
        return Ok(());
    }
    Err(scope_insufficient(policy, join(&policy.scope, " ")))
}

/// Requires scope tokens besides those of the policy.
pub(crate) fn require_scope(payload: &Document, policy: &Policy, scope: &str) -> Result<(), Error> {
    if grants(payload.get(&policy.scope_claim), scope) {
        return Ok(());
    }
    Err(scope_insufficient(policy, scope.to_string()))
}

/// Returns true if the claim holds each of the `required` scope tokens.
fn grants(claim: Option<Value<'_>>, required: &str) -> bool {
    let has = |scope: Value<'_>, token: &str| match scope.as_str() {
        Some(granted) => scope::contains(granted, token),
        None => holds(scope, token),
    };
    scope::tokens(required).all(|token| claim.is_some_and(|scope| has(scope, token)))
}

fn scope_insufficient(policy: &Policy, required: String) -> Error {
    Error::ScopeInsufficient { claim: policy.scope_claim.clone(), required }
}

/// Returns true if a string is `text`, or an array has it as an element.
fn holds(value: Value<'_>, text: &str) -> bool {
    value.one_or_many().any(|one| one.as_str() == Some(text))
}

fn required<T>(claim: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::claim_missing(claim))
}

/// Reads a claim, if it is there. A claim that is `null` is there.
fn typed<'a>(
    payload: &'a Document,
    claim: &str,
    is_right: fn(Value<'_>) -> bool,
    expected: &'static str,
) -> Result<Option<Value<'a>>, Error> {
    match payload.get(claim) {
        Some(value) if !is_right(value) => Err(Error::claim_invalid(claim, value.kind(), expected)),
        value => Ok(value),
    }
}

fn is_string(value: Value<'_>) -> bool {
    value.as_str().is_some()
}

fn are_strings(value: Value<'_>) -> bool {
    value.one_or_many().all(is_string)
}

fn is_audience(value: Value<'_>) -> bool {
    value.one_or_many().len() != 0 && are_strings(value)
}

fn date(payload: &Document, claim: &str) -> Result<Option<NumericDate>, Error> {
    let Some(value) = payload.get(claim) else { return Ok(None) };
    let number = value.as_number();
    match number.and_then(NumericDate::parse) {
        Some(date) if date <= LATEST => Ok(Some(date)),
        _ => {
            let found = match number {
                None => value.kind(),
                Some(number) if number.starts_with('-') => ClaimFault::Negative,
                Some(_) => ClaimFault::Milliseconds,
            };
            let expected = match found {
                ClaimFault::Milliseconds => "seconds: divide by 1000",
                _ => "a number of seconds, 0 or more",
            };
            Err(Error::claim_invalid(claim, found, expected))
        }
    }
}

/// Greater dates are in milliseconds: as seconds, they lie in the year 5138 or later.
const LATEST: NumericDate = NumericDate::from_seconds(100_000_000_000);

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
