//! The vectors in WASI: the verifier, compiled to wasm32-wasip1, in wasmtime.

use std::{env::consts::EXE_SUFFIX, fs};

use anyhow::{Context, Result};

use crate::{
    prerequisites,
    step::{Plan, Step},
    workspace::Workspace,
};

const TARGET: &str = "wasm32-wasip1";

/// Adds the steps that compile and run the vectors.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("compile the vectors' runner to WASI", |step| {
        prerequisites::install_target(step, workspace, TARGET)?;
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
    .step("run every vector in wasmtime", |step| run(step, workspace));
}

fn run(step: &Step, workspace: &Workspace) -> Result<()> {
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
