//! `cargo xtask soak`: the whole system under faults, for as long as one likes.

use anyhow::Result;
use xshell::cmd;

use crate::{
    needs, node, package,
    step::{Plan, Step},
    test::ISSUER_VARIABLE,
    toolchain,
    workspace::Workspace,
};

/// The options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The time for which faults happen
    #[arg(long)]
    minutes: u32,
    /// Repeats the faults of an earlier run
    #[arg(long)]
    seed: Option<u32>,
}

/// Runs `cargo xtask soak`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    needs::plan(&mut steps, workspace, vec![&needs::POSTGRES, &needs::FAKETIME, &needs::CHROMIUM]);
    package::plan(&mut steps, workspace);
    steps.step("build the issuer", |step| workspace.build_issuer(step));
    steps.step("run the system under faults", |step| soak(step, workspace, options));
    steps.run()
}

fn soak(step: &Step, workspace: &Workspace, options: &Options) -> Result<()> {
    let (sh, minutes) = (&workspace.sh, options.minutes.to_string());
    let report = workspace.target.join("soak/report.html");
    let mut command = cmd!(sh, "node tests/system/soak.js --minutes {minutes} --report {report}");
    if let Some(seed) = options.seed {
        command = command.args(["--seed", &seed.to_string()]);
    }
    let command = command.env(ISSUER_VARIABLE, workspace.issuer_binary("debug"));
    step.stream(needs::with_paths(command, workspace)?, "see the violations above")
}
