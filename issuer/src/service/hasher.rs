//! Password hashes for logins: on threads of their own, within a budget of memory, and exactly one
//! for each attempt whatever is wrong with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use argon2::Block;
use prometheus::Histogram;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::Zeroizing;

use crate::login::password::{Cost, MAX_BYTES};
use crate::{Error, crypto};

/// Hashes and checks passwords.
pub(crate) struct Hasher {
    cost: Cost,
    dummy: String,
    /// How many hashes run or wait.
    places: Arc<Semaphore>,
    queue: Arc<Queue>,
    /// Held for writing by a hash that takes more memory than others: it runs alone.
    memory: Arc<RwLock<()>>,
    computed: Arc<AtomicU64>,
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
    /// `parallel` hashes of that cost run at a time, `waiting` more may wait.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub(crate) fn new(cost: Cost, parallel: usize, waiting: usize) -> Result<Self, Error> {
        let parallel = parallel.max(1);
        // Of the same cost as others, so that it takes as long.
        let dummy = cost.hash(&crypto::random_id()?, &mut Vec::new())?;
        let hasher = Self {
            cost,
            dummy,
            places: Arc::new(Semaphore::new(waiting.saturating_add(parallel))),
            queue: Arc::default(),
            memory: Arc::default(),
            computed: Arc::default(),
            seconds: None,
        };
        for _ in 0..parallel {
            let mut worker = Worker::new(Arc::clone(&hasher.queue), cost);
            thread::Builder::new()
                .name("password-hash".to_owned())
                .spawn(move || worker.work())
                .map_err(|e| Error::System(format!("cannot start a thread: {e}")))?;
        }
        Ok(hasher)
    }

    /// Lets the time of each hash be counted.
    pub(crate) fn timed_by(mut self, seconds: Histogram) -> Self {
        self.seconds = Some(seconds);
        self
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

    /// Does the work of one hash when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        admitted: Admitted,
        cost: Cost,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        let is_large = cost.memory() > self.cost.memory();
        let all_memory = Arc::clone(&self.memory);
        let (computed, seconds) = (Arc::clone(&self.computed), self.seconds.clone());
        self.queue.push(Box::new(move |memory| {
            if sender.is_closed() {
                return;
            }
            let _alone =
                is_large.then(|| all_memory.write().unwrap_or_else(PoisonError::into_inner));
            let _beside =
                (!is_large).then(|| all_memory.read().unwrap_or_else(PoisonError::into_inner));
            computed.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            let done = work(memory);
            if let Some(seconds) = seconds {
                seconds.observe(started.elapsed().as_secs_f64());
            }
            // It moved along, so that a client that hangs up frees nothing early.
            drop(admitted);
            let _ = sender.send(done);
        }));
        answer.await.ok()
    }

    /// How many hashes run, and how many wait.
    pub(crate) fn busy(&self) -> (usize, usize) {
        let waiting = self.queue.lock();
        (waiting.running, waiting.jobs.len())
    }

    /// How many hashes were computed so far.
    pub(crate) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }
}

impl Drop for Hasher {
    /// The threads end when nothing waits any more.
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

/// A hash to be computed, in that memory.
type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The hashes that wait, first come first served. A thread that is done takes its next one itself:
/// under load no core waits for another thread to hand it over.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    running: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_one();
    }
}

/// What one thread works with. It keeps its memory from one hash to the next: memory that is
/// allocated for each is kept by the allocator for each thread that ever ran one.
///
/// From what a hash leaves there, passwords could be tried at less than their price. It is wiped
/// before the thread waits, and not before another hash, as Argon2's first pass overwrites it: under
/// load that would be a twentieth of each login's price.
struct Worker {
    queue: Arc<Queue>,
    memory: Vec<Block>,
    /// So many blocks are kept.
    kept: usize,
}

impl Worker {
    fn new(queue: Arc<Queue>, cost: Cost) -> Self {
        Self { queue, memory: Vec::new(), kept: cost.memory() as usize }
    }

    fn work(&mut self) {
        while let Some(job) = self.next() {
            // Whose answer it was sees that there is none.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut self.memory)));
            self.queue.lock().running -= 1;
            if self.memory.len() > self.kept {
                self.wipe();
                self.memory.truncate(self.kept);
                self.memory.shrink_to_fit();
            }
        }
    }

    /// The next one, as soon as there is one; `None` once there will be none.
    fn next(&mut self) -> Option<Job> {
        let mut waiting = self.queue.lock();
        if waiting.jobs.is_empty() {
            drop(waiting);
            self.wipe();
            waiting = self.queue.lock();
        }
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                waiting.running += 1;
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.queue.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wipe(&mut self) {
        self.memory.fill(Block::default());
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
    }

    /// A worker whose memory a hash has just used, and its queue.
    fn used(blocks: usize) -> (Arc<Queue>, Worker) {
        let queue = Arc::<Queue>::default();
        let mut worker = Worker::new(Arc::clone(&queue), COST);
        let mut block = Block::default();
        block.as_mut().fill(7);
        worker.memory = vec![block; blocks];
        (queue, worker)
    }

    fn is_wiped(memory: &[Block]) -> bool {
        memory.iter().flat_map(AsRef::<[u64]>::as_ref).all(|word| *word == 0)
    }

    #[test]
    fn memory_is_wiped_unless_a_hash_is_about_to_overwrite_it() {
        let (queue, mut worker) = used(64);
        queue.push(Box::new(|memory| assert!(!is_wiped(memory))));
        queue.push(Box::new(|memory| assert!(!is_wiped(memory))));
        for left in [1, 0] {
            worker.next().unwrap()(&mut worker.memory);
            assert_eq!(queue.lock().jobs.len(), left);
        }
        queue.lock().closed = true;
        assert!(worker.next().is_none());
        assert!(is_wiped(&worker.memory));
        assert_eq!(worker.memory.len(), 64);
    }

    #[test]
    fn a_hash_that_takes_more_memory_than_others_leaves_no_more_than_they_do() {
        let (queue, mut worker) = used(10);
        queue.push(Box::new(|memory| memory.resize(1000, memory[0])));
        queue.push(Box::new(|memory| assert!(is_wiped(memory) && memory.len() == 64)));
        queue.lock().closed = true;
        worker.work();
        assert_eq!(worker.memory.capacity(), 64);
    }

    #[test]
    fn a_hash_that_panics_ends_no_thread() {
        let (queue, mut worker) = used(10);
        queue.push(Box::new(|_| panic!("a test")));
        queue.push(Box::new(Vec::clear));
        queue.lock().closed = true;
        worker.work();
        assert!(worker.memory.is_empty());
        assert_eq!(queue.lock().running, 0);
    }

    #[tokio::test]
    async fn one_that_was_stored_with_more_memory_runs_alone() {
        let hasher = Hasher::new(COST, 4, 100).unwrap();
        let running = Arc::<AtomicU64>::default();
        let hash = |cost: Cost| {
            let running = Arc::clone(&running);
            hasher.run(hasher.admit().unwrap(), cost, move |_| {
                let before = running.fetch_add(1, Ordering::SeqCst);
                thread::sleep(std::time::Duration::from_millis(2));
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
        // One that had begun ends by itself.
        let all = Arc::clone(&hasher.places).acquire_many_owned(4).await.unwrap();
        drop(all);
        assert_eq!(hasher.busy().1, 0);
    }
}
