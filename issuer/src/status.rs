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

    /// The indices in the order in which they are tried.
    pub(crate) fn indices(&self) -> &[u32; 16] {
        &self.0
    }
}
