//! Two numbers of 64 bits side by side, in WASM's relaxed SIMD instructions. A copy in plain Rust
//! lets the kernel be tested on machines without these instructions.

#[cfg(target_feature = "relaxed-simd")]
pub(super) use wasm::Lanes;

#[cfg(not(target_feature = "relaxed-simd"))]
pub(super) use plain::Lanes;

#[cfg(target_feature = "relaxed-simd")]
mod wasm {
    use core::arch::wasm32::{
        f64x2, f64x2_add, f64x2_mul, f64x2_relaxed_madd, f64x2_splat, f64x2_sub, i64x2_add,
        i64x2_shuffle, i64x2_sub, u64x2, u64x2_extract_lane, u64x2_shr, v128, v128_and, v128_or,
    };

    /// Two lanes of 64 bits. Each operation reads them as `f64` or as integers.
    #[derive(Clone, Copy)]
    pub(crate) struct Lanes(v128);

    impl Lanes {
        pub(crate) const ZERO: Self = Self(f64x2(0.0, 0.0));

        #[inline(always)]
        pub(crate) const fn new(first: f64, second: f64) -> Self {
            Self(f64x2(first, second))
        }
        #[inline(always)]
        pub(crate) const fn from_bits(first: u64, second: u64) -> Self {
            Self(u64x2(first, second))
        }
        #[inline(always)]
        pub(crate) fn splat(number: f64) -> Self {
            Self(f64x2_splat(number))
        }
        /// Returns the first lane twice.
        #[inline(always)]
        pub(crate) fn firsts(self) -> Self {
            Self(i64x2_shuffle::<0, 0>(self.0, self.0))
        }
        /// Returns the second lane twice.
        #[inline(always)]
        pub(crate) fn seconds(self) -> Self {
            Self(i64x2_shuffle::<1, 1>(self.0, self.0))
        }
        /// Returns the second lane of `below`, and the first lane.
        #[inline(always)]
        pub(crate) fn moved_up(self, below: Self) -> Self {
            Self(i64x2_shuffle::<1, 2>(below.0, self.0))
        }
        #[inline(always)]
        pub(crate) fn add(self, other: Self) -> Self {
            Self(f64x2_add(self.0, other.0))
        }
        #[inline(always)]
        pub(crate) fn subtract(self, other: Self) -> Self {
            Self(f64x2_sub(self.0, other.0))
        }
        #[inline(always)]
        pub(crate) fn multiply(self, other: Self) -> Self {
            Self(f64x2_mul(self.0, other.0))
        }
        /// Computes `self · factor + addend`, rounded once if the machine fuses the two operations.
        #[inline(always)]
        pub(crate) fn multiply_add(self, factor: Self, addend: Self) -> Self {
            Self(f64x2_relaxed_madd(self.0, factor.0, addend.0))
        }
        /// Adds the bit patterns as integers.
        #[inline(always)]
        pub(crate) fn add_bits(self, other: Self) -> Self {
            Self(i64x2_add(self.0, other.0))
        }
        /// Subtracts the bit patterns as integers.
        #[inline(always)]
        pub(crate) fn subtract_bits(self, other: Self) -> Self {
            Self(i64x2_sub(self.0, other.0))
        }
        #[inline(always)]
        pub(crate) fn and(self, other: Self) -> Self {
            Self(v128_and(self.0, other.0))
        }
        #[inline(always)]
        pub(crate) fn or(self, other: Self) -> Self {
            Self(v128_or(self.0, other.0))
        }
        #[inline(always)]
        pub(crate) fn shift_right(self, bits: u32) -> Self {
            Self(u64x2_shr(self.0, bits))
        }
        #[inline(always)]
        pub(crate) fn first_bits(self) -> u64 {
            u64x2_extract_lane::<0>(self.0)
        }
        #[inline(always)]
        pub(crate) fn second_bits(self) -> u64 {
            u64x2_extract_lane::<1>(self.0)
        }
    }
}

#[cfg(not(target_feature = "relaxed-simd"))]
mod plain {
    extern crate std;

    #[derive(Clone, Copy)]
    pub(crate) struct Lanes([f64; 2]);

    impl Lanes {
        pub(crate) const ZERO: Self = Self([0.0; 2]);

        pub(crate) const fn new(first: f64, second: f64) -> Self {
            Self([first, second])
        }
        pub(crate) const fn from_bits(first: u64, second: u64) -> Self {
            Self([f64::from_bits(first), f64::from_bits(second)])
        }
        pub(crate) fn splat(number: f64) -> Self {
            Self([number; 2])
        }
        pub(crate) fn firsts(self) -> Self {
            Self([self.0[0]; 2])
        }
        pub(crate) fn seconds(self) -> Self {
            Self([self.0[1]; 2])
        }
        pub(crate) fn moved_up(self, below: Self) -> Self {
            Self([below.0[1], self.0[0]])
        }
        pub(crate) fn add(self, other: Self) -> Self {
            self.zip(other, |a, b| a + b)
        }
        pub(crate) fn subtract(self, other: Self) -> Self {
            self.zip(other, |a, b| a - b)
        }
        pub(crate) fn multiply(self, other: Self) -> Self {
            self.zip(other, |a, b| a * b)
        }
        pub(crate) fn multiply_add(self, factor: Self, addend: Self) -> Self {
            let ([a, b], [c, d], [e, f]) = (self.0, factor.0, addend.0);
            Self([a.mul_add(c, e), b.mul_add(d, f)])
        }
        pub(crate) fn add_bits(self, other: Self) -> Self {
            self.zip_bits(other, u64::wrapping_add)
        }
        pub(crate) fn subtract_bits(self, other: Self) -> Self {
            self.zip_bits(other, u64::wrapping_sub)
        }
        pub(crate) fn and(self, other: Self) -> Self {
            self.zip_bits(other, |a, b| a & b)
        }
        pub(crate) fn or(self, other: Self) -> Self {
            self.zip_bits(other, |a, b| a | b)
        }
        pub(crate) fn shift_right(self, bits: u32) -> Self {
            self.zip_bits(self, |a, _| a >> bits)
        }
        pub(crate) fn first_bits(self) -> u64 {
            self.0[0].to_bits()
        }
        pub(crate) fn second_bits(self) -> u64 {
            self.0[1].to_bits()
        }

        fn zip(self, other: Self, compute: impl Fn(f64, f64) -> f64) -> Self {
            let ([a, b], [c, d]) = (self.0, other.0);
            Self([compute(a, c), compute(b, d)])
        }
        fn zip_bits(self, other: Self, compute: impl Fn(u64, u64) -> u64) -> Self {
            self.zip(other, |a, b| f64::from_bits(compute(a.to_bits(), b.to_bits())))
        }
    }
}
