//! `postgres://` URLs: what they say, and how they are shown.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::Error;

/// When a connection is tried that was silent: before the routers on the way forget it.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The time for a connection, of all hosts together.
pub(crate) const TIME_TO_CONNECT: Duration = Duration::from_secs(2);

/// What a URL says.
pub(crate) struct PostgresUrl {
    pub(crate) config: tokio_postgres::Config,
    /// The certificates to trust instead of the system's.
    pub(crate) root_certificates: Option<PathBuf>,
    /// The URL without its password.
    pub(crate) shown: String,
}

/// Whether it is the URL of a PostgreSQL database.
pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

impl PostgresUrl {
    /// # Errors
    ///
    /// [`Error::Config`] when it can't be read, or names no host or no database.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let refuse = |wrong: &str| {
            Error::Config(format!(
                "database: {wrong}; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with \
                 %-encoding for what is special in a URL"
            ))
        };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut root_certificates, mut rest) = (None, Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslrootcert", path)) => root_certificates = Some(PathBuf::from(path)),
                // Here `require` always verifies the certificate and the name.
                Some(("sslmode", "verify-full")) => rest.push("sslmode=require"),
                Some(("password", _)) => {
                    return Err(refuse("the password belongs before the host"));
                }
                Some((name, _)) if !is_plain(name) => return Err(refuse("unknown parameter")),
                _ => rest.push(parameter),
            }
        }
        let url_without = format!("{base}?{}", rest.join("&"));
        // The parser's messages name parameters, and hold no values.
        let mut config: tokio_postgres::Config =
            url_without.parse().map_err(|e: tokio_postgres::Error| refuse(&describe(&e)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refuse("the URL names no host"));
        }
        if config.get_dbname().is_none() {
            return Err(refuse("the URL names no database"));
        }
        // A password must not cross a network in the clear because nothing was said.
        if config.get_ssl_mode() == SslMode::Prefer {
            let here = config.get_hosts().iter().all(is_this_machine)
                && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
            config.ssl_mode(if here { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_application_name().is_none() {
            config.application_name("countersign-issuer");
        }
        // One host that is gone must not take the time of the next one.
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len());
        config.connect_timeout(TIME_TO_CONNECT / u32::try_from(hosts).unwrap_or(1).max(1));
        config.keepalives_idle(KEEPALIVE);
        // Of several hosts, the one that can be written; after a change of roles it is another.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, root_certificates, shown: show(url) })
    }
}

/// What a server or the connection to it says, in one line. Details and hints are left out: they
/// can hold values.
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

/// The URL without its password, also where the URL is malformed.
pub(crate) fn show(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password that was not encoded may hold anything; the last @ ends it.
    let (user, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => match credentials.split_once(':') {
            Some((user, _)) => (format!("{user}:(hidden)@"), place),
            None => (format!("{credentials}@"), place),
        },
        None => (String::new(), rest),
    };
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let hidden = |parameter: &str| match parameter.split_once('=') {
        Some((name, _)) if name == "password" || !is_plain(name) => format!("{name}=(hidden)"),
        _ => parameter.to_owned(),
    };
    let query: Vec<_> = query.split('&').map(hidden).collect();
    let query = query.join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{place}{mark}{query}")
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
                assert!(!e.to_string().contains("ret"), "{e}");
            }
        }
    }

    #[test]
    fn tls_is_required_wherever_a_network_is_between() {
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
    fn what_a_url_lacks_is_named() {
        for (url, word) in [
            ("postgres:///x", "host"),
            ("postgres://db", "names no database"),
            ("postgres://db:port/x", "port"),
            ("postgres://db/x?sslmode=maybe", "sslmode"),
            ("postgres://db/x?sslcert=a", "sslcert"),
            ("postgres://db/x?password=a", "before the host"),
        ] {
            let refusal = PostgresUrl::parse(url).err().unwrap().to_string();
            assert!(refusal.contains(word), "{url}: {refusal}");
        }
    }
}
