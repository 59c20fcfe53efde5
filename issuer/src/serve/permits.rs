//! Permits for connections: a limit for all together, and a smaller one for each network. No single
//! network can take every connection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::network::{is_trusted, network_of};
use crate::{Config, Limits};

/// The time between two warnings about a network at its limit.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The permits of one listener.
pub(super) struct Permits {
    all: Arc<Semaphore>,
    per_network: usize,
    exempt: Exempt,
    open: Arc<Open>,
    warned_at: Mutex<Option<Instant>>,
}

/// The number of open connections for each network that has any.
type Open = Mutex<HashMap<IpAddr, usize>>;

impl Permits {
    pub(super) fn new(limits: &Limits, config: &Config) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections.max(1))),
            per_network: limits.connections_per_network.max(1),
            exempt: Exempt::new(limits, config),
            open: Arc::default(),
            warned_at: Mutex::default(),
        }
    }

    /// Waits until one more connection may be open.
    pub(super) async fn acquire(&self) -> Result<Free, AcquireError> {
        Arc::clone(&self.all).acquire_owned().await.map(Free)
    }

    /// Assigns the permit to a connection from `peer`. Returns `None` if the network of `peer` is
    /// at its limit.
    pub(super) fn assign(&self, Free(permit): Free, peer: IpAddr) -> Option<Permit> {
        let mut counted = None;
        if !self.exempt.contains(peer) {
            let network = network_of(peer);
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(network).or_default();
            if *count >= self.per_network {
                drop(open);
                self.warn();
                return None;
            }
            *count += 1;
            counted = Some(Counted { open: Arc::clone(&self.open), network });
        }
        Some(Permit { _permit: permit, _counted: counted })
    }

    fn warn(&self) {
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned_at = Some(Instant::now());
            let limit = self.per_network;
            tracing::warn!(
                "a network has {limit} open connections, the limit for one network; its further \
                 connections are closed"
            );
        }
    }
}

/// A permit that is not assigned to a connection yet.
pub(super) struct Free(OwnedSemaphorePermit);

/// The permit of one connection.
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

/// One connection in the count of its network.
struct Counted {
    open: Arc<Open>,
    network: IpAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// The peers without a limit of their own: a trusted proxy has the connections of many clients, and
/// such a proxy may run on this machine.
struct Exempt {
    proxies: Vec<IpNet>,
    loopback: bool,
    /// There is a proxy at an unknown address.
    all: bool,
}

impl Exempt {
    fn new(limits: &Limits, config: &Config) -> Self {
        let proxies = config.trusted_proxies.clone();
        let all = config.behind_proxy && proxies.is_empty();
        Self { proxies, loopback: limits.loopback_is_exempt, all }
    }

    fn contains(&self, peer: IpAddr) -> bool {
        let loopback = self.loopback && peer.to_canonical().is_loopback();
        self.all || loopback || is_trusted(peer, &self.proxies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_network_has_a_limit_and_proxies_and_loopback_have_none() {
        let limits = Limits { connections: 8, connections_per_network: 2, ..Limits::default() };
        let proxy = Config {
            behind_proxy: true,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..Config::default()
        };
        let unknown = Config { behind_proxy: true, ..Config::default() };
        let direct = Config::default();
        let cases = [
            (&direct, ["192.0.2.1"; 3], false),
            (&direct, ["192.0.2.1", "192.0.2.2", "192.0.2.1"], true),
            (&direct, ["2001:db8::1", "2001:db8::2", "2001:db8::3"], false),
            (&direct, ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::"], true),
            (&direct, ["127.0.0.1"; 3], true),
            (&direct, ["::ffff:127.0.0.1"; 3], true),
            (&direct, ["10.0.0.1"; 3], false),
            (&proxy, ["10.0.0.1"; 3], true),
            (&proxy, ["::ffff:10.0.0.1"; 3], true),
            (&proxy, ["192.0.2.1"; 3], false),
            (&unknown, ["192.0.2.1"; 3], true),
        ];
        for (config, peers, third) in cases {
            let permits = Permits::new(&limits, config);
            let mut taken = Vec::new();
            for peer in peers {
                let free = permits.acquire().await.unwrap();
                taken.push(permits.assign(free, peer.parse().unwrap()));
            }
            assert!(taken[0].is_some() && taken[1].is_some());
            assert_eq!(taken[2].is_some(), third, "{peers:?}");
            let open = if third { 3 } else { 2 };
            assert_eq!(permits.all.available_permits(), 8 - open, "{peers:?}");
            drop(taken);
            assert_eq!(permits.all.available_permits(), 8);
            assert!(permits.open.lock().unwrap().is_empty(), "{peers:?}");
            let free = permits.acquire().await.unwrap();
            assert!(permits.assign(free, peers[0].parse().unwrap()).is_some());
        }
    }
}
