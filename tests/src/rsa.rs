//! RSA in plain big integers: keys from a seed, and signatures over any block, well-formed or not.
//!
//! No RSA library signs a block with garbage after the hash, or makes a key with an even modulus.
//! The vectors need both. Nothing here is constant-time, and no key is a secret.

use num_bigint::BigUint;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::encoding::base64url;

/// A private RSA key. It may be unsound.
#[derive(Clone, Debug)]
pub struct RsaKey {
    /// The modulus.
    pub n: BigUint,
    /// The public exponent.
    pub e: BigUint,
    d: BigUint,
    primes: Vec<BigUint>,
}

impl RsaKey {
    /// Generates a key of `bits` bits from `label`. The same label gives the same key.
    ///
    /// The modulus is a product of primes of about 512 bits (RFC 8017 §3.1 allows more than two). A
    /// verifier cannot tell the difference, and 8192 bits take only a second.
    #[must_use]
    pub fn generate(label: &str, bits: u64, e: u64) -> Self {
        // The modulus starts with the bits 101. The sum of modulus and signature then often has the
        // modulus's length, which the vectors need.
        let target = BigUint::from(5u8) << (bits - 3);
        Self::near(label, &target, &[], e)
    }

    /// Generates a key with a modulus just above `target`: the product of `given` and of primes
    /// from `label`.
    #[must_use]
    pub fn near(label: &str, target: &BigUint, given: &[BigUint], e: u64) -> Self {
        let e = BigUint::from(e);
        let mut seed = Seed::new(label);
        let mut primes = given.to_vec();
        let mut product: BigUint = primes.iter().product();
        while (target / &product).bits() > 1000 {
            let prime = next_prime(seed.number(512), &e);
            product *= &prime;
            primes.push(prime);
        }
        primes.push(next_prime(target / product + 1u8, &e));
        Self::from_primes(primes, e)
    }

    fn from_primes(primes: Vec<BigUint>, e: BigUint) -> Self {
        let one = BigUint::from(1u8);
        let n = primes.iter().product();
        let order: BigUint = primes.iter().map(|prime| prime - &one).product();
        // An even exponent has no inverse. Such a key can only sign with square roots.
        let d = e.modinv(&order).unwrap_or_default();
        Self { n, e, d, primes }
    }

    /// Returns the length of the modulus in octets.
    #[must_use]
    pub fn size(&self) -> usize {
        self.n.bits().div_ceil(8) as usize
    }

    /// Returns the RSASSA-PKCS1-v1_5 signature over `message` with SHA-256 (RFC 8017 §8.2.1).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.sign_block(&pkcs1(self.size(), &Sha256::digest(message)))
    }

    /// Returns the signature over an encoded block of any form, as long as the modulus.
    #[must_use]
    pub fn sign_block(&self, block: &[u8]) -> Vec<u8> {
        self.octets(&BigUint::from_bytes_be(block).modpow(&self.d, &self.n))
    }

    /// Returns the square root of a block, which is a signature under e = 2. Three of four blocks
    /// have none.
    #[must_use]
    pub fn square_root(&self, block: &[u8]) -> Option<Vec<u8>> {
        let block = BigUint::from_bytes_be(block);
        let two = BigUint::from(2u8);
        let mut root = BigUint::default();
        for prime in &self.primes {
            // This is valid for primes that are 3 mod 4. The check below refuses others.
            let part = block.modpow(&((prime + 1u8) >> 2), prime);
            if part.modpow(&two, prime) != &block % prime {
                return None;
            }
            let others = &self.n / prime;
            let inverse = others.modinv(prime)?;
            root += part * &others * inverse;
        }
        Some(self.octets(&(root % &self.n)))
    }

    /// Encodes a number in as many octets as the modulus has.
    #[must_use]
    pub fn octets(&self, number: &BigUint) -> Vec<u8> {
        let octets = number.to_bytes_be();
        let mut padded = vec![0; self.size().saturating_sub(octets.len())];
        padded.extend(octets);
        padded
    }

    /// Returns the public key as a JWK for signatures.
    #[must_use]
    pub fn jwk(&self, kid: &str) -> Value {
        json!({
            "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
            "n": base64url(self.n.to_bytes_be()), "e": base64url(self.e.to_bytes_be()),
        })
    }
}

/// `DigestInfo` of SHA-256 up to the hash (RFC 8017 §9.2, note 1).
pub const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Encodes a SHA-256 hash as a block (RFC 8017 §9.2).
#[must_use]
pub fn pkcs1(size: usize, hash: &[u8]) -> Vec<u8> {
    block(size, &[&SHA256_PREFIX[..], hash].concat())
}

/// Makes a block of `size` octets. Padding fills the space that `content` leaves.
#[must_use]
pub fn block(size: usize, content: &[u8]) -> Vec<u8> {
    let padding = vec![0xff; size - content.len() - 3];
    [&[0, 1][..], &padding, &[0], content].concat()
}

/// Encodes a message for RSASSA-PSS with SHA-256 and a salt of 32 zeros (RFC 8017 §9.1.1). The bit
/// length of the modulus must be a multiple of 8.
#[must_use]
pub fn pss(size: usize, message: &[u8]) -> Vec<u8> {
    let salt = [0; 32];
    let hash = Sha256::digest([&[0; 8][..], &Sha256::digest(message), &salt].concat());
    let mut masked = vec![0; size - 32 - 1];
    let salt_start = masked.len() - salt.len();
    masked[salt_start - 1] = 1;
    let mask = (0u32..)
        .flat_map(|counter| Sha256::digest([&hash[..], &counter.to_be_bytes()].concat()).to_vec());
    masked.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    masked[0] &= 0x7f;
    [&masked[..], &hash, &[0xbc]].concat()
}

/// SHA-256 in counter mode. It is good enough to make test keys from a label.
struct Seed {
    label: String,
    counter: u64,
}

impl Seed {
    fn new(label: &str) -> Self {
        Self { label: label.into(), counter: 0 }
    }

    /// Returns a number of exactly `bits` bits.
    fn number(&mut self, bits: u64) -> BigUint {
        let mut octets = Vec::new();
        while (octets.len() as u64) * 8 < bits {
            self.counter += 1;
            octets.extend(Sha256::digest(format!("countersign {} {}", self.label, self.counter)));
        }
        let mut number = BigUint::from_bytes_be(&octets) >> (octets.len() as u64 * 8 - bits);
        number.set_bit(bits - 1, true);
        number
    }
}

/// Returns the first prime from `start` on that is 3 mod 4 and allows the exponent `e`.
///
/// Square roots modulo such primes are easy. The forged signatures for e = 2 need them.
fn next_prime(start: BigUint, e: &BigUint) -> BigUint {
    let one = BigUint::from(1u8);
    let mut candidate = start;
    candidate.set_bit(0, true);
    candidate.set_bit(1, true);
    let allows = |prime: &BigUint| !e.bit(0) || e.modinv(&(prime - &one)).is_some();
    while !(is_prime(&candidate) && allows(&candidate)) {
        candidate += 4u8;
    }
    candidate
}

/// Tests with Miller–Rabin, with the first primes as bases. No adversary chooses the candidates.
fn is_prime(candidate: &BigUint) -> bool {
    const SMALL: [u32; 54] = [
        2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181,
        191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251,
    ];
    let zero = BigUint::default();
    if SMALL.iter().any(|prime| candidate % prime == zero) {
        return false;
    }
    let last = candidate - 1u8;
    let twos = last.trailing_zeros().unwrap_or(0);
    let odd = &last >> twos;
    SMALL.iter().take(16).all(|base| {
        let mut power = BigUint::from(*base).modpow(&odd, candidate);
        if power == BigUint::from(1u8) || power == last {
            return true;
        }
        (1..twos).any(|_| {
            power = &power * &power % candidate;
            power == last
        })
    })
}
