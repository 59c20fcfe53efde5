//! The measuring program of `cargo xtask bench issuer`. It measures the machine alone and an issuer
//! under load, and fills databases with users. Each command prints one line of JSON, except `least`.

mod connection;
mod fill;
mod least;
mod load;
mod raw;
mod requests;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Counts the signatures or password hashes that all threads together make per second
    Raw {
        #[arg(value_enum)]
        what: raw::Work,
        #[arg(long)]
        threads: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// Serves signatures and nothing else, and prints its address
    Least,
    /// Measures a server's answers per second, and their latencies
    Load(load::Options),
    /// Adds users with one session each to an issuer's SQLite file
    Fill(fill::Options),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn clap_accepts_the_commands() {
        super::Command::command().debug_assert();
    }
}
