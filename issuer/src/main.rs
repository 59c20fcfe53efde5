//! The issuer's binary. What it does is in the library.

fn main() -> std::process::ExitCode {
    countersign_issuer::main()
}
