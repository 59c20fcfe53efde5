//! One connection, from the TLS handshake to its end, over HTTP/1.1 or HTTP/2 with their limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::io::InspectReader;

use super::activity::Activity;
use super::table::Admitted;
use super::tls::Acceptor;
use crate::Limits;
use crate::http::{Edge, LONGEST_BODY, Peer, Service};

/// Serves the connections of one listener.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) service: Service,
    tls: Option<Acceptor>,
    pub(super) limits: Limits,
    idle_timeout: Duration,
}

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Server {
    pub(super) fn new(service: Service, tls: Option<Acceptor>) -> Self {
        let Edge { config, limits, .. } = service.edge();
        Self { limits: *limits, idle_timeout: config.idle_timeout(), service, tls }
    }

    /// Serves one connection until it ends or is evicted. It shuts down gracefully once the sender
    /// of `stop` is dropped.
    pub(super) async fn serve(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        admitted: Admitted,
        stop: watch::Receiver<()>,
    ) -> Result<(), Failure> {
        stream.set_nodelay(true)?;
        let Admitted { slot, evicted, header_timeout } = admitted;
        let Self { service, tls, limits, idle_timeout } = self;
        let connection = Connection {
            service: service.clone(),
            peer: Peer(peer.ip()),
            limits,
            idle_timeout,
            activity: Activity::new(slot),
            // One deadline for the handshake and the first header together.
            deadline: Instant::now() + header_timeout,
            stop,
        };
        tokio::select! {
            result = connection.run(stream, tls) => result,
            // The signal is the dropped sender, so the result is an error.
            _ = evicted => {
                service.count_evicted_connection();
                Ok(())
            }
        }
    }
}

/// The longest request header, in bytes.
const HEADER_BYTES: usize = 16 * 1024;

/// The most parallel requests on one HTTP/2 connection. Clients expect 100 before they know the
/// setting (RFC 9113 §6.5.2). The budget of all requests limits their memory.
const STREAMS: u32 = 100;

/// The longest HTTP/2 frame. With [`HEADER_BYTES`] it also limits the CONTINUATION frames of a
/// header.
const FRAME_BYTES: u32 = 16 * 1024;

/// The most bytes of a body that a client may send before they are read: a whole body.
const STREAM_WINDOW: u32 = LONGEST_BODY as u32;

/// The same for all bodies of a connection: no less is possible (RFC 9113 §6.9.2).
const CONNECTION_WINDOW: u32 = 65_535;

/// The most bytes of a response that wait in memory for a client that reads slowly.
const SEND_BYTES: usize = 64 * 1024;

/// The most requests that a client may cancel before they begin (CVE-2023-44487). With more, the
/// connection is closed.
const CANCELLED: usize = 20;

/// The most requests of a connection that are refused, because they are malformed or more than
/// [`STREAMS`]. With more, the connection is closed. A client that sends its requests before it knows
/// the settings may have many.
const REFUSED: usize = 1000;

/// The time that a connection without a request in flight may take to close.
const CLOSING: Duration = Duration::from_secs(1);

struct Connection {
    service: Service,
    peer: Peer,
    limits: Limits,
    idle_timeout: Duration,
    activity: Activity,
    /// The first header must be read by then.
    deadline: Instant,
    stop: watch::Receiver<()>,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<Acceptor>) -> Result<(), Failure> {
        match tls {
            // Detecting the protocol from the first bytes would wait for a silent client.
            None => self.http1(stream).await,
            Some(tls) => {
                let (stream, is_http2) = timeout_at(self.deadline, tls.accept(stream)).await??;
                if is_http2 { self.http2(stream).await } else { self.http1(stream).await }
            }
        }
    }

    async fn http1(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    ) -> Result<(), Failure> {
        let activity = self.activity.clone();
        let stream = InspectReader::new(stream, move |bytes: &[u8]| activity.read(bytes));
        let connection = conn::http1::Builder::new()
            // Its time would begin with the previous response, and so end an idle connection.
            .header_read_timeout(None)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service_fn(self.handler()));
        self.drive(connection).await
    }

    async fn http2(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    ) -> Result<(), Failure> {
        let connection = conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES as u32)
            .max_frame_size(FRAME_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BYTES)
            .max_pending_accept_reset_streams(CANCELLED)
            .max_local_error_reset_streams(REFUSED)
            // A client that vanished would otherwise hold its slot for the whole idle timeout.
            .keep_alive_interval(self.limits.header_timeout)
            .keep_alive_timeout(self.limits.header_timeout)
            .serve_connection(TokioIo::new(stream), service_fn(self.handler()));
        self.drive(connection).await
    }

    /// Returns the function that answers one request and counts it as in flight meanwhile.
    fn handler(
        &self,
    ) -> impl Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + use<> {
        let (activity, service, peer) = (self.activity.clone(), self.service.clone(), self.peer);
        move |request| {
            let (request, body) = request.into_parts();
            let (in_flight, body) = activity.begin(body);
            let service = service.clone();
            Box::pin(async move {
                let response = service.call(Request::from_parts(request, body), peer).await;
                drop(in_flight);
                Ok(response)
            })
        }
    }

    /// Runs the connection until it ends. An idle connection, and each one after the stop signal,
    /// shuts down gracefully: requests in flight end first.
    async fn drive<C>(mut self, connection: C) -> Result<(), Failure>
    where
        C: GracefulConnection,
        C::Error: Into<Failure>,
    {
        tokio::pin!(connection);
        let (idle, header) = (self.idle_timeout, self.limits.header_timeout);
        tokio::select! {
            result = connection.as_mut() => return result.map_err(Into::into),
            () = self.activity.idle(self.deadline, idle, header) => {}
            // The signal is the dropped sender, so the result is an error.
            _ = self.stop.changed() => {
                // The first request is on its way. Hyper would close the connection at once.
                if self.activity.is_new()
                    && let Ok(result) = timeout(CLOSING, connection.as_mut()).await
                {
                    return result.map_err(Into::into);
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            result = connection.as_mut() => result.map_err(Into::into),
            // A client that reads nothing would hold the connection forever.
            () = self.activity.idle(Instant::now() + CLOSING, CLOSING, CLOSING) => Ok(()),
        }
    }
}

type Answer = Result<warp::reply::Response, Infallible>;
