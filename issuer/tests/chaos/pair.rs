//! A primary with a standby.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::cluster::{Cluster, execute};
use crate::proxy::{Mode, Protocol, Proxy};

/// The name of the database.
const DATABASE: &str = "chaos";

/// Two servers. One follows the other.
pub(crate) struct Pair {
    servers: [Cluster; 2],
    /// The connections of a standby to each server.
    links: [Proxy; 2],
    primary: usize,
    is_synchronous: bool,
}

impl Pair {
    /// Starts two servers. If they are synchronous, an answered commit is on both.
    pub(crate) fn start(runtime: &Handle, is_synchronous: bool) -> Self {
        let primary = Cluster::start();
        primary.create(DATABASE);
        if is_synchronous {
            primary.require_a_standby();
        }
        let link = |port| Proxy::start(runtime, Protocol::Bytes, port);
        let to_primary = link(primary.port);
        let standby = primary.standby(to_primary.port);
        let links = [to_primary, link(standby.port)];
        let pair = Self { servers: [primary, standby], links, primary: 0, is_synchronous };
        pair.wait_for_the_standby();
        pair
    }

    /// Returns the ports of both servers.
    pub(crate) fn ports(&self) -> [u16; 2] {
        [self.servers[0].port, self.servers[1].port]
    }

    /// Returns the URL of a database that has the two servers at `ports`.
    pub(crate) fn url(ports: [u16; 2]) -> String {
        let [one, other] = ports;
        let password = crate::cluster::DATABASE_PASSWORD;
        format!("postgres://postgres:{password}@127.0.0.1:{one},127.0.0.1:{other}/{DATABASE}")
    }

    /// Returns the URL of the primary.
    pub(crate) fn primary_url(&self) -> String {
        self.servers[self.primary].url(DATABASE)
    }

    /// Kills the primary.
    pub(crate) fn crash(&mut self) {
        self.servers[self.primary].crash();
    }

    pub(crate) fn start_primary(&mut self) {
        self.servers[self.primary].start_again();
    }

    pub(crate) fn crash_standby(&mut self) {
        self.servers[1 - self.primary].crash();
    }

    pub(crate) fn start_standby(&mut self) {
        self.servers[1 - self.primary].start_again();
    }

    /// Makes the standby the primary, after a crash of the primary.
    pub(crate) fn promote(&mut self) {
        self.primary = 1 - self.primary;
        self.servers[self.primary].promote();
    }

    /// Makes the server that was the primary a standby.
    pub(crate) fn rebuild(&mut self) {
        let [first, second] = &mut self.servers;
        let port = self.links[self.primary].port;
        if self.primary == 0 { second.follow(first, port) } else { first.follow(second, port) }
    }

    /// Changes the connection of the standby.
    pub(crate) fn set_link(&self, mode: Mode) {
        self.links[self.primary].set(mode);
    }

    /// Returns the primary.
    pub(crate) fn primary(&mut self) -> &mut Cluster {
        &mut self.servers[self.primary]
    }

    /// Waits until the standby follows, and commits wait for it if they shall.
    pub(crate) fn wait_for_the_standby(&self) {
        let expected = if self.is_synchronous { "sync" } else { "async" };
        let states = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'";
        let started = Instant::now();
        while execute(&self.primary_url(), states) != [expected] {
            assert!(started.elapsed() < Duration::from_secs(30), "the standby does not follow");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
