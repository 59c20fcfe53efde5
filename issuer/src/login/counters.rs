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

/// The code of an account: device cookies and counters are made from it. The account need not exist.
#[derive(Clone, Copy)]
pub(crate) struct Account(pub(crate) [u8; 32]);

/// Computes counter keys and device cookies.
pub(crate) struct Counters(hmac::Key);

impl Counters {
    pub(crate) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// Returns the code of an account. The name should be normalised, or each spelling would have
    /// counters of its own.
    pub(crate) fn account(&self, name: &str) -> Account {
        Account(self.code(b"account", &[name.as_bytes()]))
    }

    /// Returns the counter of an account from all unknown devices. It begins anew when the account is
    /// unlocked, and with it the counters of networks and devices, which are derived from it.
    pub(crate) fn everywhere(&self, account: &Account, unlocked_at: u64) -> Counter {
        self.code(b"unknown", &[&account.0, &unlocked_at.to_be_bytes()])
    }

    /// Returns the counter of an account from the network of `client`.
    pub(crate) fn network(&self, everywhere: &Counter, client: IpAddr) -> Counter {
        self.code(b"network", &[everywhere, network_of(client).to_string().as_bytes()])
    }

    /// Returns the counter of all known devices of an account together.
    pub(crate) fn devices(&self, everywhere: &Counter) -> Counter {
        self.code(b"devices", &[everywhere])
    }

    /// Returns true if the cookie is genuine, was made since the password was last changed, and its
    /// device is still known at `now`.
    pub(crate) fn is_known(
        &self,
        account: &Account,
        password_version: u64,
        cookie: &str,
        now: u64,
    ) -> bool {
        let known_until = self.known_until(account, password_version, cookie);
        known_until.is_some_and(|known_until| now < known_until)
    }

    /// Returns the cookie of a device that has logged in to `account`: version, time, and an
    /// HMAC-SHA256 over these, the account and the number of its password. The cookie contains
    /// neither.
    pub(crate) fn cookie(&self, account: &Account, password_version: u64, now: u64) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend((now + DEVICE_KNOWN_FOR).to_be_bytes());
        let code = hmac::sign(&self.0, &signed(&bytes, account, password_version));
        bytes.extend(code.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cookie, if this issuer made it for this account and password. Compares in constant
    /// time.
    fn known_until(&self, account: &Account, password_version: u64, cookie: &str) -> Option<u64> {
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
fn signed(body: &[u8], account: &Account, password_version: u64) -> Vec<u8> {
    [b"cookie ", account.0.as_slice(), &password_version.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn counters(key: u8) -> Counters {
        Counters::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    #[test]
    fn each_account_has_its_own_counters_until_it_is_unlocked() {
        let counters = counters(1);
        let mut all = Vec::new();
        for (name, unlocked_at) in [("demo", 0), ("eve", 0), ("demo", NOW), ("demo", NOW + 1)] {
            let everywhere = counters.everywhere(&counters.account(name), unlocked_at);
            let network = |client: &str| counters.network(&everywhere, client.parse().unwrap());
            let one = network("192.0.2.1");
            assert_eq!(network("::ffff:192.0.2.1"), one);
            assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
            let others = ["192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"].map(network);
            all.extend([everywhere, counters.devices(&everywhere), one]);
            all.extend(others);
        }
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn a_device_cookie_is_valid_only_for_its_account_password_and_time() {
        let counters = counters(1);
        let (demo, eve) = (counters.account("demo"), counters.account("eve"));
        let cookie = counters.cookie(&demo, 5, NOW);
        assert_eq!(cookie.len(), 55);
        let cases = [
            ("new", &demo, 5, NOW, true),
            ("in its last second", &demo, 5, NOW + DEVICE_KNOWN_FOR - 1, true),
            ("expired", &demo, 5, NOW + DEVICE_KNOWN_FOR, false),
            ("of another account", &eve, 5, NOW, false),
            ("of another password", &demo, 6, NOW, false),
        ];
        for (name, account, password_version, now, known) in cases {
            let is_known = counters.is_known(account, password_version, &cookie, now);
            assert_eq!(is_known, known, "{name}");
        }
        assert!(!self::counters(2).is_known(&demo, 5, &cookie, NOW));
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let altered = URL_SAFE_NO_PAD.encode(bytes);
            assert!(!counters.is_known(&demo, 5, &altered, NOW), "bit {bit}");
        }
        for text in [&cookie[1..], "", &format!("{cookie}A"), &"é".repeat(27)] {
            assert!(!counters.is_known(&demo, 5, text, NOW), "{text}");
        }
    }
}
