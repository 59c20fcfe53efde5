//! The commands of `store`, and `migrate`.

use std::io::{IsTerminal as _, Write as _};

use clap::Subcommand;
use serde_json::{Map, json};

use super::output::Output;
use crate::config::DatabaseUrl;
use crate::store::copy::{Counts, copy as copy_all};
use crate::store::{self, Missing};
use crate::{Clock, Config, Error, service};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Copy a database into an empty one, of the same kind or the other
    Copy {
        /// Database to read [default: the setting database]
        #[arg(long, value_name = "URL")]
        from: Option<String>,
        /// Empty database [default: the setting database]
        #[arg(long, value_name = "URL", required_unless_present = "from")]
        to: Option<String>,
    },
    /// Forget a time that an issuer saw while its clock was ahead of this machine's
    ResetClock,
}

impl Command {
    pub(super) async fn run(&self, config: &Config, output: Output) -> Result<(), Error> {
        match self {
            Self::Copy { from, to } => copy(config, from.as_deref(), to.as_deref(), output).await,
            Self::ResetClock => reset_clock(config, output).await,
        }
    }
}

/// Copies a database. The sealed keys are copied as they are, so that the copy needs the same master
/// key. A URL that is not given is that of the setting, so that a password need not be in a flag.
async fn copy(
    config: &Config,
    from: Option<&str>,
    to: Option<&str>,
    output: Output,
) -> Result<(), Error> {
    let parse = |flag: &str, url: Option<&str>| match url {
        Some(url) => url.parse().map_err(|e| Error::Config(format!("{flag}: {e}"))),
        None => Ok(config.database.clone()),
    };
    let (source, target): (DatabaseUrl, DatabaseUrl) = (parse("--from", from)?, parse("--to", to)?);
    if source.to_string() == target.to_string() {
        return Err(Error::Refused("--from and --to are the same database".to_owned()));
    }
    if store::is_in_use(&source).await? {
        return Err(Error::Refused(format!(
            "{source} is in use; nothing was copied. Stop every issuer on it first: changes that \
             they make later would be lost"
        )));
    }
    // A wrong master key is refused now, not after the move.
    let opened = service::open_store(config, &source, Missing::Refuse).await?;
    let (copied_to, ()) = store::open(&target, Missing::Make, |_| Ok(())).await?;
    let counts = copy_all(&*opened.store, &*copied_to, show_progress).await?;
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr());
    }
    let counts = counts.ok_or_else(|| {
        Error::Refused(format!(
            "{target} is not empty; nothing was copied. Name a database that no issuer has used"
        ))
    })?;
    let lines = counts.iter().map(|(table, count)| format!("{table}\t{count}\n"));
    let text = format!(
        "{}\ncopied. Set database to the copy, keep master_key or master_key_file at the key of \
         the original, and start the issuers again\n",
        lines.collect::<String>()
    );
    let rows: Map<_, _> =
        counts.iter().map(|(table, count)| ((*table).to_owned(), (*count).into())).collect();
    output.print(&text, &json!({ "rows": rows }))
}

/// Overwrites one line on the terminal with the progress.
fn show_progress(counts: &Counts) {
    if std::io::stderr().is_terminal() {
        let counts: Vec<_> =
            counts.iter().map(|(table, count)| format!("{table} {count}")).collect();
        let _ = write!(std::io::stderr(), "\rcopying: {}", counts.join(", "));
    }
}

/// Resets the latest time that any issuer saw to this machine's time. An issuer whose clock was ahead
/// left a later one, and the others wait for it.
async fn reset_clock(config: &Config, output: Output) -> Result<(), Error> {
    let opened = service::open_store(config, &config.database, Missing::Refuse).await?;
    let now = Clock::system().now();
    let is_reset = opened.store.reset_time(now).await?;
    let text = if is_reset {
        format!(
            "the latest time that an issuer saw is now {now} (UNIX seconds); running issuers stop \
             waiting within a minute\n"
        )
    } else {
        format!("no issuer saw a later time than {now} (UNIX seconds); there is nothing to reset\n")
    };
    output.print(&text, &json!({ "now": now, "reset": is_reset }))
}

/// Migrates the database. Every command migrates the database that it opens; this one does nothing
/// else.
pub(super) async fn migrate(config: &Config, output: Output) -> Result<(), Error> {
    service::open_store(config, &config.database, Missing::Refuse).await?;
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("the database is ready for version {version}\n");
    output.print(&text, &json!({ "version": version }))
}
