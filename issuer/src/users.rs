//! Users and the changes that operators make to them. Pure rules: a store reads the row, applies
//! the change, and writes the result in the same transaction.

use crate::audit::Event;
use crate::authentication::Factors;
use crate::custom_claims::CustomClaims;
use crate::scope;

/// A user as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// The `sub` claim: random, independent of the name.
    pub(crate) id: String,
    /// Normalised.
    pub(crate) name: String,
    pub(crate) scope: String,
    /// A PHC string, or one of crypt(3), after [`EXPIRED`] if the password has expired.
    pub(crate) password_hash: String,
    /// Counts the changes of the password.
    pub(crate) password_version: u64,
    pub(crate) created_at: u64,
    /// A locked user cannot log in.
    pub(crate) locked: bool,
    /// The time of the last unlock, or 0. Failed logins before it are not counted.
    pub(crate) unlocked_at: u64,
    /// The second factors that the user has. They are rows of their own: a change of the user does not
    /// write them.
    pub(crate) factors: Factors,
    /// The user's own claims in access tokens.
    pub(crate) claims: CustomClaims,
}

/// The outcome for one of several users to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addition {
    Added,
    /// The user with this id is there already.
    Present,
    /// Another user has the name.
    NameTaken,
}

/// Begins the hash of a password that has expired, as in shadow(5). For every version of the issuer
/// such a hash fits no password, so that no session can be opened with it.
const EXPIRED: &str = "!";

impl User {
    /// Returns true if the user has to get a new password.
    pub(crate) fn has_expired_password(&self) -> bool {
        self.password_hash.starts_with(EXPIRED)
    }

    /// Returns the hash of the password, also of one that has expired.
    pub(crate) fn hash(&self) -> &str {
        self.password_hash.strip_prefix(EXPIRED).unwrap_or(&self.password_hash)
    }

    /// Returns true if the row stays only for the user's sessions.
    pub(crate) fn is_deleted(&self) -> bool {
        self.name.starts_with(DELETED)
    }

    /// Returns the user with the hash of a new password.
    pub(crate) fn with_password(&self, hash: &str) -> Self {
        Self {
            password_hash: hash.to_owned(),
            password_version: self.password_version + 1,
            ..self.clone()
        }
    }
}

/// A change of one user.
#[derive(Clone, Debug)]
pub(crate) enum UserChange {
    /// Sets the hash of a new password.
    Password(String),
    /// Lets the password open no session any more, until another one is set.
    PasswordExpired,
    /// Locks the user, or unlocks them and forgets their failed logins.
    Locked(bool),
    /// Sets the scope of new sessions. If it lacks a word of the old scope, sessions end: they could
    /// go on with the old one for a month.
    Scope(String),
    /// Ends all sessions, and changes nothing else.
    SessionsEnded,
    /// Sets the user's own claims. No session ends: each refresh puts the present ones into its token.
    Claims(CustomClaims),
    /// Removes everything but the id. Status lists need the user's sessions until these expire, and
    /// sessions need the row.
    Deleted,
}

/// The effect of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedUser {
    /// The row to write.
    pub(crate) user: User,
    /// All sessions of the user end in the same transaction.
    pub(crate) ends_sessions: bool,
    pub(crate) event: Event,
}

/// The tables with what belongs to a user. Their rows are deleted with the user.
pub(crate) const BELONGINGS: [&str; 4] = ["one_time_tokens", "totps", "recovery_codes", "passkeys"];

/// Begins the name of a deleted user. No user can have such a name, because it has a control
/// character. The SQL of both stores skips these names by their order: from `char(7)` to `char(8)`.
pub(crate) const DELETED: &str = "\u{7}";

impl UserChange {
    /// Returns true if the user is not deleted, or this change deletes them.
    pub(crate) fn is_possible(&self, user: &User) -> bool {
        matches!(self, Self::Deleted) || !user.is_deleted()
    }

    /// Applies the change. Returns `None` if it changes nothing; then nothing is written or audited. The
    /// end of sessions changes nothing if there is none.
    pub(crate) fn apply(&self, user: &User, now: u64) -> Option<ChangedUser> {
        let (changed, ends_sessions, event) = match self {
            // A hash has a random salt. The same hash means that the transaction runs again after
            // it was committed.
            Self::Password(hash) if user.password_hash == *hash => return None,
            Self::Password(hash) => (user.with_password(hash), true, Event::PasswordChanged),
            Self::PasswordExpired if user.has_expired_password() => return None,
            Self::PasswordExpired => {
                let password_hash = format!("{EXPIRED}{}", user.password_hash);
                (User { password_hash, ..user.clone() }, true, Event::PasswordExpired)
            }
            Self::Locked(true) => (User { locked: true, ..user.clone() }, true, Event::UserLocked),
            Self::Locked(false) => {
                let changed = User { locked: false, unlocked_at: now, ..user.clone() };
                (changed, false, Event::UserUnlocked)
            }
            Self::Scope(scope) => {
                let changed = User { scope: scope.clone(), ..user.clone() };
                (changed, !scope::is_within(&user.scope, scope), Event::UserScopeChanged)
            }
            Self::SessionsEnded => {
                let event = Event::SessionsEnded;
                return Some(ChangedUser { user: user.clone(), ends_sessions: true, event });
            }
            Self::Claims(claims) => {
                let changed = User { claims: claims.clone(), ..user.clone() };
                (changed, false, Event::UserClaimsChanged)
            }
            Self::Deleted if user.is_deleted() => return None,
            Self::Deleted => {
                let changed = User {
                    name: format!("{DELETED}{}", user.id),
                    scope: String::new(),
                    password_hash: String::new(),
                    locked: true,
                    factors: Factors::default(),
                    claims: CustomClaims::default(),
                    ..user.clone()
                };
                (changed, true, Event::UserDeleted)
            }
        };
        (changed != *user).then_some(ChangedUser { user: changed, ends_sessions, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User {
            id: "user_x".to_owned(),
            name: "demo".to_owned(),
            scope: "read".to_owned(),
            password_hash: "hash".to_owned(),
            password_version: 3,
            created_at: 7,
            locked: false,
            unlocked_at: 0,
            factors: Factors::default(),
            claims: CustomClaims::parse(r#"{"role":"admin"}"#).unwrap(),
        }
    }

    #[test]
    fn each_change_has_its_effect_and_none_when_it_is_repeated() {
        let locked = User { locked: true, ..user() };
        let deleted = User {
            name: "\u{7}user_x".to_owned(),
            scope: String::new(),
            password_hash: String::new(),
            claims: CustomClaims::default(),
            ..locked.clone()
        };
        let [wide, narrow] =
            ["write read", ""].map(|scope| User { scope: scope.to_owned(), ..user() });
        let unlocked = User { unlocked_at: 9, ..user() };
        let new = User { password_hash: "new".to_owned(), password_version: 4, ..user() };
        let expired = User { password_hash: "!hash".to_owned(), ..user() };
        assert!(expired.has_expired_password() && !new.has_expired_password());
        assert_eq!((expired.hash(), new.hash()), ("hash", "new"));
        let plain = User { claims: CustomClaims::default(), ..user() };
        for (change, before, after, ends_sessions, event) in [
            (UserChange::Password("new".into()), user(), new.clone(), true, Event::PasswordChanged),
            (UserChange::PasswordExpired, user(), expired.clone(), true, Event::PasswordExpired),
            (UserChange::Password("new".into()), expired, new, true, Event::PasswordChanged),
            (UserChange::Locked(true), user(), locked.clone(), true, Event::UserLocked),
            (
                UserChange::Locked(false),
                locked.clone(),
                unlocked.clone(),
                false,
                Event::UserUnlocked,
            ),
            (UserChange::Locked(false), user(), unlocked, false, Event::UserUnlocked),
            (UserChange::Scope("write read".into()), user(), wide, false, Event::UserScopeChanged),
            (UserChange::Scope(String::new()), user(), narrow, true, Event::UserScopeChanged),
            (
                UserChange::Claims(plain.claims.clone()),
                user(),
                plain.clone(),
                false,
                Event::UserClaimsChanged,
            ),
            (UserChange::Claims(user().claims), plain, user(), false, Event::UserClaimsChanged),
            (UserChange::Deleted, user(), deleted.clone(), true, Event::UserDeleted),
            (UserChange::Deleted, locked, deleted, true, Event::UserDeleted),
        ] {
            let changed = change.apply(&before, 9).unwrap();
            assert_eq!(change.apply(&after, 9), None, "{change:?}");
            assert_eq!(changed, ChangedUser { user: after, ends_sessions, event }, "{change:?}");
        }
        let ended = UserChange::SessionsEnded.apply(&user(), 9);
        let event = Event::SessionsEnded;
        assert_eq!(ended, Some(ChangedUser { user: user(), ends_sessions: true, event }));
    }
}
