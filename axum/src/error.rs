//! The errors of a guard.

use std::{fmt, sync::Arc};

use countersign_verifier::Error as VerifyError;

/// The refusal of a token.
///
/// Its [`code`](Self::code) is one of those that the verifier has. The message
/// ([`Display`](fmt::Display)) is for the log: it never contains a part of the token or of a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The verifier refused the token, or an option.
    Refused(VerifyError),
    /// There are no keys to verify with: the last fetch failed.
    NoKeys(FetchError),
}

impl Error {
    /// Returns the verifier's error: its code, stage, status and challenge.
    #[must_use]
    pub fn verify_error(&self) -> &VerifyError {
        match self {
            Self::Refused(error) => error,
            Self::NoKeys(error) => error.verify_error(),
        }
    }

    /// Returns the stable name of this kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.verify_error().code()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::NoKeys(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        Self::Refused(error)
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        Self::NoKeys(error)
    }
}

/// A failed fetch of a key set, or of the metadata that names it.
///
/// The message names the URL without its query, the fault, and the expectation.
#[derive(Clone, Debug)]
pub struct FetchError {
    error: VerifyError,
    message: Arc<str>,
    timed_out: bool,
}

impl FetchError {
    /// Makes the error of an endpoint whose document cannot be used.
    pub(crate) fn unavailable(message: String) -> Self {
        Self::invalid(message, VerifyError::JwksUnavailable)
    }

    /// Makes the error of an endpoint that did not answer in time.
    pub(crate) fn timeout(message: String) -> Self {
        Self { timed_out: true, ..Self::unavailable(message) }
    }

    /// Makes the error of a document that is not a JWK Set.
    pub(crate) fn invalid(message: String, error: VerifyError) -> Self {
        Self { error, message: message.into(), timed_out: false }
    }

    pub(crate) const fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// Returns the verifier's error: `jwks_unavailable`, or `jwks_invalid` for a document that is
    /// not a JWK Set.
    #[must_use]
    pub fn verify_error(&self) -> &VerifyError {
        &self.error
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FetchError {}
