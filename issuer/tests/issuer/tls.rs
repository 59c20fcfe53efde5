//! TLS: HTTP/1.1 and HTTP/2 by ALPN, and no way to hold a connection open.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::{PASSWORD, Server, command, folder, stderr};

async fn server() -> (Server, CertificateDer<'static>) {
    let folder = folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let server = Server::over(folder, |config, limits| {
        config.tls_cert = Some(cert);
        config.tls_key = Some(key);
        limits.header_timeout = Duration::from_millis(700);
        limits.idle_timeout = Duration::from_millis(700);
    })
    .await;
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    (server, made.cert.der().clone())
}

async fn connect(
    server: &Server,
    root: CertificateDer<'static>,
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    stream
}

fn live() -> Request<Empty<bytes::Bytes>> {
    let uri = "https://localhost/.well-known/oauth-authorization-server";
    Request::builder().uri(uri).header("host", "localhost").body(Empty::new()).unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls() {
    let (server, root) = server().await;
    let stream = TokioIo::new(connect(&server, root.clone(), b"http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(live()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let metadata: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(metadata["issuer"], server.url);

    let stream = TokioIo::new(connect(&server, root, b"h2").await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, mut connection) = handshake.await.unwrap();
    tokio::select! {
        ended = &mut connection => panic!("{ended:?}"),
        answer = sender.send_request(live()) => assert_eq!(answer.unwrap().status(), 200),
    }
    assert_eq!(connection.current_max_send_streams(), 16, "each may hold a whole body");
    let connection = tokio::spawn(connection);
    assert_eq!(sender.send_request(live()).await.unwrap().status(), 200);
    // Idle from here on, while it answers pings.
    let ended = tokio::time::timeout(Duration::from_secs(5), connection).await;
    ended.expect("an idle HTTP/2 connection is still open").unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_before_and_after_the_handshake() {
    let (server, root) = server().await;
    let started = Instant::now();
    let mut buffer = Vec::new();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let _ = silent.read_to_end(&mut buffer).await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let mut stream = connect(&server, root.clone(), protocol).await;
        let _ = stream.read_to_end(&mut buffer).await;
    }
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn files_that_are_no_pair_are_refused() {
    let folder = folder();
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    fs::write(folder.path().join("cert.pem"), one.cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), other.signing_key.serialize_pem()).unwrap();
    let run = |cert: &str| {
        let flags = ["config", "check", "--tls-key", "key.pem", "--tls-cert", cert];
        command(folder.path(), &flags, PASSWORD)
    };
    let done = run("cert.pem");
    assert!(stderr(&done).contains("cannot be used together"), "{}", stderr(&done));
    let done = run("key.pem");
    assert!(!done.status.success(), "a key is not a certificate");
}
