//! `cargo xtask release`: everything that a release consists of, in `target/release-files`. Publishes it
//! unless it is a dry run.

use std::{
    env::consts::ARCH,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::{
    ci::PUBLISHED,
    needs,
    node::{self, NPM},
    package::{self, Names},
    step::{Plan, Step},
    toolchain::{self, Tool, WASM_TARGET},
    workspace::Workspace,
};

const CARGO_ABOUT: Tool = Tool { features: "cli", ..Tool::new("cargo-about", "0.9.3") };

const CARGO_CYCLONEDX: Tool =
    Tool { arguments: &["cyclonedx"], ..Tool::new("cargo-cyclonedx", "0.5.9") };

/// The crate whose modules are in the npm package.
const WASM_CRATE: &str = "countersign-wasm";

const ISSUER: &str = "countersign-issuer";

/// The options of `cargo xtask release`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Make and check everything, and print the commands that would publish it
    #[arg(long)]
    dry_run: bool,
}

/// Runs `cargo xtask release`.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let release = &Release::of(workspace)?;
    let mut steps = Plan::default();
    toolchain::plan(&mut steps, workspace);
    node::plan(&mut steps, workspace);
    if cfg!(target_os = "linux") {
        needs::plan(&mut steps, workspace, vec![&needs::MUSL]);
    }
    steps
        .step("compare the versions", |step| release.compare_versions(step, options.dry_run))
        .step("find cargo-about", |step| CARGO_ABOUT.install(step, workspace))
        .step("find cargo-cyclonedx", |step| CARGO_CYCLONEDX.install(step, workspace));
    package::plan(&mut steps, workspace);
    steps
        .step("build the WASM modules in another folder", |step| release.rebuild_modules(step))
        .step("collect the licences", |step| release.collect_licences(step))
        .step("list the components", |step| release.list_components(step))
        .step("package the crates, and compile what is in them", |step| {
            release.package_crates(step)
        })
        .step("build their documentation as docs.rs does", |step| release.document_crates(step))
        .step("pack the npm package", |step| release.pack(step))
        .step("build the issuer's program", |step| release.build_issuer(step))
        .step("add up the files", |step| release.write_checksums(step))
        .step("publish", |step| release.publish(step, options.dry_run));
    steps.run()
}

struct Release<'a> {
    workspace: &'a Workspace,
    version: String,
    /// The files of the release.
    folder: PathBuf,
}

impl<'a> Release<'a> {
    fn of(workspace: &'a Workspace) -> Result<Self> {
        let sh = &workspace.sh;
        // `…#countersign-issuer@0.1.0`
        let id = cmd!(sh, "cargo pkgid --package {ISSUER}").quiet().read()?;
        let (_, version) = id.rsplit_once('@').context("`cargo pkgid` names no version")?;
        let version = version.to_owned();
        let folder = workspace.target.join("release-files");
        sh.remove_path(&folder)?;
        sh.create_dir(&folder)?;
        Ok(Self { workspace, version, folder })
    }

    /// Fails if a version differs, or if the release is not what is committed. A dry run only says
    /// what is missing for the release itself.
    fn compare_versions(&self, step: &Step, dry_run: bool) -> Result<()> {
        let (sh, version) = (&self.workspace.sh, &self.version);
        let manifest: serde_json::Value = serde_json::from_str(&sh.read_file("pkg/package.json")?)?;
        let npm = manifest.get("version").and_then(serde_json::Value::as_str).unwrap_or("none");
        if npm != version {
            bail!("pkg/package.json has version {npm}, and Cargo.toml {version}");
        }
        let mut missing = Vec::new();
        let changelog = sh.read_file("CHANGELOG.md")?;
        if !changelog.lines().any(|line| line.starts_with(&format!("## [{version}]"))) {
            missing.push(format!(
                "CHANGELOG.md has no section \"## [{version}] - DATE\"; rename Unreleased"
            ));
        }
        if !cmd!(sh, "git status --porcelain").quiet().read()?.is_empty() {
            missing.push("files differ from the last commit; commit or remove them".to_owned());
        }
        let tag = format!("v{version}");
        if cmd!(sh, "git tag --points-at HEAD").quiet().read()?.lines().all(|line| line != tag) {
            missing.push(format!("the commit has no tag {tag}; make it with `git tag {tag}`"));
        }
        if !dry_run && !missing.is_empty() {
            bail!("{}", missing.join("; "));
        }
        for line in missing {
            step.note(&format!("      before the release: {line}"));
        }
        Ok(())
    }

    /// Builds the modules from a copy of the sources, in another folder. They must be the same, byte by
    /// byte: anybody can then check that the package is made of these sources.
    fn rebuild_modules(&self, step: &Step) -> Result<()> {
        let (sh, target) = (&self.workspace.sh, &self.workspace.target);
        let root = target.join("another folder");
        sh.remove_path(&root)?;
        for file in cmd!(sh, "git ls-files").quiet().read()?.lines() {
            let to = root.join(file);
            sh.create_dir(to.parent().unwrap_or(&root))?;
            sh.copy_file(self.workspace.root.join(file), to)?;
        }
        let modules = Path::new("node_modules/binaryen");
        copy_folder(sh, &self.workspace.root.join(modules), &root.join(modules))?;
        let copy = Workspace { sh: Shell::new()?, target: root.join("target"), root };
        copy.sh.change_dir(&copy.root);
        let folder = copy.target.join("modules");
        package::write_modules(step, &copy, WASM_CRATE, &folder, Names::Removed)?;
        for module in package::modules() {
            let [first, second] = [target.join("modules"), folder.clone()]
                .map(|folder| sh.read_binary_file(folder.join(module)));
            if first? != second? {
                bail!("{module} depends on the folder; see `remapped_sources` in package.rs");
            }
        }
        step.note(&format!("      equal, byte by byte: {}", package::modules().join(", ")));
        Ok(())
    }

    /// Writes the licences of all that is compiled into the issuer and into the npm package.
    fn collect_licences(&self, step: &Step) -> Result<()> {
        let issuer = self.folder.join("NOTICE.txt");
        let npm = self.workspace.root.join("pkg/dist/NOTICE.txt");
        for (name, target, to) in
            [(ISSUER, static_target(), &issuer), (WASM_CRATE, WASM_TARGET.to_owned(), &npm)]
        {
            let command = CARGO_ABOUT
                .command(self.workspace)?
                .args(["generate", "--locked", "--fail", "--threshold", "0.9"])
                .args(["--manifest-path", &manifest_of(name), "--target", &target])
                .arg("--output-file")
                .arg(to)
                .args(["--config", "xtask/licences.toml", "xtask/licences.hbs"]);
            step.quiet(command, "name the licence in xtask/licences.toml")?;
        }
        Ok(())
    }

    /// Writes a bill of materials of each side (`CycloneDX`). The npm package has no dependencies but the
    /// crates in its modules.
    fn list_components(&self, step: &Step) -> Result<()> {
        let sh = &self.workspace.sh;
        for (name, target) in [(ISSUER, static_target()), (WASM_CRATE, WASM_TARGET.to_owned())] {
            let manifest = manifest_of(name);
            let file = format!("{name}-{}.cdx", self.version);
            let command = CARGO_CYCLONEDX
                .command(self.workspace)?
                .args(["--format", "json", "--spec-version", "1.5", "--no-build-deps"])
                .args(["--manifest-path", &manifest, "--target", &target])
                .args(["--override-filename", &file]);
            step.quiet(command, "see its message above")?;
            // It writes one beside the manifest of each crate of the workspace.
            let folders = cmd!(sh, "git ls-files **/Cargo.toml").quiet().read()?;
            for folder in folders.lines().filter_map(|manifest| Path::new(manifest).parent()) {
                let written = folder.join(format!("{file}.json"));
                if folder == Path::new(&manifest).parent().unwrap_or(folder) {
                    sh.copy_file(&written, &self.folder)?;
                }
                sh.remove_path(written)?;
            }
        }
        Ok(())
    }

    /// Makes the crates' archives, and compiles each from its archive.
    fn package_crates(&self, step: &Step) -> Result<()> {
        let sh = &self.workspace.sh;
        let command = cmd!(sh, "cargo package --locked --allow-dirty").args(selected());
        step.stream(command, "correct the crate's Cargo.toml")?;
        for name in PUBLISHED {
            let archive = format!("package/{name}-{}.crate", self.version);
            sh.copy_file(self.workspace.target.join(archive), &self.folder)?;
        }
        Ok(())
    }

    fn document_crates(&self, step: &Step) -> Result<()> {
        let sh = &self.workspace.sh;
        let command = cmd!(sh, "cargo doc --locked --lib --no-deps --all-features");
        let command = command.args(selected()).env("RUSTDOCFLAGS", "-D warnings --cfg docsrs");
        step.stream(command, "fix rustdoc's warnings above")
    }

    fn pack(&self, step: &Step) -> Result<()> {
        let (sh, folder) = (&self.workspace.sh, &self.folder);
        let command = cmd!(sh, "{NPM} pack --workspace pkg --pack-destination {folder}");
        step.quiet(command, "correct pkg/package.json")?;
        Ok(())
    }

    /// Builds the issuer. On Linux it needs no library of the system.
    fn build_issuer(&self, step: &Step) -> Result<()> {
        let (sh, target, version) = (&self.workspace.sh, &static_target(), &self.version);
        toolchain::install_target(step, self.workspace, target)?;
        let command =
            cmd!(sh, "cargo build --locked --release --target {target} -p {ISSUER} --bins");
        step.stream(command, "fix the compiler's errors above")?;
        let folder = self.workspace.target.join(target).join("release");
        let program = folder.join(format!("{ISSUER}{}", std::env::consts::EXE_SUFFIX));
        let printed = step.quiet(cmd!(sh, "{program} --version"), "it does not start")?;
        if printed.split_whitespace().last() != Some(version) {
            bail!("{} says that it is {printed:?}", program.display());
        }
        let name = format!("{ISSUER}-{version}-{target}");
        let content = self.workspace.target.join("release-content").join(&name);
        sh.remove_path(&content)?;
        sh.create_dir(&content)?;
        sh.copy_file(program, &content)?;
        sh.copy_file(self.folder.join("NOTICE.txt"), &content)?;
        sh.remove_path(self.folder.join("NOTICE.txt"))?;
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "issuer/README.md", "docs/issuer.md"] {
            sh.copy_file(file, &content)?;
        }
        let archive = self.folder.join(format!("{name}.tar.gz"));
        let parent = content.parent().unwrap_or(&content);
        step.quiet(
            cmd!(sh, "tar --create --gzip --file {archive} --directory {parent} {name}"),
            "install tar",
        )?;
        Ok(())
    }

    fn write_checksums(&self, step: &Step) -> Result<()> {
        let sh = &self.workspace.sh;
        let script = "
            const { createHash } = require('node:crypto')
            const { readFileSync, readdirSync, writeFileSync } = require('node:fs')
            process.chdir(process.argv[1])
            const sum = (file) => createHash('sha256').update(readFileSync(file)).digest('hex')
            const lines = readdirSync('.').sort().map((file) => `${sum(file)}  ${file}\\n`)
            writeFileSync('SHA256SUMS', lines.join(''))";
        let folder = &self.folder;
        step.quiet(cmd!(sh, "node -e {script} {folder}"), "run this again")?;
        for file in sh.read_dir(folder)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kilobytes = file.metadata()?.len().div_ceil(1000);
            step.note(&format!("      {kilobytes:>6} kB  {name}"));
        }
        Ok(())
    }

    /// Runs the commands that publish the release, or prints them.
    fn publish(&self, step: &Step, dry_run: bool) -> Result<()> {
        for command in self.commands() {
            if dry_run {
                step.note(&format!("      would run: {command}"));
            } else {
                step.stream(command, "what was published before it stays published")?;
            }
        }
        Ok(())
    }

    fn commands(&self) -> [Cmd<'_>; 2] {
        let sh = &self.workspace.sh;
        let archive = self.folder.join(format!("countersign-{}.tgz", self.version));
        // The registries get what was checked: these sources, and this archive.
        [
            cmd!(sh, "cargo publish --locked").args(selected()),
            cmd!(sh, "{NPM} publish {archive} --access public --provenance"),
        ]
    }
}

/// The arguments that select the published crates.
fn selected() -> impl Iterator<Item = String> {
    PUBLISHED.iter().map(|name| format!("--package={name}"))
}

fn manifest_of(name: &str) -> String {
    let folder = if name == WASM_CRATE { "verifier-wasm" } else { "issuer" };
    format!("{folder}/Cargo.toml")
}

/// Returns the target of a program that runs on every Linux of this kind of processor.
fn static_target() -> String {
    if cfg!(target_os = "linux") {
        format!("{ARCH}-unknown-linux-musl")
    } else if cfg!(target_os = "macos") {
        format!("{ARCH}-apple-darwin")
    } else {
        format!("{ARCH}-pc-windows-msvc")
    }
}

fn copy_folder(sh: &Shell, from: &Path, to: &Path) -> Result<()> {
    sh.create_dir(to)?;
    for entry in sh.read_dir(from)? {
        let target = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy_folder(sh, &entry, &target)?;
        } else {
            sh.copy_file(entry, target)?;
        }
    }
    Ok(())
}
