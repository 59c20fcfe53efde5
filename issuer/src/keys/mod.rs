//! The life of signing keys: *published* (in the JWKS, not signing) → *active* (one) → *retiring*
//! (in the JWKS, not signing) → gone. When each step is due is in [`rules`], which reads no clock
//! and no database; [`change`] takes the steps in the database; the keys that a running issuer
//! signs with are in [`ring`].

pub(crate) mod events;
mod forecast;
mod request;
mod rules;

use std::time::Duration;

use crate::Error;
use crate::sealing::{DeploymentSecret, Sealer};
pub(crate) use forecast::Life;
pub(crate) use request::Request;
pub(crate) use rules::Rules;

/// An issuer stops signing when it has not read the keys for this long; so a key that another
/// process retired signs for no longer than this.
pub(crate) const NOTICE_WITHIN: Duration = Duration::from_secs(30);

/// Where a key is in its life.
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
    /// When it began to sign; for a published key, when `keys rotate` asked that it begins.
    pub(crate) activates_at: Option<u64>,
    pub(crate) retired_at: Option<u64>,
    /// When the last token that it can have signed is gone from everywhere.
    pub(crate) drops_at: Option<u64>,
}

/// What the database holds under the master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vault {
    /// Oldest first.
    pub(crate) keys: Vec<KeyRecord>,
    /// The sealed deployment secret. A database that no issuer has opened yet has none.
    pub(crate) secret: Option<Vec<u8>>,
}

impl Vault {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.secret.is_none()
    }

    /// Whether all of it was sealed under the sealer's key.
    pub(crate) fn opens_under(&self, sealer: &Sealer) -> bool {
        open_under(&self.keys, sealer)
            && self.secret.as_ref().is_none_or(|s| DeploymentSecret::open(s, sealer).is_some())
    }

    /// Refuses a master key that does not open all of it.
    pub(crate) fn check(&self, sealer: &Sealer) -> Result<(), Error> {
        if self.opens_under(sealer) { Ok(()) } else { Err(wrong_master_key()) }
    }
}

/// Whether all of these keys were sealed under the sealer's key.
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
