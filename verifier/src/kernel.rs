//! The public operation of RSA, in two kernels. The **portable** kernel takes any modulus and any
//! exponent, and runs everywhere. It works on words of 64 bits natively and in WASM with wide
//! arithmetic, and on words of 32 bits in other WASM. The **relaxed** kernel takes common keys only.
//! It needs a WASM engine with relaxed SIMD and a machine that fuses multiply-add, and is the
//! fastest kernel in WASM.
//!
//! The relaxed kernel may only say yes; every no comes from the portable kernel.

use crate::emsa;

mod portable;
use portable::Portable;

#[cfg(any(target_feature = "relaxed-simd", test, fuzzing))]
mod lanes;
#[cfg(any(target_feature = "relaxed-simd", test, fuzzing))]
mod relaxed;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod wycheproof;

/// An RSA public key (RFC 8017 §3.1), with all values that depend on the key alone.
#[derive(Clone)]
pub(crate) struct Kernel {
    portable: Portable,
    exponent: u64,
    #[cfg(target_feature = "relaxed-simd")]
    relaxed: Option<alloc::boxed::Box<relaxed::Relaxed>>,
}

impl Kernel {
    /// Takes an odd modulus, as big-endian bytes without leading zeros, and an odd exponent of at
    /// least 3. Returns `None` for an even modulus.
    pub(crate) fn new(n: &[u8], exponent: u64) -> Option<Self> {
        let portable = Portable::new(n)?;
        Some(Self {
            #[cfg(target_feature = "relaxed-simd")]
            relaxed: relaxed::Relaxed::new(&portable, exponent),
            portable,
            exponent,
        })
    }

    /// Returns true if `signature` to the power of the exponent is the encoded message for `hash`:
    /// RSAVP1 (RFC 8017 §5.2.2) and the comparison after it. A signature must be as long as the
    /// modulus, and less than it.
    pub(crate) fn accepts(&self, signature: &[u8], hash: &[u8; emsa::HASH_BYTES]) -> bool {
        if !self.portable.is_reduced(signature) {
            return false;
        }
        #[cfg(target_feature = "relaxed-simd")]
        if self.relaxed.as_ref().is_some_and(|relaxed| relaxed.accepts(signature, hash)) {
            return true;
        }
        let opened = self.portable.power(signature, self.exponent);
        opened == emsa::encode(hash, self.portable.size())
    }
}

/// The kernel that checks keys of 2048, 3072 and 4096 bits with the exponent 65537. Verdicts do not
/// depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelInUse {
    /// The portable kernel on words of 32 bits, in WebAssembly.
    Portable,
    /// The portable kernel on words of 64 bits, which takes less than half the time: natively, and
    /// in a WebAssembly build with `wide-arithmetic`.
    Wide,
    /// The relaxed kernel, which is faster still in WebAssembly. It needs a build with
    /// `relaxed-simd`, and a machine that fuses multiply-add.
    Relaxed,
}

/// Returns the kernel for common keys, in this build and on this machine.
#[must_use]
pub fn kernel_in_use() -> KernelInUse {
    #[cfg(target_feature = "relaxed-simd")]
    if relaxed::works_here() {
        return KernelInUse::Relaxed;
    }
    if portable::IS_WIDE { KernelInUse::Wide } else { KernelInUse::Portable }
}

#[cfg(fuzzing)]
impl Kernel {
    /// Returns `number` to the power of the exponent, or `None` unless it is as long as the modulus
    /// and below it.
    pub(crate) fn power(&self, number: &[u8]) -> Option<alloc::vec::Vec<u8>> {
        self.portable.is_reduced(number).then(|| self.portable.power(number, self.exponent))
    }

    /// Asks the relaxed kernel if a `signature` below the modulus opens to `message`, which is
    /// below it too. Returns `None` for a key that the kernel does not support.
    pub(crate) fn relaxed_opens(&self, signature: &[u8], message: &[u8]) -> Option<bool> {
        let (prefix, hash) = message.split_last_chunk::<{ emsa::HASH_BYTES }>()?;
        let mut relaxed = relaxed::Relaxed::new(&self.portable, self.exponent)?;
        relaxed.expect(&self.portable, &[prefix, &[0xff; emsa::HASH_BYTES]].concat());
        Some(relaxed.accepts(signature, hash))
    }
}
