//! Node.js, npm, and the packages in `node_modules`.

use anyhow::{Context, Result};
use xshell::{Cmd, cmd};

use crate::{
    step::{Plan, Step},
    workspace::Workspace,
};

/// The npm command of this system.
pub(crate) const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Adds the step that installs the npm packages, which is free when they are up to date.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("install the npm packages", |step| install(step, workspace));
}

/// Returns the command of an installed npm package; `script` is its path in `node_modules`.
///
/// Node.js starts it, because the shims in `node_modules/.bin` differ from system to system.
pub(crate) fn tool<'a>(workspace: &'a Workspace, script: &str) -> Cmd<'a> {
    let sh = &workspace.sh;
    cmd!(sh, "node node_modules/{script}")
}

fn install(step: &Step, workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    let lock = sh
        .read_file("package-lock.json")
        .context("restore it with `git checkout package-lock.json`")?;
    // `npm ci` starts by deleting node_modules, so an interrupted one leaves no stamp behind.
    let stamp = workspace.root.join("node_modules/.installed-lock.json");
    if sh.read_file(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    step.stream(
        cmd!(sh, "{NPM} ci --no-audit --no-fund"),
        "check the connection to the npm registry, then run this again",
    )?;
    Ok(sh.write_file(&stamp, lock)?)
}
