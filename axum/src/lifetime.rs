//! The lifetime of a fetched document. Times are durations since the UNIX epoch.

use std::time::Duration;

/// The times of a fetched document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// The time of the request.
    pub(crate) at: Duration,
    pub(crate) ttl: Duration,
}

impl Lifetime {
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

    /// Returns true after 80 % of the lifetime.
    pub(crate) fn is_due(self, now: Duration) -> bool {
        now >= self.at.saturating_add(self.ttl * 4 / 5)
    }

    pub(crate) fn is_fresh(self, now: Duration) -> bool {
        now < self.at.saturating_add(self.ttl)
    }
}

/// Returns true if `now` is in the span from `start`. A clock that was set back ends every span.
pub(crate) fn is_within(start: Duration, span: Duration, now: Duration) -> bool {
    now >= start && now < start.saturating_add(span)
}
