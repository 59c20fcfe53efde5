//! Status lists (draft-ietf-oauth-status-list): a bit for each session, which whoever verifies
//! access tokens can fetch, so that a session that was ended is refused before its tokens expire.
//!
//! A session gets its place when it is opened. Whether its bit is set is nowhere but in the
//! session's row: a list is made from the sessions that were ended.

use crate::config::STATUS_LIST_LIFETIME;

/// How long a fetched list is good, in seconds: the member `ttl` and `max-age`.
pub(crate) const TTL: u64 = 60;

/// How long a list may be used that cannot be fetched again, in seconds.
pub(crate) const LIFETIME: u64 = STATUS_LIST_LIFETIME.as_secs();

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

    /// In the order in which they are to be tried.
    pub(crate) fn indices(&self) -> &[u32; 16] {
        &self.0
    }
}
