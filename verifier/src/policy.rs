//! The policy: the options that a token is checked against.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::time::Duration;

use countersign_claims::{NumericDate, scope};

use crate::{
    ClaimValue, Error,
    claim_value::ExpectedClaims,
    issuer,
    json::{Document, Value},
};

/// The requirements for a token. Every default is the strict one.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) issuers: Vec<String>,
    /// Empty if no audience is expected. Then `claims` is not empty.
    pub(crate) audiences: Vec<String>,
    /// Empty if any type is accepted, and none.
    pub(crate) token_types: Vec<String>,
    pub(crate) claims: ExpectedClaims,
    pub(crate) clock_tolerance: Duration,
    pub(crate) max_token_age: Option<Duration>,
    pub(crate) required_claims: Vec<String>,
    /// Each a scope token, or several with spaces between them.
    pub(crate) scope: Vec<String>,
    pub(crate) scope_claim: String,
    pub(crate) max_token_bytes: usize,
}

/// Clocks that differ by more are broken, and a higher tolerance would only make tokens live
/// longer.
pub(crate) const MAX_CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// HTTP servers accept header fields of about this size.
const DEFAULT_MAX_TOKEN_BYTES: usize = 16 * 1024;
const LARGEST_MAX_TOKEN_BYTES: usize = 1024 * 1024;

impl Policy {
    /// Accepts access tokens (`typ: at+jwt`, RFC 9068) from one issuer for one audience, with no
    /// clock tolerance, no limit on the age besides `exp`, and at most 16 KiB.
    ///
    /// The issuer is compared byte for byte, apart from a `{claim}` in its name: see
    /// [`with_issuers`](Self::with_issuers).
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { issuers: vec![issuer.into()], audiences: vec![audience.into()], ..Self::empty() }
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
        Self { issuers: vec![issuer.into()], ..Self::empty() }.with_claim(claim, values)
    }

    fn empty() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            token_types: vec!["at+jwt".into()],
            claims: ExpectedClaims::default(),
            clock_tolerance: Duration::ZERO,
            max_token_age: None,
            required_claims: Vec::new(),
            scope: Vec::new(),
            scope_claim: "scope".into(),
            max_token_bytes: DEFAULT_MAX_TOKEN_BYTES,
        }
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
        let mut policy = Self::empty();
        for (name, value) in options.members() {
            policy.set(name, value).map_err(|problem| invalid(name, problem))?;
        }
        if policy.issuers.is_empty() {
            return Err(invalid("issuer", REQUIRED));
        }
        let audience = options.get("audience").map(Value::is_null);
        policy.claims =
            ExpectedClaims::new(options).ok_or_else(|| invalid("claims", NOT_CLAIMS))?;
        match audience {
            None => Err(invalid("audience", REQUIRED)),
            Some(true) if policy.claims.iter().next().is_none() => {
                Err(invalid("audience", "may be null only if the option claims names a claim"))
            }
            _ => Ok(policy),
        }
    }

    /// Sets one option, or returns its fault in words that follow the option's name.
    fn set(&mut self, name: &str, value: Value<'_>) -> Result<(), &'static str> {
        let (texts, is_good, problem): (_, fn(&str) -> bool, _) = match name {
            "issuer" => (&mut self.issuers, issuer::is_well_formed, NOT_ISSUER),
            "scope" => (&mut self.scope, scope::is_well_formed, NOT_SCOPE),
            "audience" => (&mut self.audiences, |_| true, ""),
            "type" => (&mut self.token_types, |_| true, ""),
            _ => return self.set_other(name, value),
        };
        *texts = match name {
            "audience" | "type" if value.is_null() => Vec::new(),
            _ => one_or_more(value)?,
        };
        if texts.iter().all(|text| is_good(text)) { Ok(()) } else { Err(problem) }
    }

    fn set_other(&mut self, name: &str, value: Value<'_>) -> Result<(), &'static str> {
        match name {
            // The options as a whole become the expected claims.
            "claims" => {}
            "clockTolerance" => self.set_clock_tolerance(seconds(value)?)?,
            "maxTokenAge" => self.max_token_age = Some(seconds(value)?),
            "requiredClaims" => {
                self.required_claims =
                    value.as_array().and_then(strings).ok_or("is not an array of claim names")?;
            }
            "scopeClaim" => self.set_scope_claim(value.as_str().unwrap_or_default())?,
            "maxTokenBytes" => {
                // A fraction, or what is no number, is out of range like 0.
                let bytes = seconds(value).unwrap_or_default();
                let bytes = if bytes.subsec_nanos() == 0 { bytes.as_secs() } else { 0 };
                self.set_max_token_bytes(usize::try_from(bytes).unwrap_or(0))?;
            }
            _ => return Err("is unknown"),
        }
        Ok(())
    }

    /// Returns the issuers, as they were given. One of them may be asked for its metadata.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Sets the issuers. One of them must be the token's `iss`, byte for byte.
    ///
    /// An issuer may hold claims. In `https://login.example/{tid}/v2.0`, `{tid}` stands for the
    /// token's own claim `tid`, a text of unreserved characters (RFC 3986 §2.3). Any tenant is then
    /// accepted; [`with_claim`](Self::with_claim) lists those that are yours.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] without an issuer, and for a brace that is not part of a `{claim}`.
    pub fn with_issuers<'a>(
        mut self,
        issuers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        self.issuers = issuers.into_iter().map(ToOwned::to_owned).collect();
        if self.issuers.is_empty() {
            return Err(invalid("issuer", REQUIRED));
        }
        if !self.issuers.iter().all(|issuer| issuer::is_well_formed(issuer)) {
            return Err(invalid("issuer", NOT_ISSUER));
        }
        Ok(self)
    }

    /// Sets the audiences. One of them must be in the token's `aud`.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] without an audience: [`without_audience`](Self::without_audience)
    /// says what is checked instead.
    pub fn with_audiences<'a>(
        mut self,
        audiences: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        self.audiences = audiences.into_iter().map(ToOwned::to_owned).collect();
        if self.audiences.is_empty() {
            return Err(invalid("audience", REQUIRED));
        }
        Ok(self)
    }

    /// Sets the type of token (header parameter `typ`, compared without case and with an optional
    /// `application/`). `None` accepts any type, and a header without one: then refresh, ID and
    /// access tokens of one issuer are confused, unless something else tells them apart
    /// (RFC 8725 §3.11).
    #[must_use]
    pub fn with_token_type(mut self, token_type: Option<&str>) -> Self {
        self.token_types = token_type.map(ToOwned::to_owned).into_iter().collect();
        self
    }

    /// Accepts several types of token.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] without a type. [`with_token_type`](Self::with_token_type) accepts
    /// any.
    pub fn with_token_types<'a>(
        mut self,
        token_types: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        self.token_types = token_types.into_iter().map(ToOwned::to_owned).collect();
        if self.token_types.is_empty() {
            return Err(invalid("type", "is empty"));
        }
        Ok(self)
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
        mut self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, Error> {
        let values: Vec<_> = values.into_iter().map(Into::into).collect();
        let claims = self.claims.with(&claim.into(), &values);
        self.claims = claims.ok_or_else(|| invalid("claims", NOT_CLAIMS))?;
        Ok(self)
    }

    /// Sets the tolerated difference between the clocks of issuer and verifier. It applies to
    /// `exp`, `nbf`, `iat` and the greatest age.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] above 300 seconds.
    pub fn with_clock_tolerance(mut self, tolerance: Duration) -> Result<Self, Error> {
        self.set_clock_tolerance(tolerance)
            .map_err(|problem| invalid("clockTolerance", problem))?;
        Ok(self)
    }

    fn set_clock_tolerance(&mut self, tolerance: Duration) -> Result<(), &'static str> {
        if tolerance > MAX_CLOCK_TOLERANCE {
            return Err("is not a number of seconds from 0 to 300");
        }
        self.clock_tolerance = tolerance;
        Ok(())
    }

    /// Sets the greatest age, counted from `iat`. The token must then have that claim.
    #[must_use]
    pub const fn with_max_token_age(mut self, age: Duration) -> Self {
        self.max_token_age = Some(age);
        self
    }

    /// Requires claims besides `iss`, `aud` and `exp`.
    #[must_use]
    pub fn with_required_claims<'a>(mut self, claims: impl IntoIterator<Item = &'a str>) -> Self {
        self.required_claims = claims.into_iter().map(ToOwned::to_owned).collect();
        self
    }

    /// Requires scope tokens, space-delimited. The token's scope must contain each of them.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for a scope that does not follow RFC 6749 §3.3.
    pub fn with_scope(mut self, scope: &str) -> Result<Self, Error> {
        if !scope::is_well_formed(scope) {
            return Err(invalid("scope", NOT_SCOPE));
        }
        self.scope = vec![scope.to_owned()];
        Ok(self)
    }

    /// Sets the claim with the scopes, such as `scp` or `permissions`: a string of scope tokens with
    /// spaces between them, or an array of strings. It is read only if a scope is required.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for an empty name.
    pub fn with_scope_claim(mut self, claim: &str) -> Result<Self, Error> {
        self.set_scope_claim(claim).map_err(|problem| invalid("scopeClaim", problem))?;
        Ok(self)
    }

    fn set_scope_claim(&mut self, claim: &str) -> Result<(), &'static str> {
        if claim.is_empty() {
            return Err("is not the name of a claim");
        }
        self.scope_claim = claim.to_owned();
        Ok(())
    }

    /// Sets the length of the longest accepted token, in bytes of its compact serialization.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for 0, and for more than 1 MiB.
    pub fn with_max_token_bytes(mut self, bytes: usize) -> Result<Self, Error> {
        self.set_max_token_bytes(bytes).map_err(|problem| invalid("maxTokenBytes", problem))?;
        Ok(self)
    }

    fn set_max_token_bytes(&mut self, bytes: usize) -> Result<(), &'static str> {
        if !(1..=LARGEST_MAX_TOKEN_BYTES).contains(&bytes) {
            return Err("is not a whole number from 1 to 1048576");
        }
        self.max_token_bytes = bytes;
        Ok(())
    }
}

const REQUIRED: &str = "is required: tokens name it in iss or aud";
const NOT_ISSUER: &str = "has a brace that is not part of a {claim}";
const NOT_SCOPE: &str = "is not made of scope tokens (RFC 6749 section 3.3)";
const NOT_CLAIMS: &str =
    "does not give each claim a string, a number, a boolean, or an array of some of these";

fn invalid(option: &str, problem: &'static str) -> Error {
    Error::OptionsInvalid { option: option.to_string(), problem }
}

fn one_or_more(value: Value<'_>) -> Result<Vec<String>, &'static str> {
    strings(value.one_or_many())
        .filter(|strings| !strings.is_empty() && strings.iter().all(|one| !one.is_empty()))
        .ok_or("is not a string, or an array of strings, none empty")
}

fn strings<'a>(values: impl Iterator<Item = Value<'a>>) -> Option<Vec<String>> {
    values.map(|value| value.as_str().map(ToOwned::to_owned)).collect()
}

fn seconds(value: Value<'_>) -> Result<Duration, &'static str> {
    value
        .as_number()
        .and_then(NumericDate::parse)
        .map(Duration::from)
        .ok_or("is not a number of seconds, 0 or more")
}
