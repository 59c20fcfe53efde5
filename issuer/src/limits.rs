use std::time::Duration;

use crate::status;

/// How much the server takes from its clients. [`Limits::default`] has the documented values;
/// tests set shorter times.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections that are open at a time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Those of one network (IPv4 address, IPv6 /64); further ones are closed. Trusted proxies have
    /// as many as they need.
    pub connections_per_network: usize,
    /// Whether what is for clients on a network is not for those on this machine: the limit on
    /// connections, and having to come through the proxy. Tests, which are all on this machine,
    /// say no.
    pub loopback_is_exempt: bool,
    /// Time for the TLS handshake and the first header together, and then for each next header,
    /// counted from the answer before it.
    pub header_timeout: Duration,
    /// Time for a request's body, and then for its answer.
    pub request_timeout: Duration,
    /// How long a connection may stay open without a request; over HTTP/1.1 `header_timeout` counts
    /// as well.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to end after the stop signal.
    pub drain_timeout: Duration,
    /// Bytes in a request's body.
    pub body_bytes: usize,
    /// Password hashes that run at a time, where `hash_memory` has room for so many: each takes a
    /// core.
    pub hashes: usize,
    /// Logins that may wait for a hash.
    pub hash_queue: usize,
    /// Logins that one network (IPv4 address, IPv6 /64) may try at once...
    pub login_burst: u32,
    /// ...and how long it takes until one more is allowed.
    pub login_period: Duration,
    /// Sessions that have their bits in one status list.
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
            status_list_size: status::SIZE,
        }
    }
}
