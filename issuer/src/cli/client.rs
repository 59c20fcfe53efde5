use serde_json::json;

use super::user::check_scope;
use super::{existing, print};
use crate::clients::{Client, ClientChange};
use crate::config::DatabaseUrl;
use crate::store::{self, Missing};
use crate::{Clock, Config, Error, crypto};

/// `client add NAME [--scope SCOPE] [--json]`: prints the id and, this once, the secret.
pub(super) async fn add(
    config: &Config,
    name: &str,
    scope: &str,
    as_json: bool,
) -> Result<(), Error> {
    check_name(name)?;
    check_scope(scope)?;
    let (store, ()) =
        store::open(&DatabaseUrl::parse(&config.database)?, Missing::Make, |_| Ok(())).await?;
    let secret = crypto::random_secret()?;
    let client = Client {
        id: format!("client_{}", crypto::random_id()?),
        name: name.to_owned(),
        scope: scope.to_owned(),
        secret_hash: crypto::sha256(secret.as_bytes()).to_vec(),
        locked: false,
        created_at: Clock::system().now(),
    };
    if !store.add_client(client.clone()).await? {
        return Err(Error::Refused(format!(
            "client {name} exists; use client rotate to give it another secret"
        )));
    }
    print_credentials(&client.id, &secret, as_json)
}

/// `client rotate NAME [--json]`: another secret, at once in the place of the one that there was.
pub(super) async fn rotate(config: &Config, name: &str, as_json: bool) -> Result<(), Error> {
    let store = existing(config).await?;
    let client = store.clients().await?.into_iter().find(|client| client.name == name);
    let client = client.ok_or_else(|| unknown(name))?;
    let secret = crypto::random_secret()?;
    let change = ClientChange::Secret(crypto::sha256(secret.as_bytes()).to_vec());
    if !store.change_client(name.to_owned(), change, Clock::system().now()).await? {
        return Err(unknown(name));
    }
    print_credentials(&client.id, &secret, as_json)
}

/// `client lock NAME` and `client unlock NAME`.
pub(super) async fn lock(config: &Config, name: &str, locked: bool) -> Result<(), Error> {
    let change = ClientChange::Locked(locked);
    let store = existing(config).await?;
    if !store.change_client(name.to_owned(), change, Clock::system().now()).await? {
        return Err(unknown(name));
    }
    print(&if locked {
        format!("locked client {name}: it gets no more tokens; those that it has expire\n")
    } else {
        format!("unlocked client {name}\n")
    })
}

/// `client list`: name, id, scope of each, and whether it is locked, separated by tabs.
pub(super) async fn list(config: &Config) -> Result<(), Error> {
    let clients = existing(config).await?.clients().await?;
    let line = |client: &Client| {
        let locked = if client.locked { "\tlocked" } else { "" };
        format!("{}\t{}\t{}{locked}\n", client.name, client.id, client.scope)
    };
    print(&clients.iter().map(line).collect::<String>())
}

fn print_credentials(id: &str, secret: &str, as_json: bool) -> Result<(), Error> {
    print(&if as_json {
        format!("{}\n", json!({ "client_id": id, "client_secret": secret }))
    } else {
        format!(
            "client_id      {id}\nclient_secret  {secret}\n\nThe secret is not shown again: \
             keep it where the client finds it.\n"
        )
    })
}

/// A name is for those who run the issuer: it is in no token.
fn check_name(name: &str) -> Result<(), Error> {
    let fit = |c: char| !c.is_control() && !c.is_whitespace();
    if (1..=64).contains(&name.chars().count()) && name.chars().all(fit) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{name:?} is not a client name; use 1 to 64 characters without spaces"
    )))
}

fn unknown(name: &str) -> Error {
    Error::Refused(format!("there is no client {name}; see client list"))
}
