//! Keys from an endpoint: they are fetched, cached, renewed, and kept in an outage.
//!
//! A thin client: [`Rules`] decide.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign_verifier::KeySet;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::{
    FetchError,
    fetch::{Document, Fetcher, KEY_SET},
    lifetime::{Lifetime, jitter},
    limits::Limits,
    location::Location,
    metadata::Metadata,
    rules::{Renewal, Rules},
};

/// The source of a key set.
#[derive(Debug)]
pub(crate) enum Source {
    Url(Location),
    /// The issuer's metadata names it.
    Metadata(Box<AsyncMutex<Metadata>>),
}

/// Returns the time since the UNIX epoch.
pub(crate) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Gets each failed fetch.
pub(crate) type OnError = Arc<dyn Fn(&FetchError) + Send + Sync>;

/// Resolves a source to a key set. It knows no tokens: the guard asks for keys and verifies again.
pub(crate) struct RemoteKeys {
    source: Source,
    fetcher: Fetcher,
    clock: Clock,
    on_error: OnError,
    state: Mutex<State>,
}

struct State {
    rules: Rules,
    cached: Option<Cached>,
    /// The error of the last attempt, if it failed.
    error: Option<FetchError>,
    /// Closed once the fetch in flight is over.
    in_flight: Option<watch::Receiver<()>>,
}

#[derive(Clone)]
struct Cached {
    location: Location,
    document: Document,
    keys: Arc<KeySet>,
}

/// The effect of [`RemoteKeys::renew`].
pub(crate) enum Renewed {
    /// The verdict stands.
    No,
    /// Another caller's fetch exchanged the keys meanwhile: verify again, and then ask again.
    ByOthers,
    /// The endpoint was asked: verify again, and that verdict stands.
    Now,
}

/// The fault of a fetched set.
enum Fault {
    Failed(FetchError),
    /// It has no usable key.
    Emptied(FetchError),
}

impl RemoteKeys {
    pub(crate) fn new(
        source: Source,
        fetcher: Fetcher,
        limits: Limits,
        clock: Clock,
        on_error: OnError,
    ) -> Self {
        let rules = Rules::new(limits);
        let state = State { rules, cached: None, error: None, in_flight: None };
        Self { source, fetcher, clock, on_error, state: Mutex::new(state) }
    }

    /// Returns the keys that may be used now.
    pub(crate) fn current(&self) -> Option<Arc<KeySet>> {
        let now = (self.clock)();
        let mut state = self.lock();
        if !state.rules.has_keys(now) {
            state.cached = None;
        }
        state.cached.as_ref().map(|cached| Arc::clone(&cached.keys))
    }

    /// Fetches keys if they are due, or if `missing` names a `kid` that the set lacks. `used` are the
    /// keys that the caller has verified with.
    ///
    /// # Errors
    /// The last failure, if there are no keys.
    pub(crate) async fn renew(
        self: &Arc<Self>,
        used: Option<&Arc<KeySet>>,
        missing: Option<&str>,
    ) -> Result<Renewed, FetchError> {
        let now = (self.clock)();
        let in_flight = {
            let mut state = self.lock();
            let current = state.cached.as_ref().map(|cached| Arc::as_ptr(&cached.keys));
            if current != used.map(Arc::as_ptr) {
                return Ok(Renewed::ByOthers);
            }
            let in_flight = state.fetch_in_flight().is_some();
            match state.rules.renewal(now, missing, in_flight) {
                Renewal::Nothing => return Ok(Renewed::No),
                Renewal::Refuse => return state.error.clone().map_or(Ok(Renewed::No), Err),
                Renewal::Behind => {
                    self.fetch_or_join(&mut state, now);
                    return Ok(Renewed::No);
                }
                Renewal::Wait => self.fetch_or_join(&mut state, now),
            }
        };
        wait(in_flight).await;
        match self.current() {
            Some(_) => Ok(Renewed::Now),
            None => self.last_error().map_or(Ok(Renewed::Now), Err),
        }
    }

    /// Returns the last failure if the keys are past their lifetime. Then nobody can tell that a key
    /// does not exist: the issuer may have published it meanwhile.
    pub(crate) fn outage(&self) -> Option<FetchError> {
        let state = self.lock();
        if state.rules.has_fresh_keys((self.clock)()) { None } else { state.error.clone() }
    }

    /// Fetches the keys now, or waits for the fetch in flight. Ignores the backoff.
    ///
    /// # Errors
    /// The failure, even if there are keys.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<(), FetchError> {
        let now = (self.clock)();
        let in_flight = self.fetch_or_join(&mut self.lock(), now);
        wait(in_flight).await;
        self.last_error().map_or(Ok(()), Err)
    }

    /// Joins the fetch in flight, or begins one. It runs in a task of its own, because the request
    /// that began it can be dropped while others wait.
    fn fetch_or_join(self: &Arc<Self>, state: &mut State, now: Duration) -> watch::Receiver<()> {
        if let Some(in_flight) = state.fetch_in_flight() {
            return in_flight;
        }
        let (done, in_flight) = watch::channel(());
        state.in_flight = Some(in_flight.clone());
        let keys = Arc::clone(self);
        tokio::spawn(async move {
            let errors = keys.attempt(now).await;
            drop(done);
            for error in errors {
                (keys.on_error)(&error);
            }
        });
        in_flight
    }

    /// Fetches and caches the set. Returns the failures.
    async fn attempt(&self, now: Duration) -> Vec<FetchError> {
        let mut errors = Vec::new();
        let result = self.fetch(now, &mut errors).await;
        let failed_at = (self.clock)();
        let mut state = self.lock();
        let fault = match result {
            Ok((fetched, is_new)) => {
                let lifetime = Lifetime::new(now, fetched.document.ttl, jitter());
                state.rules.succeeded(lifetime, is_new);
                state.cached = Some(fetched);
                state.error = None;
                return errors;
            }
            Err(fault) => fault,
        };
        let error = match fault {
            Fault::Failed(error) => {
                state.rules.failed(failed_at, jitter());
                error
            }
            Fault::Emptied(error) => {
                state.rules.emptied(failed_at, jitter());
                error
            }
        };
        state.error = Some(error.clone());
        errors.push(error);
        errors
    }

    /// Fetches the set. Returns it, and true if it is not the same as before.
    async fn fetch(
        &self,
        now: Duration,
        errors: &mut Vec<FetchError>,
    ) -> Result<(Cached, bool), Fault> {
        let (cached, has_failed) = {
            let state = self.lock();
            (state.cached.clone(), state.rules.has_failed())
        };
        let location = match &self.source {
            Source::Url(location) => location.clone(),
            Source::Metadata(metadata) => {
                let mut metadata = metadata.lock().await;
                let located = metadata.locate(&self.fetcher, now, has_failed).await;
                let (location, error) = located.map_err(Fault::Failed)?;
                errors.extend(error);
                location
            }
        };
        let known = cached.filter(|cached| cached.location == location);
        let known_document = known.as_ref().map(|known| &known.document);
        let document = self.fetcher.fetch(KEY_SET, &location, known_document).await;
        let document = document.map_err(Fault::Failed)?;
        match known {
            // The same keys stay prepared.
            Some(known) if known.document.text == document.text => {
                Ok((Cached { document, ..known }, false))
            }
            _ => read(location, document).map(|fetched| (fetched, true)),
        }
    }

    fn last_error(&self) -> Option<FetchError> {
        self.lock().error.clone()
    }

    /// No panic leaves the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the fetch in flight. A fetch whose runtime was shut down is over.
    fn fetch_in_flight(&self) -> Option<watch::Receiver<()>> {
        self.in_flight.clone().filter(|in_flight| in_flight.has_changed().is_ok())
    }
}

/// Waits until the sender is dropped.
async fn wait(mut in_flight: watch::Receiver<()>) {
    while in_flight.changed().await.is_ok() {}
}

/// Reads a fetched set.
fn read(location: Location, document: Document) -> Result<Cached, Fault> {
    let keys = KeySet::from_json(&document.text).map_err(|error| {
        let message = KEY_SET.message(&location, &error.message());
        Fault::Failed(FetchError::new(message, error))
    })?;
    if !keys.has_usable_keys() {
        let problem = problem_of_empty(&document.text);
        return Err(Fault::Emptied(KEY_SET.refuse(&location, &problem)));
    }
    Ok(Cached { location, document, keys: Arc::new(keys) })
}

/// Says why a set has no usable key.
fn problem_of_empty(text: &str) -> String {
    let set: Value = serde_json::from_str(text).unwrap_or_default();
    let keys = set.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let has = |key: &Value, name| key.get(name).is_some_and(|value| !value.is_null());
    if keys.is_empty() {
        "the set is empty; expected the keys that the issuer signs with".to_owned()
    } else if keys.iter().any(|key| has(key, "d") || has(key, "k")) {
        "a key of the set is a private or secret key: remove it, and rotate it, since it may have \
         leaked"
            .to_owned()
    } else {
        let count = keys.len();
        format!(
            "none of its {count} keys is usable; expected a public RSA key for RS256, of 2048 bits or more"
        )
    }
}
