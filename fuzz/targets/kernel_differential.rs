//! The kernels agree with the big integers of two other libraries.
//!
//! The first byte of an input selects the kind of check: arbitrary numbers, a modulus that makes a
//! chosen signature good, or real keys with tampered signatures.

#![no_main]

use std::sync::LazyLock;

use countersign_tests::rsa::{RsaKey, SHA256_PREFIX, pkcs1};
use countersign_verifier::fuzzing::Kernels;
use libfuzzer_sys::fuzz_target;
use num_bigint::BigUint;
use rsa::{Pkcs1v15Sign, RsaPublicKey};

/// Lengths of moduli in bytes. The relaxed kernel is the more complex one, so its lengths are
/// listed twice.
const SIZES: [usize; 8] = [256, 384, 512, 256, 384, 512, 257, 1024];

fuzz_target!(|input: &[u8]| {
    let Some(([choice, size], input)) = input.split_first_chunk() else { return };
    let size = SIZES[usize::from(*size) % SIZES.len()];
    match choice % 3 {
        0 => check_numbers(size, input),
        1 => check_chosen_signature(size, input),
        _ => check_real_key(size, input),
    }
});

/// Checks an arbitrary modulus, exponent and signature.
fn check_numbers(size: usize, input: &[u8]) {
    let Some(([kind, e @ .., flip], input)) = input.split_first_chunk::<7>() else { return };
    let (n, s) = input.split_at(input.len() / 2);
    let mut n = cycle(n, size);
    n[0] |= if kind & 0x10 == 0 { 0x80 } else { 1 };
    n[size - 1] |= 1;
    let exponent = match kind & 0x20 {
        0 => 65_537,
        _ => (e.iter().fold(0, |e, byte| e << 8 | u64::from(*byte)) % (1 << 33) | 1).max(3),
    };
    let n = BigUint::from_bytes_be(&n);
    let one = BigUint::from(1u8);
    let s = match kind & 0x0f {
        0 => BigUint::ZERO,
        1 => one,
        2 => &n - one,
        3 => n.clone(),
        4 => &n + one,
        5 => &n >> 1,
        6 => BigUint::from_bytes_be(&cycle(s, size)) % &n + &n,
        7 => BigUint::from_bytes_be(s),
        _ => BigUint::from_bytes_be(&cycle(s, size)) % &n,
    };
    let s = octets(&s, size);
    let kernels = Kernels::new(&n.to_bytes_be(), exponent).expect("an odd modulus");
    check(&kernels, &n, exponent, &s, usize::from(*flip));
}

/// Checks e = 3 with n = s³ − m for an encoded message m. Then s is the signature of m, without a
/// private key.
fn check_chosen_signature(size: usize, input: &[u8]) {
    let Some((hash, s)) = input.split_first_chunk::<32>() else { return };
    let m = BigUint::from_bytes_be(&pkcs1(size, hash));
    // s has a third of the modulus's bits, with the highest two set, so that n has its full length.
    let bits = (8 * size).div_ceil(3) as u64;
    let mut s = BigUint::from_bytes_be(&cycle(s, size)) >> (8 * size as u64 - bits);
    s.set_bit(bits - 1, true);
    s.set_bit(bits - 2, true);
    s.set_bit(0, !m.bit(0));
    let n = s.pow(3) - &m;
    let size = n.bits().div_ceil(8) as usize;
    if pkcs1(size, hash) != octets(&m, size) {
        return;
    }
    let s = octets(&s, size);
    let kernels = Kernels::new(&n.to_bytes_be(), 3).expect("an odd modulus");
    assert!(kernels.accepts(&s, hash));
    check(&kernels, &n, 3, &s, usize::from(hash[0]));
}

struct Signed {
    kernels: Kernels,
    reference: RsaPublicKey,
    key: RsaKey,
    hash: [u8; 32],
    signature: Vec<u8>,
}

/// Made at first use.
static SIGNED: [LazyLock<Signed>; 4] = [
    LazyLock::new(|| Signed::new(256, 65_537)),
    LazyLock::new(|| Signed::new(384, 65_537)),
    LazyLock::new(|| Signed::new(512, 65_537)),
    LazyLock::new(|| Signed::new(256, 3)),
];

impl Signed {
    fn new(size: usize, e: u64) -> Self {
        let key = RsaKey::generate("fuzz", 8 * size as u64, e);
        let hash = [0xa5; 32];
        let signature = key.sign_block(&pkcs1(size, &hash));
        let n = key.n.to_bytes_be();
        let kernels = Kernels::new(&n, e).expect("an odd modulus");
        let reference = RsaPublicKey::new(rsa::BigUint::from_bytes_be(&n), e.into());
        Self { kernels, reference: reference.expect("a good key"), key, hash, signature }
    }
}

/// Checks a good signature with up to four bits flipped in it or in the hash, or with bytes
/// replaced.
fn check_real_key(size: usize, input: &[u8]) {
    let Some(([which, bits @ ..], replacement)) = input.split_first_chunk::<9>() else { return };
    let signed = &*SIGNED[usize::from(*which) % SIGNED.len()];
    let (mut hash, mut signature) = (signed.hash, signed.signature.clone());
    for place in bits.chunks_exact(2).map(|pair| usize::from(pair[0]) << 8 | usize::from(pair[1])) {
        let (byte, bit) = (place >> 3 & 0x0fff, 1 << (place & 7));
        if byte < signature.len() {
            signature[byte] ^= bit;
        } else if let Some(byte) = hash.get_mut(byte - signature.len()) {
            *byte ^= bit;
        }
    }
    if !replacement.is_empty() {
        let start = size % signature.len();
        signature.splice(start.., replacement.iter().copied());
    }
    let scheme = Pkcs1v15Sign { hash_len: Some(hash.len()), prefix: SHA256_PREFIX.to_vec().into() };
    let expected = signed.reference.verify(scheme, &hash, &signature).is_ok();
    assert_eq!(expected, signature == signed.signature && hash == signed.hash);
    assert_eq!(signed.kernels.accepts(&signature, &hash), expected);
    if expected {
        let message = pkcs1(signature.len(), &hash);
        assert_ne!(signed.kernels.relaxed_opens(&signature, &message), Some(false));
    }
    let e = signed.key.e.to_u64_digits()[0];
    check(&signed.kernels, &signed.key.n, e, &signature, usize::from(bits[0]));
}

/// Compares both kernels with num-bigint. `flip` selects a byte, from the end, and a bit of the
/// message to falsify.
fn check(kernels: &Kernels, n: &BigUint, exponent: u64, signature: &[u8], flip: usize) {
    let size = n.bits().div_ceil(8) as usize;
    let s = BigUint::from_bytes_be(signature);
    let opened =
        (signature.len() == size && s < *n).then(|| octets(&s.modpow(&exponent.into(), n), size));
    assert_eq!(kernels.power(signature), opened);

    let Some(opened) = opened else {
        assert!(!kernels.accepts(signature, &[0; 32]));
        return;
    };
    let hash = opened.last_chunk().expect("a message is longer than a hash");
    assert_eq!(kernels.accepts(signature, hash), pkcs1(size, hash) == opened);

    let supported = matches!(size, 256 | 384 | 512) && n.bits() == 8 * size as u64;
    let supported = supported && exponent == 65_537;
    // For unusual numbers like these, the relaxed kernel may refuse a good signature.
    assert_eq!(kernels.relaxed_opens(signature, &opened).is_some(), supported);
    let mut other = opened;
    other[size - 1 - flip * 2 % size] ^= 1 << (flip % 8);
    if BigUint::from_bytes_be(&other) < *n {
        assert_ne!(kernels.relaxed_opens(signature, &other), Some(true));
    }
}

/// Repeats the bytes up to `size`. Returns zeros if there are none.
fn cycle(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut cycled: Vec<u8> = bytes.iter().copied().cycle().take(size).collect();
    cycled.resize(size, 0);
    cycled
}

/// Writes a number in `size` bytes, or in more if it needs them.
fn octets(number: &BigUint, size: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    let mut padded = vec![0; size.saturating_sub(bytes.len())];
    padded.extend(bytes);
    padded
}
