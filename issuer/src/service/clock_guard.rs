//! Protection against a wrong clock. A clock that is behind would give tokens that have expired
//! already; one that is ahead would rotate keys and delete sessions too early.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Steadiness;
use crate::store::Store;
use crate::{Clock, Config, Error};

/// The error that a clock may have between two looks at it, besides `clock_skew`.
const TOLERANCE: Duration = Duration::from_secs(5);

/// The least time that a clock has to be steady after a jump.
const CALM: Duration = Duration::from_secs(60);

/// Compares the clock with the times that issuers on this database saw, and with the monotonic
/// clock.
pub(crate) struct ClockGuard {
    clock: Clock,
    skew: u64,
    /// The time that the clock has to reach: the latest that an issuer saw, if this issuer started
    /// before it; otherwise 0.
    must_reach: AtomicU64,
    steadiness: Mutex<Steadiness>,
}

impl ClockGuard {
    /// Reads the latest time that an issuer on this database saw. Logs an error if the clock is
    /// behind it.
    pub(super) async fn open(
        store: &dyn Store,
        config: &Config,
        clock: Clock,
    ) -> Result<Self, Error> {
        let now = clock.now();
        let later = later_time_seen(store, config, now).await?;
        if let Some(later) = later {
            tracing::error!("{}", behind_message(now, later));
        }
        let steadiness =
            Steadiness::new(config.clock_skew + TOLERANCE, config.jwks_max_age.max(CALM));
        Ok(Self {
            clock,
            skew: config.clock_skew.as_secs(),
            must_reach: AtomicU64::new(later.unwrap_or(0)),
            steadiness: Mutex::new(steadiness),
        })
    }

    /// Returns `false` while the clock is behind a time that an issuer on this database saw before
    /// this one started. Until then `exp` would be too early, and no key is changed.
    pub(super) fn is_sane(&self) -> bool {
        self.clock.now() + self.skew >= self.must_reach.load(Ordering::Relaxed)
    }

    /// Returns `true` if the clock is sane and has not jumped recently. Only then may keys be
    /// rotated and expired sessions be deleted.
    pub(super) fn is_steady(&self) -> bool {
        let mut steadiness = self.steadiness.lock().unwrap_or_else(PoisonError::into_inner);
        steadiness.look(&self.clock) && self.is_sane()
    }

    /// Stores the time for other issuers. While the clock is behind, reads the stored time instead:
    /// `store reset-clock` may have taken it back.
    pub(super) async fn remember_time(&self, store: &dyn Store) -> Result<(), Error> {
        if self.is_sane() {
            self.must_reach.store(0, Ordering::Relaxed);
            store.remember_time(self.clock.now()).await?;
        } else {
            let latest = store.latest_time().await?.unwrap_or(0);
            self.must_reach.fetch_min(latest, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Returns the latest time that an issuer on this database saw, if `now` is before it by more than
/// `clock_skew`.
pub(super) async fn later_time_seen(
    store: &dyn Store,
    config: &Config,
    now: u64,
) -> Result<Option<u64>, Error> {
    let latest = store.latest_time().await?;
    Ok(latest.filter(|latest| now + config.clock_skew.as_secs() < *latest))
}

/// Returns the message for a clock that is behind.
pub(super) fn behind_message(now: u64, latest: u64) -> String {
    format!(
        "the clock is behind: it says {now}, but an issuer on this database saw {latest} (UNIX \
         seconds); set the clock, or if that issuer's clock was wrong, run store reset-clock"
    )
}
