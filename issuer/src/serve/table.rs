//! The table of open connections: a limit for all together, and smaller ones for networks.
//!
//! A new connection always gets in, unless each one at the limit has a request that is being
//! answered. It replaces the connection that has waited longest for its client: one that has sent no
//! request if those have a quarter of the limit, otherwise one between two requests, then one whose
//! request has no whole body yet, and then one that has sent no request. So silent connections take no
//! more than a quarter of a full table from others, and newcomers have time for their first request.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{Notify, oneshot};

use crate::limits::WarnLimit;
use crate::network::{is_trusted, network_with};
use crate::{Config, Limits};

/// The networks with a limit: their prefix length, and the multiple of
/// [`Config::connections_per_network`] that they may have. An IPv6 subscriber has a /64 to a /56, and
/// a site a /48.
const IPV4: [(u8, usize); 2] = [(32, 1), (24, 4)];
const IPV6: [(u8, usize); 3] = [(64, 1), (56, 2), (48, 4)];

/// The open connections of one listener.
pub(super) struct Table {
    connections: usize,
    connections_per_network: usize,
    header_timeout: Duration,
    exempt: Exempt,
    open: Mutex<Open>,
    /// Notified when a full table may have room again.
    changed: Notify,
    warnings: WarnLimit,
}

impl Table {
    pub(super) fn new(limits: &Limits, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            connections: config.connections as usize,
            connections_per_network: config.connections_per_network as usize,
            header_timeout: limits.header_timeout,
            exempt: Exempt::new(limits, config),
            open: Mutex::default(),
            changed: Notify::new(),
            warnings: WarnLimit::default(),
        })
    }

    /// Waits while every connection of a full table has a request that is being answered.
    pub(super) async fn room(&self) {
        while self.is_busy() {
            self.changed.notified().await;
        }
    }

    fn is_busy(&self) -> bool {
        let open = self.lock();
        let limit = self.limit(Group::All, 1);
        open.count(Group::All) >= limit && open.next_closed(Group::All, limit).is_none()
    }

    /// Takes a connection into the table. At a limit, it replaces another one of the same network.
    /// Returns `None` if each of those is busy.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let mut open = self.lock();
        let mut groups = Vec::with_capacity(4);
        for (group, multiple) in self.groups(peer) {
            let limit = self.limit(group, multiple);
            // The place that is free in a narrow network is also free in those around it.
            if open.count(group) >= limit {
                self.warn(group, limit);
                if !open.evict(group, limit) {
                    return None;
                }
            }
            groups.push(group);
        }
        let header_timeout = self.header_timeout(open.count(Group::All));
        let (id, evicted) = open.add(groups);
        drop(open);
        Some(Admitted { slot: Slot { table: Arc::clone(self), id }, evicted, header_timeout })
    }

    /// Closes a connection that waits for its client, so that its file descriptor becomes free.
    pub(super) fn evict(&self) {
        self.lock().evict(Group::All, self.limit(Group::All, 1));
    }

    /// Returns the groups of a connection, from the narrowest network to all connections. Their
    /// limits are multiples.
    fn groups(&self, peer: IpAddr) -> impl Iterator<Item = (Group, usize)> {
        let peer = peer.to_canonical();
        let networks: &[_] = if peer.is_ipv4() { &IPV4 } else { &IPV6 };
        let networks = if self.exempt.contains(peer) { &[] } else { networks };
        let networks = networks
            .iter()
            .map(move |&(length, multiple)| (Group::Network(network_with(peer, length)), multiple));
        networks.chain([(Group::All, 1)])
    }

    fn limit(&self, group: Group, multiple: usize) -> usize {
        let limit = match group {
            Group::All => self.connections,
            Group::Network(_) => self.connections_per_network.saturating_mul(multiple),
        };
        limit.max(1)
    }

    /// Returns the time for the first header. It shrinks from the half of the table on, to a quarter.
    fn header_timeout(&self, open: usize) -> Duration {
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX).max(1);
        let free = all.saturating_sub(u32::try_from(open).unwrap_or(u32::MAX));
        let quarter = self.header_timeout / 4;
        quarter + quarter * 3 / all * free.saturating_mul(2).min(all)
    }

    fn warn(&self, group: Group, limit: usize) {
        if self.warnings.allows() {
            let (owner, kind) = match group {
                Group::All => ("the listener", ""),
                Group::Network(_) => ("a network", " for one network"),
            };
            tracing::warn!(
                "{owner} has {limit} open connections, the limit{kind}; each further one replaces \
                 the one that has waited longest for its client, or is closed"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that the table has taken.
pub(super) struct Admitted {
    pub(super) slot: Slot,
    /// Completes when another connection has taken the slot: this one has to close.
    pub(super) evicted: oneshot::Receiver<()>,
    /// The time for the first header.
    pub(super) header_timeout: Duration,
}

/// The entry of one connection. Dropping it makes room.
pub(super) struct Slot {
    table: Arc<Table>,
    id: u64,
}

impl Slot {
    /// Counts a request. `has_body` means that its body has yet to be read.
    pub(super) fn begin(&self, has_body: bool) {
        self.update(|connection| {
            connection.has_sent = true;
            connection.requests += 1;
            connection.bodies += usize::from(has_body);
        });
    }

    /// The body of one request is read.
    pub(super) fn end_body(&self) {
        self.update(|connection| connection.bodies -= 1);
    }

    /// One request is answered.
    pub(super) fn end(&self) {
        self.update(|connection| connection.requests -= 1);
    }

    /// Returns true if no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.table.lock().connections.get(&self.id).is_none_or(|one| one.requests == 0)
    }

    fn update(&self, change: impl FnOnce(&mut Connection)) {
        self.table.lock().update(self.id, change);
        self.table.changed.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.table.lock().remove(self.id);
        self.table.changed.notify_one();
    }
}

/// The open connections, and those of each group that can be closed.
#[derive(Default)]
struct Open {
    connections: HashMap<u64, Connection>,
    groups: HashMap<Group, Members>,
    /// The number of events so far. It is the id of a connection, and the beginning of a wait.
    events: u64,
}

/// Connections with a common limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    All,
    Network(IpNet),
}

#[derive(Default)]
struct Members {
    count: usize,
    /// Those that wait for their first request, in the order in which they are closed.
    new: BTreeSet<Waiting>,
    /// The others that wait for their client, in that order.
    known: BTreeSet<Waiting>,
}

impl Members {
    /// Returns the set that a waiting connection belongs to.
    fn set_of(&mut self, waiting: Waiting) -> &mut BTreeSet<Waiting> {
        if waiting.reason == For::FirstRequest { &mut self.new } else { &mut self.known }
    }

    /// Returns the one to close for another one. New ones come first if they have a quarter of the
    /// limit, and else last: each would be closed for the next one, before its first request.
    fn next_closed(&self, limit: usize) -> Option<Waiting> {
        let known = self.known.first().filter(|_| self.new.len() < limit.div_ceil(4));
        known.or_else(|| self.new.first()).copied()
    }
}

struct Connection {
    groups: Vec<Group>,
    /// It has sent at least one request.
    has_sent: bool,
    /// Its requests in flight.
    requests: usize,
    /// Those of them whose body is not read yet.
    bodies: usize,
    waiting: Option<Waiting>,
    /// Dropped with the connection's entry, which tells the connection.
    _evicted: oneshot::Sender<()>,
}

impl Connection {
    fn waits_for(&self) -> Option<For> {
        match (self.requests, self.has_sent) {
            (0, false) => Some(For::FirstRequest),
            (0, true) => Some(For::NextRequest),
            (requests, _) => (requests == self.bodies).then_some(For::Body),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    reason: For,
    since: u64,
    id: u64,
}

/// The reason for which a connection waits for its client. Of [`Members::known`], those that wait for
/// the next request are closed first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    /// Also during the TLS handshake, and in the middle of the header.
    FirstRequest,
    NextRequest,
    Body,
}

impl Open {
    fn count(&self, group: Group) -> usize {
        self.groups.get(&group).map_or(0, |members| members.count)
    }

    fn next_closed(&self, group: Group, limit: usize) -> Option<Waiting> {
        self.groups.get(&group)?.next_closed(limit)
    }

    fn add(&mut self, groups: Vec<Group>) -> (u64, oneshot::Receiver<()>) {
        self.events += 1;
        let id = self.events;
        for group in &groups {
            self.groups.entry(*group).or_default().count += 1;
        }
        let (sender, evicted) = oneshot::channel();
        let connection = Connection {
            groups,
            has_sent: false,
            requests: 0,
            bodies: 0,
            waiting: None,
            _evicted: sender,
        };
        self.connections.insert(id, connection);
        self.update(id, |_| {});
        (id, evicted)
    }

    /// Changes a connection, unless it was evicted, and its place among those that wait.
    fn update(&mut self, id: u64, change: impl FnOnce(&mut Connection)) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        change(connection);
        let reason = connection.waits_for();
        if reason == connection.waiting.map(|waiting| waiting.reason) {
            return;
        }
        self.events += 1;
        let waiting = reason.map(|reason| Waiting { reason, since: self.events, id });
        let before = std::mem::replace(&mut connection.waiting, waiting);
        for group in &connection.groups {
            let Some(members) = self.groups.get_mut(group) else { continue };
            if let Some(before) = before {
                members.set_of(before).remove(&before);
            }
            if let Some(waiting) = waiting {
                members.set_of(waiting).insert(waiting);
            }
        }
    }

    /// Closes a connection of the group that waits for its client. Returns false if there is none.
    fn evict(&mut self, group: Group, limit: usize) -> bool {
        let closed = self.next_closed(group, limit);
        if let Some(closed) = closed {
            self.remove(closed.id);
        }
        closed.is_some()
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        for group in connection.groups {
            let Some(members) = self.groups.get_mut(&group) else { continue };
            members.count -= 1;
            if let Some(waiting) = connection.waiting {
                members.set_of(waiting).remove(&waiting);
            }
            if members.count == 0 {
                self.groups.remove(&group);
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

    fn table(connections: u32, config: &Config) -> Arc<Table> {
        let config = Config { connections, connections_per_network: 2, ..config.clone() };
        Table::new(&Limits::default(), &config)
    }

    fn admit(table: &Arc<Table>, peer: &str) -> Option<Admitted> {
        table.admit(peer.parse().unwrap())
    }

    fn is_evicted(admitted: &mut Admitted) -> bool {
        // The signal is the dropped sender.
        admitted.evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn networks_have_a_limit_and_proxies_and_loopback_have_none() {
        let proxy = Config {
            behind_proxy: true,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..Config::default()
        };
        let unknown = Config { behind_proxy: true, ..Config::default() };
        let direct = Config::default();
        // N is another number for each connection.
        let cases = [
            (&direct, "192.0.2.1", 2),
            (&direct, "::ffff:192.0.2.1", 2),
            (&direct, "192.0.2.N", 8),
            (&direct, "192.0.N.1", 10),
            (&direct, "2001:db8::N", 2),
            (&direct, "2001:db8:0:N::1", 4),
            (&direct, "2001:db8:0:N00::1", 8),
            (&direct, "2001:db8:N::1", 10),
            (&direct, "127.0.0.1", 10),
            (&proxy, "::ffff:10.0.0.1", 10),
            (&proxy, "192.0.2.1", 2),
            (&proxy, "127.0.0.1", 10),
            (&unknown, "192.0.2.1", 10),
        ];
        for (config, peer, expected) in cases {
            let table = table(10, config);
            let mut open = Vec::new();
            for number in 1..=20 {
                let admitted = admit(&table, &peer.replace('N', &number.to_string()));
                if let Some(admitted) = &admitted {
                    admitted.slot.begin(false);
                }
                open.extend(admitted);
            }
            assert_eq!(open.len(), expected, "{peer}");
            drop(open);
            assert!(admit(&table, &peer.replace('N', "1")).is_some(), "{peer}");
            assert!(table.lock().groups.is_empty() && table.lock().connections.is_empty());
        }
    }

    /// Brings a new connection into a state: waiting for its first request (F), the next one (N) or a
    /// body (B), or being answered (A).
    fn bring(admitted: &Admitted, state: char) {
        match state {
            'F' => {}
            'N' => {
                admitted.slot.begin(false);
                admitted.slot.end();
            }
            'B' => admitted.slot.begin(true),
            'A' => {
                // An earlier request is answered, and a later one has its body.
                admitted.slot.begin(false);
                admitted.slot.begin(true);
                admitted.slot.end_body();
                admitted.slot.end();
            }
            other => panic!("{other} is no state"),
        }
    }

    #[test]
    fn the_connection_that_has_waited_longest_is_evicted_and_a_busy_one_is_not() {
        // The states of the connections at the limit, which they reach from the last to the first, and
        // of those that come then; the numbers of those that are evicted.
        let cases: [(&str, &str, &[usize]); 10] = [
            // New ones replace each other only if they have a quarter.
            ("FFFFFFFF", "FFFFFFFFFF", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            ("NNNNNNNN", "FFFFF", &[7, 6, 8, 9, 10]),
            ("BBBBBBBB", "FFFFF", &[7, 6, 8, 9, 10]),
            ("AAAAAAAA", "FFFFF", &[]),
            ("AAAAAAAF", "FFFFF", &[7, 8, 9, 10, 11]),
            // Those whose first request arrives have left the quarter.
            ("NNNNNNNN", "NNNNNNNNNN", &[7, 6, 5, 4, 3, 2, 1, 0, 8, 9]),
            ("NNNNNNNN", "AAAAAAAAAA", &[7, 6, 5, 4, 3, 2, 1, 0]),
            ("FNNNNNNN", "AAAAAAAAAA", &[7, 6, 5, 4, 3, 2, 1, 0]),
            ("FFFNBBNA", "AAAAAAAAAA", &[0, 1, 6, 3, 5, 4, 2]),
            ("BNAFBNAF", "AAAAAAAAAA", &[3, 5, 1, 4, 0, 7]),
        ];
        let networks = (table(8, &Config::default()), "192.0.N.1");
        let config = Config { connections: 100, connections_per_network: 8, ..Config::default() };
        let one_network = (Table::new(&Limits::default(), &config), "192.0.2.1");
        for (table, peer) in [networks, one_network] {
            let admit = |number: usize| admit(&table, &peer.replace('N', &number.to_string()));
            for (states, newer, expected) in cases {
                let mut open: Vec<_> = (0..8).map(|number| admit(number).unwrap()).collect();
                for (number, state) in states.char_indices().rev() {
                    bring(&open[number], state);
                }
                let mut evicted = Vec::new();
                for state in newer.chars() {
                    let Some(admitted) = admit(open.len()) else { break };
                    bring(&admitted, state);
                    open.push(admitted);
                    let is_new = |n: &usize| !evicted.contains(n);
                    let now = (0..open.len()).filter(is_new).find(|n| is_evicted(&mut open[*n]));
                    evicted.extend(now);
                }
                assert_eq!(evicted, expected, "{states}, then {newer}, in {peer}");
            }
        }
    }

    #[test]
    fn an_evicted_connection_changes_nothing_afterwards() {
        let table = table(8, &Config::default());
        let mut first = admit(&table, "192.0.2.1").unwrap();
        let _others: Vec<_> = (0..2).map(|_| admit(&table, "192.0.2.1").unwrap()).collect();
        assert!(is_evicted(&mut first));
        first.slot.begin(true);
        assert!(first.slot.is_idle());
        first.slot.end_body();
        first.slot.end();
        drop(first);
        assert_eq!(table.lock().count(Group::All), 2);
    }

    #[tokio::test]
    async fn there_is_room_as_soon_as_a_busy_connection_waits_for_its_client() {
        let table = table(8, &Config::default());
        let open: Vec<_> =
            (0..8).map(|number| admit(&table, &format!("192.0.{number}.1")).unwrap()).collect();
        table.room().await;
        for one in &open {
            one.slot.begin(false);
        }
        assert!(admit(&table, "198.51.100.1").is_none());
        let (room, ()) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(60), table.room()), async {
                tokio::task::yield_now().await;
                open[3].slot.end();
            });
        room.expect("there is room");
        assert!(admit(&table, "198.51.100.1").is_some());
    }

    #[test]
    fn the_time_for_the_first_header_shrinks_while_the_table_fills() {
        let table = table(8, &Config::default());
        let times: Vec<_> = (0..10).map(|open| table.header_timeout(open).as_millis()).collect();
        assert_eq!(times, [10_000, 10_000, 10_000, 10_000, 10_000, 8125, 6250, 4375, 2500, 2500]);
    }
}
