//! The issuer's binary; the library does all the work.

fn main() -> std::process::ExitCode {
    countersign_issuer::main()
}
