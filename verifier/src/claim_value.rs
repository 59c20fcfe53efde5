//! Values that the policy expects of claims, compared by JSON type and value.

use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};

use countersign_claims::NumericDate;

use crate::{
    ClaimFault,
    json::{Value, quoted},
};

/// A value that [`Policy::with_claim`](crate::Policy::with_claim) expects of a claim: a string, a
/// number or a boolean.
///
/// It equals a claim of the same JSON type and the same value, and nothing is converted: `"1"` is
/// not 1, and `"true"` is not true. Numbers of 2⁶⁴ or more, or with more than nine decimals, are
/// equal only if they are written alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimValue(pub(crate) String);

impl From<&str> for ClaimValue {
    fn from(string: &str) -> Self {
        Self(quoted(string))
    }
}

impl From<String> for ClaimValue {
    fn from(string: String) -> Self {
        Self(quoted(&string))
    }
}

impl From<i64> for ClaimValue {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<bool> for ClaimValue {
    fn from(boolean: bool) -> Self {
        Self(boolean.to_string())
    }
}

/// Returns true for an object in which each value is a string, a number, a boolean, or an array of
/// some of these.
pub(crate) fn are_expected(claims: Value<'_>) -> bool {
    let is_good = |one: Value<'_>| one.as_scalar().is_some() && !one.is_null();
    let are_good =
        |values: Value<'_>| values.one_or_many().len() != 0 && values.one_or_many().all(is_good);
    claims.is_object() && claims.members().all(|(_, values)| are_good(values))
}

/// Returns true if the claim is one of the expected values, or an array with an element that is.
pub(crate) fn matches(expected: Value<'_>, claim: Value<'_>) -> bool {
    expected.one_or_many().any(|expected| claim.one_or_many().any(|claim| equal(expected, claim)))
}

fn equal(expected: Value<'_>, claim: Value<'_>) -> bool {
    let kind = claim.kind();
    if kind != expected.kind() {
        return false;
    }
    let (a, b) = (expected.as_scalar().unwrap_or_default(), claim.as_scalar().unwrap_or_default());
    a == b || kind == ClaimFault::Number && same_number(a, b)
}

/// Returns true if two JSON numbers have the same value, and one that [`NumericDate`] holds
/// exactly, apart from the sign. A parser of floating point would be a tenth of the WASM module,
/// and would round.
fn same_number(a: &str, b: &str) -> bool {
    let (a, b) = match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (Some(a), Some(b)) => (a, b),
        _ => (a, b),
    };
    NumericDate::parse(a).is_some_and(|date| date.is_exact() && NumericDate::parse(b) == Some(date))
}

/// Returns the expected values, for a message.
pub(crate) fn shown(expected: Value<'_>) -> Vec<String> {
    expected.one_or_many().map(|one| one.as_scalar().unwrap_or_default().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for (a, b) in [
            ("0", "0.00e5"),
            ("1", "1.0"),
            ("1", "1e0"),
            ("100", "1e2"),
            ("100", "1E+02"),
            ("0.001", "1e-3"),
            ("-12.50", "-125e-1"),
            ("120", "0.12e3"),
            ("9007199254740993", "9007199254740993.0"),
        ] {
            assert!(same_number(a, b) && same_number(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("1", "-1"),
            ("1", "10"),
            ("1", "0.1"),
            ("101", "11"),
            ("10.1", "1.01"),
            ("0", "1"),
            ("9007199254740993", "9007199254740992"),
            ("1", "1.0000000000000000000001"),
            ("1.0000000000000000000002", "1.0000000000000000000001"),
            ("1e1000", "1e1001"),
            ("1e9999999999999999999", "1e9999999999999999998"),
            ("1e-9999999999999999999", "0"),
        ] {
            assert!(!same_number(a, b) && !same_number(b, a), "{a} {b}");
        }
    }
}
