//! The order of the logins that wait for a password hash. Pure rules, without threads.
//!
//! Networks take turns: each IPv6 /32 and each IPv4 /16. Within an IPv6 /32 its /48 take turns, within
//! these the /56, and within these the /64; within an IPv4 /16 its /24 do, and within these the
//! addresses. So a network gets no more turns if it tries more often or from more of its addresses.
//!
//! If the queue is full, the newest login of the largest network is refused, level by level in the
//! same way. Of networks with equally many, it is the one that had a turn last: otherwise networks with
//! one login each could fill the queue again and again, and keep out one that had no turn. If none had
//! a turn lately, it is the one that came last.
//!
//! Known devices have a part of the queue for themselves, in which accounts take turns: somebody with
//! many networks still has few accounts. The two parts take turns as well. A device for which its
//! part has no room waits with its network.

use std::collections::VecDeque;
use std::net::IpAddr;

use ipnet::IpNet;

use super::throttle::Counter;
use crate::network::enclosing;

/// The origin of a waiting login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) client: IpAddr,
    /// The counter of an account's known devices, if the login comes from one of them.
    pub(crate) device: Option<Counter>,
}

/// A bounded queue of waiting logins.
pub(crate) struct FairQueue<T> {
    devices: Group<Counter, (IpAddr, T)>,
    networks: Group<IpNet, T>,
    room_for_devices: usize,
    room_for_networks: usize,
    /// The last turn was a known device's.
    was_device: bool,
}

impl<T> FairQueue<T> {
    /// A queue of `room` logins. A quarter is for known devices.
    pub(crate) fn new(room: usize) -> Self {
        let room_for_devices = room / 4;
        Self {
            devices: Group::new(),
            networks: Group::new(),
            room_for_devices,
            room_for_networks: room - room_for_devices,
            was_device: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.devices.len() + self.networks.len()
    }

    /// Adds a login. If that is one too many, returns the login to refuse.
    pub(crate) fn push(&mut self, origin: Origin, login: T) -> Option<T> {
        let (client, login) = match origin.device {
            Some(account) => {
                self.devices.push(&[account], (origin.client, login));
                self.devices.surplus(self.room_for_devices)?
            }
            None => (origin.client, login),
        };
        self.networks.push(&enclosing(client), login);
        self.networks.surplus(self.room_for_networks)
    }

    /// Removes and returns the login whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let is_device = self.networks.len() == 0 || (self.devices.len() > 0 && !self.was_device);
        self.was_device = is_device;
        if is_device { self.devices.pop().map(|(_, login)| login) } else { self.networks.pop() }
    }

    /// Removes the logins that `is_waiting` returns `false` for.
    pub(crate) fn retain(&mut self, is_waiting: impl Fn(&T) -> bool) {
        self.devices.retain(&|(_, login)| is_waiting(login));
        self.networks.retain(&is_waiting);
    }
}

/// The number of groups whose last turn is remembered.
const TURNS: usize = 128;

/// Groups that take turns. The innermost group has logins instead, in order of arrival.
struct Group<K, T> {
    /// The next turn is the first one's. None of them is empty.
    groups: VecDeque<(K, Self)>,
    /// The groups that had a turn, in that order, also those that are empty now.
    turns: VecDeque<K>,
    logins: VecDeque<T>,
}

impl<K: Copy + PartialEq, T> Group<K, T> {
    const fn new() -> Self {
        Self { groups: VecDeque::new(), turns: VecDeque::new(), logins: VecDeque::new() }
    }

    /// Counts the logins, by a walk: a queue is short.
    fn len(&self) -> usize {
        self.logins.len() + self.groups.iter().map(|(_, group)| group.len()).sum::<usize>()
    }

    /// Adds a login to the group at `path`. A group that is new has its turn last.
    fn push(&mut self, path: &[K], login: T) {
        let Some((key, path)) = path.split_first() else { return self.logins.push_back(login) };
        if let Some((_, group)) = self.groups.iter_mut().find(|(known, _)| known == key) {
            return group.push(path, login);
        }
        let mut group = Self::new();
        group.push(path, login);
        self.groups.push_back((*key, group));
    }

    fn pop(&mut self) -> Option<T> {
        let Some((key, mut group)) = self.groups.pop_front() else {
            return self.logins.pop_front();
        };
        self.turns.retain(|other| *other != key);
        self.turns.push_back(key);
        if self.turns.len() > TURNS {
            self.turns.pop_front();
        }
        let login = group.pop();
        if group.len() > 0 {
            self.groups.push_back((key, group));
        }
        login
    }

    /// Removes and returns the newest login of the largest group, if there are more than `room`. Of
    /// equal ones, it is the one that had a turn last, and otherwise the last one.
    fn surplus(&mut self, room: usize) -> Option<T> {
        if self.len() <= room {
            return None;
        }
        let last_turn = |key: &K| self.turns.iter().position(|other| other == key);
        let largest =
            self.groups.iter_mut().max_by_key(|(key, group)| (group.len(), last_turn(key)));
        let Some((_, group)) = largest else { return self.logins.pop_back() };
        let login = group.surplus(0);
        self.groups.retain(|(_, group)| group.len() > 0);
        login
    }

    fn retain(&mut self, is_waiting: &impl Fn(&T) -> bool) {
        self.logins.retain(is_waiting);
        self.groups.iter_mut().for_each(|(_, group)| group.retain(is_waiting));
        self.groups.retain(|(_, group)| group.len() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a login such as `192.0.2.1`, or `192.0.2.1 a` from a known device of the account `a`.
    fn origin(login: &str) -> Origin {
        let (client, account) = login.split_once(' ').unwrap_or((login, ""));
        let device = account.bytes().next().map(|account| [account; 32]);
        Origin { client: client.parse().unwrap(), device }
    }

    /// A name, the room, and the logins, with early turns between them; then the indices of the logins
    /// that are refused, and of the others in the order of their turns.
    type Case<'a> = (&'a str, usize, &'a [&'a str], &'a [usize], &'a [usize]);

    #[test]
    fn networks_take_turns_and_the_largest_one_is_refused_first() {
        let cases: [Case<'_>; 21] = [
            ("one address", 4, &["192.0.2.1", "192.0.2.1", "192.0.2.1"], &[], &[0, 1, 2]),
            (
                "networks take turns",
                9,
                &["192.0.2.1", "192.0.2.1", "192.0.2.1", "198.51.100.1", "2001:db8::1"],
                &[],
                &[0, 3, 4, 1, 2],
            ),
            (
                "the addresses of an IPv4 /24 share its turns",
                9,
                &["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "198.51.100.1"],
                &[],
                &[0, 3, 1, 4, 2],
            ),
            (
                "and take turns within it",
                9,
                &["192.0.2.1", "192.0.2.1", "192.0.2.2", "198.51.100.1"],
                &[],
                &[0, 3, 2, 1],
            ),
            (
                "the /64 of an IPv6 /56 share its turns",
                9,
                &["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:0:100::1"],
                &[],
                &[0, 3, 1, 2],
            ),
            (
                "and the /56 of a /48 those of the /48",
                9,
                &["2001:db8:0:100::1", "2001:db8:0:200::1", "2001:db8:0:300::1", "2001:db8:1::1"],
                &[],
                &[0, 3, 1, 2],
            ),
            (
                "the /48 of an IPv6 /32 share its turns",
                9,
                &["2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1", "2001:db9::1"],
                &[],
                &[0, 3, 1, 2],
            ),
            (
                "the /24 of an IPv4 /16 share its turns",
                9,
                &["198.51.1.1", "198.51.2.1", "198.51.3.1", "203.0.113.1"],
                &[],
                &[0, 3, 1, 2],
            ),
            (
                "an IPv4 address in IPv6 is an IPv4 address",
                9,
                &["192.0.2.1", "::ffff:192.0.2.1", "198.51.100.1"],
                &[],
                &[0, 2, 1],
            ),
            ("no room", 0, &["192.0.2.1", "192.0.2.1 a"], &[0, 1], &[]),
            (
                "a full queue of one network refuses the newest",
                2,
                &["192.0.2.1", "192.0.2.1", "192.0.2.1"],
                &[2],
                &[0, 1],
            ),
            (
                "another network takes the room of the largest",
                3,
                &["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "203.0.113.1"],
                &[2, 1],
                &[0, 3, 4],
            ),
            (
                "an IPv6 /32 keeps nobody else out",
                3,
                &["2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1", "2001:db9::1"],
                &[2],
                &[0, 3, 1],
            ),
            (
                "within a network, the largest of its parts is refused",
                5,
                &["192.0.2.1", "192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1"],
                &[1],
                &[0, 3, 4, 2],
            ),
            (
                "of equal networks without a turn, the newest is refused",
                2,
                &["192.0.2.1", "198.51.100.1", "203.0.113.1"],
                &[2],
                &[0, 1],
            ),
            (
                "of equal networks, the one that had a turn is refused",
                2,
                &["192.0.2.1", "turn", "192.0.2.1", "198.51.100.1", "203.0.113.1"],
                &[2],
                &[0, 3, 4],
            ),
            (
                "of two that had a turn, the one that had it last",
                2,
                &[
                    "192.0.2.1",
                    "198.51.100.1",
                    "turn",
                    "turn",
                    "192.0.2.1",
                    "198.51.100.1",
                    "203.0.113.1",
                ],
                &[5],
                &[0, 1, 4, 6],
            ),
            (
                "the largest network is refused although it had no turn",
                2,
                &["192.0.2.1", "turn", "198.51.100.1", "198.51.100.1", "192.0.2.1"],
                &[3],
                &[0, 2, 4],
            ),
            (
                "known devices take turns with networks, and accounts with accounts",
                16,
                &["192.0.2.1", "192.0.2.1", "192.0.2.1 a", "198.51.100.1 a", "192.0.2.1 b"],
                &[],
                &[2, 0, 4, 1, 3],
            ),
            (
                "a known device has room in a queue full of strangers",
                4,
                &["192.0.2.1", "198.51.100.1", "203.0.113.1", "192.0.2.1 a"],
                &[],
                &[3, 0, 1, 2],
            ),
            (
                "the device that is one too many of its account waits with its network",
                8,
                &["192.0.2.1 a", "192.0.2.1 a", "198.51.100.1 b", "192.0.2.1"],
                &[],
                &[0, 1, 2, 3],
            ),
        ];
        for (name, room, logins, refused, order) in cases {
            let mut queue = FairQueue::new(room);
            let (mut all_refused, mut all) = (Vec::new(), Vec::new());
            for (index, login) in logins.iter().enumerate() {
                if *login == "turn" {
                    all.extend(queue.pop());
                } else {
                    all_refused.extend(queue.push(origin(login), index));
                }
            }
            assert_eq!(all_refused, refused, "{name}");
            assert_eq!(queue.len(), order.len() - all.len(), "{name}");
            all.extend(std::iter::from_fn(|| queue.pop()));
            assert_eq!(all, order, "{name}");
        }
    }

    #[test]
    fn a_login_that_waits_no_more_leaves_its_room() {
        let mut queue = FairQueue::new(4);
        for (index, login) in
            ["192.0.2.1", "192.0.2.1", "198.51.100.1", "192.0.2.1 a"].iter().enumerate()
        {
            assert_eq!(queue.push(origin(login), index), None);
        }
        queue.retain(|index| *index == 1);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.push(origin("198.51.100.1"), 4), None);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(4), None));
    }

    #[test]
    fn a_group_remembers_only_the_last_turns() {
        let mut queue = FairQueue::new(4);
        for n in 0..3 * TURNS {
            queue.push(origin(&format!("2001:{n:x}::1")), n);
            assert_eq!(queue.pop(), Some(n));
            assert_eq!(queue.networks.turns.len(), TURNS.min(n + 1));
        }
    }

    #[test]
    fn a_flood_of_one_network_delays_another_one_by_one_turn() {
        let mut queue = FairQueue::new(64);
        let flood = |n| origin(&format!("2001:db8:0:{n:x}::1"));
        for n in 0..256 {
            queue.push(flood(n), "flood");
        }
        for _ in 0..100 {
            assert_eq!(queue.push(origin("192.0.2.1"), "stranger"), Some("flood"));
            let turns = [queue.pop(), queue.pop()];
            assert!(turns.contains(&Some("stranger")), "{turns:?}");
            queue.push(flood(0), "flood");
            queue.push(flood(1), "flood");
        }
    }
}
