//! Modular exponentiation in Montgomery form (Montgomery 1985), on plain integers: any odd modulus,
//! any exponent, any machine. Inputs are public, so nothing here has to run in constant time.
//!
//! **Limbs** leave some bits of a word free. A column can therefore sum many products before it is
//! carried. WASM has no carry flag.
//!
//! **Blocks** of limbs are the digits of multiplication and reduction: each time that a column is
//! read and written, a product for each limb of a block is added to it.
//!
//! **Words** are the largest that the machine multiplies in one instruction.

use alloc::{boxed::Box, vec, vec::Vec};
use core::mem;

use once_cell::race::OnceBox;

/// Words of 64 bits, natively and in WASM with wide arithmetic. rustc does not reveal that target
/// feature, so `cargo xtask build` sets a `cfg` with it.
#[cfg(any(target_pointer_width = "64", wide_arithmetic))]
mod word {
    use super::mul;

    pub(super) type Limb = u64;
    pub(super) type Wide = u128;
    pub(super) const LIMB_BITS: usize = 60;
    pub(super) const BLOCK: usize = 5;

    /// In this order of the terms, the engine of Bun keeps the sum in registers.
    #[expect(clippy::indexing_slicing, reason = "a window is a block, and a row more than one")]
    pub(super) fn add_row(columns: &mut [Wide], a: &[Limb; BLOCK], row: &[Limb]) {
        for (column, b) in columns.iter_mut().zip(row[1..].windows(BLOCK)) {
            *column = *column
                + mul(a[4], b[0])
                + mul(a[3], b[1])
                + mul(a[2], b[2])
                + mul(a[1], b[3])
                + mul(a[0], b[4]);
        }
    }
}

/// Words of 32 bits.
#[cfg(not(any(target_pointer_width = "64", wide_arithmetic)))]
mod word {
    use super::mul;

    pub(super) type Limb = u32;
    pub(super) type Wide = u64;
    pub(super) const LIMB_BITS: usize = 29;
    pub(super) const BLOCK: usize = 4;

    /// Must be inlined for V8. Most engines are fastest with the limbs of two blocks in registers.
    #[inline(always)]
    pub(super) fn add_row(columns: &mut [Wide], a: &[Limb; BLOCK], row: &[Limb]) {
        let (columns, _) = columns.as_chunks_mut::<BLOCK>();
        let (blocks, _) = row.as_chunks::<BLOCK>();
        let Some((mut below, blocks)) = blocks.split_first() else { return };
        for (c, b) in columns.iter_mut().zip(blocks) {
            let [_, d1, d2, d3] = *below;
            c[0] = c[0] + mul(a[3], d1) + mul(a[2], d2) + mul(a[1], d3) + mul(a[0], b[0]);
            c[1] = c[1] + mul(a[3], d2) + mul(a[2], d3) + mul(a[1], b[0]) + mul(a[0], b[1]);
            c[2] = c[2] + mul(a[3], d3) + mul(a[2], b[0]) + mul(a[1], b[1]) + mul(a[0], b[2]);
            c[3] = c[3] + mul(a[3], b[0]) + mul(a[2], b[1]) + mul(a[1], b[2]) + mul(a[0], b[3]);
            below = b;
        }
    }
}

use word::{BLOCK, LIMB_BITS, Limb, Wide};

/// True if words have 64 bits.
pub(super) const IS_WIDE: bool = Limb::BITS == 64;

const LIMB_MASK: Limb = (1 << LIMB_BITS) - 1;

/// The number of products of limbs for which a column has room.
const ROOM: usize = 1 << (2 * (Limb::BITS as usize - LIMB_BITS));

/// The number of products of limbs that a column may contain before its carries are settled.
///
/// With β = 2^`LIMB_BITS`, a column has room for `ROOM`·β². Settling leaves less than (`ROOM` + 1)·β
/// in it. The reduction adds `BLOCK` more products, and a carry of less than `ROOM`·β, to the sum
/// that it reads: (`ROOM` − 1)·(β−1)² + (2·`ROOM` + 1)·β is below `ROOM`·β².
const MOST_PRODUCTS: usize = ROOM - 1 - BLOCK;

/// An odd modulus n, with the values that depend on it alone. A number is a little-endian row of
/// limbs, in whole blocks, long enough for 4n. R is 2 to the power of the number of bits in a row.
/// So the product of two numbers below 2n is below n·R.
#[derive(Clone)]
pub(super) struct Portable {
    n: Vec<Limb>,
    /// n as a row for [`word::add_row`].
    n_between_zeros: Vec<Limb>,
    /// −n⁻¹ modulo 2^`LIMB_BITS`.
    n_prime: Limb,
    /// R² mod n. Multiplying by it converts a number into Montgomery form. Computed when a power first
    /// needs it: with the relaxed kernel, good signatures do not.
    r_squared: OnceBox<Vec<Limb>>,
    /// The modulus as it was given, for comparisons.
    big_endian: Vec<u8>,
}

impl Portable {
    /// Takes big-endian bytes whose first is not zero. Returns `None` for an even number, and for
    /// 1.
    pub(super) fn new(big_endian: &[u8]) -> Option<Self> {
        let blocks = (8 * big_endian.len() + 2).div_ceil(BLOCK * LIMB_BITS);
        let n = to_limbs(big_endian, BLOCK * blocks);
        let &lowest = n.first()?;
        if lowest % 2 == 0 || big_endian == [1] || *big_endian.first()? == 0 {
            return None;
        }
        Some(Self {
            n_prime: negative_inverse(lowest),
            r_squared: OnceBox::new(),
            big_endian: big_endian.to_vec(),
            n_between_zeros: between_zeros(&n),
            n,
        })
    }

    /// Returns the length of the modulus in bytes.
    pub(super) const fn size(&self) -> usize {
        self.big_endian.len()
    }

    /// Returns true if `number`, in big-endian bytes, is as long as the modulus and less than it.
    pub(super) fn is_reduced(&self, number: &[u8]) -> bool {
        number.len() == self.size() && *number < *self.big_endian
    }

    /// Raises `base`, which is reduced, to an `exponent` that is odd and at least 3. Returns
    /// big-endian bytes, as many as the modulus has.
    pub(super) fn power(&self, base: &[u8], exponent: u64) -> Vec<u8> {
        let product = &mut Product::new(self.n.len());
        let base = to_limbs(base, self.n.len());
        let mut base_in_form = base.clone();
        let r_squared = self.r_squared.get_or_init(|| Box::new(self.compute_r_squared()));
        self.multiply(&mut base_in_form, r_squared, product);
        let mut power = base_in_form.clone();
        // The bits between the highest and the lowest bit of the exponent.
        for bit in (1..63 - exponent.leading_zeros()).rev() {
            self.square(&mut power, product);
            if exponent >> bit & 1 == 1 {
                self.multiply(&mut power, &base_in_form, product);
            }
        }
        // The lowest bit is set. Multiplying by the plain base also converts the result out of
        // Montgomery form.
        self.square(&mut power, product);
        self.multiply(&mut power, &base, product);
        self.subtract_modulus(&mut power);
        to_bytes(&power, self.size())
    }

    /// Replaces a with a number below 2n that is a·b·R⁻¹ modulo n, for a, b < 2n.
    fn multiply(&self, a: &mut [Limb], b: &[Limb], product: &mut Product) {
        let row = between_zeros(b);
        let (blocks, _) = a.as_chunks();
        for (block, i) in blocks.iter().zip((0..).step_by(BLOCK)) {
            product.add_row(i, block, &row, 1);
        }
        self.reduce(product, a);
    }

    /// Replaces a with a number below 2n that is a²·R⁻¹ modulo n, for a < 2n. Each block is
    /// multiplied by itself, and by twice the blocks above it.
    #[expect(clippy::indexing_slicing, reason = "the row is longer than a")]
    fn square(&self, a: &mut [Limb], product: &mut Product) {
        let mut row = between_zeros(a);
        row.iter_mut().for_each(|limb| *limb *= 2);
        let (blocks, _) = a.as_chunks();
        for (block, i) in blocks.iter().zip((0..).step_by(BLOCK)) {
            row[i + BLOCK..][..BLOCK].copy_from_slice(block);
            product.add_row(2 * i, block, &row[i..], 2);
            row[i + BLOCK..][..BLOCK].fill(0);
        }
        self.reduce(product, a);
    }

    /// Multiplies the product, which is below n·R, by R⁻¹ modulo n. Multiples of n are added to it,
    /// block by block, until it is a multiple of R. Together they are less than n·R, so the result
    /// is below 2n.
    #[expect(clippy::indexing_slicing, reason = "a product has twice as many columns as n limbs")]
    fn reduce(&self, product: &mut Product, result: &mut [Limb]) {
        let row = &self.n_between_zeros[BLOCK..];
        let Some(n) = row.first_chunk::<BLOCK>() else { return };
        let mut carry = 0;
        for i in (0..self.n.len()).step_by(BLOCK) {
            let Some(columns) = product.columns[i..].first_chunk_mut::<BLOCK>() else { return };
            // Each limb of the quotient clears a column. The rest of the sum is carried.
            let mut quotient = [0; BLOCK];
            for (k, column) in mem::take(columns).into_iter().enumerate() {
                let mut sum = column + carry;
                for j in 0..k {
                    sum += mul(quotient[j], n[k - j]);
                }
                quotient[k] = (sum as Limb).wrapping_mul(self.n_prime) & LIMB_MASK;
                carry = (sum + mul(quotient[k], n[0])) >> LIMB_BITS;
            }
            product.add_row(i + BLOCK, &quotient, row, 1);
        }
        for (limb, column) in result.iter_mut().zip(&mut product.columns[self.n.len()..]) {
            let sum = mem::take(column) + carry;
            (*limb, carry) = (sum as Limb & LIMB_MASK, sum >> LIMB_BITS);
        }
        product.held = 0;
    }

    /// Returns the modulus, in big-endian bytes.
    #[cfg(any(target_feature = "relaxed-simd", test, fuzzing))]
    pub(super) fn big_endian(&self) -> &[u8] {
        &self.big_endian
    }

    /// Returns 2 to the power of `exponent` modulo n, in big-endian bytes, as many as the modulus
    /// has.
    #[cfg(any(target_feature = "relaxed-simd", test, fuzzing))]
    pub(super) fn power_of_two(&self, exponent: usize) -> Vec<u8> {
        to_bytes(&self.shifted_one(exponent), self.size())
    }

    /// Computes R² mod n, which is 2ᵏ·R for R = 2ᵏ. A squaring in Montgomery form doubles the
    /// exponent, and a doubling adds one to it. The highest six bits of k are computed by
    /// doublings, which is faster.
    fn compute_r_squared(&self) -> Vec<Limb> {
        let product = &mut Product::new(self.n.len());
        let k = self.n.len() * LIMB_BITS;
        let squarings = (usize::BITS - 6).saturating_sub(k.leading_zeros());
        let mut power = self.shifted_one(k + (k >> squarings));
        for bit in (0..squarings).rev() {
            self.square(&mut power, product);
            self.subtract_modulus(&mut power);
            if k >> bit & 1 == 1 {
                self.double(&mut power);
            }
        }
        power
    }

    /// Computes 2 to the power of `exponent` modulo n, for an exponent of at least n's number of
    /// bits, by doubling the power of two just below n.
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

    /// Replaces `number`, which is below n, with 2 · `number` mod n.
    fn double(&self, number: &mut [Limb]) {
        let mut carry = 0;
        for limb in number.iter_mut() {
            (*limb, carry) = (*limb << 1 & LIMB_MASK | carry, *limb >> (LIMB_BITS - 1));
        }
        self.subtract_modulus(number);
    }

    /// Replaces `number`, which is below 2n, with `number` mod n.
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

/// A product of two numbers, as the sums of its columns.
struct Product {
    columns: Vec<Wide>,
    /// The greatest number of products of limbs in any column.
    held: usize,
}

impl Product {
    /// Makes a product of zero, with room for factors of this many limbs.
    fn new(limbs: usize) -> Self {
        Self { columns: vec![0; 2 * limbs], held: 0 }
    }

    /// Adds `a·b`, for the b from the second block of the row on, at `column`. Of a times the first
    /// block, adds the part that reaches up to that column. The limbs of the row are less than
    /// `factor` times 2^`LIMB_BITS`.
    #[expect(clippy::indexing_slicing, reason = "there is room for every row")]
    fn add_row(&mut self, column: usize, a: &[Limb; BLOCK], row: &[Limb], factor: usize) {
        self.held += BLOCK * factor;
        if self.held > MOST_PRODUCTS {
            self.settle_carries();
            self.held = BLOCK * factor;
        }
        word::add_row(&mut self.columns[column..], a, row);
    }

    /// Leaves one limb in each column, and carries the rest to the next column.
    fn settle_carries(&mut self) {
        let mut carry = 0;
        for column in &mut self.columns {
            (*column, carry) = ((*column & Wide::from(LIMB_MASK)) + carry, *column >> LIMB_BITS);
        }
    }
}

/// Must be inlined even in builds that are optimised for size.
#[inline(always)]
fn mul(a: Limb, b: Limb) -> Wide {
    Wide::from(a) * Wide::from(b)
}

/// Returns the number with a block of zeros on either side.
fn between_zeros(number: &[Limb]) -> Vec<Limb> {
    [&[0; BLOCK], number, &[0; BLOCK]].concat()
}

/// Computes −n⁻¹ modulo 2^`LIMB_BITS` for an odd n, by Newton's iteration. The first approximation,
/// n, is right in three bits, and each step doubles the number of right bits.
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

    /// Compares with the reference, the big integers of the `rsa` crate.
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
    fn powers_of_extreme_numbers_are_right() {
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
            // The first has R = 4(n + 1), the second needs one more block.
            ones(6 * BLOCK * LIMB_BITS - 4),
            ones(6 * BLOCK * LIMB_BITS - 3),
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
                product.add_row(0, &[LIMB_MASK; BLOCK], &between_zeros(&b), factor as usize);
            }
            let greatest = ones(BLOCK * LIMB_BITS);
            assert_eq!(value(&product.columns), &greatest * &greatest * 100u8 * factor);
        }

        // The second modulus leads to large limbs in the quotient.
        for n in [ones(2048), ones(2048) - ones(LIMB_BITS) + 1u8] {
            let portable = Portable::new(&n.to_bytes_be()).unwrap();
            let limbs = portable.n.len();
            let mut product = Product::new(limbs);
            let square = Wide::from(LIMB_MASK) * Wide::from(LIMB_MASK);
            product.columns[..limbs]
                .fill(MOST_PRODUCTS as Wide * square + (ROOM as Wide + 1) * (square >> LIMB_BITS));
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
    fn a_signature_of_a_private_key_opens_to_its_message() {
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
