//! Values as users write them: each setting read from its text, and written back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing::Level;

use super::{Config, KeyBits, LogFormat, Secret};

impl Config {
    /// Sets `name` from its text. The error says what was expected; the caller says where the
    /// value came from. `name` is one of the table's.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "listen" => self.listen = address(text)?,
            "admin_listen" => self.admin_listen = or_none(text, address)?,
            "issuer" => self.issuer = Some(text.to_owned()),
            "audience" => text.clone_into(&mut self.audience),
            "database" => text.clone_into(&mut self.database),
            "master_key" => self.master_key = Some(Secret::new(text.to_owned())),
            "master_key_file" => self.master_key_file = Some(path(text)?),
            "access_ttl" => self.access_ttl = duration(text)?,
            "refresh_ttl" => self.refresh_ttl = duration(text)?,
            "refresh_grace" => self.refresh_grace = duration(text)?,
            "rotation_period" => self.rotation_period = duration(text)?,
            "key_bits" => self.key_bits = key_bits(text)?,
            "jwks_max_age" => self.jwks_max_age = duration(text)?,
            "clock_skew" => self.clock_skew = duration(text)?,
            "tls_cert" => self.tls_cert = Some(path(text)?),
            "tls_key" => self.tls_key = Some(path(text)?),
            "behind_proxy" => self.behind_proxy = boolean(text)?,
            "trusted_proxies" => self.trusted_proxies = list(text, network)?,
            "cors_origins" => self.cors_origins = list(text, origin)?,
            "audit_retention" => self.audit_retention = or_none(text, duration)?,
            "log_format" => self.log_format = one_of(LOG_FORMATS, text)?,
            "log_level" => self.log_level = one_of(LOG_LEVELS, text)?,
            "status_lists" => self.status_lists = boolean(text)?,
            "argon2_memory" => self.argon2_memory = size(text)?,
            "argon2_passes" => self.argon2_passes = number(text)?,
            "argon2_lanes" => self.argon2_lanes = number(text)?,
            "hash_memory" => self.hash_memory = size(text)?,
            _ => return Err("is not a configuration name".to_owned()),
        }
        Ok(())
    }

    /// The text of `name`, as [`Config::set`] would read it, if it is set.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let file = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
        match name {
            "listen" => Some(self.listen.to_string()),
            "admin_listen" => Some(show_or_none(self.admin_listen, |address| address.to_string())),
            "issuer" => self.issuer.clone(),
            "audience" => Some(self.audience.clone()),
            "database" => Some(self.database.clone()),
            "master_key" => self.master_key.as_ref().map(|key| key.expose().to_owned()),
            "master_key_file" => file(&self.master_key_file),
            "access_ttl" => Some(show(self.access_ttl)),
            "refresh_ttl" => Some(show(self.refresh_ttl)),
            "refresh_grace" => Some(show(self.refresh_grace)),
            "rotation_period" => Some(show(self.rotation_period)),
            "key_bits" => Some(self.key_bits.get().to_string()),
            "jwks_max_age" => Some(show(self.jwks_max_age)),
            "clock_skew" => Some(show(self.clock_skew)),
            "tls_cert" => file(&self.tls_cert),
            "tls_key" => file(&self.tls_key),
            "behind_proxy" => Some(self.behind_proxy.to_string()),
            "trusted_proxies" => joined(&self.trusted_proxies),
            "cors_origins" => joined(&self.cors_origins),
            "audit_retention" => Some(show_or_none(self.audit_retention, show)),
            "log_format" => name_of(LOG_FORMATS, &self.log_format),
            "log_level" => name_of(LOG_LEVELS, &self.log_level),
            "status_lists" => Some(self.status_lists.to_string()),
            "argon2_memory" => Some(show_size(self.argon2_memory)),
            "argon2_passes" => Some(self.argon2_passes.to_string()),
            "argon2_lanes" => Some(self.argon2_lanes.to_string()),
            "hash_memory" => Some(show_size(self.hash_memory)),
            _ => None,
        }
    }
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const LOG_LEVELS: &[(&str, Level)] = &[
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// The value of that name.
fn one_of<T: Copy>(names: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text);
    let names = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.map(|(_, value)| *value).ok_or_else(|| format!("expected one of {}", names()))
}

fn name_of<T: PartialEq>(names: &[(&str, T)], value: &T) -> Option<String> {
    names.iter().find(|(_, one)| one == value).map(|(name, _)| (*name).to_owned())
}

/// What turns a setting off.
const NONE: &str = "none";

/// The shortest way to write a duration of whole seconds.
pub(super) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86400, "d"), (3600, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// The text of a setting that can be off, also where it is on by default.
fn show_or_none<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), show)
}

fn or_none<T>(text: &str, item: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text == NONE {
        return Ok(None);
    }
    item(text).map(Some).map_err(|wrong| format!("{wrong}, or none"))
}

const SIZES: [(u32, &str); 3] = [(1024 * 1024, "GiB"), (1024, "MiB"), (1, "KiB")];

/// The shortest way to write a size in KiB.
pub(super) fn show_size(size: u32) -> String {
    let whole = |(unit, _): &(u32, &str)| size >= *unit && size.is_multiple_of(*unit);
    let (unit, name) = SIZES.into_iter().find(whole).unwrap_or((1, "KiB"));
    format!("{}{name}", size / unit)
}

fn size(text: &str) -> Result<u32, String> {
    let size = SIZES.into_iter().find_map(|(unit, name)| Some((text.strip_suffix(name)?, unit)));
    let (count, unit) = size.ok_or("expected a number with KiB, MiB or GiB, such as 64MiB")?;
    number(count)?.checked_mul(unit).ok_or_else(|| "is far too much".to_owned())
}

fn number(text: &str) -> Result<u32, String> {
    text.trim_end().parse().map_err(|_| "expected a number".to_owned())
}

fn joined<T: ToString>(items: &[T]) -> Option<String> {
    let text = items.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:8080".to_owned())
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected true or false".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number with s, m, h or d, such as 15m".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    // No setting is longer than some days, and sums of durations must not overflow.
    match number.checked_mul(unit) {
        Some(seconds) if seconds <= 10 * 366 * 86400 => Ok(Duration::from_secs(seconds)),
        _ => Err("is far too long".to_owned()),
    }
}

fn key_bits(text: &str) -> Result<KeyBits, String> {
    let sizes = [KeyBits::Rsa2048, KeyBits::Rsa3072, KeyBits::Rsa4096];
    let size = sizes.into_iter().find(|size| size.get().to_string() == text);
    size.ok_or_else(|| "expected 2048, 3072 or 4096".to_owned())
}

fn list<T>(text: &str, item: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = text.split([',', ' ', '\n']).map(str::trim);
    items.filter(|text| !text.is_empty()).map(item).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| one())
        .map_err(|_| format!("{text:?} is not a network; expected a CIDR such as 10.0.0.0/8"))
}

/// An origin as browsers send it (RFC 6454 §6.2): scheme, host, port unless it is the default one.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b);
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(allowed) => Ok(text.to_owned()),
        _ => Err(format!(
            "{text:?} is not an origin; expected one in lower case without a path, such as \
             https://app.example"
        )),
    }
}
