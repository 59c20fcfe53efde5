//! `cargo xtask fuzz`: the fuzz targets, for a given time each.

use std::path::Path;

use anyhow::{Result, bail};
use xshell::Cmd;

use crate::{
    step::{Plan, Step},
    toolchain::Tool,
    workspace::Workspace,
};

const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

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
    let (sh, folder) = (&workspace.sh, workspace.target.join("fuzz"));
    let corpus = sh.create_dir(folder.join("corpus").join(target))?;
    let command = cargo_fuzz(workspace, "run")?
        .arg(target)
        .arg(corpus)
        .arg(Path::new("fuzz/corpus").join(target))
        .args(["--", "-print_final_stats=1", &format!("-max_total_time={seconds}")]);
    let output = command.quiet().ignore_status().output()?;
    let log = folder.join(format!("{target}.log"));
    sh.write_file(&log, &output.stderr)?;

    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let marks = ["panicked at", "assertion", "ERROR:", "Test unit written"];
        for line in report.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))) {
            step.note(&format!("      {line}"));
        }
        bail!(
            "a finding; all of the output is in {}. Put the input into a test, then fix the bug",
            log.display()
        );
    }
    match (statistic(&report, "stat::number_of_executed_units:"), statistic(&report, "cov:")) {
        (Some(runs), Some(coverage)) if runs > 0 => {
            step.note(&format!("      {runs} runs, {coverage} edges covered, no finding"));
            Ok(())
        }
        _ => bail!("libFuzzer ran nothing; see {}", log.display()),
    }
}

/// Returns the number after the last occurrence of `name`.
fn statistic(report: &str, name: &str) -> Option<u64> {
    let (_, after) = report.rsplit_once(name)?;
    after.split_whitespace().next()?.parse().ok()
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
    fn statistics_are_read_from_libfuzzers_output() {
        let report = "#8\tNEW    cov: 12 ft: 3\n#9\tDONE   cov: 14 ft: 5 corp: 1/1b\n\
                      stat::number_of_executed_units: 9\n";
        assert_eq!(statistic(report, "cov:"), Some(14));
        assert_eq!(statistic(report, "stat::number_of_executed_units:"), Some(9));
        assert_eq!(statistic("no such thing", "cov:"), None);
    }

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
