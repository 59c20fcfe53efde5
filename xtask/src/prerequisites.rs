//! What must be there before anything else runs.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{
    node,
    package::WASM_TARGET,
    step::{Plan, Step},
    workspace::Workspace,
};

/// `require()` of an ES module came to Node.js 20 with this version.
const NODE_NEEDED: Version = Version(20, 19);

/// Adds the step that names every missing prerequisite, and installs the wasm target.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("check what is installed", |step| {
        check()?;
        install_target(step, workspace, WASM_TARGET)
    });
}

/// All that is missing is named at once: nobody should install one thing to hear of the next.
fn check() -> Result<()> {
    let mut missing = Vec::new();
    match version_of(&mut Command::new("node")) {
        None => missing.push(format!("Node.js >= {NODE_NEEDED}: get it at https://nodejs.org")),
        Some(text) => match Version::parse(&text) {
            Some(version) if version >= NODE_NEEDED => {}
            _ => missing.push(format!(
                "Node.js >= {NODE_NEEDED} (found {text}): get it at https://nodejs.org"
            )),
        },
    }
    if version_of(&mut node::npm()).is_none() {
        missing.push("npm: it comes with Node.js; Debian has it as the package npm".to_owned());
    }
    if version_of(&mut Command::new("git")).is_none() {
        missing
            .push("git: get it at https://git-scm.com or from your system's packages".to_owned());
    }
    if !missing.is_empty() {
        bail!("missing on this machine:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

/// The Rust standard library for `target`.
pub(crate) fn install_target(step: &Step, workspace: &Workspace, target: &str) -> Result<()> {
    if has_target(workspace, target) {
        return Ok(());
    }
    if version_of(&mut Command::new("rustup")).is_none() {
        bail!(
            "the Rust standard library for {target} is missing; install Rust through \
             https://rustup.rs, or add your system's package with that target"
        );
    }
    step.stream(
        &mut workspace.command("rustup", &["target", "add", target]),
        "check the connection to static.rust-lang.org, then run this again",
    )
}

/// Looks into the compiler's own folders, which works without rustup as well.
fn has_target(workspace: &Workspace, target: &str) -> bool {
    let arguments = ["--print", "target-libdir", "--target", target];
    let output = workspace.command("rustc", &arguments).stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        output.status.success() && std::path::Path::new(folder.trim()).is_dir()
    })
}

fn version_of(command: &mut Command) -> Option<String> {
    let output = command.arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Major and minor.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    /// Reads what `node --version` prints: `v20.19.0`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().trim_start_matches('v').split('.').map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.0, self.1)
    }
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
            let found = Version::parse(text).is_some_and(|version| version >= NODE_NEEDED);
            assert_eq!(found, enough, "{text:?}");
        }
    }
}
