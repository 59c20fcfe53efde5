use sha2::{Digest as _, Sha256};

use crate::{Error, key::PublicKey};

/// RSASSA-PKCS1-v1_5 verification with SHA-256 (RFC 8017 §8.2.2): the encoded message is built and
/// compared whole. Nothing is ever parsed out of a signature, so that there is no lenient parser
/// to fool (Bleichenbacher's forgery of 2006 and its many repeats).
pub(crate) fn verify(key: &PublicKey, message: &str, signature: &[u8]) -> Result<(), Error> {
    let hash = Sha256::digest(message).into();
    if key.accepts(signature, &hash) { Ok(()) } else { Err(Error::SignatureInvalid) }
}
