//! The verifier, compiled to wasm32-wasip1: its own tests in Node.js, and the vectors in wasmtime.

use std::env::consts::EXE_SUFFIX;

use anyhow::{Result, bail};
use xshell::{Cmd, cmd};

use crate::{
    package::{WIDE_ARITHMETIC, quoted},
    step::{Plan, Step},
    toolchain,
    workspace::Workspace,
};

const TARGET: &str = "wasm32-wasip1";

/// The flags of the package's fast module, so that `kernel/lanes.rs` uses the engine's own vectors.
const RELAXED: &str = "target.wasm32-wasip1.rustflags=['-Ctarget-feature=+simd128,+relaxed-simd']";
/// A test that exists only in such a build. It checks that the fast kernel is in use.
const RELAXED_TEST: &str = "kernel::differential::in_webassembly_the_relaxed_kernel_is_in_use";
/// `cargo test` starts it in the folder of the package under test.
const IN_NODE: &str =
    "target.wasm32-wasip1.runner=['node', '--no-warnings', '../tests/wasi/node.js']";

/// Adds the steps that compile and run the verifier's tests and the vectors.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    let sh = &workspace.sh;
    plan.step("compile the verifier's tests to WASI", |step| {
        toolchain::install_target(step, workspace, TARGET)?;
        step.stream(verifier_tests(workspace).arg("--no-run"), "fix the compiler's errors above")
    })
    .step("run the verifier's tests in Node.js", |step| run_verifier_tests(step, workspace))
    .step("compile the vectors' runner to WASI, also with wide arithmetic", |step| {
        compile_runner(step, workspace, "", &[])?;
        compile_runner(step, workspace, "wide", WIDE_ARITHMETIC)
    })
    .step("compile wasmtime, which takes a minute or two, once", |step| {
        let folder = workspace.target.join("wasi");
        let build = cmd!(sh, "cargo build --locked --manifest-path tests/wasi/Cargo.toml");
        step.stream(build.arg("--target-dir").arg(folder), "fix the errors above")
    })
    .step("run every vector in wasmtime", |step| run_vectors(step, workspace, "", "Portable"))
    .step("run every vector in wasmtime with wide arithmetic", |step| {
        run_vectors(step, workspace, "wide", "Wide")
    });
}

fn compile_runner(step: &Step, workspace: &Workspace, folder: &str, flags: &[&str]) -> Result<()> {
    let flags = format!("target.{TARGET}.rustflags=[{}]", quoted(flags));
    let build = cmd!(
        workspace.sh,
        "cargo build --release -p countersign-tests --bin run-vectors --target {TARGET}"
    );
    step.stream(
        build.args(["--config", &flags, "--target-dir"]).arg(workspace.target.join(folder)),
        "fix the compiler's errors above",
    )
}

/// Runs the vectors with the runner in `folder`, which must use `kernel`.
fn run_vectors(step: &Step, workspace: &Workspace, folder: &str, kernel: &str) -> Result<()> {
    let sh = &workspace.sh;
    let engine = workspace.target.join(format!("wasi/debug/countersign-wasi{EXE_SUFFIX}"));
    let module = workspace.target.join(folder).join(TARGET).join("release/run-vectors.wasm");
    let vectors = sh.read_dir("tests/vectors")?;
    let result = step.quiet(
        cmd!(sh, "{engine} {module} {vectors...}"),
        "the vectors named above got another verdict",
    )?;
    if !result.contains(&format!("kernel: {kernel}")) {
        bail!(
            "another kernel is in use: {result}; is RUSTFLAGS set? It replaces our flags: unset it"
        );
    }
    Ok(())
}

fn verifier_tests(workspace: &Workspace) -> Cmd<'_> {
    let sh = &workspace.sh;
    cmd!(sh, "cargo test -p countersign-verifier --lib --target {TARGET}")
        .args(["--config", RELAXED, "--config", IN_NODE])
}

fn run_verifier_tests(step: &Step, workspace: &Workspace) -> Result<()> {
    // A build without relaxed SIMD, or without any tests, would pass.
    let list = verifier_tests(workspace).args(["--", "--list"]);
    if !step.quiet(list, "see the message above")?.contains(RELAXED_TEST) {
        bail!(
            "{RELAXED_TEST} is not among the tests; is RUSTFLAGS set? It replaces our flags: unset it"
        );
    }
    // A panic ends the module before the harness prints captured output.
    let run = verifier_tests(workspace).args(["--", "--no-capture"]);
    step.stream(run, "see the failure above")
}
