//! The activity of one connection: its requests in flight, since when there is none, and since when
//! the header of the next one arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::table::Slot;

/// Counts the requests in flight of one connection. Clones share the count.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    slot: Slot,
    times: watch::Sender<Times>,
}

#[derive(Clone, Copy, Default)]
struct Times {
    /// The end of the last request; `None` before the first one has ended.
    last_end: Option<Instant>,
    /// The first byte since a request began or ended. If no request is in flight, it begins a header.
    first_byte: Option<Instant>,
}

impl Activity {
    pub(super) fn new(slot: Slot) -> Self {
        Self(Arc::new(Shared { slot, times: watch::Sender::default() }))
    }

    /// Counts a request until the first returned value is dropped. Until the second one is dropped,
    /// the request waits for its body.
    pub(super) fn begin(&self, body: Incoming) -> (InFlight, Receiving) {
        let has_body = !body.is_end_stream();
        self.0.slot.begin(has_body);
        self.0.times.send_modify(|times| times.first_byte = None);
        (InFlight(self.clone()), Receiving { body, activity: has_body.then(|| self.clone()) })
    }

    /// Notes the time of bytes from the client. Over HTTP/2 nobody calls this: bytes between two
    /// requests need not belong to a header.
    pub(super) fn read(&self, bytes: &[u8]) {
        self.0.times.send_if_modified(|times| {
            let is_first = times.first_byte.is_none() && !bytes.is_empty();
            if is_first {
                times.first_byte = Some(Instant::now());
            }
            is_first
        });
    }

    /// Completes once no request has been in flight for `limit`, or a header has been arriving for
    /// `header`, but not before `first`. Before the first request it completes at `first`.
    pub(super) async fn idle(&self, first: Instant, limit: Duration, header: Duration) {
        let mut changes = self.0.times.subscribe();
        loop {
            let due = match *changes.borrow_and_update() {
                Times { last_end: None, .. } => first,
                Times { first_byte: Some(byte), .. } => first.max(byte + header),
                Times { last_end: Some(last), .. } => first.max(last + limit),
            };
            // A change is no error: `self` holds the sender.
            if timeout_at(due, changes.changed()).await.is_ok() {
                continue;
            }
            if self.0.slot.is_idle() {
                return;
            }
            // The end of the request sets a new due time.
            let _ = changes.changed().await;
        }
    }
}

/// A request in flight.
pub(super) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        shared.slot.end();
        shared.times.send_replace(Times { last_end: Some(Instant::now()), first_byte: None });
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
