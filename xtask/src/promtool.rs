//! Prometheus' `promtool`, which the issuer's tests hold metrics, alerts and dashboard against: found,
//! or installed.

use std::env;

use anyhow::{Result, bail};

use crate::{
    browsers::is_skipped,
    debian,
    step::{Plan, Step},
    workspace::Workspace,
};

/// What it is called, also in `COUNTERSIGN_SKIP`.
pub(crate) const NAME: &str = "promtool";

const ADVICE: &str = "install Prometheus' promtool so that it is on the PATH (Debian: `sudo apt-get \
                      install prometheus`), or leave out the tests that need it with \
                      COUNTERSIGN_SKIP=promtool";

/// Adds the step after which it is there, or known to be left out.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("find promtool", |step| {
        if is_skipped(NAME)? {
            step.note("      left out: the tests of alerts and dashboard (COUNTERSIGN_SKIP)");
            return Ok(());
        }
        if !is_there() {
            install(step, workspace)?;
        }
        Ok(())
    });
}

fn install(step: &Step, workspace: &Workspace) -> Result<()> {
    if debian::can_install()
        && let Err(error) = debian::install(step, workspace, &["prometheus"])
    {
        step.note(&format!("      {error:#}"));
    }
    if !is_there() {
        bail!("{ADVICE}");
    }
    Ok(())
}

fn is_there() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(NAME).is_file())
}
