//! The encoded message of an RS256 signature.

use alloc::{vec, vec::Vec};

/// The length of a SHA-256 hash in bytes.
pub(crate) const HASH_BYTES: usize = 32;

/// The end of the padding, and `DigestInfo` of SHA-256 in DER up to the hash (RFC 8017 §9.2, note
/// 1).
const BEFORE_HASH: [u8; 20] = [
    0x00, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
    0x05, 0x00, 0x04, 0x20,
];

/// Encodes a hash as EMSA-PKCS1-v1_5 (RFC 8017 §9.2): `00 01 FF…FF 00 DigestInfo hash`, as long as
/// the modulus. A modulus has at least 256 bytes, so there is more padding than the required eight
/// bytes.
pub(crate) fn encode(hash: &[u8; HASH_BYTES], size: usize) -> Vec<u8> {
    let mut encoded = vec![0xff; size];
    if let Some(start) = encoded.first_chunk_mut() {
        *start = [0x00, 0x01];
    }
    if let Some((rest, end)) = encoded.split_last_chunk_mut() {
        *end = *hash;
        if let Some(end) = rest.last_chunk_mut() {
            *end = BEFORE_HASH;
        }
    }
    encoded
}
