//! The audit log: its events, their names in the database, and the user and network of each entry.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::AuditNetwork;
use crate::network::{network_of, network_with};

/// Declares the events with their names in the database and in `audit list`. The names are
/// documented: operators search for them.
macro_rules! events {
    ($($(#[$documentation:meta])* $event:ident = $name:literal,)+) => {
        /// An event that the store records in the same transaction as the change itself. Failed
        /// logins change nothing: they are recorded together, later.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Event {
            $($(#[$documentation])* $event,)+
        }

        impl Event {
            /// The names of all events.
            pub(crate) const NAMES: &[&str] = &[$($name,)+];

            /// Returns the name in the database and in `audit list`.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)+
                }
            }
        }
    };
}

events! {
    UserAdded = "user_added",
    UserLocked = "user_locked",
    UserUnlocked = "user_unlocked",
    UserScopeChanged = "user_scope_changed",
    UserClaimsChanged = "user_claims_changed",
    UserDeleted = "user_deleted",
    PasswordChanged = "password_changed",
    PasswordRehashed = "password_rehashed",
    PasswordExpired = "password_expired",
    /// A token was made with which the user can set a new password.
    PasswordResetBegun = "password_reset_begun",
    PasswordReset = "password_reset",
    PasskeyAdded = "passkey_added",
    PasskeyRenamed = "passkey_renamed",
    PasskeyRemoved = "passkey_removed",
    /// The signature counter of a passkey did not grow: its authenticator may have been copied.
    PasskeyCounterBack = "passkey_counter_back",
    /// A TOTP secret was confirmed.
    TotpAdded = "totp_added",
    TotpRemoved = "totp_removed",
    RecoveryCodesReplaced = "recovery_codes_replaced",
    RecoveryCodeUsed = "recovery_code_used",
    /// All second factors of a user were removed.
    SecondFactorsReset = "second_factors_reset",

    ClientAdded = "client_added",
    ClientSecretChanged = "client_secret_changed",
    ClientLocked = "client_locked",
    ClientUnlocked = "client_unlocked",
    ClientScopeChanged = "client_scope_changed",
    ClientClaimsChanged = "client_claims_changed",
    ClientAudiencesChanged = "client_audiences_changed",

    Login = "login",
    /// The name or the password was wrong.
    LoginFailed = "login_failed",
    /// The password was right, and the user is locked.
    LoginLocked = "login_locked",
    /// The password was right, and has expired.
    LoginExpired = "login_expired",
    /// The password was not checked, because too many logins had failed.
    LoginHeldBack = "login_held_back",
    /// The password was right, and the second factor wrong.
    SecondFactorFailed = "second_factor_failed",
    /// The user of a session has authenticated again.
    AuthenticatedAgain = "authenticated_again",
    RefreshRepeated = "refresh_repeated",
    RefreshReused = "refresh_reused",
    SessionEnded = "session_ended",
    /// All sessions of a user were ended.
    SessionsEnded = "sessions_ended",

    KeyPublished = "key_published",
    KeyRotationRequested = "key_rotation_requested",
    KeyActive = "key_active",
    KeyRetiring = "key_retiring",
    /// A key was removed after its time was over.
    KeyDropped = "key_dropped",
    /// A key was removed before its time was over.
    KeyWithdrawn = "key_withdrawn",
    MasterKeyChanged = "master_key_changed",
    SecretExchanged = "secret_exchanged",

    ClockReset = "clock_reset",
}

/// The subject of an event that concerns no single user, client, session or key.
pub(crate) const NO_SUBJECT: &str = "-";

/// Returns the subject of a session's events: its id in hexadecimal.
pub(crate) fn session_subject(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who asks for a change, and from where. The default is a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Actor {
    /// The id of the client that called the Admin API.
    pub(crate) id: Option<String>,
    /// The network of the request.
    pub(crate) network: Option<Network>,
}

impl From<Network> for Actor {
    fn from(network: Network) -> Self {
        Self { id: None, network: Some(network) }
    }
}

/// An entry of the audit log that the store writes.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    pub(crate) at: u64,
    pub(crate) event: Event,
    /// The id of a user, a client or a session, or a kid.
    pub(crate) subject: String,
    pub(crate) user_id: Option<String>,
    /// The network of the request, as [`Network`] shows it. Commands have none.
    pub(crate) network: Option<String>,
    /// How often it happened.
    pub(crate) count: u32,
    /// The id of the [`Actor`].
    pub(crate) actor: Option<String>,
}

impl NewEntry {
    /// Returns the entry of an event that concerns no user.
    pub(crate) fn of(at: u64, event: Event, subject: &str) -> Self {
        Self {
            at,
            event,
            subject: subject.to_owned(),
            user_id: None,
            network: None,
            count: 1,
            actor: None,
        }
    }

    /// Returns the entry of a change of a user.
    pub(crate) fn of_user(at: u64, event: Event, user_id: &str) -> Self {
        Self { user_id: Some(user_id.to_owned()), ..Self::of(at, event, user_id) }
    }

    /// Returns the entry of a session's event.
    pub(crate) fn of_session(at: u64, event: Event, session: &[u8; 16], user_id: &str) -> Self {
        let user_id = Some(user_id.to_owned());
        Self { user_id, ..Self::of(at, event, &session_subject(session)) }
    }

    pub(crate) fn by(self, actor: &Actor) -> Self {
        let network = actor.network.as_ref().map(Network::to_string);
        Self { actor: actor.id.clone(), network, ..self }
    }

    pub(crate) fn from(self, network: &Network) -> Self {
        Self { network: Some(network.to_string()), ..self }
    }
}

/// An entry of the audit log as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    pub(crate) id: u64,
    pub(crate) at: u64,
    /// The name of an [`Event`]. Text, because a newer version may have recorded events that this
    /// version does not know.
    pub(crate) event: String,
    /// The id of a user, a client or a session, or a kid.
    pub(crate) subject: String,
    /// Absent in entries of versions that did not record it.
    pub(crate) user_id: Option<String>,
    /// The present name of the user; `None` if the user is deleted.
    pub(crate) user_name: Option<String>,
    pub(crate) network: Option<String>,
    pub(crate) count: u64,
    /// The id of the [`Actor`]. Absent for commands, and for users and clients that act for themselves.
    pub(crate) actor: Option<String>,
}

/// The entries to list: those that meet all conditions.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    pub(crate) subject: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) network: Option<String>,
    /// The names of events; all if it is empty.
    pub(crate) events: Vec<String>,
    /// Not older than this time.
    pub(crate) since: u64,
    /// Recorded before the entry with this id.
    pub(crate) before: Option<u64>,
    /// The largest number of entries: the last ones.
    pub(crate) most: u32,
}

/// The network of a client: its IPv4 address, or its IPv6 /64. Its text, which the audit log has, is
/// made only if it is needed.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    address: IpAddr,
    names: Arc<NetworkNames>,
}

/// How the audit log names networks.
#[derive(Debug)]
pub(crate) struct NetworkNames {
    /// The key of the codes, if networks are not shown by their addresses. It is one of the
    /// deployment: a network has the same code at all issuers.
    key: Option<hmac::Key>,
}

impl NetworkNames {
    pub(crate) fn new(kind: AuditNetwork, key: hmac::Key) -> Self {
        Self { key: (kind == AuditNetwork::Hash).then_some(key) }
    }
}

impl Network {
    pub(crate) fn of(client: IpAddr, names: &Arc<NetworkNames>) -> Self {
        Self { address: network_of(client), names: Arc::clone(names) }
    }

    /// Returns the network around it that users recognise: an IPv4 /24 or an IPv6 /48. `None` if the
    /// audit log hides networks.
    pub(crate) fn surroundings(&self) -> Option<String> {
        let prefix_length = if self.address.is_ipv6() { 48 } else { 24 };
        let is_shown = self.names.key.is_none();
        is_shown.then(|| network_with(self.address, prefix_length).to_string())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.address.is_ipv6() { "/64" } else { "" };
        let address = format!("{}{prefix}", self.address);
        match &self.names.key {
            None => f.write_str(&address),
            Some(key) => {
                let code = hmac::sign(key, address.as_bytes());
                let half = code.as_ref().get(..16).unwrap_or_default();
                f.write_str(&URL_SAFE_NO_PAD.encode(half))
            }
        }
    }
}

#[cfg(test)]
impl Network {
    pub(crate) fn for_tests() -> Self {
        Self::of([192, 0, 2, 1].into(), &Arc::new(NetworkNames { key: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_sees_the_surroundings_of_a_network_unless_networks_are_hidden() {
        let surroundings = |kind, client: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
            Network::of(client.parse().unwrap(), &Arc::new(NetworkNames::new(kind, key)))
                .surroundings()
        };
        for (client, expected) in [
            ("192.0.2.1", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            assert_eq!(surroundings(AuditNetwork::Address, client).as_deref(), Some(expected));
            assert_eq!(surroundings(AuditNetwork::Hash, client), None);
        }
    }

    #[test]
    fn a_network_is_shown_as_a_code_or_as_its_address() {
        let key = |byte| hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]);
        let shown = |kind, key, client: &str| {
            let names = Arc::new(NetworkNames::new(kind, key));
            Network::of(client.parse().unwrap(), &names).to_string()
        };
        for (client, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(shown(AuditNetwork::Address, key(1), client), address);
            let code = shown(AuditNetwork::Hash, key(1), client);
            assert_eq!(code.len(), 22);
            assert_eq!(code, shown(AuditNetwork::Hash, key(1), address.trim_end_matches("/64")));
            assert_ne!(code, shown(AuditNetwork::Hash, key(1), "192.0.2.2"));
            assert_ne!(code, shown(AuditNetwork::Hash, key(2), client));
        }
    }
}
