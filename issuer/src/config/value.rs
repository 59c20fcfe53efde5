//! Values as users write them: each type is read from its text and written back.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing::Level;

use super::{AdminApi, AuditNetwork, KeyBits, LogFormat, Secret};

/// A type of settings.
pub(super) trait Value: Sized {
    /// If set, a flag without a value means `true`.
    const IS_FLAG: bool = false;
    /// If set, error messages do not quote the text.
    const IS_SECRET: bool = false;

    /// Reads a value. The error says what was expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// Returns the text that [`Value::parse`] reads, or a placeholder for a secret; `None` if there
    /// is no value.
    fn show(&self) -> Option<String>;
}

/// The form of most settings: the type decides.
pub(super) mod plain {
    use super::Value;

    pub(in crate::config) fn parse<T: Value>(text: &str) -> Result<T, String> {
        T::parse(text)
    }

    pub(in crate::config) fn show<T: Value>(value: &T) -> Option<String> {
        value.show()
    }
}

/// The form of a setting that the word `none` turns off.
pub(super) mod or_none {
    use super::Value;

    const NONE: &str = "none";

    pub(in crate::config) fn parse<T: Value>(text: &str) -> Result<Option<T>, String> {
        if text == NONE {
            return Ok(None);
        }
        T::parse(text).map(Some).map_err(|expected| format!("{expected}, or {NONE}"))
    }

    pub(in crate::config) fn show<T: Value>(value: &Option<T>) -> Option<String> {
        value.as_ref().map_or_else(|| Some(NONE.to_owned()), Value::show)
    }
}

/// The form of a size in KiB.
pub(super) mod size {
    use super::Value as _;

    const UNITS: [(u32, &str); 3] = [(1024 * 1024, "GiB"), (1024, "MiB"), (1, "KiB")];

    pub(in crate::config) fn parse(text: &str) -> Result<u32, String> {
        let parts = |(unit, name)| Some((text.strip_suffix(name)?, unit));
        let (count, unit) = UNITS
            .into_iter()
            .find_map(parts)
            .ok_or("expected a number with KiB, MiB or GiB, such as 64MiB")?;
        let count = u32::parse(count)?;
        count.checked_mul(unit).ok_or_else(|| "is far too much".to_owned())
    }

    pub(in crate::config) fn show(size: &u32) -> Option<String> {
        Some(display(*size))
    }

    /// Returns the shortest text of a size in KiB.
    pub(in crate::config) fn display(size: u32) -> String {
        let is_whole = |(unit, _): &(u32, &str)| size >= *unit && size.is_multiple_of(*unit);
        let (unit, name) = UNITS.into_iter().find(is_whole).unwrap_or((1, "KiB"));
        format!("{}{name}", size / unit)
    }
}

impl<T: Value> Value for Option<T> {
    const IS_FLAG: bool = T::IS_FLAG;
    const IS_SECRET: bool = T::IS_SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Value::show)
    }
}

impl<T: Value> Value for Vec<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        split(text).map(T::parse).collect()
    }

    fn show(&self) -> Option<String> {
        let items: Vec<_> = self.iter().filter_map(Value::show).collect();
        (!items.is_empty()).then(|| items.join(", "))
    }
}

/// Splits a list at commas, spaces and line breaks.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n']).map(str::trim).filter(|item| !item.is_empty())
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Value for Secret {
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Value for SocketAddr {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:8080".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Value for bool {
    const IS_FLAG: Self = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected true or false".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for u32 {
    fn parse(text: &str) -> Result<Self, String> {
        text.trim_end().parse().map_err(|_| "expected a number".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for IpNet {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(Self::from))
            .map_err(|_| format!("{text:?} is not a network; expected a CIDR such as 10.0.0.0/8"))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Duration {
    fn parse(text: &str) -> Result<Self, String> {
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
        // No setting may be longer than ten years, and sums of durations must not overflow.
        match number.checked_mul(unit) {
            Some(seconds) if seconds <= 10 * 366 * 86400 => Ok(Self::from_secs(seconds)),
            _ => Err("is far too long".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(show_duration(*self))
    }
}

/// Reads a duration. The error says what was expected.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text)
}

/// Returns the shortest text of a duration of whole seconds.
pub(super) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86400, "d"), (3600, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

impl Value for KeyBits {
    fn parse(text: &str) -> Result<Self, String> {
        let sizes = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];
        let size = sizes.into_iter().find(|size| size.get().to_string() == text);
        size.ok_or_else(|| "expected 2048, 3072 or 4096".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.get().to_string())
    }
}

impl Value for AdminApi {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(ADMIN_APIS, text)
    }

    fn show(&self) -> Option<String> {
        name_of(ADMIN_APIS, self)
    }
}

impl Value for AuditNetwork {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(AUDIT_NETWORKS, text)
    }

    fn show(&self) -> Option<String> {
        name_of(AUDIT_NETWORKS, self)
    }
}

impl Value for LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(LOG_FORMATS, text)
    }

    fn show(&self) -> Option<String> {
        name_of(LOG_FORMATS, self)
    }
}

impl Value for Level {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(LOG_LEVELS, text)
    }

    fn show(&self) -> Option<String> {
        name_of(LOG_LEVELS, self)
    }
}

const ADMIN_APIS: &[(&str, AdminApi)] = &[
    ("loopback", AdminApi::Loopback),
    ("private", AdminApi::Private),
    ("public", AdminApi::Public),
];

const AUDIT_NETWORKS: &[(&str, AuditNetwork)] =
    &[("hash", AuditNetwork::Hash), ("address", AuditNetwork::Address)];

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const LOG_LEVELS: &[(&str, Level)] = &[
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

fn one_of<T: Copy>(names: &[(&str, T)], text: &str) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| *name == text);
    let names = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.map(|(_, value)| *value).ok_or_else(|| format!("expected one of {}", names()))
}

fn name_of<T: PartialEq>(names: &[(&str, T)], value: &T) -> Option<String> {
    names.iter().find(|(_, one)| one == value).map(|(name, _)| (*name).to_owned())
}
