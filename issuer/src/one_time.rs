//! One-time tokens: for a login that still needs a second factor, for a new password, for the challenge
//! of a passkey. A token is used once, also if two issuers get it at the same time.

use zeroize::Zeroizing;

use crate::audit::{Event, NewEntry};
use crate::{Error, crypto};

/// The most open tokens that a user may have for one purpose. A further one ends the oldest.
pub(crate) const MOST_OF_A_USER: u32 = 10;

/// The use of a token. A token for another purpose does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    PasswordReset,
    SecondFactor,
    Passkey,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::SecondFactor => "second_factor",
            Self::Passkey => "passkey",
        }
    }

    /// Returns the event of a new token that the audit log records, if it records one.
    pub(crate) const fn event(self) -> Option<Event> {
        match self {
            Self::PasswordReset => Some(Event::PasswordResetBegun),
            Self::SecondFactor | Self::Passkey => None,
        }
    }
}

/// SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

/// A token as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OneTimeToken {
    pub(crate) hash: TokenHash,
    pub(crate) purpose: Purpose,
    pub(crate) user_id: Option<String>,
    /// The knowledge that its use needs.
    pub(crate) data: Vec<u8>,
    pub(crate) created_at: u64,
    pub(crate) expires_at: u64,
}

impl OneTimeToken {
    /// Returns the entry of the new token in the audit log, if it has one.
    pub(crate) fn entry(&self) -> Option<NewEntry> {
        let event = self.purpose.event()?;
        Some(NewEntry::of_user(self.created_at, event, self.user_id.as_deref()?))
    }
}

/// The use of a token by one request.
#[derive(Clone, Debug)]
pub(crate) struct TokenUse {
    pub(crate) hash: TokenHash,
    pub(crate) purpose: Purpose,
    /// The random id of the request. A transaction that runs again has the same.
    pub(crate) id: [u8; 16],
    pub(crate) now: u64,
}

impl TokenUse {
    pub(crate) fn new(token: &str, purpose: Purpose, now: u64) -> Result<Self, Error> {
        Ok(Self { hash: hash(token), purpose, id: crypto::random()?, now })
    }
}

/// The first use of a challenge, by one request. A challenge is stored only when it is used.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeUse {
    /// SHA-256 of the challenge.
    pub(crate) hash: TokenHash,
    /// The random id of the request. A transaction that runs again has the same.
    pub(crate) id: [u8; 16],
    pub(crate) now: u64,
    /// The time until which other uses are refused.
    pub(crate) remembered_until: u64,
}

/// The result of recording a [`ChallengeUse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is the first use.
    First,
    /// The same request has recorded it already, with this effect.
    Again { accepted: bool },
    /// Another request has used the challenge.
    Foreign,
}

/// Returns a new token and its hash.
pub(crate) fn random() -> Result<(Zeroizing<String>, TokenHash), Error> {
    let token = crypto::random_secret()?;
    let hash = hash(&token);
    Ok((token, hash))
}

/// Returns the hash of a token. SHA-256 is enough: nobody can guess 32 random bytes.
pub(crate) fn hash(token: &str) -> TokenHash {
    crypto::sha256(token.as_bytes())
}
