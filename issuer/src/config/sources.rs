//! Reads the configuration: the defaults, then the TOML file, then `COUNTERSIGN_*` in the
//! environment, then flags. A later source overrides an earlier one. An unknown name is an error in
//! the file and among the flags. In the environment, others set names with our prefix too: an unknown
//! one is an error only if it looks like a setting.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::DatabaseUrl;
use super::foreign_variables::is_foreign;
use super::settings::{Config, SETTINGS, Setting};
use crate::error::Error;
use crate::files;

const PREFIX: &str = "COUNTERSIGN_";

/// The likeness of two names, from 0 to 1, above which an error suggests one for the other.
const SIMILAR: f64 = 0.7;

/// The likeness above which a variable is taken for a misspelt setting.
const MISSPELT: f64 = 0.87;

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
    /// [`Error::Config`] if the file can't be read or parsed, a name is unknown, a variable looks
    /// like a misspelt setting, a value is malformed, or [`Config::check`] finds a broken rule.
    pub fn load(&self) -> Result<Config, Error> {
        let mut config = Config::default();
        if let Some(path) = &self.file {
            read_file(&mut config, path)?;
        }
        for variable in self.variables() {
            read_variable(&mut config, &variable)?;
        }
        for (name, value) in &self.flags {
            let flag = format!("--{}", name.replace('_', "-"));
            let setting = Setting::find(name).ok_or_else(|| unknown("flag", &flag, None))?;
            set(&mut config, setting, &flag, value)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Returns the variables that begin with `COUNTERSIGN_` but are no setting, and that nothing is
    /// known of. [`Sources::load`] ignores them.
    #[must_use]
    pub fn unknown_variables(&self) -> Vec<&str> {
        let unknown = |variable: &Variable<'_>| variable.setting().is_none();
        self.variables().filter(unknown).map(|variable| variable.whole).collect()
    }

    /// Returns the variables with our prefix, without those that others set.
    fn variables(&self) -> impl Iterator<Item = Variable<'_>> {
        self.environment.iter().filter_map(|(name, value)| {
            let whole = name.to_str()?;
            let name = whole.strip_prefix(PREFIX)?;
            (!is_foreign(name, &value.to_string_lossy())).then_some(Variable { whole, name, value })
        })
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
    let text = files::read_text(path).map_err(|e| {
        let advice = match e.kind() {
            ErrorKind::PermissionDenied => {
                "let the issuer's user read it, and run this as that user"
            }
            _ => "name a TOML file in --config",
        };
        Error::Config(format!("cannot read the configuration file {shown}: {e}; {advice}"))
    })?;
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
            let nearest = nearest(&name, SIMILAR);
            return Err(unknown(&format!("name in {shown}:"), &name, nearest));
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

/// An environment variable with our prefix.
struct Variable<'a> {
    whole: &'a str,
    /// Without the prefix.
    name: &'a str,
    value: &'a OsStr,
}

impl Variable<'_> {
    fn setting(&self) -> Option<&'static Setting> {
        let name = self.name.to_ascii_lowercase();
        Setting::find(&name).filter(|_| name.to_ascii_uppercase() == self.name)
    }
}

fn read_variable(config: &mut Config, variable: &Variable<'_>) -> Result<(), Error> {
    let Variable { whole, name, value } = *variable;
    let Some(setting) = variable.setting() else {
        let misspelt = nearest(&name.to_ascii_lowercase(), MISSPELT);
        return misspelt.map_or(Ok(()), |nearest| {
            let nearest = PREFIX.to_owned() + &nearest.to_uppercase();
            Err(unknown("environment variable", whole, Some(nearest)))
        });
    };
    let value =
        value.to_str().ok_or_else(|| Error::Config(format!("{whole} is not UTF-8 text")))?;
    set(config, setting, whole, value)
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

/// Returns the setting most like `name`, if the likeness is above `least`.
fn nearest(name: &str, least: f64) -> Option<String> {
    SETTINGS
        .iter()
        .map(|setting| (strsim::jaro_winkler(name, setting.name), setting.name))
        .filter(|(likeness, _)| *likeness > least)
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
