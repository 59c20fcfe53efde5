//! The configuration. [`settings`] declares each setting once, [`sources`] reads the values, and
//! [`check`] has the rules between them.

mod check;
mod database;
mod derived;
mod foreign_variables;
mod intervals;
mod origin;
mod passkeys;
mod postgres_url;
mod resource;
mod second_factor;
mod settings;
mod sources;
mod value;

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

pub use self::database::DatabaseUrl;
pub(crate) use self::database::{beside, master_key_beside};
pub(crate) use self::derived::url_of;
pub(crate) use self::intervals::{NOTICE_WITHIN, STATUS_LIST_LIFETIME};
pub use self::origin::Origin;
pub(crate) use self::postgres_url::{PostgresUrl, TIME_TO_CONNECT, describe};
pub use self::resource::Resource;
pub use self::second_factor::SecondFactorPolicy;
pub use self::settings::Config;
pub(crate) use self::settings::{SETTINGS, Setting};
pub use self::sources::Sources;
pub(crate) use self::value::parse_duration;

/// The maximum lifetime of a session, however often it is refreshed.
pub const SESSION_MAX: Duration = Duration::from_secs(30 * DAY);

/// In seconds.
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// In KiB.
const MIB: u32 = 1024;

impl Config {
    /// Returns how many password hashes may run at the same time.
    pub(crate) fn parallel_hashes(&self) -> usize {
        (self.hash_memory / self.argon2_memory.max(1)) as usize
    }
}

/// Format of the log. Each event is one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// The listeners that serve the Admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminApi {
    /// The admin listener, if it has a loopback address.
    Loopback,
    /// The admin listener, at any address. It has no TLS.
    Private,
    /// The public listener, and the admin listener if it has a loopback address.
    Public,
}

/// How the audit log names the network of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditNetwork {
    /// By a keyed hash.
    Hash,
    /// By its address.
    Address,
}

/// Size of an RSA key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyBits {
    /// 2048 bits.
    #[default]
    Rsa2048,
    /// 3072 bits.
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

impl KeyBits {
    /// Returns the number of bits.
    #[must_use]
    pub const fn get(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

/// A text that must not be printed. `Debug` hides it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `text`, and erases it from memory when dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
