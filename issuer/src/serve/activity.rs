//! The activity of one connection: its requests in flight, since when there is none, and since when
//! the header of the next one arrives.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::table::Slot;

/// Counts the requests in flight of one connection. Clones share the count.
#[derive(Clone)]
pub(super) struct Activity(Arc<Shared>);

struct Shared {
    slot: Slot,
    times: Mutex<Times>,
    /// Notified if [`Activity::idle`] has to end earlier than it sleeps.
    earlier: Notify,
}

#[derive(Clone, Copy, Default)]
struct Times {
    /// The end of the last request; `None` before the first one has ended.
    last_end: Option<Instant>,
    /// The first byte since a request began or ended. If no request is in flight, it begins a header.
    first_byte: Option<Instant>,
    /// The end of the sleep of [`Activity::idle`], and the time for a header.
    sleep: Option<(Instant, Duration)>,
}

impl Activity {
    pub(super) fn new(slot: Slot) -> Self {
        Self(Arc::new(Shared { slot, times: Mutex::default(), earlier: Notify::new() }))
    }

    /// Counts a request until the first returned value is dropped. Until the second one is dropped,
    /// the request waits for its body.
    pub(super) fn begin(&self, body: Incoming) -> (InFlight, Receiving) {
        let has_body = !body.is_end_stream();
        self.0.slot.begin(has_body);
        self.0.times().first_byte = None;
        (InFlight(self.clone()), Receiving { body, activity: has_body.then(|| self.clone()) })
    }

    /// Returns true if no request has been answered.
    pub(super) fn is_new(&self) -> bool {
        self.0.times().last_end.is_none()
    }

    /// Notes the time of bytes from the client. Over HTTP/2 nobody calls this: bytes between two
    /// requests need not belong to a header.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut times = self.0.times();
        if times.first_byte.is_some() || bytes.is_empty() {
            return;
        }
        let now = Instant::now();
        times.first_byte = Some(now);
        if times.sleep.is_some_and(|(end, header)| now + header < end) {
            self.0.earlier.notify_one();
        }
    }

    /// Completes once no request has been in flight for `limit`, or a header has been arriving for
    /// `header`, but not before `first`. Before the first request it completes at `first`.
    ///
    /// A request wakes nobody: the due time only grows by it, and is looked at again when it has
    /// come.
    pub(super) async fn idle(&self, first: Instant, limit: Duration, header: Duration) {
        loop {
            let now = Instant::now();
            let due = {
                let mut times = self.0.times();
                let due = match *times {
                    Times { last_end: None, .. } => first,
                    Times { first_byte: Some(byte), .. } => first.max(byte + header),
                    Times { last_end: Some(last), .. } => first.max(last + limit),
                };
                let due = if due > now {
                    due
                } else if self.0.slot.is_idle() {
                    return;
                } else {
                    // The request that is in flight ends later.
                    now + limit
                };
                times.sleep = Some((due, header));
                due
            };
            // Either way, the due time is looked at again.
            let _ = timeout_at(due, self.0.earlier.notified()).await;
        }
    }
}

impl Shared {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight.
pub(super) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        shared.slot.end();
        let mut times = shared.times();
        times.last_end = Some(Instant::now());
        times.first_byte = None;
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
