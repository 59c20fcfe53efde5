//! Second factors: the proofs of a login besides the password, and the changes that users and operators
//! make to them. Pure rules: a store applies them in one transaction.

pub(crate) mod change;
pub(crate) mod pending;
pub(crate) mod recovery;
pub(crate) mod step;
pub(crate) mod totp;

pub(crate) use change::{Changed, FactorChange, NewTotp};
pub(crate) use step::{Finished, Goal, LastStep, Proof};

/// The second factors of a user, as the store keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredFactors {
    pub(crate) totp: Option<StoredTotp>,
    /// The recovery codes that nobody has used.
    pub(crate) recovery_codes: u32,
}

/// The secret of an authenticator app, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredTotp {
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: u64,
    /// `None` until the user has shown a code.
    pub(crate) confirmed_at: Option<u64>,
    /// The time step of the last code that was used.
    pub(crate) last_step: u64,
}

impl StoredTotp {
    /// Returns true if the user can still confirm it.
    pub(crate) fn is_open(&self, now: u64) -> bool {
        self.confirmed_at.is_none() && now < self.created_at.saturating_add(CONFIRM_WITHIN)
    }
}

/// The seconds in which a user has to confirm a new TOTP secret.
pub(crate) const CONFIRM_WITHIN: u64 = 60 * 60;
