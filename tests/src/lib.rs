//! Test vectors for the verifier, and what makes them.
//!
//! A vector says: this token, under these options, at this time, gets this verdict. The files in
//! `tests/vectors/` are written by `cargo run -p countersign-tests --bin generate-vectors` and run
//! by everything that can run the verifier, native or WASM.
//!
//! ```
//! for (file, vectors) in countersign_tests::vector::read_all() {
//!     assert!(!vectors.is_empty(), "{file} holds no vector");
//! }
//! ```

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "this crate sees no input from outside; a fault in it should stop the run"
)]

/// The README's Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

pub mod vector;

pub mod topics;

pub mod der;
pub mod object;
pub mod rsa;
pub mod token;
