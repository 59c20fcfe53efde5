//! The rules of a cache of keys: when to fetch them, when to wait, when to give up.
//!
//! Pure rules: the caller passes the time, as a duration since the UNIX epoch, and does the work.

use std::time::Duration;

use crate::{
    lifetime::{Lifetime, is_within},
    limits::Limits,
    unknown_kids::UnknownKids,
};

/// The answer to a caller that has verified a token with the keys in use, or without keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The verdict stands.
    Nothing,
    /// The verdict stands, and a fetch begins in the background.
    Behind,
    /// Wait for a fetch, then verify again.
    Wait,
    /// There are no keys, and it is too early for another attempt. The last failure is the verdict.
    Refuse,
}

/// The state of a cache of keys. The keys themselves are the caller's.
#[derive(Debug)]
pub(crate) struct Rules {
    limits: Limits,
    keys: Option<Lifetime>,
    failure: Option<Failure>,
    unknown_kids: UnknownKids,
}

/// The attempts since the last success, all of which failed.
#[derive(Debug)]
struct Failure {
    at: Duration,
    /// The time until the next attempt.
    backoff: Duration,
    retries: u32,
}

const MAX_BACKOFF: Duration = Duration::from_secs(60);

impl Rules {
    pub(crate) fn new(limits: Limits) -> Self {
        let unknown_kids = UnknownKids::new(limits.cooldown);
        Self { limits, keys: None, failure: None, unknown_kids }
    }

    /// Returns true if there are keys that may be used. Once they are too old, they are gone.
    pub(crate) fn has_keys(&mut self, now: Duration) -> bool {
        let stale_if_error = self.limits.stale_if_error;
        self.keys = self.keys.and_then(|keys| keys.usable(now, stale_if_error));
        self.keys.is_some()
    }

    /// Returns true if the keys have not outlived their lifetime.
    pub(crate) fn has_fresh_keys(&self, now: Duration) -> bool {
        self.keys.is_some_and(|keys| keys.is_fresh(now))
    }

    /// Decides if keys are fetched. `missing` is the `kid` of a token whose key is not in the set,
    /// and `in_flight` is true during a fetch.
    pub(crate) fn renewal(
        &mut self,
        now: Duration,
        missing: Option<&str>,
        in_flight: bool,
    ) -> Renewal {
        let has_keys = self.has_keys(now);
        let is_due = self.keys.is_none_or(|keys| keys.is_due(now));
        if !is_due && missing.is_none() {
            return Renewal::Nothing;
        }
        let failed_within = |span: fn(&Failure) -> Duration| {
            self.failure.as_ref().is_some_and(|failure| is_within(failure.at, span(failure), now))
        };
        if failed_within(|failure| failure.backoff) {
            return if has_keys { Renewal::Nothing } else { Renewal::Refuse };
        }
        // An endpoint that failed recently may take until the timeout to fail again. Callers that
        // have keys do not wait for it.
        let serves = self.has_fresh_keys(now) || has_keys && failed_within(|_| 2 * MAX_BACKOFF);
        let waits = |kid| in_flight || self.unknown_kids.may_fetch(kid, now);
        if !serves || missing.is_some_and(waits) {
            Renewal::Wait
        } else if is_due && !in_flight {
            Renewal::Behind
        } else {
            Renewal::Nothing
        }
    }

    /// Counts a fetch that brought usable keys. `is_new` is true if they are not the same as before.
    pub(crate) fn succeeded(&mut self, keys: Lifetime, is_new: bool) {
        self.keys = Some(keys);
        self.failure = None;
        if is_new {
            self.unknown_kids.clear();
        }
    }

    /// Counts a failed fetch. The backoff doubles, from one second on. `jitter` is from 0 to 1, so
    /// that services that failed together retry apart.
    pub(crate) fn failed(&mut self, now: Duration, jitter: f64) {
        let retries = self.failure.as_ref().map_or(0, |failure| failure.retries.saturating_add(1));
        let doubled = Duration::from_secs(1 << retries.min(6));
        let backoff = doubled.mul_f64(1.0 + jitter / 4.0).min(MAX_BACKOFF);
        self.failure = Some(Failure { at: now, backoff, retries });
        self.unknown_kids.clear();
    }

    /// Counts a fetch that brought a set without a usable key: the keys in use are gone.
    pub(crate) fn emptied(&mut self, now: Duration, jitter: f64) {
        self.keys = None;
        self.failed(now, jitter);
    }

    /// Returns true if the last attempt failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Renewal::{Behind, Nothing, Refuse, Wait};
    use Step::{Ask, Emptied, Failed, Renewed, Same};

    /// An event at a time.
    #[derive(Debug)]
    enum Step {
        /// A caller verified a token; its `kid` is missing.
        Ask(Option<&'static str>, Renewal),
        /// A fetch is in flight, and a caller verified a token.
        Flying(Option<&'static str>, Renewal),
        /// A fetch brought other keys, for that many seconds.
        Renewed(u64),
        /// A fetch brought the same keys.
        Same(u64),
        Failed,
        Emptied,
    }

    const START: u64 = 1_700_000_000;
    const HOUR: u64 = 3600;

    /// Runs the events, each so many seconds after the start.
    fn check(name: &str, events: &[(u64, Step)]) {
        let mut rules = Rules::new(Limits::default());
        for (index, (second, step)) in events.iter().enumerate() {
            let now = Duration::from_secs(START + second);
            let fetched = |ttl: &u64| Lifetime::new(now, Duration::from_secs(*ttl), 0.0);
            let (found, expected) = match step {
                Ask(missing, expected) => (rules.renewal(now, *missing, false), expected),
                Step::Flying(missing, expected) => (rules.renewal(now, *missing, true), expected),
                Renewed(ttl) => {
                    rules.succeeded(fetched(ttl), true);
                    continue;
                }
                Same(ttl) => {
                    rules.succeeded(fetched(ttl), false);
                    continue;
                }
                Failed => {
                    rules.failed(now, 0.0);
                    continue;
                }
                Emptied => {
                    rules.emptied(now, 0.0);
                    continue;
                }
            };
            assert_eq!(found, *expected, "{name}: event {index}, second {second}: {step:?}");
        }
    }

    #[test]
    fn keys_are_renewed_ahead_of_their_end() {
        check("cold", &[(0, Ask(None, Wait)), (0, Step::Flying(None, Wait))]);
        check(
            "ahead",
            &[
                (0, Renewed(600)),
                (0, Ask(None, Nothing)),
                (479, Ask(None, Nothing)),
                (480, Ask(None, Behind)),
                (480, Step::Flying(None, Nothing)),
                (481, Same(600)),
                (481, Ask(None, Nothing)),
                (480 + 481, Ask(None, Behind)),
            ],
        );
        check(
            "late",
            &[(0, Renewed(600)), (600, Ask(None, Wait)), (600, Step::Flying(None, Wait))],
        );
    }

    #[test]
    fn keys_outlive_an_outage_for_a_day() {
        check(
            "outage",
            &[
                (0, Renewed(600)),
                (480, Ask(None, Behind)),
                (480, Failed),
                (480, Ask(None, Nothing)),
                (481, Ask(None, Behind)),
                (481, Failed),
                (482, Ask(None, Nothing)),
                (483, Ask(None, Behind)),
                (483, Failed),
                (487, Ask(None, Behind)),
                // Past the lifetime nobody waits, as long as attempts fail.
                (599, Failed),
                (600, Ask(None, Nothing)),
                (607, Ask(None, Behind)),
                (718, Ask(None, Behind)),
                (719, Ask(None, Wait)),
                (719, Failed),
                (720, Ask(None, Nothing)),
                (24 * HOUR + 599, Ask(None, Wait)),
                (24 * HOUR + 599, Failed),
                (24 * HOUR + 600, Ask(None, Refuse)),
                (24 * HOUR + 700, Ask(None, Wait)),
            ],
        );
    }

    #[test]
    fn a_cold_start_backs_off_up_to_a_minute() {
        let mut events = Vec::new();
        let mut second = 0;
        for backoff in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            events.extend([(second, Ask(None, Wait)), (second, Failed)]);
            events.push((second + backoff - 1, Ask(None, Refuse)));
            second += backoff;
        }
        events.extend([(second, Renewed(600)), (second, Ask(None, Nothing))]);
        // The next outage begins with a short backoff.
        events.extend([(second + 480, Failed), (second + 481, Ask(None, Behind))]);
        check("backoff", &events);
    }

    #[test]
    fn jitter_lengthens_the_backoff_by_a_quarter() {
        let mut rules = Rules::new(Limits::default());
        let start = Duration::from_secs(START);
        rules.failed(start, 1.0);
        assert_eq!(rules.renewal(start + Duration::from_millis(1249), None, false), Refuse);
        assert_eq!(rules.renewal(start + Duration::from_millis(1250), None, false), Wait);
        for _ in 0..40 {
            rules.failed(start, 1.0);
        }
        assert_eq!(rules.renewal(start + MAX_BACKOFF, None, false), Wait);
    }

    #[test]
    fn unknown_kids_cause_few_fetches() {
        check(
            "one kid",
            &[
                (0, Renewed(600)),
                (1, Ask(Some("a"), Wait)),
                (1, Step::Flying(Some("b"), Wait)),
                (1, Same(600)),
                (2, Ask(Some("a"), Nothing)),
                (2, Ask(Some("b"), Nothing)),
                // The second fetch comes after the cooldown, the third after half a minute.
                (11, Ask(Some("a"), Wait)),
                (11, Same(600)),
                (21, Ask(Some("a"), Nothing)),
                (40, Ask(Some("a"), Nothing)),
                (41, Ask(Some("a"), Wait)),
            ],
        );
        check(
            "other keys",
            &[
                (0, Renewed(600)),
                (1, Ask(Some("a"), Wait)),
                (1, Same(600)),
                (11, Ask(Some("a"), Wait)),
                // Other keys empty the negative cache, and the cooldown goes on.
                (11, Renewed(600)),
                (12, Ask(Some("a"), Nothing)),
                (21, Ask(Some("a"), Wait)),
            ],
        );
        check(
            "due",
            &[
                (0, Renewed(600)),
                (1, Ask(Some("a"), Wait)),
                (1, Same(10)),
                (9, Ask(Some("a"), Behind)),
            ],
        );
        check(
            "outage",
            &[
                (0, Renewed(600)),
                (1, Ask(Some("a"), Wait)),
                (1, Failed),
                (1, Ask(Some("a"), Nothing)),
            ],
        );
    }

    #[test]
    fn a_set_without_usable_keys_takes_the_old_keys_out_of_use() {
        check(
            "emptied",
            &[
                (0, Renewed(600)),
                (480, Ask(None, Behind)),
                (480, Emptied),
                (480, Ask(None, Refuse)),
                (481, Ask(None, Wait)),
                (481, Renewed(600)),
                (482, Ask(None, Nothing)),
            ],
        );
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_lifetime_now() {
        check(
            "set back",
            &[
                (2 * HOUR, Renewed(600)),
                (HOUR, Ask(None, Wait)),
                (HOUR, Renewed(600)),
                (HOUR, Ask(None, Nothing)),
            ],
        );
        check("backoff", &[(2 * HOUR, Failed), (HOUR, Ask(None, Wait))]);
    }
}
