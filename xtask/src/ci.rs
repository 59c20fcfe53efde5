//! `cargo xtask ci`: every check that a change has to pass.

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{
    node::{self, NPM},
    step::{Plan, Step},
    test,
    toolchain::{self, Tool, WASM_TARGET},
    workspace::Workspace,
};

const CARGO_DENY: Tool = Tool::new("cargo-deny", "0.20.2");

/// Runs `cargo xtask ci`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    steps
        .step("find rustfmt and clippy", |step| toolchain::install_components(step, workspace))
        .step("check the formatting", |step| {
            step.stream(cmd!(sh, "cargo fmt --all --check"), "run `cargo fmt --all`")
        })
        .step("lint", |step| {
            step.stream(
                cmd!(sh, "cargo clippy --workspace --all-targets -- -D warnings"),
                "fix clippy's warnings above",
            )
        })
        .step("lint the WASM boundary for its target", |step| {
            for features in [&[][..], &["--features", "bindgen", "--all-targets"]] {
                let clippy = cmd!(sh, "cargo clippy -p countersign-wasm --target {WASM_TARGET}");
                let command = clippy.args(features).args(["--", "-D", "warnings"]);
                step.stream(command, "fix clippy's warnings above")?;
            }
            Ok(())
        })
        .step("compile with the oldest Rust", |step| check_oldest_rust(step, workspace))
        .step("build the documentation", |step| {
            let command = cmd!(sh, "cargo doc --workspace --no-deps");
            step.stream(command.env("RUSTDOCFLAGS", "-D warnings"), "fix rustdoc's warnings above")
        })
        .step("package the crates", |step| package_crates(step, workspace))
        .step("build the npm package's documentation", |step| {
            step.stream(
                cmd!(sh, "{NPM} run --silent build -w docs/api"),
                "document the exports that typedoc names above",
            )
        })
        .step("find cargo-deny", |step| CARGO_DENY.install(step, workspace))
        .step("check bans, licences and sources", |step| {
            let command = CARGO_DENY.command(workspace)?;
            step.stream(
                command.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]),
                "change the dependency, or deny.toml with a reason",
            )
        })
        .step("check advisories", |step| check_advisories(step, workspace));
    test::plan(&mut steps, workspace, test::Options::default());
    steps.run()
}

/// Compiles with the `rust-version` of Cargo.toml. A toolchain that cannot be downloaded is only
/// reported: the network is to blame and not the change.
fn check_oldest_rust(step: &Step, workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    let manifest = sh.read_file("Cargo.toml")?;
    let mut lines = manifest.lines();
    let line = lines.find_map(|line| line.strip_prefix("rust-version = "));
    let version = line.context("Cargo.toml has no rust-version")?.trim_matches('"');
    let install = cmd!(sh, "rustup toolchain install {version} --profile minimal --no-self-update");
    if step.quiet(install, "").is_err() {
        step.note(&format!("      NOT CHECKED: Rust {version} could not be installed"));
        return Ok(());
    }
    let target = workspace.target.join("oldest-rust");
    step.stream(
        cmd!(sh, "rustup run {version} cargo check --workspace --target-dir {target}"),
        &format!("use only what Rust {version} has, or raise rust-version in Cargo.toml"),
    )
}

/// The crates that crates.io would get.
pub(crate) const PUBLISHED: [&str; 5] = [
    "countersign-claims",
    "countersign-verifier",
    "countersign-wasm",
    "countersign-axum",
    "countersign-issuer",
];

/// Makes the crates' archives, without compiling them once more. A file, a version or a README that
/// is missing fails here.
fn package_crates(step: &Step, workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    let mut command = cmd!(sh, "cargo package --no-verify --allow-dirty --offline");
    for name in PUBLISHED {
        command = command.args(["--package", name]);
    }
    step.quiet(command, "correct the crate's Cargo.toml")?;
    Ok(())
}

/// Fails on an advisory. A database that cannot be fetched is only reported: the network is to
/// blame and not the change.
fn check_advisories(step: &Step, workspace: &Workspace) -> Result<()> {
    let fetch = CARGO_DENY.command(workspace)?.args(["fetch", "db"]);
    if step.quiet(fetch, "").is_err() {
        step.note("      NOT CHECKED: the RustSec advisory database could not be fetched");
        return Ok(());
    }
    let check = CARGO_DENY.command(workspace)?.args(["check", "--disable-fetch", "advisories"]);
    step.stream(check, "update the crate, or ignore the advisory in deny.toml with a reason")
}
