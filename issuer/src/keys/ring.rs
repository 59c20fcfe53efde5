//! The keys of a running issuer: the one that signs, and the JWKS document.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use countersign_claims::{Jwk, JwkSet};
use serde_json::Value;

use super::{KeyRecord, KeyState, NOTICE_WITHIN, Request, Rules, advance, in_state};
use crate::crypto::Sealer;
use crate::signing::{self, SigningKey};
use crate::store::Store;
use crate::{Clock, Error};

/// The keys that a running issuer signs with and publishes, read again every second.
pub(crate) struct KeyRing {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    rules: Rules,
    clock: Clock,
    current: RwLock<Arc<Current>>,
}

/// One state of the ring.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) records: Vec<KeyRecord>,
    signer: Arc<SigningKey>,
    pub(crate) read_at: Instant,
    /// The JWKS document.
    pub(crate) jwks: Bytes,
    /// Its strong entity tag, quotes included.
    pub(crate) etag: String,
    /// When the JWKS will change next, as far as is known.
    pub(crate) changes_at: Option<u64>,
}

impl KeyRing {
    /// Reads the keys; makes the first ones in a new database.
    ///
    /// # Errors
    ///
    /// [`Error::MasterKey`] when the active key does not open under the sealer's key.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        sealer: Arc<Sealer>,
        rules: Rules,
        clock: Clock,
    ) -> Result<Self, Error> {
        let read_at = Instant::now();
        let records = advance(&*store, &sealer, rules, clock.now(), Request::Nothing).await?;
        let current = RwLock::new(Arc::new(Current::new(records, None, &sealer, rules, read_at)?));
        Ok(Self { store, sealer, rules, clock, current })
    }

    /// Takes the steps that are due, and picks up what other processes changed.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        // From before the keys are read: reading them can take its time.
        let read_at = Instant::now();
        let now = self.clock.now();
        let records =
            advance(&*self.store, &self.sealer, self.rules, now, Request::Nothing).await?;
        let before = self.current();
        let next = if records == before.records {
            Current { read_at, ..(*before).clone() }
        } else {
            let next =
                Current::new(records, Some(&before.signer), &self.sealer, self.rules, read_at)?;
            tracing::info!(kid = next.signer.kid(), "the signing keys changed");
            next
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The key that signs now; `None` if the keys could not be read for [`NOTICE_WITHIN`].
    pub(crate) fn signer(&self) -> Option<Arc<SigningKey>> {
        let current = self.current();
        (current.read_at.elapsed() < NOTICE_WITHIN).then(|| Arc::clone(&current.signer))
    }

    /// The claims of an access token that one of the published keys has signed, as they are.
    pub(crate) fn open_access_token(&self, token: &str) -> Option<Value> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let current = self.current();
        let record = current.records.iter().find(|record| record.kid == kid)?;
        signing::open_access_token(token, &record.n, &record.e)
    }

    /// Puts the last reading of the keys so far back that none may sign.
    #[cfg(test)]
    pub(crate) fn age(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let read_at = Instant::now().checked_sub(NOTICE_WITHIN).unwrap();
        *current = Arc::new(Current { read_at, ..(**current).clone() });
    }
}

impl Current {
    fn new(
        records: Vec<KeyRecord>,
        before: Option<&Arc<SigningKey>>,
        sealer: &Sealer,
        rules: Rules,
        read_at: Instant,
    ) -> Result<Self, Error> {
        let active = in_state(&records, KeyState::Active)
            .ok_or_else(|| Error::Database("the database holds no active key".to_owned()))?;
        let signer = match before.filter(|signer| signer.kid() == active.kid) {
            Some(signer) => Arc::clone(signer),
            None => Arc::new(SigningKey::open(active, sealer).ok_or_else(wrong_master_key)?),
        };
        let keys = records.iter().map(|record| Jwk {
            kid: Some(record.kid.clone()),
            ..Jwk::rsa(record.n.clone(), record.e.clone())
        });
        let jwks = serde_json::to_vec(&JwkSet { keys: keys.collect() })
            .map_err(|_| Error::System("the JWKS can't be written".to_owned()))?;
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, &jwks)));
        let drops = records.iter().filter_map(|record| record.drops_at);
        let changes_at = drops.chain(rules.switches_at(&records)).min();
        Ok(Self { records, signer, read_at, jwks: jwks.into(), etag, changes_at })
    }
}

/// Refuses a master key that does not open every stored key.
pub(crate) fn check_master_key(records: &[KeyRecord], sealer: &Sealer) -> Result<(), Error> {
    let all = records.iter().all(|record| SigningKey::open(record, sealer).is_some());
    if all { Ok(()) } else { Err(wrong_master_key()) }
}

fn wrong_master_key() -> Error {
    Error::MasterKey(
        "the master key does not open the keys in the database; set master_key or \
         master_key_file to the one that the database was made with"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Missing, Place};
    use crate::{Config, state};

    #[tokio::test]
    async fn an_issuer_that_cannot_read_its_keys_stops_signing_until_it_can() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.db");
        let config = Config::default();
        let place = Place::File(path.clone());
        let opened = state::open_store(&config, &place, Missing::Make).await.unwrap();
        let state::Opened { store, sealer, .. } = opened;
        let clock = Clock::new(|| 1_800_000_000);
        let ring = KeyRing::open(store, sealer, Rules::new(&config), clock).await.unwrap();
        assert!(ring.signer().is_some());

        let break_it = rusqlite::Connection::open(&path).unwrap();
        break_it.execute_batch("ALTER TABLE keys RENAME TO hidden").unwrap();
        ring.refresh().await.unwrap_err();
        assert!(ring.signer().is_some(), "one failure is nothing");
        ring.age();
        assert!(ring.signer().is_none());
        ring.refresh().await.unwrap_err();
        assert!(ring.signer().is_none());

        break_it.execute_batch("ALTER TABLE hidden RENAME TO keys").unwrap();
        ring.refresh().await.unwrap();
        assert!(ring.signer().is_some());
    }
}
