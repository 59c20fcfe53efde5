//! Modular exponentiation in Montgomery form (Montgomery 1985), on plain integers: any odd modulus,
//! any exponent, any machine. Inputs are public, so that nothing here runs in constant time.

use alloc::{vec, vec::Vec};
use core::cmp::Ordering;

// The largest limb whose products the machine multiplies in one instruction.
#[cfg(target_pointer_width = "64")]
mod limb {
    pub(super) type Limb = u64;
    pub(super) type Wide = u128;
}
#[cfg(not(target_pointer_width = "64"))]
mod limb {
    pub(super) type Limb = u32;
    pub(super) type Wide = u64;
}
use limb::{Limb, Wide};

const LIMB_BITS: usize = Limb::BITS as usize;
const LIMB_BYTES: usize = LIMB_BITS / 8;

/// An odd modulus, with what depends on it alone. Numbers are little-endian rows of as many limbs
/// as the modulus has; R is 2 to the power of all their bits.
pub(super) struct Portable {
    n: Vec<Limb>,
    /// −n⁻¹ modulo 2^`LIMB_BITS`.
    n_prime: Limb,
    /// R² mod n, which takes a number into Montgomery form.
    r_squared: Vec<Limb>,
    /// The modulus as it was given, for comparisons.
    big_endian: Vec<u8>,
}

impl Portable {
    /// Takes big-endian bytes whose first is not zero. `None` for an even number, and below 2.
    pub(super) fn new(big_endian: &[u8]) -> Option<Self> {
        let n = to_limbs(big_endian, big_endian.len().div_ceil(LIMB_BYTES));
        let &lowest = n.first()?;
        if lowest % 2 == 0 || big_endian == [1] || *big_endian.first()? == 0 {
            return None;
        }
        let mut portable = Self {
            n_prime: negative_inverse(lowest),
            r_squared: vec![],
            big_endian: big_endian.to_vec(),
            n,
        };
        portable.r_squared = portable.compute_r_squared();
        Some(portable)
    }

    /// The length of the modulus in bytes.
    pub(super) const fn size(&self) -> usize {
        self.big_endian.len()
    }

    /// Whether `number`, in big-endian bytes, has the modulus's length and is less than it.
    pub(super) fn is_reduced(&self, number: &[u8]) -> bool {
        number.len() == self.size() && *number < *self.big_endian
    }

    /// `base`, reduced, to the power of an `exponent` that is odd and at least 3, as big-endian
    /// bytes of the modulus's length.
    pub(super) fn power(&self, base: &[u8], exponent: u64) -> Vec<u8> {
        let base = to_limbs(base, self.n.len());
        let base_in_form = self.multiply(&base, &self.r_squared);
        let mut power = base_in_form.clone();
        // The bits between the exponent's highest and lowest.
        for bit in (1..exponent.ilog2()).rev() {
            power = self.multiply(&power, &power);
            if exponent >> bit & 1 == 1 {
                power = self.multiply(&power, &base_in_form);
            }
        }
        // The lowest bit is set. Multiplying by the plain base takes the result out of Montgomery
        // form on the way.
        power = self.multiply(&power, &power);
        power = self.multiply(&power, &base);
        to_bytes(&power, self.size())
    }

    /// a · b · R⁻¹ mod n, for a, b < n. Coarsely integrated operand scanning (Koç, Acar, Kaliski
    /// 1996) with both inner loops in one.
    ///
    /// No sum overflows: with β = 2^`LIMB_BITS`, each is at most (β−1) + (β−1)² + (β−1) = β² − 1.
    #[expect(clippy::indexing_slicing, reason = "all rows have the length of n, checked up front")]
    fn multiply(&self, a: &[Limb], b: &[Limb]) -> Vec<Limb> {
        let limbs = self.n.len();
        let n = &self.n[..limbs];
        let b = &b[..limbs];
        let mut row = vec![0; limbs];
        let t = &mut row[..limbs];
        let mut highest: Limb = 0;
        for &a_i in a {
            let a_i = Wide::from(a_i);
            let product = Wide::from(t[0]) + a_i * Wide::from(b[0]);
            let quotient = Wide::from((product as Limb).wrapping_mul(self.n_prime));
            let reduced = Wide::from(product as Limb) + quotient * Wide::from(n[0]);
            let mut carry_of_product = product >> LIMB_BITS;
            let mut carry_of_reduction = reduced >> LIMB_BITS;
            for j in 1..limbs {
                let product = Wide::from(t[j]) + a_i * Wide::from(b[j]) + carry_of_product;
                carry_of_product = product >> LIMB_BITS;
                let reduced =
                    Wide::from(product as Limb) + quotient * Wide::from(n[j]) + carry_of_reduction;
                carry_of_reduction = reduced >> LIMB_BITS;
                t[j - 1] = reduced as Limb;
            }
            let top = Wide::from(highest) + carry_of_product + carry_of_reduction;
            t[limbs - 1] = top as Limb;
            highest = (top >> LIMB_BITS) as Limb;
        }
        // The sum is below 2n: a·b < n·R, and the reduction adds less than n·R before it divides.
        if highest != 0 || compare(t, n) != Ordering::Less {
            subtract(t, n);
        }
        row
    }

    /// The modulus, in big-endian bytes.
    #[cfg(any(target_feature = "relaxed-simd", test, fuzzing))]
    pub(super) fn big_endian(&self) -> &[u8] {
        &self.big_endian
    }

    /// 2 to the power of `exponent` modulo n, as big-endian bytes of the modulus's length.
    #[cfg(any(target_feature = "relaxed-simd", test, fuzzing))]
    pub(super) fn power_of_two(&self, exponent: usize) -> Vec<u8> {
        to_bytes(&self.shifted_one(exponent), self.size())
    }

    /// R² mod n. From R mod n by doublings to 2ᵏ·R, and by squarings in Montgomery form from there,
    /// each of which doubles k, until k is the number of R's bits.
    fn compute_r_squared(&self) -> Vec<Limb> {
        let bits = self.n.len() * LIMB_BITS;
        let squarings = bits.trailing_zeros();
        let mut power = self.shifted_one(bits + (bits >> squarings));
        for _ in 0..squarings {
            power = self.multiply(&power, &power);
        }
        power
    }

    /// 2 to the power of `exponent` modulo n, for an exponent not below the number of n's bits. The
    /// power of two below n is doubled as often as it takes.
    fn shifted_one(&self, exponent: usize) -> Vec<Limb> {
        let mut power = vec![0; self.n.len()];
        let highest = self.n.last().map_or(0, |limb| limb.ilog2());
        if let Some(limb) = power.last_mut() {
            *limb = 1 << highest;
        }
        for _ in (self.n.len() - 1) * LIMB_BITS + highest as usize..exponent {
            self.double(&mut power);
        }
        power
    }

    /// 2 · `number` mod n, for a number below n.
    fn double(&self, number: &mut [Limb]) {
        let mut carry = 0;
        for limb in number.iter_mut() {
            (*limb, carry) = (*limb << 1 | carry, *limb >> (LIMB_BITS - 1));
        }
        if carry != 0 || compare(number, &self.n) != Ordering::Less {
            subtract(number, &self.n);
        }
    }
}

/// −n⁻¹ modulo 2^`LIMB_BITS` of an odd n, by Newton's iteration. n itself is right in three bits,
/// and each step doubles how many.
fn negative_inverse(n: Limb) -> Limb {
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul((2 as Limb).wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// Which of two numbers of the same length is greater.
fn compare(a: &[Limb], b: &[Limb]) -> Ordering {
    a.iter().rev().cmp(b.iter().rev())
}

/// a − b modulo R.
fn subtract(a: &mut [Limb], b: &[Limb]) {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (difference, first) = a.overflowing_sub(*b);
        let (difference, second) = difference.overflowing_sub(Limb::from(borrow));
        (*a, borrow) = (difference, first || second);
    }
}

fn to_limbs(big_endian: &[u8], limbs: usize) -> Vec<Limb> {
    let mut number: Vec<Limb> = big_endian
        .rchunks(LIMB_BYTES)
        .map(|bytes| bytes.iter().fold(0, |limb, byte| limb << 8 | Limb::from(*byte)))
        .collect();
    number.resize(limbs, 0);
    number
}

fn to_bytes(number: &[Limb], size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = number.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    bytes.truncate(size);
    bytes.reverse();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsa::{BigUint, traits::PublicKeyParts as _};

    /// Checks against the reference, which is the big integers that the `rsa` crate uses.
    fn check(n: &BigUint, base: &BigUint, exponent: u64) {
        let portable = Portable::new(&n.to_bytes_be()).unwrap();
        let mut padded = vec![0; portable.size() - base.to_bytes_be().len().min(portable.size())];
        padded.extend(base.to_bytes_be());
        let expected = (base < n).then(|| base.modpow(&BigUint::from(exponent), n));
        let actual = portable
            .is_reduced(&padded)
            .then(|| BigUint::from_bytes_be(&portable.power(&padded, exponent)));
        assert_eq!(actual, expected, "{base} ^ {exponent} mod {n}");
    }

    fn ones(bits: usize) -> BigUint {
        (BigUint::from(1u8) << bits) - 1u8
    }

    #[test]
    fn extreme_numbers_are_raised_rightly() {
        let one = BigUint::from(1u8);
        let moduli = [
            ones(2048),
            ones(2049),
            ones(2056),
            ones(2047),
            ones(64),
            ones(65),
            (&one << 2047) + 1u8,
            (&one << 2048) + 1u8,
            (&one << 64) + 1u8,
            ones(2048) - (&one << 1024),
            (ones(1024) << 1024) + 1u8,
            BigUint::from(3u8),
            BigUint::from(0x1_0001u32),
        ];
        for n in &moduli {
            for base in [
                BigUint::from(0u8),
                one.clone(),
                BigUint::from(2u8),
                n - 1u8,
                n - 2u8,
                n >> 1,
                n.clone(),
                n + 1u8,
            ] {
                for exponent in [3, 5, 7, 65_537, (1 << 33) - 1, (1 << 32) + 1] {
                    check(n, &base, exponent);
                }
            }
        }
    }

    #[test]
    fn a_modulus_is_odd_and_has_no_leading_zeros() {
        for refused in [&[][..], &[0], &[1], &[2], &[0, 3], &[1, 0]] {
            assert!(Portable::new(refused).is_none(), "{refused:?}");
        }
    }

    #[test]
    fn a_base_of_another_length_is_refused() {
        let portable = Portable::new(&[0x7f; 256]).unwrap();
        assert!(!portable.is_reduced(&[1; 255]));
        assert!(!portable.is_reduced(&[1; 257]));
        assert!(portable.is_reduced(&[1; 256]));
    }

    #[test]
    fn what_a_private_key_signed_is_opened() {
        let key = rsa::RsaPrivateKey::new(&mut rand::thread_rng(), 512).unwrap();
        let message = BigUint::from(0x1234_5678u32);
        let signature = message.modpow(rsa::traits::PrivateKeyParts::d(&key), key.n());
        let portable = Portable::new(&key.n().to_bytes_be()).unwrap();
        let mut padded = vec![0; 64 - signature.to_bytes_be().len()];
        padded.extend(signature.to_bytes_be());
        assert_eq!(BigUint::from_bytes_be(&portable.power(&padded, 65_537)), message);
    }

    proptest! {
        #[test]
        fn the_reference_agrees_on_random_numbers(
            mut n in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 2..160),
            base in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 1..160),
            exponent in prop_oneof![Just(65_537), Just(3), (1u64..1 << 32).prop_map(|e| 2 * e + 1)],
        ) {
            if n[0] == 0 { n[0] = 1; }
            *n.last_mut().unwrap() |= 1;
            let n = BigUint::from_bytes_be(&n);
            check(&n, &(BigUint::from_bytes_be(&base) % &n), exponent);
        }
    }
}
