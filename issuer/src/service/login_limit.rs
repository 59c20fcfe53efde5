//! Rate limit: the logins that each network may try, successful or not.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::Limits;
use crate::network::network_of;

/// Counts the recent logins of each network.
pub(crate) struct LoginLimit {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl LoginLimit {
    pub(crate) fn new(limits: &Limits) -> Self {
        let burst = NonZeroU32::new(limits.login_burst).unwrap_or(NonZeroU32::MIN);
        let period = limits.login_period.max(Duration::from_millis(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let limiter = RateLimiter::hashmap(quota.allow_burst(burst));
        Self { limiter, clock: DefaultClock::default() }
    }

    /// Counts one attempt. If there were too many, refuses it with the time to wait.
    pub(crate) fn check(&self, client: IpAddr) -> Result<(), Duration> {
        let refused = self.limiter.check_key(&network_of(client));
        refused.map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Forgets the networks whose whole burst is available again.
    pub(crate) fn prune(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_at_its_limit_does_not_affect_another() {
        let period = Duration::from_secs(600);
        let limit =
            LoginLimit::new(&Limits { login_burst: 2, login_period: period, ..Limits::default() });
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(limit.check(one).is_ok() && limit.check(one).is_ok());
        let wait = limit.check(one).unwrap_err();
        assert!(wait <= period && wait > Duration::from_secs(590), "{wait:?}");
        assert!(limit.check(other).is_ok());
        limit.prune();
        assert!(limit.check(one).is_err());
    }
}
