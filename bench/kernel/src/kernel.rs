//! The verifier's kernels behind one type, like `verifier/src/kernel.rs`. Here the relaxed kernel
//! decides alone: the portable kernel does not repeat a refusal.

#[path = "../../../verifier/src/kernel/portable.rs"]
mod portable;

#[cfg(target_feature = "relaxed-simd")]
#[path = "../../../verifier/src/kernel/lanes.rs"]
mod lanes;
#[cfg(target_feature = "relaxed-simd")]
#[path = "../../../verifier/src/kernel/relaxed.rs"]
mod relaxed;

use self::portable::Portable;
use crate::emsa;

const EXPONENT: u64 = 65537;

/// A key, ready for the relaxed kernel if the build and the machine support it.
pub(crate) struct Kernel {
    portable: Portable,
    #[cfg(target_feature = "relaxed-simd")]
    relaxed: Option<Box<relaxed::Relaxed>>,
}

impl Kernel {
    pub(crate) fn new(n: &[u8]) -> Option<Self> {
        let portable = Portable::new(n)?;
        Some(Self {
            #[cfg(target_feature = "relaxed-simd")]
            relaxed: relaxed::Relaxed::new(&portable, EXPONENT),
            portable,
        })
    }

    /// Returns 1 for the portable kernel, 2 for the same on words of 64 bits, 3 for the relaxed one.
    pub(crate) const fn number(&self) -> u32 {
        #[cfg(target_feature = "relaxed-simd")]
        if self.relaxed.is_some() {
            return 3;
        }
        if portable::IS_WIDE { 2 } else { 1 }
    }

    pub(crate) fn accepts(&self, signature: &[u8], hash: &[u8; emsa::HASH_BYTES]) -> bool {
        #[cfg(target_feature = "relaxed-simd")]
        if let Some(relaxed) = &self.relaxed {
            return relaxed.accepts(signature, hash);
        }
        let opened = self.portable.power(signature, EXPONENT);
        opened == emsa::encode(hash, self.portable.size())
    }
}
