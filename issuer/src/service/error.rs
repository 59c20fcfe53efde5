use std::fmt;
use std::time::Duration;

use super::Asked;
use super::admin::Access;
use crate::passkeys::MOST_OF_A_USER as MOST_PASSKEYS;
use crate::passkeys::relying_party::Fault;
use crate::store::StoreError;
use crate::target::TargetFault;

/// The reason why a request was refused or could not be answered.
///
/// `Display` is the description that a client may see. It never says which part of its credentials
/// was wrong, and no detail of a failure.
#[derive(Debug)]
pub(crate) enum ServiceError {
    /// The user name or the password is wrong, or the user is locked.
    LoginFailed,
    /// The user name and the password are right, and the password has expired.
    PasswordExpired,
    /// The password is right, and a second factor is needed.
    SecondFactorNeeded(Asked),
    /// The second factor is wrong, or was used before. With the token for another try.
    SecondFactorWrong(Asked),
    /// The token of a login is none of ours, expired, or was used, or the user or the password has changed.
    InvalidMfaToken,
    /// The last authentication of the session's user was too long ago (RFC 9470 §3).
    InsufficientAuthentication {
        /// The most seconds that it may be ago.
        max_age: u64,
    },
    /// The current password of a change is wrong.
    WrongPassword,
    /// A new password does not keep the rules; with the reason.
    PasswordRefused(String),
    /// The token for a reset is none of ours, expired, or was used.
    InvalidResetToken,
    /// The network or the account tried too often; the next login is possible after this time.
    TooManyLogins(Duration),
    /// More logins are waiting for a password hash than the queue takes.
    HashQueueFull,
    /// The refresh token is none of ours, expired, ended, or was replaced.
    InvalidRefreshToken,
    /// The access token is none of a user's session, or is for other services, or its session ended.
    InvalidAccessToken,
    /// The user has no such session, or it has ended.
    NoSuchSession,
    /// No domain of passkeys is set, or no origin of pages that may use them is known.
    NoPasskeys,
    /// The challenge of a passkey is none of ours, is for somebody else, has expired, or was used.
    InvalidChallenge,
    /// The login with a passkey is refused, for whatever reason.
    PasskeyLoginFailed,
    /// The registration of a passkey is refused.
    PasskeyRefused(Fault),
    /// Some user has a passkey with this credential id.
    PasskeyTaken,
    /// The user has as many passkeys as they may.
    TooManyPasskeys,
    /// The client's id or secret is wrong, or the client is locked.
    InvalidClient,
    /// `scope` is not a list of scope tokens.
    MalformedScope,
    /// `scope` asks for more than the session has.
    ScopeExceedsSession,
    /// `scope` asks for more than the client has.
    ScopeExceedsClient,
    /// `resource` names audiences that the client may not choose.
    InvalidTarget(TargetFault),
    /// `scope` asks for a scope for the issuer, and `resource` for other audiences, or the reverse.
    ScopeOfAnotherTarget,
    /// The access token is not a client's own for the issuer itself, or the client is gone or locked.
    InvalidAdminToken,
    /// The token or the client lacks the scope.
    InsufficientScope(Access),
    /// The client made too many requests; the next one is possible after this time.
    TooManyRequests(Duration),
    /// The request cannot be done. The line says why, and what was expected.
    Refused(String),
    /// There is no such user, client, session or key.
    NoSuch(&'static str),
    /// Another user or client has the name.
    NameTaken,
    /// The request contradicts the present state. The line says why.
    Conflict(&'static str),
    /// Another request had the same `Idempotency-Key`.
    KeyOfAnotherRequest,
    /// A request with the same `Idempotency-Key` is being answered.
    RequestInFlight,
    /// The stored answer is sealed under another master key.
    AnswerUnreadable,
    /// A client may only use and revoke its own tokens.
    TokenOfAnotherClient,
    /// The access token names no status list, so that nobody can see its end.
    UnrevocableToken,
    /// The keys could not be read for a while, so that none may sign.
    NoSigningKey,
    /// The clock is behind the latest time that an issuer on this database saw.
    ClockBehind,
    /// The status list cannot be read or signed, and the last one has expired.
    StatusListUnavailable,
    Store(StoreError),
    Internal(crate::Error),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecondFactorNeeded(_) => {
                "the password is right, and a second factor is needed; send it with mfa_token to \
                 /login/second-factor"
            }
            Self::SecondFactorWrong(_) => "the second factor is wrong, or was used before",
            Self::InvalidMfaToken => "the login has expired or was completed; log in again",
            Self::InsufficientAuthentication { max_age } => {
                return write!(
                    f,
                    "the user must have authenticated at most {max_age} seconds ago, with their \
                     second factor if they have one; send the password to /login/again"
                );
            }
            Self::WrongPassword => "the current password is wrong",
            Self::PasswordRefused(reason) => reason,
            Self::InvalidResetToken => {
                "the token is invalid or has expired, or was used; ask for another one"
            }
            Self::InvalidAdminToken => {
                "the access token is invalid or has expired, or is not a client's own for this issuer; \
                 get one by client_credentials with the issuer's URL as resource"
            }
            Self::InsufficientScope(access) => {
                return write!(f, "this request needs the scope {}", access.scope());
            }
            Self::TooManyRequests(_) => "too many requests; wait before the next one",
            Self::Refused(line) => line,
            Self::Conflict(line) => line,
            Self::NoSuch(thing) => return write!(f, "there is no such {thing}"),
            Self::NameTaken => "the name is taken; choose another one",
            Self::KeyOfAnotherRequest => {
                "another request had this Idempotency-Key; use a new key for a new request"
            }
            Self::RequestInFlight => {
                "a request with this Idempotency-Key is being answered; repeat this one after that"
            }
            Self::AnswerUnreadable => {
                "the answer to this Idempotency-Key cannot be read, because the master key has changed; \
                 look for the name, or use a new key"
            }
            Self::LoginFailed => "the user name or the password is wrong",
            Self::PasswordExpired => "the password has expired; the user needs a new one",
            Self::TooManyLogins(_) => "too many logins; wait before the next one",
            Self::HashQueueFull => "too many logins are waiting; try again in a second",
            Self::InvalidRefreshToken => "the refresh token is invalid, expired or was replaced",
            Self::InvalidAccessToken => {
                "the access token is invalid or has expired, or its session has ended; log in again or \
                 refresh"
            }
            Self::NoPasskeys => {
                "passkeys are off; set passkey_rp_id to turn them on; on loopback, list the origin of the \
                 pages at localhost, such as http://localhost:3000, in cors_origins instead"
            }
            Self::InvalidChallenge => {
                "the challenge is invalid or has expired, or was used; ask for another one"
            }
            Self::PasskeyLoginFailed => {
                "the passkey is unknown or was refused, or its challenge has expired; ask for another \
                 challenge"
            }
            Self::PasskeyRefused(fault) => return write!(f, "the passkey is refused: {fault}"),
            Self::PasskeyTaken => "this passkey is registered already",
            Self::TooManyPasskeys => {
                return write!(f, "a user has at most {MOST_PASSKEYS} passkeys; remove one first");
            }
            Self::NoSuchSession => "the user has no such session, or it has ended",
            Self::InvalidClient => "the client's id or its secret is wrong",
            Self::MalformedScope => {
                "scope is malformed; expected scope tokens with one space between them"
            }
            Self::ScopeExceedsSession => "scope asks for more than the session has",
            Self::ScopeExceedsClient => "scope asks for more than the client has",
            Self::InvalidTarget(fault) => return fault.fmt(f),
            Self::ScopeOfAnotherTarget => {
                "scopes that begin with countersign: are for the issuer alone; name it as resource to \
                 ask for them, and ask for no others with them"
            }
            Self::TokenOfAnotherClient => {
                "client_id is not the token's client; send the client_id that its access token has, or \
                 none"
            }
            Self::UnrevocableToken => {
                "this access token expires by itself; revoke the session's refresh token"
            }
            Self::NoSigningKey => "the signing keys cannot be read",
            Self::ClockBehind => "the clock is behind",
            Self::StatusListUnavailable => "the status list cannot be read",
            Self::Store(StoreError::Unconfirmed(_)) => {
                "the database did not confirm the change, which may have been made"
            }
            Self::Store(_) => "the database does not answer",
            Self::Internal(_) => "the issuer failed; its log says more",
        })
    }
}

impl From<TargetFault> for ServiceError {
    fn from(fault: TargetFault) -> Self {
        Self::InvalidTarget(fault)
    }
}

impl From<StoreError> for ServiceError {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<crate::Error> for ServiceError {
    fn from(e: crate::Error) -> Self {
        match e {
            crate::Error::Refused(line) => Self::Refused(line),
            crate::Error::Unavailable(line) => Self::Store(StoreError::Unavailable(line)),
            crate::Error::Unconfirmed(line) => Self::Store(StoreError::Unconfirmed(line)),
            e => Self::Internal(e),
        }
    }
}
