//! What failed logins are counted by: codes over account, network and device; and the cookie by which
//! a device is known again.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::login::attempt::Counter;
use crate::network::network_of;

/// How long a device is known, in seconds, since it last logged in.
pub(crate) const DEVICE_KNOWN_FOR: u64 = 180 * 24 * 60 * 60;

/// Makes counters, and the cookies by which devices are known again.
pub(crate) struct Counters(hmac::Key);

impl Counters {
    pub(crate) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// The account of a name, which should be normalised: each spelling else has its own.
    pub(crate) fn account(&self, name: &str) -> Counter {
        self.code(b"account", &[name.as_bytes()])
    }

    pub(crate) fn network(&self, account: &Counter, client: IpAddr) -> Counter {
        self.code(b"network", &[account, network_of(client).to_string().as_bytes()])
    }

    /// The counter of the device that has this cookie, if it may be counted by itself at `now`.
    pub(crate) fn device(&self, account: &Counter, cookie: &str, now: u64) -> Option<Counter> {
        let device = Device::decode(cookie, &self.0, account)?;
        (now < device.known_until).then(|| self.code(b"device ", &[account, &device.id]))
    }

    /// A cookie for a device that has logged in to `account`.
    pub(crate) fn cookie(&self, account: &Counter, id: [u8; 16], now: u64) -> String {
        Device { id, known_until: now + DEVICE_KNOWN_FOR }.encode(&self.0, account)
    }

    fn code(&self, kind: &[u8], parts: &[&[u8]]) -> Counter {
        let mut context = hmac::Context::with_key(&self.0);
        // The kinds are of one length, and of the parts the last alone has no fixed one.
        context.update(kind);
        for part in parts {
            context.update(part);
        }
        let mut code = [0; 32];
        code.copy_from_slice(context.sign().as_ref());
        code
    }
}

/// What a device's cookie says: version, device, time, and HMAC-SHA256 over them and the account,
/// which it does not name.
struct Device {
    id: [u8; 16],
    known_until: u64,
}

const VERSION: u8 = 1;
const BODY: usize = 1 + 16 + 8;
const LENGTH: usize = BODY + 32;

impl Device {
    fn encode(&self, key: &hmac::Key, account: &Counter) -> String {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend(self.id);
        bytes.extend(self.known_until.to_be_bytes());
        let code = hmac::sign(key, &Self::signed(&bytes, account));
        bytes.extend(code.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The device, if this issuer made its cookie, for that account (compared in constant time).
    fn decode(text: &str, key: &hmac::Key, account: &Counter) -> Option<Self> {
        if text.len() != LENGTH.div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, code) = bytes.split_at_checked(BODY)?;
        hmac::verify(key, &Self::signed(body, account), code).ok()?;
        let (version, rest) = body.split_first()?;
        let (id, known_until) = rest.split_at_checked(16)?;
        (*version == VERSION).then_some(Self {
            id: id.try_into().ok()?,
            known_until: u64::from_be_bytes(known_until.try_into().ok()?),
        })
    }

    /// Of the same form as what counters are codes over, and of another kind than theirs.
    fn signed(body: &[u8], account: &Counter) -> Vec<u8> {
        [b"cookie ", account.as_slice(), body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn counters(key: u8) -> Counters {
        Counters::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    #[test]
    fn a_counter_is_that_of_one_account_from_one_place() {
        let counters = counters(1);
        let (demo, eve) = (counters.account("demo"), counters.account("eve"));
        let network = |account, client: &str| counters.network(account, client.parse().unwrap());
        let one = network(&demo, "192.0.2.1");
        assert_eq!(network(&demo, "::ffff:192.0.2.1"), one);
        assert_eq!(network(&demo, "2001:db8::1"), network(&demo, "2001:db8::2"));
        let device = |account| {
            let cookie = counters.cookie(account, [5; 16], NOW);
            counters.device(account, &cookie, NOW).unwrap()
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
    fn a_device_s_cookie_is_good_for_its_account_and_its_time_alone() {
        let counters = counters(1);
        let (demo, eve) = (counters.account("demo"), counters.account("eve"));
        let cookie = counters.cookie(&demo, [5; 16], NOW);
        assert_eq!(cookie.len(), 76);
        let known = counters.device(&demo, &cookie, NOW);
        assert!(known.is_some());
        assert_eq!(counters.device(&demo, &cookie, NOW + DEVICE_KNOWN_FOR - 1), known);
        assert_eq!(counters.device(&demo, &cookie, NOW + DEVICE_KNOWN_FOR), None);
        assert_eq!(counters.device(&eve, &cookie, NOW), None);
        assert_eq!(self::counters(2).device(&demo, &cookie, NOW), None);
        // The same one, later.
        let renewed = counters.cookie(&demo, [5; 16], NOW + 1);
        assert_eq!(counters.device(&demo, &renewed, NOW), known);
        let bytes = URL_SAFE_NO_PAD.decode(&cookie).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let altered = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(counters.device(&demo, &altered, NOW), None, "bit {bit}");
        }
        for text in [&cookie[1..], "", &format!("{cookie}A"), &"é".repeat(38)] {
            assert_eq!(counters.device(&demo, text, NOW), None);
        }
    }
}
