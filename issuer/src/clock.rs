use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the issuer gets the time from: UNIX seconds. Tests put their own in.
///
/// Only what is written into tokens and the database goes by this clock; timeouts of connections
/// go by the monotonic one.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The time since some moment, which nobody can set.
    monotonic: Option<Arc<dyn Fn() -> Duration + Send + Sync>>,
}

impl Clock {
    /// The system's clock, compared with its monotonic one.
    #[must_use]
    pub fn system() -> Self {
        let start = Instant::now();
        Self::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
            .with_monotonic(move || start.elapsed())
    }

    /// A clock that answers what `now` answers, in UNIX seconds. It may jump: there is nothing to
    /// compare it with.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), monotonic: None }
    }

    /// Compares the clock with `monotonic`: when it advances by something else, it was set, and
    /// the issuer waits with what cannot be undone until it has been steady for a while.
    #[must_use]
    pub fn with_monotonic(self, monotonic: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { monotonic: Some(Arc::new(monotonic)), ..self }
    }

    pub(crate) fn now(&self) -> u64 {
        (self.now)()
    }

    pub(crate) fn monotonic(&self) -> Option<Duration> {
        self.monotonic.as_ref().map(|monotonic| monotonic())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Whether the clock goes as the monotonic one does.
pub(crate) struct Steadiness {
    /// What it may be off from one look to the next.
    tolerance: u64,
    /// How long it has to be steady after a jump.
    calm: Duration,
    last: Option<(u64, Duration)>,
    steady_from: Duration,
}

impl Steadiness {
    pub(crate) fn new(tolerance: Duration, calm: Duration) -> Self {
        let tolerance = tolerance.as_secs();
        Self { tolerance, calm, last: None, steady_from: Duration::ZERO }
    }

    /// Whether the clock has been steady for long enough, by one more look at it.
    pub(crate) fn look(&mut self, clock: &Clock) -> bool {
        let Some(monotonic) = clock.monotonic() else { return true };
        let now = clock.now();
        if let Some((then, before)) = self.last.replace((now, monotonic)) {
            let expected = then + monotonic.saturating_sub(before).as_secs();
            if now.abs_diff(expected) > self.tolerance {
                self.steady_from = monotonic + self.calm;
                let (off, way) =
                    (now.abs_diff(expected), if now > expected { "on" } else { "back" });
                tracing::warn!(
                    "the clock jumped {way} by {off} s: no key is changed and nothing is deleted \
                     until it has been steady for {} s",
                    self.calm.as_secs()
                );
            }
        }
        monotonic >= self.steady_from
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn after_each_jump_the_clock_has_to_be_steady_for_a_while() {
        let (wall, monotonic) = (Arc::new(AtomicU64::new(5000)), Arc::new(AtomicU64::new(0)));
        let clock = {
            let (wall, monotonic) = (Arc::clone(&wall), Arc::clone(&monotonic));
            Clock::new(move || wall.load(Ordering::Relaxed))
                .with_monotonic(move || Duration::from_secs(monotonic.load(Ordering::Relaxed)))
        };
        let mut steadiness = Steadiness::new(Duration::from_secs(65), Duration::from_secs(300));
        // Seconds that the clock and the monotonic one advance by, and whether it is steady then.
        for (step, (by, really, steady)) in [
            (1, 1, true),
            (66, 1, true),
            (0, 60, true),
            (67, 1, false),
            (299, 299, false),
            (1, 1, true),
            (-4000, 1, false),
            (1, 1, false),
            (40 * 86400, 1, false),
            (299, 299, false),
            // A machine that slept: the monotonic clock did as well.
            (8 * 3600, 0, false),
            (300, 300, true),
        ]
        .into_iter()
        .enumerate()
        {
            let now = wall.load(Ordering::Relaxed).checked_add_signed(by).unwrap();
            wall.store(now, Ordering::Relaxed);
            monotonic.fetch_add(really, Ordering::Relaxed);
            assert_eq!(steadiness.look(&clock), steady, "step {step}");
        }
        let alone = Clock::new({
            let wall = Arc::clone(&wall);
            move || wall.fetch_add(1_000_000, Ordering::Relaxed)
        });
        assert!(steadiness.look(&alone) && steadiness.look(&alone));
    }
}
