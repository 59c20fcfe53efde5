//! Steps that show their progress, and the commands they run.

use std::{
    cell::Cell,
    io::{self, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};

type Work<'a> = Box<dyn FnOnce(&Step) -> Result<()> + 'a>;

/// The steps of one command, in order. Lifetimes let the steps borrow what they work on.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    steps: Vec<(&'static str, Work<'a>)>,
}

impl<'a> Plan<'a> {
    /// Adds a step. Its name is a phrase that says what it does: "build the WASM module".
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&Step) -> Result<()> + 'a,
    ) -> &mut Self {
        self.steps.push((name, Box::new(work)));
        self
    }

    /// Runs the steps and stops at the first that fails, with an error that names it.
    pub(crate) fn run(self) -> Result<()> {
        let total = self.steps.len();
        for (index, (name, work)) in self.steps.into_iter().enumerate() {
            let label = format!("[{}/{total}]", index + 1);
            let step = Step::begin(&label, name);
            let started = Instant::now();
            let outcome = work(&step);
            if let Err(error) = outcome {
                step.break_line();
                return Err(anyhow!("step {label} ({name}) failed: {error:#}"));
            }
            // The last step's output is the closing line of whatever it ran: nothing follows that.
            step.end(&label, started.elapsed(), index + 1 == total);
        }
        Ok(())
    }
}

/// A step that is running: the way to run commands and print without garbling its progress line.
pub(crate) struct Step {
    line_open: Cell<bool>,
}

impl Step {
    /// Runs `command` with its output passed through, for commands that take long or that report.
    /// `advice` completes "…failed; " when it fails.
    pub(crate) fn stream(&self, command: &mut Command, advice: &str) -> Result<()> {
        self.break_line();
        let status = command
            .stdin(Stdio::null())
            .status()
            .map_err(|error| anyhow!("`{}` did not start ({error}); {advice}", shown(command)))?;
        if !status.success() {
            bail!("`{}` ended with {status}; {advice}", shown(command));
        }
        Ok(())
    }

    /// Runs `command` and returns its standard output. Its messages are printed only if it fails.
    pub(crate) fn quiet(&self, command: &mut Command, advice: &str) -> Result<String> {
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| anyhow!("`{}` did not start ({error}); {advice}", shown(command)))?;
        if !output.status.success() {
            self.note(String::from_utf8_lossy(&output.stdout).trim_end());
            self.note(String::from_utf8_lossy(&output.stderr).trim_end());
            bail!("`{}` ended with {}; {advice}", shown(command), output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Prints a line of its own, if there is anything in it.
    pub(crate) fn note(&self, line: &str) {
        if !line.is_empty() {
            self.break_line();
            println!("{line}");
        }
    }

    fn begin(label: &str, name: &str) -> Self {
        print!("{label} {name} …");
        flush();
        Self { line_open: Cell::new(true) }
    }

    fn end(&self, label: &str, took: Duration, last: bool) {
        let seconds = took.as_secs_f64();
        if self.line_open.get() {
            println!(" {seconds:.1} s");
        } else if !last {
            println!("{label} … {seconds:.1} s");
        }
    }

    /// Ends the progress line, for output that does not come through here.
    pub(crate) fn break_line(&self) {
        if self.line_open.replace(false) {
            println!();
        }
        // Commands write to the same terminal by themselves.
        flush();
    }
}

/// A command as one would type it. Leaves out the environment, which may hold secrets.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}

fn flush() {
    // A terminal that has gone away is no reason to stop.
    let _ = io::stdout().flush();
}
