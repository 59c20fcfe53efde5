//! The signing keys of a running issuer: changed in the database by [`change`], kept in memory by
//! [`ring`], used by [`signing`].

mod change;
mod ring;
pub(crate) mod signing;
#[cfg(test)]
mod simulation;

pub(crate) use self::change::{advance, deposit, exchange_secret, rewrap};
pub(crate) use self::ring::{Current, KeyRing};
