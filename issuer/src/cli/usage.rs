//! Errors of the command line, each as one line.

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};

use super::complain;

/// Prints help and version unchanged, and an error as one line. Returns the exit code.
pub(super) fn report(e: &clap::Error) -> ExitCode {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return if e.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    complain(&line(e));
    ExitCode::from(2)
}

fn line(e: &clap::Error) -> String {
    let context = |kind| e.get(kind).map(ToString::to_string);
    let unknown = |what: &str, invalid, suggested| {
        let name = context(invalid).unwrap_or_default();
        let hint = context(suggested)
            .map_or_else(|| "see --help".to_owned(), |nearest| format!("did you mean {nearest}?"));
        format!("unknown {what} {name}; {hint}")
    };
    match e.kind() {
        ErrorKind::UnknownArgument => {
            unknown("flag", ContextKind::InvalidArg, ContextKind::SuggestedArg)
        }
        ErrorKind::InvalidSubcommand => {
            unknown("command", ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand)
        }
        ErrorKind::InvalidValue if e.get(ContextKind::ValidValue).is_some() => {
            let [flag, value] = [ContextKind::InvalidArg, ContextKind::InvalidValue]
                .map(|kind| context(kind).unwrap_or_default());
            let hint = match context(ContextKind::SuggestedValue) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => {
                    format!("expected {}", context(ContextKind::ValidValue).unwrap_or_default())
                }
            };
            format!("unknown value {value} for {flag}; {hint}")
        }
        _ => {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            // clap lists missing arguments in the lines below.
            match context(ContextKind::InvalidArg).filter(|_| first.ends_with(':')) {
                Some(missing) => format!("{first} {missing}; see --help"),
                None => format!("{first}; see --help"),
            }
        }
    }
}
