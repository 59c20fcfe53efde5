//! The accept loop: takes connections within the limits and hands each one to the HTTP service.
//!
//! `warp::serve` never closes a connection that sends half a header, a slow body or nothing at all.
//! Here each of them has a deadline.

mod activity;
mod connection;
mod state;
mod table;
pub(crate) mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::connection::Server;
pub use self::state::State;
use self::table::Table;
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
    let issuer = &api.issuer;
    // The address decided which settings are allowed: some only on loopback.
    if listener.local_addr().ok() != Some(issuer.config.listen) {
        return Err(Error::Config(format!(
            "the state was opened for {}; open it for the address of the listener",
            issuer.config.listen
        )));
    }
    let server = Server {
        service: Service::new(Arc::clone(&api), Listener::Public),
        tls: tls.clone(),
        limits: issuer.limits,
        idle_timeout: issuer.config.idle_timeout(),
    };
    let table = Table::new(&issuer.limits, &issuer.config);
    let mut maintenance = JoinSet::new();
    if let Some(tls) = tls {
        maintenance.spawn(tls.watch(issuer.clock.clone()));
    }
    maintenance.spawn(async move { api.issuer.maintain().await });
    // Without maintenance, keys and certificate would grow old while requests are answered.
    let broken = async {
        maintenance.join_next().await;
        Error::System("the maintenance task ended; restart the issuer".to_owned())
    };
    let shutdown = async {
        shutdown.await;
        tracing::info!("stopping");
    };
    accept_loop(listener, server, table, shutdown, broken).await
}

/// Serves the metrics on `listener` until `shutdown` completes, within the same limits as [`run`]
/// but without TLS. `state` is the one of the issuer that [`run`] serves.
pub async fn run_admin(listener: TcpListener, state: State, shutdown: impl Future<Output = ()>) {
    let State { api, .. } = state;
    let is_loopback =
        listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let limits = api.issuer.limits;
    let table = Table::new(&limits, &api.issuer.config);
    let idle_timeout = api.issuer.config.idle_timeout();
    let service = Service::new(api, Listener::Admin { is_loopback });
    let server = Server { service, tls: None, limits, idle_timeout };
    // The loop fails only if `broken` completes, which this one never does.
    let _ = accept_loop(listener, server, table, shutdown, std::future::pending()).await;
}

/// Accepts connections until `shutdown` or `broken` completes. After `shutdown` it drains them.
async fn accept_loop(
    listener: TcpListener,
    server: Server,
    table: Arc<Table>,
    shutdown: impl Future<Output = ()>,
    broken: impl Future<Output = Error>,
) -> Result<(), Error> {
    let (stop_sender, stop) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown, broken);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            e = &mut broken => return Err(e),
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &table) => match accepted {
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
        let (server, stop) = (server.clone(), stop.clone());
        connections.spawn(async move {
            let _counted = server.service.connection();
            if let Err(e) = server.serve(stream, peer, admitted, stop).await {
                tracing::debug!("a connection ended: {e}");
            }
        });
    }
    drop(listener);
    drop(stop_sender);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(server.limits.drain_timeout, all).await.is_err() {
        tracing::warn!("requests were cut off at the drain deadline");
    }
    Ok(())
}

/// Waits for room before it accepts: further connections wait in the queue of the kernel.
async fn accept(listener: &TcpListener, table: &Table) -> io::Result<(TcpStream, SocketAddr)> {
    table.room().await;
    listener.accept().await
}
