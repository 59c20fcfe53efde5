//! The reasons why an attempt to use the server fails.

use std::error::Error as _;
use std::fmt;
use std::io;

use tokio_postgres::error::SqlState;
use tokio_rustls::rustls;

use crate::config::describe;
use crate::store::StoreError;

/// The reason why an attempt failed.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// A retry may succeed at once.
    Transient(String),
    /// A retry may succeed later.
    Passing(String),
    /// The connection is dead, although nobody has closed it.
    Silent,
    /// A retry fails until somebody changes a setting, here or at the server.
    Permanent(String),
}

impl Failure {
    /// Returns the error if there was no connection.
    pub(super) fn while_connecting(self) -> StoreError {
        let text = format!("the database cannot be reached: {self}");
        match self {
            Self::Permanent(_) => StoreError::Failed(text),
            Self::Transient(_) | Self::Passing(_) | Self::Silent => StoreError::Unavailable(text),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(e: tokio_postgres::Error) -> Self {
        const TRANSIENT: [SqlState; 6] = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            // This server is a standby now, and another one is the primary.
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        // Lost connections, lack of resources, interventions of an operator, failures of the system.
        const PASSING: [&str; 4] = ["08", "53", "57", "58"];
        let text = describe(&e);
        match e.code() {
            None if is_lost(&e) => Self::Transient(text),
            Some(code) if TRANSIENT.contains(code) => Self::Transient(text),
            Some(&SqlState::QUERY_CANCELED) => Self::Passing(format!(
                "{text}; another session may lock its tables: see pg_stat_activity and pg_locks"
            )),
            Some(code) if PASSING.iter().any(|class| code.code().starts_with(class)) => {
                Self::Passing(text)
            }
            _ => Self::Permanent(text),
        }
    }
}

/// Returns true if the connection was lost or could not be made. A certificate that is refused also is
/// an I/O error, and no retry helps.
fn is_lost(e: &tokio_postgres::Error) -> bool {
    let source = e.source().and_then(|source| source.downcast_ref::<io::Error>());
    let is_refused = |e: &io::Error| e.get_ref().is_some_and(|e| e.is::<rustls::Error>());
    e.is_closed() || source.is_some_and(|source| !is_refused(source))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient(text) | Self::Passing(text) | Self::Permanent(text) => {
                f.write_str(text)
            }
            Self::Silent => f.write_str("no answer in time"),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(e: Failure) -> Self {
        match e {
            Failure::Permanent(e) => Self::Failed(format!("the database failed: {e}")),
            e => unavailable(&e.to_string()),
        }
    }
}

pub(super) fn no_answer() -> StoreError {
    Failure::Silent.into()
}

pub(super) fn unavailable(text: &str) -> StoreError {
    StoreError::Unavailable(format!("the database failed: {text}"))
}
