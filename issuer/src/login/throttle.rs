//! Throttling of failed logins. Pure rules: the caller passes the time and stores the result.
//!
//! Failures are counted per account and network. If the request carries the cookie of a known
//! device, they are counted per account for all its known devices together instead. Another counter
//! covers the account from all unknown devices. A stranger therefore cannot lock out a device that
//! its owner has used, and somebody with many cookies has no more guesses than with one.
//!
//! An attempt counts as a failure before its password is checked. If the password is right, the
//! failure is undone. Parallel attempts therefore test no more passwords than attempts one after
//! the other. If the database fails before the password is checked, or after it was right, the
//! failure is taken back.

/// The failed attempts from one network or device before the first wait.
const FREE: u32 = 5;
/// The failed attempts on one account from all unknown devices together before the first wait.
/// People who mistype their password make fewer.
const FREE_EVERYWHERE: u32 = 100;
/// The longest wait between two attempts, in seconds.
const LONGEST_WAIT: u64 = 15 * 60;
/// The seconds without an attempt after which the failures of a counter are forgotten.
const FORGOTTEN_AFTER: u64 = 24 * 60 * 60;

/// The key of a counter: a keyed hash of the account and its network or device. It reveals no name,
/// because people type passwords into the field for the name.
pub(crate) type Counter = [u8; 32];

/// A login before its password is checked.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The counter of the account from all unknown devices. The account need not exist.
    pub(crate) account: Counter,
    /// The counter of the account from the network of this attempt.
    pub(crate) network: Counter,
    /// The counter of the account from its known devices, if the attempt comes from one of them.
    pub(crate) device: Option<Counter>,
    /// A random identifier, different for each attempt.
    pub(crate) id: [u8; 16],
    pub(crate) now: u64,
}

/// One counter as the store keeps it. Times are UNIX seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) counter: Counter,
    pub(crate) count: u32,
    /// The end of the wait. Before it, an attempt is refused, or a known device is treated as
    /// unknown.
    pub(crate) blocked_until: u64,
    /// The time of the last counted attempt.
    pub(crate) last_at: u64,
    /// The identifier of the last counted attempt.
    pub(crate) last: [u8; 16],
}

impl Failures {
    /// Returns the account's counter of all unknown devices as it is after a login succeeded:
    /// without the login's provisional failure, and without a wait. The store deletes the login's
    /// own counter.
    pub(crate) fn after_success(&self) -> Self {
        Self { count: self.count.saturating_sub(1), blocked_until: 0, ..self.clone() }
    }

    /// Returns this counter without one `failure`, with the wait that it has then.
    fn without(&self, failure: &Self, free: u32) -> Self {
        let count = self.count.saturating_sub(1);
        let wait = wait_after(count, free).map_or(0, |wait| self.last_at.saturating_add(wait));
        // The attempt was admitted, so that every earlier wait was over.
        let until = if self.last == failure.last { 0 } else { wait };
        Self { count, blocked_until: self.blocked_until.min(until), ..self.clone() }
    }
}

/// The decision on an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The provisional failures must be stored before the password is checked.
    Admit(ProvisionalFailure),
    /// The password is not checked. The client may try again after this number of seconds.
    Refuse(u64),
}

/// The provisional failures of an admitted attempt. A right password undoes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvisionalFailure {
    /// The counter of the device, or of the network.
    pub(crate) own: Failures,
    /// The counter of the account from all unknown devices; `None` for a known device.
    pub(crate) everywhere: Option<Failures>,
}

impl ProvisionalFailure {
    /// Returns the key of a row that says that the failure has been taken back, so that this is not
    /// done twice. No counter has this key.
    pub(crate) fn taken_back(&self) -> Counter {
        std::array::from_fn(|index| self.own.last.get(index).copied().unwrap_or_default())
    }

    /// Returns the counters without this failure. `found` contains those that the store has.
    pub(crate) fn take_back(&self, found: &[Failures]) -> Vec<Failures> {
        let everywhere = self.everywhere.iter().map(|failure| (failure, FREE_EVERYWHERE));
        let all = everywhere.chain([(&self.own, FREE)]);
        let without = |(failure, free): (&Failures, u32)| {
            let found = found.iter().find(|found| found.counter == failure.counter)?;
            Some(found.without(failure, free))
        };
        all.filter_map(without).collect()
    }
}

/// Decides on an attempt. `found` contains those of its counters that the store has.
pub(crate) fn decide(attempt: &Attempt, found: &[Failures]) -> Verdict {
    let before = |counter| {
        let found = found.iter().find(|failures| failures.counter == counter);
        // Also forgets times in the future: a clock that was far ahead must not block for long.
        found.filter(|failures| attempt.now.abs_diff(failures.last_at) < FORGOTTEN_AFTER)
    };
    let wait = |counter| {
        let until = before(counter).map_or(0, |failures| failures.blocked_until);
        let wait = until.saturating_sub(attempt.now);
        // The end of a longer wait was set while the clock was ahead. To shorten the wait would not
        // help: it would begin again with each attempt.
        if wait > LONGEST_WAIT { 0 } else { wait }
    };
    let counted = |counter, free| {
        let count = before(counter).map_or(0, |failures| failures.count).saturating_add(1);
        let blocked_until = wait_after(count, free).map_or(0, |wait| attempt.now + wait);
        Failures { counter, count, blocked_until, last_at: attempt.now, last: attempt.id }
    };
    // A transaction whose result was lost is repeated, and must not count the attempt twice.
    if let Some(again) = counted_before(attempt, found) {
        return Verdict::Admit(again);
    }
    // A device with too many failures is treated as unknown until its wait is over.
    if let Some(device) = attempt.device
        && wait(device) == 0
    {
        return Verdict::Admit(ProvisionalFailure { own: counted(device, FREE), everywhere: None });
    }
    match wait(attempt.network).max(wait(attempt.account)) {
        0 => Verdict::Admit(ProvisionalFailure {
            own: counted(attempt.network, FREE),
            everywhere: Some(counted(attempt.account, FREE_EVERYWHERE)),
        }),
        wait => Verdict::Refuse(wait),
    }
}

/// Returns the failure that the attempt counts as, if it is the last one that its counters have.
pub(crate) fn counted_before(attempt: &Attempt, found: &[Failures]) -> Option<ProvisionalFailure> {
    let of = |counter| {
        let mut found = found.iter();
        found.find(|one| one.counter == counter && one.last == attempt.id).cloned()
    };
    let own = attempt.device.and_then(of).or_else(|| of(attempt.network))?;
    Some(ProvisionalFailure { own, everywhere: of(attempt.account) })
}

/// Returns the wait after `count` failures: none for fewer than `free`, 1 s for `free`, and twice
/// as long for each further failure.
fn wait_after(count: u32, free: u32) -> Option<u64> {
    let doublings = count.checked_sub(free)?;
    // More than 32 doublings could overflow, and exceed the longest wait anyway.
    Some((1 << doublings.min(32)).min(LONGEST_WAIT))
}

/// Returns the limit for pruning at `now`. A counter is forgotten if its last attempt was at this
/// time or earlier.
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

    /// Returns each counter with its count and wait, or the wait of a refused attempt.
    fn outcome(verdict: &Verdict) -> Result<Vec<(Counter, u32, u64)>, u64> {
        match verdict {
            Verdict::Refuse(wait) => Err(*wait),
            Verdict::Admit(failure) => {
                let all = std::iter::once(&failure.own).chain(&failure.everywhere);
                assert!(all.clone().all(|one| (one.last_at, one.last) == (NOW, [9; 16])));
                Ok(all
                    .map(|one| (one.counter, one.count, one.blocked_until.saturating_sub(NOW)))
                    .collect())
            }
        }
    }

    #[test]
    fn earlier_failures_decide_if_an_attempt_is_counted_or_refused() {
        let free = |count| vec![(NETWORK, count, 0), (ACCOUNT, 1, 0)];
        let slow = |count, wait| vec![(NETWORK, count, wait), (ACCOUNT, 1, 0)];
        let one = |count, blocked_until| vec![failures(NETWORK, count, blocked_until)];
        let cases = [
            ("the first", false, vec![], Ok(free(1))),
            ("a free one", false, one(3, 0), Ok(free(4))),
            ("the last free one", false, one(4, 0), Ok(slow(5, 1))),
            ("one after its wait", false, one(5, NOW), Ok(slow(6, 2))),
            ("one before its wait is over", false, one(5, NOW + 1), Err(1)),
            ("one before a long wait is over", false, one(40, NOW + 900), Err(900)),
            ("one after the clock was ahead", false, one(40, NOW + 901), Ok(slow(41, 900))),
            ("one after it was far ahead", false, one(5, NOW + 72000), Ok(slow(6, 2))),
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
                "the last free one from everywhere",
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
                "a known device that has to wait is treated as unknown",
                true,
                vec![failures(DEVICE, 5, NOW + 1)],
                Ok(free(1)),
            ),
            (
                "and waits like its network",
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
    fn failures_more_than_a_day_before_or_after_now_are_forgotten() {
        for (last_at, forgotten) in [
            (NOW - FORGOTTEN_AFTER + 1, false),
            (NOW - FORGOTTEN_AFTER, true),
            (NOW + FORGOTTEN_AFTER - 1, false),
            (NOW + FORGOTTEN_AFTER, true),
        ] {
            let found = Failures { last_at, ..failures(NETWORK, 40, NOW + LONGEST_WAIT) };
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
    fn a_failure_that_is_taken_back_leaves_the_others_and_their_wait() {
        const OTHER: [u8; 16] = [7; 16];
        let cases = [
            ("the only one", (1, 0, [9; 16]), (0, 0)),
            ("the last one, with its wait", (7, NOW + 4, [9; 16]), (6, 0)),
            ("one before another one", (2, 0, OTHER), (1, 0)),
            ("one before the first wait", (5, NOW + 1, OTHER), (4, 0)),
            ("one before a later wait", (7, NOW + 4, OTHER), (6, NOW + 2)),
            ("one before the longest wait", (90, NOW + 900, OTHER), (89, NOW + 900)),
            ("one before a login that ended the wait", (7, 0, OTHER), (6, 0)),
            ("one that is not counted any more", (0, 0, OTHER), (0, 0)),
        ];
        for (name, (count, blocked_until, last), expected) in cases {
            let stored = Failures { counter: NETWORK, count, blocked_until, last_at: NOW, last };
            let Verdict::Admit(failure) = decide(&attempt(false), &[]) else { panic!() };
            let left = failure.take_back(&[stored]);
            let [left] = left.as_slice() else { panic!("{left:?}") };
            assert_eq!((left.count, left.blocked_until), expected, "{name}");
            assert_eq!((left.last_at, left.last), (NOW, last));
        }
        let Verdict::Admit(failure) = decide(&attempt(false), &[]) else { panic!() };
        let all = [failures(NETWORK, 9, 0), failures(ACCOUNT, 103, NOW + 900)];
        let left = failure.take_back(&all);
        let left: Vec<_> = left.iter().map(|one| (one.counter, one.count)).collect();
        assert_eq!(left, [(ACCOUNT, 102), (NETWORK, 8)]);
        assert!(failure.take_back(&[]).is_empty());
    }

    #[test]
    fn a_repeated_attempt_is_counted_once() {
        for device in [true, false] {
            for before in [0, 4] {
                let (attempt, own) = (attempt(device), if device { DEVICE } else { NETWORK });
                let first = decide(&attempt, &[failures(own, before, 0)]);
                let Verdict::Admit(ProvisionalFailure { own, everywhere }) = first.clone() else {
                    panic!()
                };
                let stored: Vec<_> = std::iter::once(own).chain(everywhere).collect();
                assert_eq!(decide(&attempt, &stored), first);
            }
        }
    }
}
