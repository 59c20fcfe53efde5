use super::Admin;
use crate::clients::{Client, ClientChange, check_name};
use crate::custom_claims::CustomClaims;
use crate::idempotency::New;
use crate::scope;
use crate::service::ServiceError;
use crate::service::accounts::{NewSecret, new_client, rotate_client_secret};
use crate::service::page::Page;

/// A client to add.
pub(crate) struct NewClient {
    pub(crate) name: String,
    pub(crate) scope: String,
    pub(crate) claims: CustomClaims,
    /// As [`crate::clients::parse_audiences`] returns them.
    pub(crate) audiences: String,
}

impl Admin<'_> {
    /// Returns the first clients after that name.
    pub(crate) async fn clients(
        &self,
        after: String,
        most: u32,
    ) -> Result<Page<Client>, ServiceError> {
        Ok(Page::of(self.issuer.store.clients(after, most + 1).await?, most))
    }

    pub(crate) async fn client_named(&self, name: &str) -> Result<Option<Client>, ServiceError> {
        check_name(name)?;
        Ok(self.issuer.store.client_named(name.to_owned()).await?)
    }

    pub(crate) async fn client(&self, id: &str) -> Result<Client, ServiceError> {
        let client = self.issuer.store.client(id.to_owned()).await?;
        client.ok_or(ServiceError::NoSuch("client"))
    }

    /// Adds a client. Returns what `answer` makes of the client and its secret, or the answer to an
    /// earlier request with the same key.
    pub(crate) async fn add_client(
        &self,
        new: NewClient,
        keyed: Option<(&str, [u8; 32])>,
        answer: impl Fn(&Client, &str) -> Vec<u8>,
    ) -> Result<Vec<u8>, ServiceError> {
        let addition = self.begin(keyed)?;
        check_name(&new.name)?;
        let (client, secret) = new_client(new.name, scope::check(&new.scope)?, self.now())?;
        let client = Client { claims: new.claims, audiences: new.audiences, ..client };
        let answer = answer(&client, &secret);
        self.add(&addition, New::Client(client), answer).await
    }

    /// Makes all of the changes or none. Returns the client after them.
    pub(crate) async fn change_client(
        &self,
        id: &str,
        changes: Vec<ClientChange>,
    ) -> Result<Client, ServiceError> {
        let store = &self.issuer.store;
        if !store.change_client(id.to_owned(), changes, self.by(), self.now()).await? {
            return Err(ServiceError::NoSuch("client"));
        }
        self.client(id).await
    }

    /// Gives a client a new secret.
    pub(crate) async fn rotate_secret(&self, id: &str) -> Result<NewSecret, ServiceError> {
        let store = &*self.issuer.store;
        let new = rotate_client_secret(store, id.to_owned(), self.by(), self.now()).await?;
        let new = new.ok_or(ServiceError::NoSuch("client"))?;
        new.unconfirmed.map_or(Ok(()), Err)?;
        Ok(NewSecret { unconfirmed: None, ..new })
    }
}
