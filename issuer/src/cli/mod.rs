//! The command line: flags named like the configuration, and what is wrong with it in one line.
//! Each command is in a file of its own.

mod audit;
mod client;
mod keys;
mod log;
mod serve;
mod store;
mod user;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::DatabaseUrl;
use crate::config::SETTINGS;
use crate::store::{self as database, Missing, Store};
use crate::{Config, Error, Sources, service};

/// Runs the command that the process was started with, and answers its exit code: 0 when it did
/// what it says, 1 when it could not, 2 when the command line is wrong. Errors go to stderr as one
/// line.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match command_line().try_get_matches() {
        Ok(matches) => matches,
        Err(e) => return usage(&e),
    };
    match execute(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            complain(&e.to_string());
            ExitCode::FAILURE
        }
    }
}

fn command_line() -> Command {
    let name = || Arg::new("name").required(true).value_name("NAME").help("User name");
    let client_name = || name().help("Client name");
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    let scope = || {
        Arg::new("scope")
            .long("scope")
            .value_name("SCOPE")
            .default_value("")
            .help("What the tokens allow, such as \"read write\"")
    };
    let url = |name, help| {
        Arg::new(name)
            .long(name)
            .required(true)
            .value_name("URL")
            .help(format!("{help}, as in database"))
    };
    let group = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).subcommand_required(true)
    };
    let mut root = Command::new("countersign-issuer")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Logs users in and issues RS256 access tokens")
        .subcommand_required(true)
        .subcommand(Command::new("serve").about("Serve until SIGTERM or SIGINT"))
        .subcommand(
            group("user", "Users; passwords are prompted for, or one line of stdin")
                .subcommand(Command::new("add").about("Add a user").arg(name()).arg(scope()))
                .subcommand(
                    Command::new("passwd")
                        .about("Set a password; ends the user's sessions")
                        .arg(name()),
                )
                .subcommand(
                    Command::new("lock")
                        .about("Let nobody log in as a user; ends the user's sessions")
                        .arg(name()),
                )
                .subcommand(Command::new("unlock").about("Undo lock").arg(name()))
                .subcommand(
                    Command::new("delete")
                        .about("Delete a user; ends the user's sessions")
                        .arg(name()),
                )
                .subcommand(Command::new("list").about("List the users")),
        )
        .subcommand(
            group("client", "Clients that get tokens for themselves; secrets are shown once")
                .subcommand(
                    Command::new("add").about("Add a client and print its id and secret").args([
                        client_name(),
                        scope(),
                        json(),
                    ]),
                )
                .subcommand(
                    Command::new("rotate")
                        .about("Give a client another secret and print it; the old one is dead")
                        .args([client_name(), json()]),
                )
                .subcommand(
                    Command::new("lock").about("Give a client no more tokens").arg(client_name()),
                )
                .subcommand(Command::new("unlock").about("Undo lock").arg(client_name()))
                .subcommand(Command::new("list").about("List the clients")),
        )
        .subcommand(
            group("keys", "Signing keys")
                .subcommand(
                    Command::new("list").about("List the keys and their states").arg(json()),
                )
                .subcommand(Command::new("plan").about("Candidates what the keys are and will be"))
                .subcommand(
                    Command::new("rotate")
                        .about("Let the next key sign as soon as every cache can have it"),
                )
                .subcommand(
                    Command::new("revoke")
                        .about("Take a key away at once; the next one signs from now on")
                        .arg(
                            Arg::new("kid")
                                .required(true)
                                .value_name("KID")
                                // One in 64 begins with a hyphen.
                                .allow_hyphen_values(true)
                                .help("As in keys list"),
                        ),
                )
                .subcommand(
                    Command::new("exchange-secret")
                        .about("Make all refresh tokens worthless: everybody has to log in again"),
                )
                .subcommand(
                    Command::new("import").about("Make the key in a file the next one").arg(
                        Arg::new("file")
                            .required(true)
                            .value_name("FILE")
                            .value_parser(clap::value_parser!(PathBuf))
                            .help("RSA private key, PEM: PKCS#8 or PKCS#1"),
                    ),
                )
                .subcommand(
                    Command::new("rewrap")
                        .about("Seal all keys under another master key; everybody stays logged in")
                        .arg(
                            Arg::new("to")
                                .long("to")
                                .required(true)
                                .value_name("FILE")
                                .value_parser(clap::value_parser!(PathBuf))
                                .help("File with the new master key"),
                        ),
                ),
        )
        .subcommand(
            group("store", "What is kept")
                .subcommand(
                    Command::new("copy")
                        .about("Copy a database into an empty one, of the same kind or the other")
                        .args([url("from", "Database to read"), url("to", "Empty database")]),
                )
                .subcommand(
                    Command::new("reset-clock")
                        .about("Forget what an issuer saw whose clock was ahead of this machine's"),
                ),
        )
        .subcommand(
            Command::new("migrate").about("Bring the database to this version's schema, and stop"),
        )
        .subcommand(
            group("audit", "The audit log").subcommand(
                Command::new("list").about("List the last entries").args([
                    Arg::new("subject")
                        .long("subject")
                        .value_name("ID")
                        .allow_hyphen_values(true)
                        .help("Only those of this user, client, session or key"),
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .default_value("50")
                        .value_parser(clap::value_parser!(u32))
                        .help("How many"),
                    json(),
                ]),
            ),
        )
        .subcommand(
            group("config", "The configuration")
                .subcommand(Command::new("check").about("Check it and print what is in force")),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .global(true)
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("TOML file with the configuration"),
        );
    let defaults = Config::default();
    for setting in SETTINGS {
        let default = defaults.text(setting.name);
        let default = default.map_or(String::new(), |text| format!(" [default: {text}]"));
        let mut flag = Arg::new(setting.name)
            .long(setting.name.replace('_', "-"))
            .global(true)
            .value_name("VALUE")
            .help(format!("{}{default}", setting.help));
        if ["behind_proxy", "status_lists"].contains(&setting.name) {
            flag = flag.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        root = root.arg(flag);
    }
    root
}

/// Help and version as they are; anything wrong as one line.
fn usage(e: &clap::Error) -> ExitCode {
    if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return if e.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let context = |kind| e.get(kind).map(ToString::to_string);
    let line = match e.kind() {
        ErrorKind::UnknownArgument => {
            let flag = context(ContextKind::InvalidArg).unwrap_or_default();
            let hint = context(ContextKind::SuggestedArg)
                .map_or_else(|| "see --help".to_owned(), |near| format!("did you mean {near}?"));
            format!("unknown flag {flag}; {hint}")
        }
        ErrorKind::InvalidSubcommand => {
            let command = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let hint = context(ContextKind::SuggestedSubcommand)
                .map_or_else(|| "see --help".to_owned(), |near| format!("did you mean {near}?"));
            format!("unknown command {command}; {hint}")
        }
        _ => {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default();
            let missing = context(ContextKind::InvalidArg).filter(|_| first.ends_with(':'));
            let missing = missing.unwrap_or_default();
            format!("{} {missing}; see --help", first.trim_start_matches("error: "))
                .replace(" ;", ";")
        }
    };
    complain(&line);
    ExitCode::from(2)
}

fn complain(line: &str) {
    // Nothing can be done when stderr is closed.
    let _ = writeln!(std::io::stderr(), "countersign-issuer: {line}");
}

fn execute(matches: &ArgMatches) -> Result<(), Error> {
    let config = sources(matches).load()?;
    log::to_stderr(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::System(format!("cannot start threads: {e}")))?;
    let (command, matches) = matches.subcommand().unwrap_or(("", matches));
    let (subcommand, matches) = matches.subcommand().unwrap_or(("", matches));
    let text = |name| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let file = |name| matches.get_one::<PathBuf>(name).cloned().unwrap_or_default();
    runtime.block_on(async {
        match (command, subcommand) {
            ("serve", _) => serve::serve(config).await,
            ("user", "add") => user::add(&config, text("name"), text("scope")).await,
            ("user", "passwd") => user::passwd(&config, text("name")).await,
            ("user", "lock" | "unlock") => {
                user::lock(&config, text("name"), subcommand == "lock").await
            }
            ("user", "delete") => user::delete(&config, text("name")).await,
            ("client", "add") => {
                let json = matches.get_flag("json");
                client::add(&config, text("name"), text("scope"), json).await
            }
            ("client", "rotate") => {
                client::rotate(&config, text("name"), matches.get_flag("json")).await
            }
            ("client", "lock" | "unlock") => {
                client::lock(&config, text("name"), subcommand == "lock").await
            }
            ("client", "list") => client::list(&config).await,
            ("user", "list") => user::list(&config).await,
            ("keys", "list") => keys::list(&config, matches.get_flag("json")).await,
            ("keys", "plan") => keys::plan(&config).await,
            ("keys", "rotate") => keys::rotate(&config).await,
            ("keys", "revoke") => keys::revoke(&config, text("kid")).await,
            ("store", "copy") => store::copy(&config, text("from"), text("to")).await,
            ("store", "reset-clock") => store::reset_clock(&config).await,
            ("migrate", _) => migrate(&config).await,
            ("keys", "exchange-secret") => keys::exchange_secret(&config).await,
            ("keys", "import") => keys::import(&config, &file("file")).await,
            ("keys", "rewrap") => keys::rewrap(&config, &file("to")).await,
            ("audit", "list") => {
                let subject = matches.get_one::<String>("subject").cloned();
                let most = matches.get_one("limit").copied().unwrap_or(u32::MAX);
                audit::list(&config, subject, most, matches.get_flag("json")).await
            }
            ("config", "check") => config_check(&config),
            _ => Err(Error::Refused("there is no such command; see --help".to_owned())),
        }
    })
}

/// The configuration's sources. Global flags may stand before the command and after it.
fn sources(matches: &ArgMatches) -> Sources {
    let flag = |setting: &'static crate::config::Setting| {
        let value = matches.get_one::<String>(setting.name)?;
        Some((setting.name, value.clone()))
    };
    Sources {
        file: matches.get_one("config").cloned(),
        environment: std::env::vars_os().collect(),
        flags: SETTINGS.iter().filter_map(flag).collect(),
    }
}

fn config_check(config: &Config) -> Result<(), Error> {
    config.check_serve()?;
    DatabaseUrl::parse(&config.database)?;
    crate::serve::tls::Acceptor::load(config)?;
    print(&config.show())
}

/// `migrate`. Every command migrates what it opens; this one does nothing else.
async fn migrate(config: &Config) -> Result<(), Error> {
    let database = DatabaseUrl::parse(&config.database)?;
    service::open_store(config, &database, Missing::Refuse).await?;
    print(&format!("the database is ready for version {}\n", env!("CARGO_PKG_VERSION")))
}

/// The database, if there is one: a command that only reads or changes must not make it.
async fn existing(config: &Config) -> Result<Arc<dyn Store>, Error> {
    let (store, ()) =
        database::open(&DatabaseUrl::parse(&config.database)?, Missing::Refuse, |_| Ok(())).await?;
    Ok(store)
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::System(format!("cannot write to stdout: {e}")))
}
