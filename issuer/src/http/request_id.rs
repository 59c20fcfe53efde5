use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::network;

/// The header with the id of a request. The log has the same id.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a proxy.
const MAX_BYTES: usize = 64;

/// Returns the id of a request: the one that a trusted proxy gave it, or a new one. Anybody else could
/// send the id of another request.
pub(super) fn of(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    let only = given.next().filter(|_| given.next().is_none());
    let taken = only.filter(|id| network::is_trusted(peer, trusted) && is_harmless(id.as_bytes()));
    taken.cloned().unwrap_or_else(made)
}

/// Returns true if the id is short and has only letters, digits, `-`, `_` and `.`.
fn is_harmless(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=MAX_BYTES).contains(&id.len()) && id.iter().all(plain)
}

/// Returns a new id: a count, hashed with a random key of this process. It does not reveal the number
/// of requests, and takes less time than a random number.
fn made() -> HeaderValue {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:016x}", KEY.hash_one(NEXT.fetch_add(1, Ordering::Relaxed)));
    id.parse().unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_harmless_id_from_a_trusted_proxy_is_accepted() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let long = "x".repeat(MAX_BYTES);
        let too_long = "x".repeat(MAX_BYTES + 1);
        let cases: &[(&str, &[&str], bool)] = &[
            ("10.0.0.1", &["4f0c-A_9.z"], true),
            ("::ffff:10.0.0.1", &["4f0c"], true),
            ("10.0.0.1", &[&long], true),
            ("10.0.0.1", &[&too_long], false),
            ("10.0.0.1", &[""], false),
            ("10.0.0.1", &["a b"], false),
            ("10.0.0.1", &["a\tb"], false),
            ("10.0.0.1", &["\u{e9}"], false),
            ("10.0.0.1", &["a\"b"], false),
            ("10.0.0.1", &["one", "two"], false),
            ("192.0.2.1", &["4f0c"], false),
        ];
        for (peer, given, is_taken) in cases {
            let headers = given.iter().map(|id| (X_REQUEST_ID, id.parse().unwrap()));
            let headers = HeaderMap::from_iter(headers);
            let id = of(&headers, peer.parse().unwrap(), &trusted);
            assert_eq!(id.as_bytes() == given[0].as_bytes(), *is_taken, "{peer} {given:?}: {id:?}");
        }
        let made = || of(&HeaderMap::new(), [192, 0, 2, 1].into(), &[]);
        assert_eq!(made().len(), 16);
        assert_ne!(made(), made());
    }
}
