//! Users that are moved from another system: each line of a file is a JSON object with one user.
//!
//! The users of some hundred lines are added in one transaction. A line has a `sub` that is derived from
//! its name and hash, so that an import that was interrupted finds its own users when it runs again.

use std::io::{self, BufRead, Read as _};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::Opened;
use super::accounts::new_user;
use super::hasher::StoredHash;
use crate::audit::Actor;
use crate::custom_claims::CustomClaims;
use crate::login::user_name;
use crate::scope;
use crate::users::{Addition, User};
use crate::{Clock, Config, Error};

/// The longest line, in bytes. Claims of 4 KiB fit in, also with each character escaped.
const LONGEST_LINE: usize = 32 * 1024;

/// The lines of one transaction: few enough that logins of a running issuer do not wait for long.
const LINES_IN_BATCH: usize = 500;

/// The lines that were read and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) added: u64,
    /// Lines with a user who was there already.
    pub(crate) present: u64,
    pub(crate) refused: u64,
}

impl Counts {
    /// Returns the number of lines that are done.
    const fn done(self) -> u64 {
        self.added + self.present + self.refused
    }
}

/// Sees an import go on.
pub(crate) trait Watcher {
    /// A line was refused. No reason has a hash in it.
    fn refused(&mut self, line: u64, reason: &str) -> Result<(), Error>;
    /// Some more lines are done.
    fn progress(&mut self, counts: Counts);
}

/// An import into one database.
pub(crate) struct Import<'a> {
    opened: Opened,
    config: &'a Config,
    clock: Clock,
    /// The key from which users get their ids. Nobody who sees a `sub` can test guesses of a hash.
    ids: hmac::Key,
    counts: Counts,
}

impl<'a> Import<'a> {
    pub(crate) fn new(opened: Opened, config: &'a Config, clock: Clock) -> Result<Self, Error> {
        let ids = opened.secret.derive("countersign user import v1")?;
        Ok(Self { opened, config, clock, ids, counts: Counts::default() })
    }

    /// Adds the user of each line. A line that is refused keeps no other from being added.
    ///
    /// # Errors
    ///
    /// If the input or the database fails. The lines before may be done; those that are not are
    /// added when the import runs again.
    pub(crate) async fn run(
        &mut self,
        mut input: impl BufRead,
        watcher: &mut impl Watcher,
    ) -> Result<Counts, Error> {
        let mut buffer = Vec::new();
        let mut batch = Vec::new();
        let mut number = 0;
        loop {
            number += 1;
            let line = read_line(&mut input, &mut buffer);
            let line = line.map_err(|e| self.interrupted(cannot_read(number, &e)))?;
            if let Line::Text(text) = line
                && text.trim_ascii().is_empty()
            {
                continue;
            }
            let user = match line {
                Line::Text(text) => self.user(text),
                Line::TooLong => {
                    Err(format!("the line is longer than {LONGEST_LINE} bytes; shorten it"))
                }
                Line::End => break,
            };
            batch.push((number, user));
            if batch.len() == LINES_IN_BATCH {
                self.add(std::mem::take(&mut batch), watcher).await?;
            }
        }
        self.add(batch, watcher).await?;
        Ok(self.counts)
    }

    /// Reads the user of a line.
    fn user(&self, line: &[u8]) -> Result<User, String> {
        let refusal = |e: Error| e.to_string();
        let NewLine { name, password_hash, scope, claims, locked } = parse(line)?;
        let name = text("name", name)?.ok_or("name is missing")?;
        let name = user_name::check(&name).map_err(refusal)?;
        let hash = text("password_hash", password_hash)?.ok_or("password_hash is missing")?;
        StoredHash::check_foreign(&hash, self.config).map_err(refusal)?;
        let scope = text("scope", scope)?.unwrap_or_default();
        let scope = scope::check(&scope).map_err(refusal)?;
        let locked = match locked {
            None => false,
            Some(Value::Bool(locked)) => locked,
            Some(_) => return Err("locked must be true or false".to_owned()),
        };
        let id = self.id(&name, &hash);
        let user = new_user(name, scope, hash, claims.unwrap_or_default(), self.clock.now());
        Ok(User { id, locked, ..user.map_err(refusal)? })
    }

    /// Returns the id that the user of a line has, whenever it is imported.
    fn id(&self, name: &str, hash: &str) -> String {
        // No name has a control character.
        let tag = hmac::sign(&self.ids, format!("{name}\n{hash}").as_bytes());
        let id = tag.as_ref().first_chunk::<16>().copied().unwrap_or_default();
        format!("user_{}", URL_SAFE_NO_PAD.encode(id))
    }

    /// Adds the users of some lines in one transaction, and reports those lines that are refused.
    async fn add(
        &mut self,
        lines: Vec<(u64, Result<User, String>)>,
        watcher: &mut impl Watcher,
    ) -> Result<(), Error> {
        let users: Vec<_> = lines.iter().filter_map(|(_, user)| user.clone().ok()).collect();
        let additions = if users.is_empty() {
            Vec::new()
        } else {
            let added = self.opened.store.add_users(users, Actor::default()).await;
            added.map_err(|e| self.interrupted(e))?
        };
        let mut additions = additions.into_iter();
        for (number, user) in lines {
            let refused = match user {
                Err(reason) => Some(reason),
                Ok(user) => match additions.next() {
                    Some(Addition::Added) => {
                        self.counts.added += 1;
                        None
                    }
                    Some(Addition::Present) => {
                        self.counts.present += 1;
                        None
                    }
                    Some(Addition::NameTaken) | None => {
                        Some(format!("another user has the name {:?}", user.name))
                    }
                },
            };
            if let Some(reason) = refused {
                self.counts.refused += 1;
                watcher.refused(number, &reason).map_err(|e| self.interrupted(e))?;
            }
        }
        watcher.progress(self.counts);
        Ok(())
    }

    /// Returns the error of an import that ends early. After the first lines it is not known to have
    /// changed nothing.
    fn interrupted(&self, e: impl Into<Error>) -> Error {
        let e = e.into();
        match self.counts.done() {
            0 => e,
            done => Error::Unconfirmed(format!("{done} lines are done: {e}")),
        }
    }
}

/// The members of a line. Each one may be any value, so that serde's error quotes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLine {
    name: Option<Value>,
    password_hash: Option<Value>,
    scope: Option<Value>,
    claims: Option<CustomClaims>,
    locked: Option<Value>,
}

fn parse(line: &[u8]) -> Result<NewLine, String> {
    // Editors on Windows begin a file with a byte order mark.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    // serde would also take an array for a struct.
    if !line.starts_with(b"{") {
        return Err("the line is not a JSON object; expected one such as {\"name\": \"alice\", \
                    \"password_hash\": \"$2b$12$…\"}"
            .to_owned());
    }
    serde_json::from_slice(line).map_err(|e| match (e.classify(), e.to_string()) {
        // The name could be a secret, or steer a terminal.
        (Category::Data, message) if message.starts_with("unknown field") => format!(
            "the member whose name ends in column {} is unknown; expected name, password_hash, scope, \
             claims or locked",
            e.column()
        ),
        (Category::Data, message) => message,
        _ => format!("the line is not well-formed JSON, from column {} on", e.column()),
    })
}

/// Returns a member that must be a text if it is there.
fn text(name: &str, value: Option<Value>) -> Result<Option<String>, String> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} must be a string")),
    }
}

enum Line<'a> {
    Text(&'a [u8]),
    TooLong,
    End,
}

/// Reads a line into the buffer, and skips the rest of one that is too long.
fn read_line<'a>(input: &mut impl BufRead, buffer: &'a mut Vec<u8>) -> io::Result<Line<'a>> {
    buffer.clear();
    input.take(LONGEST_LINE as u64 + 1).read_until(b'\n', buffer)?;
    if buffer.is_empty() {
        return Ok(Line::End);
    }
    if buffer.len() > LONGEST_LINE && buffer.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
        return Ok(Line::TooLong);
    }
    Ok(Line::Text(buffer))
}

fn cannot_read(number: u64, e: &io::Error) -> Error {
    Error::Refused(format!("cannot read line {number}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_quotes_no_member_that_could_be_a_secret_or_steer_a_terminal() {
        const HASH: &str = "$2b$12$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";
        for (line, expected) in [
            (format!("{{\"name\": \"a\", \"{HASH}\": 1}}"), "ends in column 76"),
            ("{\"\\u001b[2Jname\": \"a\"}".to_owned(), "ends in column 16"),
            ("{\"a\\nline 7: done\": 1}".to_owned(), "column"),
            ("{\"5f4dcc3b5aa765d61d8327deb882cf99\": 1}".to_owned(), "column"),
            ("{\"name\": \"a\", \"name\": \"b\"}".to_owned(), "column"),
        ] {
            let reason = parse(line.as_bytes()).err().unwrap();
            assert!(reason.contains(expected), "{line}: {reason}");
            for quoted in [HASH, "[2J", "done", "5f4dcc", "\u{1b}", "\n"] {
                assert!(!reason.contains(quoted), "{reason}");
            }
        }
    }
}
