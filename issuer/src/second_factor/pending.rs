//! Logins that wait for a second factor. A one-time token has what is known about them.

use serde::{Deserialize, Serialize};

use crate::session::SessionId;
use crate::users::User;

/// The seconds in which a login must be complete.
pub(crate) const WITHIN: u64 = 5 * 60;

/// A login whose password was right, and that needs a second factor; or the same for a session whose
/// user authenticates again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The number of the password that was checked.
    pub(crate) password_version: u64,
    /// The refresh token goes into a cookie.
    pub(crate) by_cookie: bool,
    /// The session that goes on. `None`: a new one opens.
    pub(crate) session: Option<SessionId>,
    /// The user has to set up a second factor, because the policy asks for one.
    pub(crate) is_enrolment: bool,
}

impl Pending {
    /// Returns the login of a user whose password was right.
    pub(crate) fn after_password(user: &User, by_cookie: bool, session: Option<SessionId>) -> Self {
        Self {
            password_version: user.password_version,
            by_cookie,
            session,
            is_enrolment: user.factors.is_empty(),
        }
    }

    /// Returns the data of the login's one-time token.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(data: &[u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_login_is_read_as_it_was_written() {
        for session in [None, Some([255; 16])] {
            let pending =
                Pending { password_version: 7, by_cookie: true, session, is_enrolment: false };
            assert_eq!(Pending::decode(&pending.encode()), Some(pending));
        }
        assert_eq!(Pending::decode(b"{}"), None);
        assert_eq!(Pending::decode(b""), None);
    }
}
