//! Users and clients that operators add. The issuer chooses their ids and the clients' secrets.

use zeroize::Zeroizing;

use crate::clients::{Client, ClientChange};
use crate::own_claims::OwnClaims;
use crate::store::{Store, StoreError};
use crate::users::User;
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
    now: u64,
) -> Result<Option<String>, Error> {
    let id = format!("user_{}", crypto::random_id()?);
    let user = User {
        id: id.clone(),
        name: name.to_owned(),
        scope: scope.to_owned(),
        password_hash,
        password_version: 0,
        created_at: now,
        locked: false,
        unlocked_at: 0,
        claims: OwnClaims::default(),
    };
    Ok(store.add_user(user).await?.then_some(id))
}

/// Adds a client with a random secret. Returns `None` if the name is taken.
pub(crate) async fn add_client(
    store: &dyn Store,
    name: &str,
    scope: &str,
    now: u64,
) -> Result<Option<NewSecret>, Error> {
    let (secret, secret_hash) = random_secret()?;
    let id = format!("client_{}", crypto::random_id()?);
    let client = Client {
        id: id.clone(),
        name: name.to_owned(),
        scope: scope.to_owned(),
        secret_hash,
        locked: false,
        created_at: now,
        claims: OwnClaims::default(),
        audiences: String::new(),
    };
    NewSecret::new(id, secret, store.add_client(client).await)
}

/// Gives a client a new random secret; the old one stops working at once. Returns `None` if the client
/// is gone.
pub(crate) async fn rotate_client_secret(
    store: &dyn Store,
    client: Client,
    now: u64,
) -> Result<Option<NewSecret>, Error> {
    let (secret, secret_hash) = random_secret()?;
    let change = ClientChange::Secret(secret_hash);
    let changed = store.change_client(client.name, change, now).await;
    NewSecret::new(client.id, secret, changed)
}

/// Returns a new secret and its hash. SHA-256 is enough: nobody can guess 32 random bytes.
fn random_secret() -> Result<(Zeroizing<String>, Vec<u8>), Error> {
    let secret = crypto::random_secret()?;
    let hash = crypto::sha256(secret.as_bytes()).to_vec();
    Ok((secret, hash))
}
