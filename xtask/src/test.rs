//! `cargo xtask test`: every test, with everything that the tests need.

use anyhow::{Result, bail};
use xshell::cmd;

use crate::{
    needs, node, package, schemathesis,
    step::{Plan, Step},
    toolchain, wasi,
    workspace::Workspace,
};

/// Tells the end-to-end tests the path of the issuer's binary.
pub(crate) const ISSUER_VARIABLE: &str = "COUNTERSIGN_ISSUER_BINARY";

/// The options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only these tests
    #[arg(value_enum)]
    only: Option<Suite>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Suite {
    /// cargo test, doc tests included; in WASI the verifier's tests and the vectors
    Rust,
    /// tests/js, in Node.js
    Js,
    /// tests/browser, in Chromium
    Browser,
    /// tests/packaging: the package from its tarball, in every runtime, browser and bundler
    Packaging,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    plan_suites(&mut steps, workspace, options.only);
    steps.run()
}

/// Adds the steps of all tests, without the check of Rust, Node.js and git.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan_suites(plan, workspace, None);
}

fn plan_suites<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, only: Option<Suite>) {
    let wants = |suite| only.is_none_or(|only| only == suite);
    let javascript = only != Some(Suite::Rust);
    if javascript {
        node::plan(plan, workspace);
    }
    plan_needs(plan, workspace, wants);
    if javascript {
        package::plan(plan, workspace);
    }
    if wants(Suite::Rust) {
        let sh = &workspace.sh;
        // Together with the tests: for the issuer alone cargo would compile many crates once more.
        plan.step("build the issuer and the Rust tests", |step| {
            step.stream(
                cmd!(sh, "cargo build --workspace --bins --tests"),
                "fix the compiler's errors above",
            )
        });
        plan.step("run the Rust tests", |step| {
            let command = cmd!(sh, "cargo test --workspace");
            let issuer = workspace.issuer_binary("debug");
            step.stream(command.env(ISSUER_VARIABLE, issuer), "see the failures above")
        });
        wasi::plan(plan, workspace);
    } else {
        plan.step("build the issuer", |step| workspace.build_issuer(step));
    }
    if javascript {
        plan.step("run the JavaScript tests", move |step| run_javascript(step, workspace, only));
    }
}

fn plan_needs<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, wants: impl Fn(Suite) -> bool) {
    let mut needed = Vec::new();
    if wants(Suite::Packaging) {
        needed.extend(needs::BROWSERS);
    } else if wants(Suite::Browser) {
        needed.push(&needs::CHROMIUM);
    }
    if wants(Suite::Rust) {
        needed.extend([&needs::POSTGRES, &needs::PROMTOOL]);
    }
    let openapi = wants(Suite::Js);
    if openapi {
        needed.push(&needs::SCHEMATHESIS);
    }
    needs::plan(plan, workspace, needed);
    if openapi {
        plan.step("find Schemathesis", |step| match needs::SCHEMATHESIS.is_left_out()? {
            true => Ok(()),
            false => schemathesis::install(step, workspace),
        });
    }
}

fn run_javascript(step: &Step, workspace: &Workspace, only: Option<Suite>) -> Result<()> {
    let wants = |suite| only.is_none_or(|only| only == suite);
    let mut files = Vec::new();
    if wants(Suite::Js) {
        files.extend(test_files(workspace, "tests/js")?);
        if needs::SCHEMATHESIS.is_left_out()? {
            files.retain(|file| file != schemathesis::TEST);
        }
    }
    if wants(Suite::Browser) && needs::CHROMIUM.is_left_out()? {
        step.note("      left out: tests/browser");
    } else if wants(Suite::Browser) {
        files.extend(test_files(workspace, "tests/browser")?);
    }
    if wants(Suite::Packaging) {
        files.extend(test_files(workspace, "tests/packaging")?);
    }
    // Without files Node.js would search for tests by itself, in node_modules too.
    if files.is_empty() {
        return Ok(());
    }
    let (sh, issuer) = (&workspace.sh, workspace.issuer_binary("debug"));
    let command = cmd!(sh, "node --test --test-reporter=spec {files...}");
    let command = needs::with_paths(command.env(ISSUER_VARIABLE, issuer), workspace)?;
    step.stream(command, "see the failures above")
}

/// Returns the test files of `folder`, by path from the root. Refuses a folder without any.
fn test_files(workspace: &Workspace, folder: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for path in workspace.sh.read_dir(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".test.js") {
            files.push(format!("{folder}/{name}"));
        }
    }
    if files.is_empty() {
        bail!("{folder} contains no *.test.js; restore it from git");
    }
    Ok(files)
}
