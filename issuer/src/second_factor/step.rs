//! The last step of an authentication: a proof opens a session, or makes the authentication of a session
//! new.

use super::NewTotp;
use super::recovery::RecoveryHash;
use crate::audit::Network;
use crate::authentication::Authentication;
use crate::login::throttle::ProvisionalFailure;
use crate::one_time::{OneTimeToken, TokenUse};
use crate::passkeys::PasskeyUse;
use crate::session::{Session, SessionId};
use crate::status::Candidates;
use crate::users::User;

/// The last step of an authentication. A store takes it in one transaction.
#[derive(Clone, Debug)]
pub(crate) struct LastStep {
    pub(crate) user_id: String,
    /// The number of the password that was checked; `None` if none was.
    pub(crate) password_version: Option<u64>,
    /// The token of the step before. It is used up, also by a wrong proof.
    pub(crate) token: Option<TokenUse>,
    pub(crate) proof: Proof,
    pub(crate) goal: Goal,
    /// The failure as which the request was counted. Success takes it back, and deletes its counter.
    pub(crate) failure: Option<ProvisionalFailure>,
    /// The token for another try after a wrong proof.
    pub(crate) retry: Option<OneTimeToken>,
    pub(crate) network: Network,
    pub(crate) now: u64,
}

/// A proof that was checked, as far as that is possible without a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// It is wrong.
    Wrong,
    /// The password alone. The user must have no second factor.
    Password,
    /// A right code of the confirmed TOTP secret.
    Totp {
        /// The sealed secret that the code was checked with.
        sealed: Vec<u8>,
        step: u64,
    },
    /// A right code of a TOTP secret that it confirms. The user must have no second factor yet.
    NewTotp(NewTotp),
    /// The hash of a recovery code, which may be wrong.
    RecoveryCode(RecoveryHash),
    /// A verified use of a passkey. Its counter may be wrong.
    Passkey(PasskeyUse),
}

/// The purpose of an authentication.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    Open {
        session: Box<Session>,
        /// Candidate indices for the session; `None` without status lists.
        candidates: Option<Candidates>,
    },
    /// The session goes on with this authentication.
    Again { session: SessionId, authentication: Authentication },
}

impl Goal {
    /// Returns the session that goes on.
    pub(crate) fn present_session(&self) -> Option<SessionId> {
        match self {
            Self::Open { .. } => None,
            Self::Again { session, .. } => Some(*session),
        }
    }
}

/// The result of a [`LastStep`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The session is open.
    Done(Box<Session>),
    /// The proof is wrong or was used before. The token is used up; that for another try works.
    Wrong,
    /// Nothing has changed: the token can't be used, the user is gone or locked, the password or the
    /// scope was changed, or the session has ended.
    Refused,
}

impl LastStep {
    /// Returns true if the user may take the step, as far as that does not depend on the proof.
    pub(crate) fn is_allowed(&self, user: &User) -> bool {
        let is_current = |version| !user.has_expired_password() && user.password_version == version;
        // The scope decides if a second factor is needed.
        let has_scope = match &self.goal {
            Goal::Open { session, .. } => session.scope == user.scope,
            Goal::Again { .. } => true,
        };
        !user.locked && has_scope && self.password_version.is_none_or(is_current)
    }
}
