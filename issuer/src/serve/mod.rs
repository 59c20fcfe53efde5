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
    ended?;
    connections.close(listener).await;
    api.issuer.finish().await;
    Ok(())
}

/// Serves the metrics on `listener` until `shutdown` completes, within the same limits as [`run`]
/// but without TLS. `state` is the one of the issuer that [`run`] serves.
pub async fn run_admin(listener: TcpListener, state: State, shutdown: impl Future<Output = ()>) {
    let server = Server::new(Service::new(state.api, admin(&listener)), None);
    let (connections, ()) = accept_until(&listener, server, shutdown).await;
    connections.close(listener).await;
}

fn admin(listener: &TcpListener) -> Listener {
    let is_loopback =
        listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    Listener::Admin { is_loopback }
}

/// The open connections of a listener.
struct Connections {
    server: Server,
    table: Arc<Table>,
    tasks: JoinSet<()>,
    /// Dropped to let them end after their requests in flight.
    stop: watch::Sender<()>,
}

impl Connections {
    fn new(server: Server) -> Self {
        let table = Table::new(&server.limits, &server.service.edge().config);
        Self { server, table, tasks: JoinSet::new(), stop: watch::Sender::default() }
    }

    fn start(&mut self, stream: TcpStream, peer: SocketAddr) {
        // Without a slot, the stream is dropped and so closed.
        let Some(admitted) = self.table.admit(peer.ip()) else { return };
        let (server, stop) = (self.server.clone(), self.stop.subscribe());
        self.tasks.spawn(async move {
            let _counted = server.service.connection();
            if let Err(e) = server.serve(stream, peer, admitted, stop).await {
                tracing::debug!("a connection ended: {e}");
            }
        });
    }

    /// Closes the listener, and drains the connections. Those in the queue of the kernel belong to
    /// them: their clients may have sent a request.
    async fn close(mut self, listener: TcpListener) {
        for (stream, peer) in queued(listener) {
            self.start(stream, peer);
        }
        self.drain().await;
    }

    /// Waits until the requests in flight are answered, up to [`crate::Limits::drain_timeout`].
    async fn drain(mut self) {
        drop(self.stop);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.server.limits.drain_timeout, all).await.is_err() {
            tracing::warn!("requests were cut off at the drain deadline");
        }
    }
}

/// The longest queue of the kernel that tokio asks for.
const QUEUE: usize = 1024;

/// Closes the listener, and returns the connections in its queue.
fn queued(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let mut queued = Vec::new();
    let Ok(listener) = listener.into_std() else { return queued };
    while queued.len() < QUEUE
        && let Ok((stream, peer)) = listener.accept()
    {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            queued.push((stream, peer));
        }
    }
    queued
}

/// Accepts connections until `end` completes.
async fn accept_until<T>(
    listener: &TcpListener,
    server: Server,
    end: impl Future<Output = T>,
) -> (Connections, T) {
    let mut connections = Connections::new(server);
    tokio::pin!(end);
    loop {
        let (stream, peer) = tokio::select! {
            result = &mut end => return (connections, result),
            Some(_) = connections.tasks.join_next() => continue,
            accepted = accept(listener, &connections.table) => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    tracing::warn!("a connection could not be accepted: {e}");
                    // Most likely no file descriptor is free: close a connection, and wait for that.
                    connections.table.evict();
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        connections.start(stream, peer);
    }
}

/// Waits for room before it accepts: further connections wait in the queue of the kernel.
async fn accept(listener: &TcpListener, table: &Table) -> io::Result<(TcpStream, SocketAddr)> {
    table.room().await;
    listener.accept().await
}
