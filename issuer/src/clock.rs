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

/// The longest time for which a clock may have been ahead and still be set right without the help of
/// an operator.
const LONGEST_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after the start in which a clock may be set right for the first time.
const SETTLING: Duration = Duration::from_secs(60);

/// The longest wait that an error of the clock right after the start may cause, in seconds.
const LONGEST_WAIT: u64 = 15 * 60;

/// Watches a clock: detects its jumps by comparing it with the monotonic clock, and keeps the latest
/// time that counts.
pub(crate) struct ClockWatch {
    /// The largest difference between two looks that is no jump, in seconds.
    tolerance: u64,
    /// The time that the clock has to be steady after a jump.
    calm: Duration,
    /// The first look, and the latest time before it.
    start: Option<(Moment, u64)>,
    last: Option<Moment>,
    steady_from: Duration,
    /// The latest time that the clock showed while it was steady, or that others saw before.
    latest: u64,
    /// The state before the clock jumped forward. If the clock returns to it, it had been wrong.
    before_jump: Option<(Moment, u64)>,
}

/// The result of a look at the clock.
pub(crate) struct Look {
    pub(crate) now: u64,
    /// The latest time that counts. It is after `now` if the clock is behind.
    pub(crate) latest: u64,
    /// The clock has been steady for long enough.
    pub(crate) steady: bool,
}

impl ClockWatch {
    /// `latest` is the latest time that others saw.
    pub(crate) fn new(tolerance: Duration, calm: Duration, latest: u64) -> Self {
        Self {
            tolerance: tolerance.as_secs(),
            calm,
            start: None,
            last: None,
            steady_from: Duration::ZERO,
            latest,
            before_jump: None,
        }
    }

    /// Looks at the clock once more.
    pub(crate) fn look(&mut self, clock: &Clock) -> Look {
        let now = clock.now();
        let steady = clock.monotonic().is_none_or(|at| self.compare(Moment { now, at }));
        if steady {
            self.latest = self.latest.max(now);
        }
        Look { now, latest: self.latest.max(now), steady }
    }

    /// Takes the latest time back to `latest`.
    pub(crate) fn reset(&mut self, latest: u64) {
        self.latest = latest;
        self.before_jump = None;
    }

    /// Compares the clocks. Returns true if they have been steady for long enough.
    fn compare(&mut self, moment: Moment) -> bool {
        self.start.get_or_insert((moment, self.latest));
        if let Some(last) = self.last.replace(moment)
            && last.off(moment) > self.tolerance
        {
            let was_steady = last.at >= self.steady_from;
            self.steady_from = moment.at + self.calm;
            let forward = moment.now > last.expected(moment);
            if !forward {
                self.correct(last, moment);
            } else if (was_steady || self.before_jump.is_none()) && last.now >= self.latest {
                self.before_jump = Some((last, self.latest));
            }
            tracing::warn!(
                "the clock jumped {} by {} s: no key is changed and nothing is deleted until it \
                 has been steady for {} s",
                if forward { "forward" } else { "back" },
                last.off(moment),
                self.calm.as_secs()
            );
        }
        moment.at >= self.steady_from
    }

    /// Forgets the times since the last jump forward if the clock has now jumped back by as much, or
    /// those since the start if it has jumped back far soon after it.
    fn correct(&mut self, last: Moment, moment: Moment) {
        let returned = self.before_jump.filter(|(before, _)| {
            before.off(moment) <= self.tolerance && before.until(moment) < LONGEST_ERROR
        });
        let settled = self
            .start
            .filter(|(start, _)| last.off(moment) > LONGEST_WAIT && start.until(moment) < SETTLING);
        if let Some((_, latest)) = returned.or(settled) {
            self.reset(latest);
        }
    }
}

/// A look at both clocks.
#[derive(Clone, Copy)]
struct Moment {
    now: u64,
    /// The time of the monotonic clock.
    at: Duration,
}

impl Moment {
    /// Returns the time from this moment to a later one.
    fn until(self, later: Self) -> Duration {
        later.at.saturating_sub(self.at)
    }

    /// Returns the time that the clock should show at a later moment.
    fn expected(self, later: Self) -> u64 {
        self.now + self.until(later).as_secs()
    }

    /// Returns the seconds by which the clock was set between this moment and a later one.
    fn off(self, later: Self) -> u64 {
        later.now.abs_diff(self.expected(later))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const START: u64 = 100_000;

    /// The seconds by which the clock and the monotonic clock advance.
    type Step = (i64, u64);

    /// Two clocks that a test sets, and a watch of them.
    struct Clocks {
        wall: Arc<AtomicU64>,
        monotonic: Arc<AtomicU64>,
        clock: Clock,
        watch: ClockWatch,
    }

    impl Clocks {
        fn new(latest: u64) -> Self {
            let (wall, monotonic) = (Arc::new(AtomicU64::new(START)), Arc::new(AtomicU64::new(0)));
            let (now, elapsed) = (Arc::clone(&wall), Arc::clone(&monotonic));
            let clock = Clock::new(move || now.load(Ordering::Relaxed))
                .with_monotonic(move || Duration::from_secs(elapsed.load(Ordering::Relaxed)));
            let (tolerance, calm) = (Duration::from_secs(65), Duration::from_secs(300));
            Self { wall, monotonic, clock, watch: ClockWatch::new(tolerance, calm, latest) }
        }

        /// Advances the clocks and looks.
        fn step(&mut self, (by, really): Step) -> Look {
            let now = self.wall.load(Ordering::Relaxed).checked_add_signed(by).unwrap();
            self.wall.store(now, Ordering::Relaxed);
            self.monotonic.fetch_add(really, Ordering::Relaxed);
            self.watch.look(&self.clock)
        }
    }

    #[test]
    fn the_clock_must_be_steady_for_a_while_after_each_jump() {
        let mut clocks = Clocks::new(0);
        // The step of both clocks, and the expected result.
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
            assert_eq!(clocks.step((by, really)).steady, steady, "step {step}");
        }
        let alone = Clock::new({
            let wall = Arc::clone(&clocks.wall);
            move || wall.fetch_add(1_000_000, Ordering::Relaxed)
        });
        assert!(clocks.watch.look(&alone).steady && clocks.watch.look(&alone).steady);
    }

    #[test]
    fn the_latest_time_counts_until_the_clock_reaches_it_or_is_back_from_an_error() {
        const HOUR: i64 = 3600;
        // The latest time that others saw, the steps, and the expected latest time after them. All
        // times are relative to the time after the first minute.
        let cases: &[(&str, i64, &[Step], i64)] = &[
            ("steady", 0, &[(10, 10)], 10),
            ("set back a little", 0, &[(10, 10), (-2, 0)], 10),
            ("set back", 0, &[(10, 10), (-120, 0)], 10),
            ("set back, later", 0, &[(10, 10), (-HOUR, 0), (HOUR - 1, 3599)], 10),
            ("set back, and it reached the time", 0, &[(10, 10), (-120, 0), (150, 150)], 40),
            ("behind at the start", HOUR, &[(10, 10)], HOUR),
            ("behind at the start, then set", HOUR, &[(10, 10), (HOUR, 1)], HOUR + 10),
            ("ahead", 0, &[(10, 10), (20 * HOUR, 1)], 20 * HOUR + 10),
            ("ahead for a moment", 0, &[(10, 10), (20 * HOUR, 1), (-20 * HOUR, 1)], 10),
            (
                "ahead for hours, then set right",
                0,
                &[(10, 10), (20 * HOUR, 1), (HOUR, 3600), (-20 * HOUR, 1)],
                HOUR + 10,
            ),
            (
                "ahead, then set right in two steps",
                0,
                &[(10, 10), (20 * HOUR, 1), (400, 400), (-15 * HOUR, 1), (-5 * HOUR, 1)],
                410,
            ),
            (
                "ahead for a day and more",
                0,
                &[(10, 10), (20 * HOUR, 1), (24 * HOUR, 86400), (-20 * HOUR, 1)],
                44 * HOUR + 10,
            ),
            (
                "ahead, then set back too far",
                0,
                &[(10, 10), (20 * HOUR, 1), (400, 400), (-21 * HOUR, 1)],
                20 * HOUR + 410,
            ),
            (
                "set back, set right and set back again",
                0,
                &[(10, 10), (-HOUR, 1), (400, 400), (HOUR, 1), (400, 400), (-HOUR, 1)],
                810,
            ),
        ];
        let at = |relative: i64| (START + 60).checked_add_signed(relative).unwrap();
        for (name, others, steps, expected) in cases {
            let mut clocks = Clocks::new(at(*others));
            clocks.step((0, 0));
            let mut latest = clocks.step((60, 60)).latest;
            for step in *steps {
                latest = clocks.step(*step).latest;
            }
            assert_eq!(latest, at(*expected), "{name}");
        }
        // In the first minute.
        for (by, expected) in [(-HOUR, -5), (-901, -5), (-900, 9), (-120, 9)] {
            let mut clocks = Clocks::new(START - 5);
            clocks.step((0, 0));
            clocks.step((9, 9));
            let expected = START.checked_add_signed(expected).unwrap();
            assert_eq!(clocks.step((by + 1, 1)).latest, expected, "{by}");
        }
        let mut clocks = Clocks::new(at(HOUR));
        clocks.watch.reset(START - 5);
        assert_eq!(clocks.step((1, 1)).latest, START + 1);
    }
}
