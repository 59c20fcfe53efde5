//! One budget for the memory of all requests in flight: their headers, and their bodies.
//!
//! A request that does not fit takes the share of the one that has waited longest for its body. So
//! requests that never become complete keep no others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::http::request::Parts;
use tokio::sync::oneshot;

/// The bytes of a request beside those that its client sent: its task, and its stream in HTTP/2.
const REQUEST: usize = 4096;

/// The bytes of one header field beside its name and value.
const FIELD: usize = 64;

/// The budget. Clones share it.
#[derive(Clone)]
pub(super) struct Budget {
    limit: usize,
    used: Arc<Mutex<Used>>,
}

#[derive(Default)]
struct Used {
    bytes: usize,
    /// The requests whose bodies are incomplete, the oldest first.
    incomplete: BTreeMap<u64, Held>,
    requests: u64,
}

struct Held {
    bytes: usize,
    /// Dropped when the share is lost, which tells the request.
    _lost: oneshot::Sender<()>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// Counts a request with this many bytes, and those of its body, until the returned share is
    /// dropped.
    pub(super) fn share(&self, bytes: usize) -> Share {
        let (sender, lost) = oneshot::channel();
        let mut used = self.lock();
        used.requests += 1;
        let id = used.requests;
        used.incomplete.insert(id, Held { bytes: 0, _lost: sender });
        drop(used);
        let share = Share { budget: self.clone(), id, header: bytes, complete: None, lost };
        share.hold(0);
        share
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the bytes of a request without its body.
pub(super) fn size_of(request: &Parts) -> usize {
    let fields = request
        .headers
        .iter()
        .map(|(name, value)| FIELD.saturating_add(name.as_str().len()).saturating_add(value.len()));
    let path = request.uri.path_and_query().map_or(0, |path| path.as_str().len());
    fields.fold(REQUEST.saturating_add(path), usize::saturating_add)
}

/// The share of one request. It can be lost until the body is complete.
pub(super) struct Share {
    budget: Budget,
    id: u64,
    header: usize,
    /// The bytes of a request whose body is complete.
    complete: Option<usize>,
    lost: oneshot::Receiver<()>,
}

impl Share {
    /// Counts this many bytes of the body. Takes what is missing from the oldest requests, in the end
    /// from this one.
    pub(super) fn hold(&self, body: usize) {
        let mut used = self.budget.lock();
        let Some(held) = used.incomplete.get_mut(&self.id) else { return };
        let before = std::mem::replace(&mut held.bytes, self.header.saturating_add(body));
        used.bytes = used.bytes - before + self.header.saturating_add(body);
        while used.bytes > self.budget.limit {
            let Some((_, oldest)) = used.incomplete.pop_first() else { break };
            used.bytes -= oldest.bytes;
        }
    }

    /// Completes when another request has taken the share.
    pub(super) async fn lost(&mut self) {
        // The signal is the dropped sender, so the result is an error.
        let _ = (&mut self.lost).await;
    }

    /// Keeps the share until it is dropped. Returns false if it was lost.
    pub(super) fn complete(&mut self) -> bool {
        self.complete = self.budget.lock().incomplete.remove(&self.id).map(|held| held.bytes);
        self.complete.is_some()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.budget.lock();
        let held = used.incomplete.remove(&self.id).map(|held| held.bytes);
        used.bytes -= held.or(self.complete).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn is_lost(share: &mut Share) -> bool {
        share.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_request_that_has_waited_longest_for_its_body_loses_its_share() {
        let budget = Budget::new(100);
        let [mut whole, mut first, mut second] = [10, 20, 30].map(|bytes| budget.share(bytes));
        assert!(whole.complete());
        first.hold(10);
        second.hold(20);
        assert_eq!(budget.lock().bytes, 90);
        second.hold(31);
        assert!(is_lost(&mut first) && !is_lost(&mut second));
        assert_eq!(budget.lock().bytes, 71);
        // A lost share does not come back.
        first.hold(1);
        assert!(!first.complete());
        drop(first);
        assert_eq!(budget.lock().bytes, 71);
        // A request that does not fit beside complete ones loses its own.
        second.hold(70);
        assert!(is_lost(&mut second));
        assert_eq!(budget.lock().bytes, 10);
        let mut late = budget.share(91);
        assert!(is_lost(&mut late) && !late.complete());
        assert!(budget.share(0).complete(), "a request that counts nothing always fits");
        drop((whole, second, late));
        assert_eq!(budget.lock().bytes, 0);
        assert!(budget.lock().incomplete.is_empty());
    }

    #[test]
    fn the_header_counts() {
        let request =
            Request::get("https://x/path?query").header("name", "value").body(()).unwrap();
        let expected = REQUEST + "/path?query".len() + FIELD + "namevalue".len();
        assert_eq!(size_of(&request.into_parts().0), expected);
    }
}
