//! `cargo xtask bench`: builds what the benchmarks need, and runs `bench/run.js` and `bench/native`.

use std::env::consts::EXE_SUFFIX;

use anyhow::Result;
use clap::ValueEnum;
use xshell::cmd;

use crate::{
    needs, node,
    package::{self, Names},
    step::{Plan, Step},
    test::ISSUER_VARIABLE,
    toolchain::{self, Tool},
    workspace::Workspace,
};

/// Lists the functions of a WebAssembly module with their sizes.
const TWIGGY: Tool = Tool::new("twiggy", "0.8.0");

/// The chart in the README.
const SAVED_CHART: &str = "docs/bench-verify.svg";

/// The options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only this one
    #[arg(value_enum)]
    only: Option<Benchmark>,
    /// The runtimes to measure in, separated by commas: node (the one in use), node20, node22,
    /// node24, node26, deno, bun, workerd, chromium, firefox, webkit
    #[arg(long)]
    runtime: Option<String>,
    /// How many turns each contestant takes; the results are medians over them
    #[arg(long)]
    rounds: Option<u32>,
    /// Draw the chart for the README as well
    #[arg(long)]
    save: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// The time to verify a token
    Verify,
    /// The issuer's answers per second, compared with the machine's limits
    Issuer,
    /// The bytes that a browser downloads, by kind, crate and function
    Size,
    /// The time from a cold start to the first verdict
    Coldstart,
    /// The time that the example edge-gateway adds to a request
    Gateway,
    /// The time to verify a token in Rust
    Native,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    if options.only != Some(Benchmark::Native) {
        plan_javascript(&mut steps, workspace, options);
    }
    if options.run(Benchmark::Native) {
        steps.step("compile and measure native code", |step| measure_native(step, workspace));
    }
    steps.run()
}

/// Adds the steps of the benchmarks that `bench/run.js` runs.
fn plan_javascript<'a>(steps: &mut Plan<'a>, workspace: &'a Workspace, options: &'a Options) {
    node::plan(steps, workspace);
    package::plan(steps, workspace);
    if options.run(Benchmark::Verify) {
        steps.step("build the kernels alone", |step| {
            let folder = workspace.target.join("bench/kernels");
            let kernel = "countersign-bench-kernel";
            package::write_modules(step, workspace, kernel, &folder, Names::Removed)
        });
    }
    if options.run(Benchmark::Size) {
        steps.step("find twiggy", |step| TWIGGY.install(step, workspace));
        steps.step("build the WASM modules with names", |step| {
            let folder = workspace.target.join("bench/named");
            package::write_modules(step, workspace, "countersign-wasm", &folder, Names::Kept)
        });
    }
    if options.run(Benchmark::Issuer) {
        steps.step("build the issuer and its load, optimised", |step| {
            let sh = &workspace.sh;
            step.stream(
                cmd!(sh, "cargo build --release -p countersign-issuer -p countersign-bench-load"),
                "fix the compiler's errors above",
            )
        });
    }
    steps.step("measure", |step| measure(step, workspace, options));
}

impl Options {
    fn run(&self, benchmark: Benchmark) -> bool {
        self.only.is_none_or(|only| only == benchmark)
    }
}

fn measure(step: &Step, workspace: &Workspace, options: &Options) -> Result<()> {
    let chosen = Benchmark::value_variants().iter();
    let chosen = chosen.filter(|one| options.run(**one) && **one != Benchmark::Native);
    let names = chosen.filter_map(Benchmark::to_possible_value);
    let names = names.map(|value| value.get_name().to_owned());
    let (sh, out) = (&workspace.sh, workspace.target.join("bench"));
    let load = workspace.target.join(format!("release/countersign-bench-load{EXE_SUFFIX}"));
    let mut command = cmd!(sh, "node bench/run.js {names...} --out {out} --load {load}")
        .env(ISSUER_VARIABLE, workspace.issuer_binary("release"));
    if let Ok(twiggy) = TWIGGY.path(workspace) {
        command = command.arg("--twiggy").arg(twiggy);
    }
    if let Some(runtime) = &options.runtime {
        command = command.args(["--runtime", runtime]);
    }
    if let Some(rounds) = options.rounds {
        command = command.args(["--rounds", &rounds.to_string()]);
    }
    if options.save {
        command = command.args(["--save", SAVED_CHART]);
    }
    step.stream(needs::with_paths(command, workspace)?, "see the message above")
}

fn measure_native(step: &Step, workspace: &Workspace) -> Result<()> {
    let (sh, manifest) = (&workspace.sh, "bench/native/Cargo.toml");
    let command = cmd!(sh, "cargo bench --locked --quiet --manifest-path {manifest}");
    // criterion does not see `--target-dir`.
    let command = command.env("CARGO_TARGET_DIR", workspace.target.join("native"));
    step.stream(command, "see the message above")
}
