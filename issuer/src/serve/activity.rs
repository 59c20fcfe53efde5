//! The activity of one connection: its requests in flight, and since when there is none.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::table::Slot;

/// Counts the requests in flight of one connection. Clones share the count.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    slot: Slot,
    /// The end of the last request; `None` before the first one has ended.
    last_end: watch::Sender<Option<Instant>>,
}

impl Activity {
    pub(super) fn new(slot: Slot) -> Self {
        Self(Arc::new(Shared { slot, last_end: watch::Sender::new(None) }))
    }

    /// Counts a request until the first returned value is dropped. Until the second one is dropped,
    /// the request waits for its body.
    pub(super) fn begin(&self, body: Incoming) -> (InFlight, Receiving) {
        let has_body = !body.is_end_stream();
        self.0.slot.begin(has_body);
        (InFlight(self.clone()), Receiving { body, activity: has_body.then(|| self.clone()) })
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
            if self.0.slot.is_idle() {
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
        let shared = &*self.0.0;
        shared.slot.end();
        shared.last_end.send_replace(Some(Instant::now()));
    }
}

/// The body of a request in flight, which is being read until it is dropped.
pub(super) struct Receiving {
    body: Incoming,
    activity: Option<Activity>,
}

impl Body for Receiving {
    type Data = <Incoming as Body>::Data;
    type Error = <Incoming as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if let Some(activity) = &self.activity {
            activity.0.slot.end_body();
        }
    }
}
