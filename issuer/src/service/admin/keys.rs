use super::Admin;
use crate::keys::{KeyRecord, Life, ROTATIONS_SHOWN, Rules};
use crate::service::ServiceError;
use crate::service::keys::operator::{self, Revoked, Rotated};

impl Admin<'_> {
    /// Returns all keys, oldest first, with the rules for their times.
    pub(crate) async fn keys(&self) -> Result<(Vec<KeyRecord>, Rules), ServiceError> {
        Ok((self.issuer.store.keys().await?, self.rules()))
    }

    /// Returns the past and planned lives of the keys, and the present time.
    pub(crate) async fn plan(&self) -> Result<(Vec<Life>, u64), ServiceError> {
        let (records, now) = (self.issuer.store.keys().await?, self.now());
        Ok((self.rules().forecast(&records, now, ROTATIONS_SHOWN), now))
    }

    /// Lets the next key sign as soon as every cache can have it.
    pub(crate) async fn rotate_keys(&self) -> Result<Rotated, ServiceError> {
        self.issuer.check_clock()?;
        let (store, sealer) = (&*self.issuer.store, &self.issuer.sealer);
        let rotated = operator::rotate(store, sealer, self.rules(), self.by(), self.now()).await?;
        self.issuer.keys.refresh(false).await?;
        Ok(rotated)
    }

    /// Removes a key at once.
    pub(crate) async fn revoke_key(&self, kid: &str) -> Result<Revoked, ServiceError> {
        self.issuer.check_clock()?;
        let (store, sealer) = (&*self.issuer.store, &self.issuer.sealer);
        let (rules, by, now) = (self.rules(), self.by(), self.now());
        let revoked = operator::revoke(store, sealer, rules, kid, by, now).await?;
        self.issuer.keys.refresh(false).await?;
        revoked.ok_or(ServiceError::NoSuch("key"))
    }

    fn rules(&self) -> Rules {
        Rules::new(&self.issuer.config)
    }
}
