//! Private parts of the crate, for the fuzz targets. Only cargo-fuzz compiles this module.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

pub use crate::json::Json;
use crate::{
    Error, KeyRejection, KeySet, Policy, base64url, json::Document, kernel::Kernel, validate,
};

/// Calls [`base64url::decode`].
pub fn base64url(text: &str) -> Result<Vec<u8>, &'static str> {
    base64url::decode(text)
}

/// Reads the members of a JSON object, or returns the reason for refusing it.
pub fn json(bytes: &[u8]) -> Result<Vec<(String, Json)>, &'static str> {
    let document = Document::parse(bytes.to_vec())?;

    Ok(document.members().map(|(name, value)| (name.into(), value.to_tree())).collect())
}

/// Returns the rejection of each key of a set, or `None` for a usable key.
pub fn rejections(keys: &KeySet) -> Vec<Option<KeyRejection>> {
    keys.rejections()
}

/// Checks the claims of an unsigned payload. Returns `None` if it is not an object.
pub fn validate(payload: &[u8], policy: &Policy, now: Duration) -> Option<Result<(), Error>> {
    let payload = Document::parse(payload.to_vec()).ok()?;
    Some(validate::validate(&payload, policy, now).map_err(Error::from))
}

/// A public key in both kernels.
pub struct Kernels(Kernel);

impl Kernels {
    /// Makes the kernels of an odd modulus without leading zeros and an odd exponent of at least 3.
    /// Returns `None` for an even modulus.
    pub fn new(n: &[u8], exponent: u64) -> Option<Self> {
        Kernel::new(n, exponent).map(Self)
    }

    /// Returns true for the signature of the message with the SHA-256 `hash`.
    pub fn accepts(&self, signature: &[u8], hash: &[u8; 32]) -> bool {
        self.0.accepts(signature, hash)
    }

    /// Returns the signature to the power of the exponent, from the portable kernel. Returns `None`
    /// unless the signature is as long as the modulus and below it.
    pub fn power(&self, signature: &[u8]) -> Option<Vec<u8>> {
        self.0.power(signature)
    }

    /// Asks the relaxed kernel if a signature below the modulus opens to `message`, which is as
    /// long. Returns `None` for a key that the relaxed kernel does not support.
    pub fn relaxed_opens(&self, signature: &[u8], message: &[u8]) -> Option<bool> {
        self.0.relaxed_opens(signature, message)
    }
}
