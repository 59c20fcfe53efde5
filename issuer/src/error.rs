//! The error of everything that starts the issuer or runs a command.

use std::fmt;

/// The reason why the issuer does not start, or why a command failed.
///
/// `Display` is one line that says what is wrong and what to do. No variant carries a password, a
/// token or a key.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The name or the value of a setting is not acceptable.
    Config(String),
    /// The database can't be opened, read or written, or is from a newer version.
    Database(String),
    /// The database can't be used now. A later try may succeed.
    Unavailable(String),
    /// The database did not confirm a change, which may have been made all the same.
    Unconfirmed(String),
    /// The master key is missing, malformed, or not the one that the database was made with.
    MasterKey(String),
    /// The address can't be listened on.
    Listen(String),
    /// The TLS certificate or its key can't be used.
    Tls(String),
    /// A command cannot be done: the name exists, the password is too short.
    Refused(String),
    /// The machine failed: no random numbers, no key pair, no thread.
    System(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Config(line)
        | Self::Database(line)
        | Self::Unavailable(line)
        | Self::Unconfirmed(line)
        | Self::MasterKey(line)
        | Self::Listen(line)
        | Self::Tls(line)
        | Self::Refused(line)
        | Self::System(line)) = self;
        f.write_str(line)
    }
}

impl std::error::Error for Error {}
