//! HTTP/2 attacks: hostile frames, and clients that never read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::common::Server;
use crate::tls::{connect, server, server_with};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 §7).
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

/// `GET https://x/` with entries of the static table (RFC 7541, appendix A).
const GET: &[u8] = &[0x82, 0x87, 0x84, 0x41, 1, b'x'];

/// `POST https://x/login`
const POST: &[u8] = &[0x83, 0x87, 0x04, 6, b'/', b'l', b'o', b'g', b'i', b'n', 0x41, 1, b'x'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Connects and exchanges the settings.
async fn begin() -> (Server, TlsStream<TcpStream>) {
    begin_at(server().await).await
}

async fn begin_at(
    (server, root): (Server, CertificateDer<'static>),
) -> (Server, TlsStream<TcpStream>) {
    let mut stream = connect(server.address, &[&root], b"h2").await;
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend(frame(SETTINGS, 0, 0, &[]));
    preface.extend(frame(SETTINGS, 1, 0, &[]));
    stream.write_all(&preface).await.unwrap();
    (server, stream)
}

/// Returns kind and payload of the frames until the server closes.
async fn until_closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    // The server may also close by a reset.
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("still open");
    let mut frames = Vec::new();
    let mut rest = &bytes[..];
    while let [a, b, c, kind, _, _, _, _, _, ..] = *rest {
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        frames.push((kind, rest[9..].iter().copied().take(length).collect()));
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    frames
}

/// Returns the error code of the last GOAWAY frame.
fn goaway(frames: &[(u8, Vec<u8>)]) -> Option<&[u8]> {
    let (_, payload) = frames.iter().rfind(|(kind, _)| *kind == GOAWAY)?;
    payload.get(4..8)
}

#[tokio::test]
async fn the_settings_limit_streams_window_and_header() {
    let (_server, stream) = begin().await;
    let frames = until_closed(stream).await;
    let (_, settings) = frames.iter().find(|(kind, _)| *kind == SETTINGS).unwrap();
    // RFC 9113 §6.5.2.
    for (name, identifier, expected) in [
        ("MAX_CONCURRENT_STREAMS", 3_u16, 100),
        ("INITIAL_WINDOW_SIZE", 4, 16 * 1024),
        ("MAX_HEADER_LIST_SIZE", 6, 16 * 1024),
    ] {
        let setting = settings.chunks(6).find(|one| one[..2] == identifier.to_be_bytes());
        let value = setting.map(|one| u32::from_be_bytes(one[2..].try_into().unwrap()));
        assert_eq!(value, Some(expected), "{name}");
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_before_the_idle_timeout() {
    let patient = server_with(|config, limits| {
        limits.header_timeout = Duration::from_millis(300);
        config.idle_timeout = Some(Duration::from_secs(3600));
    });
    let (_server, mut stream) = begin_at(patient.await).await;
    // Without a request the header timeout would close the connection.
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, GET);
    stream.write_all(&request).await.unwrap();
    let frames = until_closed(stream).await;
    for expected in [HEADERS, PING] {
        assert!(frames.iter().any(|(kind, _)| *kind == expected), "{frames:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_cancelled_requests_closes_the_connection() {
    let (_server, stream) = begin().await;
    let (reader, mut writer) = tokio::io::split(stream);
    let flood = async {
        for first in (0..200_000_u32).step_by(500) {
            let mut bytes = Vec::new();
            for stream in (first..first + 500).map(|number| 2 * number + 1) {
                bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET));
                bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
            }
            if writer.write_all(&bytes).await.is_err() {
                return first;
            }
        }
        panic!("200,000 cancelled requests were accepted");
    };
    let (flooded, frames) = tokio::join!(flood, until_closed(reader));
    assert_eq!(goaway(&frames), Some(&ENHANCE_YOUR_CALM[..]), "after {flooded}");
}

#[tokio::test]
async fn requests_before_the_settings_are_answered_or_refused_one_by_one() {
    for count in [37, 100, 300_u32] {
        let (_server, mut stream) = begin().await;
        let numbers = (0..count).map(|number| 2 * number + 1);
        let requests = numbers.map(|number| frame(HEADERS, END_STREAM | END_HEADERS, number, GET));
        stream.write_all(&requests.collect::<Vec<_>>().concat()).await.unwrap();
        let frames = until_closed(stream).await;
        let answered = frames.iter().filter(|(kind, _)| *kind == HEADERS).count();
        let refused = (RST_STREAM, REFUSED_STREAM.to_vec());
        let refused = frames.iter().filter(|frame| **frame == refused).count();
        assert!(answered >= count.min(100) as usize, "{answered} of {count}");
        assert_eq!(answered + refused, count as usize);
        assert_eq!(goaway(&frames), Some(&[0; 4][..]), "the connection is idle at the end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_requests_closes_the_connection() {
    let (_server, stream) = begin().await;
    let (reader, mut writer) = tokio::io::split(stream);
    let flood = async {
        for number in 0..100_000_u32 {
            let request = frame(HEADERS, END_HEADERS, 2 * number + 1, POST);
            if writer.write_all(&request).await.is_err() {
                return number;
            }
        }
        panic!("100,000 requests without a body were taken or refused");
    };
    let (flooded, frames) = tokio::join!(flood, until_closed(reader));
    assert_eq!(goaway(&frames), Some(&ENHANCE_YOUR_CALM[..]), "after {flooded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_header_closes_the_connection() {
    let (_server, stream) = begin().await;
    let (reader, mut writer) = tokio::io::split(stream);
    let flood = async {
        let mut sent = 0;
        let mut bytes = frame(HEADERS, END_STREAM, 1, GET);
        // A field without indexing, `x: yyy…` (RFC 7541 §6.2.2).
        let field = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
        while writer.write_all(&bytes).await.is_ok() {
            sent += bytes.len();
            assert!(sent < 16 << 20, "{sent} bytes of one header were accepted");
            bytes = frame(CONTINUATION, 0, 1, &field.repeat(100));
        }
    };
    let ((), frames) = tokio::join!(flood, until_closed(reader));
    assert!(goaway(&frames).is_some_and(|code| code != [0; 4]), "{frames:?}");
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let (server, root) = server().await;
    let (mut sender, _connection) = http2(&server, root, 65_535).await;
    let request = Request::get("https://localhost/healthz/live").header("x", "y".repeat(20_000));
    match sender.send_request(request.body(counted(0, None).0).unwrap()).await {
        Ok(answer) => assert_eq!(answer.status(), 431),
        // The client of hyper refuses by itself, because it knows the setting of the server.
        Err(e) => assert!(e.to_string().contains("http2 error"), "{e}"),
    }
}

#[tokio::test]
async fn a_header_or_a_body_that_stalls_does_not_hold_the_connection() {
    let started = Instant::now();
    let (_server, mut stream) = begin().await;
    stream.write_all(&frame(HEADERS, 0, 1, GET)).await.unwrap();
    until_closed(stream).await;

    // The server of these tests has an idle timeout of 700 ms and a request timeout of 900 ms.
    let (server, root) = server().await;
    let mut stream = connect(server.address, &[&root], b"http/1.1").await;
    let half = b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(half).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));

    let (_server, mut stream) = begin().await;
    let mut half = frame(HEADERS, END_HEADERS, 1, POST);
    half.extend(frame(DATA, 0, 1, b"{"));
    stream.write_all(&half).await.unwrap();
    let frames = until_closed(stream).await;
    let refused = frames.iter().any(|(kind, payload)| {
        *kind == DATA && String::from_utf8_lossy(payload).contains("\"request_timeout\"")
    });
    assert!(refused, "{frames:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_client_that_opens_no_window_does_not_hold_the_connection() {
    let (server, root) = server().await;
    // The client answers pings but never lets the server send a byte of a body.
    let (mut sender, connection) = http2(&server, root, 0).await;
    let mut answers = Vec::new();
    for _ in 0..16 {
        let request = Request::get("https://localhost/.well-known/jwks.json");
        let answer = sender.send_request(request.body(counted(0, None).0).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        answers.push(answer);
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), connection).await;
    let _ = ended.expect("the connection is still open");
    for answer in answers {
        assert!(answer.into_body().collect().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_200_mib_is_refused_before_it_is_sent() {
    let (server, root) = server().await;
    for length in [Some(200 << 20), None] {
        let (mut sender, _connection) = http2(&server, root.clone(), 65_535).await;
        let (body, sent) = counted(200 << 20, length);
        let request = Request::post("https://localhost/token").body(body).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 413);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"{\"error\":\"content_too_large\""), "{body:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        // The server reads up to 256 KiB, so that the client sees the response.
        let most = if length.is_some() { 128 * 1024 } else { 1 << 20 };
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < most, "{sent} bytes of a body whose length is {length:?}");
    }
}

async fn http2(
    server: &Server,
    root: CertificateDer<'static>,
    window: u32,
) -> (SendRequest<Counted>, JoinHandle<Result<(), hyper::Error>>) {
    let stream = TokioIo::new(connect(server.address, &[&root], b"h2").await);
    let mut builder = Builder::new(TokioExecutor::new());
    let (sender, connection) =
        builder.initial_stream_window_size(window).handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// Returns a body of `left` bytes with or without a declared length, and the count of bytes sent.
fn counted(left: usize, length: Option<u64>) -> (Counted, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    (Counted { left, length, sent: Arc::clone(&sent) }, sent)
}

struct Counted {
    left: usize,
    length: Option<u64>,
    sent: Arc<AtomicUsize>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.left.min(16 * 1024);
        if length == 0 {
            return Poll::Ready(None);
        }
        self.left -= length;
        self.sent.fetch_add(length, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'a'; length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
