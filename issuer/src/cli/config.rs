//! The commands of `config`.

use clap::Subcommand;

use super::print;
use crate::{Config, Error, State};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Check everything that serve checks, change nothing, and print the values in force
    Check {
        /// Do not open the database
        #[arg(long)]
        offline: bool,
    },
}

impl Command {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Error> {
        match self {
            Self::Check { offline } => check(config, *offline).await,
        }
    }
}

async fn check(config: &Config, offline: bool) -> Result<(), Error> {
    State::check(config, offline).await?;
    print(&config.show())
}
