use super::{KeyRecord, KeyState, Rules};

/// The number of planned rotations that operators see.
pub(crate) const ROTATIONS_SHOWN: usize = 3;

/// The past and future times of one key's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// `None` for a key that does not exist yet.
    pub(crate) kid: Option<String>,
    pub(crate) published: u64,
    pub(crate) activates: Option<u64>,
    pub(crate) retires: Option<u64>,
    pub(crate) drops: Option<u64>,
}

impl Life {
    fn new(key: &KeyRecord, made: bool) -> Self {
        let signed = key.state != KeyState::Published;
        Self {
            kid: made.then(|| key.kid.clone()),
            published: key.published_at,
            activates: key.activates_at.filter(|_| signed),
            retires: key.retired_at,
            drops: key.drops_at,
        }
    }
}

impl Rules {
    /// Returns the lives of the stored keys, and of those that the next `rotations` will make, if
    /// no operator asks for a change.
    pub(crate) fn forecast(&self, keys: &[KeyRecord], now: u64, rotations: usize) -> Vec<Life> {
        let stored: Vec<_> = keys.iter().map(|key| key.kid.clone()).collect();
        let mut lives: Vec<(String, Life)> = Vec::new();
        let mut record = |keys: &[KeyRecord]| {
            for key in keys {
                let life = Life::new(key, stored.contains(&key.kid));
                match lives.iter_mut().find(|(kid, _)| *kid == key.kid) {
                    Some((_, known)) => *known = life,
                    None => lives.push((key.kid.clone(), life)),
                }
            }
        };
        let (mut keys, mut now, mut made) = (keys.to_vec(), now, 0);
        for rotation in 0..=rotations {
            let spares: Vec<_> = (0..self.spares_needed(&keys, now))
                .map(|_| {
                    made += 1;
                    to_come(format!("to come {made}"))
                })
                .collect();
            keys = self.step(&keys, now, &spares);
            record(&keys);
            let Some(next) = self.switches_at(&keys) else { break };
            if rotation < rotations {
                now = next.max(now);
            }
        }
        lives.into_iter().map(|(_, life)| life).collect()
    }
}

/// A key that does not exist yet, with a provisional name. No thumbprint contains a space.
pub(super) fn to_come(kid: String) -> KeyRecord {
    KeyRecord {
        kid,
        bits: 0,
        n: String::new(),
        e: String::new(),
        sealed: Vec::new(),
        state: KeyState::Published,
        published_at: 0,
        activates_at: None,
        retired_at: None,
        drops_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn what_is_and_what_will_be_follow_one_another() {
        let rules = Rules::new(&Config::default());
        let keys =
            rules.step(&[], 1000, &[8, 9].map(|number| to_come(format!("to come {number}"))));
        let lives = rules.forecast(&keys, 2000, 2);
        let period = 30 * 86400;
        let life = |kid: Option<usize>, published, activates, retires: Option<u64>| Life {
            kid: kid.map(|number| format!("to come {number}")),
            published,
            activates,
            retires,
            drops: retires.map(|at| at + 1290),
        };
        let (first, second) = (1000 + period, 1000 + 2 * period);
        assert_eq!(
            lives,
            [
                life(Some(8), 1000, Some(1000), Some(first)),
                life(Some(9), 1000, Some(first), Some(second)),
                life(None, first, Some(second), None),
                life(None, second, None, None),
            ]
        );
    }
}
