//! The relaxed kernel: products by fused multiply-add (FMA) of `f64`, two at a time.
//!
//! **Limbs.** Numbers are rows of 51-bit limbs, each exact in an `f64`. The product of two limbs is
//! split into a high and a low half, each again exact:
//!
//! ```text
//! high = fma(a, b, 2¹⁰³)                          = 2¹⁰³ + h·2⁵¹
//! low  = fma(a, b, (2¹⁰³ + 3·2⁵¹) − high)         = 3·2⁵¹ + (a·b − h·2⁵¹)
//! ```
//!
//! A sum in 2¹⁰³…2¹⁰⁴ is rounded to a multiple of 2⁵¹, and low is an integer in 2⁵²…2⁵³. So the
//! *bit patterns* of both grow by one for each unit of h and of low, and can be summed as 64-bit
//! integers. Each pattern has a constant part: it is subtracted from a sum as often as the sum has
//! terms.
//!
//! **Reduction.** The modulus is not n but its multiple N = k·n with N ≡ −1 (mod 2⁵¹). A quotient
//! digit of Montgomery's reduction is then just the lowest limb of the number that is reduced. The
//! digit times N + 1, a multiple of 2⁵¹, adds only to the columns above. The next digit needs one
//! integer multiplication, and is ready long before the sums in floating point. (The trick is old:
//! Walter 1991; Orup 1995.)
//!
//! **Order.** Columns are summed from the lowest up, two pairs of columns at a time. The sums stay
//! in registers, and the digits of earlier columns are ready (finely integrated product scanning:
//! Koç, Acar, Kaliski 1996).
//!
//! **Comparison.** The question is if sᵉ ≡ m (mod n), for the message representative m = p + hash
//! with a fixed p. It is asked in the form in which the power y comes out, with c = R^−(e−2), as
//! y·(k·s) − hash·(k·c) ≡ k·p·c (mod k·n). That costs one row of six limbs instead of a
//! multiplication out of Montgomery form.
//!
//! A "yes" is exact. A "no" is not final: the portable kernel has the last word.
//!
//! The file has, from top to bottom: the key and the check, the reduction, the numbers, the sums of
//! columns, the products, and conversions.

#![expect(clippy::indexing_slicing, reason = "every row has MAX_PAIRS, every index is below pairs")]

use alloc::boxed::Box;
use core::array;

use super::{lanes::Lanes, portable::Portable};
use crate::emsa;

const LIMB_BITS: usize = 51;
const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// Limbs come in pairs. The number of pairs is odd: 21 for 2048 bits, 31 for 3072, 41 for 4096.
const MAX_PAIRS: usize = 41;
const MAX_LIMBS: usize = 2 * MAX_PAIRS;

/// The 256 bits of a hash, in pairs of limbs.
const HASH_PAIRS: usize = 3;

/// 65537 = 2¹⁶ + 1: sixteen squarings and a multiplication.
const EXPONENT: u64 = 65537;
const SQUARINGS: usize = 16;

// 2¹⁰³ and 3·2⁵¹, as numbers and as bit patterns.
const HIGH: f64 = 10_141_204_801_825_835_211_973_625_643_008.0;
const LOW: f64 = 6_755_399_441_055_744.0;
const HIGH_BITS: u64 = HIGH.to_bits();
const LOW_BITS: u64 = LOW.to_bits();

/// A public key of 2048, 3072 or 4096 bits with e = 65537, ready for checking signatures.
#[derive(Clone)]
pub(super) struct Relaxed {
    /// P: the pairs of limbs in each number. R is 2^(102·P).
    pairs: usize,
    split: Split,
    /// N + 1, whose lowest limb is zero.
    modulus_plus_one: Number,
    /// The second limb of N + 1.
    second_limb: u64,
    /// k, for N = k·n.
    factor: f64,
    /// −k·c, the factor of the hash.
    hash_factor: Number,
    /// k·p·c·R⁻¹, the result of a good signature.
    expected: Number,
}

impl Relaxed {
    /// Returns `None` for a size or an exponent that this kernel does not support, and if the
    /// machine does not fuse multiply-add.
    pub(super) fn new(portable: &Portable, exponent: u64) -> Option<Box<Self>> {
        let n = portable.big_endian();
        let pairs = match n.len() {
            256 => 21,
            384 => 31,
            512 => 41,
            _ => return None,
        };
        if n[0] < 0x80 || exponent != EXPONENT || !works_here() {
            return None;
        }
        let n = to_limbs(n);
        let k = negative_inverse(n[0]);
        let modulus_plus_one = multiply_small(&n, k, 1);
        let mut key = Box::new(Self {
            pairs,
            split: Split::new(),
            modulus_plus_one: Number::new(&modulus_plus_one, pairs),
            second_limb: modulus_plus_one[1],
            factor: k as f64,
            hash_factor: Number::ZERO,
            expected: Number::ZERO,
        });

        let prefix = emsa::encode(&[0; emsa::HASH_BYTES], portable.size());
        key.expect(portable, &to_limbs(&prefix));
        Some(key)
    }

    /// Computes the expected result for `prefix`, the fixed part of the message representative.
    fn expect(&mut self, portable: &Portable, prefix: &[u64; MAX_LIMBS]) {
        let n = to_limbs(portable.big_endian());
        let k = negative_inverse(n[0]);
        let r = to_limbs(&portable.power_of_two(2 * LIMB_BITS * self.pairs));
        let times_k =
            |limbs: [u64; MAX_LIMBS]| Number::new(&multiply_small(&limbs, k, 0), self.pairs);
        let mut one = [0; MAX_LIMBS];
        one[0] = 1;

        // Repeated squaring of 1 gives c. In this form, multiplying by k·R multiplies by k.
        let mut c = Number::new(&one, self.pairs);
        self.square_repeatedly(&mut c);
        self.hash_factor = self.multiply(&c, &times_k(subtract(&n, &r)));
        let pc = self.multiply(&c, &Number::new(prefix, self.pairs));
        self.expected = self.multiply(&pc, &times_k(r));
    }

    /// Expects another fixed part, below n, than the one of real messages.
    #[cfg(fuzzing)]
    pub(super) fn expect_prefix(&mut self, portable: &Portable, prefix: &[u8]) {
        self.expect(portable, &to_limbs(prefix));
    }

    /// Returns true if `signature`, a number below n and as long as n, is the signature of `hash`.
    /// `false` can be wrong, but hardly ever is: the same residue can come out in another
    /// representation.
    pub(super) fn accepts(&self, signature: &[u8], hash: &[u8; emsa::HASH_BYTES]) -> bool {
        let mut power = Number::new(&to_limbs(signature), self.pairs);
        let scaled = self.scale(&power);
        self.square_repeatedly(&mut power);
        let hash = to_limbs(hash);
        let hash: [_; HASH_PAIRS] = array::from_fn(|p| [hash[2 * p], hash[2 * p + 1]].map(to_f64));
        let product = Product::Sum([
            Multiplication { a: &power.limbs[..self.pairs], b: &scaled, pairs: self.pairs },
            Multiplication { a: &hash, b: &self.hash_factor, pairs: self.pairs },
        ]);
        let mut result = Number::ZERO;
        self.reduce(&product, &mut result, &mut [[0.0; 2]; MAX_PAIRS]);
        result.limbs[..self.pairs] == self.expected.limbs[..self.pairs]
    }

    /// Raises to the power of 65536, times R^−65535.
    fn square_repeatedly(&self, power: &mut Number) {
        let pairs = self.pairs;
        let mut square = Number::ZERO;
        let mut quotient = [[0.0; 2]; MAX_PAIRS];
        for _ in 0..SQUARINGS / 2 {
            let product = Product::Square(Square { number: power, pairs });
            self.reduce(&product, &mut square, &mut quotient);
            let product = Product::Square(Square { number: &square, pairs });
            self.reduce(&product, power, &mut quotient);
        }
    }

    /// Computes a·b·R⁻¹.
    fn multiply(&self, a: &Number, b: &Number) -> Number {
        let pairs = self.pairs;
        let nothing = Multiplication { a: &[], b, pairs };
        let product = Product::Sum([Multiplication { a: &a.limbs[..pairs], b, pairs }, nothing]);
        let mut result = Number::ZERO;
        self.reduce(&product, &mut result, &mut [[0.0; 2]; MAX_PAIRS]);
        result
    }

    /// Computes k · `number`, for a number below n.
    fn scale(&self, number: &Number) -> Number {
        let mut scaled = Number::ZERO;
        let mut carry = Carry::default();
        for p in 0..self.pairs {
            let mut columns = Columns::new();
            columns.add(self.split, Lanes::splat(self.factor), number.rows[p].even);
            scaled.set(p, carry.settle(&columns));
        }
        scaled.finish(self.pairs);
        scaled
    }

    /// Computes the product times R⁻¹ mod N. `quotient` is scratch space for the digits of the
    /// quotient: clearing it each time would take 1% of a check.
    ///
    /// Let b be the number of bits in n. If both factors are below 2^(b+52), so is the result: the
    /// product over R is below 2^(2b+104−102·P) ≤ 2^(b+18), and the reduction adds less than
    /// N < 2^(b+51). The result fits: b + 52 ≤ 102·P − 34.
    fn reduce(
        &self,
        product: &Product<'_>,
        result: &mut Number,
        quotient: &mut [[f64; 2]; MAX_PAIRS],
    ) {
        let pairs = self.pairs;
        let n = &self.modulus_plus_one;
        let mut carry = Carry::default();

        let mut columns = Columns::new();
        product.add_to(0, &mut columns, self.split);
        quotient[0] = self.quotient_digits(&mut columns, &mut carry);
        for p in (1..2 * pairs - 1).step_by(2) {
            let (mut first, mut second) = (Columns::new(), Columns::new());
            product.add_to_two(p, &mut first, &mut second, self.split);
            let reduction = self.reduction(&quotient[..p.min(pairs)]);
            reduction.add_to_two(p, &mut first, &mut second, self.split);
            if p < pairs {
                quotient[p] = self.quotient_digits(&mut first, &mut carry);
                second.add_row(self.split, quotient[p], n.rows[1]);
                quotient[p + 1] = self.quotient_digits(&mut second, &mut carry);
            } else {
                result.set(p - pairs, carry.settle(&first));
                result.set(p - pairs + 1, carry.settle(&second));
            }
        }
        let mut columns = Columns::new();
        product.add_to(2 * pairs - 1, &mut columns, self.split);
        self.reduction(&quotient[..pairs]).add_to(2 * pairs - 1, &mut columns, self.split);
        result.set(pairs - 1, carry.settle(&columns));
        result.finish(pairs);
    }

    /// Returns the product that the digits of the quotient add.
    #[inline(always)]
    fn reduction<'a>(&'a self, digits: &'a [[f64; 2]]) -> Multiplication<'a> {
        Multiplication { a: digits, b: &self.modulus_plus_one, pairs: self.pairs }
    }

    /// Returns the two digits that clear a pair of columns. `columns` must have all other terms;
    /// the product of the first digit with the lowest pair of N + 1 is added here.
    #[inline(always)]
    fn quotient_digits(&self, columns: &mut Columns, carry: &mut Carry) -> [f64; 2] {
        let first = columns.low_first().wrapping_add(carry.high).wrapping_add(carry.low);
        let digit = first & LIMB_MASK;
        let low = shift(first);
        // The product in integers equals the first digit's product in the second column, modulo
        // 2⁵¹, and is ready sooner.
        let second = columns.low_second().wrapping_add(columns.high_first()).wrapping_add(low);
        let next = second.wrapping_add(digit.wrapping_mul(self.second_limb)) & LIMB_MASK;

        let digits = [to_f64(digit), to_f64(next)];
        columns.add(self.split, Lanes::splat(digits[0]), self.modulus_plus_one.rows[0].even);
        let second = columns.low_second().wrapping_add(columns.high_first()).wrapping_add(low);
        *carry = Carry { low: shift(second), high: columns.high_second() };
        digits
    }
}

/// A number in limbs, in the arrangements that a multiplication needs. Limbs above the pairs in use
/// are not read.
#[derive(Clone, Copy)]
struct Number {
    /// Pair p holds the limbs 2p and 2p + 1.
    limbs: [[f64; 2]; MAX_PAIRS],
    rows: [Row; MAX_PAIRS],
    /// The highest limb and zero: the `odd` of the row above the last.
    top: Lanes,
    /// Twice the limbs, for squaring.
    doubled: [[f64; 2]; MAX_PAIRS],
}

/// The pair p of a number's limbs, for the products that add to the same pair of columns.
#[derive(Clone, Copy)]
struct Row {
    /// The limbs 2p and 2p + 1, for the product with an even limb.
    even: Lanes,
    /// The limbs 2p − 1 and 2p, for the product with an odd limb.
    odd: Lanes,
}

impl Number {
    const ZERO: Self = Self {
        limbs: [[0.0; 2]; MAX_PAIRS],
        rows: [Row { even: Lanes::ZERO, odd: Lanes::ZERO }; MAX_PAIRS],
        top: Lanes::ZERO,
        doubled: [[0.0; 2]; MAX_PAIRS],
    };

    fn new(limbs: &[u64; MAX_LIMBS], pairs: usize) -> Self {
        let mut number = Self::ZERO;
        for p in 0..pairs {
            number.set(p, [limbs[2 * p], limbs[2 * p + 1]]);
        }
        number.finish(pairs);
        number
    }

    #[inline(always)]
    fn set(&mut self, p: usize, limbs: [u64; 2]) {
        let [first, second] = limbs.map(to_f64);
        let below = if p == 0 { 0.0 } else { self.limbs[p - 1][1] };
        self.limbs[p] = [first, second];
        self.rows[p] = Row { even: Lanes::new(first, second), odd: Lanes::new(below, first) };
        self.doubled[p] = [2.0 * first, 2.0 * second];
    }

    fn finish(&mut self, pairs: usize) {
        self.top = Lanes::new(self.limbs[pairs - 1][1], 0.0);
    }
}

/// The sums of a pair of columns, as sums of bit patterns.
///
/// Without its constant part, each term is at most 2⁵². There are at most 2·82 + 6 terms (product,
/// quotient, hash), so a sum stays below 2⁶⁰.
struct Columns {
    high: Lanes,
    low: Lanes,
    terms: u64,
}

impl Columns {
    #[inline(always)]
    fn new() -> Self {
        Self { high: Lanes::ZERO, low: Lanes::ZERO, terms: 0 }
    }

    /// Adds a product.
    #[inline(always)]
    fn add(&mut self, split: Split, a: Lanes, b: Lanes) {
        self.accumulate(split, a, b);
        self.terms += 1;
    }

    /// Adds a product without counting it; the caller counts. Limbs are below 2⁵¹, and one of the
    /// two may be doubled: h stays below 2⁵², and the sum in `high` below 2¹⁰⁴.
    #[inline(always)]
    fn accumulate(&mut self, split: Split, a: Lanes, b: Lanes) {
        let high = a.multiply_add(b, split.high);
        let low = a.multiply_add(b, split.high_and_low.subtract(high));
        self.high = self.high.add_bits(high);
        self.low = self.low.add_bits(low);
    }

    /// Adds the products of a pair of limbs.
    #[inline(always)]
    fn add_row(&mut self, split: Split, a: [f64; 2], b: Row) {
        self.add(split, Lanes::splat(a[0]), b.even);
        self.add(split, Lanes::splat(a[1]), b.odd);
    }

    // The sums without their constant parts. Those of `low` belong to the first and the second
    // column, those of `high` to the second column and the one after it.

    #[inline(always)]
    fn low_first(&self) -> u64 {
        self.low.first_bits().wrapping_sub(self.terms.wrapping_mul(LOW_BITS))
    }
    #[inline(always)]
    fn low_second(&self) -> u64 {
        self.low.second_bits().wrapping_sub(self.terms.wrapping_mul(LOW_BITS))
    }
    #[inline(always)]
    fn high_first(&self) -> u64 {
        self.high.first_bits().wrapping_sub(self.terms.wrapping_mul(HIGH_BITS))
    }
    #[inline(always)]
    fn high_second(&self) -> u64 {
        self.high.second_bits().wrapping_sub(self.terms.wrapping_mul(HIGH_BITS))
    }
}

/// The carry from lower columns into the next one.
#[derive(Default)]
struct Carry {
    low: u64,
    high: u64,
}

impl Carry {
    /// Returns the two limbs of a pair of complete columns.
    #[inline(always)]
    fn settle(&mut self, columns: &Columns) -> [u64; 2] {
        let first = columns.low_first().wrapping_add(self.high).wrapping_add(self.low);
        let second =
            columns.low_second().wrapping_add(columns.high_first()).wrapping_add(shift(first));
        *self = Self { low: shift(second), high: columns.high_second() };
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
}

/// A product to reduce. It adds its terms to one pair of columns after the other; pair p is the
/// columns 2p and 2p + 1.
enum Product<'a> {
    Square(Square<'a>),
    Sum([Multiplication<'a>; 2]),
}

impl Product<'_> {
    /// Adds to the first pair or the last.
    #[inline(always)]
    fn add_to(&self, p: usize, columns: &mut Columns, split: Split) {
        match self {
            Self::Square(square) => square.add_to(p, columns, split),
            Self::Sum(products) => {
                for product in products {
                    product.add_to(p, columns, split);
                }
            }
        }
    }

    /// Adds to the pairs p and p + 1, for an odd p. Both are below P, or neither is.
    #[inline(always)]
    fn add_to_two(&self, p: usize, first: &mut Columns, second: &mut Columns, split: Split) {
        match self {
            Self::Square(square) => square.add_to_two(p, first, second, split),
            Self::Sum(products) => {
                for product in products {
                    product.add_to_two(p, first, second, split);
                }
            }
        }
    }
}

/// a·b, where `a` may have fewer pairs than `b`.
struct Multiplication<'a> {
    a: &'a [[f64; 2]],
    b: &'a Number,
    pairs: usize,
}

impl Multiplication<'_> {
    #[inline(always)]
    fn add_to(&self, p: usize, columns: &mut Columns, split: Split) {
        if p == 0 {
            if let Some(a) = self.a.first() {
                columns.add_row(split, *a, self.b.rows[0]);
            }
        } else if let Some(a) = self.a.get(p - self.pairs) {
            columns.add(split, Lanes::splat(a[1]), self.b.top);
        }
    }

    #[inline(always)]
    fn add_to_two(&self, p: usize, first: &mut Columns, second: &mut Columns, split: Split) {
        let Self { a, b, pairs } = *self;
        if p < pairs {
            let both = a.len().min(p + 1);
            let below = p + 1 - both;
            Rows { a: &a[..both], b: &b.rows[below..p + 2] }.add_to_two(first, second, split);
            if let Some(a) = a.get(p + 1) {
                second.add_row(split, *a, b.rows[0]);
            }
        } else if let Some(a) = a.get(p - pairs..) {
            // The pairs of `a` from p − P on. The first adds only its upper limb, to the first pair
            // of columns. The second adds both limbs there, and its upper limb to the second pair.
            if let Some(a) = a.first() {
                first.add(split, Lanes::splat(a[1]), b.top);
            }
            if let Some((a, rest)) = a.get(1..).and_then(<[_]>::split_first) {
                first.add_row(split, *a, b.rows[pairs - 1]);
                second.add(split, Lanes::splat(a[1]), b.top);
                let below = pairs - 1 - rest.len();
                Rows { a: rest, b: &b.rows[below..pairs] }.add_to_two(first, second, split);
            }
        }
    }
}

/// a². The product of two different limbs is computed once, with one of them doubled.
struct Square<'a> {
    number: &'a Number,
    pairs: usize,
}

impl Square<'_> {
    #[inline(always)]
    fn add_to(&self, p: usize, columns: &mut Columns, split: Split) {
        if p == 0 {
            self.add_even_diagonal(0, columns, split);
        } else {
            self.add_odd_diagonal(self.pairs - 1, columns, split);
        }
    }

    #[inline(always)]
    fn add_to_two(&self, p: usize, first: &mut Columns, second: &mut Columns, split: Split) {
        let Self { number: Number { rows, top, doubled, .. }, pairs } = *self;
        // Limbs below p multiply those above. Pair `half` consists of the limbs p − 1 and p.
        let half = (p - 1) / 2;
        let mut lowest = 0;
        if p >= pairs {
            lowest = p - pairs + 2;
            first.add(split, Lanes::splat(doubled[p - pairs][1]), *top);
            if lowest <= half {
                first.add_row(split, doubled[lowest - 1], rows[pairs - 1]);
            }
            second.add(split, Lanes::splat(doubled[lowest - 1][1]), *top);
        }
        let [below, middle] = doubled[half].map(Lanes::splat);
        first.add(split, below, rows[p - half].even);
        if lowest <= half {
            let (from, to) = (p + 1 - half, p + 2 - lowest);
            Rows { a: &doubled[lowest..half], b: &rows[from..to] }.add_to_two(first, second, split);
            second.add(split, below, rows[from].even);
            second.add(split, middle, rows[from].odd);
        }
        self.add_odd_diagonal(half, first, split);
        self.add_even_diagonal(half + 1, second, split);
    }

    /// Adds the square of limb 2p, and its product with the next limb.
    #[inline(always)]
    fn add_even_diagonal(&self, p: usize, columns: &mut Columns, split: Split) {
        let limb = self.number.limbs[p][0];
        columns.add(split, Lanes::splat(limb), Lanes::new(limb, self.number.doubled[p][1]));
    }

    /// Adds the square of limb 2p + 1, and its product with the next limb.
    #[inline(always)]
    fn add_odd_diagonal(&self, p: usize, columns: &mut Columns, split: Split) {
        let limb = self.number.limbs[p][1];
        let above = if p + 1 < self.pairs { self.number.doubled[p + 1][0] } else { 0.0 };
        columns.add(split, Lanes::splat(limb), Lanes::new(limb, above));
    }
}

/// Ascending pairs of limbs that are multiplied by descending rows of another number. The last row
/// adds to the second pair of columns only, the ones before it add to both.
struct Rows<'a> {
    a: &'a [[f64; 2]],
    b: &'a [Row],
}

impl Rows<'_> {
    #[inline(always)]
    fn add_to_two(&self, first: &mut Columns, second: &mut Columns, split: Split) {
        let length = self.a.len();
        let mut above = self.b[length];
        for (a, row) in self.a.iter().zip(self.b[..length].iter().rev()) {
            let a_even = Lanes::splat(a[0]);
            let a_odd = Lanes::splat(a[1]);
            first.accumulate(split, a_even, row.even);
            second.accumulate(split, a_even, above.even);
            first.accumulate(split, a_odd, row.odd);
            second.accumulate(split, a_odd, above.odd);
            above = *row;
        }
        first.terms += 2 * length as u64;
        second.terms += 2 * length as u64;
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

/// Converts an integer below 2⁵² exactly, as the fraction of a number in 2⁵²…2⁵³.
#[inline(always)]
fn to_f64(limb: u64) -> f64 {
    const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
    f64::from_bits(TWO_TO_52.to_bits() | limb) - TWO_TO_52
}

/// Divides a sum, as a signed number, by 2⁵¹: its carry into the next column.
#[inline(always)]
fn shift(sum: u64) -> u64 {
    (sum.cast_signed() >> LIMB_BITS).cast_unsigned()
}

/// Computes −n⁻¹ modulo 2⁵¹ for an odd n, by Newton's iteration. The first approximation, n, is
/// right in three bits, and each step doubles the number of right bits.
fn negative_inverse(n: u64) -> u64 {
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & LIMB_MASK
}

/// Splits big-endian bytes, at most 512, into limbs.
fn to_limbs(big_endian: &[u8]) -> [u64; MAX_LIMBS] {
    // Zeros in front, so that eight bytes can be read for the highest limb too.
    const END: usize = 512 + 8;
    let mut padded = [0; END];
    padded[END - big_endian.len()..].copy_from_slice(big_endian);
    let mut limbs = [0; MAX_LIMBS];
    for (i, limb) in limbs.iter_mut().enumerate().take((8 * big_endian.len()).div_ceil(LIMB_BITS)) {
        let (byte, bit) = (LIMB_BITS * i / 8, LIMB_BITS * i % 8);
        let window =
            padded[..END - byte].last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        *limb = window >> bit & LIMB_MASK;
    }
    limbs
}

/// Computes number · factor + addend.
fn multiply_small(number: &[u64; MAX_LIMBS], factor: u64, addend: u64) -> [u64; MAX_LIMBS] {
    let mut carry = u128::from(addend);
    number.map(|limb| {
        let sum = u128::from(limb) * u128::from(factor) + carry;
        carry = sum >> LIMB_BITS;
        sum as u64 & LIMB_MASK
    })
}

/// Computes a − b, for a ≥ b.
fn subtract(a: &[u64; MAX_LIMBS], b: &[u64; MAX_LIMBS]) -> [u64; MAX_LIMBS] {
    let mut borrow = 0;
    array::from_fn(|i| {
        let difference = a[i].wrapping_sub(b[i]).wrapping_sub(borrow);
        borrow = difference >> 63;
        difference & LIMB_MASK
    })
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
        modulus: BigUint,
        r: BigUint,
        /// The greatest product over R.
        slack: BigUint,
    }

    impl Reference {
        fn new(n: &BigUint) -> Self {
            let portable = Portable::new(&n.to_bytes_be()).unwrap();
            let key = Relaxed::new(&portable, EXPONENT).unwrap();
            let modulus = value(&key.modulus_plus_one, key.pairs) - 1u8;
            let r = BigUint::from(1u8) << (2 * LIMB_BITS * key.pairs);
            assert_eq!(&modulus % n, BigUint::from(0u8));
            let slack = BigUint::from(1u8) << (n.bits() + 18);
            Self { key, modulus, r, slack }
        }

        /// Checks squares and products, and the bound within which they fit their limbs.
        fn check_arithmetic(&self, a: &BigUint, b: &BigUint) {
            let key = &self.key;
            let [in_limbs, b_in_limbs] = [a, b].map(|it| number(it, key.pairs));
            let mut square = Number::ZERO;
            let product = Product::Square(Square { number: &in_limbs, pairs: key.pairs });
            key.reduce(&product, &mut square, &mut [[0.0; 2]; MAX_PAIRS]);
            for (actual, product) in
                [(square, a * a), (key.multiply(&in_limbs, &b_in_limbs), a * b)]
            {
                let actual = value(&actual, key.pairs);
                assert!(actual < &self.modulus + &self.slack);
                assert_eq!(actual * &self.r % &self.modulus, product % &self.modulus);
            }
        }
    }

    fn number(value: &BigUint, pairs: usize) -> Number {
        let limb = |i| (value >> (LIMB_BITS * i)) & BigUint::from(LIMB_MASK);
        let limbs = array::from_fn(|i| {
            limb(i).to_bytes_le().iter().rev().fold(0, |limb, byte| limb << 8 | u64::from(*byte))
        });
        Number::new(&limbs, pairs)
    }

    #[test]
    fn bytes_are_split_into_limbs_of_51_bits() {
        for bytes in
            [&[][..], &[1], &[0xff; 6], &[0xff; 7], &[0x80; 32], &[0xa5; 256], &[0xff; 512]]
        {
            let limbs = to_limbs(bytes);
            let value = limbs.iter().rev().fold(BigUint::from(0u8), |value, limb| {
                assert!(*limb <= LIMB_MASK);
                (value << LIMB_BITS) + *limb
            });
            assert_eq!(value, BigUint::from_bytes_be(bytes));
        }
    }

    fn value(number: &Number, pairs: usize) -> BigUint {
        number.limbs[..pairs].iter().flatten().rev().fold(BigUint::from(0u8), |value, limb| {
            (value << LIMB_BITS) + BigUint::from(*limb as u64)
        })
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
                let largest = ones(bits + 51);
                for a in [
                    BigUint::from(0u8),
                    BigUint::from(1u8),
                    &n - 1u8,
                    n.clone(),
                    &reference.modulus - 1u8,
                    &reference.modulus + 1u8,
                    &largest >> 1,
                    &largest - ones(bits / 2),
                    largest.clone(),
                ] {
                    reference.check_arithmetic(&a, &largest);
                    reference.check_arithmetic(&a, &(&n >> 1));
                }
            }
        }
    }

    #[test]
    fn a_good_signature_is_accepted_and_a_changed_one_refused() {
        for bits in [2048, 3072, 4096] {
            // Any odd modulus will do. The signature is chosen, and the prefix is computed so that
            // the signature is good.
            for n in extreme_moduli(bits) {
                let mut reference = Reference::new(&n);
                let signature = &n - 12_345u32;
                let mut hash = [0xa5; 32];
                hash[0] = 0;
                let key = &mut reference.key;
                let size = bits / 8;
                let message = signature.modpow(&BigUint::from(EXPONENT), &n);
                let prefix = (&message + &n - BigUint::from_bytes_be(&hash)) % &n;
                let portable = Portable::new(&n.to_bytes_be()).unwrap();
                key.expect(&portable, &to_limbs(&padded(&prefix, size)));

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
            a in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 512 + 6),
            b in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 512 + 6),
        ) {
            let mut n = n[..size].to_vec();
            n[0] |= 0x80;
            n[size - 1] |= 1;
            let [a, b] = [a, b].map(|it| BigUint::from_bytes_be(&it[..size + 6]));
            Reference::new(&BigUint::from_bytes_be(&n)).check_arithmetic(&a, &b);
        }
    }
}
