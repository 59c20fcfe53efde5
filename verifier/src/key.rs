//! A public key: imported from a JWK, or rejected with the reason.

use alloc::vec::Vec;

use crate::{
    KeyRejection,
    algorithm::{Algorithm, Scheme},
    base64url,
    json::Value,
    kernel::Kernel,
};

/// An RSA public key that may check signatures.
pub(crate) struct PublicKey {
    /// The only algorithm that it is used with (RFC 8725 §3.1).
    scheme: Scheme,
    kernel: Kernel,
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
        if PRIVATE_MEMBERS.iter().any(|member| jwk.get(member).is_some()) {
            return Err(KeyRejection::Private);
        }
        let is = |member: Value<'_>, expected| member.as_str().is_some_and(|it| it == expected);
        let key_type = jwk.get("kty").and_then(Value::as_str);
        let algorithm = key_type.and_then(Algorithm::by_key_type).ok_or(KeyRejection::KeyType)?;
        if jwk.get("use").is_some_and(|key_use| !is(key_use, "sig")) {
            return Err(KeyRejection::Use);
        }
        if jwk.get("key_ops").is_some_and(|key_ops| !allows_verify(key_ops)) {
            return Err(KeyRejection::KeyOperations);
        }
        if jwk.get("alg").is_some_and(|alg| !is(alg, algorithm.name)) {
            return Err(KeyRejection::Algorithm);
        }

        let n = unsigned_integer(jwk.get("n")).ok_or(KeyRejection::ModulusEncoding)?;
        let leading_zeros = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = n.len() * 8 - leading_zeros;
        if !MODULUS_BITS.contains(&bits) {
            return Err(KeyRejection::ModulusSize { bits });
        }
        let e = unsigned_integer(jwk.get("e")).ok_or(KeyRejection::ExponentEncoding)?;
        let exponent = match e.len() {
            ..=8 => e.iter().fold(0, |exponent, byte| exponent << 8 | u64::from(*byte)),
            _ => u64::MAX,
        };
        if !EXPONENTS.contains(&exponent) || exponent % 2 == 0 {
            return Err(KeyRejection::ExponentRange);
        }
        let kernel = Kernel::new(&n, exponent).ok_or(KeyRejection::ModulusEven)?;
        Ok(Self { scheme: algorithm.scheme, kernel })
    }

    /// Returns true if the key is for this algorithm.
    pub(crate) fn is_for(&self, algorithm: &Algorithm) -> bool {
        self.scheme == algorithm.scheme
    }

    /// Returns true if `signature` is this key's signature of the message with the SHA-256 `hash`.
    pub(crate) fn accepts(&self, signature: &[u8], hash: &[u8; 32]) -> bool {
        self.kernel.accepts(signature, hash)
    }
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

/// Reads a `Base64urlUInt` (RFC 7518 §2): big-endian, in as few bytes as possible.
fn unsigned_integer(member: Option<Value<'_>>) -> Option<Vec<u8>> {
    let bytes = base64url::decode(member?.as_str()?).ok()?;
    (*bytes.first()? != 0).then_some(bytes)
}
