//! The boundary between `countersign-verifier` and JavaScript. All logic is on either side of it.
//!
//! Without features, this is the module of the npm package: a few functions on numbers. With the
//! feature `bindgen`, it is the class `Verifier` instead, for programs in Rust that use wasm-bindgen.

// Without std, a panic needs no message, no hook and no formatting: fewer bytes to download.
#![cfg_attr(all(target_family = "wasm", not(feature = "bindgen")), no_std)]

extern crate alloc;

#[cfg(not(feature = "bindgen"))]
mod exports;
#[cfg(not(feature = "bindgen"))]
pub use exports::*;

#[cfg(feature = "bindgen")]
mod bindgen;
#[cfg(feature = "bindgen")]
pub use bindgen::Verifier;
