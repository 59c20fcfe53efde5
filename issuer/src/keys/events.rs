//! The events in the audit log that a change of the keys causes.

use super::{KeyRecord, KeyState, Vault};
use crate::audit::{Event, NO_SUBJECT};

/// Returns each event of a change, with its subject.
pub(crate) fn events(before: &Vault, after: &Vault, now: u64) -> Vec<(Event, String)> {
    let remains = |old: &KeyRecord| after.keys.iter().any(|key| key.kid == old.kid);
    let mut events = Vec::new();
    for old in before.keys.iter().filter(|old| !remains(old)) {
        let was_due = old.drops_at.is_some_and(|at| at <= now);
        let event = if was_due { Event::KeyDropped } else { Event::KeyWithdrawn };
        events.push((event, old.kid.clone()));
    }
    for key in &after.keys {
        let old = before.keys.iter().find(|old| old.kid == key.kid);
        events.extend(event_of(old, key).map(|event| (event, key.kid.clone())));
    }
    if before.secret.is_some() && before.secret != after.secret {
        // A new master key reseals the keys as well.
        let secret_alone = before.keys == after.keys;
        let event = if secret_alone { Event::SecretExchanged } else { Event::MasterKeyChanged };
        events.push((event, NO_SUBJECT.to_owned()));
    }
    events
}

fn event_of(old: Option<&KeyRecord>, key: &KeyRecord) -> Option<Event> {
    // A key that was only resealed has no event of its own: one event covers all of them.
    if old.is_some_and(|old| KeyRecord { sealed: key.sealed.clone(), ..old.clone() } == *key) {
        return None;
    }
    let was_not_requested = |old: &KeyRecord| old.state == key.state && old.activates_at.is_none();
    Some(match key.state {
        KeyState::Published if key.activates_at.is_some() && old.is_some_and(was_not_requested) => {
            Event::KeyRotationRequested
        }
        KeyState::Published => Event::KeyPublished,
        KeyState::Active => Event::KeyActive,
        KeyState::Retiring => Event::KeyRetiring,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn published() -> KeyRecord {
        KeyRecord {
            kid: "a".to_owned(),
            bits: 2048,
            n: "n".to_owned(),
            e: "AQAB".to_owned(),
            sealed: vec![0, 255, 7],
            state: KeyState::Published,
            published_at: NOW,
            activates_at: None,
            retired_at: None,
            drops_at: None,
        }
    }

    #[test]
    fn each_change_of_a_key_has_its_own_event() {
        let published = published();
        let requested = KeyRecord { activates_at: Some(NOW), ..published.clone() };
        let active = KeyRecord { state: KeyState::Active, ..requested.clone() };
        let retiring =
            KeyRecord { state: KeyState::Retiring, drops_at: Some(NOW + 9), ..active.clone() };
        let resealed = KeyRecord { sealed: vec![1], ..retiring.clone() };
        for (before, after, now, expected) in [
            (None, Some(&published), NOW, Some(Event::KeyPublished)),
            (Some(&published), Some(&requested), NOW, Some(Event::KeyRotationRequested)),
            (Some(&published), Some(&active), NOW, Some(Event::KeyActive)),
            (Some(&requested), Some(&active), NOW, Some(Event::KeyActive)),
            (Some(&active), Some(&retiring), NOW, Some(Event::KeyRetiring)),
            (Some(&retiring), Some(&resealed), NOW, None),
            (Some(&retiring), None, NOW + 9, Some(Event::KeyDropped)),
            (Some(&retiring), None, NOW + 8, Some(Event::KeyWithdrawn)),
            (Some(&active), None, NOW, Some(Event::KeyWithdrawn)),
            (Some(&requested), None, NOW, Some(Event::KeyWithdrawn)),
        ] {
            let [before, after] = [before, after]
                .map(|key| Vault { keys: key.into_iter().cloned().collect(), ..Vault::default() });
            let expected: Vec<_> =
                expected.map(|event| (event, "a".to_owned())).into_iter().collect();
            assert_eq!(events(&before, &after, now), expected);
        }
    }

    #[test]
    fn a_new_secret_has_an_event_that_says_if_the_master_key_changed() {
        let resealed = KeyRecord { sealed: vec![1], ..published() };
        let vault = |key: &KeyRecord, secret: u8| Vault {
            keys: vec![key.clone()],
            secret: Some(vec![secret]),
            factor_key: Some(vec![secret]),
        };
        for (after, expected) in [
            (vault(&published(), 2), Event::SecretExchanged),
            (vault(&resealed, 2), Event::MasterKeyChanged),
        ] {
            let events = events(&vault(&published(), 1), &after, NOW);
            assert_eq!(events, [(expected, "-".to_owned())]);
        }
    }
}
