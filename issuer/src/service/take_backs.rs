//! Failures of logins that are taken back, because the database failed before the password was
//! checked or after it was right. A background task takes each one back as soon as the database
//! works.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

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
    let failure = match one {
        TakeBack::Counted(failure) => failure,
        // Counts it unless it is counted: then the failure is known.
        TakeBack::MayBeCounted(attempt) => match store.attempt(attempt).await? {
            Verdict::Admit(failure) => failure,
            Verdict::Refuse(_) => return Ok(()),
        },
    };
    store.take_back(failure).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_failures_that_wait_are_bounded() {
        let take_backs = TakeBacks::new();
        for id in 0..MAX + 10 {
            let id = (id as u128).to_be_bytes();
            let [account, network] = [[1; 32], [2; 32]];
            let attempt = Attempt { account, network, device: None, id, now: 0 };
            take_backs.add(TakeBack::MayBeCounted(attempt));
        }
        assert_eq!(take_backs.waiting.lock().await.len(), MAX);
    }
}
