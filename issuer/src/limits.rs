//! Bounds on the work that clients can cause.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The limits of one issuer. [`Limits::default`] has the documented values; tests set shorter
/// times.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Exempts clients on this machine from the setting `connections_per_network`, and lets them connect
    /// without the proxy. Tests set `false`, because all their clients are on this machine.
    pub loopback_is_exempt: bool,
    /// Time for the TLS handshake and the first header together. While more than half of
    /// the setting `connections` are open it is shorter, down to a quarter. Each later header has the whole time,
    /// counted from its first byte.
    pub header_timeout: Duration,
    /// Time for a request's body. The response has the same time after that.
    pub request_timeout: Duration,
    /// Time in which in-flight requests may finish after the stop signal.
    pub drain_timeout: Duration,
    /// Bytes of all requests in flight, with their headers and bodies. A further one replaces the
    /// one that has waited longest for its body; that is refused. If all bodies have arrived, the
    /// further one is refused.
    pub request_bytes: usize,
    /// Password hashes that run at the same time; each takes a core. `hash_memory` may have room for
    /// fewer.
    pub hashes: usize,
    /// Logins that may wait for a hash. A quarter is for known devices.
    pub hash_queue: usize,
    /// Time in which one network (IPv4 address, IPv6 /64) may try `login_rate` logins.
    pub login_window: Duration,
    /// Requests to the Admin API that one client may make at once, and after that in each
    /// `admin_window`.
    pub admin_requests: u32,
    /// See `admin_requests`.
    pub admin_window: Duration,
    /// Changes of second factors that one user may ask for at once, and after that in each
    /// `change_window`.
    pub factor_changes: u32,
    /// See `factor_changes`.
    pub change_window: Duration,
    /// Least time between two measurements of the database, its disks and its backups.
    pub measure_interval: Duration,
    /// Bits in one status list, one for each session. Every list has this length, so that the length
    /// does not reveal the number of sessions.
    pub status_list_size: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            loopback_is_exempt: true,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            request_bytes: 8 << 20,
            hashes: std::thread::available_parallelism().map_or(1, usize::from),
            hash_queue: 64,
            login_window: Duration::from_secs(60),
            admin_requests: 600,
            admin_window: Duration::from_secs(60),
            factor_changes: 30,
            change_window: Duration::from_secs(60),
            measure_interval: Duration::from_secs(60),
            status_list_size: 1 << 17,
        }
    }
}

/// The time between two warnings of one kind that clients can cause.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Limits warnings of one kind to one a minute.
#[derive(Default)]
pub(crate) struct WarnLimit(Mutex<Option<Instant>>);

impl WarnLimit {
    /// Returns true if a warning may be logged now, and counts it.
    pub(crate) fn allows(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}
