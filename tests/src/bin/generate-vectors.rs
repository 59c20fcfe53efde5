//! Writes `tests/vectors/*.json` and `tests/status_lists.json`. With `--check`, reports the files that are not up to date.

use std::process::ExitCode;

use countersign_tests::{status_vector, topics, vector};

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
    let status_lists = topics::status_lists();
    let files = topics::all().into_iter().map(|(name, vectors)| {
        (vector::folder().join(name), vectors.len(), vector::to_text(&vectors))
    });
    let text = status_vector::to_text(&status_lists);
    for (path, count, text) in files.chain([(status_vector::path(), status_lists.len(), text)]) {
        let name = path.file_name().unwrap_or_default().display();
        if check {
            if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                eprintln!("{name} differs from what its generator writes");
                stale += 1;
            }
        } else if let Err(error) = std::fs::write(&path, text) {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        } else {
            println!("{count:4} vectors in {name}");
        }
    }
    if stale == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
