//! Turns of changes that lock the same row.
//!
//! A change waits with its connection until the row is free. Without turns, many requests for one row
//! would take all connections for writes, and those for other rows would wait with them.

use std::hash::{BuildHasher, Hash, RandomState};

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::connect::TIME_IN_QUEUE;
use super::failure::unavailable;
use crate::store::StoreError;

/// The number of turns. Rows that share one wait for each other, which only costs time.
const COUNT: usize = 1024;

/// The turns of all rows.
pub(super) struct Turns {
    /// Random, so that nobody can choose rows that share a turn.
    hasher: RandomState,
    turns: Box<[Mutex<()>]>,
}

impl Turns {
    pub(super) fn new() -> Self {
        let turns = (0..COUNT).map(|_| Mutex::default()).collect();
        Self { hasher: RandomState::new(), turns }
    }

    /// Waits for the turn of a row.
    ///
    /// # Errors
    ///
    /// [`StoreError`] after [`TIME_IN_QUEUE`].
    pub(super) async fn take(&self, row: impl Hash) -> Result<MutexGuard<'_, ()>, StoreError> {
        let place = self.hasher.hash_one(row) as usize % COUNT;
        #[expect(clippy::indexing_slicing, reason = "there are as many")]
        let turn = timeout(TIME_IN_QUEUE, self.turns[place].lock()).await;
        turn.map_err(|_| unavailable("too many changes of the same row wait for it"))
    }
}
