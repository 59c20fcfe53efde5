//! `cargo xtask site`: the pages and the documents as static files.

use std::path::{self, PathBuf};

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{
    node, package,
    step::{Plan, Step},
    toolchain,
    workspace::Workspace,
};

/// The options of `cargo xtask site`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder for the files [default: target/site]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Runs `cargo xtask site`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let folder = match &options.out {
        Some(folder) => path::absolute(folder).context("--out is no path")?,
        None => workspace.target.join("site"),
    };
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    package::plan(&mut steps, workspace);
    steps.step("write the site", |step| write(step, workspace, &folder));
    steps.run()
}

fn write(step: &Step, workspace: &Workspace, folder: &path::Path) -> Result<()> {
    let command = cmd!(workspace.sh, "node www/build.js --out {folder}");
    step.stream(command, "give --out an empty folder, or fix the page that is named above")
}
