//! Test vectors for the verifier, and their generator.
//!
//! A vector is a token with options, a time and the expected verdict.
//! `cargo run -p countersign-tests --bin generate-vectors` writes them to `tests/vectors/`. Every
//! build of the verifier, native or WASM, runs them.
//!
//! ```
//! for (file, vectors) in countersign_tests::vector::read_all() {
//!     assert!(!vectors.is_empty(), "{file} has no vectors");
//! }
//! ```

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this crate has no input from outside; a fault in it should stop the run"
)]

/// The Rust of these documents compiles.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    mod readme {}

    #[doc = include_str!("../../docs/verify.md")]
    mod verify {}
}

pub mod vector;

pub mod status_vector;

pub mod topics;

pub mod der;
pub mod encoding;
pub mod object;
pub mod rsa;
pub mod token;
