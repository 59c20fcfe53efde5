//! `cargo xtask build`: the npm package in `pkg/dist`.
//!
//! cargo compiles `countersign-wasm` three times: for every engine, for those with wide arithmetic,
//! and for those with relaxed SIMD.
//! wasm-opt shrinks the modules, and wasm2js turns the first into JavaScript. tsc compiles `pkg/src`.
//! rolldown makes `CommonJS` of that, and merges files that are always loaded together.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::{
    node,
    step::{Plan, Step},
    toolchain::{self, WASM_TARGET},
    workspace::Workspace,
};

/// The cargo profile of the WASM modules.
const PROFILE: &str = "wasm";

/// rustc's default is 225. A lower threshold than 60 makes slower code: 5 would save 1% of the
/// bytes and cost 2% of the speed.
const INLINE_LESS: &str = "-Cllvm-args=-inline-threshold=60";

/// wasm-opt inlines functions with one caller only up to this size: larger bodies compress worse.
const INLINE_ONLY_SMALL: &str = "--one-caller-inline-max-function-size=100";

/// Offsets below 1024 move into the instructions that load and store. This is right if nothing lies
/// below that address: the stack begins there, and grows down to it only when it overflows.
const FOLD_OFFSETS: &str = "--low-memory-unused";

/// A build of the WASM module.
struct Build {
    /// Its file in the package.
    module: &'static str,
    /// Its folder below the target folder. The artifacts of all builds have the same names.
    folder: &'static str,
    /// Engine features besides rustc's defaults, as flags of rustc and of wasm-opt.
    rustc_features: &'static [&'static str],
    wasm_opt_features: &'static [&'static str],
}

/// The module for every engine.
const PORTABLE: &str = "countersign.wasm";

const BUILDS: [Build; 3] = [
    Build { module: PORTABLE, folder: "", rustc_features: &[], wasm_opt_features: &[] },
    Build {
        module: "countersign.wide.wasm",
        folder: "wide",
        rustc_features: WIDE_ARITHMETIC,
        wasm_opt_features: &["--enable-wide-arithmetic"],
    },
    Build {
        module: "countersign.relaxed.wasm",
        folder: "relaxed",
        rustc_features: &["-Ctarget-feature=+simd128,+relaxed-simd"],
        wasm_opt_features: &["--enable-simd", "--enable-relaxed-simd"],
    },
];

/// Returns the files of the modules.
pub(crate) fn modules() -> [&'static str; 3] {
    BUILDS.map(|build| build.module)
}

/// rustc compiles products of `u128` to this feature, but does not reveal it by a `cfg`. It also warns
/// in every crate that the feature may change. It allows no other way to silence that.
pub(crate) const WIDE_ARITHMETIC: &[&str] =
    &["-Ctarget-feature=+wide-arithmetic", "--cfg=wide_arithmetic", "-Awarnings"];

/// rustc's defaults for wasm32-unknown-unknown. wasm-opt rejects features it was not told about.
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
    toolchain::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    plan(&mut steps, workspace);
    steps.run()
}

/// Adds the steps that build `pkg/dist`.
pub(crate) fn plan<'a>(plan: &mut Plan<'a>, workspace: &'a Workspace) {
    plan.step("build the WASM modules", |step| {
        let folder = workspace.target.join("modules");
        write_modules(step, workspace, "countersign-wasm", &folder, Names::Removed)?;
        write_javascript(step, workspace, &folder)
    })
    .step("put the package together", |step| assemble(step, workspace));
}

/// Builds the modules of the crate `name` into `folder`. Runs wasm-opt only on changed ones.
pub(crate) fn write_modules(
    step: &Step,
    workspace: &Workspace,
    name: &str,
    folder: &Path,
    names: Names,
) -> Result<()> {
    let wasm_opt = workspace.root.join("node_modules/binaryen/package.json");
    let xtask = env::current_exe().context("the path of xtask itself is unknown")?;
    workspace.sh.create_dir(folder)?;
    for build in &BUILDS {
        let compiled = build.compile(step, workspace, name)?;
        let module = folder.join(build.module);
        if is_stale(&module, &[&compiled, &wasm_opt, &xtask]) {
            build.optimise(step, workspace, &compiled, &module, names)?;
        }
    }
    Ok(())
}

/// Turns the portable module in `folder` into JavaScript, for `countersign/js`.
fn write_javascript(step: &Step, workspace: &Workspace, folder: &Path) -> Result<()> {
    let [from, to] = ["wasm", "js"].map(|suffix| folder.join(PORTABLE).with_extension(suffix));
    if is_stale(&to, &[&from]) {
        let command = node::tool(workspace, "binaryen/bin/wasm2js")
            .arg("-O3")
            .args(WASM_FEATURES)
            .arg(&from)
            .arg("-o")
            .arg(&to);
        step.quiet(command, "delete node_modules and run this again")?;
    }
    Ok(())
}

/// Returns true if `output` is missing, or older than an input that exists.
fn is_stale(output: &Path, inputs: &[&Path]) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let made = modified(output);
    made.is_none() || inputs.iter().any(|input| modified(input) > made)
}

/// Returns flags that shorten the paths of the dependencies' sources. Panics have them in the module,
/// which is then the same on every machine.
fn remapped_sources(sh: &Shell) -> Result<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let sources = home.context("there is no home folder")?.join("registry/src");
    let mut flags = String::new();
    for registry in if sources.exists() { sh.read_dir(sources)? } else { Vec::new() } {
        flags += &format!("'--remap-path-prefix={}/=', ", registry.display());
    }
    Ok(flags)
}

/// Returns the flags as items of an array in TOML.
pub(crate) fn quoted(flags: &[&str]) -> String {
    flags.iter().map(|flag| format!("'{flag}', ")).collect()
}

/// The names of a module's functions: removed or kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Removed,
    Kept,
}

impl Build {
    /// Compiles the crate `name`. Returns the path of its module.
    fn compile(&self, step: &Step, workspace: &Workspace, name: &str) -> Result<PathBuf> {
        let (sh, folder) = (&workspace.sh, workspace.target.join(self.folder));
        let features = quoted(self.rustc_features);
        let remapped = remapped_sources(sh)?;
        let flags =
            format!("target.{WASM_TARGET}.rustflags=['{INLINE_LESS}', {remapped}{features}]");
        // With another type beside it, cargo leaves out link-time optimisation without a word.
        let command = cmd!(sh, "cargo rustc --profile {PROFILE} -p {name} --target {WASM_TARGET}")
            .args(["--lib", "--crate-type", "cdylib"]);
        // Incremental modules are larger.
        let command = command.env("CARGO_INCREMENTAL", "0");
        step.stream(
            command.arg("--target-dir").arg(&folder).args(["--config", &flags]),
            "fix the compiler's errors above, then run this again",
        )?;
        Ok(folder
            .join(WASM_TARGET)
            .join(PROFILE)
            .join(name.replace('-', "_"))
            .with_extension("wasm"))
    }

    /// Runs wasm-opt.
    fn optimise(
        &self,
        step: &Step,
        workspace: &Workspace,
        from: &Path,
        to: &Path,
        names: Names,
    ) -> Result<()> {
        let names = if names == Names::Kept { "--debuginfo" } else { "--strip-debug" };
        let command = node::tool(workspace, "binaryen/bin/wasm-opt")
            .args(["-O3", "--converge", INLINE_ONLY_SMALL, FOLD_OFFSETS, names])
            .args(["--strip-producers", "--strip-target-features"])
            .args(WASM_FEATURES)
            .args(self.wasm_opt_features)
            .arg(from)
            .arg("-o")
            .arg(to);
        step.quiet(command, "delete node_modules and run this again")?;
        Ok(())
    }
}

/// Writes the modules as JavaScript, for `countersign/inline` and for bundles that lack the files.
const BYTES: &str = r"
  const { readFileSync, writeFileSync } = require('node:fs')
  const base64 = (file) => readFileSync(`pkg/dist/wasm/${file}`).toString('base64')
  writeFileSync('pkg/dist/wasm/bytes.js', `export const portable = '${base64('countersign.wasm')}'\n` +
    `export const relaxed = '${base64('countersign.relaxed.wasm')}'\n`)";

fn assemble(step: &Step, workspace: &Workspace) -> Result<()> {
    let sh = &workspace.sh;
    // Files that pkg/src no longer has must not stay in the package.
    sh.remove_path("pkg/dist")?;
    let command = node::tool(workspace, "typescript/bin/tsc").args(["-p", "pkg"]);
    step.quiet(command, "fix the TypeScript compiler's errors above")?;
    sh.create_dir("pkg/dist/wasm")?;
    for Build { module, .. } in &BUILDS {
        let from = workspace.target.join("modules").join(module);
        sh.copy_file(from, format!("pkg/dist/wasm/{module}"))?;
    }
    step.quiet(cmd!(sh, "node -e {BYTES}"), "run this again")?;
    let javascript = workspace.target.join("modules").join(PORTABLE).with_extension("js");
    let command =
        cmd!(sh, "node pkg/scripts/javascript.js {javascript} pkg/dist/wasm/countersign.js");
    step.quiet(command, "delete node_modules and run this again")?;
    for script in ["commonjs", "merge"] {
        let command = cmd!(sh, "node pkg/scripts/{script}.js");
        step.quiet(command, "delete node_modules and run this again")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;

    #[test]
    fn an_output_is_stale_when_missing_or_older_than_an_input() {
        let folder = Shell::new().unwrap().create_temp_dir().unwrap();
        let [old, new, missing] = ["old", "new", "missing"].map(|name| folder.path().join(name));
        let file = File::create(&old).unwrap();
        File::create(&new).unwrap();
        let past = new.metadata().unwrap().modified().unwrap() - Duration::from_secs(60);
        file.set_modified(past).unwrap();

        let cases: [(&Path, &[&Path], bool); 5] = [
            (&new, &[&old], false),
            (&old, &[&missing, &new], true),
            (&new, &[&old, &missing], false),
            (&missing, &[&old], true),
            (&missing, &[&missing], true),
        ];
        for (output, inputs, expected) in cases {
            assert_eq!(is_stale(output, inputs), expected, "{output:?} from {inputs:?}");
        }
    }
}
