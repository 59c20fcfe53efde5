//! `cargo xtask fuzz`: the fuzz targets, for a given time each.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    step::{Plan, Step, shown},
    tools::Tool,
    workspace::Workspace,
};

const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2", options: &[] };

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
    steps
        .step("find cargo-fuzz", |step| CARGO_FUZZ.install(step, workspace))
        .step("build the fuzz targets", |step| build(step, workspace));
    for target in TARGETS {
        if options.target.as_ref().is_none_or(|only| only == target) {
            steps.step(target, move |step| fuzz(step, workspace, target, options.seconds));
        }
    }
    steps.run()
}

fn build(step: &Step, workspace: &Workspace) -> Result<()> {
    let mut command = cargo_fuzz(workspace, "build")?;
    step.stream(&mut command, "libFuzzer needs a C++ compiler; else fix what is reported above")
}

/// New inputs go to the target folder; the ones in `fuzz/corpus` are only read.
fn fuzz(step: &Step, workspace: &Workspace, target: &str, seconds: u32) -> Result<()> {
    let folder = workspace.target.join("fuzz");
    let corpus = folder.join("corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("could not make {}", corpus.display()))?;
    let log = folder.join(format!("{target}.log"));

    let mut command = cargo_fuzz(workspace, "run")?;
    command.arg(target).arg(&corpus).arg(Path::new("fuzz/corpus").join(target));
    command.args(["--", "-print_final_stats=1", &format!("-max_total_time={seconds}")]);
    let output =
        command.output().with_context(|| format!("`{}` did not start", shown(&command)))?;
    fs::write(&log, &output.stderr)
        .with_context(|| format!("could not write {}", log.display()))?;

    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let finding = report.lines().filter(|line| {
            ["panicked at", "assertion", "ERROR:", "Test unit written"]
                .iter()
                .any(|mark| line.contains(mark))
        });
        finding.for_each(|line| step.note(&format!("      {line}")));
        bail!(
            "a finding, with all of its output in {}; put the input into a test, then mend what \
             it breaks",
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

/// The number after the last occurrence of `name`.
fn statistic(report: &str, name: &str) -> Option<u64> {
    let (_, after) = report.rsplit_once(name)?;
    after.split_whitespace().next()?.parse().ok()
}

/// Without a sanitizer it runs on the stable toolchain; there is no unsafe code to sanitize. With
/// the machine's own instructions, of which multiply-add is one that the relaxed kernel is made of.
fn cargo_fuzz(workspace: &Workspace, subcommand: &str) -> Result<std::process::Command> {
    let mut command = CARGO_FUZZ.command(workspace)?;
    command.args([subcommand, "--sanitizer", "none", "--target-dir"]);
    command.arg(workspace.target.join("fuzz")).env("RUSTFLAGS", "-Ctarget-cpu=native");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_from_what_libfuzzer_prints() {
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
