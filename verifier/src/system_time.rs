//! Times of the standard library.

extern crate std;

use core::time::Duration;
use std::time::SystemTime;

/// Returns the time since the UNIX epoch, as [`Verifier::verify`](crate::Verifier::verify) expects
/// it. This crate reads no clock: pass `SystemTime::now()`.
///
/// A time before the epoch comes from a broken clock. It counts as the end of time, so that every
/// token is expired.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign_verifier::since_epoch;
///
/// let now = since_epoch(SystemTime::now());
/// assert!(now > Duration::from_secs(1_700_000_000));
/// ```
#[must_use]
pub fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_is_the_end_of_time() {
        let second = Duration::from_secs(1);
        assert_eq!(since_epoch(SystemTime::UNIX_EPOCH + second), second);
        assert_eq!(since_epoch(SystemTime::UNIX_EPOCH - second), Duration::MAX);
    }
}
