use serde_json::json;

use super::{existing, print};
use crate::audit::AuditEntry;
use crate::{Config, Error};

/// `audit list [--subject ID] [--limit N] [--json]`: the last entries, oldest first: time in UNIX
/// seconds, event and subject of each, separated by tabs.
pub(super) async fn list(
    config: &Config,
    subject: Option<String>,
    most: u32,
    as_json: bool,
) -> Result<(), Error> {
    let entries = existing(config).await?.audit(subject, most).await?;
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
