//! `cargo xtask bench`: how fast, how large, how soon; against other libraries and OpenSSL.
//!
//! What is measured is in `bench/`, in JavaScript, because that is where the package is used. Here
//! is built what it needs besides the package.

use std::{
    env::consts::EXE_SUFFIX,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    browsers, node,
    package::{self, BUILDS, Names},
    prerequisites,
    step::{Plan, Step},
    workspace::Workspace,
};

/// Below the target folder: results, and the runtimes that they were measured in.
const FOLDER: &str = "bench";
/// The chart that the README shows.
const SAVED_CHART: &str = "docs/bench-verify.svg";

/// The options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only this one
    #[arg(value_enum)]
    only: Option<Benchmark>,
    /// Where to measure, with commas in between: node (the one in use), node20, node22, node24,
    /// node26, deno, bun, chromium, firefox, webkit
    #[arg(long)]
    runtime: Option<String>,
    /// How often each contestant takes its turn; the medians are over these
    #[arg(long)]
    rounds: Option<u32>,
    /// Draw the chart for the README as well
    #[arg(long)]
    save: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Benchmark {
    /// The time to verify a token
    Verify,
    /// What the issuer answers in a second, against what the machine can do
    Issuer,
    /// What a browser downloads, and what it is made of
    Size,
    /// From the start of a process to its first verdict
    Coldstart,
}

impl Benchmark {
    const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Issuer => "issuer",
            Self::Size => "size",
            Self::Coldstart => "coldstart",
        }
    }
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let all = [Benchmark::Verify, Benchmark::Issuer, Benchmark::Size, Benchmark::Coldstart];
    let chosen: Vec<_> =
        all.into_iter().filter(|one| options.only.is_none_or(|only| only == *one)).collect();
    let folder = workspace.target.join(FOLDER);
    let kernels = folder.join("kernels");
    let named = folder.join("named");
    let release = workspace.target.join("release");

    let mut steps = Plan::default();
    prerequisites::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    package::plan(&mut steps, workspace);
    if chosen.contains(&Benchmark::Verify) {
        steps.step("build the kernels alone", |step| build_kernels(step, workspace, &kernels));
    }
    if chosen.contains(&Benchmark::Size) {
        steps.step("build the WASM modules with names", |step| {
            package::write_named_modules(step, workspace, &named)
        });
    }
    if chosen.contains(&Benchmark::Issuer) {
        steps.step("build the issuer, optimised, and what loads it", |step| {
            let packages = ["-p", "countersign-issuer", "-p", "countersign-bench-load"];
            let mut command = workspace.cargo(&["build", "--release"]);
            step.stream(command.args(packages), "fix what the compiler reports above")
        });
    }
    steps.step("measure", |step| {
        let mut command = node::node(workspace, &["bench/run.js"]);
        command.args(chosen.iter().map(|one| one.name()));
        command.arg("--out").arg(&folder).arg("--kernels").arg(&kernels);
        command.arg("--named").arg(&named);
        command.arg("--load").arg(release.join(format!("countersign-bench-load{EXE_SUFFIX}")));
        let issuer = release.join(format!("countersign-issuer{EXE_SUFFIX}"));
        command.env("COUNTERSIGN_ISSUER_BINARY", issuer);
        if let Some(runtime) = &options.runtime {
            command.args(["--runtime", runtime]);
        }
        if let Some(rounds) = options.rounds {
            command.args(["--rounds", &rounds.to_string()]);
        }
        if options.save {
            command.args(["--save", SAVED_CHART]);
        }
        browsers::tell(&mut command, workspace)?;
        step.stream(&mut command, "see the message above")
    });
    steps.run()
}

/// Compiles `bench/kernel` as the package's modules are, one file for each build.
fn build_kernels(step: &Step, workspace: &Workspace, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    for build in &BUILDS {
        let mut command = build.cargo(workspace, "countersign-bench-kernel");
        step.stream(&mut command, "fix what the compiler reports above, then run this again")?;
        let compiled: PathBuf = build.compiled(workspace, "countersign_bench_kernel");
        build.optimise(step, workspace, &compiled, &folder.join(build.module), Names::Removed)?;
    }
    Ok(())
}
