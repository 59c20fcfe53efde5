//! Status lists (draft-ietf-oauth-status-list): one bit for each session, in lists that verifiers
//! fetch. So a verifier can refuse an ended session before its access tokens expire.
//!
//! A session gets its index when it is opened. Its bit is not stored: a list is computed from the
//! rows of ended sessions.

use crate::config::STATUS_LIST_LIFETIME;

/// The lifetime of a fetched list in caches, in seconds: its `ttl` and `max-age`.
pub(crate) const TTL: u64 = 60;

/// The validity of a signed list, in seconds. If the issuer is down, verifiers can use a list that
/// long.
pub(crate) const LIFETIME: u64 = STATUS_LIST_LIFETIME.as_secs();

/// The list and index of a session's bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StatusIndex {
    /// The number of the list; the first is 1.
    pub(crate) list: u32,
    pub(crate) index: u32,
}

/// Candidate indices for a new session. It gets the first one that is free in the newest list. They
/// are random, so that an index does not tell when its session began.
///
/// If all of them are taken, the list counts as full and the next list begins. When half of a list
/// is taken, that happens with a probability of 2⁻¹⁶ for each login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates([u32; 16]);

impl Candidates {
    /// Candidates for a list of `size` bits, from 64 random bytes.
    pub(crate) fn from_random(random: [u8; 64], size: u32) -> Self {
        let mut indices = [0; 16];
        for (index, bytes) in indices.iter_mut().zip(random.as_chunks().0) {
            *index = u32::from_le_bytes(*bytes) % size.max(1);
        }
        Self(indices)
    }

    /// Returns the candidates in the order in which they are tried.
    pub(crate) fn indices(&self) -> &[u32; 16] {
        &self.0
    }

    /// Returns the first candidate that is free in the newest list. If all are taken, returns the
    /// first candidate in the next list. `newest` is 0 if there is no list yet.
    ///
    /// # Errors
    ///
    /// The error of `is_taken`, which is asked about indices of the newest list.
    pub(crate) fn choose<E>(
        &self,
        newest: u32,
        mut is_taken: impl FnMut(StatusIndex) -> Result<bool, E>,
    ) -> Result<StatusIndex, E> {
        let list = newest.max(1);
        for index in self.0 {
            let candidate = StatusIndex { list, index };
            if !is_taken(candidate)? {
                return Ok(candidate);
            }
        }
        let [index, ..] = self.0;
        Ok(StatusIndex { list: list + 1, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_candidate_is_chosen_and_a_full_list_is_followed_by_the_next() {
        let mut random = [0; 64];
        for (byte, index) in random.iter_mut().step_by(4).zip(10..) {
            *byte = index;
        }
        let candidates = Candidates::from_random(random, 1 << 17);
        for (newest, taken, list, index) in
            [(0, 10, 1, 10), (1, 10, 1, 10), (1, 12, 1, 12), (5, 25, 5, 25), (5, 26, 6, 10)]
        {
            let chosen = candidates.choose(newest, |candidate| {
                assert_eq!(candidate.list, newest.max(1));
                Ok::<_, ()>(candidate.index < taken)
            });
            assert_eq!(chosen, Ok(StatusIndex { list, index }), "{newest}, {taken}");
        }
    }
}
