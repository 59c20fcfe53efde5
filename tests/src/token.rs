//! Tokens in compact serialization, good and bad.

use sha2::{Digest, Sha256, Sha512};

pub use crate::encoding::base64url;
use crate::object::Object;
use crate::rsa::{RsaKey, SHA256_PREFIX, block, pss};

/// The default time of a vector: 100 seconds after the default `iat`.
pub const NOW: u64 = 1_700_000_100;

/// Returns the signing input: header and payload encoded, with a dot between them.
#[must_use]
pub fn signing_input(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64url(header), base64url(payload))
}

/// Returns a token over these texts with a good signature. The texts need not be JSON.
#[must_use]
pub fn signed(key: &RsaKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    signed_with(header, payload, |message| key.sign(message))
}

/// Returns a token over these texts with the signature that `sign` returns.
#[must_use]
pub fn signed_with(
    header: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let input = signing_input(header, payload);
    let signature = sign(input.as_bytes());
    format!("{input}.{}", base64url(signature))
}

/// Returns a token over the first default payload, with `jti` counted up, for which `sign` returns
/// a signature.
///
/// # Panics
/// If `sign` returns none for a thousand payloads.
#[must_use]
pub fn first_signed(header: &Object, sign: impl Fn(&[u8]) -> Option<Vec<u8>>) -> String {
    (1..1000)
        .find_map(|number| {
            let payload = Object::claims().set("jti", &format!("\"{number}\""));
            let input = signing_input(header.text(), payload.text());
            let signature = sign(input.as_bytes())?;
            Some(format!("{input}.{}", base64url(signature)))
        })
        .expect("one payload of a thousand fits")
}

/// Computes an HMAC with SHA-256 (RFC 2104).
#[must_use]
pub fn hmac_sha256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut key = if secret.len() > 64 { Sha256::digest(secret).to_vec() } else { secret.to_vec() };
    key.resize(64, 0);
    let padded = |with: u8| key.iter().map(|octet| octet ^ with).collect::<Vec<_>>();
    let inner = Sha256::digest([&padded(0x36)[..], message].concat());
    Sha256::digest([&padded(0x5c)[..], &inner].concat()).to_vec()
}

/// Returns the RS512 signature of a message.
#[must_use]
pub fn rs512(key: &RsaKey, message: &[u8]) -> Vec<u8> {
    // For SHA-512, the last arc of the object identifier is 3 (RFC 8017 §9.2, note 1), and two
    // lengths differ.
    let mut prefix = SHA256_PREFIX;
    prefix[1] = 0x51;
    prefix[14] = 0x03;
    prefix[18] = 0x40;
    key.sign_block(&block(key.size(), &[&prefix[..], &Sha512::digest(message)].concat()))
}

/// Returns a token over the default payload with a good PS256 signature.
#[must_use]
pub fn pss_signed(key: &RsaKey, header: &Object) -> String {
    signed_with(header.text(), Object::claims().text(), |message| {
        key.sign_block(&pss(key.size(), message))
    })
}
