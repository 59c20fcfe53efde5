//! The checkout, and commands that run in it.

use std::{env::consts::EXE_SUFFIX, path::PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::step::Step;

/// The checkout, and the folder that cargo builds into.
pub(crate) struct Workspace {
    /// Runs commands at the root. rustup hands a `+toolchain` on in the environment.
    pub(crate) sh: Shell,
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo for the workspace of the current folder; `CARGO_TARGET_DIR` and configuration
    /// count.
    pub(crate) fn find() -> Result<Self> {
        let sh = Shell::new()?;
        let metadata = cmd!(sh, "cargo metadata --no-deps --format-version 1").quiet().read();
        let metadata: serde_json::Value =
            serde_json::from_str(&metadata.context("run cargo xtask inside the checkout")?)?;
        let folder = |name: &str| {
            let path = metadata.get(name).and_then(serde_json::Value::as_str);
            path.map(PathBuf::from).with_context(|| format!("`cargo metadata` has no {name}"))
        };
        let (root, target) = (folder("workspace_root")?, folder("target_directory")?);
        sh.change_dir(&root);
        Ok(Self { sh, root, target })
    }

    /// Builds the issuer's binary.
    pub(crate) fn build_issuer(&self, step: &Step) -> Result<()> {
        let sh = &self.sh;
        step.stream(
            cmd!(sh, "cargo build -p countersign-issuer --bins"),
            "fix the compiler's errors above, then run this again",
        )
    }

    /// Returns the path of the issuer's binary in a build of `profile`: debug or release.
    pub(crate) fn issuer_binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join(format!("countersign-issuer{EXE_SUFFIX}"))
    }
}
