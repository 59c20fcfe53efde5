//! The commands of `client`.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::claims::NewClaims;
use super::output::Output;
use super::user::Scope;
use super::{existing, existing_or_new};
use crate::audit::Actor;
use crate::clients::{Client, ClientChange, check_name, parse_audiences};
use crate::scope;
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
    },
    /// Give a client a new secret and print it; the old one stops working
    Rotate(Name),
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
    /// Set the custom claims in a client's tokens; or print them
    Claims {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        claims: NewClaims,
    },
    /// Set the audiences that a client may choose by the parameter resource; or print them
    Audiences {
        #[command(flatten)]
        name: Name,
        /// Absolute URIs, such as urn:example:orders; "" for none
        resources: Vec<String>,
    },
    /// List the clients
    List,
}

#[derive(Args)]
pub(super) struct Name {
    /// Client name
    name: String,
}

impl Command {
    pub(super) async fn run(self, config: &Config, output: Output) -> Result<(), Error> {
        match self {
            Self::Add { name: Name { name }, scope: Scope { scope } } => {
                add(config, &name, &scope, output).await
            }
            Self::Rotate(Name { name }) => rotate(config, &name, output).await,
            Self::Lock(Name { name }) => lock(config, &name, true, output).await,
            Self::Unlock(Name { name }) => lock(config, &name, false, output).await,
            Self::Scope { name: Name { name }, scope } => {
                change_scope(config, &name, &scope, output).await
            }
            Self::Claims { name: Name { name }, claims } => {
                claims_of(config, &name, claims, output).await
            }
            Self::Audiences { name: Name { name }, resources } => {
                audiences(config, &name, &resources, output).await
            }
            Self::List => list(config, output).await,
        }
    }
}

async fn add(config: &Config, name: &str, scope: &str, output: Output) -> Result<(), Error> {
    check_name(name)?;
    let scope = scope::check(scope)?;
    let store = existing_or_new(config).await?;
    let taken = || {
        Error::Refused(format!("client {name} exists; use client rotate to give it a new secret"))
    };
    if store.client_named(name.to_owned()).await?.is_some() {
        return Err(taken());
    }
    let (by, now) = (Actor::default(), Clock::system().now());
    let added = accounts::add_client(&*store, name, &scope, by, now).await?;
    print_secret(added.ok_or_else(taken)?, rights(&scope), output)
}

async fn rotate(config: &Config, name: &str, output: Output) -> Result<(), Error> {
    let (client, store) = known(config, name).await?;
    let (by, now) = (Actor::default(), Clock::system().now());
    let new = accounts::rotate_client_secret(&*store, client.id, by, now).await?;
    print_secret(new.ok_or_else(|| unknown(name))?, "", output)
}

async fn lock(config: &Config, name: &str, locked: bool, output: Output) -> Result<(), Error> {
    let text = if locked {
        format!("locked client {name}: it gets no more tokens; those that it has expire\n")
    } else {
        format!("unlocked client {name}\n")
    };
    change(config, name, ClientChange::Locked(locked), &text, output).await
}

async fn change_scope(
    config: &Config,
    name: &str,
    scope: &str,
    output: Output,
) -> Result<(), Error> {
    let scope = scope::check(scope)?;
    let rights = rights(&scope);
    let text = format!("set the scope of client {name}; it is in new tokens\n{rights}");
    change(config, name, ClientChange::Scope(scope), &text, output).await
}

/// Sets the client's own claims, or prints the present ones.
async fn claims_of(
    config: &Config,
    name: &str,
    claims: NewClaims,
    output: Output,
) -> Result<(), Error> {
    let claims = claims.read()?;
    let (client, store) = known(config, name).await?;
    let text = match &claims {
        Some(new) => {
            change_client(&*store, &client, ClientChange::Claims(new.clone())).await?;
            format!("set the claims of client {name}; they are in new tokens\n")
        }
        None => format!("{}\n", client.claims.as_json()),
    };
    let claims = claims.as_ref().unwrap_or(&client.claims).to_value();
    output.print(&text, &json!({ "name": name, "client_id": client.id, "claims": claims }))
}

/// Sets the audiences that a client may choose, or prints the present ones.
async fn audiences(
    config: &Config,
    name: &str,
    resources: &[String],
    output: Output,
) -> Result<(), Error> {
    let new = parse_audiences(resources.iter().flat_map(|text| text.split_whitespace()))?;
    let (mut client, store) = known(config, name).await?;
    let text = if resources.is_empty() {
        client.audiences().map(|audience| format!("{audience}\n")).collect()
    } else {
        change_client(&*store, &client, ClientChange::Audiences(new.clone())).await?;
        client.audiences = new;
        format!("set the audiences of client {name}\n")
    };
    let audiences: Vec<_> = client.audiences().collect();
    output.print(&text, &json!({ "name": name, "client_id": client.id, "audiences": audiences }))
}

/// Changes a client, and prints the text.
async fn change(
    config: &Config,
    name: &str,
    change: ClientChange,
    text: &str,
    output: Output,
) -> Result<(), Error> {
    let (client, store) = known(config, name).await?;
    change_client(&*store, &client, change).await?;
    output.print(text, &json!({ "name": client.name, "client_id": client.id }))
}

async fn change_client(
    store: &dyn Store,
    client: &Client,
    change: ClientChange,
) -> Result<(), Error> {
    let (by, now) = (Actor::default(), Clock::system().now());
    let is_known = store.change_client(client.id.clone(), vec![change], by, now).await?;
    if is_known { Ok(()) } else { Err(unknown(&client.name)) }
}

/// Prints name, id and scope of each client, and `locked` for a locked one, separated by tabs.
async fn list(config: &Config, output: Output) -> Result<(), Error> {
    let clients = accounts::all_clients(&*existing(config).await?).await?;
    let object = |Client { id, name, scope, locked, created_at, .. }: &Client| {
        json!({ "name": name, "client_id": id, "scope": scope, "locked": locked,
                "created_at": created_at })
    };
    let line = |client: &Client| {
        let locked = if client.locked { "\tlocked" } else { "" };
        format!("{}\t{}\t{}{locked}\n", client.name, client.id, client.scope)
    };
    let lines: String = clients.iter().map(line).collect();
    output.print(&lines, &clients.iter().map(object).collect())
}

/// Returns a line about the client's rights in the Admin API, if the scope has any.
fn rights(scope: &str) -> &'static str {
    if scope::is_within(scope::ADMIN, scope) {
        "The client may do everything in the Admin API, as operators may.\n"
    } else if scope::is_within(scope::READ, scope) {
        "The client may read everything in the Admin API.\n"
    } else {
        ""
    }
}

/// Prints a secret and a line about the client. Prints also a secret that may not be stored: if it is,
/// nobody could find it out later.
fn print_secret(new: NewSecret, rights: &str, output: Output) -> Result<(), Error> {
    let NewSecret { client_id, secret, unconfirmed } = new;
    let text = format!(
        "client_id      {client_id}\nclient_secret  {}\n\nThe secret is not shown again: keep it \
         where the client finds it.\n{rights}",
        *secret
    );
    output.print(&text, &json!({ "client_id": client_id, "client_secret": *secret }))?;
    unconfirmed.map_or(Ok(()), Err)
}

/// Returns the client of that name, and the database. Looks before a change: the database confirms a
/// change that changes nothing too, which takes time or fails while its standby is away.
async fn known(config: &Config, name: &str) -> Result<(Client, Arc<dyn Store>), Error> {
    let store = existing(config).await?;
    let client = store.client_named(name.to_owned()).await?.ok_or_else(|| unknown(name))?;
    Ok((client, store))
}

fn unknown(name: &str) -> Error {
    Error::Refused(format!("there is no client {name}; see client list"))
}
