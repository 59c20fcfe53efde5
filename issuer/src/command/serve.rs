use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::print;
use crate::{Clock, Config, Error, Limits, State, run};

/// `serve`: the address is taken before anything is opened or made, so that a taken one changes
/// nothing.
pub(super) async fn serve(config: Config) -> Result<(), Error> {
    config.check_serve()?;
    let wanted = config.listen;
    let hint = "stop what uses it, or set listen to another address (port 0 picks a free one)";
    let failed = |e| Error::Listen(format!("cannot listen on {wanted}: {e}; {hint}"));
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let signals = |kind| signal(kind).map_err(|e| Error::System(format!("no signals: {e}")));
    let (mut terminate, mut interrupt) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    if config.behind_proxy && config.trusted_proxies.is_empty() {
        tracing::warn!("without trusted_proxies all clients share the proxy's limit on logins");
    }
    let state = State::open(config, address, Limits::default(), Clock::system()).await?;
    print(&format!("countersign-issuer listening on {}\n", state.url()))?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run(listener, state, shutdown).await
}
