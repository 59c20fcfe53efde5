//! `cargo xtask fuzz`: the fuzz targets, for a given time each.

use std::path::Path;

use anyhow::Result;
use xshell::Cmd;

use crate::{
    step::{Plan, Step},
    toolchain::Tool,
    workspace::Workspace,
};

const CARGO_FUZZ: Tool = Tool::new("cargo-fuzz", "0.13.2");

/// The files of `fuzz/targets`.
const TARGETS: [&str; 5] = ["verify", "json", "base64url", "jwks", "kernel_differential"];

/// The options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,

    /// How long to run each target
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Runs `cargo xtask fuzz`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Plan::default();
    steps.step("find cargo-fuzz", |step| CARGO_FUZZ.install(step, workspace)).step(
        "build the fuzz targets",
        |step| {
            let advice = "libFuzzer needs a C++ compiler; else fix the errors above";
            step.stream(cargo_fuzz(workspace, "build")?, advice)
        },
    );
    for target in TARGETS {
        if options.target.as_ref().is_none_or(|only| only == target) {
            steps.step(target, move |step| fuzz(step, workspace, target, options.seconds));
        }
    }
    steps.run()
}

/// New inputs go to the target folder. The ones in `fuzz/corpus` are only read.
fn fuzz(step: &Step, workspace: &Workspace, target: &str, seconds: u32) -> Result<()> {
    let corpus = workspace.target.join("fuzz/corpus").join(target);
    let command = cargo_fuzz(workspace, "run")?
        .arg(target)
        .arg(workspace.sh.create_dir(corpus)?)
        .arg(Path::new("fuzz/corpus").join(target))
        .args(["--", "-verbosity=0", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"));
    step.stream(command, "put the input named above into a test, then fix the bug")
}

/// Without a sanitizer, cargo-fuzz runs on the stable toolchain; there is no unsafe code to
/// sanitize. The relaxed kernel needs multiply-add, one of the machine's own instructions.
fn cargo_fuzz<'a>(workspace: &'a Workspace, subcommand: &str) -> Result<Cmd<'a>> {
    let command = CARGO_FUZZ.command(workspace)?.args([subcommand, "--sanitizer", "none"]);
    let command = command.arg("--target-dir").arg(workspace.target.join("fuzz"));
    Ok(command.env("RUSTFLAGS", "-Ctarget-cpu=native"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_target_has_its_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/targets");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned())
            .collect();
        files.sort();
        let mut targets = TARGETS;
        targets.sort_unstable();
        assert_eq!(files, targets);
    }
}
