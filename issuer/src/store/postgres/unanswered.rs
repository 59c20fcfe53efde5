use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

/// The refreshes that may have moved a counter, and of which nobody was told: the connection was
/// lost after COMMIT. Nobody has the successor that they made, so that the token before it is not
/// replayed when it comes again, however late the database came back. (Where it comes to another
/// issuer, the grace is what it has.)
#[derive(Default)]
pub(super) struct Unanswered(Mutex<VecDeque<Rotation>>);

/// The random number of a refresh: tells its change of a session from any other.
pub(super) type Rotation = [u8; 16];

/// A refresh that is under way. Dropped before it is answered (it failed, or who asked has gone
/// away), it is unanswered from then on.
pub(super) struct UnderWay<'a> {
    pub(super) rotation: Rotation,
    /// Whether the counter may have been moved.
    pub(super) moved: AtomicBool,
    pub(super) answered: bool,
    pub(super) unanswered: &'a Unanswered,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.answered && *self.moved.get_mut() {
            self.unanswered.add(self.rotation);
        }
    }
}

impl Unanswered {
    /// Each is kept until so many others have come.
    const MOST: usize = 4096;

    fn add(&self, rotation: Rotation) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(rotation);
        if all.len() > Self::MOST {
            all.pop_front();
        }
    }

    pub(super) fn contains(&self, rotation: &[u8]) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|one| one == rotation)
    }
}
