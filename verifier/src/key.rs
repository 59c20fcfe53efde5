//! A public key: imported from a JWK, or rejected with the reason.
//!
//! Keys are read by value, because they come from a place that the caller trusts: a null member
//! counts as absent, and a number may be written in any base64. Tokens are read strictly.

use alloc::{boxed::Box, vec::Vec};

use once_cell::race::OnceBox;

use crate::{
    KeyRejection,
    algorithm::{Algorithm, Scheme},
    base64url,
    json::Value,
    kernel::Kernel,
};

/// An RSA public key that may check signatures.
#[derive(Clone)]
pub(crate) struct PublicKey {
    /// The only algorithm that it is used with (RFC 8725 §3.1).
    scheme: Scheme,
    /// The modulus, as big-endian bytes without leading zeros.
    n: Vec<u8>,
    exponent: u64,
    /// Made when a token first needs it: it takes about as long as the check of a token, and a set
    /// can have a thousand keys.
    kernel: OnceBox<Kernel>,
}

/// Modulus sizes in bits. Shorter moduli are no longer safe (RFC 7518 §3.3). Longer ones would let
/// the owner of the key set cause too much work with each token.
const MODULUS_BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

/// Public exponents. The bound limits one check to 66 multiplications.
const EXPONENTS: core::ops::Range<u64> = 3..1 << 33;

/// Members of private and symmetric keys only (RFC 7518 §6.2.2, §6.3.2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

impl PublicKey {
    /// Imports a JWK (RFC 7517 §4, RFC 7518 §6.3.1) for the algorithm of its key type.
    pub(crate) fn import(jwk: Value<'_>) -> Result<Self, KeyRejection> {
        if PRIVATE_MEMBERS.iter().any(|name| member(jwk, name).is_some()) {
            return Err(KeyRejection::Private);
        }
        let is = |member: Value<'_>, expected| member.as_str().is_some_and(|it| it == expected);
        let key_type = member(jwk, "kty").and_then(Value::as_str);
        let algorithm = key_type.and_then(Algorithm::by_key_type).ok_or(KeyRejection::KeyType)?;
        if member(jwk, "use").is_some_and(|key_use| !is(key_use, "sig")) {
            return Err(KeyRejection::Use);
        }
        if member(jwk, "key_ops").is_some_and(|key_ops| !allows_verify(key_ops)) {
            return Err(KeyRejection::KeyOperations);
        }
        if member(jwk, "alg").is_some_and(|alg| !is(alg, algorithm.name)) {
            return Err(KeyRejection::Algorithm);
        }

        let (n, e) = (member(jwk, "n"), member(jwk, "e"));
        let has = |name| member(jwk, name).is_some();
        if n.is_none() && e.is_none() && (has("x5c") || has("x5u")) {
            return Err(KeyRejection::Certificate);
        }
        let n = unsigned_integer(n).map_err(|problem| KeyRejection::ModulusEncoding { problem })?;
        let leading_zeros = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = n.len() * 8 - leading_zeros;
        if !MODULUS_BITS.contains(&bits) {
            return Err(KeyRejection::ModulusSize { bits });
        }
        if n.last().is_some_and(|byte| byte % 2 == 0) {
            return Err(KeyRejection::ModulusEven);
        }
        let e =
            unsigned_integer(e).map_err(|problem| KeyRejection::ExponentEncoding { problem })?;
        let exponent = match e.len() {
            ..=8 => e.iter().fold(0, |exponent, byte| exponent << 8 | u64::from(*byte)),
            _ => u64::MAX,
        };
        if !EXPONENTS.contains(&exponent) || exponent % 2 == 0 {
            return Err(KeyRejection::ExponentRange);
        }
        Ok(Self { scheme: algorithm.scheme, n, exponent, kernel: OnceBox::new() })
    }

    /// Returns true if the key is for this algorithm.
    pub(crate) fn is_for(&self, algorithm: &Algorithm) -> bool {
        self.scheme == algorithm.scheme
    }

    /// Returns true if `signature` is this key's signature of the message with the SHA-256 `hash`.
    pub(crate) fn accepts(&self, signature: &[u8], hash: &[u8; 32]) -> bool {
        let prepare = || Kernel::new(&self.n, self.exponent).map(Box::new).ok_or(());
        // The modulus is odd, so there is a kernel.
        self.kernel.get_or_try_init(prepare).is_ok_and(|kernel| kernel.accepts(signature, hash))
    }
}

/// Two JWKs of one key differ in `kid` and the like at most.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.exponent == other.exponent && self.n == other.n
    }
}

/// Returns the member of that name, unless it is null.
pub(crate) fn member<'a>(jwk: Value<'a>, name: &str) -> Option<Value<'a>> {
    jwk.get(name).filter(|value| !value.is_null())
}

fn allows_verify(key_ops: Value<'_>) -> bool {
    let Some(operations) = key_ops.as_array() else { return false };
    let mut verify = false;
    for operation in operations {
        let Some(operation) = operation.as_str() else { return false };
        verify |= operation == "verify";
    }
    verify
}

/// Reads a number in big-endian bytes and returns them without leading zeros, or the fault in words
/// that follow the member's name.
///
/// RFC 7518 §2 (`Base64urlUInt`) wants base64url without padding and leading zeros. Many issuers
/// write the padding, the alphabet of plain base64, or the zero octet of a signed integer (as in
/// DER). None of them changes the value.
fn unsigned_integer(member: Option<Value<'_>>) -> Result<Vec<u8>, &'static str> {
    let member = member.ok_or("is missing")?;
    let text = member.as_str().ok_or_else(|| member.kind().words())?;
    let bytes = base64url::decode_any(text)?;
    let zeros = bytes.iter().position(|byte| *byte != 0).ok_or("is empty or zero")?;
    Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
}
