//! `cargo xtask ci`: all that must hold before a change is taken.

use anyhow::Result;

use crate::{
    node,
    package::WASM_TARGET,
    prerequisites,
    step::{Plan, Step},
    test,
    tools::Tool,
    workspace::Workspace,
};

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", options: &[] };

/// Runs `cargo xtask ci`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Plan::default();
    prerequisites::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    steps
        .step("find rustfmt and clippy", |step| install_components(step, workspace))
        .step("check the formatting", |step| {
            let mut command = workspace.cargo(&["fmt", "--all", "--check"]);
            step.stream(&mut command, "run `cargo fmt --all`")
        })
        .step("lint", |step| {
            let mut command = workspace.cargo(&["clippy", "--workspace", "--all-targets"]);
            command.args(["--", "-D", "warnings"]);
            step.stream(&mut command, "fix what clippy reports above")
        })
        .step("lint the WASM boundary for its target", |step| {
            let mut command = workspace.cargo(&["clippy", "-p", "countersign-wasm"]);
            command.args(["--target", WASM_TARGET, "--", "-D", "warnings"]);
            step.stream(&mut command, "fix what clippy reports above")
        })
        .step("build the documentation", |step| {
            let mut command = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
            command.env("RUSTDOCFLAGS", "-D warnings");
            step.stream(&mut command, "fix what rustdoc reports above")
        })
        .step("build the npm package's documentation", |step| {
            let mut command = node::npm();
            command.args(["run", "--silent", "build", "-w", "docs/api"]);
            command.current_dir(&workspace.root);
            step.stream(&mut command, "document what typedoc names above")
        })
        .step("find cargo-deny", |step| CARGO_DENY.install(step, workspace))
        .step("check bans, licences and sources", |step| {
            let mut command = CARGO_DENY.command(workspace)?;
            command.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
            step.stream(&mut command, "change the dependency, or deny.toml with its reason")
        })
        .step("check advisories", |step| check_advisories(step, workspace));
    test::plan(&mut steps, workspace);
    steps.run()
}

/// rustup's minimal profile comes without them.
fn install_components(step: &Step, workspace: &Workspace) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let present = workspace.cargo(&[subcommand, "--version"]).output();
        if !present.is_ok_and(|output| output.status.success()) {
            let mut command = workspace.command("rustup", &["component", "add", component]);
            step.stream(&mut command, &format!("install {component} for your Rust toolchain"))?;
        }
    }
    Ok(())
}

/// A found advisory fails; a database that can't be fetched is said plainly, because that is the
/// network's state and not the change's.
fn check_advisories(step: &Step, workspace: &Workspace) -> Result<()> {
    let fetched = CARGO_DENY.command(workspace)?.args(["fetch", "db"]).output();
    if !fetched.is_ok_and(|output| output.status.success()) {
        step.note("      NOT CHECKED: the RustSec advisory database could not be fetched");
        return Ok(());
    }
    let mut command = CARGO_DENY.command(workspace)?;
    command.args(["check", "--disable-fetch", "advisories"]);
    step.stream(&mut command, "update the crate, or ignore the advisory in deny.toml with a reason")
}
