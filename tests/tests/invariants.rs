//! Invariants of ARCHITECTURE.md that a test can see in the sources.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a fault in a test's own tools should fail the test"
)]

mod imports;

use std::fs;
use std::path::{Path, PathBuf};

use imports::Imports;

/// Names that stand for a clock, I/O or global state.
const OUTSIDE: [&str; 17] = [
    "::now(",
    "SystemTime",
    "std::time",
    "Instant",
    "std::net",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "static mut",
    "Atomic",
    "thread_local",
    "OnceLock",
    "OnceCell",
    "LazyLock",
    "Mutex",
];

/// The file that converts a time of the caller, and its names from [`OUTSIDE`].
const CONVERTS_TIMES: (&str, [&str; 2]) =
    ("verifier/src/system_time.rs", ["SystemTime", "std::time"]);

#[test]
fn verifier_and_claims_have_no_clock_no_input_and_no_global_state() {
    for folder in ["verifier/src", "claims/src"] {
        let sources = files(&root().join(folder), "rs");
        assert!(!sources.is_empty(), "{folder} holds no source");
        for path in sources {
            let converts_times = path.ends_with(CONVERTS_TIMES.0);
            let is_allowed = |word| converts_times && CONVERTS_TIMES.1.contains(word);
            for (number, line) in code(&read(&path)) {
                let found = OUTSIDE.iter().find(|word| line.contains(**word) && !is_allowed(*word));
                assert!(found.is_none(), "{}:{number}: {found:?}", path.display());
            }
        }
    }
}

#[test]
fn the_rules_for_fetched_keys_have_no_clock_and_no_input() {
    for file in ["caching", "lifetime", "limits", "rules", "unknown_kids"] {
        let path = root().join("axum/src").join(file).with_extension("rs");
        for (number, line) in code(&read(&path)) {
            let line = line.replace("std::time::Duration", "");
            let words = OUTSIDE.iter().chain(&["async", "tokio"]);
            let found = words.copied().find(|word| line.contains(word));
            assert!(found.is_none(), "{}:{number}: {found:?}", path.display());
        }
    }
}

#[test]
fn verifier_and_claims_do_without_the_standard_library() {
    for crate_root in ["verifier/src/lib.rs", "claims/src/lib.rs"] {
        let text = read(&root().join(crate_root));
        assert!(code(&text).any(|(_, line)| line == "#![no_std]"), "{crate_root} is not no_std");
    }
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    for (folder, allowed) in [
        ("claims", &[][..]),
        ("verifier", &["countersign-claims"]),
        ("verifier-wasm", &["countersign-verifier"]),
        ("axum", &["countersign-verifier"]),
        ("issuer", &["countersign-claims"]),
    ] {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let others: Vec<&str> = dependencies(&manifest)
            .filter(|name| name.starts_with("countersign-"))
            .filter(|name| !allowed.contains(name))
            .collect();
        assert!(others.is_empty(), "{folder} depends on {others:?}");
    }
}

/// The crates of the workspace with modules.
const CRATES: [&str; 8] =
    ["claims", "verifier", "verifier-wasm", "axum", "issuer", "tests", "xtask", "bench/load"];

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for name in CRATES {
        let imports = imports::of_crate(&root().join(name).join("src"));
        assert_eq!(imports::circle(&imports), None, "{name}: {imports:#?}");
    }
    let package = imports::of_typescript(&root().join("pkg/src"));
    assert_eq!(imports::circle(&package), None, "pkg/src: {package:#?}");
}

/// The layers of the issuer, from the top down.
const LAYERS: [&[&str]; 6] = [
    &["cli"],
    &["serve", "http"],
    &["service", "metrics"],
    &["store"],
    &[
        "audit",
        "authentication",
        "clients",
        "idempotency",
        "keys",
        "login",
        "one_time",
        "custom_claims",
        "passkeys",
        "scope",
        "second_factor",
        "session",
        "status",
        "target",
        "users",
    ],
    &[
        "clock",
        "config",
        "crypto",
        "disk",
        "error",
        "files",
        "limits",
        "log_lines",
        "network",
        "pem",
        "sealing",
    ],
];

#[test]
fn each_layer_of_the_issuer_imports_from_those_below_it() {
    let imports = imports::of_crate(&root().join("issuer/src"));
    let layer = |module: &String| {
        let found = LAYERS.iter().position(|layer| layer.contains(&module.as_str()));
        found.unwrap_or_else(|| {
            panic!("{module} is in no layer: add it to LAYERS and ARCHITECTURE.md")
        })
    };
    for (module, targets) in &imports {
        for target in targets {
            assert!(layer(module) <= layer(target), "{module} imports {target}, which is above it");
        }
    }
    assert!(imports.values().flatten().count() > 50, "{imports:#?}");
}

#[test]
fn a_circle_and_an_import_are_found() {
    let source =
        "use crate::{a::{self, x}, b};\nuse super::c::y;\nfn f() { crate::d::g() }\nuse std::e;";
    let one = tempfile::TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| fs::write(one.path().join(name), text).expect("a file");
    write("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nmod e;\npub use d::Z;\n#[cfg(test)]\nmod t;");
    write("a.rs", source);
    for name in ["b.rs", "c.rs", "e.rs"] {
        write(name, "");
    }
    write("d.rs", "#[cfg(test)]\nmod tests {\n    use crate::a;\n}");
    let imports = imports::of_crate(one.path());
    assert_eq!(imports["a"].iter().collect::<Vec<_>>(), ["b", "c", "d"]);
    assert_eq!(imports::circle(&imports), None);

    write("b.rs", "use super::Z;");
    write("d.rs", "use std::fmt;\n\npub(crate) use crate::a::x;");
    let circle = imports::circle(&imports::of_crate(one.path()));
    assert_eq!(circle, Some(["a", "b", "d", "a"].map(str::to_owned).to_vec()));

    let two = tempfile::TempDir::new().expect("a folder");
    fs::write(two.path().join("a.ts"), "import type { B } from './b.js'").expect("a file");
    fs::write(two.path().join("b.ts"), "export * from './a.js'").expect("a file");
    let imports: Imports = imports::of_typescript(two.path());
    assert_eq!(imports::circle(&imports), Some(["a", "b", "a"].map(str::to_owned).to_vec()));
}

/// The names under `[dependencies]`, whatever tests and builds may need besides.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let section = manifest.split("\n[").find_map(|text| text.strip_prefix("dependencies]\n"));
    let lines = section.unwrap_or_default().lines();
    lines.map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
}

/// The lines of a source that are not comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.starts_with("//"))
}

/// The files below a folder whose names end so.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path, extension) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
