//! The command line of wasm-bindgen, `countersign-bindgen generate`, and its test runner, `countersign-bindgen test`.

use std::{env, ffi::OsString};

use anyhow::{Result, bail};
use wasm_bindgen_cli::{wasm_bindgen, wasm_bindgen_test_runner};

fn main() -> Result<()> {
    let mut arguments = env::args_os();
    let program = arguments.next();
    let command = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = program.into_iter().chain(arguments).collect();
    match command.to_str() {
        Some("generate") => wasm_bindgen::run_cli_with_args(arguments),
        Some("test") => wasm_bindgen_test_runner::run_cli_with_args(arguments),
        _ => bail!(
            "expected generate or test, and the arguments of wasm-bindgen or of wasm-bindgen-test-runner"
        ),
    }
}
