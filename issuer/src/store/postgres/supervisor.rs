//! Finds out if the server still works for connections that nobody uses any more.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::Type;

use super::connect::Connector;

/// The time for an answer, and then for the end of the connection.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Drops the role that a user may have from its beginning: only the user itself may see what its
/// connections do.
const AS_ITSELF: &str = "BEGIN; SET LOCAL ROLE NONE";

/// Finds the statements of this issuer that run for long, such as a COMMIT that waits for a standby.
/// Statements of others do not count, unless a pooler has replaced the names of all connections.
const WORKS: &str = "
    SELECT EXISTS (SELECT FROM pg_stat_activity
      WHERE usename = current_user AND datname = current_database()
        AND (starts_with(application_name, $1)
             OR NOT starts_with(current_setting('application_name'), $1))
        AND state = 'active' AND query_start < now() - interval '4 seconds')";

/// Asks the server, one question at a time, on a connection outside the pool. It therefore has one
/// although the pool's connections are lost.
#[derive(Default)]
pub(super) struct Supervisor {
    last: Mutex<Option<(Instant, Option<Report>)>>,
}

#[derive(Clone, Copy)]
struct Report {
    /// The host that can be written now.
    host: usize,
    works: bool,
}

impl Supervisor {
    /// Returns true if a server that can be written was reached, and does not work for a connection to
    /// `host`. After a failover it is another server. The former one cannot be asked, and its
    /// connections count no more.
    pub(super) async fn is_done(&self, connector: &Connector, host: usize) -> bool {
        let called = Instant::now();
        let mut last = self.last.lock().await;
        let report = match *last {
            // Somebody asked meanwhile.
            Some((asked, report)) if asked >= called => report,
            _ => {
                let asked = Instant::now();
                let report = ask(connector).await;
                *last = Some((asked, report));
                report
            }
        };
        report.is_some_and(|report| report.host != host || !report.works)
    }
}

async fn ask(connector: &Connector) -> Option<Report> {
    let link = connector.connect(None).await.ok()?;
    let host = link.host();
    let works = timeout(TIMEOUT, async {
        link.batch_execute(AS_ITSELF).await?;
        link.query_typed(WORKS, &[(&connector.name(), Type::TEXT)]).await
    });
    let works = works.await;
    let mut driver = link.finish();
    // The next question waits until this connection is closed.
    if works.is_err() || timeout(TIMEOUT, &mut driver).await.is_err() {
        driver.abort();
    }
    let works = works.ok()?.ok()?.first()?.try_get(0).ok()?;
    Some(Report { host, works })
}
