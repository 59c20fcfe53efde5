//! Invariants of ARCHITECTURE.md that hold by what the sources do not say.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a fault in a test's own tools should fail the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// What gives a crate a clock, I/O or global state.
const OUTSIDE: [&str; 16] = [
    "SystemTime",
    "Instant",
    "std::time",
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

#[test]
fn verifier_and_claims_have_no_clock_no_input_and_no_global_state() {
    for folder in ["verifier/src", "claims/src"] {
        let sources = sources(&root().join(folder));
        assert!(!sources.is_empty(), "{folder} holds no source");
        for path in sources {
            for (number, line) in code(&read(&path)) {
                let found = OUTSIDE.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{}:{number}: {found:?}", path.display());
            }
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

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
