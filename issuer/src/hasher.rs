//! Password hashes for logins: on blocking threads, within a budget of memory, and exactly one for each
//! attempt whatever is wrong with it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use argon2::Block;
use prometheus::Histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::password::{Cost, MAX_BYTES};
use crate::{Error, crypto};

/// Hashes and checks passwords.
pub(crate) struct Hasher {
    cost: Cost,
    dummy: String,
    /// What is left of the memory that hashes may have at a time, in KiB...
    room: Arc<Semaphore>,
    /// ...of so much.
    all_room: u32,
    /// How many hashes run or wait.
    places: Arc<Semaphore>,
    memory: Arc<Pool>,
    computed: Arc<AtomicU64>,
    running: Arc<AtomicUsize>,
    seconds: Option<Histogram>,
}

/// A place in the queue: a password that is hashed, or waits for it.
pub(crate) struct Admitted {
    _place: OwnedSemaphorePermit,
}

/// More passwords are waiting to be hashed than the queue takes.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Hasher {
    /// `parallel` hashes of that cost run at a time, `queue` more may wait.
    pub(crate) fn new(cost: Cost, parallel: usize, queue: usize) -> Result<Self, Error> {
        let parallel = u32::try_from(parallel.max(1)).unwrap_or(u32::MAX);
        let all_room = cost.memory().saturating_mul(parallel);
        Ok(Self {
            cost,
            // Of the same cost as others, so that it takes as long.
            dummy: cost.hash(&crypto::random_id()?, &mut Vec::new())?,
            room: Arc::new(Semaphore::new(usize::try_from(all_room).unwrap_or(usize::MAX))),
            all_room,
            places: Arc::new(Semaphore::new(queue.saturating_add(parallel as usize))),
            memory: Arc::new(Pool { each: cost.memory() as usize, kept: Mutex::default() }),
            computed: Arc::default(),
            running: Arc::default(),
            seconds: None,
        })
    }

    /// Lets the time of each hash be counted.
    pub(crate) fn timed_by(self, seconds: Histogram) -> Self {
        Self { seconds: Some(seconds), ..self }
    }

    /// A place in the queue, for one hash.
    pub(crate) fn admit(&self) -> Result<Admitted, QueueFull> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| QueueFull)?;
        Ok(Admitted { _place: place })
    }

    /// Whether `password` is the one behind `stored`. Without a stored hash that can be read, or
    /// with a password that nobody can have, the answer is no, after the same work.
    pub(crate) async fn verify(
        &self,
        admitted: Admitted,
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
        // A panic in the hash is a no.
        self.run(admitted, cost, check).await.unwrap_or(false) && is_possible
    }

    /// Whether a hash is of another cost than new ones.
    pub(crate) fn is_outdated(&self, stored: &str) -> bool {
        Cost::of(stored) != Some(self.cost)
    }

    /// The password's hash anew. `None` where that fails, or the queue is full: the next login will
    /// do.
    pub(crate) async fn hash(&self, password: &Zeroizing<String>) -> Option<String> {
        let (cost, password) = (self.cost, password.clone());
        let hash = move |memory: &mut Vec<Block>| cost.hash(&password, memory).ok();
        self.run(self.admit().ok()?, cost, hash).await?
    }

    /// Does the work of one hash as soon as there is room for it.
    async fn run<T: Send + 'static>(
        &self,
        admitted: Admitted,
        cost: Cost,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Option<T> {
        let waiting = Waiting::new(&self.memory);
        // One that was stored with more memory than all of it runs alone.
        let room = cost.memory().max(self.cost.memory()).min(self.all_room);
        let room = Arc::clone(&self.room).acquire_many_owned(room).await.ok()?;
        let (computed, running) = (Arc::clone(&self.computed), Arc::clone(&self.running));
        let seconds = self.seconds.clone();
        // The permits move along, so that a client that hangs up frees nothing early.
        let work = move || {
            let _permits = (admitted, room);
            computed.fetch_add(1, Ordering::Relaxed);
            let _running = Running::new(running);
            let (pool, mut memory) = waiting.take();
            let started = Instant::now();
            let done = work(&mut memory);
            if let Some(seconds) = seconds {
                seconds.observe(started.elapsed().as_secs_f64());
            }
            pool.give(memory);
            done
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// How many hashes run, and how many wait.
    pub(crate) fn busy(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.memory.kept().waiting)
    }

    /// How many hashes were computed so far.
    pub(crate) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }
}

/// A hash that runs.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What hashes work in, kept from one to the next: as much as was ever in use at a time. Memory that
/// is allocated for each is kept by the allocator, for each thread that ever ran one.
///
/// From what a hash leaves there, passwords could be tried at less than their price. It is wiped, but
/// where another hash is about to overwrite all of it, as Argon2's first pass does: under load that
/// would be a twentieth of each login's price.
struct Pool {
    /// So many blocks are kept of one hash's memory.
    each: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Memory to be wiped: never more than there are hashes about to begin.
    used: Vec<Vec<Block>>,
    wiped: Vec<Vec<Block>>,
    /// How many hashes are about to begin.
    waiting: usize,
}

impl Pool {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, mut memory: Vec<Block>) {
        if memory.len() > self.each {
            memory.fill(Block::default());
            memory.truncate(self.each);
            memory.shrink_to_fit();
        }
        let mut kept = self.kept();
        if kept.used.len() < kept.waiting {
            kept.used.push(memory);
            return;
        }
        drop(kept);
        memory.fill(Block::default());
        self.kept().wiped.push(memory);
    }
}

/// A hash that is about to begin.
struct Waiting(Arc<Pool>);

impl Waiting {
    fn new(pool: &Arc<Pool>) -> Self {
        pool.kept().waiting += 1;
        Self(Arc::clone(pool))
    }

    /// Memory to begin with.
    fn take(self) -> (Arc<Pool>, Vec<Block>) {
        let mut kept = self.0.kept();
        let memory = kept.used.pop().or_else(|| kept.wiped.pop()).unwrap_or_default();
        drop(kept);
        (Arc::clone(&self.0), memory)
    }
}

impl Drop for Waiting {
    /// Also where who waited has gone away: then nobody overwrites what was kept for them.
    fn drop(&mut self) {
        let mut kept = self.0.kept();
        kept.waiting -= 1;
        if kept.used.len() > kept.waiting
            && let Some(mut memory) = kept.used.pop()
        {
            drop(kept);
            memory.fill(Block::default());
            self.0.kept().wiped.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost::new(64, 1, 1);

    fn hash(password: &str) -> String {
        COST.hash(password, &mut Vec::new()).unwrap()
    }

    async fn attempt(hasher: &Hasher) -> Result<bool, QueueFull> {
        let place = hasher.admit()?;
        Ok(hasher.verify(place, &Zeroizing::new("password".to_owned()), None).await)
    }

    /// How much memory is kept, all of it wiped.
    fn wiped(hasher: &Hasher) -> Vec<usize> {
        let kept = hasher.memory.kept();
        assert_eq!((kept.used.len(), kept.waiting), (0, 0));
        for block in kept.wiped.iter().flatten() {
            assert!(AsRef::<[u64]>::as_ref(block).iter().all(|word| *word == 0));
        }
        kept.wiped.iter().map(Vec::len).collect()
    }

    #[tokio::test]
    async fn each_way_to_be_wrong_costs_one_hash() {
        let hasher = Hasher::new(COST, 1, 0).unwrap();
        let stored = hash("correct horse");
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
            let place = hasher.admit().unwrap();
            assert_eq!(hasher.verify(place, &password, stored).await, expected, "{stored:?}");
            assert_eq!(hasher.computed(), count);
        }
        // The dummy is a hash that parses: checking against it does the work, and the same.
        assert_eq!(Cost::of(&hasher.dummy), Some(COST));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_checked_at_that_cost_and_can_be_made_anew() {
        let hasher = Hasher::new(COST, 2, 8).unwrap();
        let password = Zeroizing::new("correct horse".to_owned());
        for other in [Cost::new(32, 1, 1), Cost::new(64, 2, 1), Cost::new(1000, 1, 2)] {
            let stored = other.hash(&password, &mut Vec::new()).unwrap();
            assert!(hasher.is_outdated(&stored));
            let place = hasher.admit().unwrap();
            assert!(hasher.verify(place, &password, Some(&stored)).await);
            let anew = hasher.hash(&password).await.unwrap();
            assert!(!hasher.is_outdated(&anew));
            let place = hasher.admit().unwrap();
            assert!(hasher.verify(place, &password, Some(&anew)).await);
        }
        // The largest of them has left no more than others do.
        assert!(wiped(&hasher).iter().all(|blocks| *blocks <= 64));
    }

    #[tokio::test]
    async fn hashes_work_in_the_memory_of_those_before_and_leave_nothing_in_it() {
        let hasher = Hasher::new(COST, 2, 100).unwrap();
        for _ in 0..20 {
            let attempts: Vec<_> = (0..50).map(|_| Box::pin(attempt(&hasher))).collect();
            for attempt in attempts {
                assert!(attempt.await.is_ok());
            }
            let attempt = || attempt(&hasher);
            let (a, b, c) = tokio::join!(attempt(), attempt(), attempt());
            assert!(a.is_ok() && b.is_ok() && c.is_ok());
            let kept = wiped(&hasher);
            assert!((1..=2).contains(&kept.len()));
            assert!(kept.iter().all(|blocks| *blocks == 64));
        }
    }

    #[test]
    fn memory_is_wiped_unless_a_hash_is_about_to_overwrite_it() {
        let pool = Arc::new(Pool { each: 2, kept: Mutex::default() });
        let mut used = Block::default();
        used.as_mut().fill(7);
        let memory = || vec![used; 2];
        let state = || {
            let kept = pool.kept();
            (kept.used.len(), kept.wiped.len())
        };

        pool.give(memory());
        assert_eq!(state(), (0, 1));
        let waits = Waiting::new(&pool);
        pool.give(memory());
        pool.give(memory());
        assert_eq!(state(), (1, 2), "one is kept as it is, for the one that waits");
        let (_, taken) = waits.take();
        assert_eq!(AsRef::<[u64]>::as_ref(&taken[0])[0], 7);
        assert_eq!(state(), (0, 2));
        let gone = Waiting::new(&pool);
        pool.give(taken);
        assert_eq!(state(), (1, 2));
        drop(gone);
        assert_eq!(state(), (0, 3), "who waited has gone away");
        let kept = pool.kept();
        let mut words = kept.wiped.iter().flatten().flat_map(|b| AsRef::<[u64]>::as_ref(b).iter());
        assert!(words.all(|word| *word == 0));
    }

    #[test]
    fn what_was_in_the_memory_before_makes_no_difference() {
        let stored = hash("correct horse");
        let mut used = Block::default();
        used.as_mut().fill(7);
        for blocks in [0, 10, 64, 100] {
            let mut memory = vec![used; blocks];
            assert!(COST.matches("correct horse", &stored, &mut memory));
            assert!(!COST.matches("wrong horse", &stored, &mut memory));
            assert!(memory.iter().take(64).all(|block| AsRef::<[u64]>::as_ref(block)[0] != 7));
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_said_at_once() {
        let hasher = Hasher::new(COST, 1, 1).unwrap();
        let attempt = || attempt(&hasher);
        let (a, b, c) = tokio::join!(attempt(), attempt(), attempt());
        assert!(a.is_ok() && b.is_ok() && c.is_err());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_its_place() {
        let hasher = Hasher::new(COST, 1, 3).unwrap();
        for _ in 0..50 {
            let first = attempt(&hasher);
            let gone = tokio::time::timeout(std::time::Duration::ZERO, attempt(&hasher));
            let (first, _gone) = tokio::join!(first, gone);
            assert!(first.is_ok());
        }
        // Those that had begun end by themselves.
        let all = Arc::clone(&hasher.places).acquire_many_owned(4).await.unwrap();
        drop(all);
        wiped(&hasher);
    }
}
