//! `countersign-axum`: the responses of a guard, and the life of its keys.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod discovery;
mod endpoint;
mod guard;
mod keys;
