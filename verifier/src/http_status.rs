//! The HTTP status code of a refusal.

use crate::Error;

impl Error {
    /// Returns the status code of the response to a request with a token that was refused like this
    /// (RFC 6750 §3.1).
    ///
    /// | status | errors |
    /// |---|---|
    /// | 401 | every fault of the token |
    /// | 403 | [`ScopeInsufficient`](Self::ScopeInsufficient) |
    /// | 500 | [`OptionsInvalid`](Self::OptionsInvalid), [`JwksInvalid`](Self::JwksInvalid): faults of the service |
    /// | 503 | [`JwksUnavailable`](Self::JwksUnavailable), [`StatusUnavailable`](Self::StatusUnavailable) |
    ///
    /// Send [`www_authenticate`](Self::www_authenticate) with 401 and 403, and `Retry-After` with 503.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::OptionsInvalid { .. } | Self::JwksInvalid { .. } => 500,
            Self::JwksUnavailable | Self::StatusUnavailable => 503,
            Self::ScopeInsufficient { .. } => 403,
            _ => 401,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, KeyRejection};

    #[test]
    fn a_fault_of_the_service_is_not_blamed_on_the_token() {
        let invalid = |option: &str| Error::OptionsInvalid { option: option.into(), problem: "" };
        let scope = Error::ScopeInsufficient { claim: "scope".into(), required: "read".into() };
        for (error, status) in [
            (invalid("issuer"), 500),
            (Error::JwksInvalid { reason: "json", problem: "" }, 500),
            (Error::JwksUnavailable, 503),
            (Error::StatusUnavailable, 503),
            (scope, 403),
            (Error::TokenTooLarge { max_token_bytes: 1 }, 401),
            (Error::KeyNotFound { named: true, set_is_empty: false }, 401),
            (Error::KeyRejected { reason: KeyRejection::Private }, 401),
            (Error::SignatureInvalid { nonce: false }, 401),
            (Error::TokenExpired { seconds_ago: 1 }, 401),
            (Error::TokenRevoked, 401),
        ] {
            assert_eq!(error.http_status(), status, "{error:?}");
        }
    }
}
