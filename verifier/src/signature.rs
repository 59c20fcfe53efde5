//! The check of a token's signature.

use sha2::{Digest as _, Sha256};

use crate::{
    algorithm::{Algorithm, Scheme},
    key::PublicKey,
};

/// Returns true if `signature` is the one of `message` under `key`.
///
/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2) builds the encoded message and compares it whole. Nothing is
/// parsed out of a signature, so no lenient parser can be fooled (Bleichenbacher's forgery of 2006
/// and its many repeats).
pub(crate) fn verify(
    algorithm: &Algorithm,
    key: &PublicKey,
    message: &str,
    signature: &[u8],
) -> bool {
    match algorithm.scheme {
        Scheme::RsaPkcs1Sha256 => key.accepts(signature, &Sha256::digest(message).into()),
    }
}
