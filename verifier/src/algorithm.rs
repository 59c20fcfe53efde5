//! The table of signature algorithms, with a single row: RS256. A token's header selects a row, and
//! the choice of the key and the check of the signature use that row.

/// A signature algorithm (RFC 7518 §3.1).
#[derive(Debug)]
pub(crate) struct Algorithm {
    /// The value of `alg` in tokens and in keys, case-sensitive.
    pub(crate) name: &'static str,
    /// The type of its keys.
    pub(crate) key_type: &'static str,
    pub(crate) scheme: Scheme,
}

/// The computation behind an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    RsaPkcs1Sha256,
}

/// Every algorithm that a policy can allow. No other code names one, so an algorithm without a row
/// cannot be used by any token.
///
/// A key is used with one algorithm only (RFC 8725 §3.1), so each key type has one row.
static ALGORITHMS: [Algorithm; 1] =
    [Algorithm { name: "RS256", key_type: "RSA", scheme: Scheme::RsaPkcs1Sha256 }];

impl Algorithm {
    pub(crate) fn by_name(name: &str) -> Option<&'static Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
    }

    pub(crate) fn by_key_type(key_type: &str) -> Option<&'static Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.key_type == key_type)
    }
}
