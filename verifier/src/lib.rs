//! Checks RS256 JSON Web Tokens, strictly.
//!
//! A [`Verifier`] holds a [`Policy`] (which issuer, which audience, how old a token may be) and a
//! [`KeySet`]. It turns the text of a token into a [`Verified`], or refuses it with an [`Error`].
//! The time is an argument: the crate reads no clock, does no I/O and keeps no global state, and
//! `no_std` makes it hard to break this by accident. The feature `std`, on by default, adds
//! `since_epoch` alone; `status-list` adds revocation.
//!
//! ```
//! use core::time::Duration;
//! use countersign_verifier::{Error, KeySet, Policy, Verifier};
//!
//! #[derive(serde::Deserialize)]
//! struct MyClaims {
//!     sub: String,
//!     groups: Vec<String>,
//! }
//!
//! # let n = "oAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
//! #     AAAADDGW9P-mZDHBo-KJB9sEWY9yphQQFxETOROFyqTAXS3dmaMnaLN7QqCC0H2Zi_XmrsQdBMqObjO6\
//! #     EzepqyhtYHQvAML3BapHBhJzChZF0RIVOpXpuWXcpJtzGDEcnZseDWXndT9tYiEydjDqNoNbr7VwvgRn\
//! #     __ebvqd9R55XvQ3xC4wEAKf4pHlHi_H7CoCYMqYAN5lUpIDxMfqOEEPiDUOOsw8RK63E7GeUAOUfCA9r\
//! #     sK-KIEpuFQ_Zrde9uwwYtQ";
//! # let jwks = format!(r#"{{"keys":[{{"kty":"RSA","kid":"main","n":"{n}","e":"AQAB"}}]}}"#);
//! # let token = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Im1haW4ifQ.eyJpc3MiOiJodHRwczovL2F1dGguZ\
//! #     XhhbXBsZSIsInN1YiI6InVzZXItMSIsImF1ZCI6ImFwaSIsImNsaWVudF9pZCI6IndlYiIsInNjb3BlIjoicmVhZ\
//! #     CB3cml0ZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwOTAwLCJqdGkiOiIxIiwiZ3JvdXBzIjpbImEiL\
//! #     CJiIl19.V-oVVBHJSHCSlNQaaO71C69_S1ef_AGU7QiXBWN0buBpKIXmHyjRT22zTPkaqu9M2PGLt1T0AI5KlLla\
//! #     L02FPCQ5diwLYHh4VPylFHLXP0fmmco13w-FfNXf9-YqpHx84_WCFKf6VxECMwj4GehI61ZJC9-aW29cD6M8yTEw\
//! #     wToS4If-XBLRyhw4odCZ-Zj-aa7JU-EGNvkMMBWGq_HcFQEhiqbk96SF7NK8tsEYCwqUsPprxL7NZPr1H3OJtenB\
//! #     IkA110_KJkwRvQtzCufNVCROT_iLNsOyFygF4QHgbzGmCqgXT1kNuU0tmR56pXvV04xYvvoZXF3JeN755kFPCQ";
//! let keys = KeySet::from_json(&jwks)?; // the text of the issuer's JWK Set
//! let verifier = Verifier::with_keys(Policy::new("https://auth.example", "api"), keys);
//!
//! let now = Duration::from_secs(1_700_000_100); // since the UNIX epoch
//! let verified = verifier.verify(token, now)?;
//! let claims: MyClaims = verified.claims_as()?;
//! assert_eq!((&*claims.sub, &*claims.groups[0]), ("user-1", "a"));
//!
//! let an_hour_later = now + Duration::from_secs(3600);
//! let error = verifier.verify(token, an_hour_later).unwrap_err();
//! assert_eq!(error, Error::TokenExpired { seconds_ago: 2800 });
//! assert_eq!((error.code(), error.claim()), ("token_expired", Some("exp")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Not** checked: that the token was not revoked (except by `StatusList`, with the feature
//! `status-list`), that its subject still exists, and that the presenter of the token is its owner.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

/// The README's Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

// The public interface.
mod verifier;
pub use verifier::{SignedToken, Verified, Verifier};
mod policy;
pub use policy::Policy;
mod claim_value;
pub use claim_value::ClaimValue;
mod error;
pub use error::{Error, Part, Stage};
mod claim_fault;
pub use claim_fault::ClaimFault;
mod search;
mod text;

// For services: claims, requests and responses.
pub use countersign_claims::{Audience, Claims, NumericDate, Status, StatusReference, scope};
mod bearer;
pub use bearer::{BearerError, bearer_token};
mod claims_as;
mod http_status;
#[cfg(feature = "std")]
mod system_time;
#[cfg(feature = "std")]
pub use system_time::since_epoch;
#[cfg(feature = "status-list")]
mod status_list;
mod status_reference;
#[cfg(feature = "status-list")]
pub use status_list::StatusList;
mod unverified;
pub use unverified::unverified_key_id;

// The steps of a token's verification, in order.
mod base64url;
mod compact;
mod json;

mod algorithm;
mod header;

mod key;
mod key_rejection;
pub use key_rejection::KeyRejection;
mod key_set;
pub use key_set::KeySet;

mod emsa;
mod kernel;
pub use kernel::{KernelInUse, kernel_in_use};
mod signature;

mod issuer;
mod validate;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
