//! The options of a guard.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_verifier::{Error as VerifyError, KeySet, Policy, since_epoch};
use tokio::sync::Mutex;

use crate::{
    Error, FetchError, Guard,
    fetch::Fetcher,
    guard::Keys,
    limits::{DAY, Limits},
    location::{Location, Schemes},
    metadata::Metadata,
    remote_keys::{Clock, OnError, RemoteKeys, Source},
};

/// The options of a [`Guard`]. Every default is that of the npm package.
#[must_use]
pub struct GuardBuilder {
    policy: Policy,
    keys: KeySource,
    limits: Limits,
    allow_http: bool,
    on_error: OnError,
    clock: Clock,
}

enum KeySource {
    Discovered,
    Url(String),
    Given(Box<KeySet>),
}

impl Guard {
    /// Begins a guard for the tokens that this policy accepts. Without more options, the issuer's
    /// metadata names the key set: at `/.well-known/oauth-authorization-server` (RFC 8414), or else at
    /// `/.well-known/openid-configuration`.
    pub fn builder(policy: Policy) -> GuardBuilder {
        GuardBuilder {
            policy,
            keys: KeySource::Discovered,
            limits: Limits::default(),
            allow_http: false,
            on_error: Arc::new(|_| {}),
            clock: Arc::new(|| since_epoch(SystemTime::now())),
        }
    }
}

impl GuardBuilder {
    /// Sets the URL of the key set: https, or http to a loopback host.
    pub fn jwks(mut self, url: impl Into<String>) -> Self {
        self.keys = KeySource::Url(url.into());
        self
    }

    /// Sets the keys themselves. Then nothing is ever fetched.
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = KeySource::Given(Box::new(keys));
        self
    }

    /// Sets the timeout of a fetch, body included: up to a minute; 5 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Sets the bounds of a document's lifetime: a second to a day; 30 seconds to a day by default.
    pub fn lifetime(mut self, least: Duration, most: Duration) -> Self {
        (self.limits.min_ttl, self.limits.max_ttl) = (least, most);
        self
    }

    /// Sets the time after their lifetime for which keys stay in use if the endpoint fails: up to a
    /// week; a day by default.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.limits.stale_if_error = time;
        self
    }

    /// Sets the least time between fetches for tokens with an unknown `kid`: a second to an hour; 10
    /// seconds by default.
    pub fn cooldown(mut self, time: Duration) -> Self {
        self.limits.cooldown = time;
        self
    }

    /// Admits `http:` to any host, for a private network: anyone on the way can replace the keys.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sets a function that gets each failed fetch, in the background too. Without it, a broken
    /// endpoint is noticed only when the old keys run out.
    pub fn on_error(mut self, on_error: impl Fn(&FetchError) + Send + Sync + 'static) -> Self {
        self.on_error = Arc::new(on_error);
        self
    }

    /// Sets the clock, for tests: of token times and of the age of fetched keys.
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(move || since_epoch(clock()));
        self
    }

    /// Makes the guard. It fetches nothing yet; the first token does, or
    /// [`refresh`](Guard::refresh).
    ///
    /// # Errors
    /// `options_invalid`, naming the option: a URL that must not be fetched, a limit out of its
    /// range, or no `jwks` although the policy has no single issuer whose metadata could name it.
    pub fn build(self) -> Result<Guard, Error> {
        self.check_limits()?;
        let schemes = if self.allow_http { Schemes::Http } else { Schemes::HttpToLoopback };
        let in_jwks = |problem| invalid("jwks", problem);
        let (location, source) = match self.keys {
            KeySource::Given(keys) => {
                return Ok(Guard::new(self.policy, Keys::Given(keys), self.clock));
            }
            KeySource::Url(url) => {
                let location = Location::parse(&url, schemes).map_err(in_jwks)?;
                (location.clone(), Source::Url(location))
            }
            KeySource::Discovered => {
                let issuer = discoverable(&self.policy).map_err(in_jwks)?;
                let location = Location::parse(issuer, schemes).map_err(in_jwks)?;
                let metadata = Metadata::new(issuer, &location, self.allow_http, self.limits);
                let metadata = metadata.ok_or_else(|| in_jwks(NO_METADATA))?;
                (location, Source::Metadata(Box::new(Mutex::new(metadata))))
            }
        };
        let fetcher = Fetcher::new(self.limits, location.is_https()).map_err(in_jwks)?;
        let clock = Arc::clone(&self.clock);
        let remote = RemoteKeys::new(source, fetcher, self.limits, clock, self.on_error);
        Ok(Guard::new(self.policy, Keys::Remote(Arc::new(remote)), self.clock))
    }

    fn check_limits(&self) -> Result<(), VerifyError> {
        let Limits { timeout, min_ttl, max_ttl, stale_if_error, cooldown } = self.limits;
        let second = Duration::from_secs(1);
        for (option, time, range, problem) in [
            ("timeout", timeout, Duration::from_millis(1)..=60 * second, NOT_TIMEOUT),
            ("lifetime", min_ttl, second..=DAY, NOT_LIFETIME),
            ("lifetime", max_ttl, min_ttl..=DAY, NOT_LIFETIME),
            ("stale_if_error", stale_if_error, Duration::ZERO..=7 * DAY, "is more than a week"),
            ("cooldown", cooldown, second..=3600 * second, "is not from a second to an hour"),
        ] {
            if !range.contains(&time) {
                return Err(invalid(option, problem));
            }
        }
        Ok(())
    }
}

/// Returns the issuer if its metadata can be asked for.
fn discoverable(policy: &Policy) -> Result<&str, &'static str> {
    match policy.issuers()[..] {
        [issuer] if issuer.contains(['{', '?', '#']) => Err(NO_METADATA),
        [issuer] => Ok(issuer),
        _ => Err("is left out, but the policy has several issuers: give the URL of the key set"),
    }
}

const NOT_TIMEOUT: &str = "is not from a millisecond to a minute";
const NOT_LIFETIME: &str = "is not from a second to a day, with the least first";
const NO_METADATA: &str = "is left out, but the issuer's name is no URL without a query, fragment or \
    {claim}, whose metadata could name it: give the URL of the key set";

fn invalid(option: &str, problem: &'static str) -> VerifyError {
    VerifyError::OptionsInvalid { option: option.into(), problem }
}

impl fmt::Debug for GuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = &self.limits;
        f.debug_struct("GuardBuilder")
            .field("policy", &self.policy)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}
