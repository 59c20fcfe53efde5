//! Bounds on the work that clients can cause.

use std::time::Duration;

/// The limits of one issuer. [`Limits::default`] has the documented values; tests set shorter
/// times.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Open connections. Further ones wait in the kernel's queue.
    pub connections: usize,
    /// Open connections of one network (IPv4 address, IPv6 /64). Further ones are closed. Trusted
    /// proxies have no such limit.
    pub connections_per_network: usize,
    /// Exempts clients on this machine from `connections_per_network`, and lets them connect
    /// without the proxy. Tests set `false`, because all their clients are on this machine.
    pub loopback_is_exempt: bool,
    /// Time for the TLS handshake and the first header together. Each later header has the same
    /// time, counted from the previous response.
    pub header_timeout: Duration,
    /// Time for a request's body. The response has the same time after that.
    pub request_timeout: Duration,
    /// Time that a connection may stay open without a request. Over HTTP/1.1 `header_timeout`
    /// applies as well.
    pub idle_timeout: Duration,
    /// Time in which in-flight requests may finish after the stop signal.
    pub drain_timeout: Duration,
    /// Bytes in a request's body.
    pub body_bytes: usize,
    /// Password hashes that run at the same time; each takes a core. `hash_memory` may have room for
    /// fewer.
    pub hashes: usize,
    /// Logins that may wait for a hash. A quarter is for known devices.
    pub hash_queue: usize,
    /// Logins that one network (IPv4 address, IPv6 /64) may try at once.
    pub login_burst: u32,
    /// Time after which that network may try one more login.
    pub login_period: Duration,
    /// Bits in one status list, one for each session. Every list has this length, so that the length
    /// does not reveal the number of sessions.
    pub status_list_size: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            connections_per_network: 128,
            loopback_is_exempt: true,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            body_bytes: 64 * 1024,
            hashes: std::thread::available_parallelism().map_or(1, usize::from),
            hash_queue: 64,
            login_burst: 60,
            login_period: Duration::from_secs(1),
            status_list_size: 1 << 17,
        }
    }
}
