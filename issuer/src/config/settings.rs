//! Every setting, declared once: name, type, default and documentation. [`Config`], its default, the
//! sources, the flags and the output of `config check` come from this table.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing::Level;

use super::value::{self, Value};
use super::{
    AdminApi, AuditNetwork, DAY, DatabaseUrl, KeyBits, LogFormat, MIB, MINUTE, Origin, Resource,
    SecondFactorPolicy, Secret,
};

/// Names the function `parse` or `show` of a setting. The form is a module of [`value`], such as
/// `size`. Without a form the setting's type decides.
macro_rules! form {
    ($function:ident) => {
        value::plain::$function
    };
    ($function:ident $form:ident) => {
        value::$form::$function
    };
}

/// Declares settings as `/// Help. name: Type as form = default;`. The first line of the
/// documentation is the help text of the flag.
macro_rules! settings {
    ($(
        #[doc = $help:literal]
        $(#[doc = $more:literal])*
        $name:ident: $type:ty $(as $form:ident)? = $default:expr;
    )+) => {
        /// The configuration in force. [`Config::default`] has the documented defaults; every
        /// command reads it through [`Sources`](super::Sources).
        #[derive(Clone)]
        #[non_exhaustive]
        pub struct Config {
            $(
                #[doc = $help]
                $(#[doc = $more])*
                pub $name: $type,
            )+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// Every setting, in the order in which `config check` prints them.
        pub(crate) const SETTINGS: &[Setting] = &[$(Setting {
            name: stringify!($name),
            documentation: $help,
            is_flag: <$type as Value>::IS_FLAG,
            is_secret: <$type as Value>::IS_SECRET,
            set: |config, text| {
                config.$name = form!(parse $($form)?)(text)?;
                Ok(())
            },
            show: |config| form!(show $($form)?)(&config.$name),
        }),+];
    };
}

settings! {
    /// Address to serve on; port 0 picks a free one.
    listen: SocketAddr = loopback(8080);
    /// Address to serve metrics on, or none; port 0 picks a free one.
    admin_listen: Option<SocketAddr> as or_none = Some(loopback(9090));
    /// Where the Admin API is served: loopback, private or public.
    ///
    /// `loopback`: on `admin_listen`, if that is a loopback address. `private`: on `admin_listen`, at any
    /// address, without TLS. `public`: on `listen` too.
    admin_api: AdminApi = AdminApi::Loopback;
    /// Issuer URL, the `iss` claim; by default the URL of the loopback address.
    ///
    /// Required on any other address.
    issuer: Option<String> = None;
    /// Audience of the access tokens, the `aud` claim.
    audience: String = "api".to_owned();
    /// Further audiences that sessions may choose by the parameter `resource`.
    audiences: Vec<Resource> = Vec::new();
    /// Client of all sessions, the `client_id` claim of their access tokens.
    client_id: String = "client_first_party".to_owned();
    /// Database of users, sessions and keys.
    database: DatabaseUrl = DatabaseUrl::Sqlite(PathBuf::from("countersign.db"));
    /// Folder with the backups of the database, for the age of the newest in the metrics.
    backup_folder: Option<PathBuf> = None;
    /// Master key that encrypts the private keys: 32 bytes in base64.
    master_key: Option<Secret> = None;
    /// File with the master key.
    master_key_file: Option<PathBuf> = None;
    /// Lifetime of an access token.
    ///
    /// From 1 s to 1 day.
    access_ttl: Duration = Duration::from_secs(15 * MINUTE);
    /// Lifetime of an unused refresh token.
    ///
    /// From 1 s to 30 days.
    refresh_ttl: Duration = Duration::from_secs(7 * DAY);
    /// How long a used refresh token still returns its successor.
    ///
    /// From 0 to 1 day. A longer one hides the theft of used tokens for longer.
    refresh_grace: Duration = Duration::from_secs(30);
    /// How long one key signs.
    ///
    /// From `jwks_max_age` + `clock_skew` + 30 s to 366 days.
    rotation_period: Duration = Duration::from_secs(30 * DAY);
    /// Size of new keys: 2048, 3072 or 4096 bits.
    key_bits: KeyBits = KeyBits::default();
    /// How long caches may keep the key set.
    ///
    /// From 1 s to 1 day.
    jwks_max_age: Duration = Duration::from_secs(5 * MINUTE);
    /// How far the clocks of issuers and verifiers may differ.
    ///
    /// From 0 to 5 min.
    clock_skew: Duration = Duration::from_secs(MINUTE);
    /// PEM file with the certificate chain.
    tls_cert: Option<PathBuf> = None;
    /// PEM file with the certificate's private key.
    tls_key: Option<PathBuf> = None;
    /// A proxy in front of the issuer ends TLS.
    behind_proxy: bool = false;
    /// Networks of proxies whose X-Forwarded-For header is trusted.
    trusted_proxies: Vec<IpNet> = Vec::new();
    /// Time that a connection stays open without a request; by default 10s, or 620s behind a proxy.
    ///
    /// From 1 s to 2 h.
    idle_timeout: Option<Duration> = None;
    /// How long serving goes on after SIGTERM or SIGINT, so that balancers notice the stop.
    ///
    /// From 0 to 2 min.
    shutdown_delay: Duration = Duration::ZERO;
    /// Open connections of each listener.
    ///
    /// From 1 to 100,000. A further one replaces the one that has waited longest: of those that have
    /// sent no request, if they are a quarter of the limit; then of those between two requests; then of
    /// those whose body has not arrived. If all have a request that is being answered, it waits in the
    /// kernel's queue.
    connections: u32 = 1000;
    /// Open connections of one network: an IPv4 address or IPv6 /64.
    ///
    /// From 1 to 100,000. An IPv6 /56 may have twice as many, an IPv6 /48 or IPv4 /24 four times. A
    /// further one replaces another one of that network, or is closed if all of those are busy.
    /// Trusted proxies have no such limit.
    connections_per_network: u32 = 128;
    /// Logins that one network may try in a minute: an IPv4 address or IPv6 /64.
    ///
    /// From 1 to 100,000. They may come at once; then the next ones at even intervals.
    login_rate: u32 = 60;
    /// Whose logins need a second factor besides those of users who have one: optional, required, or scope
    /// with scope tokens.
    second_factor: SecondFactorPolicy = SecondFactorPolicy::Optional;
    /// Origins of pages, apps and extensions that may call the issuer (CORS).
    cors_origins: Vec<Origin> = Vec::new();
    /// Domain of passkeys (the RP id of WebAuthn); by default localhost for an issuer on loopback.
    ///
    /// Passkeys are off without it, and on loopback without a page at localhost. It never changes: a passkey
    /// works only for the domain that it was made for.
    passkey_rp_id: Option<String> = None;
    /// Origins of the pages that may use passkeys; by default the issuer's and those of `cors_origins`
    /// within the domain.
    passkey_origins: Vec<Origin> = Vec::new();
    /// How long entries of the audit log are kept; none keeps them forever.
    ///
    /// From 1 to 3660 days.
    audit_retention: Option<Duration> as or_none = None;
    /// How the audit log names the networks of clients: hash or address.
    audit_network: AuditNetwork = AuditNetwork::Hash;
    /// Format of the log: text or json.
    log_format: LogFormat = LogFormat::Text;
    /// Least severe level that is logged: error, warn, info, debug or trace.
    log_level: Level = Level::INFO;
    /// Access tokens of sessions name a status list (the claim `status`).
    status_lists: bool = false;
    /// Memory of one password hash.
    ///
    /// In KiB: from the minimum that OWASP recommends for `argon2_passes` to 1 GiB.
    argon2_memory: u32 as size = 19 * MIB;
    /// Passes of a password hash over its memory.
    ///
    /// From 1 to 16.
    argon2_passes: u32 = 2;
    /// Lanes of a password hash.
    ///
    /// From 1 to 16.
    argon2_lanes: u32 = 1;
    /// Memory of all password hashes that run at the same time.
    ///
    /// In KiB.
    hash_memory: u32 as size = 256 * MIB;
}

/// One setting: its name and text forms.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    documentation: &'static str,
    /// If set, the flag without a value means `true`.
    pub(crate) is_flag: bool,
    /// If set, error messages do not quote the value.
    pub(super) is_secret: bool,
    /// Sets the value from its text. The error says what was expected; the caller says where the
    /// text came from.
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
    /// Returns the text of the value, secrets hidden; `None` if there is no value.
    show: fn(&Config) -> Option<String>,
}

impl Setting {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns the help text of the flag, with the default.
    pub(crate) fn help(&self) -> String {
        let text = self.documentation.trim().trim_end_matches('.').replace('`', "");
        match (self.show)(&Config::default()) {
            Some(default) => format!("{text} [default: {default}]"),
            None => text,
        }
    }
}

impl Config {
    /// Returns every setting as a line `name = value`, secrets hidden.
    #[must_use]
    pub fn show(&self) -> String {
        let line = |(name, value): (_, Option<String>)| {
            format!("{name} = {}\n", value.as_deref().unwrap_or("(not set)"))
        };
        self.values().map(line).collect()
    }

    /// Returns the name and the value of every setting, secrets hidden.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        SETTINGS.iter().map(|setting| (setting.name, (setting.show)(self)))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
