//! Runs the vectors on standard input with the Rust verifier. `cargo xtask test` compiles this
//! program to WASI, to check that the verifier needs nothing from its host.

use std::process::ExitCode;

use countersign_tests::vector::Vector;
use countersign_verifier::kernel_in_use;

fn main() -> ExitCode {
    let files = serde_json::Deserializer::from_reader(std::io::stdin()).into_iter::<Vec<Vector>>();
    let (mut ran, mut disagreements) = (0, 0);
    for file in files {
        let vectors = match file {
            Ok(vectors) => vectors,
            Err(error) => {
                eprintln!("expected arrays of vectors: {error}");
                return ExitCode::FAILURE;
            }
        };
        for vector in vectors {
            ran += 1;
            let code = vector.verify().err().map_or("ok", |error| error.code());
            if code != vector.expect {
                disagreements += 1;
                eprintln!("{}: {code}, expected {}", vector.name, vector.expect);
            }
        }
    }
    println!("{ran} vectors, {disagreements} disagreements, kernel: {:?}", kernel_in_use());
    if ran > 0 && disagreements == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
