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

    /// Stores the latest time for other issuers and for the next start. While the clock is behind,
    /// reads the stored time too: `store reset-clock` may have taken it back.
    pub(super) async fn remember_time(&self, store: &dyn Store) -> Result<(), Error> {
        let look = self.look();
        let stored = self.stored.load(Ordering::Relaxed);
        if self.is_behind(&look) {
            let found = store.latest_time().await?.unwrap_or(0);
            if found < stored {
                self.watch().reset(found);
                self.stored.store(found, Ordering::Relaxed);
                return Ok(());
            }
            if found >= look.latest {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::DatabaseUrl;
    use crate::store::{self, Missing};

    const START: u64 = 1_800_000_000;
    /// The time after the first minute.
    const NOW: u64 = START + 60;
    const HOUR: u64 = 3600;

    /// A guard of clocks that a test sets, and its database.
    struct Fixture {
        wall: Arc<AtomicU64>,
        monotonic: Arc<AtomicU64>,
        store: Arc<dyn Store>,
        guard: ClockGuard,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        /// The database has the latest time `latest`.
        async fn new(latest: u64) -> Self {
            let folder = tempfile::TempDir::new().unwrap();
            let url = DatabaseUrl::Sqlite(folder.path().join("x.db"));
            let (store, ()) = store::open(&url, Missing::Make, |_| Ok(())).await.unwrap();
            store.remember_time(latest).await.unwrap();
            let (wall, monotonic) = (Arc::new(AtomicU64::new(START)), Arc::new(AtomicU64::new(0)));
            let (now, elapsed) = (Arc::clone(&wall), Arc::clone(&monotonic));
            let clock = Clock::new(move || now.load(Ordering::Relaxed))
                .with_monotonic(move || Duration::from_secs(elapsed.load(Ordering::Relaxed)));
            let guard = ClockGuard::open(&*store, &Config::default(), clock).await.unwrap();
            assert_eq!(guard.is_sane(), latest <= START + 60);
            // The first minute passes.
            monotonic.store(60, Ordering::Relaxed);
            wall.store(START + 60, Ordering::Relaxed);
            guard.is_sane();
            Self { wall, monotonic, store, guard, _folder: folder }
        }

        /// Sets the clock, lets a second pass, and remembers the time. Returns true if the clock is
        /// sane.
        async fn set(&self, now: u64) -> bool {
            self.wall.store(now, Ordering::Relaxed);
            self.monotonic.fetch_add(1, Ordering::Relaxed);
            self.guard.remember_time(&*self.store).await.unwrap();
            self.guard.is_sane()
        }

        async fn stored(&self) -> Option<u64> {
            self.store.latest_time().await.unwrap()
        }

        /// Lets the clock be steady for long enough.
        fn wait(&self) {
            self.wall.fetch_add(400, Ordering::Relaxed);
            self.monotonic.fetch_add(400, Ordering::Relaxed);
            assert!(self.guard.is_steady());
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_is_behind_until_it_is_set_or_reset() {
        let fixture = Fixture::new(0).await;
        assert!(fixture.set(NOW + 9).await);
        assert!(fixture.set(NOW - 51).await, "a difference of clock_skew is tolerated");
        assert!(fixture.set(NOW + 10).await);
        assert!(!fixture.set(NOW - HOUR).await);
        assert_eq!(fixture.guard.latest_time(), NOW + 10);
        assert_eq!(fixture.stored().await, Some(NOW + 10), "for the next start");
        assert!(fixture.set(NOW + 12).await);
        assert!(!fixture.set(NOW - HOUR).await);
        assert!(fixture.store.reset_time(NOW - HOUR).await.unwrap());
        assert!(fixture.set(NOW - HOUR + 1).await);
        assert_eq!(fixture.guard.latest_time(), NOW - HOUR + 1);
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_for_hours_is_used_as_soon_as_it_is_set_right() {
        let fixture = Fixture::new(NOW - 9).await;
        fixture.set(NOW + 20 * HOUR).await;
        fixture.wait();
        assert!(fixture.set(NOW + 20 * HOUR + 400).await);
        assert_eq!(fixture.stored().await, Some(NOW + 20 * HOUR + 400));
        assert!(fixture.set(NOW + 402).await);
        assert_eq!(fixture.guard.latest_time(), NOW + 402);
        assert_eq!(fixture.stored().await, Some(NOW + 402));
    }

    #[tokio::test]
    async fn the_time_of_an_issuer_that_is_ahead_disturbs_no_running_issuer() {
        let fixture = Fixture::new(NOW).await;
        fixture.store.remember_time(NOW + HOUR).await.unwrap();
        for now in [NOW + 1, NOW + 2] {
            assert!(fixture.set(now).await);
            assert_eq!(fixture.guard.latest_time(), now);
            assert_eq!(fixture.stored().await, Some(NOW + HOUR));
        }
        let fixture = Fixture::new(NOW + HOUR).await;
        assert_eq!(fixture.guard.latest_time(), NOW + HOUR);
        assert!(fixture.set(NOW + HOUR - 60).await);
    }
}
