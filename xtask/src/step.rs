//! Named steps that show their progress, and the commands they run.

use std::{
    cell::Cell,
    io::{self, Write},
    time::Instant,
};

use anyhow::{Result, anyhow, bail};
use xshell::Cmd;

type Work<'a> = Box<dyn FnOnce(&Step) -> Result<()> + 'a>;

/// The steps of one command, in order.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    steps: Vec<(&'static str, Work<'a>)>,
}

impl<'a> Plan<'a> {
    /// Adds a step. Its name is a phrase with a verb: "build the WASM module".
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&Step) -> Result<()> + 'a,
    ) -> &mut Self {
        self.steps.push((name, Box::new(work)));
        self
    }

    /// Runs the steps. Stops at the first that fails, with an error that names it.
    pub(crate) fn run(self) -> Result<()> {
        let total = self.steps.len();
        for (index, (name, work)) in self.steps.into_iter().enumerate() {
            let label = format!("[{}/{total}]", index + 1);
            print!("{label} {name} …");
            flush();
            let step = Step { line_open: Cell::new(true) };
            let started = Instant::now();
            if let Err(error) = work(&step) {
                step.break_line();
                return Err(anyhow!("step {label} ({name}) failed: {error:#}"));
            }
            let seconds = started.elapsed().as_secs_f64();
            if step.line_open.get() {
                println!(" {seconds:.1} s");
            } else if index + 1 < total {
                // The last step's output ends with a closing line of its own.
                println!("{label} … {seconds:.1} s");
            }
        }
        Ok(())
    }
}

/// A running step. It runs commands and prints notes without garbling its progress line.
pub(crate) struct Step {
    line_open: Cell<bool>,
}

impl Step {
    /// Runs a command with its output passed through. `advice` is the end of the error message.
    pub(crate) fn stream(&self, command: Cmd<'_>, advice: &str) -> Result<()> {
        self.break_line();
        command.quiet().run().map_err(|error| anyhow!("{error}; {advice}"))
    }

    /// Runs a command and returns its standard output. Prints its output only if it fails.
    pub(crate) fn quiet(&self, command: Cmd<'_>, advice: &str) -> Result<String> {
        let shown = command.to_string();
        let output = command.quiet().ignore_status().output();
        let output = output.map_err(|error| anyhow!("{error}; {advice}"))?;
        if !output.status.success() {
            self.note(String::from_utf8_lossy(&output.stdout).trim_end());
            self.note(String::from_utf8_lossy(&output.stderr).trim_end());
            bail!("`{shown}` ended with {}; {advice}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Prints a line, unless it is empty.
    pub(crate) fn note(&self, line: &str) {
        if !line.is_empty() {
            self.break_line();
            println!("{line}");
        }
    }

    /// Ends the progress line before other output.
    pub(crate) fn break_line(&self) {
        if self.line_open.replace(false) {
            println!();
        }
        // Commands write to the same terminal by themselves.
        flush();
    }
}

fn flush() {
    // A closed terminal is no reason to stop.
    let _ = io::stdout().flush();
}
