//! Reads the configuration: the defaults, then the TOML file, then `COUNTERSIGN_*` in the
//! environment, then flags. A later source overrides an earlier one. An unknown name is an error in
//! each of them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::DatabaseUrl;
use super::settings::{Config, SETTINGS, Setting};
use crate::error::Error;
use crate::files;

const PREFIX: &str = "COUNTERSIGN_";

/// Variables with our prefix that configure the tests, not the issuer.
const OF_THE_TESTS: &[&str] = &[
    "COUNTERSIGN_ISSUER_BINARY",
    "COUNTERSIGN_CHROMIUM",
    "COUNTERSIGN_FIREFOX",
    "COUNTERSIGN_POSTGRES",
    "COUNTERSIGN_SKIP",
    "COUNTERSIGN_CHAOS_SECONDS",
    "COUNTERSIGN_CHAOS_SEED",
    "COUNTERSIGN_CHAOS_EVENTS",
];

/// The sources of the configuration, still as text.
#[derive(Debug, Default)]
pub struct Sources {
    /// The TOML file, if one was named.
    pub file: Option<PathBuf>,
    /// The whole environment. Only names that begin with `COUNTERSIGN_` are read.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags as (name of the setting, value).
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads every source over the defaults.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the file can't be read or parsed, a name is unknown, a value is
    /// malformed, or [`Config::check`] finds a broken rule.
    pub fn load(&self) -> Result<Config, Error> {
        let mut config = Config::default();
        if let Some(path) = &self.file {
            read_file(&mut config, path)?;
        }
        for (variable, value) in &self.environment {
            read_variable(&mut config, variable, value)?;
        }
        for (name, value) in &self.flags {
            let flag = format!("--{}", name.replace('_', "-"));
            let setting = Setting::find(name).ok_or_else(|| unknown("flag", &flag, None))?;
            set(&mut config, setting, &flag, value)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Returns the file if it has a secret: a master key, or the password of a database.
    pub(crate) fn secret_file(&self) -> Option<&Path> {
        let path = self.file.as_deref()?;
        let mut config = Config::default();
        read_file(&mut config, path).ok()?;
        let has_password =
            matches!(&config.database, DatabaseUrl::Postgres(url) if url.has_password());
        (has_password || config.master_key.is_some()).then_some(path)
    }
}

fn read_file(config: &mut Config, path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let text = files::read_text(path)
        .map_err(|e| Error::Config(format!("cannot read the configuration file {shown}: {e}")))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        // The Display of this error quotes the file, which may hold a master key.
        let line = e
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| 1 + before.matches('\n').count());
        Error::Config(format!("{shown}, line {line}: not TOML: {}", e.message()))
    })?;
    for (name, value) in table {
        let Some(setting) = Setting::find(&name) else {
            return Err(unknown(&format!("name in {shown}:"), &name, nearest(&name)));
        };
        let place = format!("{name} in {shown}");
        let text = toml_text(&value).ok_or_else(|| {
            Error::Config(format!("{place}: expected a text, a number, true or false, or a list"))
        })?;
        set(config, setting, &place, &text)?;
    }
    Ok(())
}

/// Returns a TOML value in the form that flags have. A list is joined by commas.
fn toml_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

fn read_variable(config: &mut Config, variable: &OsStr, value: &OsStr) -> Result<(), Error> {
    let Some(variable) = variable.to_str() else { return Ok(()) };
    let Some(suffix) = variable.strip_prefix(PREFIX) else { return Ok(()) };
    if OF_THE_TESTS.contains(&variable) {
        return Ok(());
    }
    let name = suffix.to_ascii_lowercase();
    let is_upper_case = name.to_ascii_uppercase() == suffix;
    let Some(setting) = Setting::find(&name).filter(|_| is_upper_case) else {
        let nearest = nearest(&name).map(|name| PREFIX.to_owned() + &name.to_uppercase());
        return Err(unknown("environment variable", variable, nearest));
    };
    let value =
        value.to_str().ok_or_else(|| Error::Config(format!("{variable} is not UTF-8 text")))?;
    set(config, setting, variable, value)
}

fn set(config: &mut Config, setting: &Setting, place: &str, text: &str) -> Result<(), Error> {
    (setting.set)(config, text).map_err(|wrong| {
        Error::Config(if setting.is_secret {
            format!("{place}: {wrong}")
        } else {
            format!("{place}: {text:?}: {wrong}")
        })
    })
}

fn nearest(name: &str) -> Option<String> {
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(name, setting.name), setting.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

fn unknown(kind: &str, name: &str, nearest: Option<String>) -> Error {
    let hint = nearest.map_or_else(
        || "see `countersign-issuer --help` for all names".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    );
    Error::Config(format!("unknown {kind} {name}; {hint}"))
}
