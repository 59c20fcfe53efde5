//! Failures of logins that are taken back, because the database failed before the password was
//! checked or after it was right. A background task takes each one back as soon as the database
//! works.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use super::ServiceError;
use crate::login::throttle::{Attempt, ProvisionalFailure};
use crate::store::{Store, StoreError};

/// The most failures that wait to be taken back. Further ones stay counted, and so do all of them if
/// the issuer stops: more failures never allow more guesses.
const MAX: usize = 4096;

/// The time after a failure of the database before the next try.
const RETRY: Duration = Duration::from_secs(1);

/// A failure to take back.
#[derive(Clone)]
pub(super) enum TakeBack {
    Counted(ProvisionalFailure),
    /// The change that undoes it was not confirmed, so that it may be undone or not.
    MayBeUndone(ProvisionalFailure),
    /// The database failed, so that the attempt may be counted or not.
    MayBeCounted(Attempt),
}

/// The failures that wait to be taken back.
pub(crate) struct TakeBacks {
    sender: mpsc::Sender<TakeBack>,
    waiting: Mutex<mpsc::Receiver<TakeBack>>,
}

impl TakeBacks {
    pub(super) fn new() -> Self {
        let (sender, waiting) = mpsc::channel(MAX);
        Self { sender, waiting: Mutex::new(waiting) }
    }

    /// Takes the failure of a request back whose change was not made. The change would have undone it.
    pub(super) fn add_after<T>(
        &self,
        changed: &Result<T, ServiceError>,
        failure: ProvisionalFailure,
    ) {
        self.add(match changed {
            Err(ServiceError::Store(StoreError::Unconfirmed(_))) => TakeBack::MayBeUndone(failure),
            _ => TakeBack::Counted(failure),
        });
    }

    pub(super) fn add(&self, one: TakeBack) {
        if self.sender.try_send(one).is_err() {
            tracing::warn!(
                "a login that did not fail counts as failed: too many wait to be corrected"
            );
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn work(&self, store: &dyn Store) {
        let mut waiting = self.waiting.lock().await;
        while let Some(one) = waiting.recv().await {
            if let Err(e) = take_back(store, one.clone()).await {
                tracing::error!("a login that did not fail still counts as failed: {e}");
                self.add(one);
                sleep(RETRY).await;
            }
        }
    }
}

async fn take_back(store: &dyn Store, one: TakeBack) -> Result<(), StoreError> {
    match one {
        TakeBack::Counted(failure) => store.take_back(failure).await,
        TakeBack::MayBeUndone(failure) => store.take_back_unless_undone(failure).await,
        TakeBack::MayBeCounted(attempt) => store.take_back_if_counted(attempt).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DatabaseUrl;
    use crate::login::throttle::Verdict;
    use crate::store::{self, Missing};

    fn attempt(id: usize, now: u64) -> Attempt {
        let id = (id as u128).to_be_bytes();
        Attempt { account: [1; 32], network: [2; 32], device: None, id, now }
    }

    #[tokio::test]
    async fn an_attempt_that_was_not_counted_takes_nothing_back() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("x.db"));
        let (store, ()) = store::open(&url, Missing::Make, |_| Ok(())).await.unwrap();
        let mut now = 1_800_000_000;
        for id in 0..20 {
            now += 1000;
            let verdict = store.attempt(attempt(id, now)).await.unwrap();
            assert!(matches!(verdict, Verdict::Admit(_)), "{verdict:?}");
        }
        for id in [99, 18] {
            take_back(&*store, TakeBack::MayBeCounted(attempt(id, now))).await.unwrap();
        }
        // The last one stays recognizable, and is taken back once.
        for _ in 0..2 {
            take_back(&*store, TakeBack::MayBeCounted(attempt(19, now))).await.unwrap();
        }
        let next = store.attempt(attempt(100, now + 1000)).await.unwrap();
        let Verdict::Admit(next) = next else { panic!("{next:?}") };
        assert_eq!(next.own.count, 20);
    }

    #[tokio::test]
    async fn the_failures_that_wait_are_bounded() {
        let take_backs = TakeBacks::new();
        for id in 0..MAX + 10 {
            take_backs.add(TakeBack::MayBeCounted(attempt(id, 0)));
        }
        assert_eq!(take_backs.waiting.lock().await.len(), MAX);
    }
}
