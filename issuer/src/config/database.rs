//! The setting `database`: an SQLite file or a PostgreSQL server.

use std::path::PathBuf;

use super::postgres_url::{PostgresUrl, is_postgres};
use crate::Error;

/// A database URL, parsed.
pub(crate) enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(Box<PostgresUrl>),
}

impl DatabaseUrl {
    /// Parses the setting `database`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the URL is malformed or of another kind.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        if is_postgres(url) {
            return Ok(Self::Postgres(Box::new(PostgresUrl::parse(url)?)));
        }
        path(url).map(Self::Sqlite)
    }

    /// Returns the URL, without a password.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.shown.clone(),
        }
    }
}

/// The path in `sqlite://PATH`.
fn path(url: &str) -> Result<PathBuf, Error> {
    // SQLite's own names for what is not a file at that path.
    let special = |path: &str| path.starts_with(':') || path.starts_with("file:");
    match url.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() && !special(path) => Ok(PathBuf::from(path)),
        _ => Err(Error::Config(
            "database: expected sqlite://PATH, such as sqlite://countersign.db, or postgres://…"
                .to_owned(),
        )),
    }
}
