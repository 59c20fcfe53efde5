//! The commands of `audit`.

use clap::Subcommand;
use serde_json::json;

use super::{existing, print};
use crate::audit::AuditEntry;
use crate::{Config, Error};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the last entries, oldest first
    List {
        /// Only those of this user, client, session or key
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        subject: Option<String>,
        /// Number of entries
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) async fn run(self, config: &Config) -> Result<(), Error> {
        match self {
            Self::List { subject, limit, json } => list(config, subject, limit, json).await,
        }
    }
}

/// Prints time (UNIX seconds), event and subject of each entry, separated by tabs.
async fn list(
    config: &Config,
    subject: Option<String>,
    limit: u32,
    as_json: bool,
) -> Result<(), Error> {
    let entries = existing(config).await?.audit(subject, limit).await?;
    if as_json {
        let rows = entries.iter().map(|AuditEntry { at, event, subject }| {
            json!({ "at": at, "event": event, "subject": subject })
        });
        return print(&format!("{}\n", json!(rows.collect::<Vec<_>>())));
    }
    let line =
        |AuditEntry { at, event, subject }: &AuditEntry| format!("{at}\t{event}\t{subject}\n");
    print(&entries.iter().map(line).collect::<String>())
}
