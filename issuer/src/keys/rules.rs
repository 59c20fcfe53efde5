//! The times of the steps of a key's life.

use super::{KeyRecord, KeyState, in_state};
use crate::{Config, KeyBits};

/// The intervals between the steps of a key's life, in seconds, and the size of new keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The least time from published to active.
    pub(crate) lead: u64,
    /// The time from active to retiring.
    pub(crate) period: u64,
    /// The least time from retiring to dropped.
    pub(crate) lag: u64,
    /// The greatest difference between clocks.
    pub(crate) skew: u64,
    /// The size of new keys.
    pub(crate) bits: KeyBits,
}

impl Rules {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            lead: config.publish_lead().as_secs(),
            period: config.rotation_period.as_secs(),
            lag: config.drop_lag().as_secs(),
            skew: config.clock_skew.as_secs(),
            bits: config.key_bits,
        }
    }

    /// Returns the time when the published key takes over from the active one.
    pub(crate) fn switches_at(&self, keys: &[KeyRecord]) -> Option<u64> {
        let active = in_state(keys, KeyState::Active)?;
        let next = in_state(keys, KeyState::Published)?;
        let by_age = active.activates_at.unwrap_or(active.published_at) + self.period;
        let due = next.activates_at.map_or(by_age, |asked| asked.min(by_age));
        Some(due.max(next.published_at + self.lead))
    }

    /// Returns the seconds until the published key signs.
    pub(crate) fn signs_in(&self, keys: &[KeyRecord], now: u64) -> u64 {
        self.switches_at(keys).unwrap_or(now).saturating_sub(now)
    }

    /// Pulls times of the far future back to `now`. A clock that was ahead wrote them, and the keys
    /// would stand still until then. Times within the clock skew stay: another issuer's clock may
    /// be a little ahead.
    fn possible(&self, key: &KeyRecord, now: u64) -> KeyRecord {
        let past = |at: u64| if at > now + self.skew { now } else { at };
        KeyRecord {
            published_at: past(key.published_at),
            activates_at: key.activates_at.map(past),
            retired_at: key.retired_at.map(past),
            drops_at: key.drops_at.map(|at| {
                let latest = now + self.skew + self.lag;
                if at > latest { now + self.lag } else { at }
            }),
            ..key.clone()
        }
    }

    /// Returns the number of new keys that [`Rules::step`] needs at `now`.
    pub(crate) fn spares_needed(&self, keys: &[KeyRecord], now: u64) -> usize {
        let keys = &keys.iter().map(|key| self.possible(key, now)).collect::<Vec<_>>();
        let missing = |state| usize::from(in_state(keys, state).is_none());
        let switch = self.switches_at(keys).is_some_and(|at| at <= now);
        missing(KeyState::Active) + missing(KeyState::Published) + usize::from(switch)
    }

    /// Returns the keys as they have to be at `now`. With too few `spares` a step waits for the
    /// next call. So one key is always active, and its successor is always published ahead of time.
    pub(crate) fn step(
        &self,
        keys: &[KeyRecord],
        now: u64,
        spares: &[KeyRecord],
    ) -> Vec<KeyRecord> {
        let mut spares = spares.iter().cloned().map(|key| KeyRecord { published_at: now, ..key });
        let keys = keys.iter().map(|key| self.possible(key, now));
        let mut keys: Vec<_> = keys.filter(|key| key.drops_at.is_none_or(|at| at > now)).collect();
        // If no key is active, one becomes active at once. In a new database no cache can hold an
        // older JWKS. After a revocation, signing with a key that some caches lack beats not
        // signing.
        if in_state(&keys, KeyState::Active).is_none() {
            let next = keys.iter().position(|key| key.state == KeyState::Published);
            let next = next.map(|index| keys.remove(index)).or_else(|| spares.next());
            keys.extend(next.map(|next| KeyRecord {
                state: KeyState::Active,
                activates_at: Some(now),
                ..next
            }));
        }
        if self.switches_at(&keys).is_some_and(|at| at <= now)
            && let Some(spare) = spares.next()
        {
            for key in &mut keys {
                match key.state {
                    KeyState::Active => {
                        key.state = KeyState::Retiring;
                        key.retired_at = Some(now);
                        key.drops_at = Some(now + self.lag);
                    }
                    KeyState::Published => {
                        key.state = KeyState::Active;
                        key.activates_at = Some(now);
                    }
                    KeyState::Retiring => {}
                }
            }
            keys.push(spare);
        }
        if in_state(&keys, KeyState::Published).is_none() {
            keys.extend(spares.next());
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Request;
    use crate::keys::forecast::to_come;

    const RULES: Rules =
        Rules { lead: 60, period: 1000, lag: 200, skew: 10, bits: KeyBits::Rsa2048 };

    fn spare(kid: usize) -> KeyRecord {
        to_come(kid.to_string())
    }

    fn step(keys: &[KeyRecord], now: u64, next: &mut usize) -> Vec<KeyRecord> {
        let spares: Vec<_> =
            (0..RULES.spares_needed(keys, now)).map(|i| spare(*next + i)).collect();
        *next += spares.len();
        RULES.step(keys, now, &spares)
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_outlives_what_it_signed() {
        let (mut keys, mut next) = (Vec::new(), 0);
        let mut asked = 0;
        for now in 5000..15000 {
            // A request to rotate in the middle of a period.
            if now % 1700 == 0 {
                let key = keys.iter_mut().find(|k: &&mut KeyRecord| k.state == KeyState::Published);
                key.unwrap().activates_at = Some(now);
                asked += 1;
            }
            let before = keys.clone();
            keys = step(&before, now, &mut next);
            let count = |state| keys.iter().filter(|key| key.state == state).count();
            assert_eq!((count(KeyState::Active), count(KeyState::Published)), (1, 1), "at {now}");
            for key in &keys {
                if key.state != KeyState::Published && key.kid != "0" {
                    assert!(key.activates_at.unwrap() >= key.published_at + RULES.lead);
                }
            }
            for gone in before.iter().filter(|old| !keys.iter().any(|key| key.kid == old.kid)) {
                assert_eq!(gone.state, KeyState::Retiring);
                assert!(now >= gone.retired_at.unwrap() + RULES.lag);
            }
            assert_eq!(step(&keys, now, &mut next), keys, "a second step at {now} does nothing");
        }
        assert!(next > 10 && asked > 4, "{next} keys, {asked} requests");
    }

    #[test]
    fn when_the_key_that_signs_is_revoked_the_next_one_signs_and_another_is_published() {
        let mut next = 0;
        let keys = step(&[], 1000, &mut next);
        let kids = |keys: &[KeyRecord]| {
            keys.iter().map(|key| (key.kid.clone(), key.state)).collect::<Vec<_>>()
        };
        let after = |kid: &str, keys: &[KeyRecord], next: &mut usize| {
            step(&Request::Revoke(kid.to_owned()).apply(keys, 1500), 1500, next)
        };
        let (active, published) = (KeyState::Active, KeyState::Published);
        let revoked = after("0", &keys, &mut next);
        assert_eq!(kids(&revoked), [("1".to_owned(), active), ("2".to_owned(), published)]);
        assert_eq!(revoked[0].activates_at, Some(1500));
        let revoked = after("1", &keys, &mut next);
        assert_eq!(kids(&revoked), [("0".to_owned(), active), ("3".to_owned(), published)]);
        assert_eq!(kids(&after("nobody", &keys, &mut next)), kids(&keys));
    }

    #[test]
    fn an_imported_key_takes_the_place_of_the_next_one_and_waits_for_caches_as_it_would() {
        let mut next = 0;
        let mut keys = step(&[], 1000, &mut next);
        keys[1].activates_at = Some(1010);
        let import = Request::Import(Box::new(spare(77)));
        let keys = step(&import.apply(&keys, 1050), 1050, &mut next);
        let kids: Vec<_> = keys.iter().map(|key| (key.kid.as_str(), key.state)).collect();
        assert_eq!(kids, [("0", KeyState::Active), ("77", KeyState::Published)]);
        assert_eq!(RULES.switches_at(&keys), Some(1050 + 60));
        assert_eq!(import.apply(&keys, 1060), keys, "a second time changes nothing");
        let keys = step(&keys, 1110, &mut next);
        assert_eq!((keys[1].kid.as_str(), keys[1].state), ("77", KeyState::Active));
        // One that signed is not brought back to be the next one.
        assert_eq!(import.apply(&keys, 1120), keys);
    }

    #[test]
    fn a_request_waits_until_caches_can_have_the_next_key() {
        let mut next = 0;
        let mut keys = step(&[], 1000, &mut next);
        keys[1].activates_at = Some(1010);
        assert_eq!(RULES.switches_at(&keys), Some(1060));
        assert_eq!(step(&keys, 1059, &mut next), keys);
        let switched = step(&keys, 1060, &mut next);
        let states: Vec<_> = switched.iter().map(|key| key.state).collect();
        assert_eq!(states, [KeyState::Retiring, KeyState::Active, KeyState::Published]);
    }

    #[test]
    fn keys_of_a_clock_that_was_far_ahead_do_not_stand_still() {
        let mut next = 0;
        let keys = step(&[], 1000, &mut next);
        // The clock was years ahead for a rotation, and is right again.
        let ahead = step(&keys, 9_000_000, &mut next);
        assert_eq!(RULES.switches_at(&ahead), Some(9_001_000));
        let right = step(&ahead, 1500, &mut next);
        let kids = |keys: &[KeyRecord]| keys.iter().map(|k| k.kid.clone()).collect::<Vec<_>>();
        assert_eq!(kids(&right), kids(&ahead), "no key is lost");
        assert_eq!(RULES.switches_at(&right), Some(2500));
        assert_eq!(right[0].drops_at, Some(1700));
        assert_eq!(right[2].published_at, 1500);
        // A clock that is ahead by no more than the skew is left alone.
        let beside = step(&keys, 2000, &mut next);
        assert_eq!(step(&beside, 1990, &mut next), beside);
        assert_ne!(step(&beside, 1989, &mut next), beside);
    }

    #[test]
    fn without_a_spare_nothing_is_switched() {
        let keys = step(&[], 1000, &mut 0);
        assert_eq!(RULES.step(&keys, 9000, &[]), keys);
    }
}
