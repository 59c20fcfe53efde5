//! The lifetime of a fetched document. Times are durations since the UNIX epoch.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// The times of a fetched document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// The time of the request.
    at: Duration,
    ttl: Duration,
    /// The time from the request to the renewal.
    renewal: Duration,
}

impl Lifetime {
    /// The renewal is due after 80 to 90 % of the lifetime: verifiers that fetched together renew apart.
    /// `jitter` is from 0 to 1.
    pub(crate) fn new(at: Duration, ttl: Duration, jitter: f64) -> Self {
        Self { at, ttl, renewal: ttl.mul_f64(0.8 + jitter / 10.0) }
    }

    /// Returns the lifetime, or `None` once the document must not be used, even if its endpoint
    /// fails.
    pub(crate) fn usable(mut self, now: Duration, stale_if_error: Duration) -> Option<Self> {
        // The age is unknown if the clock was set back. The lifetime then ends now.
        if now < self.at {
            self.at = now.saturating_sub(self.ttl);
        }
        let end = self.at.saturating_add(self.ttl).saturating_add(stale_if_error);
        (now < end).then_some(self)
    }

    /// Returns true once the document should be renewed.
    pub(crate) fn is_due(self, now: Duration) -> bool {
        now >= self.at.saturating_add(self.renewal)
    }

    pub(crate) fn is_fresh(self, now: Duration) -> bool {
        now < self.at.saturating_add(self.ttl)
    }
}

/// Returns a random number from 0 to 1.
pub(crate) fn jitter() -> f64 {
    // The standard library seeds each state at random.
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns true if `now` is in the span from `start`. A clock that was set back ends every span.
pub(crate) fn is_within(start: Duration, span: Duration, now: Duration) -> bool {
    now >= start && now < start.saturating_add(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_renewal_is_due_after_80_to_90_percent_of_the_lifetime() {
        let second = Duration::from_secs;
        for (jitter, due) in [(0.0, 480), (0.5, 510), (1.0, 540)] {
            let lifetime = Lifetime::new(second(1000), second(600), jitter);
            assert!(!lifetime.is_due(second(1000 + due - 1)), "{jitter}");
            assert!(lifetime.is_due(second(1000 + due + 1)), "{jitter}");
        }
        let jitters = [jitter(), jitter(), jitter()];
        assert!(jitters.iter().all(|jitter| (0.0..1.0).contains(jitter)), "{jitters:?}");
        assert!(jitters[0] != jitters[1] || jitters[1] != jitters[2], "{jitters:?}");
    }
}
