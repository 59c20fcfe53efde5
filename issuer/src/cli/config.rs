//! The commands of `config`.

use clap::Subcommand;

use super::print;
use crate::serve::tls::Acceptor;
use crate::{Config, Error};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Check the configuration and print the values in force
    Check,
}

impl Command {
    pub(super) fn run(&self, config: &Config) -> Result<(), Error> {
        match self {
            Self::Check => check(config),
        }
    }
}

fn check(config: &Config) -> Result<(), Error> {
    config.check_serve()?;
    Acceptor::load(config)?;
    print(&config.show())
}
