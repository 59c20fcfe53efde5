//! Rate limits: the logins that each network may try, and the requests that each client may make.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// The length of the queue of refused attempts, in windows of the limit.
const WINDOWS: u32 = 5;

/// Counts the recent attempts of each `K`.
pub(crate) struct RateLimit<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    /// The refused attempts. Each has a turn of its own to come back.
    refused: Refused<K>,
    /// The turns in `refused`.
    turns: NonZeroU32,
    /// The refused attempts for which the queue was too short.
    late: AtomicU32,
    period: Duration,
    clock: DefaultClock,
}

type Refused<K> =
    RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

impl<K: Clone + Eq + Hash> RateLimit<K> {
    /// Each `K` may make `rate` attempts at once, and after that as many in each `window`.
    pub(crate) fn new(rate: u32, window: Duration) -> Self {
        let burst = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let turns = burst.saturating_mul(NonZeroU32::new(WINDOWS).unwrap_or(NonZeroU32::MIN));
        let period = (window / burst.get()).max(Duration::from_micros(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::hashmap(quota.allow_burst(burst)),
            refused: RateLimiter::hashmap(quota.allow_burst(turns)).with_middleware(),
            turns,
            late: AtomicU32::new(0),
            period,
            clock: DefaultClock::default(),
        }
    }

    /// Counts one attempt. If there were too many, refuses it with the time to wait. The times of
    /// refused attempts differ, so that they do not all come back together.
    pub(crate) fn check(&self, key: &K) -> Result<(), Duration> {
        let refused = self.limiter.check_key(key);
        refused
            .map_err(|until| until.wait_time_from(self.clock.now()) + self.period * self.turn(key))
    }

    /// Returns the number of refused attempts that come back before this one.
    fn turn(&self, key: &K) -> u32 {
        match self.refused.check_key(key) {
            Ok(state) => (self.turns.get() - 1).saturating_sub(state.remaining_burst_capacity()),
            Err(_) => self.late.fetch_add(1, Ordering::Relaxed) % self.turns,
        }
    }

    /// Forgets the keys whose whole burst is available again.
    pub(crate) fn prune(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.refused.retain_recent();
        self.refused.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "192.0.2.1";

    #[test]
    fn a_network_at_its_limit_does_not_affect_another() {
        let period = Duration::from_secs(600);
        let limit = RateLimit::new(2, period * 2);
        assert!(limit.check(&ONE).is_ok() && limit.check(&ONE).is_ok());
        let wait = limit.check(&ONE).unwrap_err();
        assert!(wait <= period && wait > Duration::from_secs(590), "{wait:?}");
        assert!(limit.check(&"192.0.2.2").is_ok());
        limit.prune();
        assert!(limit.check(&ONE).is_err());
    }

    #[test]
    fn refused_logins_come_back_one_after_the_other() {
        let period = Duration::from_secs(600);
        let limit = RateLimit::new(2, period * 2);
        let waits = || {
            let wait = || limit.check(&ONE).err();
            (0..12).filter_map(|_| wait()).map(|wait| wait.as_secs() / 590).collect::<Vec<_>>()
        };
        // Two of the twelve logins pass.
        assert_eq!(waits(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        // The queue is full: further ones are spread over it.
        assert_eq!(waits(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2]);
    }
}
