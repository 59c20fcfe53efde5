//! Users and clients that operators add. The issuer chooses their ids and the clients' secrets.

use zeroize::Zeroizing;

use crate::audit::Actor;
use crate::authentication::Factors;
use crate::clients::{Client, ClientChange};
use crate::custom_claims::CustomClaims;
use crate::login::user_name;
use crate::store::{Store, StoreError};
use crate::users::{User, UserChange};
use crate::{Error, crypto};

/// The id and the new secret of a client. The secret is not stored, only its hash.
pub(crate) struct NewSecret {
    pub(crate) client_id: String,
    pub(crate) secret: Zeroizing<String>,
    /// The error if the database did not confirm the secret. It may work all the same.
    pub(crate) unconfirmed: Option<Error>,
}

impl NewSecret {
    /// Returns `None` if the secret was not stored.
    fn new(
        client_id: String,
        secret: Zeroizing<String>,
        stored: Result<bool, StoreError>,
    ) -> Result<Option<Self>, Error> {
        let (is_stored, unconfirmed) = match stored {
            Ok(is_stored) => (is_stored, None),
            Err(e @ StoreError::Unconfirmed(_)) => (true, Some(e.into())),
            Err(e) => return Err(e.into()),
        };
        Ok(is_stored.then_some(Self { client_id, secret, unconfirmed }))
    }
}

/// Adds a user. Returns their `sub`; `None` if the name is taken.
pub(crate) async fn add_user(
    store: &dyn Store,
    name: &str,
    scope: &str,
    password_hash: String,
    by: Actor,
    now: u64,
) -> Result<Option<String>, Error> {
    let (name, scope) = (name.to_owned(), scope.to_owned());
    let user = new_user(name, scope, password_hash, CustomClaims::default(), now)?;
    let id = user.id.clone();
    Ok(store.add_user(user, by).await?.then_some(id))
}

/// Returns a user with a random id.
pub(crate) fn new_user(
    name: String,
    scope: String,
    password_hash: String,
    claims: CustomClaims,
    now: u64,
) -> Result<User, Error> {
    Ok(User {
        id: format!("user_{}", crypto::random_id()?),
        name,
        scope,
        password_hash,
        password_version: 0,
        created_at: now,
        locked: false,
        unlocked_at: 0,
        factors: Factors::default(),
        claims,
    })
}

/// Lets the passwords of these users expire. Changes one user after the other, so that a change of many
/// users keeps nobody waiting. An error comes with the number of users that were changed before it.
pub(crate) async fn expire_passwords(
    store: &dyn Store,
    users: &[User],
    by: &Actor,
    now: impl Fn() -> u64,
) -> Result<(), (usize, StoreError)> {
    for (done, user) in users.iter().enumerate() {
        let change = vec![UserChange::PasswordExpired];
        let changed = store.change_user(user.id.clone(), change, by.clone(), now());
        // A user who was deleted meanwhile needs no change.
        changed.await.map_err(|e| (done, e))?;
    }
    Ok(())
}

/// Returns all users, by name. Reads them in parts.
pub(crate) async fn all_users(store: &dyn Store) -> Result<Vec<User>, Error> {
    let mut all: Vec<User> = Vec::new();
    loop {
        let after = all.last().map_or(String::new(), |user| user.name.clone());
        let part = store.users(after, PART).await?;
        if part.is_empty() {
            return Ok(all);
        }
        all.extend(part);
    }
}

/// Returns all clients, by name. Reads them in parts.
pub(crate) async fn all_clients(store: &dyn Store) -> Result<Vec<Client>, Error> {
    let mut all: Vec<Client> = Vec::new();
    loop {
        let after = all.last().map_or(String::new(), |client| client.name.clone());
        let part = store.clients(after, PART).await?;
        if part.is_empty() {
            return Ok(all);
        }
        all.extend(part);
    }
}

/// The rows that one statement reads.
const PART: u32 = 1000;

/// Returns the `sub` of a user that an operator names by name or `sub`; `None` if the name is unknown. A
/// `sub` is returned as it is: the user may be deleted.
pub(crate) async fn find_user_id(store: &dyn Store, user: &str) -> Result<Option<String>, Error> {
    let found = store.user(user_name::check(user)?).await?.map(|user| user.id);
    Ok(found.or_else(|| user.starts_with("user_").then(|| user.to_owned())))
}

/// Adds a client with a random secret. Returns `None` if the name is taken.
pub(crate) async fn add_client(
    store: &dyn Store,
    name: &str,
    scope: &str,
    by: Actor,
    now: u64,
) -> Result<Option<NewSecret>, Error> {
    let (client, secret) = new_client(name.to_owned(), scope.to_owned(), now)?;
    let id = client.id.clone();
    NewSecret::new(id, secret, store.add_client(client, by).await)
}

/// Returns a client with a random id, and its random secret.
pub(crate) fn new_client(
    name: String,
    scope: String,
    now: u64,
) -> Result<(Client, Zeroizing<String>), Error> {
    let (secret, secret_hash) = random_secret()?;
    let client = Client {
        id: format!("client_{}", crypto::random_id()?),
        name,
        scope,
        secret_hash,
        locked: false,
        created_at: now,
        claims: CustomClaims::default(),
        audiences: String::new(),
    };
    Ok((client, secret))
}

/// Gives a client a new random secret; the old one stops working at once. Returns `None` if the client
/// is gone.
pub(crate) async fn rotate_client_secret(
    store: &dyn Store,
    client_id: String,
    by: Actor,
    now: u64,
) -> Result<Option<NewSecret>, Error> {
    let (secret, secret_hash) = random_secret()?;
    let change = vec![ClientChange::Secret(secret_hash)];
    let changed = store.change_client(client_id.clone(), change, by, now).await;
    NewSecret::new(client_id, secret, changed)
}

/// Returns a new secret and its hash. SHA-256 is enough: nobody can guess 32 random bytes.
fn random_secret() -> Result<(Zeroizing<String>, Vec<u8>), Error> {
    let secret = crypto::random_secret()?;
    let hash = crypto::sha256(secret.as_bytes()).to_vec();
    Ok((secret, hash))
}
