//! Changes that an operator asks for: rotate, revoke, import.

use super::{KeyRecord, KeyState};

/// A request of an operator.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// No request: only steps that are due.
    Nothing,
    /// The published key takes over as soon as it may.
    Rotate,
    /// The key with this kid is dropped at once. If it was active, the published key signs from now
    /// on.
    Revoke(String),
    /// This key becomes the published one. It replaces the key that was published, which has signed
    /// nothing.
    Import(Box<KeyRecord>),
}

impl Request {
    pub(crate) fn apply(&self, keys: &[KeyRecord], now: u64) -> Vec<KeyRecord> {
        let mut keys = keys.to_vec();
        match self {
            Self::Nothing => {}
            Self::Rotate => {
                for key in keys.iter_mut().filter(|key| key.state == KeyState::Published) {
                    key.activates_at = Some(key.activates_at.unwrap_or(now).min(now));
                }
            }
            Self::Revoke(kid) => keys.retain(|key| key.kid != *kid),
            // A retry: the first attempt was committed and its answer lost.
            Self::Import(new) if keys.iter().any(|key| key.kid == new.kid) => {}
            Self::Import(new) => {
                let next = keys.iter().position(|key| key.state == KeyState::Published);
                let replaced = next.map(|index| keys.remove(index));
                // A requested rotation stays requested.
                let activates_at = replaced.and_then(|key| key.activates_at);
                keys.push(KeyRecord { published_at: now, activates_at, ..(**new).clone() });
            }
        }
        keys
    }
}
