//! The output of commands, for people or for programs.

use std::io::Write as _;

use serde_json::Value;

use crate::Error;

/// Prints results to stdout.
#[derive(Clone, Copy)]
pub(super) struct Output {
    is_json: bool,
}

impl Output {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Prints the text, or with `--json` the value as one line.
    pub(super) fn print(self, text: &str, json: &Value) -> Result<(), Error> {
        if self.is_json { print(&format!("{json}\n")) } else { print(text) }
    }
}

/// Prints a text that has no other form.
pub(super) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::System(format!("cannot write to stdout: {e}")))
}
