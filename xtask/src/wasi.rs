//! The verifier, compiled to wasm32-wasip1: its own tests in Node.js, and the vectors in wasmtime.

use std::env::consts::EXE_SUFFIX;

use anyhow::{Result, bail};
use xshell::{Cmd, cmd};

use crate::{
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
    .step("compile the vectors' runner to WASI", |step| {
        let build = cmd!(sh, "cargo build --release -p countersign-tests --bin run-vectors");
        step.stream(build.args(["--target", TARGET]), "fix the compiler's errors above")
    })
    .step("compile wasmtime, which takes a minute or two, once", |step| {
        let folder = workspace.target.join("wasi");
        let build = cmd!(sh, "cargo build --locked --manifest-path tests/wasi/Cargo.toml");
        step.stream(build.arg("--target-dir").arg(folder), "fix the errors above")
    })
    .step("run every vector in wasmtime", |step| {
        let engine = workspace.target.join(format!("wasi/debug/countersign-wasi{EXE_SUFFIX}"));
        let module = workspace.target.join(TARGET).join("release/run-vectors.wasm");
        let vectors = sh.read_dir("tests/vectors")?;
        step.stream(
            cmd!(sh, "{engine} {module} {vectors...}"),
            "the vectors named above got another verdict",
        )
    });
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
