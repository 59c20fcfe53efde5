//! The commands of `user`.

mod import;
mod mfa;
mod sessions;

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::claims::NewClaims;
use super::output::Output;
use super::{existing, existing_or_new};
use crate::audit::Actor;
use crate::login::{password, user_name};
use crate::scope;
use crate::service::accounts;
use crate::service::hasher::{Cost, StoredHash};
use crate::service::new_password::{ResetToken, begin_password_reset};
use crate::store::Store;
use crate::users::{User, UserChange};
use crate::{Clock, Config, Error};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a user
    Add {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        scope: Scope,
    },
    /// Add the users of a file, with the password hashes of another system
    Import(import::ImportUsers),
    /// Set a password; ends the user's sessions
    Passwd(Name),
    /// Print a token with which the user sets a new password within an hour
    Reset(Name),
    /// Refuse logins until a new password is set; ends the users' sessions
    ExpirePasswords {
        /// User names
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All users
        #[arg(long)]
        all: bool,
    },
    /// Refuse a user's logins; ends the user's sessions
    Lock(Name),
    /// Undo lock, and forget the user's failed logins
    Unlock(Name),
    /// Set the scope of a user's tokens; ends the user's sessions if it takes something away
    Scope {
        #[command(flatten)]
        name: Name,
        /// Scope, such as "read write"; "" for none
        scope: String,
    },
    /// List the open sessions of a user, or end them
    Sessions(sessions::Sessions),
    /// Second factors of a user
    #[command(subcommand)]
    Mfa(mfa::Mfa),
    /// Set the custom claims in a user's tokens, from the next refresh on; or print them
    Claims {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        claims: NewClaims,
    },
    /// Delete a user; ends the user's sessions
    Delete(Name),
    /// List the users
    List,
}

#[derive(Args)]
pub(super) struct Name {
    /// User name
    name: String,
}

#[derive(Args)]
pub(super) struct Scope {
    /// Scope of the tokens, such as "read write"
    #[arg(long, default_value = "")]
    pub(super) scope: String,
}

impl Command {
    pub(super) async fn run(self, config: &Config, output: Output) -> Result<(), Error> {
        match self {
            Self::Add { name: Name { name }, scope: Scope { scope } } => {
                add(config, &name, &scope, output).await
            }
            Self::Import(import) => import.run(config, output).await,
            Self::Passwd(Name { name }) => passwd(config, &name, output).await,
            Self::Reset(Name { name }) => reset(config, &name, output).await,
            Self::ExpirePasswords { names, .. } => expire_passwords(config, &names, output).await,
            Self::Lock(Name { name }) => lock(config, &name, true, output).await,
            Self::Unlock(Name { name }) => lock(config, &name, false, output).await,
            Self::Scope { name: Name { name }, scope } => {
                change_scope(config, &name, &scope, output).await
            }
            Self::Sessions(sessions) => sessions.run(config, output).await,
            Self::Mfa(mfa) => mfa.run(config, output).await,
            Self::Claims { name: Name { name }, claims } => {
                claims_of(config, &name, claims, output).await
            }
            Self::Delete(Name { name }) => delete(config, &name, output).await,
            Self::List => list(config, output).await,
        }
    }
}

async fn add(config: &Config, name: &str, scope: &str, output: Output) -> Result<(), Error> {
    let name = user_name::check(name)?;
    let scope = scope::check(scope)?;
    let store = existing_or_new(config).await?;
    let taken = || Error::Refused(format!("user {name} exists; use user passwd to set a password"));
    if store.user(name.clone()).await?.is_some() {
        return Err(taken());
    }
    let password_hash = hash(config, &new_password(config, &name)?)?;
    let now = Clock::system().now();
    let added =
        accounts::add_user(&*store, &name, &scope, password_hash, Actor::default(), now).await?;
    let sub = added.ok_or_else(taken)?;
    output.print(&format!("added user {name}\n"), &json!({ "name": name, "sub": sub }))
}

async fn passwd(config: &Config, name: &str, output: Output) -> Result<(), Error> {
    let (known, store) = known(config, name).await?;
    let name = known.name;
    let password = new_password(config, &name)?;
    let user = store.user(name.clone()).await?.ok_or_else(|| unknown(&name))?;
    // A thief may know it.
    if user.has_expired_password() && StoredHash::fits(&password, user.hash()) {
        return Err(Error::Refused(format!(
            "this password of user {name} has expired; nothing was changed. Choose another one"
        )));
    }
    change_user(&*store, &user, UserChange::Password(hash(config, &password)?)).await?;
    let text = format!("set the password of user {name} and ended their sessions\n");
    output.print(&text, &json!({ "name": name }))
}

async fn reset(config: &Config, name: &str, output: Output) -> Result<(), Error> {
    let (user, store) = known(config, name).await?;
    let reset =
        begin_password_reset(&*store, &user, Actor::default(), Clock::system().now()).await?;
    let ResetToken { token, expires_at } = reset;
    let text = format!(
        "{}\n\nThe token is not shown again. It works once, within an hour: send it to POST \
         /password/reset with the new password.\n",
        *token
    );
    let json = json!({ "name": user.name, "token": *token, "expires_at": expires_at });
    output.print(&text, &json)
}

/// Lets the passwords of these users expire; of all users if there is no name.
async fn expire_passwords(config: &Config, names: &[String], output: Output) -> Result<(), Error> {
    let store = existing(config).await?;
    let mut known = Vec::new();
    for name in names {
        let name = user_name::check(name)?;
        let user = store.user(name.clone()).await?;
        known.push(user.ok_or_else(|| unknown(&name))?);
    }
    if names.is_empty() {
        known = accounts::all_users(&*store).await?;
    }
    let (by, clock) = (Actor::default(), Clock::system());
    let expired = accounts::expire_passwords(&*store, &known, &by, || clock.now()).await;
    expired.map_err(|(done, e)| match done {
        0 => e.into(),
        _ => Error::Unconfirmed(format!("{done} of {} users were changed: {e}", known.len())),
    })?;
    let text = format!(
        "passwords that have expired: {}; the sessions of these users have ended\n\
         next: user passwd NAME, for each of them; user list shows who needs it\n",
        known.len()
    );
    let names: Vec<_> = known.into_iter().map(|user| user.name).collect();
    output.print(&text, &json!({ "names": names }))
}

async fn lock(config: &Config, name: &str, locked: bool, output: Output) -> Result<(), Error> {
    let (user, store) = known(config, name).await?;
    change_user(&*store, &user, UserChange::Locked(locked)).await?;
    let name = user.name;
    let text = if locked {
        format!("locked user {name} and ended their sessions\n")
    } else {
        format!("unlocked user {name} and forgot their failed logins\n")
    };
    output.print(&text, &json!({ "name": name }))
}

async fn change_scope(
    config: &Config,
    name: &str,
    scope: &str,
    output: Output,
) -> Result<(), Error> {
    let change = UserChange::Scope(scope::check(scope)?);
    let (user, store) = known(config, name).await?;
    change_user(&*store, &user, change).await?;
    let name = user.name;
    let text = format!("set the scope of user {name}; it is in the tokens of new sessions\n");
    output.print(&text, &json!({ "name": name }))
}

/// Sets the user's own claims, or prints the present ones.
async fn claims_of(
    config: &Config,
    name: &str,
    claims: NewClaims,
    output: Output,
) -> Result<(), Error> {
    let claims = claims.read()?;
    let (user, store) = known(config, name).await?;
    let text = match &claims {
        Some(new) => {
            change_user(&*store, &user, UserChange::Claims(new.clone())).await?;
            let name = &user.name;
            format!("set the claims of user {name}; they are in tokens from the next refresh on\n")
        }
        None => format!("{}\n", user.claims.as_json()),
    };
    let claims = claims.as_ref().unwrap_or(&user.claims).to_value();
    output.print(&text, &json!({ "name": user.name, "claims": claims }))
}

async fn delete(config: &Config, name: &str, output: Output) -> Result<(), Error> {
    let name = user_name::check(name)?;
    // Does not look first: an earlier deletion that was not confirmed has to be confirmed now.
    let store = existing(config).await?;
    if !store.delete_user(name.clone(), Actor::default(), Clock::system().now()).await? {
        return Err(unknown(&name));
    }
    let text = format!("deleted user {name} and ended their sessions\n");
    output.print(&text, &json!({ "name": name }))
}

/// Returns the user of that name, and the database. Looks before a change: the database confirms a
/// change that changes nothing too, which takes time or fails while its standby is away.
async fn known(config: &Config, name: &str) -> Result<(User, Arc<dyn Store>), Error> {
    let name = user_name::check(name)?;
    let store = existing(config).await?;
    let user = store.user(name.clone()).await?.ok_or_else(|| unknown(&name))?;
    Ok((user, store))
}

async fn change_user(store: &dyn Store, user: &User, change: UserChange) -> Result<(), Error> {
    let (by, now) = (Actor::default(), Clock::system().now());
    let is_known = store.change_user(user.id.clone(), vec![change], by, now).await?;
    if is_known { Ok(()) } else { Err(unknown(&user.name)) }
}

/// Returns the `sub` of a user, who may be deleted.
pub(super) async fn find_id(store: &dyn Store, user: &str) -> Result<String, Error> {
    let found = accounts::find_user_id(store, user).await?;
    found.ok_or_else(|| unknown(user))
}

fn unknown(name: &str) -> Error {
    Error::Refused(format!("there is no user {name}; see user list, or add it with user add"))
}

/// Prints name, `sub` and scope of each user, `locked` for a locked one, `expired` for one whose password
/// has expired, and the second factors, separated by tabs.
async fn list(config: &Config, output: Output) -> Result<(), Error> {
    let users = accounts::all_users(&*existing(config).await?).await?;
    let object = |user: &User| {
        json!({ "name": user.name, "sub": user.id, "scope": user.scope, "locked": user.locked,
                "password_expired": user.has_expired_password(), "created_at": user.created_at,
                "second_factors": user.factors.names().collect::<Vec<_>>() })
    };
    let line = |user: &User| {
        let locked = if user.locked { "\tlocked" } else { "" };
        let expired = if user.has_expired_password() { "\texpired" } else { "" };
        let factors: String = user.factors.names().map(|name| format!("\t{name}")).collect();
        format!("{}\t{}\t{}{locked}{expired}{factors}\n", user.name, user.id, user.scope)
    };
    output.print(&users.iter().map(line).collect::<String>(), &users.iter().map(object).collect())
}

/// The bytes of a line of stdin that are read: a longer line is too long for a password anyway.
const LONGEST_LINE: usize = 2 * password::MAX_TYPED_BYTES;

/// Reads a new password: from the terminal, without echo and typed twice, or from one line of
/// stdin.
fn new_password(config: &Config, name: &str) -> Result<Zeroizing<String>, Error> {
    let unread = |e| Error::Refused(format!("cannot read the password: {e}"));
    let typed = if std::io::stdin().is_terminal() {
        let ask = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
        let first = ask(format!("Password for {name}: ")).map_err(unread)?;
        password::check_new(&first, name, config.issuer.as_deref())?;
        if *first != *ask("Once more: ".to_owned()).map_err(unread)? {
            return Err(Error::Refused("the two passwords differ; nothing was changed".to_owned()));
        }
        first
    } else {
        let mut line = Zeroizing::new(String::with_capacity(LONGEST_LINE));
        std::io::stdin().lock().take(LONGEST_LINE as u64).read_line(&mut line).map_err(unread)?;
        let end = line.trim_end_matches('\n').trim_end_matches('\r').len();
        line.truncate(end);
        // Editors on Windows begin a file with a byte order mark.
        if line.starts_with('\u{feff}') {
            line.remove(0);
        }
        line
    };
    password::check_new(&typed, name, config.issuer.as_deref())
}

fn hash(config: &Config, password: &str) -> Result<String, Error> {
    Cost::configured(config).hash(password, &mut Vec::new())
}
