//! A limit on the fetches for tokens whose `kid` is not in the key set. Anyone can make up a `kid`.

use std::{collections::HashMap, time::Duration};

use crate::lifetime::is_within;

/// The time for which a `kid` that two fetches did not bring is not fetched again.
const NEGATIVE_TTL: Duration = Duration::from_secs(30);

/// More than can be fetched in [`NEGATIVE_TTL`] with the shortest cooldown.
const MAX_ENTRIES: usize = 64;

/// A cooldown for all unknown `kid`s, and a negative cache for each.
#[derive(Debug)]
pub(crate) struct UnknownKids {
    cooldown: Duration,
    last_fetch: Option<Duration>,
    /// Each `kid` with the time of its last fetch, counted from the second fetch on.
    negative: HashMap<String, Option<Duration>>,
}

impl UnknownKids {
    pub(crate) fn new(cooldown: Duration) -> Self {
        Self { cooldown, last_fetch: None, negative: HashMap::new() }
    }

    /// Returns true if a fetch for this `kid` may begin now, and counts it.
    ///
    /// The second fetch may follow after the cooldown, because another server of the endpoint may
    /// have the new set. After that the `kid` waits longer, so that keys gone for good do not use up
    /// the cooldown.
    pub(crate) fn may_fetch(&mut self, kid: &str, now: Duration) -> bool {
        let within =
            |start: Option<Duration>, span| start.is_some_and(|start| is_within(start, span, now));
        let known = self.negative.get(kid).copied();
        if within(self.last_fetch, self.cooldown) || within(known.flatten(), NEGATIVE_TTL) {
            return false;
        }
        if self.negative.len() >= MAX_ENTRIES {
            self.negative.clear();
        }
        self.negative.insert(kid.to_owned(), known.map(|_| now));
        self.last_fetch = Some(now);
        true
    }

    /// Empties the negative cache. The cooldown goes on.
    pub(crate) fn clear(&mut self) {
        self.negative.clear();
    }
}
