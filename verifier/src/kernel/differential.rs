//! Both kernels agree with the `rsa` crate on signatures of real keys.

use alloc::{vec, vec::Vec};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use rand::rngs::ThreadRng;
use rsa::{
    BigUint, Pkcs1v15Sign, RsaPrivateKey,
    hazmat::rsa_decrypt,
    traits::{PrivateKeyParts as _, PublicKeyParts as _},
};

use super::{Kernel, relaxed::Relaxed};
use crate::emsa;

/// `DigestInfo` of SHA-256 up to the hash, for the reference.
const PREFIX: [u8; 19] =
    *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

struct Key {
    reference: RsaPrivateKey,
    kernel: Kernel,
    relaxed: Option<alloc::boxed::Box<Relaxed>>,
}

impl Key {
    /// Generates a key of four primes, which are found faster than two. The verifier cannot tell
    /// the difference.
    fn generate(bits: usize, exponent: u64) -> Self {
        let exponent_number = BigUint::from(exponent);
        let two_primes = || {
            let rng = &mut rand::thread_rng();
            let key = RsaPrivateKey::new_with_exp(rng, bits / 2, &exponent_number).unwrap();
            key.primes().to_vec()
        };
        let reference = loop {
            let primes = [two_primes(), two_primes()].concat();
            let key = RsaPrivateKey::from_primes(primes, exponent_number.clone()).unwrap();
            if key.n().bits() == bits {
                break key;
            }
        };
        let kernel = Kernel::new(&reference.n().to_bytes_be(), exponent).unwrap();
        let relaxed = Relaxed::new(&kernel.portable, exponent);
        Self { reference, kernel, relaxed }
    }

    /// Returns the verdict, after a check that all agree on it.
    fn accepts(&self, signature: &[u8], hash: &[u8; 32]) -> bool {
        let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: PREFIX.into() };
        let expected = self.reference.to_public_key().verify(scheme, hash, signature).is_ok();
        assert_eq!(self.kernel.accepts(signature, hash), expected);
        if let Some(relaxed) = &self.relaxed
            && self.kernel.portable.is_reduced(signature)
        {
            assert_eq!(relaxed.accepts(signature, hash), expected);
        }
        expected
    }

    /// Returns the signature that opens to `message`, which need not be well-formed.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let message = BigUint::from_bytes_be(message);
        self.octets(&rsa_decrypt(None::<&mut ThreadRng>, &self.reference, &message).unwrap())
    }

    fn octets(&self, number: &BigUint) -> Vec<u8> {
        let bytes = number.to_bytes_be();
        let mut padded = vec![0; self.reference.size().saturating_sub(bytes.len())];
        padded.extend(bytes);
        padded
    }
}

/// The other tests would pass with the portable kernel alone. `cargo xtask test` requires this one.
#[cfg(target_feature = "relaxed-simd")]
#[test]
fn in_webassembly_the_relaxed_kernel_is_in_use() {
    let key = Key::generate(2048, 65_537);
    assert!(key.kernel.relaxed.is_some(), "the engine or the processor does not fuse multiply-add");
}

#[test]
fn numbers_at_the_ends_of_the_range_are_refused() {
    let hash = [0x5a; 32];
    for (bits, exponent) in [(2048, 65_537), (2048, 3), (2056, 65_537), (3072, 65_537)] {
        let key = Key::generate(bits, exponent);
        let (n, one) = (key.reference.n(), BigUint::from(1u8));
        let good = key.sign(&emsa::encode(&hash, key.reference.size()));
        assert!(key.accepts(&good, &hash));
        let s = BigUint::from_bytes_be(&good);
        for number in
            [BigUint::from(0u8), one.clone(), n - &one, n.clone(), n + &one, n + &s, n - &s]
        {
            assert!(!key.accepts(&key.octets(&number), &hash), "{number} for {n}");
        }
        for other in [&good[1..], &[&[0], &good[..]].concat(), &[&good[..], &[0]].concat(), &[]] {
            assert!(!key.accepts(other, &hash));
        }
    }
}

/// Runs `check` on a key that the relaxed kernel supports, and on one that it does not.
fn on_real_keys<S: Strategy>(
    strategy: &S,
    check: impl Fn(&Key, S::Value) -> Result<(), TestCaseError>,
) {
    for (bits, exponent) in [(2048, 65_537), (2056, 3)] {
        let key = Key::generate(bits, exponent);
        // A failed input cannot be replayed, because each run has new keys.
        let mut runner = TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(64)
        });
        runner.run(strategy, |value| check(&key, value)).unwrap();
    }
}

#[test]
fn the_reference_agrees_on_signatures_with_flipped_bits() {
    let flips = prop::collection::vec(any::<Index>(), 0..3);
    on_real_keys(&(any::<[u8; 32]>(), flips), |key, (hash, flips)| {
        let good = key.sign(&emsa::encode(&hash, key.reference.size()));
        let (mut signature, mut other) = (good.clone(), hash);
        let bits = 8 * (signature.len() + other.len());
        for flip in flips {
            let (byte, bit) = (flip.index(bits) / 8, 1 << (flip.index(bits) % 8));
            match byte.checked_sub(signature.len()) {
                None => signature[byte] ^= bit,
                Some(byte) => other[byte] ^= bit,
            }
        }
        let untouched = signature == good && other == hash;
        prop_assert_eq!(key.accepts(&signature, &other), untouched);
        Ok(())
    });
}

#[test]
fn the_reference_agrees_on_messages_that_are_almost_encoded() {
    let changes = prop::collection::vec((any::<Index>(), any::<u8>(), 0..3), 0..4);
    on_real_keys(&(any::<[u8; 32]>(), changes), |key, (hash, changes)| {
        let good = emsa::encode(&hash, key.reference.size());
        let mut message = good.clone();
        for (index, byte, kind) in changes {
            // Two of three changes are in the part with a structure. The first byte stays, so that
            // the message is a number below n.
            let start = if kind == 0 { 1 } else { message.len() - 54 };
            let position = start + index.index(message.len() - start);
            message[position] = byte;
        }
        prop_assert_eq!(key.accepts(&key.sign(&message), &hash), message == good);
        Ok(())
    });
}

#[test]
fn the_reference_agrees_on_messages_with_a_piece_cut_out() {
    // The message is filled up at the end: short padding, garbage after the hash, a missing NULL.
    let garbage = prop_oneof![Just(0), Just(0xff), any::<u8>()];
    let strategy = (any::<[u8; 32]>(), any::<Index>(), 0usize..40, garbage);
    on_real_keys(&strategy, |key, (hash, start, length, garbage)| {
        let good = emsa::encode(&hash, key.reference.size());
        let mut message = good.clone();
        let start = 1 + start.index(message.len() - 1);
        message.drain(start..good.len().min(start + length));
        message.resize(good.len(), garbage);
        prop_assert_eq!(key.accepts(&key.sign(&message), &hash), message == good);
        Ok(())
    });
}
