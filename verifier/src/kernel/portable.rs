//! Modular exponentiation in Montgomery form (Montgomery 1985), on plain integers: any odd modulus,
//! any exponent, any machine. Inputs are public, so that nothing here runs in constant time.
//!
//! **Limbs** leave three bits of a word free, so that many products can be summed in a column before
//! anything is carried: WASM has no carry flag.
//!
//! **Blocks** of four limbs are the digits that numbers are multiplied and reduced by: four products
//! for each time that a column is read and written.

use alloc::{vec, vec::Vec};
use core::mem;

// The largest word whose products the machine computes in one instruction.
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

const LIMB_BITS: usize = Limb::BITS as usize - 3;
const LIMB_MASK: Limb = (1 << LIMB_BITS) - 1;

const BLOCK: usize = 4;
type Block = [Limb; BLOCK];

/// How many products of limbs a column may hold before its carries are settled.
///
/// With β = 2^`LIMB_BITS`, a column has room for 64·β². Settling leaves less than 65·β in it, and
/// the reduction adds four more products and a carry of less than 64·β to what it reads there:
/// 63·(β−1)² + 129·β is below 64·β².
const MOST_PRODUCTS: usize = 59;

/// An odd modulus, with what depends on it alone. Numbers are little-endian rows of as many limbs
/// as 2n needs, in whole blocks; R is 2 to the power of all their bits.
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
        let blocks = (8 * big_endian.len() + 1).div_ceil(BLOCK * LIMB_BITS);
        let n = to_limbs(big_endian, BLOCK * blocks);
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
        let product = &mut Product::new(self.n.len());
        let base = to_limbs(base, self.n.len());
        let mut base_in_form = base.clone();
        self.multiply(&mut base_in_form, &self.r_squared, product);
        let mut power = base_in_form.clone();
        // The bits between the exponent's highest and lowest.
        for bit in (1..exponent.ilog2()).rev() {
            self.square(&mut power, product);
            if exponent >> bit & 1 == 1 {
                self.multiply(&mut power, &base_in_form, product);
            }
        }
        // The lowest bit is set. Multiplying by the plain base takes the result out of Montgomery
        // form on the way.
        self.square(&mut power, product);
        self.multiply(&mut power, &base, product);
        to_bytes(&power, self.size())
    }

    /// Makes a into a·b·R⁻¹ mod n, for a, b < n.
    fn multiply(&self, a: &mut [Limb], b: &[Limb], product: &mut Product) {
        let (blocks, _) = a.as_chunks();
        for (block, i) in blocks.iter().zip((0..).step_by(BLOCK)) {
            product.add_row(i, block, &[0; BLOCK], b, 1);
        }
        self.reduce(product, a);
    }

    /// Makes a into a²·R⁻¹ mod n, for a < n. A block is multiplied by itself and by twice the blocks
    /// above it.
    #[expect(clippy::indexing_slicing, reason = "the row is as long as a")]
    fn square(&self, a: &mut [Limb], product: &mut Product) {
        let mut row: Vec<Limb> = a.iter().map(|limb| 2 * limb).collect();
        let (blocks, _) = a.as_chunks();
        for (block, i) in blocks.iter().zip((0..).step_by(BLOCK)) {
            row[i..][..BLOCK].copy_from_slice(block);
            product.add_row(2 * i, block, &[0; BLOCK], &row[i..], 2);
        }
        self.reduce(product, a);
    }

    /// Takes the product, which is below n·R, times R⁻¹ mod n: multiples of n make it a multiple of
    /// R, a block at a time.
    #[expect(clippy::indexing_slicing, reason = "a product has twice as many columns as n limbs")]
    fn reduce(&self, product: &mut Product, result: &mut [Limb]) {
        let Some((n, higher)) = self.n.split_first_chunk() else { return };
        // The limb of the quotient that clears a column, and what is carried from there.
        let divide = |sum: Wide| {
            let quotient = (sum as Limb).wrapping_mul(self.n_prime) & LIMB_MASK;
            (quotient, (sum + mul(quotient, n[0])) >> LIMB_BITS)
        };
        let mut carry = 0;
        for i in (0..self.n.len()).step_by(BLOCK) {
            let Some(columns) = product.columns[i..].first_chunk_mut::<BLOCK>() else { return };
            let [c0, c1, c2, c3] = mem::take(columns);
            let (q0, next) = divide(c0 + carry);
            let (q1, next) = divide(c1 + next + mul(q0, n[1]));
            let (q2, next) = divide(c2 + next + mul(q1, n[1]) + mul(q0, n[2]));
            let (q3, next) = divide(c3 + next + mul(q2, n[1]) + mul(q1, n[2]) + mul(q0, n[3]));
            product.add_row(i + BLOCK, &[q0, q1, q2, q3], n, higher, 1);
            carry = next;
        }
        for (limb, column) in result.iter_mut().zip(&mut product.columns[self.n.len()..]) {
            let sum = mem::take(column) + carry;
            (*limb, carry) = (sum as Limb & LIMB_MASK, sum >> LIMB_BITS);
        }
        product.held = 0;
        // The multiples of n are less than n·R together.
        self.subtract_modulus(result);
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

    /// R² mod n, which is 2ᵏ·R for the number k of R's bits. A squaring in Montgomery form doubles
    /// the exponent, and a doubling adds one to it; the highest six bits of k come by doublings,
    /// which is faster.
    fn compute_r_squared(&self) -> Vec<Limb> {
        let product = &mut Product::new(self.n.len());
        let k = self.n.len() * LIMB_BITS;
        let squarings = k.ilog2().saturating_sub(5);
        let mut power = self.shifted_one(k + (k >> squarings));
        for bit in (0..squarings).rev() {
            self.square(&mut power, product);
            if k >> bit & 1 == 1 {
                self.double(&mut power);
            }
        }
        power
    }

    /// 2 to the power of `exponent` modulo n, for an exponent not below the number of n's bits. The
    /// power of two below n is doubled as often as it takes.
    fn shifted_one(&self, exponent: usize) -> Vec<Limb> {
        let mut below = vec![0; self.size()];
        let leading_zeros = self.big_endian.first().map_or(0, |byte| byte.leading_zeros());
        if let Some(byte) = below.first_mut() {
            *byte = 0x80 >> leading_zeros;
        }
        let mut power = to_limbs(&below, self.n.len());
        for _ in 8 * self.size() - leading_zeros as usize..=exponent {
            self.double(&mut power);
        }
        power
    }

    /// 2 · `number` mod n, for a number below n.
    fn double(&self, number: &mut [Limb]) {
        let mut carry = 0;
        for limb in number.iter_mut() {
            (*limb, carry) = (*limb << 1 & LIMB_MASK | carry, *limb >> (LIMB_BITS - 1));
        }
        self.subtract_modulus(number);
    }

    /// `number` mod n, for a number below 2n.
    fn subtract_modulus(&self, number: &mut [Limb]) {
        if number.iter().rev().lt(self.n.iter().rev()) {
            return;
        }
        let mut borrow = 0;
        for (limb, n) in number.iter_mut().zip(&self.n) {
            let difference = limb.wrapping_sub(*n).wrapping_sub(borrow);
            (*limb, borrow) = (difference & LIMB_MASK, difference >> (Limb::BITS - 1));
        }
    }
}

/// A product of two numbers, as the sums in its columns.
struct Product {
    columns: Vec<Wide>,
    /// How many products of limbs a column holds at most.
    held: usize,
}

impl Product {
    /// Zero, with room for a product of numbers of so many limbs.
    fn new(limbs: usize) -> Self {
        Self { columns: vec![0; 2 * limbs], held: 0 }
    }

    /// Adds a·b from a column up, and what reaches up there of a times the block below b. The limbs
    /// of b are less than `factor` times 2^`LIMB_BITS`. All the time is spent in here.
    #[expect(clippy::indexing_slicing, reason = "there is room for every row")]
    fn add_row(&mut self, column: usize, a: &Block, below: &Block, b: &[Limb], factor: usize) {
        self.held += BLOCK * factor;
        if self.held > MOST_PRODUCTS {
            self.settle_carries();
            self.held = BLOCK * factor;
        }

        let (columns, _) = self.columns[column..].as_chunks_mut::<BLOCK>();
        let mut columns = columns.iter_mut();
        let (blocks, _) = b.as_chunks::<BLOCK>();
        let mut c = below;
        // The terms stand in the order that compiles to the fastest code.
        for (b, columns) in blocks.iter().zip(&mut columns) {
            columns[0] += mul(a[3], c[1]) + mul(a[2], c[2]) + mul(a[1], c[3]) + mul(a[0], b[0]);
            columns[1] += mul(a[3], c[2]) + mul(a[2], c[3]) + mul(a[1], b[0]) + mul(a[0], b[1]);
            columns[2] += mul(a[3], c[3]) + mul(a[2], b[0]) + mul(a[1], b[1]) + mul(a[0], b[2]);
            columns[3] += mul(a[3], b[0]) + mul(a[2], b[1]) + mul(a[1], b[2]) + mul(a[0], b[3]);
            c = b;
        }
        if let Some(columns) = columns.next() {
            columns[0] += mul(a[3], c[1]) + mul(a[2], c[2]) + mul(a[1], c[3]);
            columns[1] += mul(a[3], c[2]) + mul(a[2], c[3]);
            columns[2] += mul(a[3], c[3]);
        }
    }

    /// Leaves a limb in each column, and carries the rest of it to the next one.
    fn settle_carries(&mut self) {
        let mut carry = 0;
        for column in &mut self.columns {
            (*column, carry) = ((*column & Wide::from(LIMB_MASK)) + carry, *column >> LIMB_BITS);
        }
    }
}

/// Inlined even where code is compiled for its size.
#[inline(always)]
fn mul(a: Limb, b: Limb) -> Wide {
    Wide::from(a) * Wide::from(b)
}

/// −n⁻¹ modulo 2^`LIMB_BITS` of an odd n, by Newton's iteration. n itself is right in three bits,
/// and each step doubles how many.
fn negative_inverse(n: Limb) -> Limb {
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul((2 as Limb).wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & LIMB_MASK
}

fn to_limbs(big_endian: &[u8], limbs: usize) -> Vec<Limb> {
    let mut number = vec![0; limbs];
    let mut bytes = big_endian.iter().rev();
    let (mut window, mut bits): (Wide, usize) = (0, 0);
    for limb in &mut number {
        while bits < LIMB_BITS {
            window |= bytes.next().map_or(0, |byte| Wide::from(*byte)) << bits;
            bits += 8;
        }
        *limb = window as Limb & LIMB_MASK;
        window >>= LIMB_BITS;
        bits -= LIMB_BITS;
    }
    number
}

fn to_bytes(number: &[Limb], size: usize) -> Vec<u8> {
    let mut big_endian = vec![0; size];
    let mut limbs = number.iter();
    let (mut window, mut bits): (Wide, usize) = (0, 0);
    for byte in big_endian.iter_mut().rev() {
        if bits < 8 {
            window |= limbs.next().map_or(0, |limb| Wide::from(*limb)) << bits;
            bits += LIMB_BITS;
        }
        *byte = window as u8;
        window >>= 8;
        bits -= 8;
    }
    big_endian
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
            ones(8192),
            // With R = 2(n + 1), and with one block more.
            ones(6 * BLOCK * LIMB_BITS - 1),
            ones(6 * BLOCK * LIMB_BITS),
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
    fn full_columns_are_added_to_and_reduced() {
        let value = |columns: &[Wide]| {
            columns
                .iter()
                .rev()
                .fold(BigUint::from(0u8), |sum, column| (sum << LIMB_BITS) + *column)
        };
        for factor in [1, 2] {
            let mut product = Product::new(4 * BLOCK);
            let b = [factor * LIMB_MASK; BLOCK];
            for _ in 0..100 {
                product.add_row(0, &[LIMB_MASK; BLOCK], &[0; BLOCK], &b, factor as usize);
            }
            let greatest = ones(BLOCK * LIMB_BITS);
            assert_eq!(value(&product.columns), &greatest * &greatest * 100u8 * factor);
        }

        // The second one makes for great limbs in the quotient.
        for n in [ones(2048), ones(2048) - ones(LIMB_BITS) + 1u8] {
            let portable = Portable::new(&n.to_bytes_be()).unwrap();
            let limbs = portable.n.len();
            let mut product = Product::new(limbs);
            let square = Wide::from(LIMB_MASK) * Wide::from(LIMB_MASK);
            product.columns[..limbs]
                .fill(MOST_PRODUCTS as Wide * square + 65 * (square >> LIMB_BITS));
            product.held = MOST_PRODUCTS;
            let unreduced = value(&product.columns);
            let mut result = vec![0; limbs];
            portable.reduce(&mut product, &mut result);
            let result = BigUint::from_bytes_be(&to_bytes(&result, 256));
            assert_eq!((result << (limbs * LIMB_BITS)) % &n, unreduced % &n);
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
