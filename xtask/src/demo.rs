//! The demo's data: a folder of its own with a database, a master key and one user.

use std::{
    env, fs,
    io::Write,
    iter,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use xshell::Cmd;

use crate::{step::Step, workspace::Workspace};

/// The name of the demo user.
pub(crate) const USER: &str = "demo";

/// The demo's data. The page reads `demo.json`, which also keeps the user's password from one start
/// to the next.
pub(crate) struct Demo<'a> {
    workspace: &'a Workspace,
    folder: PathBuf,
}

impl<'a> Demo<'a> {
    /// Returns the demo of this checkout. Touches nothing.
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, folder: workspace.target.join("demo") }
    }

    /// Returns the folder that holds all of it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the file that `www/server.js` reads.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("demo.json")
    }

    /// Returns the demo user's password.
    pub(crate) fn password(&self) -> Result<String> {
        let password = self.read()?.get("password").and_then(Value::as_str).map(str::to_owned);
        password
            .ok_or_else(|| anyhow!("{} has no password; {}", self.file().display(), self.reset()))
    }

    /// Returns the issuer's command on the demo's database, without a subcommand.
    pub(crate) fn issuer(&self) -> Cmd<'a> {
        let mut command = self.workspace.sh.cmd(self.workspace.issuer_binary("debug"));
        // The demo does not depend on the issuer that this shell is configured for.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN_") {
                command = command.env_remove(name);
            }
        }
        command.arg("--database").arg(format!("sqlite://{}", self.database().display()))
    }

    /// Makes the folder, the password and the user, unless they are there.
    pub(crate) fn ensure_user(&self, step: &Step) -> Result<()> {
        make_private_folder(&self.folder)?;
        let is_new = !self.file().exists();
        if is_new {
            self.write(&json!({ "username": USER, "password": random_password()? }))?;
        }
        let set_password = match (self.has_user(step)?, is_new) {
            (false, _) => self.issuer().args(["user", "add", USER, "--scope", "read write"]),
            (true, true) => self.issuer().args(["user", "passwd", USER]),
            (true, false) => return Ok(()),
        };
        step.quiet(set_password.stdin(format!("{}\n", self.password()?)), &self.reset())?;
        Ok(())
    }

    /// Completes `demo.json` with the issuer's URL and the commands that list and plan its keys.
    pub(crate) fn set_issuer(&self, url: &str) -> Result<()> {
        self.write(&json!({
            "issuer": url,
            "audience": "api",
            "username": USER,
            "password": self.password()?,
            "keysCommand": self.keys_command("list"),
            "planCommand": self.keys_command("plan"),
        }))
    }

    /// Returns program and arguments of a command about the keys.
    fn keys_command(&self, name: &str) -> Vec<String> {
        let command: std::process::Command = self.issuer().args(["keys", name, "--json"]).into();
        let words = iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    fn has_user(&self, step: &Step) -> Result<bool> {
        // Only `user add` makes a database.
        if !self.database().exists() {
            return Ok(false);
        }
        let users = step.quiet(self.issuer().args(["user", "list"]), &self.reset())?;
        Ok(users.lines().any(|line| line.split_whitespace().next() == Some(USER)))
    }

    fn database(&self) -> PathBuf {
        self.folder.join("countersign.db")
    }

    fn reset(&self) -> String {
        format!("delete {} to start with a new demo", self.folder.display())
    }

    fn read(&self) -> Result<Value> {
        let text = fs::read(self.file()).map_err(anyhow::Error::new);
        text.and_then(|text| Ok(serde_json::from_slice(&text)?))
            .with_context(|| format!("{} can't be read; {}", self.file().display(), self.reset()))
    }

    fn write(&self, demo: &Value) -> Result<()> {
        // Written beside and renamed: an interruption leaves the old password in place.
        let draft = self.folder.join("demo.json.new");
        write_private_file(&draft, &format!("{demo:#}\n"))
            .and_then(|()| fs::rename(&draft, self.file()))
            .with_context(|| format!("{} can't be written", self.file().display()))
    }
}

/// Returns 80 random bits, in groups that are easy to type.
fn random_password() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the system gave no random bytes: {error}"))?;
    let digits: Vec<char> =
        bytes.iter().filter_map(|byte| char::from_digit(u32::from(byte % 32), 32)).collect();
    let groups: Vec<String> = digits.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .recursive(true)
        .create(folder)
        .with_context(|| format!("{} can't be made", folder.display()))
}

fn write_private_file(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
