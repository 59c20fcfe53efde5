use std::io::{IsTerminal as _, Write as _};

use super::print;
use crate::config::DatabaseUrl;
use crate::store::copy::{Counts, copy as copy_all};
use crate::store::{self, Missing};
use crate::{Clock, Config, Error, service};

/// `store copy --from URL --to URL`: all that a database holds, into one that holds nothing. The
/// sealed keys are copied as they are, so that the copy needs the same master key.
pub(super) async fn copy(config: &Config, from: &str, to: &str) -> Result<(), Error> {
    if from == to {
        return Err(Error::Refused("--from and --to are the same database".to_owned()));
    }
    let place = |flag: &str, url: &str| {
        DatabaseUrl::parse(url).map_err(|e| Error::Config(format!("{flag}: {e}")))
    };
    let (source, target) = (place("--from", from)?, place("--to", to)?);
    // With the master key, so that nobody learns after the move that it is another one.
    let opened = service::open_store(config, &source, Missing::Refuse).await?;
    let (copied_to, ()) = store::open(&target, Missing::Make, |_| Ok(())).await?;
    let counts = copy_all(&*opened.store, &*copied_to, show).await?;
    if std::io::stderr().is_terminal() {
        // Nothing can be done when stderr is closed.
        let _ = writeln!(std::io::stderr());
    }
    let counts = counts.ok_or_else(|| {
        Error::Refused(format!(
            "{} is not empty; nothing was copied. Name a database that no issuer has used",
            target.show()
        ))
    })?;
    let lines = counts.iter().map(|(table, count)| format!("{table}\t{count}\n"));
    print(&format!(
        "{}\ncopied. Set database to the copy and master_key or master_key_file to the key that \
         opens the one before, and start the issuers again\n",
        lines.collect::<String>()
    ))
}

/// One line that is written over and over, where somebody looks.
fn show(counts: &Counts) {
    if std::io::stderr().is_terminal() {
        let counts: Vec<_> =
            counts.iter().map(|(table, count)| format!("{table} {count}")).collect();
        let _ = write!(std::io::stderr(), "\rcopying: {}", counts.join(", "));
    }
}

/// `store reset-clock`: an issuer whose clock was ahead has left a time that others wait for; this
/// machine's clock is the right one.
pub(super) async fn reset_clock(config: &Config) -> Result<(), Error> {
    let database = DatabaseUrl::parse(&config.database)?;
    let opened = service::open_store(config, &database, Missing::Refuse).await?;
    let now = Clock::system().now();
    print(&if opened.store.reset_time(now).await? {
        format!(
            "no issuer waits for a later time than {now} (UNIX seconds) any more; those that run \
             take it up within a minute\n"
        )
    } else {
        format!("no issuer saw a later time than {now} (UNIX seconds): there is nothing to reset\n")
    })
}
