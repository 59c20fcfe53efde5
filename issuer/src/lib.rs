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
//! A request comes in through `serve` (connections and their time limits) and `http` (one file for
//! each endpoint), and is decided by rules that know neither clock nor database: `session` for
//! refresh tokens, `attempt` for failed logins, `keys` for the life of signing keys. `store` is what is
//! kept, `status` says which sessions were ended to whoever verifies their access tokens.

#![forbid(unsafe_code)]

// Base: values, time, cryptography.
mod error;
pub use error::Error;
mod clock;
pub use clock::Clock;
mod config;
pub use config::{Config, DatabaseUrl, KeyBits, LogFormat, SESSION_MAX, Secret, Sources};
mod limits;
pub use limits::Limits;
mod crypto;
mod network;
mod pem;
mod sealing;

// The rules. They read no clock, no database and no request.
mod audit;
mod clients;
mod keys;
mod login;
mod session;
mod status;
mod users;

// The database.
mod store;

// The service joins rules and store.
mod metrics;
mod service;

// Requests and connections.
mod http;
mod serve;
pub use serve::{State, run, run_admin};

// Commands.
mod cli;
pub use cli::main;
