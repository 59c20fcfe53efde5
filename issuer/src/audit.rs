//! The audit log: its events, their names in the database, and their subjects.

/// An event that the store records in the same transaction as the change itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    UserAdded,
    UserLocked,
    UserUnlocked,
    UserScopeChanged,
    UserDeleted,
    PasswordChanged,
    PasswordRehashed,

    ClientAdded,
    ClientSecretChanged,
    ClientLocked,
    ClientUnlocked,
    ClientScopeChanged,

    Login,
    RefreshRepeated,
    RefreshReused,
    SessionEnded,

    KeyPublished,
    KeyRotationRequested,
    KeyActive,
    KeyRetiring,
    /// A key was removed after its time was over.
    KeyDropped,
    /// A key was removed before its time was over.
    KeyWithdrawn,
    MasterKeyChanged,
    SecretExchanged,

    ClockReset,
}

impl Event {
    /// Returns the name in the database and in `audit list`. The names are documented: operators
    /// search for them.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::UserAdded => "user_added",
            Self::UserLocked => "user_locked",
            Self::UserUnlocked => "user_unlocked",
            Self::UserScopeChanged => "user_scope_changed",
            Self::UserDeleted => "user_deleted",
            Self::PasswordChanged => "password_changed",
            Self::PasswordRehashed => "password_rehashed",
            Self::ClientAdded => "client_added",
            Self::ClientSecretChanged => "client_secret_changed",
            Self::ClientLocked => "client_locked",
            Self::ClientUnlocked => "client_unlocked",
            Self::ClientScopeChanged => "client_scope_changed",
            Self::Login => "login",
            Self::RefreshRepeated => "refresh_repeated",
            Self::RefreshReused => "refresh_reused",
            Self::SessionEnded => "session_ended",
            Self::KeyPublished => "key_published",
            Self::KeyRotationRequested => "key_rotation_requested",
            Self::KeyActive => "key_active",
            Self::KeyRetiring => "key_retiring",
            Self::KeyDropped => "key_dropped",
            Self::KeyWithdrawn => "key_withdrawn",
            Self::MasterKeyChanged => "master_key_changed",
            Self::SecretExchanged => "secret_exchanged",
            Self::ClockReset => "clock_reset",
        }
    }
}

/// The subject of an event that concerns no single user, client, session or key.
pub(crate) const NO_SUBJECT: &str = "-";

/// Returns the subject of a session's events: its id in hexadecimal.
pub(crate) fn session_subject(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An entry of the audit log as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    pub(crate) at: u64,
    /// The name of an [`Event`]. Text, because a newer version may have recorded events that this
    /// version does not know.
    pub(crate) event: String,
    /// The id of a user, a client or a session, or a kid.
    pub(crate) subject: String,
}
