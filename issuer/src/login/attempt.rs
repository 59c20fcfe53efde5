//! Failed logins: the rules alone, without a database and without a clock.
//!
//! An attempt counts as a failure from before its password is looked at, and is taken back when the
//! password was the right one. So however many attempts come at once, no more of them get to a hash
//! than one after the other would have.
//!
//! What is counted is an account from one network, or, where the attempt has the cookie of a device
//! that has logged in before, from that device; and the account from everywhere but such devices. So
//! a stranger cannot lock out a device that its owner has used.

/// How many failures cost no wait.
const FREE: u32 = 5;
/// How many failures from all networks together cost no wait: more than people who mistype have.
const FREE_EVERYWHERE: u32 = 100;
/// The longest wait between two attempts, in seconds.
const LONGEST_WAIT: u64 = 15 * 60;
/// After so many seconds without an attempt its failures are forgotten.
const FORGOTTEN_AFTER: u64 = 24 * 60 * 60;

/// Whose failures are counted: a code over it, from which nobody learns a name. People type
/// passwords into the field for the name.
pub(crate) type Counter = [u8; 32];

/// A login, before its password is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The account from everywhere; whether it exists does not matter.
    pub(crate) account: Counter,
    /// The account from the network that this comes from.
    pub(crate) network: Counter,
    /// The account from the device that this comes from, if that is known.
    pub(crate) device: Option<Counter>,
    /// Random: tells this attempt from all others.
    pub(crate) id: [u8; 16],
    pub(crate) now: u64,
}

/// What the store keeps of a counter. Times are UNIX seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) counter: Counter,
    pub(crate) count: u32,
    /// Until then every attempt is refused.
    pub(crate) blocked_until: u64,
    /// When the last attempt was counted...
    pub(crate) last_at: u64,
    /// ...and which one it was.
    pub(crate) last: [u8; 16],
}

impl Failures {
    /// Returns the counter of the account from everywhere after a login succeeded: without its
    /// provisional failure, and without a wait. The login's own counter is deleted.
    pub(crate) fn after_success(&self) -> Self {
        Self { count: self.count.saturating_sub(1), blocked_until: 0, ..self.clone() }
    }
}

/// What becomes of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These are to be stored before the password is looked at.
    Admit(Reserved),
    /// The password is not looked at; after so many seconds one would be.
    Refuse(u64),
}

/// The failure that an admitted attempt is until its password was found to be the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Of the device, or of the network.
    pub(crate) own: Failures,
    /// Of the account from everywhere, which does not count known devices.
    pub(crate) everywhere: Option<Failures>,
}

/// The rules for an attempt. `found` is what the store has of its counters.
pub(crate) fn decide(attempt: &Attempt, found: &[Failures]) -> Verdict {
    let before = |counter| {
        let found = found.iter().find(|failures| failures.counter == counter);
        // Counted in both directions: a clock that was far ahead must not block for as long.
        found.filter(|failures| attempt.now.abs_diff(failures.last_at) < FORGOTTEN_AFTER)
    };
    let wait = |counter| {
        let until = before(counter).map_or(0, |failures| failures.blocked_until);
        until.saturating_sub(attempt.now).min(LONGEST_WAIT)
    };
    let counted = |counter, free| {
        let count = before(counter).map_or(0, |failures| failures.count).saturating_add(1);
        let blocked_until = wait_after(count, free).map_or(0, |wait| attempt.now + wait);
        Failures { counter, count, blocked_until, last_at: attempt.now, last: attempt.id }
    };
    // A transaction whose answer was lost comes again: it is what it was.
    let again = |counter| before(counter).filter(|failures| failures.last == attempt.id).cloned();
    let own = [attempt.device, Some(attempt.network)].into_iter().flatten();
    if let Some(own) = own.clone().find_map(again) {
        return Verdict::Admit(Reserved { own, everywhere: again(attempt.account) });
    }
    // With too many failures a device is none until its wait is over.
    if let Some(device) = attempt.device
        && wait(device) == 0
    {
        return Verdict::Admit(Reserved { own: counted(device, FREE), everywhere: None });
    }
    match wait(attempt.network).max(wait(attempt.account)) {
        0 => Verdict::Admit(Reserved {
            own: counted(attempt.network, FREE),
            everywhere: Some(counted(attempt.account, FREE_EVERYWHERE)),
        }),
        wait => Verdict::Refuse(wait),
    }
}

/// How long the next attempt has to wait after so many failures: not at all, then 1 s, and twice as
/// long with each further one.
fn wait_after(count: u32, free: u32) -> Option<u64> {
    let doublings = count.checked_sub(free)?;
    // More of them would overflow, and are past the longest wait.
    Some((1 << doublings.min(32)).min(LONGEST_WAIT))
}

/// When failures are forgotten that were counted last at that time or before.
pub(crate) fn forgotten_before(now: u64) -> u64 {
    now.saturating_sub(FORGOTTEN_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const ACCOUNT: Counter = [1; 32];
    const NETWORK: Counter = [2; 32];
    const DEVICE: Counter = [3; 32];

    fn attempt(device: bool) -> Attempt {
        let device = device.then_some(DEVICE);
        Attempt { account: ACCOUNT, network: NETWORK, device, id: [9; 16], now: NOW }
    }

    fn failures(counter: Counter, count: u32, blocked_until: u64) -> Failures {
        Failures { counter, count, blocked_until, last_at: NOW - 10, last: [8; 16] }
    }

    /// What is counted and for how long each blocks, or the wait.
    fn outcome(verdict: &Verdict) -> Result<Vec<(Counter, u32, u64)>, u64> {
        match verdict {
            Verdict::Refuse(wait) => Err(*wait),
            Verdict::Admit(reserved) => {
                let all = std::iter::once(&reserved.own).chain(&reserved.everywhere);
                assert!(all.clone().all(|one| (one.last_at, one.last) == (NOW, [9; 16])));
                Ok(all
                    .map(|one| (one.counter, one.count, one.blocked_until.saturating_sub(NOW)))
                    .collect())
            }
        }
    }

    #[test]
    fn an_attempt_is_counted_or_waits_as_its_failures_say() {
        let free = |count| vec![(NETWORK, count, 0), (ACCOUNT, 1, 0)];
        let slow = |count, wait| vec![(NETWORK, count, wait), (ACCOUNT, 1, 0)];
        let one = |count, blocked_until| vec![failures(NETWORK, count, blocked_until)];
        let cases = [
            ("the first", false, vec![], Ok(free(1))),
            ("one that is free", false, one(3, 0), Ok(free(4))),
            ("the last that is free", false, one(4, 0), Ok(slow(5, 1))),
            ("one after its wait", false, one(5, NOW), Ok(slow(6, 2))),
            ("one before its wait is over", false, one(5, NOW + 1), Err(1)),
            ("one before a long wait is over", false, one(40, NOW + 900), Err(900)),
            ("a wait is never longer", false, one(40, NOW + 5000), Err(900)),
            ("the longest wait comes by doubling", false, one(14, 0), Ok(slow(15, 900))),
            ("and stays", false, one(200, 0), Ok(slow(201, 900))),
            ("and stays whatever the count", false, one(u32::MAX, 0), Ok(slow(u32::MAX, 900))),
            ("too many from everywhere", false, vec![failures(ACCOUNT, 100, NOW + 1)], Err(1)),
            (
                "the longer wait counts",
                false,
                vec![failures(ACCOUNT, 104, NOW + 20), failures(NETWORK, 9, NOW + 30)],
                Err(30),
            ),
            (
                "the last from everywhere that is free",
                false,
                vec![failures(ACCOUNT, 99, 0)],
                Ok(vec![(NETWORK, 1, 0), (ACCOUNT, 100, 1)]),
            ),
            ("a known device", true, vec![], Ok(vec![(DEVICE, 1, 0)])),
            (
                "a known device, while strangers try",
                true,
                vec![failures(ACCOUNT, 500, NOW + 900), failures(NETWORK, 50, NOW + 900)],
                Ok(vec![(DEVICE, 1, 0)]),
            ),
            (
                "a known device's own failures",
                true,
                vec![failures(DEVICE, 4, 0)],
                Ok(vec![(DEVICE, 5, 1)]),
            ),
            (
                "a known device that has to wait is none",
                true,
                vec![failures(DEVICE, 5, NOW + 1)],
                Ok(free(1)),
            ),
            (
                "and waits as its network does",
                true,
                vec![failures(DEVICE, 5, NOW + 1), failures(NETWORK, 6, NOW + 2)],
                Err(2),
            ),
        ];
        for (name, device, found, expected) in cases {
            assert_eq!(outcome(&decide(&attempt(device), &found)), expected, "{name}");
        }
    }

    #[test]
    fn failures_are_forgotten_after_a_day_in_both_directions_of_the_clock() {
        for (last_at, forgotten) in [
            (NOW - FORGOTTEN_AFTER + 1, false),
            (NOW - FORGOTTEN_AFTER, true),
            (NOW + FORGOTTEN_AFTER - 1, false),
            (NOW + FORGOTTEN_AFTER, true),
        ] {
            let found = Failures { last_at, ..failures(NETWORK, 40, NOW + FORGOTTEN_AFTER + 900) };
            let expected = if forgotten {
                Ok(vec![(NETWORK, 1, 0), (ACCOUNT, 1, 0)])
            } else {
                Err(LONGEST_WAIT)
            };
            assert_eq!(outcome(&decide(&attempt(false), &[found])), expected, "{last_at}");
        }
        assert_eq!(forgotten_before(NOW), NOW - FORGOTTEN_AFTER);
    }

    #[test]
    fn an_attempt_that_is_decided_again_is_counted_once() {
        for device in [true, false] {
            for before in [0, 4] {
                let (attempt, own) = (attempt(device), if device { DEVICE } else { NETWORK });
                let first = decide(&attempt, &[failures(own, before, 0)]);
                let Verdict::Admit(Reserved { own, everywhere }) = first.clone() else { panic!() };
                let stored: Vec<_> = std::iter::once(own).chain(everywhere).collect();
                assert_eq!(decide(&attempt, &stored), first);
            }
        }
    }
}
