//! Changes of a user's second factors, by the user or an operator.

use super::recovery::RecoveryHash;
use crate::audit::Event;

/// A change of one user's second factors. A store makes it, or changes nothing if it is not possible.
#[derive(Clone, Debug)]
pub(crate) enum FactorChange {
    /// Stores a sealed TOTP secret that the user has to confirm. It replaces another one that is not
    /// confirmed. Not possible if the user has a confirmed one.
    TotpBegun(Vec<u8>),
    /// Confirms the TOTP secret.
    TotpConfirmed(NewTotp),
    /// Removes the confirmed TOTP secret, and the recovery codes if the user has no passkey.
    TotpRemoved,
    /// Replaces all recovery codes. Not possible if the user has no second factor.
    RecoveryCodes(Vec<RecoveryHash>),
    /// Removes all second factors, and ends all sessions.
    Reset,
}

impl FactorChange {
    /// Returns the event in the audit log, if it has one.
    pub(crate) fn event(&self) -> Option<Event> {
        match self {
            Self::TotpBegun(_) => None,
            Self::TotpConfirmed(_) => Some(Event::TotpAdded),
            Self::TotpRemoved => Some(Event::TotpRemoved),
            Self::RecoveryCodes(_) => Some(Event::RecoveryCodesReplaced),
            Self::Reset => Some(Event::SecondFactorsReset),
        }
    }
}

/// The effect of a [`FactorChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nothing has changed.
    Impossible,
    Made,
    /// It is made, and its recovery codes are in force.
    MadeWithCodes,
}

impl Changed {
    pub(crate) fn of(is_made: bool) -> Self {
        if is_made { Self::Made } else { Self::Impossible }
    }
}

/// A TOTP secret that its user has confirmed by a code.
#[derive(Clone, Debug)]
pub(crate) struct NewTotp {
    /// The sealed secret that the code was checked with. If another one replaced it, nothing happens.
    pub(crate) sealed: Vec<u8>,
    /// The step of the code.
    pub(crate) step: u64,
    /// The hashes of new recovery codes. They come into force unless the user has some that nobody has
    /// used.
    pub(crate) codes: Vec<RecoveryHash>,
}
