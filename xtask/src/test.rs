//! `cargo xtask test`: every test, with everything that the tests need.

use anyhow::{Result, bail};
use xshell::cmd;

use crate::{
    bindgen::{self, Engine},
    needs::{self, Need},
    node, package, postgres, python,
    step::{Plan, Step},
    toolchain, wasi,
    workspace::Workspace,
};

/// Tells the end-to-end tests the path of the issuer's binary.
pub(crate) const ISSUER_VARIABLE: &str = "COUNTERSIGN_ISSUER_BINARY";

/// The tests in `tests/js` that need a program.
const TESTS_OF_NEEDS: [(&Need, &str); 8] = [
    (&needs::SCHEMATHESIS, "tests/js/openapi.test.js"),
    (&needs::SHELLS, "tests/js/cli-completions.test.js"),
    (&needs::COMMANDS, "tests/js/getting-started.test.js"),
    (&needs::DEPLOY, "tests/js/deploy.test.js"),
    (&needs::DEPLOY, "tests/js/proxies.test.js"),
    (&needs::POSTGRES, "tests/js/proxies.test.js"),
    (&needs::DEPLOY, "tests/js/rolling-restart.test.js"),
    (&needs::POSTGRES, "tests/js/rolling-restart.test.js"),
];

/// The options of `cargo xtask test`.
#[derive(Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// Run only these tests
    #[arg(value_enum)]
    only: Option<Suite>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Suite {
    /// cargo test, doc tests included; the vectors in WASI and through wasm-bindgen
    Rust,
    /// tests/js, in Node.js
    Js,
    /// tests/browser, in the browsers
    Browser,
    /// tests/packaging: the package from its tarball, in every runtime, browser and bundler
    Packaging,
    /// tests/system: issuers, database and verifiers under faults
    System,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(workspace: &Workspace, options: Options) -> Result<()> {
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    plan(&mut steps, workspace, options);
    steps.run()
}

/// Adds the steps of the tests, without the check of Rust, Node.js and git.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, options: Options) {
    let javascript = options.only != Some(Suite::Rust);
    if javascript {
        node::plan(plan, workspace);
    }
    needs::plan(plan, workspace, needs_of(options));
    if options.run(Suite::Js) {
        plan.step("find programs from PyPI", |step| {
            python::SCHEMATHESIS.install(step, workspace)?;
            python::DEPLOY.install(step, workspace)
        });
    }
    if javascript {
        package::plan(plan, workspace);
    }
    if options.run(Suite::Rust) {
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
        plan.step("run the issuer's tests on PostgreSQL 18", |step| {
            if needs::POSTGRES.is_left_out()? || needs::POSTGRES_18.is_left_out()? {
                return Ok(());
            }
            let postgres = postgres::install(step, workspace)?;
            let tests = cmd!(sh, "cargo test --workspace --lib --test issuer postgres");
            step.stream(tests.env(postgres::VARIABLE, postgres), "see the failures above")
        });
        wasi::plan(plan, workspace);
    } else {
        plan.step("build the issuer", |step| workspace.build_issuer(step));
    }
    plan_bindgen(plan, workspace, options);
    if javascript && options.only != Some(Suite::System) {
        plan.step("run the JavaScript tests", move |step| run_javascript(step, workspace, options));
    }
    if options.run(Suite::System) {
        plan.step("run the system under faults", |step| run_system(step, workspace));
    }
}

/// Adds the steps of `countersign-wasm` with its feature `bindgen`.
fn plan_bindgen<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace, options: Options) {
    if !matches!(options.only, Some(Suite::Packaging | Suite::System)) {
        bindgen::plan_tools(plan, workspace);
    }
    if options.run(Suite::Rust) {
        bindgen::plan_tests(plan, workspace, Engine::Node);
    }
    if options.run(Suite::Browser) {
        bindgen::plan_tests(plan, workspace, Engine::Chromium);
    }
    if options.run(Suite::Js) {
        bindgen::plan_program(plan, workspace);
    }
}

impl Options {
    fn run(self, suite: Suite) -> bool {
        self.only.is_none_or(|only| only == suite)
    }
}

fn needs_of(options: Options) -> Vec<&'static Need> {
    let mut needed = Vec::new();
    if options.run(Suite::Browser) || options.run(Suite::Packaging) {
        needed.extend(needs::BROWSERS);
    } else if options.run(Suite::System) {
        needed.push(&needs::CHROMIUM);
    }
    if options.run(Suite::Rust) || options.run(Suite::Js) || options.run(Suite::System) {
        needed.push(&needs::POSTGRES);
    }
    if options.run(Suite::Rust) || options.run(Suite::System) {
        needed.push(&needs::FAKETIME);
    }
    if options.run(Suite::Rust) {
        needed.extend([&needs::NAMESPACES, &needs::PROMTOOL]);
    }
    if options.run(Suite::Js) {
        needed.extend([&needs::SCHEMATHESIS, &needs::SHELLS, &needs::COMMANDS, &needs::DEPLOY]);
    }
    needed
}

fn run_javascript(step: &Step, workspace: &Workspace, options: Options) -> Result<()> {
    let mut files = Vec::new();
    if options.run(Suite::Js) {
        files.extend(test_files(workspace, "tests/js")?);
        for (need, test) in TESTS_OF_NEEDS {
            if need.is_left_out()? {
                files.retain(|file| file != test);
            }
        }
    }
    if options.run(Suite::Browser) {
        files.extend(test_files(workspace, "tests/browser")?);
    }
    if options.run(Suite::Packaging) {
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

fn run_system(step: &Step, workspace: &Workspace) -> Result<()> {
    if needs::POSTGRES.is_left_out()? {
        return Ok(());
    }
    let (sh, files) = (&workspace.sh, test_files(workspace, "tests/system")?);
    // The faults and the saboteurs at the same time: each waits most of the time.
    let command = cmd!(sh, "node --test --test-concurrency=2 --test-reporter=spec {files...}");
    let command = command.env(ISSUER_VARIABLE, workspace.issuer_binary("debug"));
    step.stream(needs::with_paths(command, workspace)?, "see the failures above")
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
