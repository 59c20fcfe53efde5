//! The demo's data: a folder of its own with a database, a master key and one user.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::{
    step::{Step, shown},
    workspace::Workspace,
};

/// The name of the demo user.
pub(crate) const USER: &str = "demo";

/// The demo's data. What the page needs of it is in `demo.json`: the user's password too, so that
/// it stays the same from one start to the next.
pub(crate) struct Demo {
    folder: PathBuf,
    issuer: PathBuf,
}

impl Demo {
    /// The demo of this checkout. Touches nothing.
    pub(crate) fn new(workspace: &Workspace) -> Self {
        Self { folder: workspace.target.join("demo"), issuer: workspace.issuer_binary() }
    }

    /// The folder that holds all of it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `www/server.js` reads.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("demo.json")
    }

    /// The demo user's password.
    pub(crate) fn password(&self) -> Result<String> {
        let password = self.read()?.get("password").and_then(Value::as_str).map(str::to_owned);
        password
            .ok_or_else(|| anyhow!("{} holds no password; {}", self.file().display(), self.reset()))
    }

    /// The issuer's binary on the demo's database, without a subcommand.
    pub(crate) fn issuer_command(&self) -> Command {
        let mut command = Command::new(&self.issuer);
        // The demo is the same whatever issuer the user has configured in this shell.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN_") {
                command.env_remove(name);
            }
        }
        command.args(["--database", &self.database()]);
        command
    }

    /// Makes the folder, the password and the user, as far as they are missing.
    pub(crate) fn ensure_user(&self, step: &Step) -> Result<()> {
        make_private_folder(&self.folder)?;
        let is_new = !self.file().exists();
        if is_new {
            self.write(&json!({ "username": USER, "password": random_password()? }))?;
        }
        match (self.has_user(step)?, is_new) {
            (false, _) => self.set_password(&["add", USER, "--scope", "read write"]),
            (true, true) => self.set_password(&["passwd", USER]),
            (true, false) => Ok(()),
        }
    }

    /// Completes `demo.json` with the issuer's URL and the command that lists its keys.
    pub(crate) fn set_issuer(&self, url: &str) -> Result<()> {
        let mut keys = self.issuer_command();
        keys.args(["keys", "list", "--json"]);
        let mut keys_command = vec![keys.get_program().to_string_lossy()];
        keys_command.extend(keys.get_args().map(OsStr::to_string_lossy));
        self.write(&json!({
            "issuer": url,
            "audience": "api",
            "username": USER,
            "password": self.password()?,
            "keysCommand": keys_command,
        }))
    }

    fn has_user(&self, step: &Step) -> Result<bool> {
        // Only `user add` makes a database.
        if !self.database_file().exists() {
            return Ok(false);
        }
        let users = step.quiet(self.issuer_command().args(["user", "list"]), &self.reset())?;
        Ok(users.lines().any(|line| line.split_whitespace().next() == Some(USER)))
    }

    fn set_password(&self, arguments: &[&str]) -> Result<()> {
        let mut command = self.issuer_command();
        command.arg("user").args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("`{}` did not start", shown(&command)))?;
        if let Some(mut input) = child.stdin.take() {
            // Where the child has gone already, its exit status says more than this error would.
            let _ = writeln!(input, "{}", self.password()?);
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("`{}` ended with {status}; {}", shown(&command), self.reset());
        }
        Ok(())
    }

    fn database(&self) -> String {
        format!("sqlite://{}", self.database_file().display())
    }

    fn database_file(&self) -> PathBuf {
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
        // Written beside and renamed, so that an interruption leaves the old password in place.
        let draft = self.folder.join("demo.json.new");
        write_private_file(&draft, &format!("{demo:#}\n"))
            .and_then(|()| fs::rename(&draft, self.file()))
            .with_context(|| format!("{} can't be written", self.file().display()))
    }
}

/// 80 random bits, in groups that one can type.
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
