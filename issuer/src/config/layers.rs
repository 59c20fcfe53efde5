//! Where values come from: the defaults, then the TOML file, then `COUNTERSIGN_*` in the
//! environment, then flags. A later one wins; a name that nobody knows is an error in each.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Config, SETTINGS};
use crate::Error;

const PREFIX: &str = "COUNTERSIGN_";

/// Variables with our prefix that belong to the tooling around the issuer, not to its
/// configuration.
const OF_THE_TESTS: &[&str] = &[
    "COUNTERSIGN_ISSUER_BINARY",
    "COUNTERSIGN_CHROMIUM",
    "COUNTERSIGN_FIREFOX",
    "COUNTERSIGN_POSTGRES",
    "COUNTERSIGN_SKIP",
];

/// What the user gave, still as text.
#[derive(Debug, Default)]
pub struct Sources {
    /// The TOML file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment: everything, of which what begins with `COUNTERSIGN_` is read.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags as (configuration name, value).
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads every source over the defaults.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the file can't be read or parsed, a name is unknown, a value is not
    /// what its name takes, or [`Config::check`] finds a rule broken.
    pub fn load(&self) -> Result<Config, Error> {
        let mut config = Config::default();
        if let Some(path) = &self.file {
            read_file(&mut config, path)?;
        }
        for (name, value) in &self.environment {
            let Some(variable) = name.to_str() else { continue };
            let Some(suffix) = variable.strip_prefix(PREFIX) else { continue };
            if OF_THE_TESTS.contains(&variable) {
                continue;
            }
            let name = suffix.to_ascii_lowercase();
            if name.to_ascii_uppercase() != suffix || !known(&name) {
                let nearest = nearest(&name).map(|name| PREFIX.to_owned() + &name.to_uppercase());
                return Err(unknown("environment variable", variable, nearest));
            }
            let value = value
                .to_str()
                .ok_or_else(|| Error::Config(format!("{variable} is not UTF-8 text")))?;
            config
                .set(&name, value)
                .map_err(|wrong| wrong_value(variable, &name, value, &wrong))?;
        }
        for (name, value) in &self.flags {
            let flag = format!("--{}", name.replace('_', "-"));
            config.set(name, value).map_err(|wrong| wrong_value(&flag, name, value, &wrong))?;
        }
        config.check()?;
        Ok(config)
    }
}

fn read_file(config: &mut Config, path: &std::path::Path) -> Result<(), Error> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::Config(format!("cannot read the configuration file {shown}: {e}")))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        // Not its Display, which quotes the file, where a master key may stand.
        let line = e
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| 1 + before.matches('\n').count());
        Error::Config(format!("{shown}, line {line}: not TOML: {}", e.message()))
    })?;
    for (name, value) in table {
        if !known(&name) {
            return Err(unknown(&format!("name in {shown}:"), &name, nearest(&name)));
        }
        let place = format!("{name} in {shown}");
        let text = toml_text(&value).ok_or_else(|| {
            Error::Config(format!("{place}: expected a text, a number, true or false, or a list"))
        })?;
        config.set(&name, &text).map_err(|wrong| wrong_value(&place, &name, &text, &wrong))?;
    }
    Ok(())
}

/// A TOML value in the form that flags have: a list is joined by commas.
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

fn known(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == name)
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

fn wrong_value(place: &str, name: &str, value: &str, wrong: &str) -> Error {
    let secret = SETTINGS.iter().any(|setting| setting.name == name && setting.secret);
    let value = if secret { "the value" } else { value };
    Error::Config(format!("{place}: {value:?}: {wrong}"))
}
