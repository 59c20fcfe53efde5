//! The configuration: every name with its default, in one table, and the rules that hold between
//! them. Where the values come from is in [`layers`].

mod database;
mod layers;
mod postgres_url;
mod value;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub(crate) use self::database::DatabaseUrl;
pub(crate) use self::postgres_url::{PostgresUrl, TIME_TO_CONNECT, describe};
use self::postgres_url::{is_postgres, show as show_url};
use crate::Error;
use crate::status;
pub use layers::Sources;

/// One configuration name.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    secret: bool,
}

/// Every configuration name, in the order in which `config check` prints them.
pub(crate) const SETTINGS: &[Setting] = &[
    plain("listen", "Address to serve on; port 0 picks a free one"),
    plain("admin_listen", "Address to serve metrics on, or none; port 0 picks a free one"),
    plain("issuer", "Issuer URL, as in the `iss` claim [default on loopback: the address's]"),
    plain("audience", "Audience of the access tokens"),
    plain("database", "Where users, sessions and keys are kept"),
    Setting {
        name: "master_key",
        help: "32 bytes in base64 that the private keys are encrypted under",
        secret: true,
    },
    plain("master_key_file", "File that holds the master key"),
    plain("access_ttl", "Lifetime of an access token"),
    plain("refresh_ttl", "Lifetime of an unused refresh token"),
    plain("refresh_grace", "How long a used refresh token still answers its successor"),
    plain("rotation_period", "How long one key signs"),
    plain("key_bits", "Size of the next keys: 2048, 3072 or 4096 bits"),
    plain("jwks_max_age", "How long a JWKS may be cached"),
    plain("clock_skew", "How far clocks may differ"),
    plain("tls_cert", "PEM file with the certificate chain"),
    plain("tls_key", "PEM file with the certificate's private key"),
    plain("behind_proxy", "A proxy in front of the issuer ends TLS"),
    plain("trusted_proxies", "Networks whose X-Forwarded-For is believed"),
    plain("cors_origins", "Origins of pages that may call the issuer"),
    plain("audit_retention", "How long the audit log is kept, or none: for good"),
    plain("log_format", "text or json"),
    plain("log_level", "What is logged: error, warn, info, debug or trace"),
    plain("status_lists", "Whether access tokens name a status list to look them up in"),
    plain("argon2_memory", "Memory of one password hash"),
    plain("argon2_passes", "Passes of a password hash over its memory"),
    plain("argon2_lanes", "Lanes of a password hash"),
    plain("hash_memory", "Memory that password hashes may have together"),
];

const fn plain(name: &'static str, help: &'static str) -> Setting {
    Setting { name, help, secret: false }
}

/// The longest that a session may live, whatever is refreshed.
pub const SESSION_MAX: Duration = Duration::from_secs(30 * DAY);

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;
/// In KiB.
const MIB: u32 = 1024;

/// The least memory for 1, 2, … passes, in KiB (OWASP Password Storage Cheat Sheet): all are as
/// strong.
const LEAST_MEMORY: [u32; 5] = [46 * MIB, 19 * MIB, 12 * MIB, 9 * MIB, 7 * MIB];

/// The configuration in force. [`Config::default`] has the documented defaults; every command
/// reads it through [`Sources`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Address that `serve` listens on.
    pub listen: SocketAddr,
    /// Address of the admin listener, which has the metrics; none if there is to be none.
    pub admin_listen: Option<SocketAddr>,
    /// The `iss` claim. On loopback the address's own URL when absent; elsewhere required.
    pub issuer: Option<String>,
    /// The `aud` claim.
    pub audience: String,
    /// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub database: String,
    /// The master key in base64, if it was given directly.
    pub master_key: Option<Secret>,
    /// The file that holds the master key, if it was named.
    pub master_key_file: Option<PathBuf>,
    /// Lifetime of an access token: 1 s to 1 day.
    pub access_ttl: Duration,
    /// Lifetime of a refresh token that is not used: 1 s to 30 days.
    pub refresh_ttl: Duration,
    /// How long after its use a refresh token still answers the same successor: 0 to 60 s.
    pub refresh_grace: Duration,
    /// How long one key signs: `jwks_max_age` + `clock_skew` + 30 s to 366 days.
    pub rotation_period: Duration,
    /// Size of the keys that are made from now on.
    pub key_bits: KeyBits,
    /// How long caches may hold the JWKS: 1 s to 1 day.
    pub jwks_max_age: Duration,
    /// How far the clocks of issuer and verifiers may differ: 0 to 5 min.
    pub clock_skew: Duration,
    /// PEM file with the certificate chain.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// Whether a proxy in front ends TLS.
    pub behind_proxy: bool,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that get CORS headers.
    pub cors_origins: Vec<String>,
    /// How long entries of the audit log are kept: 1 to 3660 days. None are deleted if absent.
    pub audit_retention: Option<Duration>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// How much of what the issuer itself has to say is logged.
    pub log_level: tracing::Level,
    /// Whether access tokens of sessions have the claim `status`.
    pub status_lists: bool,
    /// Memory of one password hash in KiB: what OWASP advises for the passes, to 1 GiB.
    pub argon2_memory: u32,
    /// Passes of a password hash over its memory: 1 to 16.
    pub argon2_passes: u32,
    /// Lanes of a password hash: 1 to 16.
    pub argon2_lanes: u32,
    /// Memory that the password hashes that run at a time may have together, in KiB.
    pub hash_memory: u32,
}

/// How the log is written: a line for each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: an object in each line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
            issuer: None,
            audience: "api".to_owned(),
            database: "sqlite://countersign.db".to_owned(),
            master_key: None,
            master_key_file: None,
            access_ttl: Duration::from_secs(15 * MINUTE),
            refresh_ttl: Duration::from_secs(7 * DAY),
            refresh_grace: Duration::from_secs(10),
            rotation_period: Duration::from_secs(30 * DAY),
            key_bits: KeyBits::default(),
            jwks_max_age: Duration::from_secs(5 * MINUTE),
            clock_skew: Duration::from_secs(MINUTE),
            tls_cert: None,
            tls_key: None,
            behind_proxy: false,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            audit_retention: None,
            log_format: LogFormat::Text,
            log_level: tracing::Level::INFO,
            status_lists: false,
            argon2_memory: 19 * MIB,
            argon2_passes: 2,
            argon2_lanes: 1,
            hash_memory: 256 * MIB,
        }
    }
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
    /// The number of bits.
    #[must_use]
    pub const fn get(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

/// A text that must not be printed.
#[derive(Clone)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Keeps `text` from being printed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl std::fmt::Debug for Config {
    /// As [`Config::show`] has it: a database's URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

impl Config {
    /// Checks the rules that hold between values, for every command.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first rule that is broken.
    pub fn check(&self) -> Result<(), Error> {
        between("access_ttl", self.access_ttl, 1, DAY)?;
        between("refresh_ttl", self.refresh_ttl, 1, SESSION_MAX.as_secs())?;
        between("refresh_grace", self.refresh_grace, 0, MINUTE)?;
        between("jwks_max_age", self.jwks_max_age, 1, DAY)?;
        between("clock_skew", self.clock_skew, 0, 5 * MINUTE)?;
        between("rotation_period", self.rotation_period, 1, 366 * DAY)?;
        if let Some(kept) = self.audit_retention {
            between("audit_retention", kept, DAY, 3660 * DAY)?;
        }
        self.check_hashes()?;
        if self.audience.is_empty() {
            return refuse("audience is empty; set it to the name of the API, such as \"api\"");
        }
        if self.master_key.is_some() && self.master_key_file.is_some() {
            return refuse("master_key and master_key_file are both set; set one of them");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return refuse("tls_cert and tls_key belong together; set both or none");
        }
        // The next key is published when the present one begins to sign, and must be known to
        // every cache before it signs itself.
        if self.rotation_period < self.publish_lead() {
            return refuse(&format!(
                "rotation_period is {} s, shorter than jwks_max_age ({} s) + clock_skew ({} s) + \
                 {} s for other issuers to notice = {} s; a key would sign before caches can have \
                 it; make rotation_period longer",
                self.rotation_period.as_secs(),
                self.jwks_max_age.as_secs(),
                self.clock_skew.as_secs(),
                crate::keys::NOTICE_WITHIN.as_secs(),
                self.publish_lead().as_secs(),
            ));
        }
        // Verifiers take at most 64 keys of a set: the retiring ones, the active and the next.
        let retiring = self.drop_lag().as_secs() / self.rotation_period.as_secs().max(1) + 1;
        if retiring + 2 > 64 {
            return refuse(&format!(
                "rotation_period is {} s, and a key is kept for access_ttl ({} s) + jwks_max_age \
                 ({} s) + clock_skew ({} s) + {} s after it has signed; with {retiring} retiring \
                 keys the JWKS would have more than the 64 that verifiers accept; make \
                 rotation_period longer",
                self.rotation_period.as_secs(),
                self.access_ttl.as_secs(),
                self.jwks_max_age.as_secs(),
                self.clock_skew.as_secs(),
                crate::keys::NOTICE_WITHIN.as_secs(),
            ));
        }
        if let Some(issuer) = &self.issuer {
            let Some(rest) =
                issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://"))
            else {
                return refuse(&format!(
                    "issuer is {issuer:?}; expected a URL such as https://auth.example"
                ));
            };
            let unfit = |c: char| c.is_whitespace() || c.is_control() || "?#\"\\<>@".contains(c);
            if rest.is_empty() || rest.starts_with('/') || rest.contains(unfit) {
                return refuse(&format!(
                    "issuer is {issuer:?}; expected a URL with a host and without a user, a \
                     query or a fragment (RFC 8414 section 2)"
                ));
            }
        }
        Ok(())
    }

    /// Checks the cost of password hashes, and that there is memory for one.
    fn check_hashes(&self) -> Result<(), Error> {
        for (name, value) in
            [("argon2_passes", self.argon2_passes), ("argon2_lanes", self.argon2_lanes)]
        {
            if !(1..=16).contains(&value) {
                return refuse(&format!("{name} is {value}; expected 1 to 16"));
            }
        }
        let most = 1024 * MIB;
        let row = self.argon2_passes.clamp(1, 5) as usize - 1;
        let least = LEAST_MEMORY.get(row).copied().unwrap_or(most);
        if !(least..=most).contains(&self.argon2_memory) {
            return refuse(&format!(
                "argon2_memory is {}; with argon2_passes = {} expected {} to {}",
                value::show_size(self.argon2_memory),
                self.argon2_passes,
                value::show_size(least),
                value::show_size(most),
            ));
        }
        if self.hash_memory < self.argon2_memory {
            return refuse(&format!(
                "hash_memory is {}, less than one password hash takes (argon2_memory is {});                  nobody could log in; make it a multiple of argon2_memory",
                value::show_size(self.hash_memory),
                value::show_size(self.argon2_memory),
            ));
        }
        Ok(())
    }

    /// How many password hashes may run at a time.
    pub(crate) fn parallel_hashes(&self) -> usize {
        (self.hash_memory / self.argon2_memory.max(1)) as usize
    }

    /// Checks what `serve` needs besides: off loopback it takes TLS or a proxy that ends it, an
    /// https issuer and a master key.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming what is missing.
    pub fn check_serve(&self) -> Result<(), Error> {
        self.check()?;
        let no_master_key = self.master_key.is_none() && self.master_key_file.is_none();
        if is_postgres(&self.database) && no_master_key {
            return refuse(
                "a PostgreSQL database needs master_key or master_key_file, the same for each \
                 issuer on it; make a key with: openssl rand -base64 32",
            );
        }
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        let address = self.listen;
        if self.tls_cert.is_none() && !self.behind_proxy {
            return refuse(&format!(
                "{address} is not a loopback address, and passwords would cross the network in \
                 the clear; set tls_cert and tls_key, or behind_proxy = true if a proxy ends TLS"
            ));
        }
        if !self.issuer.as_ref().is_some_and(|issuer| issuer.starts_with("https://")) {
            return refuse(&format!(
                "listening on {address} needs issuer, an https URL such as https://auth.example"
            ));
        }
        if no_master_key {
            return refuse(&format!(
                "listening on {address} needs master_key or master_key_file; make a key with: \
                 openssl rand -base64 32"
            ));
        }
        Ok(())
    }

    /// How long a key is in the JWKS before it may sign: another issuer on this database may serve
    /// the JWKS from before until it has noticed, and caches that fetched that have expired by
    /// then, also where clocks differ.
    pub(crate) fn publish_lead(&self) -> Duration {
        crate::keys::NOTICE_WITHIN + self.jwks_max_age + self.clock_skew
    }

    /// How long a key stays in the JWKS after it was retired: another issuer on this database may
    /// sign with it until it has noticed, and each token lives for `access_ttl` after that, a status
    /// list for as long as it does.
    pub(crate) fn drop_lag(&self) -> Duration {
        let list = if self.status_lists { status::LIFETIME } else { 0 };
        let longest = self.access_ttl.max(Duration::from_secs(list));
        crate::keys::NOTICE_WITHIN + longest + self.jwks_max_age + self.clock_skew
    }

    /// How long after a session's last moment an access token of it may be good somewhere: it was
    /// made by a clock that is behind this one, and is verified by another that is.
    pub(crate) fn token_end(&self) -> Duration {
        self.access_ttl + self.clock_skew * 2
    }

    /// How long a session is kept after its last moment: no token has its place in a status list any
    /// more, nor has anybody a list in which its bit is set, when somebody else may get that place.
    pub(crate) fn session_kept(&self) -> Duration {
        self.token_end() + self.clock_skew + Duration::from_secs(status::LIFETIME)
    }

    /// Every name with the value in force, one `name = value` a line, secrets hidden.
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = String::new();
        for setting in SETTINGS {
            let value = match self.text(setting.name) {
                Some(_) if setting.secret => "(hidden)".to_owned(),
                Some(url) if setting.name == "database" => show_url(&url),
                Some(text) => text,
                None => "(not set)".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{} = {value}", setting.name);
        }
        out
    }
}

fn between(name: &str, value: Duration, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value.as_secs()) {
        return Ok(());
    }
    let (value, min, max) = (
        value::show(value),
        value::show(Duration::from_secs(min)),
        value::show(Duration::from_secs(max)),
    );
    refuse(&format!("{name} is {value}; expected {min} to {max}"))
}

fn refuse<T>(line: &str) -> Result<T, Error> {
    Err(Error::Config(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_published_for_as_long_as_what_it_signed_lives() {
        let cases = [(MINUTE, false, MINUTE), (MINUTE, true, status::LIFETIME), (DAY, true, DAY)];
        for (access_ttl, status_lists, lives) in cases {
            let access_ttl = Duration::from_secs(access_ttl);
            let config = Config { access_ttl, status_lists, ..Config::default() };
            let caches = config.jwks_max_age + config.clock_skew + crate::keys::NOTICE_WITHIN;
            assert_eq!(config.drop_lag(), Duration::from_secs(lives) + caches, "{access_ttl:?}");
        }
    }
}
