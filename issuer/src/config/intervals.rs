//! Times that follow from several settings. They are computed with every cache as old and every
//! clock as wrong as the configuration allows.

use std::time::Duration;

use super::Config;

/// Balancers keep idle connections for 60 s to 600 s. A connection that the issuer closes first may
/// get a request at that moment, which fails.
const IDLE_BEHIND_PROXY: Duration = Duration::from_secs(620);

const IDLE: Duration = Duration::from_secs(10);

/// An issuer stops signing if it has not read the keys for this long. A key that another process
/// retired therefore signs no longer than this.
pub(crate) const NOTICE_WITHIN: Duration = Duration::from_secs(30);

/// The validity of a signed status list. If the issuer is down, verifiers can use a list that long.
pub(crate) const STATUS_LIST_LIFETIME: Duration = Duration::from_secs(15 * 60);

impl Config {
    /// Returns how long a key is in the key set before it may sign.
    ///
    /// Another issuer on this database may serve the older key set until it notices the new key.
    /// After that, caches that fetched the older set need time to expire.
    pub(crate) fn publish_lead(&self) -> Duration {
        NOTICE_WITHIN + self.jwks_max_age + self.clock_skew
    }

    /// Returns how long a key stays in the key set after it was retired.
    ///
    /// Another issuer on this database may sign with the key until it notices. After that, the last
    /// access token or status list that the key signed has to expire.
    pub(crate) fn drop_lag(&self) -> Duration {
        let list = if self.status_lists { STATUS_LIST_LIFETIME } else { Duration::ZERO };
        NOTICE_WITHIN + self.access_ttl.max(list) + self.jwks_max_age + self.clock_skew
    }

    /// Returns how long after a session's end a verifier may still accept an access token of it.
    ///
    /// The token may come from an issuer with a clock behind this one, and go to a verifier with a
    /// clock behind this one.
    pub(crate) fn token_end(&self) -> Duration {
        self.access_ttl + self.clock_skew * 2
    }

    /// Returns how long a session's row is kept after the session's end.
    ///
    /// Another session may get its status index only when no access token names the index any more,
    /// and no verifier uses a list in which the bit is set.
    pub(crate) fn session_kept(&self) -> Duration {
        self.token_end() + self.clock_skew + STATUS_LIST_LIFETIME
    }

    /// Returns how long a connection stays open without a request.
    pub(crate) fn idle_timeout(&self) -> Duration {
        let default = if self.behind_proxy { IDLE_BEHIND_PROXY } else { IDLE };
        self.idle_timeout.unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DAY, MINUTE};
    use super::*;

    #[test]
    fn a_key_outlives_the_tokens_and_status_lists_that_it_signed() {
        let (minute, day) = (Duration::from_secs(MINUTE), Duration::from_secs(DAY));
        let cases =
            [(minute, false, minute), (minute, true, STATUS_LIST_LIFETIME), (day, true, day)];
        for (access_ttl, status_lists, longest) in cases {
            let config = Config { access_ttl, status_lists, ..Config::default() };
            let caches = config.jwks_max_age + config.clock_skew + NOTICE_WITHIN;
            assert_eq!(config.drop_lag(), longest + caches, "{access_ttl:?}");
        }
    }
}
