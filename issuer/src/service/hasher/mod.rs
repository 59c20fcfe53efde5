//! Password hashing for logins: a bounded and fair queue, a memory budget, and exactly one hash for
//! each attempt.
//!
//! An attempt without a user, without a readable stored hash, or with an impossible password still
//! costs one hash, so its time tells an attacker nothing.

mod cost;
mod stored;
mod threads;
mod turns;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use argon2::Block;
use prometheus::Histogram;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub(crate) use self::cost::Cost;
pub(crate) use self::stored::StoredHash;
use self::threads::Queue;
pub(crate) use self::turns::Turn;
use self::turns::Turns;
use crate::login::fair_queue::Origin;
use crate::login::password;
use crate::{Error, crypto};

/// Hashes and checks passwords.
pub(crate) struct Hasher {
    cost: Cost,
    /// The hash of a random password, checked if an attempt has no other.
    dummy: StoredHash,
    turns: Arc<Turns>,
    queue: Arc<Queue>,
    /// Locked for writing by a hash that needs more memory than others: it runs alone.
    memory: Arc<RwLock<()>>,
    computed: Arc<AtomicU64>,
    seconds: Option<Histogram>,
}

/// Too many logins wait for a turn.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Hasher {
    /// Starts the threads: at most `parallel` hashes run at a time, and `waiting` more logins may
    /// wait.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub(crate) fn new(cost: Cost, parallel: usize, waiting: usize) -> Result<Self, Error> {
        let parallel = parallel.max(1);
        // As many again have a turn already, so that no thread waits while the database counts an
        // attempt.
        let ahead = parallel.min(waiting);
        // Checking it takes as long as checking any other new hash, because its cost is the same.
        let dummy = cost.hash(&crypto::random_id()?, &mut Vec::new())?;
        Ok(Self {
            cost,
            dummy: StoredHash::parse(&dummy).map_err(Error::System)?,
            turns: Turns::new(parallel + ahead, waiting - ahead),
            queue: Queue::start(parallel, cost)?,
            memory: Arc::default(),
            computed: Arc::default(),
            seconds: None,
        })
    }

    /// Records the time of each hash in `seconds`.
    pub(crate) fn timed_by(mut self, seconds: Histogram) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// Waits for the turn to compute one hash. If too many logins wait, the newest one of the network
    /// with most of them is refused.
    pub(crate) async fn turn(&self, origin: Origin) -> Result<Turn, QueueFull> {
        self.turns.take(origin).await
    }

    /// Checks `password` against `stored`. If `stored` is missing or unreadable, or no user can
    /// have this password, returns false after the same work.
    pub(crate) async fn verify(
        &self,
        turn: Turn,
        password: &Zeroizing<String>,
        stored: Option<&str>,
    ) -> bool {
        let stored = stored.and_then(|stored| StoredHash::parse(stored).ok());
        let possible = stored.zip(password::prepare(password).ok());
        let is_possible = possible.is_some();
        let (stored, password) =
            possible.unwrap_or_else(|| (self.dummy.clone(), Zeroizing::default()));
        let size = stored.memory();
        let check = move |memory: &mut Vec<Block>| stored.matches(&password, memory);
        // A hash that panics refuses the password.
        self.run(turn, size, check).await.unwrap_or(false) && is_possible
    }

    /// Returns true if the kind or the cost of a stored hash differs from that of new ones.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        !StoredHash::parse(stored).is_ok_and(|stored| stored.is_new(self.cost))
    }

    /// Hashes the password anew. Returns `None` if that fails; the next login tries again.
    pub(crate) async fn hash(&self, turn: Turn, password: &Zeroizing<String>) -> Option<String> {
        let (cost, password) = (self.cost, password::prepare(password).ok()?);
        let hash = move |memory: &mut Vec<Block>| cost.hash(&password, memory).ok();
        self.run(turn, cost.memory(), hash).await?
    }

    /// Queues the work of one hash, which takes `size` KiB, and waits for its result.
    async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        size: u32,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, result) = oneshot::channel();
        let is_large = size > self.cost.memory();
        let lock = Arc::clone(&self.memory);
        let (computed, seconds) = (Arc::clone(&self.computed), self.seconds.clone());
        self.queue.push(Box::new(move |memory| {
            let _alone = is_large.then(|| lock.write().unwrap_or_else(PoisonError::into_inner));
            let _shared = (!is_large).then(|| lock.read().unwrap_or_else(PoisonError::into_inner));
            computed.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            let done = work(memory);
            if let Some(seconds) = seconds {
                seconds.observe(started.elapsed().as_secs_f64());
            }
            drop(turn);
            let _ = sender.send(done);
        }));
        result.await.ok()
    }

    /// Counts the hashes that run and the logins that wait for one.
    pub(crate) fn busy(&self) -> (usize, usize) {
        let (running, next) = self.queue.busy();
        (running, next + self.turns.waiting())
    }

    /// Counts the hashes computed so far.
    pub(crate) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const COST: Cost = Cost::new(64, 1, 1);
    /// Hashes of "correct horse".
    const BCRYPT: &str = "$2b$04$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";
    const SCRYPT: &str =
        "$scrypt$ln=4,r=2,p=3$c29tZXNhbHQ$wG2cscjLzjBklQ5xXLL5/6w3JadtiMajmVne6yBSBkQ";
    const PBKDF2: &str =
        "$pbkdf2-sha256$i=1000$c29tZXNhbHQ$3UXLHR2dsBArfqHwukhrdUO9gJfc1BvmMq0GPd9sP6E";

    fn from(network: u8) -> Origin {
        Origin { client: [192, 0, network, 1].into(), device: None }
    }

    async fn attempt(hasher: &Hasher, network: u8) -> Result<bool, QueueFull> {
        let turn = hasher.turn(from(network)).await?;
        Ok(hasher.verify(turn, &Zeroizing::new("password".to_owned()), None).await)
    }

    #[tokio::test]
    async fn every_refusal_costs_one_hash() {
        let hasher = Hasher::new(COST, 1, 0).unwrap();
        let stored = COST.hash("correct horse", &mut Vec::new()).unwrap();
        let long = "x".repeat(password::MAX_BYTES + 1);
        let longer = "x".repeat(60_000);
        let cases = [
            ("correct horse", Some(stored.as_str()), true),
            ("wrong horse", Some(&stored), false),
            ("", Some(&stored), false),
            (&long, Some(&stored), false),
            (&longer, Some(&stored), false),
            ("correct\u{0} horse", Some(&stored), false),
            ("correct\u{3000}horse", Some(&stored), true),
            ("correct horse", Some("not a hash"), false),
            ("correct horse", Some(&stored[..stored.len() / 2]), false),
            ("correct horse", Some(&stored.replace("argon2id", "argon2x")), false),
            ("correct horse", Some(BCRYPT), true),
            ("wrong horse", Some(BCRYPT), false),
            ("correct\u{3000}horse", Some(BCRYPT), true),
            ("correct\u{0} horse", Some(BCRYPT), false),
            ("correct horse", Some(SCRYPT), true),
            ("wrong horse", Some(SCRYPT), false),
            ("correct horse", Some(PBKDF2), true),
            ("wrong horse", Some(PBKDF2), false),
            ("correct horse", Some("$2b$04$"), false),
            ("correct horse", None, false),
            ("", None, false),
        ];
        for (count, (password, stored, expected)) in (1..).zip(cases) {
            let password = Zeroizing::new(password.to_owned());
            let turn = hasher.turn(from(1)).await.unwrap();
            assert_eq!(hasher.verify(turn, &password, stored).await, expected, "{stored:?}");
            assert_eq!(hasher.computed(), count);
        }
        assert!(hasher.dummy.is_new(COST));
    }

    #[tokio::test]
    async fn a_hash_of_another_kind_or_cost_is_checked_as_it_is_and_can_be_renewed() {
        let hasher = Hasher::new(COST, 2, 8).unwrap();
        let password = Zeroizing::new("correct\u{a0}horse".to_owned());
        let costs = [Cost::new(32, 1, 1), Cost::new(64, 2, 1), Cost::new(1000, 1, 2)];
        let other = costs.map(|cost| cost.hash("correct horse", &mut Vec::new()).unwrap());
        let foreign = [BCRYPT, SCRYPT, PBKDF2].map(str::to_owned);
        let argon2i = other[0].replace("argon2id", "argon2i");
        assert!(hasher.is_outdated(&argon2i));
        for stored in other.into_iter().chain(foreign) {
            assert!(hasher.is_outdated(&stored));
            let turn = hasher.turn(from(1)).await.unwrap();
            assert!(hasher.verify(turn, &password, Some(&stored)).await);
            let turn = hasher.turn(from(1)).await.unwrap();
            let renewed = hasher.hash(turn, &password).await.unwrap();
            assert!(!hasher.is_outdated(&renewed));
            let turn = hasher.turn(from(1)).await.unwrap();
            assert!(hasher.verify(turn, &password, Some(&renewed)).await);
        }
    }

    #[tokio::test]
    async fn a_hash_with_more_memory_than_others_runs_alone() {
        let hasher = Hasher::new(COST, 4, 100).unwrap();
        let running = Arc::<AtomicU64>::default();
        let hash = async |cost: Cost| {
            let running = Arc::clone(&running);
            let turn = hasher.turn(from(1)).await.unwrap();
            let work = move |_: &mut Vec<Block>| {
                let before = running.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
                before
            };
            hasher.run(turn, cost.memory(), work).await
        };
        let large = Cost::new(65, 1, 1);
        for _ in 0..20 {
            let beside = tokio::join!(hash(COST), hash(COST), hash(COST), hash(large), hash(COST));
            assert_eq!(beside.3, Some(0));
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_newest_login_of_the_largest_network() {
        for (networks, refused) in [([1, 1, 1], 2), ([1, 1, 2], 1), ([1, 2, 2], 2)] {
            // One may run, one has its turn next, and two more may wait.
            let hasher = Hasher::new(COST, 1, 3).unwrap();
            let turns = [hasher.turn(from(1)).await.unwrap(), hasher.turn(from(1)).await.unwrap()];
            let [a, b, c] = networks.map(|network| attempt(&hasher, network));
            let (a, b, c, ()) = tokio::join!(a, b, c, async { drop(turns) });
            let all = [a, b, c].map(|attempt| attempt.is_err());
            assert_eq!(all, [0, 1, 2].map(|index| index == refused), "{networks:?}");
            assert_eq!(hasher.computed(), 2);
        }
    }

    #[tokio::test]
    async fn a_login_that_goes_away_leaves_its_room_and_its_turn_to_others() {
        let hasher = Hasher::new(COST, 1, 2).unwrap();
        for _ in 0..50 {
            let turns = [hasher.turn(from(1)).await.unwrap(), hasher.turn(from(1)).await.unwrap()];
            for _ in 0..3 {
                let mut gone = Box::pin(hasher.turn(from(1)));
                assert!(tokio::time::timeout(Duration::ZERO, &mut gone).await.is_err());
                assert_eq!(hasher.busy(), (0, 1));
            }
            assert_eq!(hasher.busy(), (0, 0));
            let mut gone = Box::pin(hasher.turn(from(1)));
            assert!(tokio::time::timeout(Duration::ZERO, &mut gone).await.is_err());
            // It has its turn, and never learns that.
            drop(turns);
        }
    }
}
