//! The background tasks: rotate keys, remember the time, delete expired data, take failures of logins
//! back, measure the database.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Issuer;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

impl Issuer {
    /// Runs until it is dropped.
    pub(crate) async fn maintain(&self) {
        let take_back = self.take_backs.work(&*self.store);
        tokio::join!(self.work_each_second(), take_back, self.watch_storage());
    }

    async fn work_each_second(&self) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for second in 0_u64.. {
            tick.tick().await;
            // The effects of a wrong clock on keys and sessions could not be undone.
            let steady = self.clock_guard.is_steady();
            if let Err(e) = self.keys.refresh(steady).await {
                tracing::error!("the signing keys cannot be read: {e}");
            }
            // Not in the first minute: a clock that is wrong at the start may be set soon after it.
            let due = steady && second % MINUTE == MINUTE - 1;
            if (due || !self.clock_guard.is_sane())
                && let Err(e) = self.clock_guard.remember_time(&*self.store).await
            {
                tracing::error!("the time cannot be remembered: {e}");
            }
            if second.is_multiple_of(MINUTE) {
                self.login_limit.prune();
            }
            if second.is_multiple_of(HOUR) {
                self.prune(steady).await;
            }
        }
    }

    /// Deletes data that has expired. Sessions and failed logins stay while the clock is not
    /// steady.
    async fn prune(&self, steady: bool) {
        let now = self.clock.now();
        if steady {
            let kept = self.config.session_kept().as_secs();
            if let Err(e) = self.store.prune(now.saturating_sub(kept)).await {
                tracing::error!("expired sessions cannot be deleted: {e}");
            }
            if let Err(e) = self.store.prune_failures(now).await {
                tracing::error!("old login failures cannot be deleted: {e}");
            }
        }
        if let Some(kept) = self.config.audit_retention
            && let Err(e) = self.store.prune_audit(now.saturating_sub(kept.as_secs())).await
        {
            tracing::error!("old audit entries cannot be deleted: {e}");
        }
    }
}
