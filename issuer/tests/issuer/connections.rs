//! Connections that stall: each is closed at its deadline or before, and none delays others or a
//! shutdown.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign_issuer::{Config, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::{Server, client, get, login, post_json, refresh, send};
use crate::watch;

async fn quick() -> Server {
    Server::with(|config, limits| {
        limits.header_timeout = Duration::from_millis(600);
        limits.request_timeout = Duration::from_millis(900);
        config.idle_timeout = Some(Duration::from_secs(1));
        limits.drain_timeout = Duration::from_millis(1500);
    })
    .await
}

/// Sends `bytes` and reads until the server closes. Returns the response and the time it took.
async fn until_closed(address: SocketAddr, bytes: &[u8]) -> (String, Duration) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    // The server may also close by a reset.
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
        let (text, took) = until_closed(server.address, bytes.as_bytes()).await;
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
    // Writing succeeds until the responses fill every buffer on the way. Then it blocks until the
    // server closes the connection.
    let write_on = async { while stream.write_all(&request).await.is_ok() {} };
    let ended = tokio::time::timeout(Duration::from_secs(20), write_on).await;
    ended.expect("the connection is still open");
    assert!(
        started.elapsed() > Duration::from_millis(500),
        "the server closed the connection too early"
    );
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
async fn between_two_requests_the_idle_timeout_applies_and_from_the_first_byte_that_of_headers() {
    let server = Server::with(|config, limits| {
        limits.header_timeout = Duration::from_millis(600);
        config.idle_timeout = Some(Duration::from_secs(600));
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        assert!(!is_closed(&mut stream).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    stream.write_all(b"GET /healthz/live HTTP/1.1\r\nho").await.unwrap();
    let mut byte = [0; 1];
    let closed = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
    assert_eq!(closed.expect("half a header keeps the connection open").unwrap_or(0), 0);
}

#[tokio::test]
async fn bytes_that_are_not_http_are_refused() {
    let server = quick().await;
    // The issuer does not speak HTTP/2 without TLS.
    for bytes in ["\x16\x03\x01\x02\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hello\r\n\r\n"] {
        let (text, took) = until_closed(server.address, bytes.as_bytes()).await;
        assert!(!text.contains("HTTP/1.1 200"), "{bytes:?}: {text}");
        assert!(took < Duration::from_secs(4));
    }
    let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let (text, _) = until_closed(server.address, huge.as_bytes()).await;
    assert!(!text.contains("200 OK"), "{text}");
    assert_eq!(get(&server.url, "/healthz/live").await.status, 200);
}

#[tokio::test]
async fn a_malformed_request_is_refused_without_a_body() {
    let server = quick().await;
    let long = "x".repeat(40_000);
    let many = "x: y\r\n".repeat(200);
    let cases = [
        ("G@T / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), "400"),
        ("POST /login HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "431"),
    ];
    for (request, status) in cases {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let request = &request[..request.len().min(60)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        // An empty response needs none of the security headers of other responses.
        assert!(answer.contains("content-length: 0\r\n"), "{request}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{request}: {answer}");
    }
}

/// Sends a body of 200 MiB until the server closes. Returns the response and the bytes sent.
async fn send_too_much(server: &Server, header: &str, chunk: &[u8]) -> (String, usize) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let header = format!("POST /token HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n");
    stream.write_all(header.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let read = async {
        let _ = reader.read_buf(&mut answer).await;
    };
    let write = async {
        let mut sent = 0;
        while sent < 200 << 20 && writer.write_all(chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    };
    let both = async { tokio::join!(read, write).1 };
    let sent = tokio::time::timeout(Duration::from_secs(20), both).await.expect("still open");
    (String::from_utf8_lossy(&answer).into_owned(), sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_200_mib_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let data = [b'a'; 16 * 1024];
    let chunk = [b"4000\r\n", &data[..], b"\r\n"].concat();
    // The buffers of the kernel on both sides may hold more than the limit.
    let buffers = 12 << 20;

    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let header = b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 209715200\r\n\r\n";
    stream.write_all(header).await.unwrap();
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "before the first byte of the body: {answer}");
    assert!(answer.contains("\"error\":\"content_too_large\""), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(5));

    let (_, sent) = send_too_much(&server, "content-length: 209715200", &data).await;
    assert!(sent < buffers, "{sent} bytes");
    let (answer, sent) = send_too_much(&server, "transfer-encoding: chunked", &chunk).await;
    assert!(sent > 16 * 1024 && sent < buffers, "{sent} bytes");
    assert!(answer.starts_with("HTTP/1.1 413") || answer.is_empty(), "{answer}");
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_refused() {
    let server = quick().await;
    let admin = watch::admin(&server).await;
    let admin = admin.strip_prefix("http://").unwrap().parse().unwrap();
    let live = (server.address, "/healthz/live");
    let cases = [
        (live, "", "400"),
        (live, "host: a.example\r\nhost: a.example\r\n", "400"),
        (live, "host: a.example/path\r\n", "400"),
        (live, "host: a.example\r\n", "200"),
        ((admin, "/metrics"), "", "400"),
        ((admin, "/metrics"), "host: a.example\r\n", "400"),
        ((admin, "/metrics"), "host: localhost:9090\r\n", "200"),
    ];
    for ((address, path), hosts, status) in cases {
        let request = format!("GET {path} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let (text, _) = until_closed(address, request.as_bytes()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {hosts:?}: {text}");
        assert!(status == "200" || text.contains("\"error\":\"invalid_request\""), "{text}");
    }
}

#[tokio::test]
async fn a_request_target_without_a_path_is_not_found() {
    let server = quick().await;
    for target in ["CONNECT auth.example:443", "OPTIONS *", "GET //login", "GET http://x"] {
        let request = format!("{target} HTTP/1.1\r\nhost: x\r\n\r\n");
        let (text, _) = until_closed(server.address, request.as_bytes()).await;
        assert!(text.starts_with("HTTP/1.1 404"), "{target}: {text}");
        assert!(text.contains("\"error\":\"not_found\""), "{target}: {text}");
    }
}

/// Returns a server on which no stalled connection ends during the test.
async fn patient(change: impl FnOnce(&mut Config, &mut Limits)) -> Server {
    Server::with(|config, limits| {
        limits.header_timeout = Duration::from_secs(600);
        limits.request_timeout = Duration::from_secs(600);
        config.idle_timeout = Some(Duration::from_secs(600));
        change(config, limits);
    })
    .await
}

#[tokio::test]
async fn connections_that_wait_for_their_client_keep_nobody_out() {
    let server = patient(|config, _| config.connections = 4).await;
    let cases = [
        ("silent", ""),
        ("half a header", "POST /login HTTP/1.1\r\nhost: x\r\ncontent-"),
        ("idle after a request", "GET /healthz/live HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("half a body", "POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"),
    ];
    let mut stalled = Vec::new();
    for (name, bytes) in cases {
        for _ in 0..12 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(bytes.as_bytes()).await.unwrap();
            if bytes.starts_with("GET") {
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            }
            stalled.push(stream);
        }
        assert_eq!(get(&server.url, "/healthz/live").await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn newcomers_have_time_for_their_first_request_at_each_limit() {
    let listener = patient(|config, _| config.connections = 16).await;
    let network = patient(|config, limits| {
        config.connections_per_network = 16;
        limits.loopback_is_exempt = false;
    })
    .await;
    for server in [listener, network] {
        let mut idle = Vec::new();
        for _ in 0..16 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            assert!(!is_closed(&mut stream).await);
            idle.push(stream);
        }
        for _ in 0..5 {
            let mut newcomers = Vec::new();
            for _ in 0..4 {
                newcomers.push(TcpStream::connect(server.address).await.unwrap());
            }
            // A TLS handshake with a client that is far away.
            tokio::time::sleep(Duration::from_millis(200)).await;
            for newcomer in &mut newcomers {
                assert!(!is_closed(newcomer).await);
            }
            idle.extend(newcomers);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_request_is_being_answered_is_not_closed_for_another_one() {
    let server = patient(|config, limits| {
        config.connections = 4;
        limits.hashes = 1;
    })
    .await;
    let admin = watch::admin(&server).await;
    let logins: Vec<_> = (0..4)
        .map(|_| {
            let url = server.url.clone();
            tokio::spawn(async move { login(&url).await.status })
        })
        .collect();
    let started = Instant::now();
    while watch::metrics(&admin).await["countersign_password_hashes_waiting"] < 1.0 {
        assert!(started.elapsed() < Duration::from_secs(20), "no login waits");
    }
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    for login in logins {
        assert_eq!(login.await.unwrap(), 200);
    }
    assert_eq!(get(&server.url, "/healthz/live").await.status, 200);
    let evicted = watch::metrics(&admin).await["countersign_connections_evicted_total"];
    assert!(evicted >= 90.0, "{evicted}");
}

#[tokio::test]
async fn requests_that_wait_for_their_body_use_no_more_memory_than_the_budget() {
    let server = patient(|_, limits| limits.request_bytes = 64 * 1024).await;
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let half = b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{";
        stream.write_all(half).await.unwrap();
        waiting.push(stream);
    }
    assert_eq!(login(&server.url).await.status, 200);
    // Each counts at least 4 KiB.
    for mut refused in waiting.drain(..24) {
        let mut answer = vec![0; 1024];
        let length = refused.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        assert!(answer.contains("\"error\":\"temporarily_unavailable\""), "{answer}");
    }
    drop(waiting);
    assert_eq!(login(&server.url).await.status, 200);
}

/// Connects from another address of this machine: all of 127.0.0.0/8 belongs to it.
async fn connect_from(source: [u8; 4], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(server).await.unwrap()
}

/// Returns true if the server closes the connection instead of answering a request.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"GET /healthz/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut answer = [0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
    let length = read.expect("neither an answer nor the end").unwrap_or(0);
    assert!(length == 0 || answer.starts_with(b"HTTP/1.1 200"));
    length == 0
}

#[tokio::test]
async fn a_network_can_use_up_its_own_limit_but_not_that_of_others() {
    let server = patient(|config, limits| {
        config.connections = 8;
        config.connections_per_network = 3;
        limits.loopback_is_exempt = false;
    })
    .await;
    let mut other = connect_from([127, 0, 1, 1], server.address).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect_from([127, 0, 0, 1], server.address).await);
    }
    // A network has room for its newest connections.
    assert!(!is_closed(&mut silent.pop().unwrap()).await);
    for mut stream in silent.drain(..97) {
        assert!(is_closed(&mut stream).await);
    }
    for mut stream in silent {
        assert!(!is_closed(&mut stream).await);
    }
    assert!(!is_closed(&mut other).await);
}

#[tokio::test]
async fn a_request_around_the_proxy_is_refused_except_for_health() {
    let around = Server::with(|config, limits| {
        config.behind_proxy = true;
        config.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        limits.loopback_is_exempt = false;
    })
    .await;
    login(&around.url).await.refused(403, "access_denied");
    get(&around.url, "/.well-known/jwks.json").await.refused(403, "access_denied");
    get(&around.url, "/nothing").await.refused(403, "access_denied");
    let named = client().get(format!("{}/nothing", around.url));
    send(named.header("x-forwarded-for", "192.0.2.1")).await.refused(403, "access_denied");
    for path in ["/healthz/live", "/healthz/ready"] {
        assert_eq!(get(&around.url, path).await.status, 200);
    }
    assert_eq!(around.state.password_hashes(), 0);

    for (behind_proxy, trusted, exempt) in
        [(true, "127.0.0.1", false), (true, "192.0.2.1", true), (false, "192.0.2.1", false)]
    {
        let server = Server::with(|config, limits| {
            config.behind_proxy = behind_proxy;
            config.trusted_proxies = vec![trusted.parse::<std::net::IpAddr>().unwrap().into()];
            limits.loopback_is_exempt = exempt;
        })
        .await;
        let body = serde_json::json!({});
        post_json(&server.url, "/login", &body).await.refused(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_shutdown_completes_requests_and_cuts_off_stalled_ones() {
    let server = quick().await;
    let mut hanging = Vec::new();
    for bytes in ["", "POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        hanging.push(stream);
    }
    let url = server.url.clone();
    let login = tokio::spawn(async move { login(&url).await });
    // Stop while the login computes its hash.
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

/// A proxy has just connected. Its request is on the way, and must not go to another issuer.
#[tokio::test]
async fn a_shutdown_answers_clients_that_have_just_connected() {
    let server = Server::start().await;
    // Without `await`, so that the issuer has accepted none of them when it stops.
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(std::net::TcpStream::connect(server.address).unwrap());
    }
    let stopping = tokio::spawn(server.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    for stream in streams {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        let request = b"GET /healthz/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut answer = String::new();
        let _ = stream.write_all(request).await;
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    stopping.await.unwrap();
}
