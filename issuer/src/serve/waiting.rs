//! The start of an issuer: opens its database, and waits for it as long as it is unavailable.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use super::connection::Server;
use super::state::{Opening, State};
use super::{accept_until, admin};
use crate::Error;
use crate::http::{Listener, Service};
use crate::limits::WarnLimit;

/// The time for a database that works, on a busy machine too. Until then, or until the first try has
/// failed, clients wait for the open issuer: a proxy without health checks sends requests as soon as
/// the address accepts connections.
const SOON: Duration = Duration::from_secs(3);

/// The pause before the second try. Each further pause is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Opens the issuer, and tries again as long as its database is unavailable. Meanwhile both listeners
/// answer: `/healthz/live` with 200, every other endpoint with 503. Returns `None` if `stop` completes
/// before.
///
/// # Errors
///
/// Those of [`Opening::open`] that no later try can cure.
pub(crate) async fn open_when_available(
    opening: &Opening,
    listener: &TcpListener,
    admin_listener: Option<&TcpListener>,
    stop: impl Future<Output = ()>,
) -> Result<Option<State>, Error> {
    let failed = Notify::new();
    let opened = async {
        tokio::select! {
            opened = try_until_open(opening, &failed) => opened.map(Some),
            () = stop => Ok(None),
        }
    };
    tokio::pin!(opened);
    tokio::select! {
        opened = &mut opened => return opened,
        () = failed.notified() => {}
        () = sleep(SOON) => {}
    }
    let serve = |listener| Service::waiting(Arc::clone(&opening.edge), listener);
    let (over, is_over) = oneshot::channel::<()>();
    let public = async {
        let server = Server::new(serve(Listener::Public), opening.tls.clone());
        let ended = accept_until(listener, server, opened).await;
        drop(over);
        ended
    };
    let private = async {
        let listener = admin_listener?;
        let server = Server::new(serve(admin(listener)), None);
        Some(accept_until(listener, server, is_over).await.0)
    };
    let ((connections, opened), admin_connections) = tokio::join!(public, private);
    let drained = async move {
        tokio::join!(connections.drain(), async {
            if let Some(connections) = admin_connections {
                connections.drain().await;
            }
        });
    };
    match &opened {
        // The open issuer takes new connections meanwhile.
        Ok(Some(_)) => drop(tokio::spawn(drained)),
        _ => drained.await,
    }
    opened
}

/// Notifies `failed` of each try that failed.
async fn try_until_open(opening: &Opening, failed: &Notify) -> Result<State, Error> {
    let warnings = WarnLimit::default();
    let mut pause = FIRST_PAUSE;
    loop {
        match opening.open().await {
            // A change of the schema that is not confirmed is looked at again.
            Err(Error::Unavailable(e) | Error::Unconfirmed(e)) => {
                if warnings.allows() {
                    tracing::warn!("waiting for the database: {e}");
                }
                failed.notify_one();
            }
            opened => return opened,
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
