//! The verifier's kernels alone, for `cargo xtask bench`. They are private to the verifier, so this
//! crate compiles their files once more. Numbers come in through the import `octet`.

#![cfg(target_arch = "wasm32")]
#![allow(unsafe_code, reason = "exports by name and an import by name; no pointer crosses")]

extern crate alloc;

use std::cell::RefCell;

#[allow(dead_code, reason = "the verifier uses all of it")]
#[path = "../../../verifier/src/emsa.rs"]
mod emsa;

#[allow(dead_code, reason = "the verifier uses all of it")]
mod kernel;

struct Task {
    kernel: kernel::Kernel,
    signature: Vec<u8>,
    hash: [u8; emsa::HASH_BYTES],
}

thread_local! {
    static TASK: RefCell<Option<Task>> = const { RefCell::new(None) };
}

#[link(wasm_import_module = "bench")]
unsafe extern "C" {
    safe fn octet(index: usize) -> u8;
}

/// Reads the octets of a modulus of `size` octets, of a signature and of a hash. The exponent is
/// 65537. Returns 3 for the relaxed kernel, 2 for the portable one on words of 64 bits, 1 for that on
/// words of 32 bits, and 0 if the key is refused.
#[unsafe(no_mangle)]
pub extern "C" fn load(size: usize) -> u32 {
    let modulus: Vec<u8> = (0..size).map(|index| octet(index)).collect();
    let signature = (size..2 * size).map(|index| octet(index)).collect();
    let hash = core::array::from_fn(|index| octet(2 * size + index));
    let kernel = kernel::Kernel::new(&modulus);
    let answer = kernel.as_ref().map_or(0, kernel::Kernel::number);
    TASK.set(kernel.map(|kernel| Task { kernel, signature, hash }));
    answer
}

/// Checks the signature `times` times. Returns the number of times that it was good.
#[unsafe(no_mangle)]
pub extern "C" fn run(times: u32) -> u32 {
    TASK.with_borrow(|task| {
        task.as_ref().map_or(0, |Task { kernel, signature, hash }| {
            (0..times).map(|_| u32::from(kernel.accepts(signature, hash))).sum()
        })
    })
}
