//! Random bytes and digests, computed by aws-lc-rs.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::Error;

/// Returns random bytes of cryptographic quality.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| broken())?;
    Ok(bytes)
}

/// Returns a new identifier that nobody can guess: 128 random bits in base64url.
pub(crate) fn random_id() -> Result<String, Error> {
    random::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns a new secret that nobody can guess: 32 random bytes in base64url.
pub(crate) fn random_secret() -> Result<Zeroizing<String>, Error> {
    random::<32>().map(|bytes| Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// Returns the SHA-256 digest.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Returns the error of a cryptographic operation that cannot fail on a healthy machine.
pub(crate) fn broken() -> Error {
    Error::System(
        "the cryptography library failed; check that the system has a working random generator"
            .into(),
    )
}
