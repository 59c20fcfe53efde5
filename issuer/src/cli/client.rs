//! The commands of `client`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::user::{Scope, checked_scope};
use super::{existing, existing_or_new, print};
use crate::clients::{Client, ClientChange};
use crate::service::accounts::{self, NewSecret};
use crate::store::Store;
use crate::{Clock, Config, Error};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add a client and print its id and secret
    Add {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        scope: Scope,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a client a new secret and print it; the old one stops working
    Rotate {
        #[command(flatten)]
        name: Name,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a client no more tokens
    Lock(Name),
    /// Undo lock
    Unlock(Name),
    /// Set the scope of a client's tokens
    Scope {
        #[command(flatten)]
        name: Name,
        /// Scope, such as "read write"; "" for none
        scope: String,
    },
    /// List the clients
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(super) struct Name {
    /// Client name
    name: String,
}

impl Command {
    pub(super) async fn run(self, config: &Config) -> Result<(), Error> {
        match self {
            Self::Add { name: Name { name }, scope: Scope { scope }, json } => {
                add(config, &name, &scope, json).await
            }
            Self::Rotate { name: Name { name }, json } => rotate(config, &name, json).await,
            Self::Lock(Name { name }) => lock(config, &name, true).await,
            Self::Unlock(Name { name }) => lock(config, &name, false).await,
            Self::Scope { name: Name { name }, scope } => change_scope(config, &name, &scope).await,
            Self::List { json } => list(config, json).await,
        }
    }
}

async fn add(config: &Config, name: &str, scope: &str, as_json: bool) -> Result<(), Error> {
    check_name(name)?;
    let scope = checked_scope(scope)?;
    let store = existing_or_new(config).await?;
    let taken = || {
        Error::Refused(format!("client {name} exists; use client rotate to give it a new secret"))
    };
    if is_known(&*store, name).await? {
        return Err(taken());
    }
    let added = accounts::add_client(&*store, name, &scope, Clock::system().now()).await?;
    let new = added.ok_or_else(taken)?;
    print_secret(new, as_json)
}

async fn rotate(config: &Config, name: &str, as_json: bool) -> Result<(), Error> {
    let store = existing(config).await?;
    if !is_known(&*store, name).await? {
        return Err(unknown(name));
    }
    let now = Clock::system().now();
    let new = accounts::rotate_client_secret(&*store, name, now).await?;
    print_secret(new.ok_or_else(|| unknown(name))?, as_json)
}

async fn lock(config: &Config, name: &str, locked: bool) -> Result<(), Error> {
    let change = ClientChange::Locked(locked);
    let store = existing(config).await?;
    if !is_known(&*store, name).await? {
        return Err(unknown(name));
    }
    if !store.change_client(name.to_owned(), change, Clock::system().now()).await? {
        return Err(unknown(name));
    }
    print(&if locked {
        format!("locked client {name}: it gets no more tokens; those that it has expire\n")
    } else {
        format!("unlocked client {name}\n")
    })
}

async fn change_scope(config: &Config, name: &str, scope: &str) -> Result<(), Error> {
    let change = ClientChange::Scope(checked_scope(scope)?);
    let store = existing(config).await?;
    if !is_known(&*store, name).await? {
        return Err(unknown(name));
    }
    if !store.change_client(name.to_owned(), change, Clock::system().now()).await? {
        return Err(unknown(name));
    }
    print(&format!("set the scope of client {name}; it is in new tokens\n"))
}

/// Prints name, id and scope of each client, and `locked` for a locked one, separated by tabs.
async fn list(config: &Config, as_json: bool) -> Result<(), Error> {
    let clients = existing(config).await?.clients().await?;
    if as_json {
        let object = |Client { id, name, scope, locked, created_at, .. }: &Client| {
            json!({ "name": name, "client_id": id, "scope": scope, "locked": locked,
                    "created_at": created_at })
        };
        return print(&format!("{}\n", json!(clients.iter().map(object).collect::<Vec<_>>())));
    }
    let line = |client: &Client| {
        let locked = if client.locked { "\tlocked" } else { "" };
        format!("{}\t{}\t{}{locked}\n", client.name, client.id, client.scope)
    };
    print(&clients.iter().map(line).collect::<String>())
}

/// Prints a secret, also one that may not be stored: if it is, nobody could find it out later.
fn print_secret(new: NewSecret, as_json: bool) -> Result<(), Error> {
    let NewSecret { client_id, secret, unconfirmed } = new;
    print(&if as_json {
        format!("{}\n", json!({ "client_id": client_id, "client_secret": *secret }))
    } else {
        format!(
            "client_id      {client_id}\nclient_secret  {}\n\nThe secret is not shown again: \
             keep it where the client finds it.\n",
            *secret
        )
    })?;
    unconfirmed.map_or(Ok(()), Err)
}

/// Checks a client's name. Only operators see the name: no token contains it.
fn check_name(name: &str) -> Result<(), Error> {
    let fit = |c: char| !c.is_control() && !c.is_whitespace();
    if (1..=64).contains(&name.chars().count()) && name.chars().all(fit) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{name:?} is not a client name; use 1 to 64 characters without spaces"
    )))
}

/// Looks before a change. The database confirms a change that changes nothing too, which takes time
/// or fails while its standby is away.
async fn is_known(store: &dyn Store, name: &str) -> Result<bool, Error> {
    Ok(store.clients().await?.iter().any(|client| client.name == name))
}

fn unknown(name: &str) -> Error {
    Error::Refused(format!("there is no client {name}; see client list"))
}
