//! The verifier, compiled to wasm32-wasip1: its own tests in Node.js, and the vectors in wasmtime.

use std::{env::consts::EXE_SUFFIX, fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    prerequisites,
    step::{Plan, Step},
    workspace::Workspace,
};

const TARGET: &str = "wasm32-wasip1";

/// As the package's fast module is compiled, so that `kernel/lanes.rs` is the engine's own vectors.
const RELAXED: &str = "target.wasm32-wasip1.rustflags=['-Ctarget-feature=+simd128,+relaxed-simd']";
/// The test that only such a build has, and that sees that the fast kernel is in use.
const RELAXED_TEST: &str = "kernel::differential::in_webassembly_the_relaxed_kernel_is_in_use";
/// `cargo test` starts it in the folder of the package under test.
const IN_NODE: &str =
    "target.wasm32-wasip1.runner=['node', '--no-warnings', '../tests/wasi/node.js']";

/// Adds the steps that compile and run the verifier's tests and the vectors.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("compile the verifier's tests to WASI", |step| {
        prerequisites::install_target(step, workspace, TARGET)?;
        let mut command = verifier_tests(workspace);
        step.stream(command.arg("--no-run"), "fix what the compiler reports above")
    })
    .step("run the verifier's tests in Node.js", |step| run_verifier_tests(step, workspace))
    .step("compile the vectors' runner to WASI", |step| {
        let mut command = workspace.cargo(&["build", "--release", "-p", "countersign-tests"]);
        command.args(["--bin", "run-vectors", "--target", TARGET]);
        step.stream(&mut command, "fix what the compiler reports above")
    })
    .step("compile wasmtime, which takes a minute or two, once", |step| {
        let mut command = workspace.cargo(&["build", "--locked", "--target-dir"]);
        command.arg(workspace.target.join("wasi"));
        command.args(["--manifest-path", "tests/wasi/Cargo.toml"]);
        step.stream(&mut command, "fix what is reported above")
    })
    .step("run every vector in wasmtime", |step| run_vectors(step, workspace));
}

fn verifier_tests(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo(&["test", "-p", "countersign-verifier", "--lib"]);
    command.args(["--target", TARGET, "--config", RELAXED, "--config", IN_NODE]);
    command
}

fn run_verifier_tests(step: &Step, workspace: &Workspace) -> Result<()> {
    // A build without relaxed SIMD, or without tests at all, would pass.
    let mut list = verifier_tests(workspace);
    let listed = step.quiet(list.args(["--", "--list"]), "see the message above")?;
    if !listed.contains(RELAXED_TEST) {
        bail!(
            "{RELAXED_TEST} is not among the tests; was RUSTFLAGS set, which replaces our flags?"
        );
    }
    let mut command = verifier_tests(workspace);
    // A panic ends the module, and with it what the harness would still have printed.
    step.stream(command.args(["--", "--no-capture"]), "see the failure above")
}

fn run_vectors(step: &Step, workspace: &Workspace) -> Result<()> {
    let engine = workspace.target.join(format!("wasi/debug/countersign-wasi{EXE_SUFFIX}"));
    let module = workspace.target.join(TARGET).join("release/run-vectors.wasm");
    let mut command = workspace.command(engine, &[]);
    command.arg(module);
    let folder = workspace.root.join("tests/vectors");
    for entry in fs::read_dir(&folder).context("tests/vectors can't be read")? {
        command.arg(entry?.path());
    }
    step.stream(&mut command, "see the vectors above that got another verdict")
}
