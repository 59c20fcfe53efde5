//! Everything that was answered, and each answer that broke the promise.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// An answered change is gone, or a session ended by itself.
    Lost,
    /// One refresh token got two successors.
    Double,
    /// A session or a user that was ended lives.
    Revived,
    /// A session ended as theft, although each token was used as it should be.
    Theft,
    /// Clients get no answers although nothing is in the way.
    Stuck,
}

/// Something that an issuer answered.
#[derive(Clone, Copy)]
pub(crate) enum Answered {
    Login,
    Refresh,
    Repetition,
    Introspection,
    Logout,
    Command,
    /// No answer, or one that says "later".
    Nothing,
}

/// The names of [`Answered`] in the same order.
const NAMES: [&str; 7] = [
    "logins",
    "refreshes",
    "repetitions",
    "introspections",
    "logouts",
    "commands",
    "without an answer",
];

#[derive(Default)]
pub(crate) struct Ledger {
    answered: [AtomicU64; NAMES.len()],
    faults: Mutex<BTreeMap<Fault, u64>>,
    /// The name of the current event.
    event: Mutex<String>,
    ended: Mutex<Vec<Ended>>,
    users: Mutex<BTreeMap<String, User>>,
    /// The id and the secret of each client, by its name.
    clients: Mutex<BTreeMap<String, (String, String)>>,
    stop: AtomicBool,
}

/// The last tokens of a session that was ended.
#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) refresh_token: String,
    pub(crate) access_token: String,
}

/// A user as the commands left it.
#[derive(Clone)]
pub(crate) enum User {
    Password(String),
    /// With the last password.
    Deleted(String),
    /// A command about the user was not answered.
    Unknown,
}

impl Ledger {
    /// The most ended sessions that are kept for the check at the end.
    const MOST_ENDED: usize = 20_000;

    /// The most faults of a kind that are printed one by one.
    const MOST_PRINTED: u64 = 10;

    /// Counts an answer. Returns the number of such answers.
    pub(crate) fn count(&self, answered: Answered) -> u64 {
        self.answered[answered as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes a fault, and prints it with the current event.
    pub(crate) fn fault(&self, fault: Fault, text: &str) {
        let mut faults = lock(&self.faults);
        let count = faults.entry(fault).or_default();
        *count += 1;
        if *count <= Self::MOST_PRINTED {
            say(&format!("{fault:?} during {}: {text}", lock(&self.event)));
        }
    }

    pub(crate) fn faults(&self) -> BTreeMap<Fault, u64> {
        lock(&self.faults).clone()
    }

    pub(crate) fn begin_event(&self, name: &str) {
        name.clone_into(&mut lock(&self.event));
    }

    /// Keeps a session that was ended. If there are too many, it replaces the oldest one.
    pub(crate) fn end_session(&self, session: Ended) {
        let count = self.count(Answered::Logout) as usize;
        let mut ended = lock(&self.ended);
        if ended.len() < Self::MOST_ENDED {
            ended.push(session);
        } else {
            ended[count % Self::MOST_ENDED] = session;
        }
    }

    pub(crate) fn ended_sessions(&self) -> Vec<Ended> {
        lock(&self.ended).clone()
    }

    pub(crate) fn set_user(&self, name: &str, user: User) {
        lock(&self.users).insert(name.to_owned(), user);
    }

    pub(crate) fn users(&self) -> BTreeMap<String, User> {
        lock(&self.users).clone()
    }

    pub(crate) fn set_client(&self, name: &str, credentials: (String, String)) {
        lock(&self.clients).insert(name.to_owned(), credentials);
    }

    /// Forgets the secret of a client, because a command is changing it.
    pub(crate) fn forget_client(&self, name: &str) {
        lock(&self.clients).remove(name);
    }

    pub(crate) fn clients(&self) -> BTreeMap<String, (String, String)> {
        lock(&self.clients).clone()
    }

    /// Tells all clients to stop.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, name) in self.answered.iter().zip(NAMES) {
            write!(f, "{} {name}, ", count.load(Ordering::Relaxed))?;
        }
        match self.faults() {
            none if none.is_empty() => f.write_str("no fault"),
            faults => write!(f, "faults: {faults:?}"),
        }
    }
}

/// Prints a line at once. The test harness would keep the output of `println!` to itself.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "chaos: {line}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
