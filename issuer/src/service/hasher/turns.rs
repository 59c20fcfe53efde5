//! Turns: the right to compute one hash. Logins without one wait in a fair queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::QueueFull;
use crate::login::fair_queue::{FairQueue, Origin};

/// The turns that nobody has, and the logins that wait for one.
pub(super) struct Turns(Mutex<State>);

struct State {
    free: usize,
    waiting: FairQueue<oneshot::Sender<Turn>>,
}

/// A turn. Dropping it gives it to the next login.
pub(crate) struct Turn(Arc<Turns>);

impl Turns {
    pub(super) fn new(turns: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { free: turns, waiting: FairQueue::new(waiting) })))
    }

    /// Waits for a turn. Fails if the queue is full and this login, now or later, is the one to
    /// refuse. A caller that goes away waits no more.
    pub(super) async fn take(self: &Arc<Self>, origin: Origin) -> Result<Turn, QueueFull> {
        let turn = {
            let mut state = self.lock();
            if let Some(free) = state.free.checked_sub(1) {
                state.free = free;
                return Ok(Turn(Arc::clone(self)));
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.retain(|waiting| !waiting.is_closed());
            // Dropping a sender refuses its login.
            drop(state.waiting.push(origin, sender));
            turn
        };
        turn.await.map_err(|_| QueueFull)
    }

    /// Counts the logins that wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        let mut state = self.lock();
        state.waiting.retain(|waiting| !waiting.is_closed());
        state.waiting.len()
    }

    /// Returns the next login. Without one, the turn becomes free.
    fn next(&self) -> Option<oneshot::Sender<Turn>> {
        let mut state = self.lock();
        state.waiting.retain(|waiting| !waiting.is_closed());
        let next = state.waiting.pop();
        state.free += usize::from(next.is_none());
        next
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(next) = self.0.next() {
            // If that login has gone away just now, its turn is dropped and goes to the one after it.
            let _ = next.send(Self(Arc::clone(&self.0)));
        }
    }
}
