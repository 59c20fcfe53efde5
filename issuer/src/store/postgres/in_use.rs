use std::time::Duration;

use tokio::time::sleep;

use super::connection::Connections;
use crate::store::StoreError;

/// Finds connections of other issuers and commands, also those of other roles: all have our name, and
/// other digits after it. A pooler that replaces the names hides them.
const OTHERS: &str = "
    SELECT FROM pg_stat_activity, current_setting('application_name') AS own
    WHERE datname = current_database() AND application_name <> own
      AND length(application_name) = length(own) AND starts_with(application_name, left(own, -8))
    LIMIT 1";

/// The server notices the end of a process a moment later.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Returns true if another issuer is connected to the database.
pub(super) async fn is_in_use(connections: &Connections) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        if connections.read(OTHERS, &[]).await?.is_empty() {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
    Ok(true)
}
