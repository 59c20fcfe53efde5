//! The background tasks: rotate keys, remember the time, delete expired data, take failures of logins
//! back, write failed logins to the audit log, measure the database.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Issuer;
use crate::second_factor::CONFIRM_WITHIN;

const MINUTE: Duration = Duration::from_secs(60);
/// In minutes.
const HOUR: u64 = 60;

/// The longest delay of the stop.
const TIME_TO_FINISH: Duration = Duration::from_secs(1);

impl Issuer {
    /// Runs until it is dropped.
    pub(crate) async fn maintain(&self) {
        tokio::join!(
            self.keep_up(),
            self.take_backs.work(&*self.store),
            self.failed_logins.work(&*self.store),
            self.watch_storage(),
        );
    }

    /// Ends the maintenance: writes the failed logins that are still in memory.
    pub(crate) async fn finish(&self) {
        if timeout(TIME_TO_FINISH, self.failed_logins.write(&*self.store)).await.is_err() {
            tracing::error!("the last failed logins cannot be written to the audit log in time");
        }
    }

    /// Reads the keys when [`Polling`](super::polling::Polling) says so. With nobody there, that is
    /// once a minute, and all other work with the database is done at the same time.
    async fn keep_up(&self) {
        self.read(false).await;
        self.failing_checks().await;
        self.prune().await;
        for minute in 1_u64.. {
            let end = Instant::now() + MINUTE;
            let mut is_over = false;
            while !is_over {
                self.polling.pause(end).await;
                is_over = Instant::now() >= end;
                self.read(is_over).await;
            }
            // Otherwise the metrics check it when they are read.
            if !self.polling.is_awake() {
                self.failing_checks().await;
            }
            self.login_limit.prune();
            self.admin_limit.prune();
            self.change_limit.prune();
            if minute.is_multiple_of(HOUR) {
                self.prune().await;
            }
        }
    }

    /// Reads the keys and takes their due steps. Then remembers the time if `remember`, and looks for
    /// another one while the clock is behind.
    async fn read(&self, remember: bool) {
        // The effects of a wrong clock on keys and sessions could not be undone.
        let steady = self.clock_guard.is_steady();
        if let Err(e) = self.keys.refresh(steady).await {
            tracing::error!("the signing keys cannot be read: {e}");
        }
        if (remember && steady || !self.clock_guard.is_sane())
            && let Err(e) = self.clock_guard.remember_time(&*self.store).await
        {
            tracing::error!("the time cannot be remembered: {e}");
        }
        self.polling.end_reading();
    }

    /// Deletes data that has expired. Sessions and failed logins stay while the clock is not
    /// steady.
    async fn prune(&self) {
        let now = self.clock.now();
        if self.clock_guard.is_steady() {
            let kept = self.config.session_kept().as_secs();
            if let Err(e) = self.store.prune(now.saturating_sub(kept)).await {
                tracing::error!("expired sessions cannot be deleted: {e}");
            }
            if let Err(e) = self.store.prune_failures(now).await {
                tracing::error!("old login failures cannot be deleted: {e}");
            }
            if let Err(e) = self.store.prune_one_time_tokens(now).await {
                tracing::error!("expired one-time tokens cannot be deleted: {e}");
            }
            let until = now.saturating_sub(CONFIRM_WITHIN);
            if let Err(e) = self.store.prune_factors(until).await {
                tracing::error!("second factors that were not confirmed cannot be deleted: {e}");
            }
        }
        if let Err(e) = self.store.prune_answers(now).await {
            tracing::error!("old answers of the Admin API cannot be deleted: {e}");
        }
        if let Some(kept) = self.config.audit_retention
            && let Err(e) = self.store.prune_audit(now.saturating_sub(kept.as_secs())).await
        {
            tracing::error!("old audit entries cannot be deleted: {e}");
        }
    }
}
