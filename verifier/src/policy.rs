//! The policy: the options that a token is checked against.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, ops::RangeInclusive, time::Duration};

use countersign_claims::{NumericDate, scope};

use crate::{
    ClaimValue, Error, claim_value, issuer,
    json::{Document, Value, array, object, quoted},
};

/// The requirements for a token. Every default is the strict one.
///
/// They are the options of [`from_json`](Self::from_json). They stay JSON, like the claims that they
/// are compared with.
#[derive(Clone)]
pub struct Policy(Document);

/// Clocks that differ by more are broken, and a higher tolerance would only make tokens live
/// longer.
pub(crate) const MAX_CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// RFC 9068 §2.1.
const DEFAULT_TYPE: &str = "at+jwt";

/// HTTP servers accept header fields of about this size.
const DEFAULT_MAX_TOKEN_BYTES: usize = 16 * 1024;
const MAX_TOKEN_BYTES: RangeInclusive<u64> = 1..=1024 * 1024;

impl Policy {
    /// Accepts access tokens (`typ: at+jwt`, RFC 9068) from one issuer for one audience, with no
    /// clock tolerance, no limit on the age besides `exp`, and at most 16 KiB.
    ///
    /// The issuer is compared byte for byte, apart from a `{claim}` in its name: see
    /// [`with_issuers`](Self::with_issuers).
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::of_issuer(issuer).replaced("audience", &quoted(&audience.into()))
    }

    /// Accepts tokens without an audience, such as those of issuers that name the client instead:
    /// `claim` must have one of the `values`. Everything else is as with [`new`](Self::new).
    ///
    /// ```
    /// use countersign_verifier::Policy;
    ///
    /// let policy = Policy::without_audience("https://auth.example", "client_id", ["web"])?
    ///     .with_claim("token_use", ["access"])?
    ///     .with_token_type(None);
    /// # Ok::<(), countersign_verifier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] if there are no values.
    pub fn without_audience<V: Into<ClaimValue>>(
        issuer: impl Into<String>,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, Error> {
        Self::of_issuer(issuer).with_claim(claim, values)
    }

    /// Returns the same policy for another kind of token: status lists.
    #[cfg(feature = "status-list")]
    pub(crate) fn for_status_lists(&self) -> Self {
        self.replaced("type", &quoted("statuslist+jwt"))
            .replaced("maxTokenBytes", &MAX_TOKEN_BYTES.end().to_string())
    }

    fn of_issuer(issuer: impl Into<String>) -> Self {
        Self(Document::default())
            .replaced("issuer", &quoted(&issuer.into()))
            .with_token_type(Some(DEFAULT_TYPE))
    }

    /// Reads the options of the npm package, a JSON object:
    ///
    /// | member | type | default |
    /// |---|---|---|
    /// | `issuer` | string or array of strings, required; may hold `{claim}` | |
    /// | `audience` | string or array of strings, required; null only with `claims` | |
    /// | `type` | string or array of strings, or null for any type and none | `"at+jwt"` |
    /// | `claims` | object: the values that claims must have, each one or an array | not checked |
    /// | `clockTolerance` | seconds, 0 to 300 | 0 |
    /// | `maxTokenAge` | seconds since `iat` | not checked |
    /// | `requiredClaims` | array of strings | none besides `iss`, `aud`, `exp` |
    /// | `scope` | string (space-delimited) or array of strings | not checked |
    /// | `scopeClaim` | string: the claim with the scopes | `"scope"` |
    /// | `maxTokenBytes` | 1 to 1048576 | 16384 |
    ///
    /// ```
    /// use countersign_verifier::Policy;
    ///
    /// Policy::from_json(r#"{ "issuer": "https://auth.example", "audience": ["api", "web"] }"#)?;
    /// let refused = Policy::from_json(r#"{ "issuer": "https://auth.example" }"#).unwrap_err();
    /// assert_eq!(refused.to_string(), "option `audience` is required: tokens name it in iss or aud");
    /// # Ok::<(), countersign_verifier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for a member that is unknown, missing, of the wrong type or out of
    /// range.
    pub fn from_json(options: &str) -> Result<Self, Error> {
        let options = Document::parse(options.as_bytes().to_vec())
            .map_err(|problem| invalid("options", problem))?;
        for (name, value) in options.members() {
            check(name, value).map_err(|problem| invalid(name, problem))?;
        }
        for name in ["issuer", "audience"] {
            options
                .get(name)
                .ok_or_else(|| invalid(name, "is required: tokens name it in iss or aud"))?;
        }
        let mut policy = Self(options);
        policy.0.add_default("type", DEFAULT_TYPE);
        if policy.get("audience").is_none() && policy.claims().next().is_none() {
            return Err(invalid("audience", "may be null only if the option claims names a claim"));
        }
        Ok(policy)
    }

    /// Replaces an option by one that is as good as [`from_json`](Self::from_json) demands.
    fn with(&self, name: &str, json: &str) -> Result<Self, Error> {
        let policy = self.replaced(name, json);
        let value = policy.0.get(name).ok_or("is not strict JSON");
        value.and_then(|value| check(name, value)).map_err(|problem| invalid(name, problem))?;
        Ok(policy)
    }

    /// Replaces an option. A policy that is not strict JSON would lose its issuers, and refuse all
    /// tokens.
    fn replaced(&self, name: &str, json: &str) -> Self {
        let others = self.0.members().filter(|(other, _)| *other != name);
        let others = others.map(|(name, value)| (name, value.to_json()));
        let options = object(others.chain([(name, json.to_owned())]));
        Self(Document::parse(options.into_bytes()).unwrap_or_default())
    }

    /// Returns the issuers, as they were given. One of them may be asked for its metadata.
    #[must_use]
    pub fn issuers(&self) -> Vec<&str> {
        self.texts("issuer").collect()
    }

    /// Sets the issuers. One of them must be the token's `iss`, byte for byte.
    ///
    /// An issuer may hold claims. In `https://login.example/{tid}/v2.0`, `{tid}` stands for the
    /// token's own claim `tid`, a text of unreserved characters (RFC 3986 §2.3). Any tenant is then
    /// accepted; [`with_claim`](Self::with_claim) lists those that are yours.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] without an issuer, for an empty one, and for a brace that is not
    /// part of a `{claim}`.
    pub fn with_issuers<'a>(
        self,
        issuers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        self.with("issuer", &array(issuers.into_iter().map(quoted)))
    }

    /// Sets the audiences. One of them must be in the token's `aud`.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] without an audience: [`without_audience`](Self::without_audience)
    /// says what is checked instead.
    pub fn with_audiences<'a>(
        self,
        audiences: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        self.with("audience", &array(audiences.into_iter().map(quoted)))
    }

    /// Sets the type of token (header parameter `typ`, compared without case and with an optional
    /// `application/`). `None` accepts any type, and a header without one: then refresh, ID and
    /// access tokens of one issuer are confused, unless something else tells them apart
    /// (RFC 8725 §3.11).
    #[must_use]
    pub fn with_token_type(self, token_type: Option<&str>) -> Self {
        self.replaced("type", &token_type.map_or_else(|| "null".to_owned(), quoted))
    }

    /// Accepts several types of token.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] without a type. [`with_token_type`](Self::with_token_type) accepts
    /// any.
    pub fn with_token_types<'a>(
        self,
        token_types: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        self.with("type", &array(token_types.into_iter().map(quoted)))
    }

    /// Requires a claim to have one of these values. If the claim is an array, one element must. A
    /// token without the claim is refused with [`Error::ClaimMissing`], another value with
    /// [`Error::ClaimMismatch`]. A second call for the same claim replaces its values.
    ///
    /// ```
    /// use countersign_verifier::Policy;
    ///
    /// let policy = Policy::new("https://auth.example", "api")
    ///     .with_claim("hd", ["one.example", "two.example"])?
    ///     .with_claim("email_verified", [true])?;
    /// # Ok::<(), countersign_verifier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] if there are no values.
    pub fn with_claim<V: Into<ClaimValue>>(
        self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, Error> {
        let claim = claim.into();
        let others = self.claims().filter(|(name, _)| *name != claim);
        let others = others.map(|(name, values)| (name, values.to_json()));
        let values = array(values.into_iter().map(|value| value.into().0));
        self.with("claims", &object(others.chain([(&*claim, values)])))
    }

    /// Sets the tolerated difference between the clocks of issuer and verifier. It applies to
    /// `exp`, `nbf`, `iat` and the greatest age.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] above 300 seconds.
    pub fn with_clock_tolerance(self, tolerance: Duration) -> Result<Self, Error> {
        self.with("clockTolerance", &seconds_of(tolerance))
    }

    /// Sets the greatest age, counted from `iat`. The token must then have that claim.
    #[must_use]
    pub fn with_max_token_age(self, age: Duration) -> Self {
        self.replaced("maxTokenAge", &seconds_of(age))
    }

    /// Requires claims besides `iss`, `aud` and `exp`.
    #[must_use]
    pub fn with_required_claims<'a>(self, claims: impl IntoIterator<Item = &'a str>) -> Self {
        self.replaced("requiredClaims", &array(claims.into_iter().map(quoted)))
    }

    /// Requires scope tokens, space-delimited. The token's scope must contain each of them.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for a scope that does not follow RFC 6749 §3.3.
    pub fn with_scope(self, scope: &str) -> Result<Self, Error> {
        self.with("scope", &quoted(scope))
    }

    /// Sets the claim with the scopes, such as `scp` or `permissions`: a string of scope tokens with
    /// spaces between them, or an array of strings. It is read only if a scope is required.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for an empty name.
    pub fn with_scope_claim(self, claim: &str) -> Result<Self, Error> {
        self.with("scopeClaim", &quoted(claim))
    }

    /// Sets the length of the longest accepted token, in bytes of its compact serialization.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for 0, and for more than 1 MiB.
    pub fn with_max_token_bytes(self, bytes: usize) -> Result<Self, Error> {
        self.with("maxTokenBytes", &bytes.to_string())
    }
}

/// Refuses a value of an option, in words that follow the option's name.
fn check(option: &str, value: Value<'_>) -> Result<(), &'static str> {
    let mut is_known = false;
    for (_, is_good, problem) in CHECKS.iter().filter(|(name, ..)| *name == option) {
        if !is_good(value) {
            return Err(problem);
        }
        is_known = true;
    }
    if is_known { Ok(()) } else { Err("is unknown") }
}

/// A check of an option's value, and the fault in words that follow the option's name.
type Check = (&'static str, fn(Value<'_>) -> bool, &'static str);

/// The checks of each option, in their order. Every option has one.
static CHECKS: [Check; 13] = [
    ("issuer", are_texts, NOT_TEXTS),
    ("issuer", |value| all(value, issuer::is_well_formed), NOT_ISSUER),
    ("audience", are_texts_or_null, NOT_TEXTS),
    ("type", are_texts_or_null, NOT_TEXTS),
    ("scope", are_texts, NOT_TEXTS),
    ("scope", |value| all(value, scope::is_well_formed), NOT_SCOPE),
    ("scopeClaim", |value| value.as_str().is_some_and(is_not_empty), "is not the name of a claim"),
    ("requiredClaims", |value| is_array(value) && all(value, |_| true), NOT_NAMES),
    ("claims", claim_value::are_expected, NOT_CLAIMS),
    ("clockTolerance", is_seconds, NOT_SECONDS),
    ("clockTolerance", |value| seconds(value) <= Some(MAX_CLOCK_TOLERANCE), NOT_TOLERANCE),
    ("maxTokenAge", is_seconds, NOT_SECONDS),
    ("maxTokenBytes", |value| seconds(value).is_some_and(is_token_size), NOT_SIZE),
];

fn are_texts_or_null(value: Value<'_>) -> bool {
    value.is_null() || are_texts(value)
}

fn is_seconds(value: Value<'_>) -> bool {
    seconds(value).is_some()
}

const NOT_TEXTS: &str = "is not a string, or an array of strings, none empty";
const NOT_ISSUER: &str = "has a brace that is not part of a {claim}";
const NOT_SCOPE: &str = "is not made of scope tokens (RFC 6749 section 3.3)";
const NOT_NAMES: &str = "is not an array of claim names";
const NOT_CLAIMS: &str =
    "does not give each claim a string, a number, a boolean, or an array of some of these";
const NOT_SECONDS: &str = "is not a number of seconds, 0 or more";
const NOT_TOLERANCE: &str = "is not a number of seconds from 0 to 300";
const NOT_SIZE: &str = "is not a whole number from 1 to 1048576";

/// Returns true for a text, and for an array of at least one text, if none is empty.
fn are_texts(value: Value<'_>) -> bool {
    value.one_or_many().len() != 0 && all(value, is_not_empty)
}

/// Returns true if the value is a text, or an array of texts, and all are good.
// Out of line: inlined copies would enlarge the WASM module.
#[inline(never)]
fn all(value: Value<'_>, is_good: fn(&str) -> bool) -> bool {
    value.one_or_many().all(|one| one.as_str().is_some_and(is_good))
}

const fn is_not_empty(text: &str) -> bool {
    !text.is_empty()
}

fn is_array(value: Value<'_>) -> bool {
    value.as_array().is_some()
}

fn is_token_size(bytes: Duration) -> bool {
    bytes.subsec_nanos() == 0 && MAX_TOKEN_BYTES.contains(&bytes.as_secs())
}

fn seconds(value: Value<'_>) -> Option<Duration> {
    value.as_number().and_then(NumericDate::parse).map(Duration::from)
}

fn invalid(option: &str, problem: &'static str) -> Error {
    Error::OptionsInvalid { option: option.to_string(), problem }
}

/// The options, as the steps of the verification need them.
impl Policy {
    /// Returns an option, unless it is null.
    pub(crate) fn get(&self, option: &str) -> Option<Value<'_>> {
        self.0.get(option).filter(|value| !value.is_null())
    }

    /// Returns the texts of an option that is a text, or an array of texts.
    pub(crate) fn texts(&self, option: &str) -> impl Iterator<Item = &str> {
        self.0.one_or_many(option).filter_map(Value::as_str)
    }

    /// Returns the texts of an option, for a message.
    pub(crate) fn shown(&self, option: &str) -> Vec<String> {
        self.get(option).map(claim_value::shown).unwrap_or_default()
    }

    pub(crate) fn seconds(&self, option: &str) -> Option<Duration> {
        self.0.get(option).and_then(seconds)
    }

    /// Returns each claim of the option `claims`, with the expected values.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.0.members_of("claims")
    }

    pub(crate) fn scope_claim(&self) -> &str {
        self.0.get("scopeClaim").and_then(Value::as_str).unwrap_or("scope")
    }

    pub(crate) fn max_token_bytes(&self) -> usize {
        self.seconds("maxTokenBytes")
            .map_or(DEFAULT_MAX_TOKEN_BYTES, |bytes| bytes.as_secs() as usize)
    }
}

fn seconds_of(duration: Duration) -> String {
    NumericDate::from(duration).to_string()
}

/// Policies that accept the same tokens look the same, if their values are in the same order.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options: Vec<_> = self.0.members().filter(|(_, value)| !value.is_null()).collect();
        options.sort_by_key(|(name, _)| *name);
        let mut map = f.debug_map();
        for (name, value) in options {
            match name {
                "claims" => self.claims().for_each(|(claim, values)| {
                    map.entry(&claim, &claim_value::shown(values));
                }),
                _ => {
                    map.entry(&name, &claim_value::shown(value));
                }
            }
        }
        map.finish()
    }
}
