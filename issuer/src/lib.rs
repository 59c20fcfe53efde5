//! Countersign's issuer: logs users in, gives them short-lived RS256 access tokens (RFC 9068) and
//! rotating refresh tokens, and publishes the keys that verifiers check the tokens with.
//!
//! The server is a function of a listener, a state and a future that ends it; the binary does
//! little more than this:
//!
//! ```no_run
//! use countersign_issuer::{Clock, Config, Limits, State, run};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::default();
//! let listener = tokio::net::TcpListener::bind(config.listen).await?;
//! let address = listener.local_addr()?;
//! let state = State::open(config, address, Limits::default(), Clock::system()).await?;
//! println!("listening on {}", state.url());
//! run(listener, state, async { drop(tokio::signal::ctrl_c().await) }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Reading order
//!
//! The modules are layers; each imports only from its own layer and those above it in this file. The rules (`session`,
//! `login`, `keys`, `status`) are pure: the caller passes the time and stores the result. `store` keeps
//! their values in SQLite or PostgreSQL. `service` joins rules, store, keys and clock, one file for
//! each thing that a client can ask for; `service/admin` is for operators. `http` has one file for each endpoint: it reads the request,
//! calls the service and writes the reply. `serve` accepts connections and limits them, `cli` has the
//! commands.
//!
//! To follow a login, read `http/login.rs`, `service/login.rs`, `login/throttle.rs`, and `store/mod.rs`.

#![forbid(unsafe_code)]

// Base: configuration, time, cryptography.
mod error;
pub use error::Error;
mod clock;
pub use clock::Clock;
mod config;
pub use config::{
    AdminApi, AuditNetwork, Config, DatabaseUrl, KeyBits, LogFormat, Origin, Resource, SESSION_MAX,
    SecondFactorPolicy, Secret, Sources,
};
mod limits;
pub use limits::Limits;
mod crypto;
mod disk;
mod files;
mod log_lines;
mod network;
mod pem;
mod sealing;

// Domain: pure rules.
mod audit;
mod authentication;
mod clients;
mod custom_claims;
mod idempotency;
mod keys;
mod login;
mod one_time;
mod passkeys;
mod scope;
mod second_factor;
mod session;
mod status;
mod target;
mod users;

// Store: the databases.
mod store;

// Service: the work of a running issuer, without HTTP.
mod metrics;
mod service;

// Edge: requests and connections.
mod http;
mod serve;
pub use serve::{State, run, run_admin};

// Commands.
mod cli;
pub use cli::main;
