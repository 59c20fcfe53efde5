//! The command `serve`: listeners, signals, and the order of start and stop.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::output::Output;
use crate::config::beside;
use crate::serve::{Opening, open_when_available};
use crate::{Clock, Config, DatabaseUrl, Error, Limits, State, files, run, run_admin};

/// Serves until SIGTERM or SIGINT. Binds the addresses before it opens or makes anything, so that an
/// address in use changes nothing on the disk. Waits for a database that is unavailable. `secret_file`
/// is the configuration file, if it has a secret.
pub(super) async fn serve(
    config: Config,
    secret_file: Option<&Path>,
    output: Output,
) -> Result<(), Error> {
    // First, so that no SIGHUP ends the process.
    let mut signals = Signals::new()?;
    config.check_serve()?;
    let hint = "set listen to another address (port 0 picks a free one)";
    let (listener, address) = listen(config.listen, hint).await?;
    let admin = match config.admin_listen {
        None => None,
        Some(wanted) => {
            let hint = "set admin_listen to another address (port 0 picks a free one) or to none";
            Some(listen(wanted, hint).await?)
        }
    };
    let delay = config.shutdown_delay;
    if config.behind_proxy && config.trusted_proxies.is_empty() {
        tracing::warn!(
            "without trusted_proxies all clients share one limit on logins, the proxy's"
        );
    }
    let mut secrets = secret_files(&config);
    secrets.extend(secret_file.map(Path::to_owned));
    let opening = Opening::new(config, address, Limits::default(), Clock::system())?;
    let stop = signals.stop(|| opening.reload_certificate());
    let admin_listener = admin.as_ref().map(|(listener, _)| listener);
    let opened = open_when_available(&opening, &listener, admin_listener, stop).await?;
    let Some(state) = opened else { return Ok(()) };
    for warning in secrets.iter().filter_map(|path| files::warning_of_others(path)) {
        tracing::warn!("{warning}");
    }
    let admin = admin.map(|(listener, address)| Admin::start(listener, address, state.clone()));
    announce(state.url(), output);
    let stopping = state.clone();
    let shutdown = async move {
        signals.stop(|| stopping.reload_certificate()).await;
        stopping.announce_stop();
        if !delay.is_zero() {
            tracing::info!("serving on for the {delay:?} of shutdown_delay");
            // A second signal ends the delay.
            let _ = timeout(delay, signals.stop(|| stopping.reload_certificate())).await;
        }
    };
    let result = run(listener, state, shutdown).await;
    // The metrics stay available until the last request is answered and counted.
    if let Some(admin) = admin {
        admin.stop().await;
    }
    result
}

/// Prints the address, and does not wait for somebody to read it.
fn announce(url: String, output: Output) {
    tokio::task::spawn_blocking(move || {
        let text = format!("countersign-issuer listening on {url}\n");
        if let Err(e) = output.print(&text, &json!({ "url": url })) {
            tracing::warn!("{e}");
        }
    });
}

/// The signals that `serve` handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let on = |kind| signal(kind).map_err(|e| Error::System(format!("no signals: {e}")));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. Calls `reload_certificate` at SIGHUP.
    async fn stop(&mut self, reload_certificate: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: reading the certificate again, if there is one");
                    reload_certificate();
                }
            }
        }
    }
}

/// Returns the files with secrets, also those that are made at the start.
fn secret_files(config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<_> = config.tls_key.iter().chain(&config.master_key_file).cloned().collect();
    if let DatabaseUrl::Sqlite(database) = &config.database {
        files.extend(["", "-wal", ".master-key"].map(|end| beside(database, end)));
    }
    files
}

/// Binds an address. Returns it with the port that was picked.
async fn listen(wanted: SocketAddr, hint: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |e: io::Error| {
        let advice = match e.kind() {
            ErrorKind::AddrInUse => "stop what uses it, or ",
            ErrorKind::AddrNotAvailable => "this machine has no such address: ",
            ErrorKind::PermissionDenied => "allow it (CAP_NET_BIND_SERVICE), or ",
            _ => "",
        };
        Error::Listen(format!("cannot listen on {wanted}: {e}; {advice}{hint}"))
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The running admin listener.
struct Admin {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Admin {
    fn start(listener: TcpListener, address: SocketAddr, state: State) -> Self {
        tracing::info!("metrics at http://{address}/metrics");
        if !address.ip().is_loopback() {
            tracing::warn!("admin_listen has neither TLS nor a login; keep strangers away from it");
        }
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        Self { stop, running: tokio::spawn(run_admin(listener, state, shutdown)) }
    }

    async fn stop(self) {
        drop(self.stop);
        if self.running.await.is_err() {
            tracing::error!("the admin listener ended early");
        }
    }
}
