//! `postgres://` URLs: read strictly, and shown without their password.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// After this long without traffic a connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Data that is not acknowledged for this long means that a connection is dead.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// The time to connect to one host of a URL. With TLS it takes seven round trips.
pub(crate) const TIME_TO_CONNECT: Duration = Duration::from_secs(3);

/// A parsed `postgres://` URL.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(crate) config: tokio_postgres::Config,
    /// File with the certificates that are trusted instead of the system's.
    pub(crate) root_certificates: Option<PathBuf>,
    /// The URL without its password.
    pub(crate) shown: String,
}

impl PostgresUrl {
    /// Parses a URL. Refuses one that is malformed, names no host, or names no database. The error
    /// quotes no part of the URL.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (plain_url, root_certificates) = take_root_certificates(url)?;
        // The parser's messages name parameters, but quote no values.
        let mut config: tokio_postgres::Config =
            plain_url.parse().map_err(|e: tokio_postgres::Error| refusal(&describe(&e)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refusal("the URL names no host"));
        }
        // The rest of a password that has an @: it would be sent to the name server.
        let has_at = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
        if config.get_hosts().iter().any(has_at) {
            return Err(refusal("there is an @ in the host or in the password"));
        }
        if config.get_dbname().is_none() {
            return Err(refusal("the URL names no database"));
        }
        // Without an explicit sslmode a password must not cross a network in the clear.
        if config.get_ssl_mode() == SslMode::Prefer {
            let here = config.get_hosts().iter().all(is_this_machine)
                && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
            config.ssl_mode(if here { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_application_name().is_none() {
            config.application_name("countersign-issuer");
        }
        let (hosts, addresses) = (config.get_hosts().len(), config.get_hostaddrs().len());
        if hosts != addresses && hosts != 0 && addresses != 0 {
            return Err(refusal("host and hostaddr have different lengths"));
        }
        if config.get_ports().len() > 1 && config.get_ports().len() != hosts.max(addresses) {
            return Err(refusal("there are more or fewer ports than hosts"));
        }
        Ok(Self { config, root_certificates, shown: show(url) })
    }

    /// Returns a configuration for each host, in order. Each gets a time of its own to connect.
    pub(crate) fn hosts(&self) -> Vec<tokio_postgres::Config> {
        let hosts = self.config.get_hosts().len().max(self.config.get_hostaddrs().len());
        (0..hosts).map(|index| one_host(&self.config, index)).collect()
    }

    pub(super) fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }
}

/// Copies the configuration for one of its hosts.
fn one_host(all: &tokio_postgres::Config, index: usize) -> tokio_postgres::Config {
    let mut one = tokio_postgres::Config::new();
    if let Some(host) = all.get_hosts().get(index) {
        match host {
            Host::Tcp(name) => one.host(name),
            Host::Unix(folder) => one.host_path(folder),
        };
    }
    if let Some(address) = all.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    let ports = all.get_ports();
    if let Some(port) = ports.get(index).or_else(|| ports.first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(database) = all.get_dbname() {
        one.dbname(database);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    one.ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .keepalives(all.get_keepalives())
        // Before routers on the way forget the connection.
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(TCP_TIMEOUT)
        .keepalives_retries(3)
        .tcp_user_timeout(TCP_TIMEOUT)
        // Of several hosts, only the primary can be written. A failover makes it another one.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    one
}

/// Takes `sslrootcert`, which the parser does not know, out of a URL. Returns the rest of the URL
/// and the path. Refuses parameters that could hide a password from [`show`].
fn take_root_certificates(url: &str) -> Result<(String, Option<PathBuf>), String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut root_certificates, mut rest) = (None, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslrootcert", path)) => root_certificates = Some(PathBuf::from(path)),
            // Our `require` always verifies the certificate and the name.
            Some(("sslmode", "verify-full")) => rest.push("sslmode=require"),
            Some(("password", _)) => return Err(refusal("the password belongs before the host")),
            Some((name, _)) if !is_plain(name) => return Err(refusal("unknown parameter")),
            _ => rest.push(parameter),
        }
    }
    Ok((format!("{base}?{}", rest.join("&")), root_certificates))
}

fn refusal(wrong: &str) -> String {
    format!(
        "{wrong}; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %-encoding for \
         characters that are special in a URL"
    )
}

/// Returns an error of the server or of the connection in one line. Leaves out details and hints,
/// because they can hold values.
pub(crate) fn describe(e: &tokio_postgres::Error) -> String {
    if let Some(e) = e.as_db_error() {
        return format!("{} ({})", e.message(), e.code().code());
    }
    let text = e.to_string();
    match std::error::Error::source(e).map(ToString::to_string) {
        Some(source) if !text.contains(&source) => format!("{text}: {source}"),
        _ => text,
    }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

/// Returns the URL without its password, even if the URL is malformed.
fn show(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password without %-encoding may hold any character; the last @ ends it.
    let (user, host) = match rest.rsplit_once('@') {
        Some((credentials, host)) => match credentials.split_once(':') {
            Some((user, _)) => (format!("{user}:(hidden)@"), host),
            None => (format!("{credentials}@"), host),
        },
        None => (String::new(), rest),
    };
    let (host, query) = host.split_once('?').unwrap_or((host, ""));
    let hidden = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if name == "password" || !is_plain(name) => format!("{name}=(hidden)"),
        _ => parameter.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(hidden).collect();
    let query = query.join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{host}{mark}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://db/x", "postgres://db/x"),
            ("postgres://u@db/x?sslmode=require", "postgres://u@db/x?sslmode=require"),
            ("postgres://u:secret@db:1/x", "postgres://u:(hidden)@db:1/x"),
            ("postgresql://u:sec@ret/x?y@db/x", "postgresql://u:(hidden)@db/x"),
            ("postgres://u:sec:ret@[::1]/x", "postgres://u:(hidden)@[::1]/x"),
            ("postgres://db/x?password=secret&port=1", "postgres://db/x?password=(hidden)&port=1"),
            ("postgres://db/x?pass%77ord=secret", "postgres://db/x?pass%77ord=(hidden)"),
            ("sqlite://a.db", "sqlite://a.db"),
        ] {
            assert_eq!(show(url), shown);
            if let Err(e) = PostgresUrl::parse(url) {
                assert!(!e.contains("ret"), "{e}");
            }
        }
    }

    #[test]
    fn tls_is_required_on_a_network() {
        for (url, expected) in [
            ("postgres://localhost/x", SslMode::Disable),
            ("postgres://127.0.0.1/x", SslMode::Disable),
            ("postgres://%2Frun%2Fpostgresql/x", SslMode::Disable),
            ("postgres:///x?host=/run/postgresql", SslMode::Disable),
            ("postgres://db.example/x", SslMode::Require),
            ("postgres://localhost,db.example/x", SslMode::Require),
            ("postgres://db.example/x?sslmode=prefer", SslMode::Require),
            ("postgres://db.example/x?sslmode=disable", SslMode::Disable),
            ("postgres://localhost/x?sslmode=require", SslMode::Require),
            ("postgres://localhost/x?sslmode=verify-full&sslrootcert=a.pem", SslMode::Require),
        ] {
            assert_eq!(
                PostgresUrl::parse(url).ok().unwrap().config.get_ssl_mode(),
                expected,
                "{url}"
            );
        }
    }

    #[test]
    fn a_wrong_url_is_refused_by_the_wrong_part() {
        for (url, word) in [
            ("postgres:///x", "host"),
            ("postgres://db", "names no database"),
            ("postgres://db:port/x", "port"),
            ("postgres://db/x?sslmode=maybe", "sslmode"),
            ("postgres://db/x?sslcert=a", "sslcert"),
            ("postgres://db/x?password=a", "before the host"),
            ("postgres://u:sec@ret@db/x", "an @ in the host"),
            ("postgres://a,b/x?hostaddr=127.0.0.1", "different lengths"),
            ("postgres://a,b/x?port=1,2,3", "ports than hosts"),
        ] {
            let refusal = PostgresUrl::parse(url).err().unwrap();
            assert!(refusal.contains(word), "{url}: {refusal}");
        }
    }

    #[test]
    fn each_host_has_a_configuration_of_its_own() {
        for (url, expected) in [
            ("postgres://u:p@a/x", vec![("a", 5432)]),
            ("postgres://u:p@a:1,b:2/x", vec![("a", 1), ("b", 2)]),
            ("postgres://u:p@a,b:2/x", vec![("a", 5432), ("b", 2)]),
        ] {
            let hosts = PostgresUrl::parse(url).ok().unwrap().hosts();
            let found: Vec<_> = hosts
                .iter()
                .map(|one| match (one.get_hosts(), one.get_ports()) {
                    ([Host::Tcp(name)], [port]) => (name.as_str(), *port),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(found, expected, "{url}");
            for one in &hosts {
                assert_eq!((one.get_user(), one.get_password()), (Some("u"), Some(&b"p"[..])));
                assert_eq!((one.get_dbname(), one.get_ssl_mode()), (Some("x"), SslMode::Require));
            }
        }
    }
}
