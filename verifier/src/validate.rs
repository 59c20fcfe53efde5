//! The check of the claims at a given time (RFC 7519 §4.1, RFC 9068 §4): first the presence and
//! type of each, then `iss`, `aud`, the claims that the policy names, the times and the scope.

use alloc::string::{String, ToString};
use core::time::Duration;

use countersign_claims::{Audience, Claims, NumericDate, Status, scope};

use crate::{
    ClaimFault, Error, Policy, claim_value,
    error::{Refusal, boxed},
    issuer,
    json::{Document, Value},
    status_reference,
    text::{join, split_once},
};

/// Refuses the claims in `payload` unless the policy accepts them at the time `now`.
pub(crate) fn validate(payload: &Document, policy: &Policy, now: Duration) -> Result<(), Refusal> {
    let audience = policy.get("audience");
    let max_age = policy.seconds("maxTokenAge");

    let iss = read(payload, "iss", Type::String, true)?;
    let aud = match audience {
        Some(_) => read(payload, "aud", Type::Audience, true)?,
        None => None,
    };
    let exp = date(payload, "exp", true)?;
    let nbf = date(payload, "nbf", false)?;
    let iat = date(payload, "iat", max_age.is_some())?;
    for claim in ["sub", "jti"] {
        read(payload, claim, Type::OtherString, false)?;
    }
    for claim in policy.texts("requiredClaims") {
        read(payload, claim, Type::NotNull, true)?;
    }
    for (claim, _) in policy.claims() {
        read(payload, claim, Type::Any, true)?;
    }
    if policy.get("scope").is_some() {
        read(payload, policy.scope_claim(), Type::Strings, false)?;
    }

    check_issuer(iss, payload, policy)?;
    if let Some(expected) = audience
        && !aud.is_some_and(|aud| claim_value::matches(expected, aud))
    {
        let expected = claim_value::shown(expected);
        return Err(boxed(Error::AudienceMismatch { expected }));
    }
    for (claim, expected) in policy.claims() {
        if let Some(value) = payload.get(claim)
            && !claim_value::matches(expected, value)
        {
            let (claim, expected) = (claim.to_string(), claim_value::shown(expected));
            return Err(boxed(Error::ClaimMismatch { claim, found: value.kind(), expected }));
        }
    }

    let tolerance = policy.seconds("clockTolerance").unwrap_or_default();
    let earliest = now.saturating_sub(tolerance);
    let latest = NumericDate::from(now.saturating_add(tolerance));
    // A token must not be accepted "on or after" its exp (RFC 7519 §4.1.4). One without a date, which is
    // refused above, would count as expired.
    let exp = exp.unwrap_or(NumericDate::from_seconds(0));
    if exp <= NumericDate::from(earliest) {
        let seconds_ago = now.as_secs().saturating_sub(exp.seconds());
        return Err(boxed(Error::TokenExpired { seconds_ago }));
    }
    for (claim, date) in [("nbf", nbf), ("iat", iat)] {
        if let Some(date) = date
            && date > latest
        {
            let seconds_left = date.seconds().saturating_sub(now.as_secs());
            return Err(boxed(Error::TokenNotYetValid { claim, seconds_left }));
        }
    }
    if let (Some(max_age), Some(iat)) = (max_age, iat)
        && iat < NumericDate::from(earliest.saturating_sub(max_age))
    {
        return Err(boxed(Error::TokenTooOld { max_token_age: max_age.as_secs() }));
    }

    if policy.texts("scope").all(|required| has_scope(payload, policy, required)) {
        return Ok(());
    }
    Err(scope_insufficient(policy, join(&policy.shown("scope"), " ")))
}

/// The type of a claim.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Any,
    NotNull,
    /// A string that the policy compares.
    String,
    /// A string of a claim that the policy does not compare.
    OtherString,
    /// A string, or an array of strings.
    Strings,
    /// The same, but not an empty array.
    Audience,
    Number,
}

/// Reads a claim of that type, if it is there. A claim that is `null` is there.
// Out of line: inlined copies would enlarge the WASM module.
#[inline(never)]
pub(crate) fn read<'a>(
    payload: &'a Document,
    claim: &str,
    kind: Type,
    is_required: bool,
) -> Result<Option<Value<'a>>, Refusal> {
    match payload.get(claim) {
        None if is_required => Err(Error::claim_missing(claim)),
        Some(value) if !kind.is_of(value) => {
            Err(Error::claim_invalid(claim, value.kind(), kind.words()))
        }
        value => Ok(value),
    }
}

impl Type {
    fn is_of(self, value: Value<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::NotNull => !value.is_null(),
            Self::String | Self::OtherString => is_string(value),
            Self::Strings => value.one_or_many().all(is_string),
            Self::Audience => value.one_or_many().len() != 0 && value.one_or_many().all(is_string),
            Self::Number => value.as_number().is_some(),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Any | Self::NotNull => "a value",
            Self::String => "a string",
            Self::OtherString => "a string (RFC 7519), which only its issuer can correct",
            Self::Strings => "a string, or an array of strings",
            Self::Audience => "a string, or an array of at least one string",
            Self::Number => "a number of seconds, 0 or more",
        }
    }
}

fn is_string(value: Value<'_>) -> bool {
    value.as_str().is_some()
}

/// Reads a date (RFC 7519 §2), if it is there.
pub(crate) fn date(
    payload: &Document,
    claim: &str,
    is_required: bool,
) -> Result<Option<NumericDate>, Refusal> {
    let number = read(payload, claim, Type::Number, is_required)?.and_then(Value::as_number);
    let Some(number) = number else { return Ok(None) };
    let (fault, expected) = match NumericDate::parse(number) {
        Some(date) if date <= LATEST => return Ok(Some(date)),
        _ if number.starts_with('-') => (ClaimFault::Negative, Type::Number.words()),
        _ => (ClaimFault::Milliseconds, "seconds: divide by 1000"),
    };
    Err(Error::claim_invalid(claim, fault, expected))
}

/// Greater dates are in milliseconds: as seconds, they lie in the year 5138 or later.
const LATEST: NumericDate = NumericDate::from_seconds(100_000_000_000);

/// Refuses an issuer that is none of the policy's.
fn check_issuer(
    iss: Option<Value<'_>>,
    payload: &Document,
    policy: &Policy,
) -> Result<(), Refusal> {
    let iss = iss.and_then(Value::as_str).unwrap_or_default();
    // An exact issuer is tried first: its tokens need no claim that another issuer's name holds.
    if split_once(iss, b'{').is_none() && policy.texts("issuer").any(|issuer| issuer == iss) {
        return Ok(());
    }
    let mut only_slash_differs = false;
    // A claim that one name lacks is a fault only if no other name matches.
    let mut fault = None;
    for issuer in policy.texts("issuer") {
        match issuer::matches(issuer, iss, payload) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => fault = fault.or(Some(error)),
        }
        only_slash_differs |= stem(issuer) == stem(iss);
    }
    let expected = policy.shown("issuer");
    Err(fault.unwrap_or_else(|| boxed(Error::IssuerMismatch { expected, only_slash_differs })))
}

fn stem(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}

/// Requires scope tokens besides those of the policy.
pub(crate) fn require_scope(
    payload: &Document,
    policy: &Policy,
    required: &str,
) -> Result<(), Refusal> {
    if has_scope(payload, policy, required) {
        return Ok(());
    }
    Err(scope_insufficient(policy, required.to_string()))
}

/// Returns true if the claim with the scopes holds each of the `required` scope tokens.
fn has_scope(payload: &Document, policy: &Policy, required: &str) -> bool {
    let claim = payload.get(policy.scope_claim());
    scope::tokens(required).all(|token| claim.is_some_and(|scope| grants(scope, token)))
}

fn scope_insufficient(policy: &Policy, required: String) -> Refusal {
    boxed(Error::ScopeInsufficient { claim: policy.scope_claim().to_string(), required })
}

/// Returns true if the claim holds a scope token: among those of a string, or as an element of an
/// array.
fn grants(claim: Value<'_>, token: &str) -> bool {
    match claim.as_str() {
        Some(granted) => scope::contains(granted, token),
        None => claim.one_or_many().any(|one| one.as_str() == Some(token)),
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
    let status_list = status_reference::read(payload).ok().flatten();
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
        status: status_list.map(|list| Status { status_list: Some(list) }),
    }
}
