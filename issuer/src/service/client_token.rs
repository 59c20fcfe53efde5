//! Confidential clients: their authentication, and access tokens for themselves.

use super::{Grant, Issuer, Requested, ServiceError};
use crate::clients::Client;
use crate::crypto;
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// The id and the secret that a client presents.
pub(crate) struct ClientCredentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Issuer {
    /// Returns the client with these credentials. Every way to fail has the same error.
    pub(crate) async fn authenticate_client(
        &self,
        ClientCredentials { id, secret }: ClientCredentials,
    ) -> Result<Client, ServiceError> {
        let client = self.store.client(id).await?;
        // Also compares if there is no such client: a faster answer would tell.
        let expected = client.as_ref().map_or(&[0; 32][..], |client| &client.secret_hash);
        let given = crypto::sha256(secret.as_bytes());
        let matches = verify_slices_are_equal(expected, &given).is_ok();
        client.filter(|client| matches && !client.locked).ok_or(ServiceError::InvalidClient)
    }

    /// Returns an access token for the client itself (RFC 6749 §4.4). There is no refresh token:
    /// the client can ask again.
    pub(crate) async fn client_token(
        &self,
        credentials: ClientCredentials,
        requested: &Requested<'_>,
    ) -> Result<Grant, ServiceError> {
        let client = self.authenticate_client(credentials).await?;
        let approved = self.approve_for_client(requested, &client)?;
        self.polling.freshen().await;
        self.check_clock()?;
        self.grant_client(&client, &approved, self.clock.now())
    }
}
