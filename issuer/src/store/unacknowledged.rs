//! Refreshes whose answer did not arrive.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::session::SessionId;

/// The rotations that may have been committed although no client got the successor: the database
/// failed at COMMIT, or the caller stopped waiting. If a client presents the token before such a
/// rotation again, it is not a replay, even if the database stood still for longer than the grace.
/// Other issuers do not know these rotations. For them, the grace began with the rotation.
///
/// `R` tells a rotation of a session from its other ones. A session has one entry, so that nobody
/// can push out those of others by giving up many refreshes of one session.
pub(super) struct Unacknowledged<R>(Mutex<VecDeque<(SessionId, R)>>);

impl<R: Copy + PartialEq> Unacknowledged<R> {
    /// The most rotations that are kept. The oldest one is forgotten first.
    const MAX: usize = 4096;

    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// Begins a refresh that may make that rotation.
    pub(super) fn begin(self: &Arc<Self>, session: SessionId, rotation: R) -> InFlight<R> {
        let may_be_committed = AtomicBool::new(false);
        InFlight { session, rotation, may_be_committed, unacknowledged: Arc::clone(self) }
    }

    fn add(&self, session: SessionId, rotation: R) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _)| *other != session);
        all.push_back((session, rotation));
        if all.len() > Self::MAX {
            all.pop_front();
        }
    }

    fn remove(&self, session: SessionId, rotation: R) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| *one != (session, rotation));
    }

    fn contains(&self, session: SessionId, rotation: R) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains(&(session, rotation))
    }
}

/// An in-flight refresh. If it is dropped before it is acknowledged, its rotation counts as
/// unacknowledged.
pub(super) struct InFlight<R: Copy + PartialEq> {
    session: SessionId,
    pub(super) rotation: R,
    may_be_committed: AtomicBool,
    unacknowledged: Arc<Unacknowledged<R>>,
}

impl<R: Copy + PartialEq> InFlight<R> {
    /// Returns the rotation to write. From now on it may be committed.
    pub(super) fn rotate(&self) -> R {
        self.may_be_committed.store(true, Ordering::Relaxed);
        self.rotation
    }

    /// Returns true if no client got the successor of that rotation of the session.
    pub(super) fn is_unacknowledged(&self, rotation: R) -> bool {
        self.unacknowledged.contains(self.session, rotation)
    }

    /// Ends the refresh after its transaction returned a result to the caller.
    pub(super) fn acknowledge(&self) {
        if self.may_be_committed.swap(false, Ordering::Relaxed) {
            // An earlier refresh may have failed to make the same rotation.
            self.unacknowledged.remove(self.session, self.rotation);
        }
    }
}

impl<R: Copy + PartialEq> Drop for InFlight<R> {
    fn drop(&mut self) {
        if *self.may_be_committed.get_mut() {
            self.unacknowledged.add(self.session, self.rotation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_gives_up_many_refreshes_pushes_out_no_other() {
        let all = Unacknowledged::new();
        let give_up = |session: u16, rotation: usize| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&session.to_be_bytes());
            all.begin(id, rotation).rotate();
            id
        };
        let first = give_up(0, 0);
        let mut second = first;
        for rotation in 0..=Unacknowledged::<usize>::MAX {
            second = give_up(1, rotation);
        }
        assert!(all.contains(first, 0));
        assert!(!all.contains(second, 0));
        assert!(all.contains(second, Unacknowledged::<usize>::MAX));
        for session in 2..4097 {
            give_up(session, 0);
        }
        assert!(!all.contains(first, 0), "the entries are not bounded");
        assert!(all.contains(second, Unacknowledged::<usize>::MAX));
    }

    #[test]
    fn an_acknowledged_refresh_leaves_no_entry() {
        let all = Unacknowledged::new();
        all.begin([1; 16], 7).rotate();
        let again = all.begin([1; 16], 7);
        assert!(again.is_unacknowledged(7));
        again.rotate();
        again.acknowledge();
        drop(again);
        assert!(!all.contains([1; 16], 7));
    }
}
