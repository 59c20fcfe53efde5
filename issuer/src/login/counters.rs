//! The keys of the counters of failed logins, and the cookie that identifies a known device.
//!
//! Both are HMACs under one key of the deployment, so that neither the database nor a cookie reveals
//! the name of an account.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::login::throttle::Counter;
use crate::network::network_of;

/// The time that a device stays known after its last login, in seconds.
pub(crate) const DEVICE_KNOWN_FOR: u64 = 180 * 24 * 60 * 60;

/// Computes counter keys and device cookies.
pub(crate) struct Counters(hmac::Key);

impl Counters {
    pub(crate) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// Returns the counter of an account. The name should be normalised, or each spelling would have
    /// a counter of its own.
    pub(crate) fn account(&self, name: &str) -> Counter {
        self.code(b"account", &[name.as_bytes()])
    }

    /// Returns the counter of an account from the network of `client`.
    pub(crate) fn network(&self, account: &Counter, client: IpAddr) -> Counter {
        self.code(b"network", &[account, network_of(client).to_string().as_bytes()])
    }

    /// Returns the counter of all known devices of an account together, if the cookie is genuine, was
    /// made since the password was last changed, and its device is still known at `now`.
    pub(crate) fn devices(
        &self,
        account: &Counter,
        password_version: u64,
        cookie: &str,
        now: u64,
    ) -> Option<Counter> {
        let known_until = self.known_until(account, password_version, cookie)?;
        (now < known_until).then(|| self.code(b"devices", &[account]))
    }

    /// Returns the cookie of a device that has logged in to `account`: version, time, and an
    /// HMAC-SHA256 over these, the account and the number of its password. The cookie contains
    /// neither.
    pub(crate) fn cookie(&self, account: &Counter, password_version: u64, now: u64) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend((now + DEVICE_KNOWN_FOR).to_be_bytes());
        let code = hmac::sign(&self.0, &signed(&bytes, account, password_version));
        bytes.extend(code.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cookie, if this issuer made it for this account and password. Compares in constant
    /// time.
    fn known_until(&self, account: &Counter, password_version: u64, cookie: &str) -> Option<u64> {
        if cookie.len() != (LENGTH * 4).div_ceil(3) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (body, code) = bytes.split_at_checked(BODY)?;
        hmac::verify(&self.0, &signed(body, account, password_version), code).ok()?;
        let (version, known_until) = body.split_first()?;
        let known_until = u64::from_be_bytes(known_until.try_into().ok()?);
        (*version == VERSION).then_some(known_until)
    }

    fn code(&self, kind: &[u8], parts: &[&[u8]]) -> Counter {
        let mut context = hmac::Context::with_key(&self.0);
        // Unambiguous: all kinds have one length, and only the last part has no fixed length.
        context.update(kind);
        for part in parts {
            context.update(part);
        }
        let mut code = [0; 32];
        code.copy_from_slice(context.sign().as_ref());
        code
    }
}

const VERSION: u8 = 2;
const BODY: usize = 1 + 8;
const LENGTH: usize = BODY + 32;

/// Returns the bytes under the HMAC of a cookie. Their kind differs from every kind of counter.
fn signed(body: &[u8], account: &Counter, password_version: u64) -> Vec<u8> {
    [b"cookie ", account.as_slice(), &password_version.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn counters(key: u8) -> Counters {
        Counters::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    #[test]
    fn each_account_has_its_own_counter_for_each_network_and_for_its_devices() {
        let counters = counters(1);
        let (demo, eve) = (counters.account("demo"), counters.account("eve"));
        let network = |account, client: &str| counters.network(account, client.parse().unwrap());
        let one = network(&demo, "192.0.2.1");
        assert_eq!(network(&demo, "::ffff:192.0.2.1"), one);
        assert_eq!(network(&demo, "2001:db8::1"), network(&demo, "2001:db8::2"));
        let device = |account| {
            let cookie = counters.cookie(account, 5, NOW);
            counters.devices(account, 5, &cookie, NOW).unwrap()
        };
        let all = [
            demo,
            eve,
            one,
            network(&demo, "192.0.2.2"),
            network(&eve, "192.0.2.1"),
            network(&demo, "2001:db8::1"),
            network(&demo, "2001:db8:0:1::1"),
            device(&demo),
            device(&eve),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_device_cookie_is_valid_only_for_its_account_password_and_time() {
        let counters = counters(1);
        let (demo, eve) = (counters.account("demo"), counters.account("eve"));
        let cookie = counters.cookie(&demo, 5, NOW);
        assert_eq!(cookie.len(), 55);
        let known = counters.devices(&demo, 5, &cookie, NOW);
        assert!(known.is_some());
        assert_eq!(counters.devices(&demo, 5, &cookie, NOW + DEVICE_KNOWN_FOR - 1), known);
        assert_eq!(counters.devices(&demo, 5, &cookie, NOW + DEVICE_KNOWN_FOR), None);
        assert_eq!(counters.devices(&eve, 5, &cookie, NOW), None);
        assert_eq!(self::counters(2).devices(&demo, 5, &cookie, NOW), None);
        assert_eq!(counters.devices(&demo, 6, &cookie, NOW), None);
        // Another device counts with the first one.
        let renewed = counters.cookie(&demo, 5, NOW + 1);
        assert_eq!(counters.devices(&demo, 5, &renewed, NOW), known);
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let altered = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(counters.devices(&demo, 5, &altered, NOW), None, "bit {bit}");
        }
        for text in [&cookie[1..], "", &format!("{cookie}A"), &"é".repeat(27)] {
            assert_eq!(counters.devices(&demo, 5, text, NOW), None);
        }
    }
}
