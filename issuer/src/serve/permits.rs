//! Places for connections: so many in all, and so many of them for one network, so that nobody can
//! take all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::network::{is_trusted, network_of};
use crate::{Config, Limits};

/// How often it is said that connections are closed because of the limit.
const WARN_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Places {
    all: Arc<Semaphore>,
    each: usize,
    exempt: Exempt,
    open: Arc<Open>,
    warned: Mutex<Option<Instant>>,
}

/// The open connections of each network that has any.
type Open = Mutex<HashMap<IpAddr, usize>>;

impl Places {
    pub(crate) fn new(limits: &Limits, config: &Config) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections.max(1))),
            each: limits.connections_per_network.max(1),
            exempt: Exempt::new(limits, config),
            open: Arc::default(),
            warned: Mutex::default(),
        }
    }

    /// Waits until there is a place for one more connection.
    pub(crate) async fn free(&self) -> Result<Free, AcquireError> {
        Arc::clone(&self.all).acquire_owned().await.map(Free)
    }

    /// The place of a connection from `peer`; `None` if its network has as many as it may have.
    pub(crate) fn take(&self, Free(permit): Free, peer: IpAddr) -> Option<Place> {
        let mut counted = None;
        if !self.exempt.has(peer) {
            let network = network_of(peer);
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(network).or_default();
            if *count >= self.each {
                drop(open);
                self.warn();
                return None;
            }
            *count += 1;
            counted = Some(Counted { open: Arc::clone(&self.open), network });
        }
        Some(Place { _permit: permit, _counted: counted })
    }

    fn warn(&self) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            let each = self.each;
            tracing::warn!("a network has {each} connections open; further ones are closed");
        }
    }
}

/// A place that nobody has yet.
pub(crate) struct Free(OwnedSemaphorePermit);

/// The place of one connection, until it is dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

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

/// Whose connections are not those of one client: a proxy has those of many, and so has this
/// machine, where one may run.
struct Exempt {
    proxies: Vec<IpNet>,
    loopback: bool,
    /// There is a proxy, and nobody says where.
    all: bool,
}

impl Exempt {
    fn new(limits: &Limits, config: &Config) -> Self {
        let proxies = config.trusted_proxies.clone();
        let all = config.behind_proxy && proxies.is_empty();
        Self { proxies, loopback: limits.loopback_is_exempt, all }
    }

    fn has(&self, peer: IpAddr) -> bool {
        let loopback = self.loopback && peer.to_canonical().is_loopback();
        self.all || loopback || is_trusted(peer, &self.proxies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_network_has_its_places_and_proxies_and_this_machine_have_all() {
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
            let places = Places::new(&limits, config);
            let mut taken = Vec::new();
            for peer in peers {
                let free = places.free().await.unwrap();
                taken.push(places.take(free, peer.parse().unwrap()));
            }
            assert!(taken[0].is_some() && taken[1].is_some());
            assert_eq!(taken[2].is_some(), third, "{peers:?}");
            let open = if third { 3 } else { 2 };
            assert_eq!(places.all.available_permits(), 8 - open, "{peers:?}");
            drop(taken);
            assert_eq!(places.all.available_permits(), 8);
            assert!(places.open.lock().unwrap().is_empty(), "{peers:?}");
            let free = places.free().await.unwrap();
            assert!(places.take(free, peers[0].parse().unwrap()).is_some());
        }
    }
}
