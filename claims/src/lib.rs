//! The data that the issuer writes and the verifier reads: the registered claims of a JWT access
//! token, its numeric dates and audience, and the JSON Web Key Set with the public keys.
//!
//! The types are plain data: no cryptography, no clock, no I/O. They check nothing. A value
//! describes the shape of a document, and never proves that the document can be trusted.
//!
//! ```
//! use countersign_claims::{Audience, Claims, NumericDate};
//!
//! let claims = Claims {
//!     iss: Some("https://auth.example".into()),
//!     aud: Some(Audience::One("api".into())),
//!     exp: Some(NumericDate::from_seconds(1_700_000_900)),
//!     ..Claims::default()
//! };
//! let json = serde_json::to_string(&claims).unwrap();
//! assert_eq!(json, r#"{"iss":"https://auth.example","aud":"api","exp":1700000900}"#);
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// The README's Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod claims;
pub use claims::Claims;
mod audience;
pub use audience::Audience;
mod numeric_date;
pub use numeric_date::NumericDate;
mod status;
pub use status::{Status, StatusReference};
pub mod scope;

mod jwk;
pub use jwk::{Jwk, JwkSet};
