//! Connections that stall: each is closed in its time, and none holds up the end.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{Server, get, login, refresh};

async fn quick() -> Server {
    Server::with(|_, limits| {
        limits.header_timeout = Duration::from_millis(600);
        limits.request_timeout = Duration::from_millis(900);
        limits.idle_timeout = Duration::from_millis(500);
        limits.drain_timeout = Duration::from_millis(1500);
    })
    .await
}

/// Sends `bytes`, and reads until the server closes; answers what came and how long it took.
async fn until_closed(server: &Server, bytes: &[u8]) -> (String, Duration) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    // A reset is a close as well.
    let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect("still open");
    (String::from_utf8_lossy(&text).into_owned(), started.elapsed())
}

#[tokio::test]
async fn a_connection_that_stalls_is_closed_in_time() {
    let server = quick().await;
    let json = "content-type: application/json\r\n";
    let cases = [
        ("silent", String::new(), ""),
        ("half a request line", "POST /lo".to_owned(), ""),
        ("half a header", "POST /login HTTP/1.1\r\nhost: x\r\ncontent-".to_owned(), ""),
        (
            "no body",
            format!("POST /login HTTP/1.1\r\nhost: x\r\n{json}content-length: 99\r\n\r\n"),
            "HTTP/1.1 408",
        ),
        (
            "half a body",
            format!("POST /login HTTP/1.1\r\nhost: x\r\n{json}content-length: 99\r\n\r\n{{\"user"),
            "HTTP/1.1 408",
        ),
        (
            "an endless chunk",
            "POST /token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc".into(),
            "HTTP/1.1 408",
        ),
        (
            "idle after a request",
            "GET /healthz/live HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "HTTP/1.1 200",
        ),
    ];
    for (name, bytes, expected) in cases {
        let (text, took) = until_closed(&server, bytes.as_bytes()).await;
        assert!(text.starts_with(expected), "{name}: {text}");
        assert!(took < Duration::from_secs(4), "{name} took {took:?}");
        if expected.ends_with("408") {
            assert!(text.contains("\"error\":\"request_timeout\""), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_header_that_trickles_is_closed_in_time() {
    let server = quick().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let started = Instant::now();
    let mut sent = 0;
    while stream.write_all(b"x").await.is_ok() {
        sent += 1;
        assert!(started.elapsed() < Duration::from_secs(5), "{sent} bytes sent, still open");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let server = quick().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let started = Instant::now();
    // Until the answers fill every buffer on their way, writing goes on; then it hangs until the
    // server closes the connection, and fails.
    let write_on = async { while stream.write_all(&request).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(20), write_on).await;
    ended.expect("the connection is still open");
    assert!(started.elapsed() > Duration::from_millis(500), "it did answer for a while");
}

#[tokio::test]
async fn a_connection_stays_open_while_it_is_used() {
    let server = quick().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..6 {
        stream.write_all(b"GET /healthz/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = quick().await;
    // HTTP/2 without TLS is not spoken.
    for bytes in ["\x16\x03\x01\x02\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hello\r\n\r\n"] {
        let (text, took) = until_closed(&server, bytes.as_bytes()).await;
        assert!(!text.contains("HTTP/1.1 200"), "{bytes:?}: {text}");
        assert!(took < Duration::from_secs(4));
    }
    let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let (text, _) = until_closed(&server, huge.as_bytes()).await;
    assert!(!text.contains("200 OK"), "{text}");
    assert_eq!(get(&server.url, "/healthz/live").await.status, 200);
}

#[tokio::test]
async fn a_request_target_without_a_path_is_answered_like_any_that_is_not_there() {
    let server = quick().await;
    for target in ["CONNECT auth.example:443", "OPTIONS *", "GET //login", "GET http://x"] {
        let request = format!("{target} HTTP/1.1\r\nhost: x\r\n\r\n");
        let (text, _) = until_closed(&server, request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 404"), "{target}: {text}");
        assert!(text.contains("\"error\":\"not_found\""), "{target}: {text}");
    }
}

#[tokio::test]
async fn stalled_connections_take_the_places_of_others_for_a_short_time_only() {
    let server = Server::with(|_, limits| {
        limits.connections = 4;
        limits.header_timeout = Duration::from_millis(500);
    })
    .await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        stalled.push(TcpStream::connect(server.address).await.unwrap());
    }
    let started = Instant::now();
    assert_eq!(get(&server.url, "/healthz/live").await.status, 200);
    let took = started.elapsed();
    assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_cuts_off_what_hangs() {
    let server = quick().await;
    let mut hanging = Vec::new();
    for bytes in ["", "POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        hanging.push(stream);
    }
    let url = server.url.clone();
    let login = tokio::spawn(async move { login(&url).await });
    // The login hashes by now.
    while server.state.password_hashes() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = Instant::now();
    let address = server.address;
    let folder = server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let token = login.await.unwrap().refresh_token();
    assert!(TcpStream::connect(address).await.is_err());
    let server = Server::over(folder, |_, _| {}).await;
    assert_eq!(refresh(&server.url, &token).await.status, 200);
}
