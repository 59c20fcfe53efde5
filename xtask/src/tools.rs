//! Tools of cargo that are installed here when they are first needed, each at one version.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{step::Step, workspace::Workspace};

/// A crate with a program of the same name. Pinned, so that a new release's new behaviour comes
/// with a commit and not overnight.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// What to pass to `cargo install` besides.
    pub(crate) options: &'static [&'static str],
}

impl Tool {
    /// Installs the tool into the target folder, unless it is there.
    pub(crate) fn install(&self, step: &Step, workspace: &Workspace) -> Result<()> {
        if self.command(workspace).is_ok() {
            return Ok(());
        }
        let Self { name, version, options } = self;
        let mut command = workspace.cargo(&["install", name, "--locked", "--quiet"]);
        command.args(["--version", version, "--root"]).arg(folder(workspace)).args(*options);
        step.note(&format!("      installing {name} {version}, which takes a few minutes, once"));
        step.stream(&mut command, "check the connection to crates.io, then run this again")
    }

    /// The tool: the user's own if it is that version, else the one in the target folder.
    pub(crate) fn command(&self, workspace: &Workspace) -> Result<Command> {
        let Self { name, version, .. } = self;
        for program in [PathBuf::from(name), folder(workspace).join("bin").join(name)] {
            let output = Command::new(&program).arg("--version").output();
            let is_pinned = output.is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout).trim() == format!("{name} {version}")
            });
            if is_pinned {
                return Ok(workspace.command(program, &[]));
            }
        }
        bail!("{name} {version} is not installed");
    }
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}
