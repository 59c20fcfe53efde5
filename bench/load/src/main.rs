//! What `cargo xtask bench issuer` measures with: what the machine can do at most, and how an issuer
//! does under load; and what it is measured on, databases of many users. Each command prints one
//! line of JSON, but for that which serves.

mod connection;
mod fill;
mod least;
mod load;
mod raw;
mod requests;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
enum Command {
    /// How many signatures or password hashes all threads together make in a second
    Raw {
        #[arg(value_enum)]
        what: Work,
        #[arg(long)]
        threads: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// Serves signatures and nothing else, and prints its address
    Least,
    /// How many requests a server answers in a second, and how soon
    Load(load::Options),
    /// Adds users with one session each to an issuer's SQLite file
    Fill(fill::Options),
}

/// What the issuer spends most of its time on.
#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// RS256 with 2048 bits, by the library that the issuer signs with
    Signatures,
    /// argon2id with the issuer's parameters
    Hashes,
}

fn main() -> anyhow::Result<()> {
    let result = match Command::parse() {
        Command::Least => return least::serve(),
        Command::Raw { what, threads, seconds } => raw::measure(what, threads, seconds)?,
        Command::Load(options) => load::measure(&options)?,
        Command::Fill(options) => fill::fill(&options)?,
    };
    println!("{result}");
    Ok(())
}
