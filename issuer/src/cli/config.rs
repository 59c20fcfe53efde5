//! The commands of `config`.

use clap::Subcommand;
use serde_json::Map;

use super::output::Output;
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
    pub(super) async fn run(&self, config: &Config, output: Output) -> Result<(), Error> {
        match self {
            Self::Check { offline } => check(config, *offline, output).await,
        }
    }
}

async fn check(config: &Config, offline: bool, output: Output) -> Result<(), Error> {
    State::check(config, offline).await?;
    let config = config.in_force();
    let values = config.values().map(|(name, value)| (name.to_owned(), value.into()));
    output.print(&config.show(), &values.collect::<Map<_, _>>().into())
}
