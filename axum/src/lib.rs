#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// The public interface.
mod guard;
pub use guard::Guard;
mod builder;
pub use builder::GuardBuilder;
mod layer;
pub use layer::Guarded;
mod claims;
pub use claims::Claims;
mod error;
pub use error::{Error, FetchError};
mod refusal;
pub use countersign_verifier::{Error as VerifyError, KeySet, Policy, Verified};
pub use refusal::Refusal;

mod request;

// Keys from an endpoint: the rules, and the client around them.
mod remote_keys;
mod rules;

mod lifetime;
mod limits;
mod unknown_kids;

mod caching;
mod fetch;
mod location;
mod metadata;
