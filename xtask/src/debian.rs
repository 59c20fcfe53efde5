//! Debian's packages: what the tests need is installed from there where nobody has to be asked.

use std::fs;

use anyhow::Result;

use crate::{step::Step, workspace::Workspace};

/// Whether packages can be installed.
pub(crate) fn can_install() -> bool {
    is_debian() && is_root()
}

pub(crate) fn install(step: &Step, workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = workspace.command("apt-get", arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        step.quiet(&mut command, "going on without")
    };
    step.note(&format!("      installing from Debian: {}", packages.join(", ")));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    Ok(())
}

/// Ubuntu and other relatives do not count: their package `chromium` may be something else.
fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian")
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
