//! The Chromium that the browser tests drive: found, or installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    node,
    step::{Plan, Step},
    workspace::Workspace,
};

/// Where the browser tests find the path of the browser.
pub(crate) const VARIABLE: &str = "COUNTERSIGN_CHROMIUM";
const SKIP_VARIABLE: &str = "COUNTERSIGN_SKIP";

const ON_PATH: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const ELSEWHERE: [&str; 4] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
];

/// Adds the step after which [`find`] finds a browser, unless it is to be skipped.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("find Chromium", |step| {
        if is_skipped()? {
            step.note(&format!("      skipped: the browser tests ({SKIP_VARIABLE}=chromium)"));
            return Ok(());
        }
        let path = match find(workspace)? {
            Some(path) => path,
            None => install(step, workspace)?,
        };
        // Chrome on Windows opens a window when it is asked for its version.
        if cfg!(unix) {
            let mut command = Command::new(&path);
            step.quiet(command.arg("--version"), &advice("this browser does not start"))?;
        }
        Ok(())
    });
}

/// Whether the user wants to do without the browser tests.
pub(crate) fn is_skipped() -> Result<bool> {
    let listed = env::var(SKIP_VARIABLE).unwrap_or_default();
    let mut skipped = false;
    for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name != "chromium" {
            bail!("{SKIP_VARIABLE} names {name:?}, but only chromium can be skipped");
        }
        skipped = true;
    }
    Ok(skipped)
}

/// The browser's path, if there is one.
pub(crate) fn find(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{VARIABLE} is {}, where no file is; correct or unset it", path.display());
        }
        return Ok(Some(path));
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&folders)
        .flat_map(|folder| ON_PATH.map(|name| folder.join(name)))
        // Ubuntu's packages are scripts that only say that Chromium is a snap.
        .filter(|path| path.is_file() && !is_snap_stub(path));
    let elsewhere = ELSEWHERE.iter().map(PathBuf::from).filter(|path| path.is_file());
    Ok(on_path.chain(elsewhere).next().or_else(|| downloaded(workspace)))
}

/// The browser that playwright downloaded before.
fn downloaded(workspace: &Workspace) -> Option<PathBuf> {
    const SCRIPT: &str = "console.log(require('playwright-core').chromium.executablePath())";
    let output = node::node(workspace, &["-e", SCRIPT]).output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    (output.status.success() && path.is_file()).then_some(path)
}

fn install(step: &Step, workspace: &Workspace) -> Result<PathBuf> {
    if is_debian() && is_root() {
        let apt = |arguments: &[&str]| {
            let mut command = workspace.command("apt-get", arguments);
            command.env("DEBIAN_FRONTEND", "noninteractive");
            step.quiet(&mut command, "trying a download instead")
        };
        let installed = apt(&["update"]).and_then(|_| {
            step.note("      installing Debian's package chromium");
            apt(&["install", "-y", "--no-install-recommends", "chromium"])
        });
        if let Err(error) = installed {
            step.note(&format!("      {error:#}"));
        }
    }
    if find(workspace)?.is_none() {
        step.note("      downloading Chromium with playwright");
        let arguments = ["install", "--no-shell", "chromium"];
        let mut command = node::tool(workspace, "playwright-core/cli.js", &arguments);
        step.stream(&mut command, &advice("Chromium could not be downloaded"))?;
    }
    match find(workspace)? {
        Some(path) => Ok(path),
        None => bail!("{}", advice("there is no Chromium")),
    }
}

fn advice(trouble: &str) -> String {
    format!(
        "{trouble}: install Chromium or Chrome (Debian: `sudo apt-get install chromium`), or set \
         {VARIABLE} to its path, or leave the browser tests out with {SKIP_VARIABLE}=chromium"
    )
}

fn is_snap_stub(path: &Path) -> bool {
    let snap = |bytes: Vec<u8>| bytes.starts_with(b"#!") && contains(&bytes, b"snap install");
    // A browser has hundreds of megabytes, a launcher script a few kilobytes.
    path.metadata().is_ok_and(|metadata| metadata.len() < 64 * 1024)
        && fs::read(path).is_ok_and(snap)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
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
