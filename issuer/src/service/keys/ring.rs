//! The keys of a running issuer in memory: the signing key and the JWKS document.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use countersign_claims::{Jwk, JwkSet};
use serde_json::Value;

use super::change::{ChangeError, advance, read};
use super::signing::{self, SigningKey};
use crate::audit::Actor;
use crate::keys::{KeyRecord, KeyState, NOTICE_WITHIN, Request, Rules, in_state};
use crate::sealing::Sealer;
use crate::store::Store;
use crate::{Clock, Error};

/// The keys that a running issuer signs with and publishes. Maintenance reads them again, as
/// [`Polling`](super::super::polling::Polling) says.
pub(crate) struct KeyRing {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    rules: Rules,
    clock: Clock,
    current: RwLock<Arc<Current>>,
}

/// One reading of the keys.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) records: Vec<KeyRecord>,
    /// `None` if the active key is sealed under another master key.
    signer: Option<Arc<SigningKey>>,
    pub(crate) read_at: Instant,
    /// True if the database has another master key by now.
    rewrapped: bool,
    /// The JWKS document.
    pub(crate) jwks: Bytes,
    /// Its strong entity tag, quotes included.
    pub(crate) etag: String,
    /// The next change of the JWKS, if one is planned.
    pub(crate) changes_at: Option<u64>,
}

impl KeyRing {
    /// Reads the keys. Makes the first keys of a new database. Takes due steps of existing keys
    /// only if `may_step`.
    ///
    /// # Errors
    ///
    /// [`Error::MasterKey`] if the sealer does not open a key.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        sealer: Arc<Sealer>,
        rules: Rules,
        clock: Clock,
        may_step: bool,
    ) -> Result<Self, Error> {
        let read_at = Instant::now();
        let mut records = store.keys().await?;
        if may_step || in_state(&records, KeyState::Active).is_none() {
            let (by, now) = (Actor::default(), clock.now());
            records = advance(&*store, &sealer, rules, Request::Nothing, by, now).await?;
        }
        let current = Current::new(records, None, &sealer, rules, read_at)?;
        let current = RwLock::new(Arc::new(current));
        Ok(Self { store, sealer, rules, clock, current })
    }

    /// Takes due steps if `may_step`, and picks up changes of other processes.
    ///
    /// If the database has another master key by now, it takes no step. It goes on signing with the
    /// key that it has in memory until another key becomes active.
    pub(crate) async fn refresh(&self, may_step: bool) -> Result<(), Error> {
        // Taken before the keys are read, because reading can take long.
        let read_at = Instant::now();
        let now = self.clock.now();
        let stepped = if may_step {
            let by = Actor::default();
            advance(&*self.store, &self.sealer, self.rules, Request::Nothing, by, now).await
        } else {
            read(&*self.store, &self.sealer).await
        };
        let (records, rewrapped) = match stepped {
            Err(ChangeError::MasterKey) => (self.store.keys().await?, true),
            stepped => (stepped?, false),
        };
        let before = self.current();
        let next = if records == before.records {
            Current { read_at, rewrapped, ..(*before).clone() }
        } else {
            let signer = before.signer.as_ref();
            let next = Current::new(records, signer, &self.sealer, self.rules, read_at)?;
            Current { rewrapped, ..next }
        };
        next.log_changes(&before);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the signing key. `None` if the keys could not be read for [`NOTICE_WITHIN`], or if
    /// the active key does not open under this issuer's master key.
    pub(crate) fn signer(&self) -> Option<Arc<SigningKey>> {
        let current = self.current();
        current.signer.clone().filter(|_| current.read_at.elapsed() < NOTICE_WITHIN)
    }

    /// Returns true if [`Self::signer`] returns a key now.
    pub(crate) fn can_sign(&self) -> bool {
        let current = self.current();
        current.signer.is_some() && current.read_at.elapsed() < NOTICE_WITHIN
    }

    /// Returns the claims of an access token that a key of the JWKS signed. The claims themselves
    /// are not checked.
    pub(crate) fn open_access_token(&self, token: &str) -> Option<Value> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let current = self.current();
        let record = current.records.iter().find(|record| record.kid == kid)?;
        signing::open_access_token(token, &record.n, &record.e)
    }

    /// Makes the last reading too old to sign with.
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
            Some(signer) => Some(Arc::clone(signer)),
            None => SigningKey::open(active, sealer).map(Arc::new),
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
        let jwks = jwks.into();
        Ok(Self { records, signer, read_at, rewrapped: false, jwks, etag, changes_at })
    }

    /// Returns the `max-age` of the JWKS at `now`, in seconds.
    pub(crate) fn max_age(&self, now: u64, most: Duration) -> u64 {
        max_age(self.changes_at, self.read_at.elapsed(), now, most)
    }

    /// Logs one line for each change.
    fn log_changes(&self, before: &Self) {
        let kid = |ring: &Self| ring.signer.as_ref().map(|signer| signer.kid().to_owned());
        if self.rewrapped && !before.rewrapped {
            tracing::error!(
                "the database has another master key now (keys rewrap): this issuer signs on with \
                 the key that it has and changes none; set master_key_file to the new master key \
                 and restart it"
            );
        }
        match kid(self) {
            None if before.signer.is_some() => tracing::error!(
                "this issuer signs no more: the key that is active now is sealed under another \
                 master key; set master_key_file to the new one and restart it"
            ),
            Some(kid) if self.etag != before.etag => {
                tracing::info!(kid, "the signing keys changed");
            }
            _ => {}
        }
    }
}

/// Caches must ask again when the keys change. If this issuer could not read the keys for a while,
/// another issuer may have published a key that will sign after [`Config::publish_lead`]. A JWKS
/// served here must have expired by then, so that the age of the reading shortens `max-age`.
///
/// [`Config::publish_lead`]: crate::Config::publish_lead
pub(super) fn max_age(changes_at: Option<u64>, unread: Duration, now: u64, most: Duration) -> u64 {
    let known = most.saturating_sub(unread.saturating_sub(NOTICE_WITHIN)).as_secs();
    let left = changes_at.map(|at| at.saturating_sub(now).max(1));
    left.map_or(known, |left| left.min(known))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::Config;
    use crate::KeyBits;
    use crate::config::DatabaseUrl;
    use crate::keys::Vault;
    use crate::sealing::MasterKey;
    use crate::service::keys::change::{change, rewrap};
    use crate::service::{self, Opened};
    use crate::store::Missing;

    /// Opens a ring on a new database.
    async fn ring(folder: &tempfile::TempDir, now: &Arc<AtomicU64>) -> KeyRing {
        let config = Config::default();
        let database = DatabaseUrl::Sqlite(folder.path().join("x.db"));
        let opened = service::open_store(&config, &database, Missing::Make).await.unwrap();
        let Opened { store, sealer, .. } = opened;
        let now = Arc::clone(now);
        let clock = Clock::new(move || now.load(Ordering::Relaxed));
        KeyRing::open(store, sealer, Rules::new(&config), clock, true).await.unwrap()
    }

    #[tokio::test]
    async fn an_issuer_with_the_old_master_key_follows_until_it_cannot_and_writes_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let now = Arc::new(AtomicU64::new(1_800_000_000));
        let old = ring(&folder, &now).await;
        let signer = old.signer().unwrap();
        let sealer = Arc::new(MasterKey::of([9; 32]).sealer().unwrap());
        rewrap(&*old.store, &old.sealer, &sealer, 0).await.unwrap();
        // A retry, as after a lost answer.
        rewrap(&*old.store, &old.sealer, &sealer, 0).await.unwrap();
        let new = KeyRing::open(Arc::clone(&old.store), sealer, old.rules, old.clock.clone(), true);
        let new = new.await.unwrap();

        // Not even if a step has long been due.
        let before = old.store.keys().await.unwrap();
        now.fetch_add(40 * 86400, Ordering::Relaxed);
        old.refresh(true).await.unwrap();
        assert_eq!(old.store.keys().await.unwrap(), before);
        assert_eq!(old.signer().unwrap().kid(), signer.kid());
        assert!(old.current().rewrapped);

        // The other issuer takes the step. This issuer publishes the next key and cannot sign with
        // it.
        new.refresh(true).await.unwrap();
        assert_ne!(new.signer().unwrap().kid(), signer.kid());
        old.refresh(true).await.unwrap();
        assert!(old.signer().is_none());
        assert_eq!(old.current().jwks, new.current().jwks);
        assert!(old.current().jwks.len() > 3 * 342, "retiring, active, published");

        // It signs again once the database has its master key again.
        rewrap(&*old.store, &new.sealer, &old.sealer, 0).await.unwrap();
        old.refresh(true).await.unwrap();
        assert_eq!(old.signer().unwrap().kid(), new.signer().unwrap().kid());
        assert!(!old.current().rewrapped);
    }

    #[tokio::test]
    async fn what_was_decided_before_a_rewrap_is_not_written_after_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let ring = ring(&folder, &Arc::new(AtomicU64::new(1_800_000_000))).await;
        let sealer = Arc::new(MasterKey::of([9; 32]).sealer().unwrap());
        let spare = signing::generate(&ring.sealer, KeyBits::Rsa2048, 0).unwrap();
        rewrap(&*ring.store, &ring.sealer, &sealer, 0).await.unwrap();
        let before = ring.store.keys().await.unwrap();
        let add = move |vault: &Vault| Vault {
            keys: [&vault.keys[..], std::slice::from_ref(&spare)].concat(),
            ..vault.clone()
        };
        let refused = change(&*ring.store, &ring.sealer, add, Actor::default(), 0).await;
        assert!(matches!(refused, Err(ChangeError::MasterKey)), "{refused:?}");
        assert_eq!(ring.store.keys().await.unwrap(), before);
    }

    #[test]
    fn caches_come_back_sooner_before_a_change_and_when_the_keys_were_not_read() {
        let seconds = Duration::from_secs;
        for (changes_at, unread, expected) in [
            (None, 0, 300),
            (Some(5000), 0, 300),
            (Some(1200), 0, 200),
            (Some(900), 0, 1),
            (None, 30, 300),
            (None, 31, 299),
            (Some(1200), 100, 200),
            (Some(1200), 200, 130),
            (Some(900), 400, 0),
            (None, 4000, 0),
        ] {
            let max_age = max_age(changes_at, seconds(unread), 1000, seconds(300));
            assert_eq!(max_age, expected, "{changes_at:?} {unread}");
        }
    }

    #[tokio::test]
    async fn an_issuer_that_cannot_read_its_keys_stops_signing_until_it_can() {
        let folder = tempfile::TempDir::new().unwrap();
        let ring = ring(&folder, &Arc::new(AtomicU64::new(1_800_000_000))).await;
        assert!(ring.signer().is_some());

        let break_it = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
        break_it.execute_batch("ALTER TABLE keys RENAME TO hidden").unwrap();
        ring.refresh(true).await.unwrap_err();
        assert!(ring.signer().is_some(), "one failure is nothing");
        ring.age();
        assert!(ring.signer().is_none());
        ring.refresh(true).await.unwrap_err();
        assert!(ring.signer().is_none());

        break_it.execute_batch("ALTER TABLE hidden RENAME TO keys").unwrap();
        ring.refresh(true).await.unwrap();
        assert!(ring.signer().is_some());
    }
}
