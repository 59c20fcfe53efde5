//! The limits of a client of a JWKS endpoint.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The timeout of a fetch, body included.
    pub(crate) timeout: Duration,
    /// Bounds of the lifetime of a document.
    pub(crate) min_ttl: Duration,
    pub(crate) max_ttl: Duration,
    /// The time after its lifetime for which a document stays in use if the endpoint fails.
    pub(crate) stale_if_error: Duration,
    /// The least time between fetches for tokens with an unknown `kid`.
    pub(crate) cooldown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            min_ttl: Duration::from_secs(30),
            max_ttl: DAY,
            stale_if_error: DAY,
            cooldown: Duration::from_secs(10),
        }
    }
}

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
