//! The life of signing keys: *published* (in the JWKS, not signing) → *active* (signing; exactly
//! one) → *retiring* (in the JWKS, no longer signing) → dropped.
//!
//! [`Rules`] say when each step is due. [`Request`] is a change that an operator asks for. [`Life`]
//! is one key's part of the forecast. The service applies all of them to the database.

pub(crate) mod events;
mod forecast;
mod listed;
mod request;
mod rules;

use crate::Error;
pub(crate) use crate::config::NOTICE_WITHIN;
use crate::sealing::{DeploymentSecret, FactorKey, Sealer};
pub(crate) use forecast::{Life, ROTATIONS_SHOWN};
pub(crate) use listed::ListedKey;
pub(crate) use request::Request;
pub(crate) use rules::Rules;

/// A step of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    Published,
    Active,
    Retiring,
}

impl KeyState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retiring => "retiring",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Published, Self::Active, Self::Retiring].into_iter().find(|s| s.name() == name)
    }
}

/// A key as the store keeps it. Times are UNIX seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    /// RFC 7638 thumbprint.
    pub(crate) kid: String,
    pub(crate) bits: u32,
    pub(crate) n: String,
    pub(crate) e: String,
    /// The private key, sealed with the kid as its context.
    pub(crate) sealed: Vec<u8>,
    pub(crate) state: KeyState,
    pub(crate) published_at: u64,
    /// The time when it became active. For a published key, the time when `keys rotate` was first
    /// requested.
    pub(crate) activates_at: Option<u64>,
    pub(crate) retired_at: Option<u64>,
    /// The time when no token that it signed can be in use any more.
    pub(crate) drops_at: Option<u64>,
}

/// The private keys and secrets of a database, sealed under the master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vault {
    /// Oldest first.
    pub(crate) keys: Vec<KeyRecord>,
    /// The sealed deployment secret. Absent until an issuer has opened the database.
    pub(crate) secret: Option<Vec<u8>>,
    /// The sealed key of TOTP secrets. Absent until an issuer of this version has opened the database.
    pub(crate) factor_key: Option<Vec<u8>>,
}

impl Vault {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.secret.is_none() && self.factor_key.is_none()
    }

    /// Returns true if the sealer opens all of it.
    pub(crate) fn opens_under(&self, sealer: &Sealer) -> bool {
        open_under(&self.keys, sealer)
            && self.secret.as_ref().is_none_or(|s| DeploymentSecret::open(s, sealer).is_some())
            && self.factor_key.as_ref().is_none_or(|key| FactorKey::open(key, sealer).is_some())
    }

    /// Refuses a master key that does not open all of it.
    pub(crate) fn check(&self, sealer: &Sealer) -> Result<(), Error> {
        if self.opens_under(sealer) { Ok(()) } else { Err(wrong_master_key()) }
    }
}

/// Returns true if the sealer opens all of these keys.
pub(crate) fn open_under(keys: &[KeyRecord], sealer: &Sealer) -> bool {
    keys.iter().all(|key| sealer.open(&key.sealed, &key.kid).is_some())
}

pub(crate) fn wrong_master_key() -> Error {
    Error::MasterKey(
        "the master key does not open the keys in the database; set master_key or \
         master_key_file to the one that the database was made with, or that keys rewrap gave it"
            .to_owned(),
    )
}

pub(crate) fn in_state(keys: &[KeyRecord], state: KeyState) -> Option<&KeyRecord> {
    keys.iter().find(|key| key.state == state)
}
