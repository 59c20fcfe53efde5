//! Status lists (draft-ietf-oauth-status-list): a bit for each session, which whoever verifies
//! access tokens can fetch, so that a session that was ended is refused before its tokens expire.
//!
//! A session gets its place when it is opened. Whether its bit is set is nowhere but in the
//! session's row: a list is made from the sessions that were ended.

/// How long a fetched list is good, in seconds: the member `ttl` and `max-age`.
pub(crate) const TTL: u64 = 60;

/// How long a list lives when it cannot be fetched again, in seconds: access tokens are good for
/// about as long while the issuer is away.
pub(crate) const LIFETIME: u64 = 15 * 60;

/// The bits in a list. It is always that long, so that its length says nothing about how many
/// sessions there are.
pub(crate) const SIZE: u32 = 1 << 17;

/// The list and index of a session's bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StatusIndex {
    /// The number of the list; the first is 1.
    pub(crate) list: u32,
    pub(crate) index: u32,
}

/// Indices that were drawn at random, so that they say nothing about who came before whom. A
/// session gets the first that is free in the newest list.
///
/// Where all of them are taken, the list counts as full and the next one begins. That is when a
/// little more than half of it is taken: the probability of it is 2⁻¹⁶ then, for each login.
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
        let candidates = Candidates::from_random(random, SIZE);
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
