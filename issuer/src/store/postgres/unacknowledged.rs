//! Refreshes whose COMMIT was not acknowledged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The random number of a refresh. The session's row has the number of its last rotation.
pub(super) type Rotation = [u8; 16];

/// The rotations that may have been committed although no client got the successor: the connection
/// was lost after COMMIT, or the caller stopped waiting. If a client presents the token before such
/// a rotation again, it is not a replay, even if the database was unreachable for longer than the
/// grace. The answer begins the grace for all issuers: it changes the number in the session's row.
/// Before it, other issuers do not know these rotations. For them, the grace began with the rotation.
#[derive(Default)]
pub(super) struct Unacknowledged(Mutex<VecDeque<Rotation>>);

impl Unacknowledged {
    /// The most rotations that are kept. The oldest one is forgotten first.
    const MAX: usize = 4096;

    /// Begins a refresh with a random number.
    pub(super) fn begin(&self, rotation: Rotation) -> InFlight<'_> {
        InFlight { rotation, may_be_committed: AtomicBool::new(false), unacknowledged: self }
    }

    fn add(&self, rotation: Rotation) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(rotation);
        if all.len() > Self::MAX {
            all.pop_front();
        }
    }

    fn contains(&self, rotation: &[u8]) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|one| one == rotation)
    }
}

/// An in-flight refresh. If it is dropped before it is acknowledged, its rotation counts as
/// unacknowledged.
pub(super) struct InFlight<'a> {
    rotation: Rotation,
    may_be_committed: AtomicBool,
    unacknowledged: &'a Unacknowledged,
}

impl InFlight<'_> {
    /// Returns the number to write into the session's row. From now on the rotation may be committed.
    pub(super) fn rotate(&self) -> Rotation {
        self.may_be_committed.store(true, Ordering::Relaxed);
        self.rotation
    }

    /// Returns true if no client got the successor of that rotation: it is unacknowledged, or an
    /// earlier run of this refresh made it.
    pub(super) fn has_no_recipient(&self, rotation: &[u8]) -> bool {
        rotation == self.rotation || self.unacknowledged.contains(rotation)
    }

    /// Ends the refresh after its transaction returned a result.
    pub(super) fn acknowledge(mut self) {
        *self.may_be_committed.get_mut() = false;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if *self.may_be_committed.get_mut() {
            self.unacknowledged.add(self.rotation);
        }
    }
}
