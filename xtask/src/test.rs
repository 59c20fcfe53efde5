//! `cargo xtask test`: every test, with all that the tests need.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    browsers, node, package, postgres, prerequisites, promtool, schemathesis,
    step::{Plan, Step},
    wasi,
    workspace::Workspace,
};

/// Where the end-to-end tests find the path of the issuer's binary.
const ISSUER_VARIABLE: &str = "COUNTERSIGN_ISSUER_BINARY";

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
    prerequisites::plan(&mut steps, workspace);
    let wants = |suite| options.only.is_none_or(|only| only == suite);
    plan_suites(&mut steps, workspace, wants);
    steps.run()
}

/// Adds the steps of all tests, without the check of prerequisites.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan_suites(plan, workspace, |_| true);
}

fn plan_suites<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, wants: impl Fn(Suite) -> bool) {
    let (rust, js) = (wants(Suite::Rust), wants(Suite::Js));
    let (browser, packaging) = (wants(Suite::Browser), wants(Suite::Packaging));
    let javascript = js || browser || packaging;
    if javascript {
        node::plan(plan, workspace);
        package::plan(plan, workspace);
    }
    if js {
        schemathesis::plan(plan, workspace);
    }
    if packaging {
        browsers::plan(plan, workspace, browsers::ALL.to_vec());
    } else if browser {
        browsers::plan(plan, workspace, vec![&browsers::CHROMIUM]);
    }
    if rust {
        postgres::plan(plan, workspace);
        promtool::plan(plan, workspace);
        // With the tests, because cargo would compile many crates once more for the issuer alone.
        plan.step("build the issuer and the Rust tests", |step| {
            let mut command = workspace.cargo(&["build", "--workspace", "--bins", "--tests"]);
            step.stream(&mut command, "fix what the compiler reports above")
        });
        plan.step("run the Rust tests", |step| run_rust(step, workspace));
        wasi::plan(plan, workspace);
    } else {
        plan.step("build the issuer", |step| workspace.build_issuer(step));
    }
    if javascript {
        plan.step("run the JavaScript tests", move |step| {
            let mut files = Vec::new();
            if js {
                files.extend(test_files(&workspace.root, "tests/js")?);
                if browsers::is_skipped(schemathesis::NAME)? {
                    files.retain(|file| file != schemathesis::TEST);
                }
            }
            if browser && browsers::is_left_out(&browsers::CHROMIUM)? {
                step.note("      left out: tests/browser");
            } else if browser {
                files.extend(test_files(&workspace.root, "tests/browser")?);
            }
            if packaging {
                files.extend(test_files(&workspace.root, "tests/packaging")?);
            }
            run_node(step, workspace, &files)
        });
    }
}

fn run_rust(step: &Step, workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo(&["test", "--workspace"]);
    command.env(ISSUER_VARIABLE, workspace.issuer_binary());
    step.stream(&mut command, "see the failures above")
}

fn run_node(step: &Step, workspace: &Workspace, files: &[String]) -> Result<()> {
    // Without files Node.js would look for tests by itself, in node_modules too.
    if files.is_empty() {
        return Ok(());
    }
    let mut command = node::node(workspace, &["--test", "--test-reporter=spec"]);
    command.args(files).env(ISSUER_VARIABLE, workspace.issuer_binary());
    browsers::tell(&mut command, workspace)?;
    step.stream(&mut command, "see the failures above")
}

/// The test files of `folder`, by path from the root. A runner that would run none is an error.
fn test_files(root: &Path, folder: &str) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(root.join(folder)).with_context(|| format!("{folder} can't be read"))?;
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.js") {
            files.push(format!("{folder}/{name}"));
        }
    }
    if files.is_empty() {
        bail!("{folder} holds no *.test.js; restore it from git");
    }
    files.sort();
    Ok(files)
}
