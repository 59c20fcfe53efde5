//! The signing keys of a running issuer: [`change`] changes them in the database, [`ring`] keeps
//! them in memory, [`signing`] signs with them. [`operator`] has the changes that operators ask for.

mod change;
pub(crate) mod operator;
mod ring;
pub(crate) mod signing;
#[cfg(test)]
mod simulation;

pub(crate) use self::change::{advance, deposit, exchange_secret, rewrap};
pub(crate) use self::ring::KeyRing;
