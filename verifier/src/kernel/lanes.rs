//! Two `f64` side by side, in WASM's relaxed SIMD instructions. A copy in plain Rust lets the
//! kernel be tested on machines without these instructions.

#[cfg(target_feature = "relaxed-simd")]
pub(super) use wasm::Lanes;

#[cfg(not(target_feature = "relaxed-simd"))]
pub(super) use plain::Lanes;

#[cfg(target_feature = "relaxed-simd")]
mod wasm {
    use core::arch::wasm32::{
        f64x2, f64x2_relaxed_madd, f64x2_splat, f64x2_sub, i64x2_add, u64x2_extract_lane, v128,
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
        pub(crate) fn splat(number: f64) -> Self {
            Self(f64x2_splat(number))
        }
        /// Computes `self · factor + addend`, rounded once if the machine fuses the two operations.
        #[inline(always)]
        pub(crate) fn multiply_add(self, factor: Self, addend: Self) -> Self {
            Self(f64x2_relaxed_madd(self.0, factor.0, addend.0))
        }
        #[inline(always)]
        pub(crate) fn subtract(self, other: Self) -> Self {
            Self(f64x2_sub(self.0, other.0))
        }
        /// Adds the bit patterns as integers.
        #[inline(always)]
        pub(crate) fn add_bits(self, other: Self) -> Self {
            Self(i64x2_add(self.0, other.0))
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
        pub(crate) fn splat(number: f64) -> Self {
            Self([number; 2])
        }
        pub(crate) fn multiply_add(self, factor: Self, addend: Self) -> Self {
            let ([a, b], [c, d], [e, f]) = (self.0, factor.0, addend.0);
            Self([a.mul_add(c, e), b.mul_add(d, f)])
        }
        pub(crate) fn subtract(self, other: Self) -> Self {
            let ([a, b], [c, d]) = (self.0, other.0);
            Self([a - c, b - d])
        }
        pub(crate) fn add_bits(self, other: Self) -> Self {
            let sum = |a: f64, b: f64| f64::from_bits(a.to_bits().wrapping_add(b.to_bits()));
            let ([a, b], [c, d]) = (self.0, other.0);
            Self([sum(a, c), sum(b, d)])
        }
        pub(crate) fn first_bits(self) -> u64 {
            self.0[0].to_bits()
        }
        pub(crate) fn second_bits(self) -> u64 {
            self.0[1].to_bits()
        }
    }
}
