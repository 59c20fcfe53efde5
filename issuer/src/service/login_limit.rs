//! Rate limit: the logins that each network may try, successful or not.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::network::network_of;

/// The length of the queue of refused logins, in windows of the limit.
const WINDOWS: u32 = 5;

/// Counts the recent logins of each network.
pub(crate) struct LoginLimit {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    /// The refused logins. Each has a turn of its own to come back.
    refused: Refused,
    /// The turns in `refused`.
    turns: NonZeroU32,
    /// The refused logins for which the queue was too short.
    late: AtomicU32,
    period: Duration,
    clock: DefaultClock,
}

type Refused =
    RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

impl LoginLimit {
    /// Each network may try `rate` logins at once, and after that as many in each `window`.
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
    pub(crate) fn check(&self, client: IpAddr) -> Result<(), Duration> {
        let network = network_of(client);
        let refused = self.limiter.check_key(&network);
        refused.map_err(|until| {
            until.wait_time_from(self.clock.now()) + self.period * self.turn(network)
        })
    }

    /// Returns the number of refused attempts that come back before this one.
    fn turn(&self, network: IpAddr) -> u32 {
        match self.refused.check_key(&network) {
            Ok(state) => (self.turns.get() - 1).saturating_sub(state.remaining_burst_capacity()),
            Err(_) => self.late.fetch_add(1, Ordering::Relaxed) % self.turns,
        }
    }

    /// Forgets the networks whose whole burst is available again.
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

    #[test]
    fn a_network_at_its_limit_does_not_affect_another() {
        let period = Duration::from_secs(600);
        let limit = LoginLimit::new(2, period * 2);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(limit.check(one).is_ok() && limit.check(one).is_ok());
        let wait = limit.check(one).unwrap_err();
        assert!(wait <= period && wait > Duration::from_secs(590), "{wait:?}");
        assert!(limit.check(other).is_ok());
        limit.prune();
        assert!(limit.check(one).is_err());
    }

    #[test]
    fn refused_logins_come_back_one_after_the_other() {
        let period = Duration::from_secs(600);
        let limit = LoginLimit::new(2, period * 2);
        let client = "192.0.2.1".parse().unwrap();
        let waits = || {
            let wait = || limit.check(client).err();
            (0..12).filter_map(|_| wait()).map(|wait| wait.as_secs() / 590).collect::<Vec<_>>()
        };
        // Two of the twelve logins pass.
        assert_eq!(waits(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        // The queue is full: further ones are spread over it.
        assert_eq!(waits(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2]);
    }
}
