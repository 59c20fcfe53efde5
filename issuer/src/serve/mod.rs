//! The accept loop: takes connections within the limits and hands each one to the HTTP service.
//!
//! `warp::serve` never closes a connection that sends half a header, a slow body or nothing at all.
//! Here each of them has a deadline.

mod activity;
mod connection;
mod state;
mod table;
pub(crate) mod tls;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::connection::Server;
pub(crate) use self::state::Opening;
pub use self::state::State;
use self::table::Table;
pub(crate) use self::waiting::open_when_available;
use crate::Error;
use crate::http::{Listener, Service};

/// Serves on `listener` until `shutdown` completes. Then accepts no more connections, waits up to
/// [`crate::Limits::drain_timeout`] for the requests in flight, and returns.
///
/// # Errors
///
/// [`Error::Config`] when `state` was opened for another address than that of the listener.
/// [`Error::System`] when the maintenance of keys and sessions stopped.
pub async fn run(
    listener: TcpListener,
    state: State,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let State { api, tls } = state;
    let config = &api.issuer.config;
    // The address decided which settings are allowed: some only on loopback.
    if listener.local_addr().ok() != Some(config.listen) {
        return Err(Error::Config(format!(
            "the state was opened for {}; open it for the address of the listener",
            config.listen
        )));
    }
    let server = Server::new(Service::new(Arc::clone(&api), Listener::Public), tls.clone());
    let mut maintenance = JoinSet::new();
    if let Some(tls) = tls {
        maintenance.spawn(tls.watch(api.issuer.clock.clone()));
    }
    let maintained = Arc::clone(&api);
    maintenance.spawn(async move { maintained.issuer.maintain().await });
    let end = async {
        tokio::select! {
            () = shutdown => {
                tracing::info!("stopping");
                Ok(())
            }
            // Without maintenance, keys and certificate would grow old while requests are answered.
            _ = maintenance.join_next() => Err(Error::System(
                "the maintenance task ended; restart the issuer".to_owned(),
            )),
        }
    };
    let (connections, ended) = accept_until(&listener, server, end).await;
    drop(listener);
    ended?;
    connections.drain().await;
    api.issuer.finish().await;
    Ok(())
}

/// Serves the metrics on `listener` until `shutdown` completes, within the same limits as [`run`]
/// but without TLS. `state` is the one of the issuer that [`run`] serves.
pub async fn run_admin(listener: TcpListener, state: State, shutdown: impl Future<Output = ()>) {
    let server = Server::new(Service::new(state.api, admin(&listener)), None);
    let (connections, ()) = accept_until(&listener, server, shutdown).await;
    drop(listener);
    connections.drain().await;
}

fn admin(listener: &TcpListener) -> Listener {
    let is_loopback =
        listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    Listener::Admin { is_loopback }
}

/// The open connections of a listener.
struct Connections {
    tasks: JoinSet<()>,
    /// Dropped to let them end after their requests in flight.
    stop: watch::Sender<()>,
    drain_timeout: Duration,
}

impl Connections {
    /// Waits until the requests in flight are answered, up to [`crate::Limits::drain_timeout`].
    async fn drain(mut self) {
        drop(self.stop);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.drain_timeout, all).await.is_err() {
            tracing::warn!("requests were cut off at the drain deadline");
        }
    }
}

/// Accepts connections until `end` completes.
async fn accept_until<T>(
    listener: &TcpListener,
    server: Server,
    end: impl Future<Output = T>,
) -> (Connections, T) {
    let (stop, stopped) = watch::channel(());
    let drain_timeout = server.limits.drain_timeout;
    let mut connections = Connections { tasks: JoinSet::new(), stop, drain_timeout };
    let table = Table::new(&server.limits, &server.service.edge().config);
    tokio::pin!(end);
    loop {
        let (stream, peer) = tokio::select! {
            result = &mut end => return (connections, result),
            Some(_) = connections.tasks.join_next() => continue,
            accepted = accept(listener, &table) => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!("a connection could not be accepted: {e}");
                    // Most likely no file descriptor is free: close a connection, and wait for that.
                    table.evict();
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        // Without a slot, the stream is dropped and so closed.
        let Some(admitted) = table.admit(peer.ip()) else { continue };
        let (server, stop) = (server.clone(), stopped.clone());
        connections.tasks.spawn(async move {
            let _counted = server.service.connection();
            if let Err(e) = server.serve(stream, peer, admitted, stop).await {
                tracing::debug!("a connection ended: {e}");
            }
        });
    }
}

/// Waits for room before it accepts: further connections wait in the queue of the kernel.
async fn accept(listener: &TcpListener, table: &Table) -> io::Result<(TcpStream, SocketAddr)> {
    table.room().await;
    listener.accept().await
}
