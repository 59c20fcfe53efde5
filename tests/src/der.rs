//! DER and PEM encodings of an RSA public key, which attackers use as an HMAC secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use num_bigint::BigUint;

use crate::rsa::RsaKey;

/// Encodes an `RSAPublicKey` (RFC 8017 §A.1.1) as DER.
#[must_use]
pub fn rsa_public_key(key: &RsaKey) -> Vec<u8> {
    element(0x30, &[integer(&key.n), integer(&key.e)].concat())
}

/// Encodes the `SubjectPublicKeyInfo` (RFC 5280 §4.1) of an RSA key as DER.
#[must_use]
pub fn subject_public_key_info(key: &RsaKey) -> Vec<u8> {
    // rsaEncryption with NULL parameters (RFC 3279 §2.3.1).
    let algorithm =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = element(0x03, &[&[0][..], &rsa_public_key(key)].concat());
    element(0x30, &[&algorithm[..], &bits].concat())
}

/// Encodes DER as PEM (RFC 7468), with a final newline as in key files.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

fn integer(number: &BigUint) -> Vec<u8> {
    let mut octets = number.to_bytes_be();
    if octets[0] & 0x80 != 0 {
        octets.insert(0, 0);
    }
    element(0x02, &octets)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut element = vec![tag];
    if length < 0x80 {
        element.push(length as u8);
    } else {
        let octets = length.to_be_bytes();
        let octets = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
        element.push(0x80 | octets.len() as u8);
        element.extend(octets);
    }
    element.extend(content);
    element
}
