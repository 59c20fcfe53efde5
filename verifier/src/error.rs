//! Every refusal: its stable code and reason for programs, its message for people, and the
//! challenge for an HTTP response.

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{
    ClaimFault, KeyRejection,
    text::{decimal, fill, join},
};

/// The refusal of a token, a key set or a policy.
///
/// [`code`](Self::code) and [`reason`](Self::reason) are stable and for programs. The message
/// ([`Display`](fmt::Display)) is for people: it names the fault and the expectation, and never
/// contains a part of the token or of a key. A token with several faults reports the earliest
/// [`Stage`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An option of the verifier is unknown, of the wrong type, or out of its range.
    OptionsInvalid {
        /// The option's name.
        option: String,
        /// The fault, in words that follow the name.
        problem: &'static str,
    },
    /// The token is longer than the policy allows. None of it was read.
    TokenTooLarge {
        /// The longest token that the policy allows, in bytes.
        max_token_bytes: usize,
    },
    /// The token is not a JWS in compact serialization (RFC 7515 §7.1) whose header and payload are
    /// strict JSON objects.
    TokenMalformed {
        /// The malformed part.
        part: Part,
        /// The fault, in words that follow the part's name.
        problem: &'static str,
    },
    /// A header parameter is missing, of the wrong type, or not supported.
    HeaderInvalid {
        /// The parameter's name.
        parameter: &'static str,
        /// The fault, in words that follow the name.
        problem: &'static str,
    },
    /// The policy does not allow the header's `alg`. The token never chooses its algorithm.
    AlgorithmNotAllowed,
    /// The header's `typ` is missing, or none of those that the policy accepts.
    TypeMismatch {
        /// The accepted types.
        expected: Vec<String>,
        /// True if the header has no `typ`.
        missing: bool,
    },
    /// The header has `crit` or `b64`. Such extensions must be understood, and this verifier
    /// understands none.
    CriticalUnsupported,
    /// The key set has no key for this token.
    KeyNotFound {
        /// True if the header names a key (`kid`). A newer key set may then have it.
        named: bool,
        /// True if the set has no keys at all.
        set_is_empty: bool,
    },
    /// The key that the token names must not be used.
    KeyRejected {
        /// The fault of the key.
        reason: KeyRejection,
    },
    /// No key set is loaded: not yet, or it could not be fetched.
    JwksUnavailable,
    /// The key set is not a JWK Set (RFC 7517 §5).
    JwksInvalid {
        /// A stable name of the fault, listed at [`Error::reason`].
        reason: &'static str,
        /// The fault, in words that follow "the key set".
        problem: &'static str,
    },
    /// The signature is not the key's signature of this header and payload.
    SignatureInvalid {
        /// True if the header has a `nonce`. Some issuers sign tokens for their own APIs in a way
        /// that nobody else can check, and mark them so.
        nonce: bool,
    },
    /// A claim that the policy requires is missing.
    ClaimMissing {
        /// The claim's name, as in the policy.
        claim: String,
    },
    /// A claim has the wrong type or is out of range.
    ClaimInvalid {
        /// The claim's name.
        claim: String,
        /// The type that it has, or its fault.
        found: ClaimFault,
        /// The expected type and range.
        expected: &'static str,
    },
    /// A claim has none of the values that the policy expects.
    ClaimMismatch {
        /// The claim's name.
        claim: String,
        /// The type that it has.
        found: ClaimFault,
        /// The expected values: strings, and the JSON text of others.
        expected: Vec<String>,
    },
    /// `iss` is not one of the issuers that the policy accepts.
    IssuerMismatch {
        /// The accepted issuers.
        expected: Vec<String>,
        /// True if it differs from one of them only by a `/` at the end.
        only_slash_differs: bool,
    },
    /// `aud` contains none of the audiences that the policy accepts.
    AudienceMismatch {
        /// The accepted audiences.
        expected: Vec<String>,
    },
    /// The time is at or past `exp`, by more than the clock tolerance.
    TokenExpired {
        /// Seconds since it expired, without the tolerance.
        seconds_ago: u64,
    },
    /// The time is before `nbf`, or `iat` lies in the future, by more than the clock tolerance.
    TokenNotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Seconds until then, without the tolerance.
        seconds_left: u64,
    },
    /// The token is older than the policy allows, even if its `exp` is in the future.
    TokenTooOld {
        /// The greatest age that the policy allows, in seconds.
        max_token_age: u64,
    },
    /// The token's scope lacks a scope token that the policy requires.
    ScopeInsufficient {
        /// The claim with the scopes.
        claim: String,
        /// The required scope, space-delimited.
        required: String,
    },
    /// The token's session was revoked.
    TokenRevoked,
    /// The status list is not available, so the token may have been revoked.
    StatusUnavailable,
}

/// A step of verification. Stages order as they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Before any token: the verifier's own options.
    Options,
    /// Size, structure, base64url and JSON.
    Parse,
    /// Header parameters.
    Header,
    /// The choice of the key, and its rejection.
    Key,
    /// The signature itself.
    Signature,
    /// The claims at the given time. From here on the signature was good.
    Claims,
    /// Revocation.
    Status,
}

/// A part of a JWS in compact serialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The whole text.
    Token,
    /// The text before the first period.
    Header,
    /// The text between the periods.
    Payload,
    /// The text after the last period.
    Signature,
}

/// An error on its way out of the steps: one pointer, so that passing it on takes little code.
pub(crate) type Refusal = Box<Error>;

// Out of line: inlined copies would enlarge the WASM module.
#[inline(never)]
pub(crate) fn boxed(error: Error) -> Refusal {
    Box::new(error)
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        *refusal
    }
}

impl Error {
    /// Every code with its stage, in the order of the stages.
    pub const CODES: &[(&'static str, Stage)] = &[
        ("options_invalid", Stage::Options),
        ("token_too_large", Stage::Parse),
        ("token_malformed", Stage::Parse),
        ("header_invalid", Stage::Header),
        ("algorithm_not_allowed", Stage::Header),
        ("type_mismatch", Stage::Header),
        ("critical_unsupported", Stage::Header),
        ("key_not_found", Stage::Key),
        ("key_rejected", Stage::Key),
        ("jwks_unavailable", Stage::Key),
        ("jwks_invalid", Stage::Key),
        ("signature_invalid", Stage::Signature),
        ("claim_missing", Stage::Claims),
        ("claim_invalid", Stage::Claims),
        ("claim_mismatch", Stage::Claims),
        ("issuer_mismatch", Stage::Claims),
        ("audience_mismatch", Stage::Claims),
        ("token_expired", Stage::Claims),
        ("token_not_yet_valid", Stage::Claims),
        ("token_too_old", Stage::Claims),
        ("scope_insufficient", Stage::Claims),
        ("token_revoked", Stage::Status),
        ("status_unavailable", Stage::Status),
    ];

    // Kept out of line: inlined copies would enlarge the WASM module.

    #[cold]
    pub(crate) fn claim_missing(claim: &str) -> Refusal {
        boxed(Self::ClaimMissing { claim: claim.to_string() })
    }

    #[cold]
    pub(crate) fn claim_invalid(claim: &str, found: ClaimFault, expected: &'static str) -> Refusal {
        boxed(Self::ClaimInvalid { claim: claim.to_string(), found, expected })
    }

    /// Returns the stable name of this kind of error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code_and_stage().0
    }

    /// Returns the step that refused.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.code_and_stage().1
    }

    /// Returns the message, which [`Display`](fmt::Display) shows too.
    // `core::fmt` would be a good part of the WASM module, so the parts are joined without it.
    #[must_use]
    pub fn message(&self) -> String {
        // One value is composed at the end, and one is dropped: less code than in each case.
        let value = &match self {
            Self::TokenTooLarge { max_token_bytes: number } => decimal(*number as u64),
            Self::TokenExpired { seconds_ago: number }
            | Self::TokenNotYetValid { seconds_left: number, .. }
            | Self::TokenTooOld { max_token_age: number } => decimal(*number),
            Self::KeyRejected { reason } => reason.message(),
            Self::TypeMismatch { expected, .. }
            | Self::ClaimMismatch { expected, .. }
            | Self::IssuerMismatch { expected, .. }
            | Self::AudienceMismatch { expected } => join(expected, "\" or \""),
            _ => String::new(),
        };
        let (template, values): (_, [&str; 3]) = match self {
            Self::OptionsInvalid { option, problem } => ("option `%` %", [option, problem, ""]),
            Self::TokenTooLarge { .. } => (TOO_LARGE, [value, "", ""]),
            Self::TokenMalformed { part, problem } => ("% %", [part.name(), problem, ""]),
            Self::HeaderInvalid { parameter, problem } => {
                ("the header parameter % %", [parameter, problem, ""])
            }
            Self::AlgorithmNotAllowed => (ALGORITHM, NONE),
            Self::TypeMismatch { missing: true, .. } => (TYPE_MISSING, [value, "", ""]),
            Self::TypeMismatch { .. } => {
                let example = if value == "at+jwt" { " (type: 'JWT')" } else { "" };
                (TYPE, [value, example, ""])
            }
            Self::CriticalUnsupported => (CRITICAL, NONE),
            Self::KeyNotFound { set_is_empty: true, .. } => (SET_EMPTY, NONE),
            Self::KeyNotFound { named: true, .. } => (KID_UNKNOWN, NONE),
            Self::KeyNotFound { .. } => (KID_MISSING, NONE),
            Self::KeyRejected { .. } => ("the token's key must not be used: %", [value, "", ""]),
            Self::JwksUnavailable => ("no key set is loaded", NONE),
            Self::JwksInvalid { problem, .. } => ("the key set %", [problem, "", ""]),
            Self::SignatureInvalid { nonce } => {
                (SIGNATURE, [if *nonce { NONCE_ADVICE } else { "" }, "", ""])
            }
            Self::ClaimMissing { claim } => {
                (MISSING, [claim, if claim == "aud" { NO_AUDIENCE } else { "" }, ""])
            }
            Self::ClaimInvalid { claim, found, expected } => {
                ("the claim % %: expected %", [claim, found.words(), expected])
            }
            Self::ClaimMismatch { claim, found, .. } => (VALUE, [claim, found.words(), value]),
            Self::IssuerMismatch { only_slash_differs, .. } => {
                (ISSUER, [value, if *only_slash_differs { SLASH_ADVICE } else { "" }, ""])
            }
            Self::AudienceMismatch { .. } => (AUDIENCE, [value, "", ""]),
            Self::TokenExpired { .. } => (EXPIRED, [value, CLOCK, ""]),
            Self::TokenNotYetValid { claim, .. } => (NOT_YET, [claim, value, CLOCK]),
            Self::TokenTooOld { .. } => (TOO_OLD, [value, "", ""]),
            Self::ScopeInsufficient { claim, required } => (SCOPE, [claim, required, ""]),
            Self::TokenRevoked => ("the token was revoked", NONE),
            Self::StatusUnavailable => (STATUS_UNAVAILABLE, NONE),
        };
        fill(template, &values)
    }

    /// Returns the reason: a short stable name for the fault within the [`code`](Self::code), so
    /// that no program has to read the message.
    ///
    /// | code | reason |
    /// |---|---|
    /// | `options_invalid` | the option's name, such as `clockTolerance`; `options` if the options as a whole are not a JSON object |
    /// | `header_invalid` | the header parameter's name: `alg`, `kid`, `typ` or `zip` |
    /// | `key_rejected` | one of [`KeyRejection::name`] |
    /// | `jwks_invalid` | `json`: the text is not strict JSON, or not an object |
    /// | | `no_keys_array`: it has no array `keys` |
    /// | | `private_key`: it is a single private key |
    /// | | `too_many_keys`: it has more than 1000 keys |
    ///
    /// The other codes have no reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::OptionsInvalid { option, .. } => Some(option),
            Self::HeaderInvalid { parameter, .. } => Some(parameter),
            Self::KeyRejected { reason } => Some(reason.name()),
            Self::JwksInvalid { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Returns the claim that the error is about, if it is about one.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::ClaimMissing { claim }
            | Self::ClaimInvalid { claim, .. }
            | Self::ClaimMismatch { claim, .. }
            | Self::ScopeInsufficient { claim, .. } => Some(claim),
            Self::TokenNotYetValid { claim, .. } => Some(claim),
            Self::IssuerMismatch { .. } => Some("iss"),
            Self::AudienceMismatch { .. } => Some("aud"),
            Self::TokenExpired { .. } => Some("exp"),
            Self::TokenTooOld { .. } => Some("iat"),
            _ => None,
        }
    }

    /// Returns true if the same token may be accepted a little later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(
            self,
            Self::JwksUnavailable | Self::StatusUnavailable | Self::TokenNotYetValid { .. }
        )
    }

    /// Returns the challenge for the response: a value for the `WWW-Authenticate` header field
    /// (RFC 6750 §3), of at most 200 characters.
    ///
    /// It names the fault and leaves out the advice, the expected issuers, audiences and values: the
    /// message has them. It is a bare `Bearer` if the fault is not the token's: options, key set,
    /// status. A scope that is too long is left out.
    #[must_use]
    pub fn www_authenticate(&self) -> String {
        match self {
            Self::OptionsInvalid { .. }
            | Self::JwksUnavailable
            | Self::JwksInvalid { .. }
            | Self::StatusUnavailable => "Bearer".to_string(),
            Self::ScopeInsufficient { required, .. } => {
                let challenge = self.challenge("insufficient_scope");
                let with_scope = fill("%, scope=\"%\"", &[&challenge, &quotable(required)]);
                if with_scope.len() > MAX_CHALLENGE { challenge } else { with_scope }
            }
            _ => self.challenge("invalid_token"),
        }
    }

    /// Returns the message without the advice and without the expected values, which follow after
    /// punctuation: for a client, who need not know the clients or tenants that the policy accepts.
    #[must_use]
    pub fn fault(&self) -> String {
        let mut message = self.message();
        let mut pairs = message.as_bytes().windows(2);
        let end = pairs.position(|pair| matches!(pair, b": " | b"; " | b", "));
        message.truncate(end.unwrap_or(message.len()));
        message
    }

    fn challenge(&self, error: &str) -> String {
        let mut description = quotable(&self.fault());
        description.truncate(MAX_DESCRIPTION);
        fill("Bearer error=\"%\", error_description=\"%\"", &[error, &description])
    }

    const fn code_and_stage(&self) -> (&'static str, Stage) {
        match self {
            Self::OptionsInvalid { .. } => ("options_invalid", Stage::Options),
            Self::TokenTooLarge { .. } => ("token_too_large", Stage::Parse),
            Self::TokenMalformed { .. } => ("token_malformed", Stage::Parse),
            Self::HeaderInvalid { .. } => ("header_invalid", Stage::Header),
            Self::AlgorithmNotAllowed => ("algorithm_not_allowed", Stage::Header),
            Self::TypeMismatch { .. } => ("type_mismatch", Stage::Header),
            Self::CriticalUnsupported => ("critical_unsupported", Stage::Header),
            Self::KeyNotFound { .. } => ("key_not_found", Stage::Key),
            Self::KeyRejected { .. } => ("key_rejected", Stage::Key),
            Self::JwksUnavailable => ("jwks_unavailable", Stage::Key),
            Self::JwksInvalid { .. } => ("jwks_invalid", Stage::Key),
            Self::SignatureInvalid { .. } => ("signature_invalid", Stage::Signature),
            Self::ClaimMissing { .. } => ("claim_missing", Stage::Claims),
            Self::ClaimInvalid { .. } => ("claim_invalid", Stage::Claims),
            Self::ClaimMismatch { .. } => ("claim_mismatch", Stage::Claims),
            Self::IssuerMismatch { .. } => ("issuer_mismatch", Stage::Claims),
            Self::AudienceMismatch { .. } => ("audience_mismatch", Stage::Claims),
            Self::TokenExpired { .. } => ("token_expired", Stage::Claims),
            Self::TokenNotYetValid { .. } => ("token_not_yet_valid", Stage::Claims),
            Self::TokenTooOld { .. } => ("token_too_old", Stage::Claims),
            Self::ScopeInsufficient { .. } => ("scope_insufficient", Stage::Claims),
            Self::TokenRevoked => ("token_revoked", Stage::Status),
            Self::StatusUnavailable => ("status_unavailable", Stage::Status),
        }
    }
}

/// RFC 6750 §3 allows no `"`, no `\` and nothing outside printable ASCII between the quotes.
fn quotable(text: &str) -> String {
    // A character of several bytes counts once, by its first.
    let characters = text.bytes().filter(|byte| !(0x80..0xc0).contains(byte));
    let mut quotable = String::with_capacity(text.len());
    quotable.extend(characters.map(|byte| match byte {
        b'"' => '\'',
        b' '..=b'~' if byte != b'\\' => char::from(byte),
        _ => '?',
    }));
    quotable
}

impl core::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// The greatest length of a challenge, and of the description in it: proxies limit the headers of a
/// response.
const MAX_CHALLENGE: usize = 200;
const MAX_DESCRIPTION: usize = 100;

// In the templates of messages, each % stands for a value.

const NONE: [&str; 3] = [""; 3];
const TOO_LARGE: &str = "the token is longer than the % bytes that maxTokenBytes allows";
const ALGORITHM: &str = "the header parameter alg is not RS256, the only algorithm allowed";
const TYPE_MISSING: &str = "the header has no typ: expected \"%\". If the issuer's access tokens \
    have no typ, set the option type to null (type: null), but only if its ID tokens have another \
    aud, or the option claims tells them apart";
const TYPE: &str = "the header parameter typ is not \"%\": is it an ID token? If the issuer's \
    access tokens have another typ, set the option type to it%, but only if its ID tokens have \
    another aud, or the option claims tells them apart";
const CRITICAL: &str =
    "the header has crit or b64, and this verifier understands no critical extension";
const SET_EMPTY: &str = "the key set is empty: its issuer must publish the keys that it signs with";
const KID_UNKNOWN: &str = "the key set has no key with the kid that the header names";
const KID_MISSING: &str =
    "the header has no kid, which is allowed only when the key set has exactly one usable key";
const SIGNATURE: &str =
    "the signature does not belong to this header and payload under the issuer's key%";
const NONCE_ADVICE: &str = ": its header has a nonce, so it may be for an API of its issuer alone \
    (as for Microsoft Graph); ask the issuer for a token for your own API";
const MISSING: &str = "the required claim % is missing%";
const NO_AUDIENCE: &str = ": if the issuer's access tokens have none, set the option audience to \
    null, and the option claims to one that names your client";
const VALUE: &str = "the claim % has another value than expected: it %, but not \"%\"";
const ISSUER: &str = "the claim iss is not the expected issuer, \"%\"%";
const SLASH_ADVICE: &str =
    ": they differ by a / at the end; set the option issuer as in the issuer's metadata";
const AUDIENCE: &str = "the claim aud does not hold the expected audience, \"%\": is it for another \
    API, or an ID token? Ask the issuer for this audience, or correct the option audience";
const EXPIRED: &str = "the token expired % s ago: get a new one%";
const NOT_YET: &str = "the token is not valid yet: the claim % lies % s ahead of this clock%";
/// The advice for a time that may differ because a clock is wrong.
const CLOCK: &str = "; if a clock is wrong, set it, or the option clockTolerance (up to 300 s)";
const TOO_OLD: &str = "the token was issued longer ago than the % s that maxTokenAge allows";
const SCOPE: &str = "the claim % does not hold the required scope: expected all of \"%\"; if the \
    scopes are in another claim, set the option scopeClaim";
const STATUS_UNAVAILABLE: &str =
    "the status list is not available, so the token may have been revoked: try again later";

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Token => "the token",
            Self::Header => "the token's header",
            Self::Payload => "the token's payload",
            Self::Signature => "the token's signature",
        }
    }
}

impl Stage {
    /// Returns the stage's name in errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Parse => "parse",
            Self::Header => "header",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Status => "status",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_has_only_characters_that_rfc_6750_allows() {
        let required = "read \"\\\u{e9}\r\n".into();
        let error = Error::ScopeInsufficient { claim: "sc\u{f6}pe".into(), required };
        assert_eq!(
            error.www_authenticate(),
            "Bearer error=\"insufficient_scope\", error_description=\"the claim sc?pe does not \
             hold the required scope\", scope=\"read '????\""
        );
    }

    #[test]
    fn faults_other_than_the_tokens_get_a_bare_challenge() {
        for error in [
            Error::OptionsInvalid { option: "x".into(), problem: "is unknown" },
            Error::JwksUnavailable,
            Error::JwksInvalid { reason: "json", problem: "is not JSON" },
            Error::StatusUnavailable,
        ] {
            assert_eq!(error.www_authenticate(), "Bearer", "{error}");
        }
        assert!(
            Error::SignatureInvalid { nonce: false }.www_authenticate().contains("invalid_token")
        );
    }

    #[test]
    fn revocation_codes_exist_before_any_check_returns_them() {
        for (error, code, retryable) in [
            (Error::TokenRevoked, "token_revoked", false),
            (Error::StatusUnavailable, "status_unavailable", true),
        ] {
            assert_eq!((error.code(), error.stage()), (code, Stage::Status));
            assert!(Error::CODES.contains(&(error.code(), error.stage())));
            assert_eq!(error.retryable(), retryable);
        }
    }

    #[test]
    fn stages_are_named_as_in_the_npm_package() {
        let mut names: Vec<_> = Error::CODES.iter().map(|(_, stage)| stage.name()).collect();
        names.dedup();
        let expected = ["options", "parse", "header", "key", "signature", "claims", "status"];
        assert_eq!(names, expected);
    }

    #[test]
    fn codes_are_listed_in_the_order_of_their_stages() {
        assert!(Error::CODES.is_sorted_by_key(|(_, stage)| *stage));
    }
}
