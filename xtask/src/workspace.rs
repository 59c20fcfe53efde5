//! Where things are.

use std::{
    env::consts::EXE_SUFFIX,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::step::Step;

/// The checkout and the folder that cargo builds into (`CARGO_TARGET_DIR` and configuration count).
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo where the workspace of the current folder is.
    pub(crate) fn find() -> Result<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("`cargo metadata` did not start; install Rust from https://rustup.rs")?;
        if !output.status.success() {
            bail!("`cargo metadata` failed; run cargo xtask inside the checkout");
        }
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("`cargo metadata` printed no JSON")?;
        let folder = |name: &str| {
            let path = metadata.get(name).and_then(serde_json::Value::as_str);
            path.map(PathBuf::from).with_context(|| format!("`cargo metadata` has no {name}"))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// `cargo`, run at the root. rustup passes a `+toolchain` on in the environment.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        self.command("cargo", arguments)
    }

    /// Any program, run at the root.
    pub(crate) fn command(
        &self,
        program: impl AsRef<std::ffi::OsStr>,
        arguments: &[&str],
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Builds the issuer's binary.
    pub(crate) fn build_issuer(&self, step: &Step) -> Result<()> {
        let mut command = self.cargo(&["build", "-p", "countersign-issuer", "--bins"]);
        step.stream(&mut command, "fix what the compiler reports above, then run this again")
    }

    /// The issuer's binary as `cargo build` makes it.
    pub(crate) fn issuer_binary(&self) -> PathBuf {
        self.target.join("debug").join(format!("countersign-issuer{EXE_SUFFIX}"))
    }
}

/// Whether any of `outputs` is missing or older than any of `inputs` that exists.
pub(crate) fn is_stale(outputs: &[&Path], inputs: &[&Path]) -> bool {
    let modified = |path: &&Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest_input = inputs.iter().filter_map(modified).max();
    let oldest_output = outputs.iter().map(modified).min().flatten();
    match (oldest_output, newest_input) {
        (Some(output), Some(input)) => output < input,
        (output, _) => output.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    #[test]
    fn outputs_are_stale_when_missing_or_older_than_an_input() {
        let folder = std::env::temp_dir().join(format!("xtask-stale-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (old, new) = (folder.join("old"), folder.join("new"));
        let missing = folder.join("missing");
        let file = fs::File::create(&old).unwrap();
        fs::File::create(&new).unwrap();
        let past = new.metadata().unwrap().modified().unwrap() - Duration::from_secs(60);
        file.set_modified(past).unwrap();

        let cases: [(&[&Path], &[&Path], bool); 6] = [
            (&[&new], &[&old], false),
            (&[&old], &[&new], true),
            (&[&new, &old], &[&new], true),
            (&[&new, &missing], &[&old], true),
            (&[&new], &[&old, &missing], false),
            (&[&missing], &[&missing], true),
        ];
        for (outputs, inputs, expected) in cases {
            assert_eq!(is_stale(outputs, inputs), expected, "{outputs:?} from {inputs:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
