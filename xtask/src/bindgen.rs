//! The feature `bindgen` of `countersign-wasm`: its tests in Node.js and in Chromium, and the program
//! of its README.

use std::{env::consts::EXE_SUFFIX, path::PathBuf};

use anyhow::Result;
use xshell::{Cmd, cmd};

use crate::{
    needs,
    step::{Plan, Step},
    toolchain::WASM_TARGET,
    workspace::Workspace,
};

/// An engine that runs the tests.
#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Node,
    Chromium,
}

/// Adds the step that compiles wasm-bindgen's command line and its test runner.
pub(crate) fn plan_tools<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("compile wasm-bindgen's tools, which takes a minute, once", |step| {
        let sh = &workspace.sh;
        let build = cmd!(sh, "cargo build --locked --manifest-path tests/bindgen/Cargo.toml");
        // Two crates of the test runner's server warn.
        let build = build.args(["--config", "future-incompat-report.frequency='never'"]);
        step.stream(build.arg("--target-dir").arg(folder(workspace)), "fix the errors above")
    });
}

/// Adds the step that runs every vector through the class.
pub(crate) fn plan_tests<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, engine: Engine) {
    let name = match engine {
        Engine::Node => "run every vector through wasm-bindgen in Node.js",
        Engine::Chromium => "run every vector through wasm-bindgen in Chromium",
    };
    plan.step(name, move |step| {
        if matches!(engine, Engine::Chromium) && needs::CHROMIUM.is_left_out()? {
            step.note("      left out");
            return Ok(());
        }
        let tool = tool(workspace);
        let runner = match engine {
            Engine::Node => format!("['{}', 'test']", tool.display()),
            // `cargo test` starts it in the folder of the package under test.
            Engine::Chromium => {
                format!("['node', '../tests/bindgen/chromium.js', '{}']", tool.display())
            }
        };
        let command = cargo(workspace, "test").args(["--lib", "--test", "bindgen"]);
        let command = command.arg("--config").arg(format!("target.{WASM_TARGET}.runner={runner}"));
        step.stream(needs::with_paths(command, workspace)?, "see the failures above")
    });
}

/// Adds the step that makes the README's program for `tests/js/bindgen.test.js`.
pub(crate) fn plan_program<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("build a program with wasm-bindgen", |step| {
        let build = cargo(workspace, "build").args(["--example", "page"]);
        step.stream(build, "fix the compiler's errors above")?;
        generate(step, workspace)
    });
}

fn generate(step: &Step, workspace: &Workspace) -> Result<()> {
    let module = workspace.target.join(WASM_TARGET).join("debug/examples/page.wasm");
    let command = workspace.sh.cmd(tool(workspace)).args(["generate", "--out-dir"]);
    let command = command.arg(folder(workspace).join("page")).arg(module);
    // The imports of a bundler, which Node.js understands.
    step.quiet(command.args(["--target", "experimental-nodejs-module"]), "see the message above")?;
    Ok(())
}

fn cargo<'a>(workspace: &'a Workspace, command: &str) -> Cmd<'a> {
    let sh = &workspace.sh;
    cmd!(sh, "cargo {command} -p countersign-wasm --features bindgen --target {WASM_TARGET}")
}

fn tool(workspace: &Workspace) -> PathBuf {
    folder(workspace).join(format!("debug/countersign-bindgen{EXE_SUFFIX}"))
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bindgen")
}
