//! The commands for the shell: completions and man pages, made from the command line's declaration.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::output::print;
use super::{CommandLine, NAME};
use crate::Error;

#[derive(Args)]
pub(super) struct Completions {
    /// Shell to complete in
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), NAME, &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}

#[derive(Args)]
pub(super) struct Man {
    /// Folder to write to, such as /usr/local/share/man/man1
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> Result<(), Error> {
        let written = clap_mangen::generate_to(CommandLine::command(), &self.folder);
        written.map_err(|e| {
            Error::Refused(format!("cannot write man pages to {}: {e}", self.folder.display()))
        })
    }
}
