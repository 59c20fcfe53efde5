//! Changes of the keys that an operator asks for.

use super::{KeyRecord, KeyState};

/// What an operator may ask of the keys.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// What is due, and nothing else.
    Nothing,
    /// That the published key takes over as soon as it may.
    Rotate,
    /// That the key of this kid is gone at once. If it signs, the published one does from now on.
    Revoke(String),
    /// That this key is the next one. The one that was has signed nothing, and is gone.
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
            // An earlier run of this was committed.
            Self::Import(new) if keys.iter().any(|key| key.kid == new.kid) => {}
            Self::Import(new) => {
                let next = keys.iter().position(|key| key.state == KeyState::Published);
                let replaced = next.map(|index| keys.remove(index));
                // That a rotation was asked for holds for whatever is next.
                let activates_at = replaced.and_then(|key| key.activates_at);
                keys.push(KeyRecord { published_at: now, activates_at, ..(**new).clone() });
            }
        }
        keys
    }
}
