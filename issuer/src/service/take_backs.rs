//! Failures of logins that are taken back, because the database failed before the password was
//! checked or after it was right. A background task takes each one back as soon as the database
//! works.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use crate::clock::Clock;
use crate::login::throttle::{Attempt, ProvisionalFailure, Verdict};
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

    pub(super) fn add(&self, one: TakeBack) {
        if self.sender.try_send(one).is_err() {
            tracing::warn!(
                "a login that did not fail counts as failed: too many wait to be corrected"
            );
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn work(&self, store: &dyn Store, clock: &Clock) {
        let mut waiting = self.waiting.lock().await;
        while let Some(one) = waiting.recv().await {
            if let Err(e) = take_back(store, one.clone(), clock.now()).await {
                tracing::error!("a login that did not fail still counts as failed: {e}");
                self.add(one);
                sleep(RETRY).await;
            }
        }
    }
}

async fn take_back(store: &dyn Store, one: TakeBack, now: u64) -> Result<(), StoreError> {
    let failure = match one {
        TakeBack::Counted(failure) => failure,
        // Counts it unless it is counted: then the failure is known. At its own time, a wait that
        // has begun since would look longer than any wait, and would be ended.
        TakeBack::MayBeCounted(attempt) => match store.attempt(Attempt { now, ..attempt }).await? {
            Verdict::Admit(failure) => failure,
            Verdict::Refuse(_) => return Ok(()),
        },
    };
    store.take_back(failure).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DatabaseUrl;
    use crate::store::{self, Missing};

    fn attempt(id: usize, now: u64) -> Attempt {
        let id = (id as u128).to_be_bytes();
        Attempt { account: [1; 32], network: [2; 32], device: None, id, now }
    }

    #[tokio::test]
    async fn a_late_take_back_leaves_a_wait_that_has_begun_since() {
        let folder = tempfile::TempDir::new().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("x.db"));
        let (store, ()) = store::open(&url, Missing::Make, |_| Ok(())).await.unwrap();
        let mut now = 1_800_000_000;
        let late = attempt(99, now);
        for id in 0..20 {
            now += 1000;
            let verdict = store.attempt(attempt(id, now)).await.unwrap();
            assert!(matches!(verdict, Verdict::Admit(_)), "{verdict:?}");
        }
        take_back(&*store, TakeBack::MayBeCounted(late), now + 1).await.unwrap();
        let next = store.attempt(attempt(100, now + 2)).await.unwrap();
        assert_eq!(next, Verdict::Refuse(898));
        // After the wait, it is counted and taken back at once.
        take_back(&*store, TakeBack::MayBeCounted(attempt(99, now)), now + 900).await.unwrap();
        let next = store.attempt(attempt(101, now + 901)).await.unwrap();
        let Verdict::Admit(next) = next else { panic!("{next:?}") };
        assert_eq!(next.own.count, 21);
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
