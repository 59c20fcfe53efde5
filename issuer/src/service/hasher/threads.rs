//! The threads that compute password hashes, and the queue in front of them.
//!
//! Tokio's `spawn_blocking` behind a semaphore costs more. Measured on two cores with 19 MiB and two
//! passes, two hashes at a time, in turns of 2 s in one process:
//!
//! | | CPU time of a hash | memory after a burst |
//! |---|---|---|
//! | these threads | 28.5 ms | 41 MiB |
//! | `spawn_blocking`, memory allocated for each hash and wiped after it | 38.0 ms | 269 MiB |
//! | `spawn_blocking`, memory from a pool and wiped after each hash | 30.1 ms | 41 MiB |
//!
//! The rest of the difference is the wipe. A pool cannot skip it while others wait, because a
//! waiting login may be cancelled before it overwrites the memory.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use argon2::Block;

use super::Cost;
use crate::Error;

/// Computes one hash in the memory of a thread.
pub(super) type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The hashes that have a turn, in order of arrival. They are few: the fair queue is in front of this
/// one.
///
/// A thread that finishes a hash takes the next job itself. Under load no core waits for another
/// thread to hand over a job.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    running: usize,
    closed: bool,
}

impl Queue {
    /// Starts `threads` threads, each of which keeps the memory of one hash of `cost`.
    pub(super) fn start(threads: usize, cost: Cost) -> Result<Arc<Self>, Error> {
        let queue = Arc::<Self>::default();
        for _ in 0..threads {
            let mut worker = Worker::new(Arc::clone(&queue), cost);
            let thread = thread::Builder::new().name("password-hash".to_owned());
            thread.spawn(move || worker.work()).map_err(|e| {
                queue.close();
                Error::System(format!("cannot start a thread: {e}"))
            })?;
        }
        Ok(queue)
    }

    pub(super) fn push(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Counts the hashes that run and those that wait.
    pub(super) fn busy(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.jobs.len())
    }

    /// Lets each thread end once no job waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread and the memory that it keeps from one hash to the next.
///
/// Leftover memory would let an attacker test guesses cheaply, so it is wiped before the thread
/// waits. It is not wiped between two hashes, because the first pass of argon2 overwrites it.
struct Worker {
    queue: Arc<Queue>,
    memory: Vec<Block>,
    /// The most blocks that are kept after a hash.
    kept: usize,
}

impl Worker {
    fn new(queue: Arc<Queue>, cost: Cost) -> Self {
        Self { queue, memory: Vec::new(), kept: cost.memory() as usize }
    }

    fn work(&mut self) {
        while let Some(job) = self.next() {
            // After a panic the caller finds its channel closed.
            let _ = catch_unwind(AssertUnwindSafe(|| job(&mut self.memory)));
            self.queue.lock().running -= 1;
            if self.memory.len() > self.kept {
                self.wipe();
                self.memory.truncate(self.kept);
                self.memory.shrink_to_fit();
            }
        }
    }

    /// Waits for a job. Returns `None` once the queue is closed and empty.
    fn next(&mut self) -> Option<Job> {
        let mut state = self.queue.lock();
        if state.jobs.is_empty() {
            drop(state);
            self.wipe();
            state = self.queue.lock();
        }
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.running += 1;
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
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

    /// A worker with the memory of a hash that has just ended, and its queue.
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
    fn memory_is_wiped_unless_another_hash_is_about_to_overwrite_it() {
        let (queue, mut worker) = used(64);
        queue.push(Box::new(|memory| assert!(!is_wiped(memory))));
        queue.push(Box::new(|memory| assert!(!is_wiped(memory))));
        for waiting in [1, 0] {
            worker.next().unwrap()(&mut worker.memory);
            assert_eq!(queue.busy().1, waiting);
        }
        queue.close();
        assert!(worker.next().is_none());
        assert!(is_wiped(&worker.memory));
        assert_eq!(worker.memory.len(), 64);
    }

    #[test]
    fn the_additional_memory_of_a_large_hash_is_wiped_and_freed() {
        let (queue, mut worker) = used(10);
        queue.push(Box::new(|memory| memory.resize(1000, memory[0])));
        queue.push(Box::new(|memory| assert!(is_wiped(memory) && memory.len() == 64)));
        queue.close();
        worker.work();
        assert_eq!(worker.memory.capacity(), 64);
    }

    #[test]
    fn a_hash_that_panics_does_not_end_its_thread() {
        let (queue, mut worker) = used(10);
        queue.push(Box::new(|_| panic!("a test")));
        queue.push(Box::new(Vec::clear));
        queue.close();
        worker.work();
        assert!(worker.memory.is_empty());
        assert_eq!(queue.busy().0, 0);
    }
}
