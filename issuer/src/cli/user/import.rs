//! `user import`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::output::Output;
use crate::service::open_store;
use crate::service::user_import::{Counts, Import, Watcher};
use crate::store::Missing;
use crate::{Clock, Config, Error};

/// The most refused lines that are printed.
const MOST_PRINTED: usize = 100;

#[derive(Args)]
pub(in crate::cli) struct ImportUsers {
    /// File with a JSON object for each user, one in a line; - to read stdin
    file: PathBuf,
    /// Write all refused lines, with number and reason, into this new file as lines of JSON
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
}

impl ImportUsers {
    /// Adds the users of a file. Those of lines that are in order are added, whatever is wrong with
    /// others.
    pub(super) async fn run(&self, config: &Config, output: Output) -> Result<(), Error> {
        let input = open_input(&self.file)?;
        let mut report = Report::new(self.refused.as_deref())?;
        let opened = open_store(config, &config.database, Missing::Make).await?;
        let mut import = Import::new(opened, config, Clock::system())?;
        let result = import.run(input, &mut report).await;
        let finished = report.finish();
        let Counts { added, present, refused } = result?;
        let text = format!(
            "added users: {added}; there already: {present}; refused lines: {refused}\n\
             users can log in with the passwords that they have\n"
        );
        output.print(&text, &json!({ "added": added, "present": present, "refused": refused }))?;
        finished?;
        match refused {
            0 => Ok(()),
            _ => Err(Error::Refused(format!(
                "refused lines: {refused}; all others are done. Correct them and run the command \
                 again: users that are there already stay as they are"
            ))),
        }
    }
}

fn open_input(path: &Path) -> Result<Box<dyn BufRead>, Error> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = File::open(path);
    let file = file.map_err(|e| Error::Refused(format!("cannot read {}: {e}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Shows the progress, and keeps the reasons of refused lines until the end.
struct Report {
    is_terminal: bool,
    /// The first refused lines.
    first: Vec<String>,
    /// All refused lines.
    all: Option<(PathBuf, BufWriter<File>)>,
}

impl Report {
    fn new(all: Option<&Path>) -> Result<Self, Error> {
        let create = |path: &Path| match File::create_new(path) {
            Ok(file) => Ok((path.to_owned(), BufWriter::new(file))),
            Err(e) => Err(cannot_write(path, &e)),
        };
        let all = all.map(create).transpose()?;
        Ok(Self { is_terminal: std::io::stderr().is_terminal(), first: Vec::new(), all })
    }

    /// Prints the first refused lines, and completes the file with all of them.
    fn finish(mut self) -> Result<(), Error> {
        let mut stderr = std::io::stderr().lock();
        let end_of_progress = if self.is_terminal { "\n" } else { "" };
        // A closed stderr leaves nowhere to report to.
        let _ = write!(stderr, "{end_of_progress}{}", self.first.concat());
        match &mut self.all {
            Some((path, file)) => file.flush().map_err(|e| cannot_write(path, &e)),
            None => Ok(()),
        }
    }
}

impl Watcher for Report {
    fn refused(&mut self, line: u64, reason: &str) -> Result<(), Error> {
        if self.first.len() < MOST_PRINTED {
            self.first.push(format!("line {line}: {reason}\n"));
        } else if self.first.len() == MOST_PRINTED {
            self.first.push("more lines were refused; --refused FILE lists all\n".to_owned());
        }
        match &mut self.all {
            Some((path, file)) => writeln!(file, "{}", json!({ "line": line, "reason": reason }))
                .map_err(|e| cannot_write(path, &e)),
            None => Ok(()),
        }
    }

    /// Overwrites one line on the terminal with the progress.
    fn progress(&mut self, Counts { added, present, refused }: Counts) {
        if self.is_terminal {
            let _ = write!(
                std::io::stderr(),
                "\rimporting: added {added}, there already {present}, refused {refused}"
            );
        }
    }
}

fn cannot_write(path: &Path, e: &std::io::Error) -> Error {
    Error::Refused(format!("cannot write {}: {e}", path.display()))
}
