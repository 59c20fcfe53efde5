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
    Error,
    json::{Document, Value},
    text::join,
};

/// The requirements for a token. Every default is the strict one.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) issuers: Vec<String>,
    pub(crate) audiences: Vec<String>,
    /// `None` accepts any type.
    pub(crate) token_type: Option<String>,
    pub(crate) clock_tolerance: Duration,
    pub(crate) max_token_age: Option<Duration>,
    pub(crate) required_claims: Vec<String>,
    pub(crate) scope: Vec<String>,
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
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::with(vec![issuer.into()], vec![audience.into()])
    }

    fn with(issuers: Vec<String>, audiences: Vec<String>) -> Self {
        Self {
            issuers,
            audiences,
            token_type: Some("at+jwt".into()),
            clock_tolerance: Duration::ZERO,
            max_token_age: None,
            required_claims: Vec::new(),
            scope: Vec::new(),
            max_token_bytes: DEFAULT_MAX_TOKEN_BYTES,
        }
    }

    /// Reads the options of the npm package, a JSON object:
    ///
    /// | member | type | default |
    /// |---|---|---|
    /// | `issuer`, `audience` | string or array of strings, required | |
    /// | `type` | string, or null for any type | `"at+jwt"` |
    /// | `clockTolerance` | seconds, 0 to 300 | 0 |
    /// | `maxTokenAge` | seconds since `iat` | not checked |
    /// | `requiredClaims` | array of strings | none besides `iss`, `aud`, `exp` |
    /// | `scope` | string (space-delimited) or array of strings | not checked |
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
        let mut policy = Self::with(Vec::new(), Vec::new());
        for (name, value) in options.members() {
            policy.set(name, value).map_err(|problem| invalid(name, problem))?;
        }
        for (name, values) in [("issuer", &policy.issuers), ("audience", &policy.audiences)] {
            if values.is_empty() {
                return Err(invalid(name, "is required: tokens name it in iss or aud"));
            }
        }
        Ok(policy)
    }

    /// Sets one option, or returns its fault in words that follow the option's name.
    fn set(&mut self, name: &str, value: Value<'_>) -> Result<(), &'static str> {
        match name {
            "issuer" => self.issuers = one_or_more(value)?,
            "audience" => self.audiences = one_or_more(value)?,
            "type" => {
                self.token_type = match value.as_str() {
                    Some(token_type) if !token_type.is_empty() => Some(token_type.to_owned()),
                    None if value.is_null() => None,
                    _ => return Err("is not a media type such as \"at+jwt\", or null"),
                }
            }
            "clockTolerance" => self.set_clock_tolerance(seconds(value)?)?,
            "maxTokenAge" => self.max_token_age = Some(seconds(value)?),
            "requiredClaims" => {
                self.required_claims =
                    value.as_array().and_then(strings).ok_or("is not an array of claim names")?;
            }
            "scope" => self.set_scope(&join(&one_or_more(value)?, " "))?,
            "maxTokenBytes" => {
                let bytes = value.as_number().and_then(|number| number.parse().ok());
                self.set_max_token_bytes(bytes.unwrap_or(0))?;
            }
            _ => return Err("is unknown"),
        }
        Ok(())
    }

    /// Sets the type of token (header parameter `typ`, compared without case and with an optional
    /// `application/`). `None` accepts any type: then refresh, ID and access tokens of one issuer
    /// are confused, unless something else tells them apart (RFC 8725 §3.11).
    #[must_use]
    pub fn with_token_type(mut self, token_type: Option<&str>) -> Self {
        self.token_type = token_type.map(ToOwned::to_owned);
        self
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

    /// Requires scope tokens, space-delimited. The token's `scope` must contain each of them.
    ///
    /// # Errors
    /// [`Error::OptionsInvalid`] for a scope that does not follow RFC 6749 §3.3.
    pub fn with_scope(mut self, scope: &str) -> Result<Self, Error> {
        self.set_scope(scope).map_err(|problem| invalid("scope", problem))?;
        Ok(self)
    }

    fn set_scope(&mut self, scope: &str) -> Result<(), &'static str> {
        if !scope::is_well_formed(scope) {
            return Err("is not made of scope tokens (RFC 6749 section 3.3)");
        }
        self.scope = scope::tokens(scope).map(ToOwned::to_owned).collect();
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

fn invalid(option: &str, problem: &'static str) -> Error {
    Error::OptionsInvalid { option: option.to_string(), problem }
}

fn one_or_more(value: Value<'_>) -> Result<Vec<String>, &'static str> {
    let strings = match (value.as_str(), value.as_array()) {
        (Some(one), _) => Some(vec![one.to_owned()]),
        (None, Some(many)) => strings(many),
        (None, None) => None,
    };
    strings
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
