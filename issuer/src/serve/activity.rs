//! The activity of one connection: how many requests are in flight, and since when there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Counts the requests in flight of one connection. Clones share the count.
#[derive(Clone)]
pub(super) struct Activity(Arc<Counts>);

struct Counts {
    in_flight: AtomicUsize,
    /// The end of the last request; `None` before the first one has ended.
    last_end: watch::Sender<Option<Instant>>,
}

impl Activity {
    pub(super) fn new() -> Self {
        let in_flight = AtomicUsize::new(0);
        Self(Arc::new(Counts { in_flight, last_end: watch::Sender::new(None) }))
    }

    /// Counts a request until the returned value is dropped.
    pub(super) fn begin(&self) -> InFlight {
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Completes once no request has been in flight for `limit`, but not before `first`. Before
    /// the first request it completes at `first`.
    pub(super) async fn idle(&self, first: Instant, limit: Duration) {
        let due = || self.0.last_end.borrow().map_or(first, |last| first.max(last + limit));
        loop {
            sleep_until(due()).await;
            let mut ends = self.0.last_end.subscribe();
            if due() > Instant::now() {
                continue;
            }
            if self.0.in_flight.load(Ordering::Relaxed) == 0 {
                return;
            }
            // The end of a request sets a new due time. An error is impossible: `self` holds the
            // sender.
            let _ = ends.changed().await;
        }
    }
}

/// A request in flight.
pub(super) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        let counts = &*self.0.0;
        counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        counts.last_end.send_replace(Some(Instant::now()));
    }
}
