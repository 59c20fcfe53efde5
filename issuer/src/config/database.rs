//! The setting `database`: an SQLite file or a PostgreSQL server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::postgres_url::PostgresUrl;
use super::value::Value;
use crate::error::Error;

/// A database: `sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, parsed.
///
/// `Display` and `Debug` hide the password.
#[derive(Clone)]
#[non_exhaustive]
pub enum DatabaseUrl {
    /// The path of an SQLite file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

/// Returns the path of a file beside an SQLite file, with `end` after its name.
pub(crate) fn beside(database: &Path, end: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(end);
    PathBuf::from(path)
}

/// Returns the path of the master key that is made on loopback.
pub(crate) fn master_key_beside(database: &Path) -> PathBuf {
    beside(database, ".master-key")
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Config`] if the URL is malformed or of another kind. The message quotes no part of
    /// the URL.
    fn from_str(url: &str) -> Result<Self, Error> {
        Self::parse(url).map_err(|wrong| Error::Config(format!("database: {wrong}")))
    }
}

impl Value for DatabaseUrl {
    // A URL may hold a password.
    const IS_SECRET: bool = true;

    fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PostgresUrl::parse(url).map(|url| Self::Postgres(Box::new(url)));
        }
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && !is_special(path) => {
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            _ => Err("expected sqlite://PATH, such as sqlite://countersign.db, or \
                      postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                .to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Returns whether SQLite gives this name a meaning other than the file at that path.
fn is_special(path: &str) -> bool {
    path.starts_with(':') || path.starts_with("file:")
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
