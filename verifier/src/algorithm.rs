/// A signature algorithm (RFC 7518 §3.1).
pub(crate) struct Algorithm {
    /// The value of `alg`, in tokens and in keys: case-sensitive.
    pub(crate) name: &'static str,
    /// The key type that it needs.
    pub(crate) key_type: &'static str,
}

/// Every algorithm that a policy can allow. Nothing else in this crate names one: an algorithm
/// that has no row here does not exist, whatever a token says of itself.
const ALGORITHMS: &[Algorithm] = &[RS256];

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
pub(crate) const RS256: Algorithm = Algorithm { name: "RS256", key_type: "RSA" };

/// The algorithm of that name, if there is one.
pub(crate) fn by_name(name: &str) -> Option<&'static Algorithm> {
    ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
}
