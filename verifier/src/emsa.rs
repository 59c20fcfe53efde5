//! The encoded message of an RS256 signature.

use alloc::vec::Vec;

/// The length of a SHA-256 hash in bytes.
pub(crate) const HASH_BYTES: usize = 32;

/// `DigestInfo` of SHA-256 in DER, up to the hash (RFC 8017 §9.2, note 1).
const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Encodes a hash as EMSA-PKCS1-v1_5 (RFC 8017 §9.2): `00 01 FF…FF 00 DigestInfo hash`, as long as
/// the modulus. A modulus has at least 256 bytes, so there is more padding than the required eight
/// bytes.
pub(crate) fn encode(hash: &[u8; HASH_BYTES], size: usize) -> Vec<u8> {
    let padding = size.saturating_sub(3 + DIGEST_INFO.len() + HASH_BYTES);
    let mut encoded = Vec::with_capacity(size);
    encoded.extend([0x00, 0x01]);
    encoded.resize(2 + padding, 0xff);
    encoded.push(0x00);
    encoded.extend(DIGEST_INFO);
    encoded.extend(hash);
    encoded
}
