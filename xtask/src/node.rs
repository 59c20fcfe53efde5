//! Node.js, npm, and the packages in `node_modules`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    step::{Plan, Step},
    workspace::Workspace,
};

/// Adds the step that installs the npm packages, which is free when they are up to date.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("install the npm packages", |step| install(step, workspace));
}

/// The npm command of this system.
pub(crate) fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// Node.js, run at the root.
pub(crate) fn node(workspace: &Workspace, arguments: &[&str]) -> Command {
    workspace.command("node", arguments)
}

/// A program of an installed npm package, run at the root: `script` is its path in `node_modules`.
/// Started through Node.js, because the shims in `node_modules/.bin` differ from system to system.
pub(crate) fn tool(workspace: &Workspace, script: &str, arguments: &[&str]) -> Command {
    let path = Path::new("node_modules").join(script);
    let mut command = workspace.command("node", &[]);
    command.arg(path).args(arguments);
    command
}

fn install(step: &Step, workspace: &Workspace) -> Result<()> {
    let lock = fs::read(workspace.root.join("package-lock.json")).context(
        "package-lock.json can't be read; restore it with `git checkout package-lock.json`",
    )?;
    // `npm ci` starts by deleting node_modules, so an interrupted one leaves no stamp behind.
    let stamp = workspace.root.join("node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut command = npm();
    command.args(["ci", "--no-audit", "--no-fund"]).current_dir(&workspace.root);
    step.stream(&mut command, "check the connection to the npm registry, then run this again")?;
    fs::write(&stamp, lock).with_context(|| format!("{} can't be written", stamp.display()))
}
