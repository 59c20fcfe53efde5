//! Protection against a wrong clock. A clock that is behind would give tokens that have expired
//! already; one that is ahead would rotate keys and delete sessions too early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{ClockWatch, Look};
use crate::store::Store;
use crate::{Clock, Config, Error};

/// The error that a clock may have between two looks at it, besides `clock_skew`.
const TOLERANCE: Duration = Duration::from_secs(5);

/// The least time that a clock has to be steady after a jump.
const CALM: Duration = Duration::from_secs(60);

/// Compares the clock with the times that this issuer and others on this database saw, and with the
/// monotonic clock.
pub(crate) struct ClockGuard {
    clock: Clock,
    skew: u64,
    watch: Mutex<ClockWatch>,
    behind: AtomicBool,
    /// The latest time in the database, as this issuer found it at the start or wrote it since.
    stored: AtomicU64,
}

impl ClockGuard {
    /// Reads the latest time that an issuer on this database saw.
    pub(super) async fn open(
        store: &dyn Store,
        config: &Config,
        clock: Clock,
    ) -> Result<Self, Error> {
        let latest = store.latest_time().await?.unwrap_or(0);
        let calm = config.jwks_max_age.max(CALM);
        Ok(Self {
            clock,
            skew: config.clock_skew.as_secs(),
            watch: Mutex::new(ClockWatch::new(config.clock_skew + TOLERANCE, calm, latest)),
            behind: AtomicBool::new(false),
            stored: AtomicU64::new(latest),
        })
    }

    /// Returns the time that decides on expiry: the latest that counts. A clock that was set back
    /// must not revive a token.
    pub(super) fn latest_time(&self) -> u64 {
        self.look().latest
    }

    /// Returns `false` while the clock is behind the latest time by more than `clock_skew`. Until it
    /// is set, `exp` would be too early: no token is issued and no key is changed.
    pub(super) fn is_sane(&self) -> bool {
        !self.is_behind(&self.look())
    }

    /// Returns `true` if the clock is sane and has not jumped recently. Only then may keys be
    /// rotated and expired sessions be deleted.
    pub(super) fn is_steady(&self) -> bool {
        let look = self.look();
        look.steady && !self.is_behind(&look)
    }

    /// Stores the latest time for other issuers and for the next start.
    pub(super) async fn remember_time(&self, store: &dyn Store) -> Result<(), Error> {
        let look = self.look();
        let stored = self.stored.load(Ordering::Relaxed);
        if self.is_behind(&look) {
            let now_stored = store.latest_time().await?.unwrap_or(0);
            // `store reset-clock` has taken it back.
            if now_stored < stored {
                self.watch().reset(now_stored);
                self.stored.store(now_stored, Ordering::Relaxed);
                return Ok(());
            }
        } else if stored > look.latest + self.skew {
            // This issuer wrote it while its clock was ahead.
            store.reset_time(look.latest).await?;
        }
        store.remember_time(look.latest).await?;
        self.stored.store(look.latest, Ordering::Relaxed);
        Ok(())
    }

    /// Looks at the clock. Logs an error if it is behind from now on.
    fn look(&self) -> Look {
        let look = self.watch().look(&self.clock);
        let behind = self.is_behind(&look);
        if self.behind.swap(behind, Ordering::Relaxed) != behind && behind {
            tracing::error!("{}", behind_message(look.now, look.latest));
        }
        look
    }

    fn is_behind(&self, look: &Look) -> bool {
        look.now + self.skew < look.latest
    }

    fn watch(&self) -> MutexGuard<'_, ClockWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
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
