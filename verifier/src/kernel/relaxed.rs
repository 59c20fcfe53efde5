//! The relaxed kernel: products by fused multiply-add (FMA) of `f64`, two at a time.
//!
//! **Limbs.** Numbers are rows of signed 51-bit limbs, each exact in an `f64`. The product of two
//! limbs is split into a high and a low half, each again exact:
//!
//! ```text
//! high = fma(a, b, 3·2¹⁰²)                        = 3·2¹⁰² + h·2⁵¹
//! low  = fma(a, b, (3·2¹⁰² + 3·2⁵¹) − high)       = 3·2⁵¹ + (a·b − h·2⁵¹)
//! ```
//!
//! A sum in 2¹⁰³…2¹⁰⁴ is rounded to a multiple of 2⁵¹, and low is an integer in 2⁵²…2⁵³. So the
//! *bit patterns* of both grow by one for each unit of h and of low, and can be summed as 64-bit
//! integers. Each pattern has a constant part. Therefore half of the products are computed with the
//! opposite sign and subtracted, and the constant parts cancel.
//!
//! **Order.** Two pairs of limbs of one factor are multiplied by all limbs of the other. These four
//! limbs stay in registers, and each pair of columns is read and written once for four products.
//!
//! **Reduction.** The modulus is not n but its multiple N = k·n with N ≡ −1 (mod 2¹⁰²). The next
//! pair of quotient digits of Montgomery's reduction is then just the lowest pair of limbs of the
//! number that is reduced. Times N + 1, a multiple of 2¹⁰², it adds only to the columns above. (The
//! trick is old: Walter 1991; Orup 1995.)
//!
//! **Comparison.** The question is if sᵉ ≡ p + hash (mod n), for the encoded message p of a hash of
//! zeros. It is asked in the form in which the power y comes out, with c = R^−(e−2), and with the
//! complement of the hash, 2²⁵⁶ − 1 − hash:
//!
//! ```text
//! y·(k·s) + complement·(k·c) ≡ k·c·(p + 2²⁵⁶ − 1)   (mod k·n)
//! ```
//!
//! That costs two short rows instead of a multiplication out of Montgomery form. The right side is
//! the same for all signatures.
//!
//! A "yes" is exact. A "no" is not final: the portable kernel has the last word.
//!
//! The file has, from top to bottom: the key and the check, products, the reduction, numbers, the
//! sums of columns, conversions.

#![expect(clippy::indexing_slicing, reason = "rows and sums have room for every pair in use")]

use alloc::boxed::Box;

use super::{lanes::Lanes, portable::Portable};
use crate::emsa;

const LIMB_BITS: usize = 51;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// Limbs are in −2⁵⁰…2⁵⁰.
const HALF: u64 = 1 << (LIMB_BITS - 1);

/// Limbs come in pairs: 22 for 2048 bits, 32 for 3072, 42 for 4096. The number of pairs is even, and
/// they have room for a number of 2¹⁰²·n with its highest limb zero.
const MAX_PAIRS: usize = 42;

// The pairs of a hash of 256 bits, and of k.
const HASH_PAIRS: usize = 4;
const FACTOR_PAIRS: usize = 2;

/// A product has twice as many columns as its factors have limbs.
const MAX_COLUMN_PAIRS: usize = 2 * MAX_PAIRS;

/// 65537 = 2¹⁶ + 1: sixteen squarings and a multiplication.
const EXPONENT: u64 = 65537;
const SQUARINGS: usize = 16;

const TWO_TO_52: f64 = 4_503_599_627_370_496.0;

// 3·2¹⁰² and 3·2⁵¹.
const HIGH: f64 = 15_211_807_202_738_752_817_960_438_464_512.0;
const LOW: f64 = 6_755_399_441_055_744.0;

/// A public key of 2048, 3072 or 4096 bits with e = 65537, ready for checking signatures.
#[derive(Clone)]
pub(super) struct Relaxed {
    /// P: the pairs of limbs in each number. R is 2^(102·P).
    pairs: usize,
    split: Split,
    /// k, for N = k·n.
    factor: Number,
    /// N. Its lowest pair is −1, and is not used.
    modulus: Number,
    /// k·c, the factor of the hash's complement.
    hash_factor: Number,
    /// k·c·(p + 2²⁵⁶ − 1)·R⁻¹, the result of a good signature.
    expected: Limbs,
}

impl Relaxed {
    /// Returns `None` for a size or an exponent that this kernel does not support, and if the
    /// machine does not fuse multiply-add.
    pub(super) fn new(portable: &Portable, exponent: u64) -> Option<Box<Self>> {
        let n = portable.big_endian();
        let pairs = match n.len() {
            256 => 22,
            384 => 32,
            512 => 42,
            _ => return None,
        };
        if n[0] < 0x80 || exponent != EXPONENT || !works_here() {
            return None;
        }
        let k = negative_inverse(*n.last_chunk()?).to_be_bytes();
        let mut key = Box::new(Self {
            pairs,
            split: Split::new(),
            factor: Number::new(&k, FACTOR_PAIRS),
            modulus: Number::ZERO,
            hash_factor: Number::ZERO,
            expected: [[0; 2]; MAX_PAIRS],
        });
        key.modulus = key.scale(&Number::new(n, pairs));
        key.expect(portable, &emsa::encode(&[0xff; emsa::HASH_BYTES], portable.size()));
        Some(key)
    }

    /// Computes the expected result for the message whose hash is all ones.
    pub(super) fn expect(&mut self, portable: &Portable, message: &[u8]) {
        let pairs = self.pairs;
        let r = Number::new(&portable.power_of_two(2 * LIMB_BITS * pairs), pairs);
        let k_r = self.scale(&r);
        // Repeated squaring of 1 gives c. In this form, multiplying by k·R multiplies by k.
        let mut c = Number::new(&[1], pairs);
        self.square_repeatedly(&mut c);
        self.hash_factor = self.multiply(&c, &k_r);
        let sums = &mut [Columns::ZERO; MAX_COLUMN_PAIRS];
        self.add_product(&Number::new(message, pairs), pairs, &self.hash_factor, sums);
        self.reduce(sums);
        self.expected = self.settle(sums);
    }

    /// Returns true if `signature`, a number below n and as long as n, is the signature of `hash`.
    /// `false` can be wrong, but hardly ever is: the same residue can come out in another
    /// representation.
    pub(super) fn accepts(&self, signature: &[u8], hash: &[u8; emsa::HASH_BYTES]) -> bool {
        let mut power = Number::new(signature, self.pairs);
        let scaled = self.scale(&power);
        self.square_repeatedly(&mut power);
        let complement = Number::new(&hash.map(|byte| !byte), HASH_PAIRS);
        let sums = &mut [Columns::ZERO; MAX_COLUMN_PAIRS];
        self.add_product(&power, self.pairs, &scaled, sums);
        self.add_product(&complement, HASH_PAIRS, &self.hash_factor, sums);
        self.reduce(sums);
        self.settle(sums) == self.expected
    }

    /// Raises to the power of 65536, times R^−65535.
    fn square_repeatedly(&self, power: &mut Number) {
        let sums = &mut [Columns::ZERO; MAX_COLUMN_PAIRS];
        for _ in 0..SQUARINGS {
            self.square(power, sums);
            self.reduce(sums);
            power.set(&sums[self.pairs..2 * self.pairs]);
        }
    }

    /// Computes a·b·R⁻¹.
    fn multiply(&self, a: &Number, b: &Number) -> Number {
        let sums = &mut [Columns::ZERO; MAX_COLUMN_PAIRS];
        self.add_product(a, self.pairs, b, sums);
        self.reduce(sums);
        let mut product = Number::ZERO;
        product.set(&sums[self.pairs..2 * self.pairs]);
        product
    }

    /// Computes k · `number`, for a number below n.
    fn scale(&self, number: &Number) -> Number {
        let sums = &mut [Columns::ZERO; MAX_COLUMN_PAIRS];
        self.add_product(&self.factor, FACTOR_PAIRS, number, sums);
        let mut scaled = Number::ZERO;
        scaled.set(&sums[..self.pairs]);
        scaled
    }

    /// Adds a·b, where `a` has only `pairs` pairs of limbs.
    fn add_product(&self, a: &Number, pairs: usize, b: &Number, sums: &mut Sums) {
        let rows = &b.rows[..self.pairs];
        for block in 0..pairs / 2 {
            let p = 2 * block;
            let four = Four::new(a.rows[p].even, a.rows[p + 1].even);
            sums[p].add_lower(four, rows[0], self.split);
            four.add_above(rows, &mut sums[p + 1..], self.split);
        }
    }

    /// Sets the sums to a². The product of two different limbs is computed once, with one of them
    /// doubled.
    fn square(&self, a: &Number, sums: &mut Sums) {
        let Self { pairs, split, .. } = *self;
        // The first pair of columns of a block has one product more that is added, the third pair one
        // more that is subtracted.
        let (columns, _) = sums[..2 * pairs].as_chunks_mut();
        for columns in columns {
            *columns = [Columns::LESS_ONE, Columns::ZERO, Columns::ONE, Columns::ZERO];
        }
        // In a pair of lanes, the limb that is multiplied by itself is halved.
        let half = Lanes::new(0.5, 1.0);
        for block in 0..pairs / 2 {
            let p = 2 * block;
            let [r0, r1, r2, r3] = [a.rows[p], a.rows[p + 1], a.rows[p + 2], a.rows[p + 3]];
            let four = Four::new(r0.even.add(r0.even), r1.even.add(r1.even));
            let Some([c0, c1, c2, c3]) = sums[2 * p..].first_chunk_mut() else { return };
            c0.add(four.0[0], r0.even.multiply(half), split);
            c1.add(four.0[0], r1.even, split);
            c1.subtract(four.0[1], r1.odd.multiply(half), split);
            c2.add_lower(four, r2, split);
            c2.subtract(four.0[2], r1.even.multiply(half), split);
            c3.add_lower(four, r3, split);
            c3.subtract(four.0[2], r2.even, split);
            c3.add(four.0[3], r2.odd.multiply(half), split);
            if p + 3 < pairs {
                four.add_above(&a.rows[p + 3..pairs], &mut sums[2 * p + 4..], split);
            }
        }
    }

    /// Multiplies the sums by R⁻¹ mod N. The result is in the upper half of the columns.
    ///
    /// Let b be the number of bits in n. If both factors are below 2^(b+102), so is the result: the
    /// product over R is below 2^(2b+204−102·P) ≤ 2^(b+16), and the reduction adds at most half of
    /// N < 2^(b+102).
    fn reduce(&self, sums: &mut Sums) {
        let Self { pairs, split, .. } = *self;
        let rows = &self.modulus.rows[1..pairs];
        let mut carry = Carry::default();
        for block in 0..pairs / 2 {
            let p = 2 * block;
            let low = to_lanes(carry.settle(&sums[p]));
            sums[p + 1].add_lower(Four::new(low, Lanes::ZERO), rows[0], split);
            let high = to_lanes(carry.settle(&sums[p + 1]));
            Four::new(low, high).add_above(rows, &mut sums[p + 2..], split);
        }
        let carry = Lanes::from_bits(carry.low.wrapping_add(carry.high), 0);
        sums[pairs].low = sums[pairs].low.add_bits(carry);
    }

    /// Returns the limbs of a reduced number, each exactly in its range.
    fn settle(&self, sums: &Sums) -> Limbs {
        let mut limbs = [[0; 2]; MAX_PAIRS];
        let mut carry = Carry::default();
        for (limbs, sums) in limbs.iter_mut().zip(&sums[self.pairs..2 * self.pairs]) {
            *limbs = carry.settle(sums);
        }
        limbs
    }
}

/// Four limbs of a factor, each in both lanes. The second and the third are negated: their products
/// are subtracted.
#[derive(Clone, Copy)]
struct Four([Lanes; 4]);

impl Four {
    #[inline(always)]
    fn new(low: Lanes, high: Lanes) -> Self {
        let negated = |lanes| Lanes::ZERO.subtract(lanes);
        Self([low.firsts(), negated(low.seconds()), negated(high.firsts()), high.seconds()])
    }

    /// Adds the products with all `rows` to the columns above the lowest pair. Almost all time is
    /// spent here.
    #[inline(always)]
    fn add_above(self, rows: &[Row], sums: &mut [Columns], split: Split) {
        let Some((lowest, rows)) = rows.split_first() else { return };
        let (sums, highest) = sums.split_at_mut(rows.len());
        let mut below = *lowest;
        for (sums, row) in sums.iter_mut().zip(rows) {
            sums.add_four(self, *row, below, split);
            below = *row;
        }
        highest[0].add_upper(self, below, split);
    }
}

/// A number in the arrangement that a multiplication needs: pair p of its limbs is in row p. The
/// rows above the pairs in use are zero.
#[derive(Clone, Copy)]
struct Number {
    rows: [Row; MAX_PAIRS + 2],
}

/// The limbs that are multiplied for the same pair of columns.
#[derive(Clone, Copy)]
struct Row {
    /// The limbs 2p and 2p + 1, for the product with an even limb.
    even: Lanes,
    /// The limbs 2p − 1 and 2p, for the product with an odd limb.
    odd: Lanes,
}

impl Number {
    const ZERO: Self = Self { rows: [Row { even: Lanes::ZERO, odd: Lanes::ZERO }; MAX_PAIRS + 2] };

    /// Reads big-endian bytes, at most 512.
    fn new(big_endian: &[u8], pairs: usize) -> Self {
        // Zeros in front, so that eight bytes can be read for each limb.
        const END: usize = LIMB_BITS * 2 * MAX_PAIRS / 8 + 8;
        let mut padded = [0; END];
        padded[END - big_endian.len()..].copy_from_slice(big_endian);
        let limb = |i| {
            let (byte, bit) = (LIMB_BITS * i / 8, LIMB_BITS * i % 8);
            let window = padded[..END - byte].last_chunk();
            window.map_or(0, |bytes| u64::from_be_bytes(*bytes)) >> bit & LIMB_MASK
        };
        let mut columns = [Columns::ZERO; MAX_PAIRS];
        for (p, columns) in columns[..pairs].iter_mut().enumerate() {
            columns.low = Lanes::from_bits(limb(2 * p), limb(2 * p + 1));
        }
        let mut number = Self::ZERO;
        number.set(&columns[..pairs]);
        number
    }

    /// Takes the number that the sums make. Each column carries into the next one once, which leaves
    /// limbs below 2⁵⁰ + 2¹⁰.
    // Out of line: inlined copies would enlarge the WASM module.
    #[inline(never)]
    fn set(&mut self, sums: &[Columns]) {
        const CARRY_OFFSET: u64 = 1 << 11;
        const OFFSET: u64 = (CARRY_OFFSET << LIMB_BITS) + HALF;
        let (mut high, mut carry, mut even) = (Lanes::ZERO, Lanes::ZERO, Lanes::ZERO);
        for (row, columns) in self.rows.iter_mut().zip(sums) {
            let sums = columns.low.add_bits(columns.high.moved_up(high));
            let sums = sums.add_bits(Lanes::from_bits(OFFSET, OFFSET));
            let next = to_f64(sums.shift_right(LIMB_BITS as u32), CARRY_OFFSET);
            let limbs = to_f64(sums.and(Lanes::from_bits(LIMB_MASK, LIMB_MASK)), HALF);
            let limbs = limbs.add(next.moved_up(carry));
            *row = Row { even: limbs, odd: limbs.moved_up(even) };
            (high, carry, even) = (columns.high, next, limbs);
        }
    }
}

/// The limbs of a number, plus 2⁵⁰.
type Limbs = [[u64; 2]; MAX_PAIRS];

type Sums = [Columns; MAX_COLUMN_PAIRS];

/// The sums of a pair of columns. The lanes of `low` belong to the first and the second column,
/// those of `high` to the second column and the one after it.
///
/// The two halves of a product are at most 2⁵⁰ + 2¹² and 2⁵⁰. A column has at most 84 products of
/// two factors, 84 of a quotient and 8 of a hash, so a sum stays below 2⁵⁹.
#[derive(Clone, Copy)]
struct Columns {
    high: Lanes,
    low: Lanes,
}

impl Columns {
    const ZERO: Self = Self { high: Lanes::ZERO, low: Lanes::ZERO };

    /// Zero, if one product more is added than subtracted.
    const LESS_ONE: Self =
        Self::of_bits(HIGH.to_bits().wrapping_neg(), LOW.to_bits().wrapping_neg());

    /// Zero, if one product more is subtracted than added.
    const ONE: Self = Self::of_bits(HIGH.to_bits(), LOW.to_bits());

    const fn of_bits(high: u64, low: u64) -> Self {
        Self { high: Lanes::from_bits(high, high), low: Lanes::from_bits(low, low) }
    }

    #[inline(always)]
    fn add(&mut self, a: Lanes, b: Lanes, split: Split) {
        let (high, low) = split.multiply(a, b);
        self.high = self.high.add_bits(high);
        self.low = self.low.add_bits(low);
    }

    #[inline(always)]
    fn subtract(&mut self, a: Lanes, b: Lanes, split: Split) {
        let (high, low) = split.multiply(a, b);
        self.high = self.high.subtract_bits(high);
        self.low = self.low.subtract_bits(low);
    }

    /// Adds the products of the two lower limbs.
    #[inline(always)]
    fn add_lower(&mut self, four: Four, row: Row, split: Split) {
        self.add(four.0[0], row.even, split);
        self.subtract(four.0[1], row.odd, split);
    }

    /// Adds the products of the two upper limbs.
    #[inline(always)]
    fn add_upper(&mut self, four: Four, row: Row, split: Split) {
        self.subtract(four.0[2], row.even, split);
        self.add(four.0[3], row.odd, split);
    }

    /// Adds the products of all four limbs. Two low halves are combined as `f64`, one of them without
    /// its constant part. Each is an integer of at most 2⁵⁰, so 3·2⁵¹ and both are an integer in
    /// 2⁵²…2⁵³: the `f64` is exact, and its bit pattern has the same constant part as that of one.
    #[inline(always)]
    fn add_four(&mut self, four: Four, row: Row, below: Row, split: Split) {
        let [a, b, c, d] = four.0;
        let (a_high, a_low) = split.multiply(a, row.even);
        let (b_high, b_low) = split.multiply_bare(b, row.odd);
        let (c_high, c_low) = split.multiply(c, below.even);
        let (d_high, d_low) = split.multiply_bare(d, below.odd);
        let high = self.high.add_bits(a_high).subtract_bits(b_high);
        *self = Self {
            high: high.subtract_bits(c_high).add_bits(d_high),
            low: self.low.add_bits(a_low.subtract(b_low)).subtract_bits(c_low.subtract(d_low)),
        };
    }
}

/// The carry from lower columns into the next one.
#[derive(Default)]
struct Carry {
    low: u64,
    high: u64,
}

impl Carry {
    /// Returns the two limbs of a pair of complete columns, plus 2⁵⁰.
    #[inline(always)]
    fn settle(&mut self, columns: &Columns) -> [u64; 2] {
        let shift = |sum: u64| (sum.cast_signed() >> LIMB_BITS).cast_unsigned();
        let first = columns.low.first_bits().wrapping_add(self.high).wrapping_add(self.low);
        let first = first.wrapping_add(HALF);
        let second = columns.low.second_bits().wrapping_add(columns.high.first_bits());
        let second = second.wrapping_add(shift(first)).wrapping_add(HALF);
        *self = Self { low: shift(second), high: columns.high.second_bits() };
        [first & LIMB_MASK, second & LIMB_MASK]
    }
}

/// The constants that split a product. They are values at run time, because engines rebuild vector
/// constants at each use, in the innermost loop.
#[derive(Clone, Copy)]
struct Split {
    high: Lanes,
    high_and_low: Lanes,
}

impl Split {
    fn new() -> Self {
        Self {
            high: Lanes::splat(core::hint::black_box(HIGH)),
            high_and_low: Lanes::splat(core::hint::black_box(HIGH + LOW)),
        }
    }

    /// Returns the two halves of a product. Limbs are below 2⁵⁰ + 2¹⁰, and one of the two may be
    /// doubled, so h is below 2⁵¹.
    #[inline(always)]
    fn multiply(self, a: Lanes, b: Lanes) -> (Lanes, Lanes) {
        let high = a.multiply_add(b, self.high);
        (high, a.multiply_add(b, self.high_and_low.subtract(high)))
    }

    /// The same, but the low half is the integer itself, without a constant part.
    #[inline(always)]
    fn multiply_bare(self, a: Lanes, b: Lanes) -> (Lanes, Lanes) {
        let high = a.multiply_add(b, self.high);
        (high, a.multiply_add(b, self.high.subtract(high)))
    }
}

/// Returns true if the machine fuses multiply-add. The kernel depends on it.
pub(super) fn works_here() -> bool {
    is_fused(Lanes::multiply_add)
}

/// Returns true if both lanes round once for the product and the sum. A lane that rounds twice
/// loses the last bit of (1 + 2⁻³⁰)² − 1 − 2⁻²⁹.
#[inline(always)]
fn is_fused(multiply_add: impl Fn(Lanes, Lanes, Lanes) -> Lanes) -> bool {
    const TINY: f64 = 1.0 / (1u64 << 30) as f64;
    let a = core::hint::black_box(Lanes::splat(1.0 + TINY));
    let addend = core::hint::black_box(Lanes::splat(-1.0 - 2.0 * TINY));
    let rest = multiply_add(a, a, addend);
    let expected = (TINY * TINY).to_bits();
    rest.first_bits() == expected && rest.second_bits() == expected
}

/// Converts limbs plus 2⁵⁰ to limbs.
#[inline(always)]
fn to_lanes(limbs: [u64; 2]) -> Lanes {
    let [first, second] =
        limbs.map(|limb| f64::from_bits(TWO_TO_52.to_bits() | limb) - (TWO_TO_52 + HALF as f64));
    Lanes::new(first, second)
}

/// Converts integers below 2⁵² exactly, as the fractions of numbers in 2⁵²…2⁵³. Subtracts `offset`.
#[inline(always)]
fn to_f64(integers: Lanes, offset: u64) -> Lanes {
    let base = TWO_TO_52 + offset as f64;
    integers.or(Lanes::new(TWO_TO_52, TWO_TO_52)).subtract(Lanes::new(base, base))
}

/// Computes −n⁻¹ modulo 2¹⁰² for the last bytes of an odd n, by Newton's iteration. The first
/// approximation, n, is right in three bits, and each step doubles the number of right bits.
fn negative_inverse(n: [u8; 16]) -> u128 {
    let n = u128::from_be_bytes(n);
    let mut inverse = n;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2u128.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & ((1 << (2 * LIMB_BITS)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;
    use rsa::BigUint;

    #[test]
    fn a_machine_that_rounds_twice_is_recognised() {
        let apart =
            |a: u64, b: u64, c: u64| f64::from_bits(a) * f64::from_bits(b) + f64::from_bits(c);
        let first =
            |a: Lanes, b: Lanes, c: Lanes| apart(a.first_bits(), b.first_bits(), c.first_bits());
        let second =
            |a: Lanes, b: Lanes, c: Lanes| apart(a.second_bits(), b.second_bits(), c.second_bits());
        let fused = |a: Lanes, b, c| f64::from_bits(a.multiply_add(b, c).first_bits());

        assert!(is_fused(|a, b, c| Lanes::new(fused(a, b, c), fused(a, b, c))));
        assert!(!is_fused(|a, b, c| Lanes::new(first(a, b, c), second(a, b, c))));
        assert!(!is_fused(|a, b, c| Lanes::new(first(a, b, c), fused(a, b, c))));
        assert!(!is_fused(|a, b, c| Lanes::new(fused(a, b, c), second(a, b, c))));
    }

    /// A modulus in the kernel and in the reference.
    struct Reference {
        key: Box<Relaxed>,
        n: BigUint,
        modulus: BigUint,
        r: BigUint,
    }

    impl Reference {
        fn new(n: &BigUint) -> Self {
            let portable = Portable::new(&n.to_bytes_be()).unwrap();
            let key = Relaxed::new(&portable, EXPONENT).unwrap();
            let r = BigUint::from(1u8) << (2 * LIMB_BITS * key.pairs);
            let modulus = above_r(&key.modulus, key.pairs) - &r;
            assert_eq!(&modulus % n, BigUint::from(0u8));
            assert_eq!((&modulus + 1u8) % (BigUint::from(1u8) << 102), BigUint::from(0u8));
            Self { key, n: n.clone(), modulus, r }
        }

        /// Checks squares and products, and the range in which they are.
        fn check_arithmetic(&self, a: &Number, b: &Number) {
            let key = &self.key;
            let sums = &mut [Columns::ZERO; MAX_COLUMN_PAIRS];
            key.square(a, sums);
            key.reduce(sums);
            let mut square = Number::ZERO;
            square.set(&sums[key.pairs..2 * key.pairs]);
            let [a_residue, b_residue] = [a, b].map(|it| self.residue(it));
            for (actual, product) in [
                (square, &a_residue * &a_residue),
                (key.multiply(a, b), &a_residue * &b_residue),
                (key.multiply(b, a), &a_residue * &b_residue),
            ] {
                assert_eq!(actual.rows[key.pairs - 1].even.second_bits(), 0.0f64.to_bits());
                let slack = BigUint::from(1u8) << (self.n.bits() + 102);
                let number = above_r(&actual, key.pairs);
                assert!(&self.r - &slack <= number && number <= &self.r + slack);
                assert_eq!(
                    self.residue(&actual) * &self.r % &self.modulus,
                    product % &self.modulus
                );
            }
        }

        /// Returns the number modulo N.
        fn residue(&self, number: &Number) -> BigUint {
            let negative_r = &self.modulus - &self.r % &self.modulus;
            (above_r(number, self.key.pairs) + negative_r) % &self.modulus
        }
    }

    /// Returns the number, which can be negative, plus R.
    fn above_r(number: &Number, pairs: usize) -> BigUint {
        let limbs =
            number.rows[..pairs].iter().rev().flat_map(|row| limbs_of(row).into_iter().rev());
        limbs.fold(BigUint::from(1u8), |value, limb| {
            const OFFSET: i64 = 1 << 52;
            (value << LIMB_BITS) + (limb as i64 + OFFSET) as u64 - OFFSET as u64
        })
    }

    fn limbs_of(row: &Row) -> [f64; 2] {
        [row.even.first_bits(), row.even.second_bits()].map(f64::from_bits)
    }

    fn number(value: &BigUint, pairs: usize) -> Number {
        Number::new(&value.to_bytes_be(), pairs)
    }

    /// Returns a number with all limbs of 2^(51·`limbs`) alike.
    fn alike(limb: f64, limbs: usize) -> Number {
        let mut number = Number::ZERO;
        let mut below = Lanes::ZERO;
        for (p, row) in number.rows[..limbs / 2].iter_mut().enumerate() {
            let even = Lanes::new(limb, limb);
            *row = Row {
                even,
                odd: if p == 0 { even.moved_up(Lanes::ZERO) } else { even.moved_up(below) },
            };
            below = even;
        }
        number.rows[limbs / 2].odd = Lanes::ZERO.moved_up(below);
        number
    }

    #[test]
    fn bytes_are_split_into_limbs_around_zero() {
        for bytes in
            [&[][..], &[1], &[0xff; 6], &[0xff; 7], &[0x80; 32], &[0xa5; 256], &[0xff; 512]]
        {
            let number = Number::new(bytes, MAX_PAIRS);
            for limb in number.rows[..MAX_PAIRS].iter().flat_map(limbs_of) {
                assert!(limb.abs() <= HALF as f64 + 1.0);
            }
            let r = BigUint::from(1u8) << (2 * LIMB_BITS * MAX_PAIRS);
            assert_eq!(above_r(&number, MAX_PAIRS) - r, BigUint::from_bytes_be(bytes));
        }
    }

    fn ones(bits: usize) -> BigUint {
        (BigUint::from(1u8) << bits) - 1u8
    }

    /// Moduli with extreme limbs, quotient digits and carries.
    fn extreme_moduli(bits: usize) -> Vec<BigUint> {
        let one = BigUint::from(1u8);
        vec![
            ones(bits),
            ones(bits) - 2u8,
            (&one << (bits - 1)) + 1u8,
            (&one << (bits - 1)) + ones(51),
            ones(bits) - (&one << 51),
            ones(bits) - (&one << (bits / 2)),
            (ones(bits / 2) << (bits / 2)) + 1u8,
            (ones(bits) / 3u8) << 1 | one,
        ]
    }

    #[test]
    fn products_of_extreme_numbers_are_right_and_in_bounds() {
        for bits in [2048, 3072, 4096] {
            for n in extreme_moduli(bits) {
                let reference = Reference::new(&n);
                let pairs = reference.key.pairs;
                let largest = ones(bits + 101);
                let greatest_limb = ((1u64 << 50) + (1 << 10)) as f64;
                let limbs = 2 * pairs - 2;
                let numbers = [
                    BigUint::from(0u8),
                    BigUint::from(1u8),
                    &n - 1u8,
                    n.clone(),
                    &reference.modulus - 1u8,
                    &reference.modulus + 1u8,
                    &largest >> 1,
                    &largest - ones(bits / 2),
                    largest,
                ]
                .map(|value| number(&value, pairs));
                let numbers = numbers.into_iter().chain([
                    alike(greatest_limb, limbs),
                    alike(-greatest_limb, limbs),
                    alike(-(HALF as f64), limbs),
                    alike(1.0, limbs),
                    alike(-1.0, limbs),
                ]);
                for a in numbers {
                    reference.check_arithmetic(&a, &alike(greatest_limb, limbs));
                    // Times ±1, this has the greatest low halves.
                    reference.check_arithmetic(&a, &alike(HALF as f64, limbs));
                    reference.check_arithmetic(&a, &number(&(&n >> 1), pairs));
                }
            }
        }
    }

    #[test]
    fn a_good_signature_is_accepted_and_a_changed_one_refused() {
        for bits in [2048, 3072, 4096] {
            // Any odd modulus will do. The signature is chosen, and the message is computed so that
            // the signature is good.
            for n in extreme_moduli(bits) {
                let mut reference = Reference::new(&n);
                let signature = &n - 12_345u32;
                let mut hash = [0xa5; 32];
                hash[0] = 0;
                let key = &mut reference.key;
                let size = bits / 8;
                let message = signature.modpow(&BigUint::from(EXPONENT), &n);
                let with_hash_of_ones = (message + ones(256) - BigUint::from_bytes_be(&hash)) % &n;
                let portable = Portable::new(&n.to_bytes_be()).unwrap();
                key.expect(&portable, &padded(&with_hash_of_ones, size));

                let signature = padded(&signature, size);
                assert!(key.accepts(&signature, &hash));
                for position in [0, 1, 15, 31] {
                    let mut other = hash;
                    other[position] ^= 0x80;
                    assert!(!key.accepts(&signature, &other));
                }
                for position in [0, size / 2, size - 1] {
                    let mut other = signature.clone();
                    other[position] ^= 1;
                    assert!(!key.accepts(&other, &hash));
                }
            }
        }
    }

    fn padded(value: &BigUint, size: usize) -> Vec<u8> {
        let bytes = value.to_bytes_be();
        let mut padded = vec![0; size - bytes.len()];
        padded.extend(bytes);
        padded
    }

    #[test]
    fn other_sizes_and_exponents_are_left_to_the_portable_kernel() {
        for (bits, exponent) in
            [(2047, EXPONENT), (2049, EXPONENT), (2056, EXPONENT), (8192, EXPONENT), (2048, 3)]
        {
            let portable = Portable::new(&ones(bits).to_bytes_be()).unwrap();
            assert!(Relaxed::new(&portable, exponent).is_none(), "{bits} {exponent}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_reference_agrees_on_random_numbers(
            size in prop_oneof![Just(256usize), Just(384), Just(512)],
            n in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 512),
            a in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 512 + 12),
            b in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 512 + 12),
        ) {
            let mut n = n[..size].to_vec();
            n[0] |= 0x80;
            n[size - 1] |= 1;
            let reference = Reference::new(&BigUint::from_bytes_be(&n));
            let [a, b] = [a, b].map(|it| Number::new(&it[..size + 12], reference.key.pairs));
            reference.check_arithmetic(&a, &b);
        }
    }
}
