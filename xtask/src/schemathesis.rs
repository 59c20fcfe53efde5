//! Schemathesis, which holds the running issuer to its OpenAPI document: installed from PyPI when it is
//! first needed, in the versions and with the hashes that tests/openapi/requirements.txt has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    browsers::is_skipped,
    debian,
    step::{Plan, Step},
    workspace::Workspace,
};

/// What it is called in `COUNTERSIGN_SKIP`.
pub(crate) const NAME: &str = "schemathesis";

/// The test that needs it.
pub(crate) const TEST: &str = "tests/js/openapi.test.js";

const REQUIREMENTS: &str = "tests/openapi/requirements.txt";

const ADVICE: &str = "install Python 3.11 or newer with venv (Debian: `sudo apt-get install python3 \
                      python3-venv`), or leave out the test that needs it with \
                      COUNTERSIGN_SKIP=schemathesis";

/// Adds the step after which it is there, or known to be left out.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("find Schemathesis", |step| {
        if is_skipped(NAME)? {
            step.note("      left out: the issuer against its OpenAPI document (COUNTERSIGN_SKIP)");
            return Ok(());
        }
        install(step, workspace)
    });
}

/// The test looks in the same place, by the issuer's binary.
fn install(step: &Step, workspace: &Workspace) -> Result<()> {
    let requirements = workspace.root.join(REQUIREMENTS);
    let wanted = fs::read(&requirements)
        .with_context(|| format!("{REQUIREMENTS} can't be read; restore it from git"))?;
    let folder = workspace.target.join("tools").join(NAME);
    // Written last: without it an installation was interrupted, or is of other versions.
    let stamp = folder.join("installed-requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let python = find_python(step, workspace)?;
    step.note("      installing Schemathesis from PyPI, once");
    let mut command = workspace.command(python, &["-m", "venv", "--clear"]);
    step.quiet(command.arg(&folder), ADVICE)?;
    let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let mut command = workspace.command(folder.join("bin/python"), &arguments);
    // Wheels alone: nothing of what is installed runs meanwhile.
    command
        .args(["--require-hashes", "--only-binary", ":all:", "--requirement"])
        .arg(&requirements);
    step.quiet(&mut command, "check the connection to PyPI, then run this again")?;
    fs::write(&stamp, wanted).with_context(|| format!("{} can't be written", stamp.display()))
}

fn find_python(step: &Step, workspace: &Workspace) -> Result<PathBuf> {
    let candidates = || ["python3", "/usr/bin/python3"].map(PathBuf::from).into_iter();
    let fits = |python: &PathBuf| fits(python);
    if let Some(python) = candidates().find(fits) {
        return Ok(python);
    }
    if debian::can_install()
        && let Err(error) = debian::install(step, workspace, &["python3", "python3-venv"])
    {
        step.note(&format!("      {error:#}"));
    }
    match candidates().find(fits) {
        Some(python) => Ok(python),
        None => bail!("{ADVICE}"),
    }
}

/// Whether it is new enough, and can make a folder of its own with pip in it.
fn fits(python: &Path) -> bool {
    let code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let mut command = Command::new(python);
    command.args(["-c", code]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
