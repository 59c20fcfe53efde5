//! The accept loop around warp's service. `warp::serve` leaves half-open headers, slow bodies and
//! silent connections open for good; here each of them has its time.

mod permits;
mod state;
pub(crate) mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server::conn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use self::permits::{Free, Places};
pub use self::state::State;
use self::tls::Acceptor;
use crate::http::{Listener, Peer, Service};
use crate::service::Issuer;
use crate::{Error, Limits};

/// Serves on `listener` until `shutdown` completes; then takes no more connections, lets requests
/// in flight end for [`Limits::drain_timeout`], and returns.
///
/// # Errors
///
/// [`Error::Config`] when `state` was opened for another address than the listener's.
pub async fn run(
    listener: TcpListener,
    state: State,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let State { api, tls } = state;
    let issuer = &api.issuer;
    // What is allowed on loopback alone was decided by that address.
    if listener.local_addr().ok() != Some(issuer.config.listen) {
        return Err(Error::Config(format!(
            "the state was opened for {}; open it for the listener's address",
            issuer.config.listen
        )));
    }
    let front = Front {
        service: Service::new(Arc::clone(&api), Listener::Public),
        tls: tls.clone(),
        limits: issuer.limits,
    };
    let places = Places::new(&issuer.limits, &issuer.config);
    let mut maintenance = JoinSet::new();
    if let Some(tls) = tls {
        maintenance.spawn(tls.watch(issuer.clock.clone()));
    }
    maintenance.spawn(async move { api.issuer.maintain().await });
    // Keys and certificate must not stand still while requests are answered.
    let broken = async {
        maintenance.join_next().await;
        Error::System("the maintenance task ended".to_owned())
    };
    let shutdown = async {
        shutdown.await;
        tracing::info!("stopping");
    };
    serve(listener, front, places, shutdown, broken).await
}

/// Serves the metrics on `listener` until `shutdown` completes, as [`run`] serves everything else:
/// within the same limits, but without TLS. `state` is that of the issuer that [`run`] runs.
pub async fn run_admin(listener: TcpListener, state: State, shutdown: impl Future<Output = ()>) {
    let State { api, .. } = state;
    let Issuer { limits, config, .. } = &api.issuer;
    let connections = limits.connections.min(ADMIN_CONNECTIONS);
    // Who reads metrics is one client, and may have all of them.
    let limits = Limits { connections, connections_per_network: connections, ..*limits };
    let places = Places::new(&limits, config);
    let front = Front { service: Service::new(api, Listener::Admin), tls: None, limits };
    // Nothing breaks here.
    let _ = serve(listener, front, places, shutdown, std::future::pending()).await;
}

/// The most connections of the admin listener: whoever reads metrics needs one.
const ADMIN_CONNECTIONS: usize = 16;

/// What the connections of one listener get.
#[derive(Clone)]
struct Front {
    service: Service,
    tls: Option<Acceptor>,
    limits: Limits,
}

/// The accept loop, until `shutdown` completes or the issuer is `broken`.
async fn serve(
    listener: TcpListener,
    front: Front,
    places: Places,
    shutdown: impl Future<Output = ()>,
    broken: impl Future<Output = Error>,
) -> Result<(), Error> {
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown, broken);
    loop {
        let (stream, peer, place) = tokio::select! {
            () = &mut shutdown => break,
            e = &mut broken => return Err(e),
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, peer, free)) => {
                    let place = places.take(free, peer.ip());
                    // Dropped, the stream is closed.
                    let Some(place) = place else { continue };
                    (stream, peer, place)
                }
                Err(e) => {
                    tracing::warn!("a connection could not be accepted: {e}");
                    // Out of file descriptors, most likely: wait for some to be closed.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (front, stopped) = (front.clone(), stopped.clone());
        connections.spawn(async move {
            let _place = place;
            let _open = front.service.connection();
            let result = handle(stream, peer, front, stopped).await;
            if let Err(e) = result {
                tracing::debug!("a connection ended: {e}");
            }
        });
    }
    drop(listener);
    drop(stop);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(front.limits.drain_timeout, all).await.is_err() {
        tracing::warn!("requests were cut off at the drain deadline");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Places,
) -> io::Result<(TcpStream, SocketAddr, Free)> {
    let free = places.free().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, free))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One connection, from the handshake to its end.
async fn handle(
    stream: TcpStream,
    peer: SocketAddr,
    Front { service, tls, limits }: Front,
    stopped: watch::Receiver<()>,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    // One deadline for the handshake and the first header together.
    let deadline = Instant::now() + limits.header_timeout;
    match tls {
        // HTTP/1.1 without looking at the bytes: sniffing would wait for a silent client.
        None => http1(stream, peer, service, &limits, stopped, deadline).await,
        Some(tls) => {
            let (stream, h2) = timeout_at(deadline, tls.accept(stream)).await??;
            if h2 {
                http2(stream, peer, service, &limits, stopped, deadline).await
            } else {
                http1(stream, peer, service, &limits, stopped, deadline).await
            }
        }
    }
}

/// Writes the protocol's builder once for each: the two have no trait in common.
macro_rules! drive {
    ($connection:expr, $activity:expr, $limits:expr, $stopped:expr, $deadline:expr) => {{
        let connection = $connection;
        tokio::pin!(connection);
        tokio::select! {
            result = connection.as_mut() => return result.map_err(Into::into),
            () = $activity.idle($deadline, $limits.idle_timeout) => {}
            // Completes with an error once the sender is dropped, which is the signal.
            _ = $stopped.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            result = connection.as_mut() => result.map_err(Into::into),
            // A client that reads nothing would hold the connection for good.
            () = $activity.idle(Instant::now() + CLOSING, CLOSING) => Ok(()),
        }
    }};
}

/// The longest request header, in bytes.
const HEADER_BYTES: usize = 16 * 1024;

/// The most requests at a time on one HTTP/2 connection: each may hold a whole body in memory.
const STREAMS: u32 = 16;

/// The longest HTTP/2 frame; with the longest header it also says how many CONTINUATION frames one
/// may have.
const FRAME_BYTES: u32 = 16 * 1024;

/// How much of a body may be on its way before it is read: a whole one.
const STREAM_WINDOW: u32 = 64 * 1024;

/// How much of an answer waits in memory for a client that reads slowly.
const SEND_BYTES: usize = 64 * 1024;

/// Requests that a client takes back before they are begun (CVE-2023-44487), and those that it gets
/// wrong: with more, the connection is closed.
const RESETS: usize = 20;

/// How long a connection may take to close that has no request in flight.
const CLOSING: Duration = Duration::from_secs(1);

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: SocketAddr,
    service: Service,
    limits: &Limits,
    mut stopped: watch::Receiver<()>,
    deadline: Instant,
) -> Result<(), Failure> {
    let activity = Activity::new();
    let connection = conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service_fn(answer(&activity, &service, peer)));
    drive!(connection, activity, limits, stopped, deadline)
}

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: SocketAddr,
    service: Service,
    limits: &Limits,
    mut stopped: watch::Receiver<()>,
    deadline: Instant,
) -> Result<(), Failure> {
    let activity = Activity::new();
    let connection = conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES as u32)
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * STREAMS)
        .max_send_buf_size(SEND_BYTES)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        // Who has gone without a word has its place for longer otherwise: until it is idle for good.
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service_fn(answer(&activity, &service, peer)));
    drive!(connection, activity, limits, stopped, deadline)
}

type Answered = Result<warp::reply::Response, std::convert::Infallible>;

fn answer(
    activity: &Activity,
    service: &Service,
    peer: SocketAddr,
) -> impl Fn(Request<Incoming>) -> std::pin::Pin<Box<dyn Future<Output = Answered> + Send>> + use<>
{
    let (activity, service) = (activity.clone(), service.clone());
    move |request| {
        let busy = activity.begin();
        let service = service.clone();
        Box::pin(async move {
            let response = service.call(request, Peer(peer.ip())).await;
            drop(busy);
            Ok(response)
        })
    }
}

/// Whether a connection has requests in flight, and since when it has none.
#[derive(Clone)]
struct Activity(Arc<(AtomicUsize, watch::Sender<Option<Instant>>)>);

impl Activity {
    fn new() -> Self {
        Self(Arc::new((AtomicUsize::new(0), watch::Sender::new(None))))
    }

    fn begin(&self) -> Busy {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Completes when no request is in flight and none was for `limit`; before the first request,
    /// at `first`.
    async fn idle(&self, first: Instant, limit: Duration) {
        let due = || self.0.1.borrow().map_or(first, |last| first.max(last + limit));
        loop {
            sleep_until(due()).await;
            let mut changes = self.0.1.subscribe();
            if due() > Instant::now() {
                continue;
            }
            if self.0.0.load(Ordering::Relaxed) == 0 {
                return;
            }
            // Busy: the end of the request says when to look again. It fails if nobody can say
            // so any more, and then the count is zero.
            let _ = changes.changed().await;
        }
    }
}

/// A request in flight.
struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        let (count, last) = &*self.0.0;
        count.fetch_sub(1, Ordering::Relaxed);
        last.send_replace(Some(Instant::now()));
    }
}
