//! Every refusal: its stable code and reason for programs, its message for people, and the
//! challenge for an HTTP response.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::KeyRejection;

/// Why a token, a key set or a policy was refused.
///
/// [`code`](Self::code) is stable and for programs. The message ([`Display`](fmt::Display)) is for
/// people: it says what was wrong and what was expected, and never holds any part of the token or
/// of a key. A token that is wrong in several ways reports the earliest [`Stage`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An option of the verifier is unknown, of the wrong type, or out of its range.
    OptionsInvalid {
        /// The option's name.
        option: String,
        /// What is wrong with it, and what was expected.
        problem: &'static str,
    },
    /// The token is longer than the policy allows. Nothing of it was looked at.
    TokenTooLarge {
        /// The longest token that the policy allows, in bytes.
        max_token_bytes: usize,
    },
    /// The token is not a JWS in compact serialization (RFC 7515 §7.1) whose header and payload are
    /// strict JSON objects.
    TokenMalformed {
        /// Where the token is malformed.
        part: Part,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A header parameter is missing, of the wrong type, or not supported.
    HeaderInvalid {
        /// The parameter's name.
        parameter: &'static str,
        /// The fault, in words that follow the name.
        problem: &'static str,
    },
    /// The header's `alg` is not one that the policy allows. It is never taken from the token.
    AlgorithmNotAllowed,
    /// The header's `typ` is missing or not the one that the policy asks for.
    TypeMismatch {
        /// The type that was expected.
        expected: String,
    },
    /// The header has `crit` or `b64`: extensions that must be understood, and none is.
    CriticalUnsupported,
    /// The key set has no key for this token.
    KeyNotFound {
        /// Whether the header names a key (`kid`). A newer key set may then hold it.
        named: bool,
    },
    /// The key that the token names must not be used.
    KeyRejected {
        /// Why not.
        reason: KeyRejection,
    },
    /// There is no key set: none was loaded yet, or it could not be fetched.
    JwksUnavailable,
    /// The key set is not a JWK Set (RFC 7517 §5), or holds two keys of the same `kid`.
    JwksInvalid {
        /// A stable name of the fault, listed at [`Error::reason`].
        reason: &'static str,
        /// The fault, in words that follow "the key set".
        problem: &'static str,
    },
    /// The signature is not the key's signature of this header and payload.
    SignatureInvalid,
    /// A claim is missing that the policy requires.
    ClaimMissing {
        /// The claim's name, as the policy has it.
        claim: String,
    },
    /// A claim is there but of the wrong type or out of range.
    ClaimInvalid {
        /// The claim's name.
        claim: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// `iss` is not one of the issuers that the policy accepts.
    IssuerMismatch {
        /// The issuers that were expected.
        expected: Vec<String>,
        /// Whether it would be one of them with a `/` more or less at its end.
        but_for_slash: bool,
    },
    /// `aud` holds none of the audiences that the policy accepts.
    AudienceMismatch {
        /// The audiences that were expected.
        expected: Vec<String>,
    },
    /// The time is at or past `exp`, by more than the clock tolerance.
    TokenExpired {
        /// For how many seconds it has been expired, the tolerance not counted.
        seconds_ago: u64,
    },
    /// The time is before `nbf`, or `iat` lies in the future, by more than the clock tolerance.
    TokenNotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Seconds until then, the tolerance not counted.
        seconds_left: u64,
    },
    /// The token was issued longer ago than the policy allows, whatever its `exp` says.
    TokenTooOld {
        /// The greatest age that the policy allows, in seconds.
        max_token_age: u64,
    },
    /// The token's `scope` lacks a scope token that the policy asks for.
    ScopeInsufficient {
        /// The scope that the policy asks for, space-delimited.
        required: String,
    },
    /// The token's session was revoked.
    TokenRevoked,
    /// Whether the token was revoked could not be found out.
    StatusUnavailable,
}

/// A step of verification. They order as they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Before any token: the verifier's own options.
    Options,
    /// Size, structure, base64url and JSON.
    Parse,
    /// Header parameters.
    Header,
    /// The choice of the key, and whether it may be used.
    Key,
    /// The signature itself.
    Signature,
    /// The claims, at the given time. From here on the signature was good.
    Claims,
    /// Revocation.
    Status,
}

/// A part of a JWS in compact serialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The whole text.
    Token,
    /// What stands before the first period.
    Header,
    /// What stands between the periods.
    Payload,
    /// What stands after the last period.
    Signature,
}

impl Error {
    /// Every code there is, each with the stage that it belongs to, in the order of the stages.
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
        ("issuer_mismatch", Stage::Claims),
        ("audience_mismatch", Stage::Claims),
        ("token_expired", Stage::Claims),
        ("token_not_yet_valid", Stage::Claims),
        ("token_too_old", Stage::Claims),
        ("scope_insufficient", Stage::Claims),
        ("token_revoked", Stage::Status),
        ("status_unavailable", Stage::Status),
    ];

    /// The stable name of this kind of error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code_and_stage().0
    }

    /// The step that refused.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.code_and_stage().1
    }

    /// Returns the message, which [`Display`](fmt::Display) shows too.
    // `core::fmt` would be a good part of the WASM module, so the parts are joined without it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::OptionsInvalid { option, problem } => say(&["option `", option, "` ", problem]),
            Self::TokenTooLarge { max_token_bytes } => say(&[
                "the token is longer than the ",
                &decimal(*max_token_bytes as u64),
                " bytes that maxTokenBytes allows",
            ]),
            Self::TokenMalformed { part, problem } => say(&[part.name(), " ", problem]),
            Self::HeaderInvalid { parameter, problem } => {
                say(&[HEADER_PARAMETER, parameter, " ", problem])
            }
            Self::AlgorithmNotAllowed => {
                say(&[HEADER_PARAMETER, "alg is not RS256, the only algorithm allowed"])
            }
            Self::TypeMismatch { expected } => {
                say(&[HEADER_PARAMETER, "typ is missing or not \"", expected, TYPE_ADVICE])
            }
            Self::CriticalUnsupported => CRITICAL.to_string(),
            Self::KeyNotFound { named: true } => KID_UNKNOWN.to_string(),
            Self::KeyNotFound { named: false } => KID_MISSING.to_string(),
            Self::KeyRejected { reason } => {
                say(&["the token's key must not be used: ", &reason.message()])
            }
            Self::JwksUnavailable => "no key set is loaded".to_string(),
            Self::JwksInvalid { problem, .. } => say(&["the key set ", problem]),
            Self::SignatureInvalid => SIGNATURE.to_string(),
            Self::ClaimMissing { claim } => say(&["the required claim ", claim, " is missing"]),
            Self::ClaimInvalid { claim, expected } => {
                say(&["the claim ", claim, " is not ", expected])
            }
            Self::IssuerMismatch { expected, but_for_slash } => say(&[
                "the claim iss is not the expected issuer, ",
                &alternatives(expected),
                if *but_for_slash { SLASH_ADVICE } else { "" },
            ]),
            Self::AudienceMismatch { expected } => say(&[
                "the claim aud does not hold the expected audience, ",
                &alternatives(expected),
                AUDIENCE_ADVICE,
            ]),
            Self::TokenExpired { seconds_ago } => {
                say(&["the token expired ", &decimal(*seconds_ago), " s ago: get a new one", CLOCK])
            }
            Self::TokenNotYetValid { claim, seconds_left } => {
                let seconds = &decimal(*seconds_left);
                say(&[NOT_YET, claim, " lies ", seconds, " s ahead of this clock", CLOCK])
            }
            Self::TokenTooOld { max_token_age } => {
                let seconds = &decimal(*max_token_age);
                say(&["the token was issued longer ago than the ", seconds, TOO_OLD])
            }
            Self::ScopeInsufficient { required } => {
                say(&["the claim scope does not hold all of the required scope \"", required, "\""])
            }
            Self::TokenRevoked => "the token was revoked".to_string(),
            Self::StatusUnavailable => STATUS_UNAVAILABLE.to_string(),
        }
    }
    /// Returns the reason: a short stable name for the fault within the [`code`](Self::code), so that
    /// no program has to read the message.
    ///
    /// | code | reason |
    /// |---|---|
    /// | `options_invalid` | the option's name, such as `clockTolerance`; `options` if the options as a whole are not a JSON object |
    /// | `header_invalid` | the header parameter's name: `alg`, `kid`, `typ` or `zip` |
    /// | `key_rejected` | one of [`KeyRejection::name`] |
    /// | `jwks_invalid` | `json`: the text is not strict JSON, or not an object |
    /// | | `no_keys_array`: it has no array `keys` |
    /// | | `private_key`: it is a single private key |
    /// | | `too_many_keys`: it has more than 64 keys |
    /// | | `key_not_object`: a member of `keys` is not an object |
    /// | | `duplicate_kid`: two keys have the `kid` that the token names |
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

    /// The claim that the error is about, where it is about one.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::ClaimMissing { claim } => Some(claim),
            Self::ClaimInvalid { claim, .. } | Self::TokenNotYetValid { claim, .. } => Some(claim),
            Self::IssuerMismatch { .. } => Some("iss"),
            Self::AudienceMismatch { .. } => Some("aud"),
            Self::TokenExpired { .. } => Some("exp"),
            Self::TokenTooOld { .. } => Some("iat"),
            Self::ScopeInsufficient { .. } => Some("scope"),
            _ => None,
        }
    }

    /// Whether the same token may be accepted when it is tried again a little later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(
            self,
            Self::JwksUnavailable | Self::StatusUnavailable | Self::TokenNotYetValid { .. }
        )
    }

    /// The challenge to answer with, a value for the `WWW-Authenticate` header field
    /// (RFC 6750 §3).
    ///
    /// A bare `Bearer` where the fault is not the token's: options, the key set, the status.
    #[must_use]
    pub fn www_authenticate(&self) -> String {
        match self {
            Self::OptionsInvalid { .. }
            | Self::JwksUnavailable
            | Self::JwksInvalid { .. }
            | Self::StatusUnavailable => "Bearer".to_string(),
            Self::ScopeInsufficient { required } => {
                self.challenge("insufficient_scope") + ", scope=\"" + &quotable(required) + "\""
            }
            _ => self.challenge("invalid_token"),
        }
    }

    fn challenge(&self, error: &str) -> String {
        let mut challenge = "Bearer error=\"".to_string();
        challenge += error;
        challenge += "\", error_description=\"";
        challenge += &quotable(&self.message());
        challenge.push('"');
        challenge
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
            Self::SignatureInvalid => ("signature_invalid", Stage::Signature),
            Self::ClaimMissing { .. } => ("claim_missing", Stage::Claims),
            Self::ClaimInvalid { .. } => ("claim_invalid", Stage::Claims),
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
    text.chars()
        .map(|c| match c {
            '"' => '\'',
            ' '..='~' if c != '\\' => c,
            _ => '?',
        })
        .collect()
}

impl core::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// `"one" or "two"`.
fn alternatives(texts: &[String]) -> String {
    let mut alternatives = String::new();
    for text in texts {
        if !alternatives.is_empty() {
            alternatives += " or ";
        }
        alternatives.push('"');
        alternatives += text;
        alternatives.push('"');
    }
    alternatives
}

const HEADER_PARAMETER: &str = "the header parameter ";
const TYPE_ADVICE: &str = "\": is it an ID token? If the issuer's access tokens have another typ, \
    set the option type to it (type: 'JWT'), but only if its ID tokens have another aud";
const CRITICAL: &str =
    "the header has crit or b64, and this verifier understands no critical extension";
const KID_UNKNOWN: &str = "the key set has no key with the kid that the header names";
const KID_MISSING: &str =
    "the header has no kid, which is allowed only when the key set has exactly one usable key";
const SIGNATURE: &str =
    "the signature does not belong to this header and payload under the issuer's key";
const SLASH_ADVICE: &str =
    ": they differ by a / at the end; set the option issuer as in the issuer's metadata";
const AUDIENCE_ADVICE: &str = ": is it for another API, or an ID token? Ask the issuer for this \
    audience, or correct the option audience";
const NOT_YET: &str = "the token is not valid yet: the claim ";
const TOO_OLD: &str = " s that maxTokenAge allows";
/// The advice for a time that may differ because a clock is wrong.
const CLOCK: &str = "; if a clock is wrong, set it, or the option clockTolerance (up to 300 s)";
const STATUS_UNAVAILABLE: &str =
    "the status list is not available, so the token may have been revoked: try again later";

pub(crate) fn say(parts: &[&str]) -> String {
    parts.concat()
}

pub(crate) fn decimal(number: u64) -> String {
    let mut digits = if number < 10 { String::new() } else { decimal(number / 10) };
    digits.push(char::from(b'0' + (number % 10) as u8));
    digits
}

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
    /// The stage's name in errors.
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
    fn a_challenge_holds_only_what_rfc_6750_allows() {
        let error = Error::ScopeInsufficient { required: "read \"\\\u{e9}\r\n".into() };
        assert_eq!(
            error.www_authenticate(),
            "Bearer error=\"insufficient_scope\", error_description=\"the claim scope does not \
             hold all of the required scope 'read '????'\", scope=\"read '????\""
        );
    }

    #[test]
    fn a_fault_of_our_own_does_not_blame_the_token() {
        for error in [
            Error::OptionsInvalid { option: "x".into(), problem: "is unknown" },
            Error::JwksUnavailable,
            Error::JwksInvalid { reason: "json", problem: "is not JSON" },
            Error::StatusUnavailable,
        ] {
            assert_eq!(error.www_authenticate(), "Bearer", "{error}");
        }
        assert!(Error::SignatureInvalid.www_authenticate().contains("invalid_token"));
    }

    #[test]
    fn revocation_has_its_codes_before_anything_gives_them() {
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
    fn numbers_are_written_in_full() {
        for number in [0, 7, 10, 16_384, u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
        }
    }

    #[test]
    fn alternatives_are_joined() {
        assert_eq!(alternatives(&["a".into()]), "\"a\"");
        assert_eq!(alternatives(&["a".into(), "b".into()]), "\"a\" or \"b\"");
    }

    #[test]
    fn codes_are_listed_in_the_order_of_their_stages() {
        assert!(Error::CODES.is_sorted_by_key(|(_, stage)| *stage));
    }
}
