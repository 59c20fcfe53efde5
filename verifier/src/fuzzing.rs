//! What the fuzz targets need to see of the inside. It exists in builds by cargo-fuzz alone.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::{
    Error, KeyRejection, KeySet, Policy, base64url, json::Document, kernel::Kernel, validate,
};

/// [`base64url::decode`].
pub fn base64url(text: &str) -> Result<Vec<u8>, &'static str> {
    base64url::decode(text)
}

/// A JSON value, as the parser of tokens understands it.
pub enum Json {
    /// A number, `null`, `true` or `false`, as it is written.
    Scalar(String),
    /// A string without its escapes.
    String(String),
    /// The elements.
    Array(Vec<Self>),
    /// The members, in their order.
    Object(Vec<(String, Self)>),
}

/// Reads a JSON object: its members, or why it is refused.
pub fn json(bytes: &[u8]) -> Result<Vec<(String, Json)>, &'static str> {
    let document = Document::parse(bytes.to_vec())?;

    Ok(document.members().map(|(name, value)| (name.into(), value.to_tree())).collect())
}

/// Why each key of a set must not be used, or `None` where it may be.
pub fn rejections(keys: &KeySet) -> Vec<Option<KeyRejection>> {
    keys.rejections()
}

/// Checks the claims of a payload that nobody signed. `None` where it is not an object.
pub fn validate(payload: &[u8], policy: &Policy, now: Duration) -> Option<Result<(), Error>> {
    let payload = Document::parse(payload.to_vec()).ok()?;
    Some(validate::validate(&payload, policy, now))
}

/// A public key, in each kernel.
pub struct Kernels(Kernel);

impl Kernels {
    /// Takes what a key that passed the policy has: an odd modulus without leading zeros and an odd
    /// exponent of at least 3. `None` for an even modulus.
    pub fn new(n: &[u8], exponent: u64) -> Option<Self> {
        Kernel::new(n, exponent).map(Self)
    }

    /// Whether it is the signature of what has the SHA-256 `hash`.
    pub fn accepts(&self, signature: &[u8], hash: &[u8; 32]) -> bool {
        self.0.accepts(signature, hash)
    }

    /// What the portable kernel opens a signature to. `None` for one that is no number below the
    /// modulus in as many bytes.
    pub fn power(&self, signature: &[u8]) -> Option<Vec<u8>> {
        self.0.power(signature)
    }

    /// Whether the relaxed kernel says that a signature below the modulus opens to `message`, which
    /// is as long. `None` for a key that it leaves to the portable kernel.
    pub fn relaxed_opens(&self, signature: &[u8], message: &[u8]) -> Option<bool> {
        self.0.relaxed_opens(signature, message)
    }
}
