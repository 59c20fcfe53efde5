//! Schemathesis, which tests the running issuer against its `OpenAPI` document.
//!
//! Installed from `PyPI` into a virtual environment, with the versions and hashes of
//! `tests/openapi/requirements.txt`.

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{needs, step::Step, workspace::Workspace};

/// The test that needs it.
pub(crate) const TEST: &str = "tests/js/openapi.test.js";

const REQUIREMENTS: &str = "tests/openapi/requirements.txt";

/// Installs it into the target folder, where the test finds it by the path of the issuer's binary.
pub(crate) fn install(step: &Step, workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    let wanted = sh
        .read_file(REQUIREMENTS)
        .with_context(|| format!("restore it with `git checkout {REQUIREMENTS}`"))?;
    let folder = workspace.target.join("tools/schemathesis");
    // Written last, so that an interrupted installation is repeated.
    let stamp = folder.join("installed-requirements.txt");
    if sh.read_file(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step.note("      installing Schemathesis from PyPI, once");
    let (system, own) = (needs::python(workspace)?, folder.join("bin/python"));
    step.quiet(cmd!(sh, "{system} -m venv --clear {folder}"), "see Python's message above")?;
    // Wheels only: no code of the packages runs during the installation.
    let pip = cmd!(sh, "{own} -m pip install --quiet --disable-pip-version-check");
    step.quiet(
        pip.args(["--require-hashes", "--only-binary", ":all:", "--requirement", REQUIREMENTS]),
        "check the connection to PyPI, then run this again",
    )?;
    Ok(sh.write_file(&stamp, wanted)?)
}
