//! Password hashing for logins: a bounded queue, a memory budget, and exactly one hash for each
//! attempt.
//!
//! An attempt without a user, without a readable stored hash, or with an impossible password still
//! costs one hash, so its time tells an attacker nothing.

mod cost;
mod threads;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use argon2::Block;
use prometheus::Histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

pub(crate) use self::cost::Cost;
use self::threads::Queue;
use crate::login::password::MAX_BYTES;
use crate::{Error, crypto};

/// Hashes and checks passwords.
pub(crate) struct Hasher {
    cost: Cost,
    /// The hash of a random password, checked if an attempt has no other.
    dummy: String,
    /// One permit for each hash that may run or wait.
    permits: Arc<Semaphore>,
    queue: Arc<Queue>,
    /// Locked for writing by a hash that needs more memory than others: it runs alone.
    memory: Arc<RwLock<()>>,
    computed: Arc<AtomicU64>,
    seconds: Option<Histogram>,
}

/// A permit to compute one hash.
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// Every permit is taken: too many passwords wait to be hashed.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Hasher {
    /// Starts the threads: at most `parallel` hashes run at a time, and `waiting` more may wait.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub(crate) fn new(cost: Cost, parallel: usize, waiting: usize) -> Result<Self, Error> {
        let parallel = parallel.max(1);
        Ok(Self {
            cost,
            // Checking it takes as long as checking any other hash, because its cost is the same.
            dummy: cost.hash(&crypto::random_id()?, &mut Vec::new())?,
            permits: Arc::new(Semaphore::new(waiting.saturating_add(parallel))),
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

    /// Takes a permit for one hash.
    pub(crate) fn admit(&self) -> Result<Permit, QueueFull> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| QueueFull)?;
        Ok(Permit { _permit: permit })
    }

    /// Checks `password` against `stored`. If `stored` is missing or unreadable, or no user can
    /// have this password, returns false after the same work.
    pub(crate) async fn verify(
        &self,
        permit: Permit,
        password: &Zeroizing<String>,
        stored: Option<&str>,
    ) -> bool {
        let stored = stored.and_then(|stored| Some((stored, Cost::of(stored)?)));
        let possible = stored.filter(|_| (1..=MAX_BYTES).contains(&password.len()));
        let is_possible = possible.is_some();
        let (stored, cost) = possible.unwrap_or((&self.dummy, self.cost));
        let password = if is_possible { password.clone() } else { Zeroizing::default() };
        let stored = stored.to_owned();
        let check = move |memory: &mut Vec<Block>| cost.matches(&password, &stored, memory);
        // A hash that panics refuses the password.
        self.run(permit, cost, check).await.unwrap_or(false) && is_possible
    }

    /// Returns true if the cost of a stored hash differs from that of new ones.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        Cost::of(stored) != Some(self.cost)
    }

    /// Hashes the password anew. Returns `None` if that fails or the queue is full; the next login
    /// tries again.
    pub(crate) async fn hash(&self, password: &Zeroizing<String>) -> Option<String> {
        let (cost, password) = (self.cost, password.clone());
        let hash = move |memory: &mut Vec<Block>| cost.hash(&password, memory).ok();
        self.run(self.admit().ok()?, cost, hash).await?
    }

    /// Queues the work of one hash and waits for its result.
    async fn run<T: Send + 'static>(
        &self,
        permit: Permit,
        cost: Cost,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, result) = oneshot::channel();
        let is_large = cost.memory() > self.cost.memory();
        let lock = Arc::clone(&self.memory);
        let (computed, seconds) = (Arc::clone(&self.computed), self.seconds.clone());
        self.queue.push(Box::new(move |memory| {
            if sender.is_closed() {
                return;
            }
            let _alone = is_large.then(|| lock.write().unwrap_or_else(PoisonError::into_inner));
            let _shared = (!is_large).then(|| lock.read().unwrap_or_else(PoisonError::into_inner));
            computed.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            let done = work(memory);
            if let Some(seconds) = seconds {
                seconds.observe(started.elapsed().as_secs_f64());
            }
            // Held until here, so that a client that hangs up frees no permit early.
            drop(permit);
            let _ = sender.send(done);
        }));
        result.await.ok()
    }

    /// Counts the hashes that run and those that wait.
    pub(crate) fn busy(&self) -> (usize, usize) {
        self.queue.busy()
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

    async fn attempt(hasher: &Hasher) -> Result<bool, QueueFull> {
        let permit = hasher.admit()?;
        Ok(hasher.verify(permit, &Zeroizing::new("password".to_owned()), None).await)
    }

    #[tokio::test]
    async fn every_refusal_costs_one_hash() {
        let hasher = Hasher::new(COST, 1, 0).unwrap();
        let stored = COST.hash("correct horse", &mut Vec::new()).unwrap();
        let long = "x".repeat(MAX_BYTES + 1);
        let cases = [
            ("correct horse", Some(stored.as_str()), true),
            ("wrong horse", Some(&stored), false),
            ("", Some(&stored), false),
            (&long, Some(&stored), false),
            ("correct horse", Some("not a hash"), false),
            ("correct horse", Some(&stored[..stored.len() / 2]), false),
            ("correct horse", Some(&stored.replace("argon2id", "argon2x")), false),
            ("correct horse", None, false),
            ("", None, false),
        ];
        for (count, (password, stored, expected)) in (1..).zip(cases) {
            let password = Zeroizing::new(password.to_owned());
            let permit = hasher.admit().unwrap();
            assert_eq!(hasher.verify(permit, &password, stored).await, expected, "{stored:?}");
            assert_eq!(hasher.computed(), count);
        }
        // A dummy that cannot be parsed would cost nothing to check.
        assert_eq!(Cost::of(&hasher.dummy), Some(COST));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_checked_at_that_cost_and_can_be_renewed() {
        let hasher = Hasher::new(COST, 2, 8).unwrap();
        let password = Zeroizing::new("correct horse".to_owned());
        for other in [Cost::new(32, 1, 1), Cost::new(64, 2, 1), Cost::new(1000, 1, 2)] {
            let stored = other.hash(&password, &mut Vec::new()).unwrap();
            assert!(hasher.is_outdated(&stored));
            let permit = hasher.admit().unwrap();
            assert!(hasher.verify(permit, &password, Some(&stored)).await);
            let renewed = hasher.hash(&password).await.unwrap();
            assert!(!hasher.is_outdated(&renewed));
            let permit = hasher.admit().unwrap();
            assert!(hasher.verify(permit, &password, Some(&renewed)).await);
        }
    }

    #[tokio::test]
    async fn a_hash_with_more_memory_than_others_runs_alone() {
        let hasher = Hasher::new(COST, 4, 100).unwrap();
        let running = Arc::<AtomicU64>::default();
        let hash = |cost: Cost| {
            let running = Arc::clone(&running);
            hasher.run(hasher.admit().unwrap(), cost, move |_| {
                let before = running.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
                before
            })
        };
        let large = Cost::new(65, 1, 1);
        for _ in 0..20 {
            let beside = tokio::join!(hash(COST), hash(COST), hash(COST), hash(large), hash(COST));
            assert_eq!(beside.3, Some(0));
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let hasher = Hasher::new(COST, 1, 1).unwrap();
        let attempt = || attempt(&hasher);
        let (a, b, c) = tokio::join!(attempt(), attempt(), attempt());
        assert!(a.is_ok() && b.is_ok() && c.is_err());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_frees_its_permit() {
        let hasher = Hasher::new(COST, 1, 3).unwrap();
        for _ in 0..50 {
            let first = attempt(&hasher);
            let gone = tokio::time::timeout(Duration::ZERO, attempt(&hasher));
            let (first, _gone) = tokio::join!(first, gone);
            assert!(first.is_ok());
        }
        // A hash that had begun runs to its end.
        let all = Arc::clone(&hasher.permits).acquire_many_owned(4).await.unwrap();
        drop(all);
        assert_eq!(hasher.busy().1, 0);
    }
}
