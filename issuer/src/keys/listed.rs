use super::{KeyRecord, KeyState, Rules};

/// A key with its times: past ones as they were, future ones as planned.
#[derive(Clone, Copy)]
pub(crate) struct ListedKey<'a> {
    pub(crate) record: &'a KeyRecord,
    pub(crate) activates_at: Option<u64>,
    pub(crate) retires_at: Option<u64>,
}

impl Rules {
    pub(crate) fn list<'a>(&self, keys: &'a [KeyRecord]) -> Vec<ListedKey<'a>> {
        let switches_at = self.switches_at(keys);
        let listed = |record: &'a KeyRecord| {
            let (activates_at, retires_at) = match record.state {
                KeyState::Published => (switches_at, None),
                KeyState::Active => (record.activates_at, switches_at),
                KeyState::Retiring => (record.activates_at, record.retired_at),
            };
            ListedKey { record, activates_at, retires_at }
        };
        keys.iter().map(listed).collect()
    }
}
