//! The PostgreSQL that the issuer's tests start servers of: found, or installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::{
    browsers::is_skipped,
    debian,
    step::{Plan, Step},
    workspace::Workspace,
};

/// What it is called in `COUNTERSIGN_SKIP`.
pub(crate) const NAME: &str = "postgres";

/// A folder with these programs.
const VARIABLE: &str = "COUNTERSIGN_POSTGRES";
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

const ADVICE: &str = "install PostgreSQL (Debian: `sudo apt-get install postgresql`), set \
                      COUNTERSIGN_POSTGRES to the folder of its initdb, or leave out the tests \
                      that need it with COUNTERSIGN_SKIP=postgres";

/// Adds the step after which it is there, or known to be left out.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("find PostgreSQL", |step| {
        if is_skipped(NAME)? {
            step.note("      left out: the issuer's tests on PostgreSQL (COUNTERSIGN_SKIP)");
            return Ok(());
        }
        if !is_there()? {
            install(step, workspace)?;
        }
        Ok(())
    });
}

fn install(step: &Step, workspace: &Workspace) -> Result<()> {
    if debian::can_install()
        && let Err(error) = debian::install(step, workspace, &["postgresql"])
    {
        step.note(&format!("      {error:#}"));
    }
    if !is_there()? {
        bail!("{ADVICE}");
    }
    Ok(())
}

/// The tests look in the same places: issuer/tests/issuer/cluster.rs.
fn is_there() -> Result<bool> {
    if let Some(folder) = env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        if !holds_all(Path::new(&folder)) {
            bail!("{VARIABLE} is not a folder with {}; correct or unset it", PROGRAMS.join(", "));
        }
        return Ok(true);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let mut folders = env::split_paths(&path).collect::<Vec<PathBuf>>().into_iter().chain(debian);
    Ok(folders.any(|folder| holds_all(&folder)))
}

fn holds_all(folder: &Path) -> bool {
    PROGRAMS.iter().all(|name| folder.join(name).is_file())
}
