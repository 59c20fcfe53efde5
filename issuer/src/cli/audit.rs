//! The commands of `audit`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::existing;
use super::output::Output;
use super::user::find_id;
use crate::audit::{AuditEntry, AuditFilter, Event};
use crate::config::parse_duration;
use crate::{Clock, Config, Error};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the last entries, oldest first; options combine
    List(List),
}

#[derive(Args)]
pub(super) struct List {
    /// Only those of this user, a name or a sub
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    user: Option<String>,
    /// Only those with this subject: the id of a user, client, session or key
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    subject: Option<String>,
    /// Only those from this network, as it is listed
    #[arg(long, value_name = "NETWORK", allow_hyphen_values = true)]
    network: Option<String>,
    /// Only this event; may be repeated
    #[arg(long = "event", value_name = "EVENT", value_parser = PossibleValuesParser::new(Event::NAMES))]
    #[arg(hide_possible_values = true)]
    events: Vec<String>,
    /// Only since this time, such as 2026-11-29T06:00:00Z, or for so long, such as 12h
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    since: Option<Since>,
    /// Only those before the entry with this id, as --json prints it
    #[arg(long, value_name = "ID")]
    before: Option<u64>,
    /// Number of entries, up to 100000
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// The oldest time to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// UNIX seconds.
    Time(u64),
    /// Seconds before now.
    Ago(u64),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::Time(u64::try_from(time.unix_timestamp()).unwrap_or(0)));
        }
        let ago = parse_duration(text).map(|duration| Self::Ago(duration.as_secs()));
        ago.map_err(|expected| format!("{expected}, or a time such as 2026-11-29T06:00:00Z"))
    }

    fn seconds(self, now: u64) -> u64 {
        match self {
            Self::Time(time) => time,
            Self::Ago(seconds) => now.saturating_sub(seconds),
        }
    }
}

impl Command {
    pub(super) async fn run(self, config: &Config, output: Output) -> Result<(), Error> {
        match self {
            Self::List(list) => list.run(config, output).await,
        }
    }
}

impl List {
    /// Prints time (UNIX seconds), event, subject, user, network, number and actor of each entry,
    /// separated by tabs.
    async fn run(self, config: &Config, output: Output) -> Result<(), Error> {
        let store = existing(config).await?;
        let user_id = match &self.user {
            Some(user) => Some(find_id(&*store, user).await?),
            None => None,
        };
        let filter = AuditFilter {
            subject: self.subject,
            user_id,
            network: self.network,
            events: self.events,
            since: self.since.map_or(0, |since| since.seconds(Clock::system().now())),
            before: self.before,
            most: self.limit,
        };
        let entries = store.audit(filter).await?;
        let lines: String = entries.iter().map(line).collect();
        output.print(&lines, &entries.iter().map(object).collect())
    }
}

fn object(entry: &AuditEntry) -> serde_json::Value {
    let AuditEntry { id, at, event, subject, user_id, user_name, network, count, actor } = entry;
    json!({ "id": id, "at": at, "event": event, "subject": subject, "sub": user_id,
            "user": user_name, "network": network, "count": count, "actor": actor })
}

/// Returns a line that has the name of the user, or the `sub` of a deleted one.
fn line(entry: &AuditEntry) -> String {
    let AuditEntry { at, event, subject, user_id, user_name, network, count, actor, .. } = entry;
    let user = user_name.as_ref().or(user_id.as_ref()).map_or("-", String::as_str);
    let network = network.as_deref().unwrap_or("-");
    let actor = actor.as_deref().unwrap_or("-");
    format!("{at}\t{event}\t{subject}\t{user}\t{network}\t{count}\t{actor}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_duration() {
        let (now, hour) = (1_800_000_000, 3600);
        for (text, expected) in [
            ("12h", Ok(now - 12 * hour)),
            ("90", Ok(now - 90)),
            ("2027-01-15T07:00:00Z", Ok(now - hour)),
            ("2027-01-15T09:00:00.5+02:00", Ok(now - hour)),
            ("1960-01-01T00:00:00Z", Ok(0)),
            ("2027-01-15", Err(())),
            ("yesterday", Err(())),
        ] {
            let since = Since::parse(text).map(|since| since.seconds(now)).map_err(|_| ());
            assert_eq!(since, expected, "{text}");
        }
    }
}
