//! The command line. Each noun has a file with its commands; `settings` has the flags of the
//! configuration, `output` prints results, and `usage` reports a malformed command line.

mod audit;
mod claims;
mod client;
mod config;
mod health;
mod keys;
mod log;
mod output;
mod serve;
mod settings;
mod shell;
mod store;
mod usage;
mod user;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};

use self::output::Output;
use self::settings::Settings;
use crate::log_lines::LogLines;
use crate::store::{Missing, Store};
use crate::{Config, Error, Sources};

const NAME: &str = "countersign-issuer";

/// Logs users in and issues RS256 access tokens
#[derive(Parser)]
#[command(name = NAME, version, arg_required_else_help = false)]
struct CommandLine {
    /// TOML file with the configuration
    #[arg(long, global = true, value_name = "FILE", help_heading = settings::HEADING)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT
    Serve,
    /// Ask the issuer that runs with this configuration if it is alive; fail if it is not
    Health(health::Health),
    /// Users; passwords are prompted for, or read as one line of stdin
    #[command(subcommand, arg_required_else_help = false)]
    User(user::Command),
    /// Clients that get tokens for themselves; secrets are shown once
    #[command(subcommand, arg_required_else_help = false)]
    Client(client::Command),
    /// Signing keys
    #[command(subcommand, arg_required_else_help = false)]
    Keys(keys::Command),
    /// The database
    #[command(subcommand, arg_required_else_help = false)]
    Store(store::Command),
    /// Bring the database to this version's schema, and stop
    Migrate,
    /// The audit log
    #[command(subcommand, arg_required_else_help = false)]
    Audit(audit::Command),
    /// The configuration
    #[command(subcommand, arg_required_else_help = false)]
    Config(config::Command),
    /// Print a script that completes commands and flags in a shell
    Completions(shell::Completions),
    /// Write man pages into a folder
    Man(shell::Man),
}

/// Runs the command that the process was started with. Returns the exit code: 0 if the command
/// succeeded, 1 if it failed, 2 if the command line is malformed, 3 if the database did not confirm
/// the change. Errors are one line on stderr.
#[must_use]
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(e) => return usage::report(&e),
    };
    let mut log = match LogLines::to_stderr() {
        Ok(log) => log,
        Err(e) => {
            complain(&format!("cannot start a thread: {e}"));
            return ExitCode::FAILURE;
        }
    };
    let result = run(command_line, &log);
    if let Err(e) = &result {
        let advice = if matches!(e, Error::Unconfirmed(_)) { WHEN_UNCONFIRMED } else { "" };
        // After the lines of the log, and without waiting for somebody to read them.
        complain_to(&mut log, &format!("{e}{advice}"));
    }
    log.flush(FLUSH_TIMEOUT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Unconfirmed(_)) => UNCONFIRMED.into(),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The exit code if a change may have been made.
const UNCONFIRMED: u8 = 3;

/// The advice for that. Before the database has recovered, `audit list` may show what a failover
/// undoes, or lack what is about to be made.
const WHEN_UNCONFIRMED: &str = "; the change may have been made, or is made when the database has \
     recovered. Then look with audit list, which has each change, and repeat the command if there is \
     none. Before that, what is listed may still be lost";

/// The longest wait for threads that still do something, after all requests are answered.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest wait for the last lines of the log.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn run(
    CommandLine { config, settings, json, command }: CommandLine,
    log: &LogLines,
) -> Result<(), Error> {
    let environment = std::env::vars_os().collect();
    let sources = Sources { file: config, environment, flags: settings.0 };
    let config = sources.load()?;
    log::start(&config, log.clone());
    for name in sources.unknown_variables() {
        tracing::warn!(
            "{name} is not a setting and is ignored; countersign-issuer --help lists all"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::System(format!("cannot start threads: {e}")))?;
    let output = Output::new(json);
    let result = runtime.block_on(async {
        match command {
            Command::Serve => serve::serve(config, sources.secret_file(), output).await,
            Command::Health(health) => health.run(&config, output).await,
            Command::User(command) => command.run(&config, output).await,
            Command::Client(command) => command.run(&config, output).await,
            Command::Keys(command) => command.run(&config, output).await,
            Command::Store(command) => command.run(&config, output).await,
            Command::Migrate => store::migrate(&config, output).await,
            Command::Audit(command) => command.run(&config, output).await,
            Command::Config(command) => command.run(&config, output).await,
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        }
    });
    // A thread may wait for a file that never comes.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}

/// Opens the database, and makes it if there is none.
async fn existing_or_new(config: &Config) -> Result<Arc<dyn Store>, Error> {
    open(config, Missing::Make).await
}

/// Opens the database, and refuses if there is none.
async fn existing(config: &Config) -> Result<Arc<dyn Store>, Error> {
    open(config, Missing::Refuse).await
}

async fn open(config: &Config, missing: Missing) -> Result<Arc<dyn Store>, Error> {
    let (store, ()) = crate::store::open(&config.database, missing, |_| Ok(())).await?;
    Ok(store)
}

fn complain(line: &str) {
    complain_to(&mut std::io::stderr(), line);
}

fn complain_to(out: &mut impl Write, line: &str) {
    // A closed stderr leaves nowhere to report to.
    let _ = out.write_all(format!("countersign-issuer: {line}\n").as_bytes());
}
