//! Failed logins on their way to the audit log. They are counted in memory, and written once a minute:
//! an entry for each user and network, and not more than a fixed number of entries. So a flood of
//! guesses neither waits for the database nor fills it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::audit::{Event, NO_SUBJECT, Network, NetworkNames, NewEntry};
use crate::network::network_of;
use crate::store::Store;

/// The time that failed logins are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// The most entries of a window. Further failures are counted together, without user and network.
const MOST: usize = 100;

/// The most of these entries without a user. Nobody can hide guesses at a user behind unknown names.
const MOST_WITHOUT_USER: usize = 50;

/// The most of these entries of one user. Further failures of the user are counted together, without
/// network. So nobody can hide guesses at others behind one name and many networks.
const MOST_OF_USER: usize = 20;

/// The failed logins that are not in the audit log yet.
pub(crate) struct FailedLogins {
    counts: Mutex<HashMap<Key, Count>>,
    /// The first failure of a window.
    begun: Notify,
    names: Arc<NetworkNames>,
    window: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    event: Event,
    /// `None` for a name that no user has. Such a name is not kept: people type passwords into the
    /// field for the name.
    user_id: Option<String>,
    network: Option<IpAddr>,
}

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    /// The time of the last one.
    at: u64,
}

impl FailedLogins {
    /// `names` are the names of networks in the audit log.
    pub(super) fn new(names: Arc<NetworkNames>) -> Self {
        Self { counts: Mutex::default(), begun: Notify::new(), names, window: WINDOW }
    }

    /// Counts one.
    pub(super) fn add(&self, event: Event, user_id: Option<&str>, client: IpAddr, now: u64) {
        let network = Some(network_of(client));
        let key = Key { event, user_id: user_id.map(str::to_owned), network };
        self.count(key, Count { failures: 1, at: now });
    }

    fn count(&self, mut key: Key, Count { failures, at }: Count) {
        let mut counts = self.lock();
        if !counts.contains_key(&key) {
            let most = if key.user_id.is_some() { MOST_OF_USER } else { MOST_WITHOUT_USER };
            if counts.keys().filter(|other| other.user_id == key.user_id).count() >= most {
                key.network = None;
            }
            if counts.len() >= MOST && !counts.contains_key(&key) {
                key.user_id = None;
                key.network = None;
            }
        }
        let count = counts.entry(key).or_insert(Count { failures: 0, at });
        count.failures = count.failures.saturating_add(failures);
        count.at = count.at.max(at);
        self.begun.notify_one();
    }

    /// Writes the failures of each window. Runs until it is dropped.
    pub(super) async fn work(&self, store: &dyn Store) {
        loop {
            self.begun.notified().await;
            sleep(self.window).await;
            self.write(store).await;
        }
    }

    /// Writes the failures that are not in the audit log yet. If the database fails, they stay for the
    /// next window. Then they may be written twice, if only the answer of the database was lost.
    pub(super) async fn write(&self, store: &dyn Store) {
        let counts = std::mem::take(&mut *self.lock());
        if counts.is_empty() {
            return;
        }
        let mut entries: Vec<_> =
            counts.iter().map(|(key, count)| self.entry(key, *count)).collect();
        entries.sort_by_key(|entry| entry.at);
        if let Err(e) = store.record(entries).await {
            tracing::error!("failed logins cannot be written to the audit log: {e}");
            for (key, count) in counts {
                self.count(key, count);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, key: &Key, count: Count) -> NewEntry {
        let network = key.network.map(|network| Network::of(network, &self.names).to_string());
        NewEntry {
            user_id: key.user_id.clone(),
            network,
            count: count.failures,
            ..NewEntry::of(count.at, key.event, key.user_id.as_deref().unwrap_or(NO_SUBJECT))
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;
    use crate::audit::AuditFilter;
    use crate::config::{AuditNetwork, DatabaseUrl};
    use crate::store::{self, Missing};

    const NOW: u64 = 1_800_000_000;

    fn failed_logins() -> FailedLogins {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        FailedLogins::new(Arc::new(NetworkNames::new(AuditNetwork::Address, key)))
    }

    /// Returns event, user, network and count of each entry, and the user's last one first.
    fn entries(failed: &FailedLogins) -> Vec<(&'static str, Option<String>, Option<String>, u32)> {
        let counts = failed.lock();
        let entries = counts.iter().map(|(key, count)| failed.entry(key, *count));
        let entries =
            entries.map(|entry| (entry.event.name(), entry.user_id, entry.network, entry.count));
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        entries
    }

    #[test]
    fn failures_of_a_user_from_a_network_are_counted_together() {
        let failed = failed_logins();
        let add = |event, user, client: &str, at| {
            failed.add(event, user, client.parse().unwrap(), at);
        };
        for at in 0..3 {
            add(Event::LoginFailed, Some("user_x"), "2001:db8::1", NOW + at);
            add(Event::LoginFailed, Some("user_x"), "2001:db8::2", NOW + at);
        }
        add(Event::LoginHeldBack, Some("user_x"), "2001:db8::1", NOW);
        add(Event::LoginFailed, Some("user_x"), "192.0.2.1", NOW);
        add(Event::LoginFailed, Some("user_y"), "192.0.2.1", NOW);
        add(Event::LoginFailed, None, "192.0.2.1", NOW);
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            ("login_failed", None, text("192.0.2.1"), 1),
            ("login_failed", text("user_x"), text("192.0.2.1"), 1),
            ("login_failed", text("user_x"), text("2001:db8::/64"), 6),
            ("login_failed", text("user_y"), text("192.0.2.1"), 1),
            ("login_held_back", text("user_x"), text("2001:db8::/64"), 1),
        ];
        assert_eq!(entries(&failed), expected);
        let latest = failed.lock().values().map(|count| count.at).max();
        assert_eq!(latest, Some(NOW + 2));
    }

    #[test]
    fn a_flood_makes_few_entries_and_hides_no_user_behind_unknown_names() {
        let failed = failed_logins();
        let network = |n: u32| IpAddr::V4((0x0a00_0000 + n).into());
        for n in 0..10_000 {
            failed.add(Event::LoginFailed, None, network(n), NOW);
        }
        failed.add(Event::LoginFailed, Some("user_x"), network(0), NOW);
        let all = entries(&failed);
        assert_eq!(all.len(), MOST_WITHOUT_USER + 2);
        let others = 10_000 - u32::try_from(MOST_WITHOUT_USER).unwrap();
        assert_eq!(all[0], ("login_failed", None, None, others));
        let of_user = all.last().unwrap();
        assert_eq!((of_user.1.as_deref(), of_user.3), (Some("user_x"), 1));

        for n in 0..10_000 {
            failed.add(Event::LoginFailed, Some(&format!("user_{n}")), network(0), NOW);
        }
        let all = entries(&failed);
        assert_eq!(all.len(), MOST);
        assert_eq!(all.iter().map(|entry| entry.3).sum::<u32>(), 20_001);
    }

    #[test]
    fn guesses_at_one_user_from_many_networks_hide_no_other_user() {
        let failed = failed_logins();
        let network = |n: u32| IpAddr::V4((0x0a00_0000 + n).into());
        for n in 0..10_000 {
            failed.add(Event::LoginFailed, Some("user_x"), network(n), NOW);
        }
        failed.add(Event::LoginFailed, Some("user_y"), network(0), NOW);
        let all = entries(&failed);
        assert_eq!(all.len(), MOST_OF_USER + 2);
        let others = 10_000 - u32::try_from(MOST_OF_USER).unwrap();
        assert_eq!(all[0], ("login_failed", Some("user_x".to_owned()), None, others));
        assert_eq!(all.last().unwrap().1.as_deref(), Some("user_y"));
    }

    #[tokio::test]
    async fn failures_are_written_after_their_window_and_not_lost_if_the_database_fails() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.db");
        let url = DatabaseUrl::Sqlite(path.clone());
        let (store, ()) = store::open(&url, Missing::Make, |_| Ok(())).await.unwrap();
        let db = rusqlite::Connection::open(path).unwrap();
        let failed = FailedLogins { window: Duration::from_millis(1), ..failed_logins() };
        let add = || failed.add(Event::LoginFailed, Some("user_x"), [192, 0, 2, 1].into(), NOW);
        db.execute_batch("ALTER TABLE audit RENAME TO away").unwrap();
        add();
        failed.write(&*store).await;
        db.execute_batch("ALTER TABLE away RENAME TO audit").unwrap();
        add();
        let written = async {
            loop {
                let all = AuditFilter { most: 9, ..AuditFilter::default() };
                if let [entry] = &*store.audit(all).await.unwrap() {
                    return (entry.at, entry.subject.clone(), entry.count);
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let written = tokio::select! {
            () = failed.work(&*store) => unreachable!(),
            written = written => written,
        };
        assert_eq!(written, (NOW, "user_x".to_owned(), 2));
        assert!(failed.lock().is_empty());
    }
}
