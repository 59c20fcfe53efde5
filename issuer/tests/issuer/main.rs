//! Tests of the issuer from outside: real servers, real connections, the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

mod authenticator;
mod cluster;
mod common;
mod lossy_proxy;
mod standby;

mod admin;
mod audiences;
mod audit;
mod backends;
mod browser;
mod clients;
mod connections;
mod copy;
mod custom_claims;
mod deploy;
mod document_blocks;
mod document_commands;
mod documentation;
mod durability;
mod ended_sessions;
mod endpoints;
mod http2;
mod keys;
mod log;
mod login;
mod login_queue;
mod lost_commits;
mod new_password;
mod own_sessions;
mod passkeys;
mod postgres;
mod promtool;
mod quiet;
mod races;
mod replication;
mod second_factor;
mod sessions;
mod signed_in;
mod startup;
mod status;
mod tls;
mod user_import;
mod waiting;
mod watch;
