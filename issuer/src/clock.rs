//! The clock of tokens and database, and the detection of its jumps.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The source of the time in UNIX seconds. Tests pass their own.
///
/// Times in tokens and in the database come from this clock. Timeouts of connections use the
/// monotonic clock instead.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// The time since some moment. Nobody can set this clock.
    monotonic: Option<Arc<dyn Fn() -> Duration + Send + Sync>>,
}

impl Clock {
    /// Returns the clock of the system, compared with its monotonic clock.
    #[must_use]
    pub fn system() -> Self {
        let start = Instant::now();
        Self::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
            .with_monotonic(move || start.elapsed())
    }

    /// Returns a clock that reads `now`, in UNIX seconds. Its jumps are not detected, because it is
    /// compared with nothing.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), monotonic: None }
    }

    /// Compares the clock with `monotonic`. If the two advance by different amounts, the clock was
    /// set. The issuer then deletes nothing and changes no key until the clock has been steady for
    /// a while.
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

/// Detects jumps of the clock by comparing it with the monotonic clock.
pub(crate) struct Steadiness {
    /// The largest difference between two looks that is no jump, in seconds.
    tolerance: u64,
    /// The time that the clock has to be steady after a jump.
    calm: Duration,
    last: Option<(u64, Duration)>,
    steady_from: Duration,
}

impl Steadiness {
    pub(crate) fn new(tolerance: Duration, calm: Duration) -> Self {
        let tolerance = tolerance.as_secs();
        Self { tolerance, calm, last: None, steady_from: Duration::ZERO }
    }

    /// Looks at the clock once more. Returns true if it has been steady for long enough.
    pub(crate) fn look(&mut self, clock: &Clock) -> bool {
        let Some(monotonic) = clock.monotonic() else { return true };
        let now = clock.now();
        if let Some((then, before)) = self.last.replace((now, monotonic)) {
            let expected = then + monotonic.saturating_sub(before).as_secs();
            if now.abs_diff(expected) > self.tolerance {
                self.steady_from = monotonic + self.calm;
                let off = now.abs_diff(expected);
                let direction = if now > expected { "forward" } else { "back" };
                tracing::warn!(
                    "the clock jumped {direction} by {off} s: no key is changed and nothing is \
                     deleted until it has been steady for {} s",
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
    fn the_clock_must_be_steady_for_a_while_after_each_jump() {
        let (wall, monotonic) = (Arc::new(AtomicU64::new(5000)), Arc::new(AtomicU64::new(0)));
        let clock = {
            let (wall, monotonic) = (Arc::clone(&wall), Arc::clone(&monotonic));
            Clock::new(move || wall.load(Ordering::Relaxed))
                .with_monotonic(move || Duration::from_secs(monotonic.load(Ordering::Relaxed)))
        };
        let mut steadiness = Steadiness::new(Duration::from_secs(65), Duration::from_secs(300));
        // The seconds by which clock and monotonic clock advance, and the expected result.
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
            // The machine slept, and its monotonic clock stood still.
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
