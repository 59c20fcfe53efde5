//! Checks RS256 JSON Web Tokens, strictly.
//!
//! A [`Verifier`] holds a [`Policy`] (which issuer, which audience, how old a token may be) and a
//! [`KeySet`]. It turns the text of a token into a [`Verified`], or says with an [`Error`] what was
//! wrong. The time is an argument: nothing here reads a clock, does I/O or keeps global state,
//! which `no_std` makes hard to break by accident.
//!
//! ```
//! use core::time::Duration;
//! use countersign_verifier::{KeySet, Policy, Verifier};
//!
//! let policy = Policy::new("https://auth.example", "api");
//! let keys = KeySet::from_json(r#"{ "keys": [] }"#)?;
//! let verifier = Verifier::with_keys(policy, keys);
//!
//! let now = Duration::from_secs(1_700_000_000); // since the UNIX epoch
//! let refused = verifier.verify("eyJhbGciOiJub25lIn0.e30.", now).unwrap_err();
//! assert_eq!(refused.code(), "token_malformed");
//! # Ok::<(), countersign_verifier::Error>(())
//! ```
//!
//! What is **not** checked: that the token was not revoked, that its subject still exists, and
//! that whoever presents it is the one it was issued to.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

// The outside: what a caller gives and gets.
mod verifier;
pub use verifier::{SignedToken, Verified, Verifier};
mod policy;
pub use policy::Policy;
mod error;
pub use error::{Error, Part, Stage};

// The way of a token, in the order of its steps.
mod base64url;
mod compact;
mod json;

mod algorithm;
mod header;

mod key;
pub use key::KeyRejection;
mod key_set;
pub use key_set::KeySet;

mod emsa;
mod kernel;
mod signature;

mod validate;

/// Whether keys of 2048, 3072 and 4096 bits with the exponent 65537 are checked by the relaxed
/// kernel, which is several times as fast: this is a build for WebAssembly with `relaxed-simd`, and
/// the machine fuses multiply-add. Verdicts are the same with and without.
#[must_use]
pub fn relaxed_kernel_is_used() -> bool {
    kernel::relaxed_is_used()
}

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
