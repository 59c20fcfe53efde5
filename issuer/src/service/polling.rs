//! The times at which the issuer reads the keys and the clock in the database, which other issuers and
//! commands may have changed.
//!
//! It reads them every second while requests come. Otherwise it rests: it reads them once a minute,
//! and before it answers the next request that depends on them.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The time between two readings while requests come.
const INTERVAL: Duration = Duration::from_secs(1);

/// The readings after the last request until the issuer rests.
const AWAKE: u8 = 10;

/// The longest time that a request waits for a reading. After that it is answered as in an outage.
const PATIENCE: Duration = Duration::from_secs(2);

/// The schedule of one issuer.
pub(crate) struct Polling {
    /// The readings until the issuer rests, if no request comes.
    left: AtomicU8,
    is_resting: AtomicBool,
    /// Ends the rest.
    wake: Notify,
    /// The reading after a rest has ended.
    read: Notify,
}

impl Polling {
    pub(super) fn new() -> Self {
        Self {
            left: AtomicU8::new(AWAKE),
            is_resting: AtomicBool::new(false),
            wake: Notify::new(),
            read: Notify::new(),
        }
    }

    /// For requests: keeps the issuer awake, and waits for a reading if it rests.
    pub(crate) async fn freshen(&self) {
        // Stored only if it differs, so that the cores share the line of memory.
        if self.left.load(Ordering::Relaxed) != AWAKE {
            self.left.store(AWAKE, Ordering::Relaxed);
        }
        self.catch_up().await;
    }

    /// Waits for a reading if the issuer rests. It rests on after that.
    pub(super) async fn catch_up(&self) {
        if self.is_resting() {
            // In a box, because every request would carry the room for it.
            Box::pin(self.wake_up()).await;
        }
    }

    async fn wake_up(&self) {
        let read = self.read.notified();
        // The reading may have ended in between.
        if self.is_resting() {
            self.wake.notify_waiters();
            // Without an answer of the database, the caller has the last reading and its age.
            let _ = timeout(PATIENCE, read).await;
        }
    }

    /// For work that has time: while the issuer rests, waits for its next reading, so that the database is
    /// asked once for both.
    pub(super) async fn join_reading(&self) {
        let read = self.read.notified();
        if self.is_resting() {
            read.await;
        }
    }

    /// Returns true if a request came within the last readings.
    pub(crate) fn is_awake(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// Lets the issuer rest after its next reading, as if nobody had been there for a while.
    #[cfg(test)]
    pub(super) fn tire(&self) {
        self.left.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_resting(&self) -> bool {
        self.is_resting.load(Ordering::Acquire)
    }

    /// Answers the requests that wait for the reading that has ended.
    pub(super) fn end_reading(&self) {
        self.is_resting.store(false, Ordering::Release);
        self.read.notify_waiters();
    }

    /// Waits until the next reading is due, which is at `latest` if the issuer rests.
    pub(super) async fn pause(&self, latest: Instant) {
        sleep(INTERVAL).await;
        let one_less = |left: u8| left.checked_sub(1);
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if left.is_err() {
            let woken = self.wake.notified();
            self.is_resting.store(true, Ordering::Release);
            let _ = timeout_at(latest, woken).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use tokio::task::JoinSet;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Polls a database that takes `answer` for each reading. Returns the schedule and the number of
    /// readings.
    fn poll(answer: Duration) -> (Arc<Polling>, Arc<AtomicU32>) {
        let (polling, readings) = (Arc::new(Polling::new()), Arc::<AtomicU32>::default());
        let (polled, counted) = (Arc::clone(&polling), Arc::clone(&readings));
        tokio::spawn(async move {
            loop {
                sleep(answer).await;
                counted.fetch_add(1, Ordering::Relaxed);
                polled.end_reading();
                polled.pause(Instant::now() + MINUTE).await;
            }
        });
        (polling, readings)
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_without_requests_reads_once_a_minute() {
        let (polling, readings) = poll(Duration::ZERO);
        let in_the_next = async |time: Duration| {
            let before = readings.load(Ordering::Relaxed);
            sleep(time).await;
            readings.load(Ordering::Relaxed) - before
        };
        in_the_next(MINUTE).await;
        assert!(in_the_next(10 * MINUTE).await <= 10);
        polling.freshen().await;
        assert!(in_the_next(Duration::from_secs(10)).await >= 9, "somebody is there");
        in_the_next(MINUTE).await;
        assert!(in_the_next(10 * MINUTE).await <= 10);
        for _ in 0..100 {
            polling.freshen().await;
            sleep(INTERVAL).await;
        }
        assert!(in_the_next(Duration::from_secs(10)).await >= 9);
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_has_a_reading_that_is_hardly_older_than_a_second() {
        let (polling, readings) = poll(Duration::from_millis(10));
        for pause in [0, 500, 9_000, 11_000, 12_000, 59_000, 61_000, 3_600_000] {
            sleep(Duration::from_millis(pause)).await;
            // Many come at once after the pause.
            let before = readings.load(Ordering::Relaxed);
            let (asked, rested) = (Instant::now(), polling.is_resting());
            let mut requests = JoinSet::new();
            for _ in 0..50 {
                let polling = Arc::clone(&polling);
                requests.spawn(async move { polling.freshen().await });
            }
            requests.join_all().await;
            assert!(asked.elapsed() < Duration::from_millis(100), "{pause}");
            let read = readings.load(Ordering::Relaxed) - before;
            assert_eq!(read, u32::from(rested), "{pause}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_does_not_wait_for_long_if_the_database_does_not_answer() {
        let (polling, _) = poll(Duration::from_secs(3600));
        polling.is_resting.store(true, Ordering::Relaxed);
        let asked = Instant::now();
        polling.freshen().await;
        assert_eq!(asked.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn other_work_waits_for_the_next_reading_of_an_issuer_that_rests() {
        let (polling, readings) = poll(Duration::ZERO);
        let asked = Instant::now();
        polling.join_reading().await;
        assert_eq!(asked.elapsed(), Duration::ZERO, "it does not rest");
        sleep(10 * MINUTE - Duration::from_secs(30)).await;
        let before = readings.load(Ordering::Relaxed);
        polling.join_reading().await;
        assert_eq!(readings.load(Ordering::Relaxed), before + 1);
        assert!(asked.elapsed() > Duration::from_secs(9 * 60 + 31) && !polling.is_awake());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_does_not_keep_an_issuer_awake() {
        let (polling, readings) = poll(Duration::ZERO);
        sleep(2 * MINUTE).await;
        for _ in 0..10 {
            let before = readings.load(Ordering::Relaxed);
            polling.catch_up().await;
            sleep(Duration::from_secs(10)).await;
            assert!(readings.load(Ordering::Relaxed) - before <= 2);
        }
    }
}
