//! Programs that the tests use but the checkout does not contain: browsers, `PostgreSQL`, `promtool`,
//! proxies, Python and shells.
//!
//! On Debian, as root, missing ones are installed as packages. Chromium can also come from
//! playwright, for any user on any system.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};
use xshell::{Cmd, cmd};

use crate::{
    node, postgres,
    step::{Plan, Step},
    workspace::Workspace,
};

const SKIP_VARIABLE: &str = "COUNTERSIGN_SKIP";

/// The programs that a group of tests needs. [`SKIP_VARIABLE`] leaves out these tests.
pub(crate) struct Need {
    /// Its name in [`SKIP_VARIABLE`].
    name: &'static str,
    programs: &'static [Program],
}

struct Program {
    /// Its names on the `PATH`, the likeliest first.
    names: &'static [&'static str],
    /// Other places, searched after the `PATH`.
    elsewhere: fn(&Workspace) -> Vec<PathBuf>,
    /// The environment variable with its path, or with the folder that contains it.
    variable: Option<Variable>,
    /// Arguments with which it only starts and succeeds. Without any, its file is enough.
    probe: &'static [&'static str],
    /// Debian's packages.
    packages: &'static [&'static str],
}

enum Variable {
    Path(&'static str),
    Folder(&'static str),
}

const PROGRAM: Program =
    Program { names: &[], elsewhere: |_| Vec::new(), variable: None, probe: &[], packages: &[] };

pub(crate) static CHROMIUM: Need = Need {
    name: "chromium",
    programs: &[Program {
        names: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        elsewhere: |workspace| {
            let installed = [
                "/Applications/Chromium.app/Contents/MacOS/Chromium",
                "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
                r"C:\Program Files\Google\Chrome\Application\chrome.exe",
                r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
            ];
            installed
                .map(PathBuf::from)
                .into_iter()
                .chain(playwrights_chromium(workspace))
                .collect()
        },
        variable: Some(Variable::Path("COUNTERSIGN_CHROMIUM")),
        probe: &["--version"],
        packages: &["chromium"],
    }],
};

pub(crate) static FIREFOX: Need = Need {
    name: "firefox",
    programs: &[Program {
        names: &["firefox-esr", "firefox"],
        elsewhere: |_| {
            vec![
                "/Applications/Firefox.app/Contents/MacOS/firefox".into(),
                r"C:\Program Files\Mozilla Firefox\firefox.exe".into(),
            ]
        },
        variable: Some(Variable::Path("COUNTERSIGN_FIREFOX")),
        probe: &["--version"],
        packages: &["firefox-esr"],
    }],
};

/// `WebKitGTK`, which exists only on Linux and has no headless mode.
pub(crate) static WEBKIT: Need = Need {
    name: "webkit",
    programs: &[
        Program { names: &["WebKitWebDriver"], packages: &["webkit2gtk-driver"], ..PROGRAM },
        Program { names: &["Xvfb"], packages: &["xvfb"], ..PROGRAM },
    ],
};

/// `issuer/tests/issuer/cluster.rs` searches the same places.
pub(crate) static POSTGRES: Need = Need {
    name: "postgres",
    programs: &[Program {
        names: &["initdb"],
        elsewhere: |_| {
            let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
            versions.map(|version| version.path().join("bin/initdb")).collect()
        },
        variable: Some(Variable::Folder(postgres::VARIABLE)),
        probe: &["--version"],
        packages: &["postgresql"],
    }],
};

/// The second version comes from npm: see `postgres.rs`.
pub(crate) static POSTGRES_18: Need = Need { name: "postgres-18", programs: &[] };

/// Gives the processes of the chaos test other clocks. `issuer/tests/chaos/issuers.rs` searches the
/// same places.
pub(crate) static FAKETIME: Need = Need {
    name: "faketime",
    programs: &[Program { names: &["faketime"], packages: &["faketime"], ..PROGRAM }],
};

/// Machines of their own for the commands in the documents: `issuer/tests/machine`. PostgreSQL is
/// needed too.
pub(crate) static NAMESPACES: Need = Need {
    name: "namespaces",
    programs: &[
        Program { names: &["unshare"], packages: &["util-linux"], ..PROGRAM },
        Program { names: &["ip"], packages: &["iproute2"], ..PROGRAM },
        Program { names: &["curl"], packages: &["curl"], ..PROGRAM },
        Program { names: &["openssl"], packages: &["openssl"], ..PROGRAM },
        Program { names: &["sqlite3"], packages: &["sqlite3"], ..PROGRAM },
    ],
};

/// Compiles C for a program that needs no library of the system.
pub(crate) static MUSL: Need = Need {
    name: "musl",
    programs: &[Program { names: &["musl-gcc"], packages: &["musl-tools"], ..PROGRAM }],
};

/// Checks the issuer's metrics, alerts and dashboard.
pub(crate) static PROMTOOL: Need = Need {
    name: "promtool",
    programs: &[Program {
        names: &["promtool"],
        probe: &["--version"],
        packages: &["prometheus"],
        ..PROGRAM
    }],
};

/// Schemathesis itself comes from `PyPI`: see `python.rs`.
pub(crate) static SCHEMATHESIS: Need = Need { name: "schemathesis", programs: &[PYTHON] };

/// Runs the files of `deploy/`. Further programs come from `PyPI`: see `python.rs`.
pub(crate) static DEPLOY: Need = Need {
    name: "deploy",
    programs: &[
        Program {
            names: &["nginx"],
            elsewhere: |_| vec!["/usr/sbin/nginx".into()],
            variable: Some(Variable::Path("COUNTERSIGN_NGINX")),
            probe: &["-v"],
            packages: &["nginx-light"],
        },
        Program {
            names: &["haproxy"],
            elsewhere: |_| vec!["/usr/sbin/haproxy".into()],
            variable: Some(Variable::Path("COUNTERSIGN_HAPROXY")),
            probe: &["-v"],
            packages: &["haproxy"],
        },
        Program {
            names: &["docker-compose"],
            probe: &["version"],
            packages: &["docker-compose"],
            ..PROGRAM
        },
        Program { names: &["openssl"], probe: &["version"], packages: &["openssl"], ..PROGRAM },
        PYTHON,
    ],
};

/// Python 3.11 or newer that can make a virtual environment with pip in it.
const PYTHON: Program = Program {
    names: &["python3"],
    // The first one on the PATH may be too old.
    elsewhere: |_| vec!["/usr/bin/python3".into()],
    probe: &["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"],
    packages: &["python3", "python3-venv"],
    ..PROGRAM
};

/// The completions of the npm package's command line are tested in each shell.
pub(crate) static SHELLS: Need =
    Need { name: "shells", programs: &[shell(&["bash"]), shell(&["zsh"]), shell(&["fish"])] };

/// A shell whose package has the same name.
const fn shell(names: &'static [&'static str]) -> Program {
    Program { names, probe: &["-c", "true"], packages: names, ..PROGRAM }
}

/// Runs the commands of the documents for newcomers.
pub(crate) static COMMANDS: Need = Need {
    name: "commands",
    programs: &[
        shell(&["bash"]),
        Program { names: &["curl"], packages: &["curl"], ..PROGRAM },
        Program { names: &["jq"], packages: &["jq"], ..PROGRAM },
    ],
};

pub(crate) static BROWSERS: [&Need; 3] = [&CHROMIUM, &FIREFOX, &WEBKIT];

static ALL: [&Need; 12] = [
    &CHROMIUM,
    &FIREFOX,
    &WEBKIT,
    &POSTGRES,
    &POSTGRES_18,
    &FAKETIME,
    &NAMESPACES,
    &PROMTOOL,
    &SCHEMATHESIS,
    &SHELLS,
    &COMMANDS,
    &DEPLOY,
];

/// Adds the step that finds or installs these, except for those to leave out.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, needs: Vec<&'static Need>) {
    plan.step("find what the tests need", move |step| {
        let mut wanted = Vec::new();
        for need in needs {
            match need.reason_to_leave_out()? {
                Some(reason) => step.note(&format!("      left out: {} ({reason})", need.name)),
                None => wanted.push(need),
            }
        }
        let mut missing = find_missing(workspace, &wanted)?;
        if !missing.is_empty() && can_install() {
            // If a package cannot be installed, the advice below names it.
            if let Err(error) = install(step, workspace, &packages(&missing)) {
                step.note(&format!("      {error:#}"));
            }
            missing = find_missing(workspace, &wanted)?;
        }
        if missing.iter().any(|(need, _)| need.name == CHROMIUM.name) {
            step.note("      downloading Chromium with playwright");
            let command = node::tool(workspace, "playwright-core/cli.js");
            let command = command.args(["install", "--no-shell", "chromium"]);
            step.stream(command, &advice(&missing))?;
            missing = find_missing(workspace, &wanted)?;
        }
        if !missing.is_empty() {
            bail!("{}", advice(&missing));
        }
        Ok(())
    });
}

/// Sets the environment variables that name programs, for those that are there.
pub(crate) fn with_paths<'a>(mut command: Cmd<'a>, workspace: &Workspace) -> Result<Cmd<'a>> {
    for program in ALL.iter().flat_map(|need| need.programs) {
        let Some(variable) = &program.variable else { continue };
        if let Some(path) = program.find(workspace)? {
            command = match variable {
                Variable::Path(name) => command.env(name, path),
                Variable::Folder(name) => {
                    // A link can lead to this program alone; the others are beside its target.
                    let path = path.canonicalize().unwrap_or(path);
                    command.env(name, path.parent().unwrap_or(&path))
                }
            };
        }
    }
    Ok(command)
}

/// Returns the Python of this need.
pub(crate) fn python(workspace: &Workspace, need: &'static Need) -> Result<PathBuf> {
    match PYTHON.find(workspace)? {
        Some(path) => Ok(path),
        None => bail!("{}", advice(&vec![(need, &PYTHON)])),
    }
}

impl Need {
    /// Returns true if the tests that need this do not run.
    pub(crate) fn is_left_out(&self) -> Result<bool> {
        Ok(self.reason_to_leave_out()?.is_some())
    }

    fn reason_to_leave_out(&self) -> Result<Option<&'static str>> {
        let skipped = parse_skipped(&env::var(SKIP_VARIABLE).unwrap_or_default())?;
        Ok(if skipped.contains(&self.name) {
            Some(SKIP_VARIABLE)
        } else if [WEBKIT.name, NAMESPACES.name].contains(&self.name) && !cfg!(target_os = "linux")
        {
            Some("it exists only on Linux")
        } else {
            None
        })
    }
}

fn parse_skipped(list: &str) -> Result<Vec<&'static str>> {
    let known = ALL.map(|need| need.name);
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match known.iter().find(|known| **known == name) {
            Some(known) => Ok(*known),
            None => bail!("{SKIP_VARIABLE} contains {name:?}; it takes {}", known.join(", ")),
        })
        .collect()
}

impl Program {
    /// Returns its path if it is there and starts.
    fn find(&self, workspace: &Workspace) -> Result<Option<PathBuf>> {
        if let Some((variable, path)) = self.named_by_variable() {
            if !self.starts(&path) {
                bail!(
                    "{variable}: {} is missing or does not start; correct or unset it",
                    path.display()
                );
            }
            return Ok(Some(path));
        }
        let on_path =
            self.names.iter().flat_map(|name| which::which_all(name).into_iter().flatten());
        // Ubuntu's packages of browsers are scripts that do not start without snapd.
        if let Some(path) = on_path.into_iter().find(|path| self.starts(path)) {
            return Ok(Some(path));
        }
        Ok((self.elsewhere)(workspace).into_iter().find(|path| self.starts(path)))
    }

    fn named_by_variable(&self) -> Option<(&'static str, PathBuf)> {
        let (Variable::Path(variable) | Variable::Folder(variable)) = self.variable.as_ref()?;
        let path = PathBuf::from(env::var_os(variable).filter(|value| !value.is_empty())?);
        match self.variable {
            Some(Variable::Folder(_)) => Some((variable, path.join(self.name()))),
            _ => Some((variable, path)),
        }
    }

    fn starts(&self, path: &Path) -> bool {
        // Chrome on Windows opens a window when it is asked for its version.
        if self.probe.is_empty() || cfg!(windows) {
            return path.is_file();
        }
        let mut command = Command::new(path);
        command.args(self.probe).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// The missing programs, each with the need that it belongs to.
type Missing = Vec<(&'static Need, &'static Program)>;

fn find_missing(workspace: &Workspace, wanted: &[&'static Need]) -> Result<Missing> {
    let mut missing = Vec::new();
    for need in wanted {
        for program in need.programs {
            if program.find(workspace)?.is_none() {
                missing.push((*need, program));
            }
        }
    }
    Ok(missing)
}

fn packages(missing: &Missing) -> Vec<&'static str> {
    missing.iter().flat_map(|(_, program)| program.packages).copied().collect()
}

/// Says everything that is missing at once, and each way out.
fn advice(missing: &Missing) -> String {
    let named = |(_, program): &(_, &Program)| match program.variable {
        Some(Variable::Path(variable)) => {
            format!("{} (or set {variable} to its path)", program.name())
        }
        Some(Variable::Folder(variable)) => {
            format!("{} (or set {variable} to its folder)", program.name())
        }
        None => program.name().to_owned(),
    };
    let mut needs: Vec<_> = missing.iter().map(|(need, _)| need.name).collect();
    needs.dedup();
    format!(
        "install {} (Debian: `sudo apt-get install {}`), or leave out the tests that need it with \
         {SKIP_VARIABLE}={}",
        missing.iter().map(named).collect::<Vec<_>>().join(", "),
        packages(missing).join(" "),
        needs.join(","),
    )
}

/// Returns the path of the Chromium that playwright downloads, if playwright is installed.
fn playwrights_chromium(workspace: &Workspace) -> Option<PathBuf> {
    const SCRIPT: &str = "console.log(require('playwright-core').chromium.executablePath())";
    let sh = &workspace.sh;
    cmd!(sh, "node -e {SCRIPT}").quiet().ignore_stderr().read().ok().map(PathBuf::from)
}

/// Ubuntu and other relatives of Debian do not count: their package `chromium` may be another.
fn can_install() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    is_root() && release.lines().any(|line| line == "ID=debian")
}

fn install(step: &Step, workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let sh = &workspace.sh;
    let _noninteractive = sh.push_env("DEBIAN_FRONTEND", "noninteractive");
    step.note(&format!("      installing from Debian: {}", packages.join(", ")));
    step.quiet(cmd!(sh, "apt-get update"), "check the connection to Debian's mirror")?;
    step.quiet(
        cmd!(sh, "apt-get install -y --no-install-recommends {packages...}"),
        "see apt-get's message above",
    )?;
    Ok(())
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_can_be_skipped() {
        assert_eq!(parse_skipped("").unwrap(), [""; 0]);
        assert_eq!(parse_skipped("webkit").unwrap(), ["webkit"]);
        assert_eq!(parse_skipped("postgres, promtool").unwrap(), ["postgres", "promtool"]);
        assert_eq!(parse_skipped(" firefox, chromium,").unwrap(), ["firefox", "chromium"]);
        for list in ["opera", "webkit,opera", "Firefox", "firefox webkit"] {
            let refusal = parse_skipped(list).unwrap_err().to_string();
            let all = "it takes chromium, firefox, webkit, postgres, postgres-18, faketime, \
                       namespaces, promtool, schemathesis, shells, commands, deploy";
            assert!(refusal.ends_with(all), "{refusal}");
        }
    }

    #[test]
    fn the_advice_names_everything_that_is_missing() {
        let of = |need: &'static Need| need.programs.iter().map(move |program| (need, program));
        let missing = of(&FIREFOX).chain(of(&WEBKIT)).chain(of(&POSTGRES)).collect();
        assert_eq!(
            advice(&missing),
            "install firefox-esr (or set COUNTERSIGN_FIREFOX to its path), WebKitWebDriver, Xvfb, \
             initdb (or set COUNTERSIGN_POSTGRES to its folder) (Debian: `sudo apt-get install \
             firefox-esr webkit2gtk-driver xvfb postgresql`), or leave out the tests that need it \
             with COUNTERSIGN_SKIP=firefox,webkit,postgres"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_fails_to_start_is_not_there() {
        let python = |path: &str| PYTHON.starts(Path::new(path));
        assert!(!python("/bin/false"));
        assert!(python("/bin/true"));
        assert!(!python("/no/such/file"));
    }
}
