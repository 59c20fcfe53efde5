//! Rust, Node.js, npm and git, and cargo's tools: checked first, and completed if rustup or cargo
//! can do that.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use xshell::{Cmd, cmd};

use crate::{
    node::NPM,
    step::{Plan, Step},
    workspace::Workspace,
};

/// The rustc target of the WASM module.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The first version of Node.js 20 with `require()` of an ES module.
const NODE_NEEDED: (u32, u32) = (20, 19);

/// Adds the step that names every missing program, and installs the wasm target.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("check what is installed", |step| {
        check(workspace)?;
        install_target(step, workspace, WASM_TARGET)
    });
}

fn check(workspace: &Workspace) -> Result<()> {
    let mut missing = Vec::new();
    let node = version_of(workspace, "node").unwrap_or_default();
    if !is_new_enough(&node) {
        let (major, minor) = NODE_NEEDED;
        let found = if node.is_empty() { "none" } else { &node };
        missing.push(format!(
            "Node.js >= {major}.{minor} (found {found}): get it at https://nodejs.org"
        ));
    }
    for (program, source) in [
        (NPM, "it comes with Node.js; Debian has it as the package npm"),
        ("git", "get it at https://git-scm.com or from your system's packages"),
    ] {
        if version_of(workspace, program).is_none() {
            missing.push(format!("{program}: {source}"));
        }
    }
    if !missing.is_empty() {
        bail!("missing on this machine:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

/// Installs the Rust standard library for `target`.
pub(crate) fn install_target(step: &Step, workspace: &Workspace, target: &str) -> Result<()> {
    let sh = &workspace.sh;
    // The compiler's own folders tell it without rustup as well.
    let print = cmd!(sh, "rustc --print target-libdir --target {target}").quiet().ignore_stderr();
    if print.read().is_ok_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    if version_of(workspace, "rustup").is_none() {
        bail!(
            "the Rust standard library for {target} is missing; install Rust through \
             https://rustup.rs, or add your system's package with that target"
        );
    }
    step.stream(
        cmd!(sh, "rustup target add {target}"),
        "check the connection to static.rust-lang.org, then run this again",
    )
}

/// Installs rustfmt and clippy, which rustup's minimal profile lacks.
pub(crate) fn install_components(step: &Step, workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if cmd!(sh, "cargo {subcommand} --version").quiet().ignore_stderr().read().is_err() {
            step.stream(
                cmd!(sh, "rustup component add {component}"),
                &format!("install {component} for your Rust toolchain"),
            )?;
        }
    }
    Ok(())
}

fn version_of(workspace: &Workspace, program: &str) -> Option<String> {
    let sh = &workspace.sh;
    cmd!(sh, "{program} --version").quiet().ignore_stderr().read().ok()
}

/// A crate with a program of the same name. The version is pinned, so that new behaviour comes with
/// a commit and not overnight.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The features that its program needs, separated by commas.
    pub(crate) features: &'static str,
    /// The arguments before all others.
    pub(crate) arguments: &'static [&'static str],
}

impl Tool {
    pub(crate) const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, features: "", arguments: &[] }
    }

    /// Installs the tool into the target folder, unless it is there.
    pub(crate) fn install(&self, step: &Step, workspace: &Workspace) -> Result<()> {
        if self.path(workspace).is_ok() {
            return Ok(());
        }
        let Self { name, version, features, .. } = self;
        let (sh, folder) = (&workspace.sh, workspace.target.join("tools"));
        step.note(&format!("      installing {name} {version}, which takes a few minutes, once"));
        step.stream(
            cmd!(sh, "cargo install {name} --locked --quiet --version {version} --root {folder}")
                .args(["--features", features]),
            "check the connection to crates.io, then run this again",
        )
    }

    /// Returns the installed tool as a command.
    pub(crate) fn command<'a>(&self, workspace: &'a Workspace) -> Result<Cmd<'a>> {
        Ok(workspace.sh.cmd(self.path(workspace)?).args(self.arguments))
    }

    /// Returns the user's own tool if it is that version, else the one in the target folder.
    pub(crate) fn path(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { name, version, arguments, .. } = *self;
        for program in [PathBuf::from(name), workspace.target.join("tools/bin").join(name)] {
            let sh = &workspace.sh;
            let found =
                cmd!(sh, "{program} {arguments...} --version").quiet().ignore_stderr().read();
            if found.is_ok_and(|found| found.split_whitespace().last() == Some(version)) {
                return Ok(program);
            }
        }
        bail!("{name} {version} is not installed");
    }
}

/// Reads the output of `node --version`: `v20.19.0`.
fn is_new_enough(node_version: &str) -> bool {
    let mut numbers = node_version.trim_start_matches('v').split('.').map_while(|n| n.parse().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= NODE_NEEDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_as_numbers() {
        let cases = [
            ("v20.19.0", true),
            ("v20.20.1", true),
            ("v22.0.0", true),
            ("v100.0.0", true),
            ("v20.9.0", false),
            ("v20.18.3", false),
            ("v18.20.8", false),
            ("v9.30.0", false),
            ("v24.0.0-nightly", true),
            ("nonsense", false),
            ("", false),
        ];
        for (text, enough) in cases {
            assert_eq!(is_new_enough(text), enough, "{text:?}");
        }
    }
}
