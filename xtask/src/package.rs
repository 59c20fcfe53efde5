//! `cargo xtask build`: the npm package in `pkg/dist`.
//!
//! cargo compiles `countersign-wasm`, once for every engine and once for those with relaxed SIMD;
//! wasm-opt shrinks the modules, tsc compiles `pkg/src`, and rolldown makes `CommonJS` of that.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    node, prerequisites,
    step::{Plan, Step},
    workspace::{Workspace, is_stale},
};

/// The rustc target of the WASM module.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// The cargo profile of the WASM modules.
const PROFILE: &str = "wasm";

/// Inlining as sparing as where code is compiled for its size, also in what is compiled for speed:
/// 5% fewer bytes, at 1% of the speed.
const INLINE_LESS: &str = "-Cllvm-args=-inline-threshold=50";

/// A build of the WASM module.
pub(crate) struct Build {
    /// Its file in the package.
    pub(crate) module: &'static str,
    /// Where cargo builds it, below the target folder; apart, because the artifacts have one name.
    folder: &'static str,
    /// What it asks of the engine besides rustc's defaults, in rustc's words and in wasm-opt's.
    target_features: &'static str,
    wasm_opt_features: &'static [&'static str],
}

pub(crate) const BUILDS: [Build; 2] = [
    Build { module: "countersign.wasm", folder: "", target_features: "", wasm_opt_features: &[] },
    Build {
        module: "countersign.relaxed.wasm",
        folder: "relaxed",
        target_features: "+simd128,+relaxed-simd",
        wasm_opt_features: &["--enable-simd", "--enable-relaxed-simd"],
    },
];

/// What rustc turns on by default for wasm32-unknown-unknown; wasm-opt refuses what it isn't told.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Runs `cargo xtask build`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Plan::default();
    prerequisites::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    plan(&mut steps, workspace);
    steps.run()
}

/// Adds the steps that build `pkg/dist`.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("build the WASM modules", |step| compile(step, workspace))
        .step("shrink them", |step| shrink(step, workspace))
        .step("put the package together", |step| assemble(step, workspace))
        .step("measure the package", |step| print_sizes(step, workspace));
}

fn compile(step: &Step, workspace: &Workspace) -> Result<()> {
    for build in &BUILDS {
        let mut command = build.cargo(workspace, "countersign-wasm");
        step.stream(&mut command, "fix what the compiler reports above, then run this again")?;
    }
    Ok(())
}

/// Runs wasm-opt on the modules that cargo built anew.
fn shrink(step: &Step, workspace: &Workspace) -> Result<()> {
    let wasm_opt = workspace.root.join("node_modules/binaryen/package.json");
    let xtask = env::current_exe().context("the path of xtask itself is not known")?;
    let folder = workspace.target.join("modules");
    fs::create_dir_all(&folder).with_context(|| failed("make", &folder))?;
    for build in &BUILDS {
        let compiled = build.compiled(workspace, "countersign_wasm");
        let shrunk = folder.join(build.module);
        if is_stale(&[&shrunk], &[&compiled, &wasm_opt, &xtask]) {
            build.optimise(step, workspace, &compiled, &shrunk, Names::Removed)?;
        }
    }
    Ok(())
}

/// Writes the modules as they are in the package, but for the names of their functions, which stay.
pub(crate) fn write_named_modules(step: &Step, workspace: &Workspace, folder: &Path) -> Result<()> {
    remake_folder(folder)?;
    for build in &BUILDS {
        let compiled = build.compiled(workspace, "countersign_wasm");
        build.optimise(step, workspace, &compiled, &folder.join(build.module), Names::Kept)?;
    }
    Ok(())
}

/// What becomes of the names of a module's functions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Removed,
    Kept,
}

impl Build {
    /// The command that compiles `package` for this build.
    pub(crate) fn cargo(&self, workspace: &Workspace, package: &str) -> Command {
        let mut command = workspace.cargo(&["build", "--profile", PROFILE, "-p", package]);
        command.args(["--target", WASM_TARGET]);
        command.arg("--target-dir").arg(workspace.target.join(self.folder));
        let features = self.target_features;
        let flags = format!(
            "target.{WASM_TARGET}.rustflags=['{INLINE_LESS}', '-Ctarget-feature={features}']"
        );
        command.args(["--config", &flags]);
        command
    }

    /// What cargo makes of the library `library`.
    pub(crate) fn compiled(&self, workspace: &Workspace, library: &str) -> PathBuf {
        let folder = workspace.target.join(self.folder).join(WASM_TARGET);
        folder.join(PROFILE).join(library).with_extension("wasm")
    }

    /// Runs wasm-opt.
    pub(crate) fn optimise(
        &self,
        step: &Step,
        workspace: &Workspace,
        from: &Path,
        to: &Path,
        names: Names,
    ) -> Result<()> {
        let mut command = node::tool(workspace, "binaryen/bin/wasm-opt", &["-O3"]);
        command.arg(if names == Names::Kept { "--debuginfo" } else { "--strip-debug" });
        command.args(["--strip-producers", "--strip-target-features"]);
        command.args(WASM_FEATURES).args(self.wasm_opt_features).arg(from).arg("-o").arg(to);
        step.quiet(&mut command, "delete node_modules and run this again")?;
        Ok(())
    }
}

fn assemble(step: &Step, workspace: &Workspace) -> Result<()> {
    let dist = workspace.root.join("pkg/dist");
    // What pkg/src no longer has must not be in the package either.
    remake_folder(&dist)?;
    let mut command = node::tool(workspace, "typescript/bin/tsc", &["-p", "pkg"]);
    step.quiet(&mut command, "fix what the TypeScript compiler reports above")?;
    let destination = dist.join("wasm");
    fs::create_dir_all(&destination).with_context(|| failed("make", &destination))?;
    for Build { module, .. } in &BUILDS {
        let (from, to) = (workspace.target.join("modules").join(module), destination.join(module));
        fs::copy(&from, to).with_context(|| failed("copy", &from))?;
    }
    write_bytes(step, workspace)?;
    let mut command = node::node(workspace, &["pkg/scripts/commonjs.js"]);
    step.quiet(&mut command, "delete node_modules and run this again")?;
    Ok(())
}

/// Writes the modules as JavaScript, for `countersign/inline`.
fn write_bytes(step: &Step, workspace: &Workspace) -> Result<()> {
    const SCRIPT: &str = r"
        const { readFileSync, writeFileSync } = require('node:fs')
        const base64 = (file) => readFileSync(`pkg/dist/wasm/${file}`).toString('base64')
        writeFileSync('pkg/dist/wasm/bytes.js', `export const portable = '${base64('countersign.wasm')}'\n` +
          `export const relaxed = '${base64('countersign.relaxed.wasm')}'\n`)";
    step.quiet(&mut node::node(workspace, &["-e", SCRIPT]), "run this again")?;
    Ok(())
}

fn print_sizes(step: &Step, workspace: &Workspace) -> Result<()> {
    const SCRIPT: &str = r"
        const { brotliCompressSync } = require('node:zlib')
        const { readFileSync } = require('node:fs')
        for (const path of process.argv.slice(1)) {
          const bytes = readFileSync(path)
          const sizes = [bytes.length, brotliCompressSync(bytes).length]
          const [raw, brotli] = sizes.map((size) => `${(size / 1024).toFixed(1)} KiB`.padStart(11))
          console.log(`      ${path.padEnd(40)} ${raw}, ${brotli} with brotli`)
        }";
    let mut command = node::node(workspace, &["-e", SCRIPT]);
    command.args(BUILDS.iter().map(|build| format!("pkg/dist/wasm/{}", build.module)));
    let sizes = step.quiet(&mut command, "run this again")?;
    step.note(sizes.trim_end());
    Ok(())
}

fn remake_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| failed("empty", folder))?;
    }
    fs::create_dir_all(folder).with_context(|| failed("make", folder))
}

fn failed(verb: &str, path: &Path) -> String {
    format!("could not {verb} {}", path.display())
}
