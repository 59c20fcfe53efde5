//! The browsers that the tests drive: found, or installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    debian, node, postgres, promtool, schemathesis,
    step::{Plan, Step},
    workspace::Workspace,
};

const SKIP_VARIABLE: &str = "COUNTERSIGN_SKIP";

/// A browser, and what it takes to drive it.
pub(crate) struct Browser {
    /// What it is called in [`SKIP_VARIABLE`].
    name: &'static str,
    programs: &'static [Program],
    on_linux_alone: bool,
}

struct Program {
    /// Its names on the `PATH`, the likeliest first.
    names: &'static [&'static str],
    /// Where other systems have it.
    elsewhere: &'static [&'static str],
    /// Where the tests find its path; they start by name what has none.
    variable: Option<&'static str>,
    debian_package: &'static str,
    /// Whether playwright downloads it for systems without that package.
    is_playwrights: bool,
}

pub(crate) static CHROMIUM: Browser = Browser {
    name: "chromium",
    programs: &[Program {
        names: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        elsewhere: &[
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            r"C:\Program Files\Google\Chrome\Application\chrome.exe",
            r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
        ],
        variable: Some("COUNTERSIGN_CHROMIUM"),
        debian_package: "chromium",
        is_playwrights: true,
    }],
    on_linux_alone: false,
};

pub(crate) static FIREFOX: Browser = Browser {
    name: "firefox",
    programs: &[Program {
        names: &["firefox-esr", "firefox"],
        elsewhere: &[
            "/Applications/Firefox.app/Contents/MacOS/firefox",
            r"C:\Program Files\Mozilla Firefox\firefox.exe",
        ],
        variable: Some("COUNTERSIGN_FIREFOX"),
        debian_package: "firefox-esr",
        is_playwrights: false,
    }],
    on_linux_alone: false,
};

/// `WebKitGTK`, which has no mode without a screen.
pub(crate) static WEBKIT: Browser = Browser {
    name: "webkit",
    programs: &[
        Program {
            names: &["WebKitWebDriver"],
            elsewhere: &[],
            variable: None,
            debian_package: "webkit2gtk-driver",
            is_playwrights: false,
        },
        Program {
            names: &["Xvfb"],
            elsewhere: &[],
            variable: None,
            debian_package: "xvfb",
            is_playwrights: false,
        },
    ],
    on_linux_alone: true,
};

pub(crate) static ALL: [&Browser; 3] = [&CHROMIUM, &FIREFOX, &WEBKIT];

/// Adds the step after which these browsers are there, but for those that are to be left out.
pub(crate) fn plan<'a>(
    plan: &mut Plan<'a>,
    workspace: &'a Workspace,
    browsers: Vec<&'static Browser>,
) {
    plan.step("find the browsers", move |step| {
        let mut wanted = Vec::new();
        for browser in browsers {
            match reason_to_leave_out(browser)? {
                Some(reason) => step.note(&format!("      left out: {} ({reason})", browser.name)),
                None => wanted.push(browser),
            }
        }
        let missing = find_missing(workspace, &wanted)?;
        if !missing.is_empty() {
            install(step, workspace, &wanted, missing)?;
        }
        wanted.iter().try_for_each(|browser| browser.check(step, workspace))
    });
}

/// Whether the tests that need this browser don't run.
pub(crate) fn is_left_out(browser: &Browser) -> Result<bool> {
    Ok(reason_to_leave_out(browser)?.is_some())
}

/// Tells `command` where the browsers are.
pub(crate) fn tell(command: &mut Command, workspace: &Workspace) -> Result<()> {
    for program in ALL.iter().flat_map(|browser| browser.programs) {
        if let (Some(variable), Some(path)) = (program.variable, program.find(workspace)?) {
            command.env(variable, path);
        }
    }
    Ok(())
}

fn reason_to_leave_out(browser: &Browser) -> Result<Option<&'static str>> {
    Ok(if is_skipped(browser.name)? {
        Some(SKIP_VARIABLE)
    } else if browser.on_linux_alone && !cfg!(target_os = "linux") {
        Some("it is on Linux alone")
    } else {
        None
    })
}

/// Whether the variable names it.
pub(crate) fn is_skipped(name: &str) -> Result<bool> {
    Ok(parse_skipped(&env::var(SKIP_VARIABLE).unwrap_or_default())?.contains(&name))
}

fn parse_skipped(list: &str) -> Result<Vec<&'static str>> {
    let others = [postgres::NAME, promtool::NAME, schemathesis::NAME];
    let known: Vec<_> = ALL.iter().map(|browser| browser.name).chain(others).collect();
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match known.iter().find(|known| **known == name) {
            Some(known) => Ok(*known),
            None => bail!("{SKIP_VARIABLE} names {name:?}; it takes {}", known.join(", ")),
        })
        .collect()
}

/// What is not there, and which browser needs it.
type Missing = Vec<(&'static Browser, &'static Program)>;

fn find_missing(workspace: &Workspace, wanted: &[&'static Browser]) -> Result<Missing> {
    let mut missing = Vec::new();
    for browser in wanted {
        for program in browser.programs {
            if program.find(workspace)?.is_none() {
                missing.push((*browser, program));
            }
        }
    }
    Ok(missing)
}

fn install(
    step: &Step,
    workspace: &Workspace,
    wanted: &[&'static Browser],
    mut missing: Missing,
) -> Result<()> {
    if debian::can_install() {
        if let Err(error) = debian::install(step, workspace, &packages(&missing)) {
            step.note(&format!("      {error:#}"));
        }
        missing = find_missing(workspace, wanted)?;
    }
    if missing.iter().any(|(_, program)| program.is_playwrights) {
        step.note("      downloading Chromium with playwright");
        let arguments = ["install", "--no-shell", "chromium"];
        let mut command = node::tool(workspace, "playwright-core/cli.js", &arguments);
        step.stream(&mut command, &advice(&missing))?;
        missing = find_missing(workspace, wanted)?;
    }
    if !missing.is_empty() {
        bail!("{}", advice(&missing));
    }
    Ok(())
}

fn packages(missing: &Missing) -> Vec<&'static str> {
    missing.iter().map(|(_, program)| program.debian_package).collect()
}

/// What to do for all of it at once, and what to do without.
fn advice(missing: &Missing) -> String {
    let named = |(_, program): &(_, &Program)| {
        let name = program.names.first().copied().unwrap_or_default();
        match program.variable {
            Some(variable) => format!("{name} (or set {variable} to its path)"),
            None => name.to_owned(),
        }
    };
    let mut browsers: Vec<_> = missing.iter().map(|(browser, _)| browser.name).collect();
    browsers.dedup();
    format!(
        "install {} (Debian: `sudo apt-get install {}`), or leave out the tests that need it with \
         {SKIP_VARIABLE}={}",
        missing.iter().map(named).collect::<Vec<_>>().join(", "),
        packages(missing).join(" "),
        browsers.join(","),
    )
}

impl Browser {
    /// Starts what can be started for no more than its version.
    fn check(&'static self, step: &Step, workspace: &Workspace) -> Result<()> {
        for program in self.programs {
            let Some(path) = program.find(workspace)? else { continue };
            // Chrome on Windows opens a window when it is asked for its version.
            if program.variable.is_some() && cfg!(unix) {
                let advice = advice(&vec![(self, program)]);
                step.quiet(Command::new(path).arg("--version"), &advice)?;
            }
        }
        Ok(())
    }
}

impl Program {
    /// Its path, if it is there.
    fn find(&self, workspace: &Workspace) -> Result<Option<PathBuf>> {
        if let Some((variable, path)) = self.named_by_variable() {
            if !path.is_file() {
                bail!("{variable} is {}, where no file is; correct or unset it", path.display());
            }
            return Ok(Some(path));
        }
        let folders = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&folders)
            .flat_map(|folder| self.names.iter().map(move |name| folder.join(name)))
            // Ubuntu's packages are scripts that only say that the browser is a snap.
            .filter(|path| path.is_file() && !is_snap_stub(path));
        let elsewhere = self.elsewhere.iter().map(PathBuf::from).filter(|path| path.is_file());
        let found = on_path.chain(elsewhere).next();
        Ok(found.or_else(|| self.is_playwrights.then(|| downloaded(workspace)).flatten()))
    }

    fn named_by_variable(&self) -> Option<(&'static str, PathBuf)> {
        let variable = self.variable?;
        let path = env::var_os(variable).filter(|path| !path.is_empty())?;
        Some((variable, PathBuf::from(path)))
    }
}

/// The Chromium that playwright downloaded before.
fn downloaded(workspace: &Workspace) -> Option<PathBuf> {
    const SCRIPT: &str = "console.log(require('playwright-core').chromium.executablePath())";
    let output = node::node(workspace, &["-e", SCRIPT]).output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    (output.status.success() && path.is_file()).then_some(path)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_what_to_skip_takes_known_names_alone() {
        assert_eq!(parse_skipped("").unwrap(), [""; 0]);
        assert_eq!(parse_skipped("webkit").unwrap(), ["webkit"]);
        assert_eq!(parse_skipped("postgres, promtool").unwrap(), ["postgres", "promtool"]);
        assert_eq!(parse_skipped(" firefox, chromium,").unwrap(), ["firefox", "chromium"]);
        for list in ["opera", "webkit,opera", "Firefox", "firefox webkit"] {
            let refusal = parse_skipped(list).unwrap_err().to_string();
            let all = "it takes chromium, firefox, webkit, postgres, promtool, schemathesis";
            assert!(refusal.ends_with(all), "{refusal}");
        }
    }

    #[test]
    fn all_that_is_missing_is_named_at_once_with_each_way_out() {
        let of = |browser: &'static Browser| {
            browser.programs.iter().map(move |program| (browser, program))
        };
        let missing = of(&FIREFOX).chain(of(&WEBKIT)).collect();
        assert_eq!(
            advice(&missing),
            "install firefox-esr (or set COUNTERSIGN_FIREFOX to its path), WebKitWebDriver, Xvfb \
             (Debian: `sudo apt-get install firefox-esr webkit2gtk-driver xvfb`), or leave out the \
             tests that need it with COUNTERSIGN_SKIP=firefox,webkit"
        );
    }

    #[test]
    fn a_script_that_stands_in_for_a_snap_is_no_browser() {
        let folder = env::temp_dir().join(format!("xtask-browsers-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (text, expected) in [
            ("#!/bin/sh\necho 'Please install it with: snap install firefox'\n", true),
            ("#!/bin/sh\nexec /usr/lib/firefox-esr/firefox-esr \"$@\"\n", false),
            ("\x7fELF snap install", false),
        ] {
            let path = folder.join("firefox");
            fs::write(&path, text).unwrap();
            assert_eq!(is_snap_stub(&path), expected, "{text}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
