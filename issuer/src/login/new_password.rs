//! New passwords that users set themselves. Pure rules: a store applies them in one transaction.

use super::throttle::ProvisionalFailure;
use crate::audit::{Event, Network};
use crate::one_time::TokenUse;
use crate::session::SessionId;
use crate::users::User;

/// A new password that its user sets.
#[derive(Clone, Debug)]
pub(crate) struct NewPassword {
    pub(crate) user_id: String,
    /// The hash of the new password.
    pub(crate) hash: String,
    pub(crate) proof: Proof,
    /// The network of the request, for the audit log.
    pub(crate) network: Network,
    pub(crate) now: u64,
}

/// The proof that the request comes from the user.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// The current password.
    Password {
        /// The number of the password that was checked.
        version: u64,
        /// The session of the request. It stays.
        session: SessionId,
        /// The failure as which the request was counted until the password was checked.
        failure: ProvisionalFailure,
    },
    /// A token for a reset.
    Reset(TokenUse),
}

impl NewPassword {
    /// Returns true if the proof still holds for the user, apart from a token, which the store has to
    /// take. A locked user may reset the password, and stays locked.
    pub(crate) fn is_allowed(&self, user: &User) -> bool {
        match self.proof {
            Proof::Password { version, .. } => {
                !user.locked && !user.has_expired_password() && user.password_version == version
            }
            Proof::Reset(_) => true,
        }
    }

    /// Returns the session that stays, if one does.
    pub(crate) fn staying_session(&self) -> Option<SessionId> {
        match self.proof {
            Proof::Password { session, .. } => Some(session),
            Proof::Reset(_) => None,
        }
    }

    pub(crate) fn event(&self) -> Event {
        match self.proof {
            Proof::Password { .. } => Event::PasswordChanged,
            Proof::Reset(_) => Event::PasswordReset,
        }
    }
}
