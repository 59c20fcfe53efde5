//! Readiness and metrics.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{Issuer, ServiceError};
use crate::Error;
use crate::metrics::Snapshot;
use crate::store::{Store, StoreError};

/// Probes the database, one probe at a time and at most one a second: anybody can request one, and
/// each one writes.
#[derive(Default)]
pub(super) struct DatabaseProbe(Arc<Mutex<Option<Probed>>>);

/// The time and the result of a probe.
type Probed = (Instant, Result<(), StoreError>);

impl DatabaseProbe {
    const INTERVAL: Duration = Duration::from_secs(1);

    /// A balancer should not wait for longer.
    const TIMEOUT: Duration = Duration::from_secs(2);

    async fn check(&self, store: &Arc<dyn Store>) -> Result<(), StoreError> {
        let mut last = Arc::clone(&self.0).lock_owned().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < Self::INTERVAL
        {
            return result.clone();
        }
        let store = Arc::clone(store);
        let probe = async move {
            let probed = timeout(Self::TIMEOUT, store.ping()).await;
            let slow = |_| StoreError::Failed("the database failed: no answer in time".to_owned());
            let result = probed.map_err(slow).flatten();
            if let Err(e) = &result {
                tracing::error!("{e}");
            }
            *last = Some((Instant::now(), result.clone()));
            result
        };
        // In a task of its own, so that a client that goes away does not make room for another probe.
        let ended = tokio::spawn(probe.in_current_span()).await;
        ended.unwrap_or_else(|_| Err(StoreError::Failed("the probe ended early".to_owned())))
    }
}

impl Issuer {
    /// Returns the checks that fail now, by name; none if logins and refreshes would be answered.
    /// Records each result in the metrics.
    pub(crate) async fn failing_checks(&self) -> Vec<(&'static str, ServiceError)> {
        let (database, signing_key) = tokio::join!(self.check_database(), self.check_signing_key());
        let checks =
            [("database", database), ("clock", self.check_clock()), ("signing_key", signing_key)];
        let record = |(name, result): (&'static str, Result<(), ServiceError>)| {
            self.metrics.set_ready(name, result.is_ok());
            result.err().map(|e| (name, e))
        };
        checks.into_iter().filter_map(record).collect()
    }

    async fn check_database(&self) -> Result<(), ServiceError> {
        Ok(self.database_probe.check(&self.store).await?)
    }

    /// Refuses if no key may sign now. Keys that are only old because nobody is there are read first.
    async fn check_signing_key(&self) -> Result<(), ServiceError> {
        if !self.keys.can_sign() {
            self.polling.catch_up().await;
        }
        self.require_signing_key()
    }

    /// Refuses if no token can be issued now.
    pub(super) async fn require_issuing(&self) -> Result<(), ServiceError> {
        self.polling.freshen().await;
        self.check_clock()?;
        self.require_signing_key()
    }

    /// Refuses while the clock is behind.
    pub(super) fn check_clock(&self) -> Result<(), ServiceError> {
        if self.clock_guard.is_sane() { Ok(()) } else { Err(ServiceError::ClockBehind) }
    }

    /// Refuses if no key may sign now.
    fn require_signing_key(&self) -> Result<(), ServiceError> {
        if self.keys.can_sign() { Ok(()) } else { Err(ServiceError::NoSigningKey) }
    }

    /// Returns the metrics as text for Prometheus. `certificate` is the time in which the TLS
    /// certificate is valid, in UNIX seconds.
    pub(crate) fn metrics_text(&self, certificate: Option<Range<u64>>) -> Result<String, Error> {
        let (now, keys) = (self.clock.now(), self.keys.current());
        let (hashes_running, hashes_waiting) = self.hasher.busy();
        self.metrics.text(&Snapshot {
            now,
            hashes_running,
            hashes_waiting,
            keys: &keys.records,
            keys_change_at: keys.changes_at,
            keys_read_age: keys.read_at.elapsed(),
            certificate,
            backup_age: self.storage_watch.backup_age(now),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn checks_and_metrics_name_the_check_that_fails() {
        let folder = tempfile::TempDir::new().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        let line = |check: &str, value| format!("countersign_ready{{check=\"{check}\"}} {value}\n");
        assert!(issuer.failing_checks().await.is_empty());
        assert!(issuer.metrics_text(None).unwrap().contains(&line("signing_key", 1)));

        issuer.keys.age();
        let (name, e) = issuer.failing_checks().await.pop().unwrap();
        assert_eq!((name, &*e.to_string()), ("signing_key", "the signing keys cannot be read"));
        let text = issuer.metrics_text(None).unwrap();
        assert!(text.contains(&line("signing_key", 0)) && text.contains(&line("database", 1)));
    }

    #[tokio::test]
    async fn a_probe_counts_although_its_client_went_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let issuer = Issuer::for_tests(&folder).await;
        let other = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        timeout(Duration::from_millis(50), issuer.failing_checks()).await.unwrap_err();
        drop(other);
        let mut last = issuer.database_probe.0.lock().await;
        assert!(last.take().is_some());
    }

    #[tokio::test]
    async fn an_issuer_that_rests_is_ready() {
        let folder = tempfile::TempDir::new().unwrap();
        let issuer = Arc::new(Issuer::for_tests(&folder).await);
        let maintained = Arc::clone(&issuer);
        tokio::spawn(async move { maintained.maintain().await });
        issuer.polling.tire();
        while !issuer.polling.is_resting() {
            sleep(Duration::from_millis(10)).await;
        }
        issuer.keys.age();
        assert!(issuer.failing_checks().await.is_empty());
        assert!(!issuer.polling.is_awake());
    }
}
