//! Writes `tests/vectors/*.json`. With `--check`, reports the files that are not up to date.

use std::process::ExitCode;

use countersign_tests::{topics, vector};

fn main() -> ExitCode {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => {
            eprintln!("unknown argument {other}: expected --check, or nothing to write the files");
            return ExitCode::from(2);
        }
    };
    let mut stale = 0;
    for (name, vectors) in topics::all() {
        let path = vector::folder().join(name);
        let text = vector::to_text(&vectors);
        if check {
            if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                eprintln!("tests/vectors/{name} differs from what its generator writes");
                stale += 1;
            }
        } else if let Err(error) = std::fs::write(&path, text) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        } else {
            println!("{:4} vectors in tests/vectors/{name}", vectors.len());
        }
    }
    if stale == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
