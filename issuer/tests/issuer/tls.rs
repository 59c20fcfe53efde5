//! TLS: HTTP/1.1 and HTTP/2 by ALPN, deadlines of connections, and renewed certificates.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_issuer::{Config, Limits};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::{PASSWORD, Process, START, Server, binary, command, folder, stderr};
use crate::watch::{self, admin, metrics};

/// A certificate for localhost and its key in PEM, and the certificate in DER.
pub(crate) struct Pair {
    cert: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn make() -> Self {
        Self::lasting(4000)
    }

    /// Makes a certificate that is valid from 2000 to the beginning of the year `until`.
    fn lasting(until: i32) -> Self {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2000, 1, 1);
        parameters.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = parameters.self_signed(&key).unwrap();
        Self { cert: cert.pem(), key: key.serialize_pem(), der: cert.der().clone() }
    }

    pub(crate) fn write(&self, folder: &Path) {
        fs::write(folder.join("cert.pem"), &self.cert).unwrap();
        fs::write(folder.join("key.pem"), &self.key).unwrap();
    }
}

pub(crate) async fn server() -> (Server, CertificateDer<'static>) {
    server_with(|config, limits| {
        limits.header_timeout = Duration::from_millis(700);
        limits.request_timeout = Duration::from_millis(900);
        config.idle_timeout = Some(Duration::from_secs(1));
    })
    .await
}

pub(crate) async fn server_with(
    change: impl FnOnce(&mut Config, &mut Limits),
) -> (Server, CertificateDer<'static>) {
    let (folder, pair) = (folder(), Pair::make());
    pair.write(folder.path());
    (server_over(folder, change).await, pair.der)
}

/// Starts a server with the certificate in the folder.
pub(crate) async fn server_over(
    folder: TempDir,
    change: impl FnOnce(&mut Config, &mut Limits),
) -> Server {
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let server = Server::over(folder, |config, limits| {
        config.tls_cert = Some(cert);
        config.tls_key = Some(key);
        change(config, limits);
    })
    .await;
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    server
}

pub(crate) async fn connect(
    address: SocketAddr,
    trusted: &[&CertificateDer<'static>],
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for root in trusted {
        roots.add((*root).clone()).unwrap();
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
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
async fn http_1_1_and_http_2_work_over_tls() {
    let (server, root) = server().await;
    let stream = TokioIo::new(connect(server.address, &[&root], b"http/1.1").await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(live()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["strict-transport-security"], "max-age=31536000");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let metadata: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(metadata["issuer"], server.url);

    let stream = TokioIo::new(connect(server.address, &[&root], b"h2").await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, mut connection) = handshake.await.unwrap();
    tokio::select! {
        ended = &mut connection => panic!("{ended:?}"),
        answer = sender.send_request(live()) => assert_eq!(answer.unwrap().status(), 200),
    }
    assert_eq!(connection.current_max_send_streams(), 100, "clients expect this many");
    let connection = tokio::spawn(connection);
    assert_eq!(sender.send_request(live()).await.unwrap().status(), 200);
    // From here on the connection is idle, but the client answers pings.
    let ended = tokio::time::timeout(Duration::from_secs(5), connection).await;
    ended.expect("an idle HTTP/2 connection is still open").unwrap().unwrap();
}

#[tokio::test]
async fn a_silent_connection_is_closed_before_and_after_the_handshake() {
    let (server, root) = server().await;
    let started = Instant::now();
    let mut buffer = Vec::new();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let _ = silent.read_to_end(&mut buffer).await;
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let mut stream = connect(server.address, &[&root], protocol).await;
        let _ = stream.read_to_end(&mut buffer).await;
    }
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

/// Starts the program with the pair in `folder`.
fn process_over(folder: &Path, pair: &Pair) -> (Process, SocketAddr) {
    pair.write(folder);
    let mut command = binary(folder);
    command.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let server = Process::with(folder, command);
    let address = server.url.strip_prefix("https://").unwrap().parse().unwrap();
    (server, address)
}

/// Waits until new connections show the expected certificate.
async fn until_shown(address: SocketAddr, expected: &Pair, before: &Pair) {
    let started = Instant::now();
    while !shows(address, expected, before).await {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the old certificate is still in force"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns true if a new connection shows `one`, and false if it shows `other`.
async fn shows(address: SocketAddr, one: &Pair, other: &Pair) -> bool {
    let stream = connect(address, &[&one.der, &other.der], b"http/1.1").await;
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    assert!(shown == [one.der.clone()] || shown == [other.der.clone()]);
    shown == [one.der.clone()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_for_new_connections_and_open_ones_continue() {
    let (folder, old, new) = (folder(), Pair::make(), Pair::make());
    old.write(folder.path());
    let server = server_over(folder, |_, _| {}).await;
    let stream = TokioIo::new(connect(server.address, &[&old.der], b"h2").await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut open, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(open.send_request(live()).await.unwrap().status(), 200);

    new.write(server.folder.path());
    until_shown(server.address, &new, &old).await;
    assert_eq!(open.send_request(live()).await.unwrap().status(), 200);
    assert!(!connection.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_contain_the_expiry_of_the_certificate_in_force() {
    const FROM: f64 = 946_684_800.0;
    let (folder, old, new) = (folder(), Pair::lasting(2100), Pair::lasting(2200));
    old.write(folder.path());
    let server = server_over(folder, |_, _| {}).await;
    let admin = admin(&server).await;
    let says = async |until: f64| {
        let metrics = metrics(&admin).await;
        assert_eq!(metrics["countersign_certificate_expires_seconds"], until - START as f64);
        assert_eq!(metrics["countersign_certificate_lifetime_seconds"], until - FROM);
    };
    says(4_102_444_800.0).await;
    new.write(server.folder.path());
    until_shown(server.address, &new, &old).await;
    says(7_258_118_400.0).await;

    let without = metrics(&watch::admin(&Server::start().await).await).await;
    assert_eq!(without["countersign_certificate_expires_seconds"], f64::INFINITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_symbolic_links_are_followed() {
    // Kubernetes mounts a secret like this: cert.pem -> data/cert.pem, and data -> a folder.
    let (folder, old, new) = (folder(), Pair::make(), Pair::make());
    let path = folder.path().to_owned();
    for (name, pair) in [("one", &old), ("two", &new)] {
        fs::create_dir(path.join(name)).unwrap();
        pair.write(&path.join(name));
    }
    symlink("one", path.join("data")).unwrap();
    symlink("data/cert.pem", path.join("cert.pem")).unwrap();
    symlink("data/key.pem", path.join("key.pem")).unwrap();
    let server = server_over(folder, |_, _| {}).await;
    assert!(shows(server.address, &old, &new).await);
    symlink("two", path.join("data.new")).unwrap();
    fs::rename(path.join("data.new"), path.join("data")).unwrap();
    until_shown(server.address, &new, &old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mismatched_pair_is_reported_once_and_sighup_reloads_at_once() {
    let (folder, old, new) = (folder(), Pair::make(), Pair::make());
    let folder = folder.path();
    let (server, address) = process_over(folder, &old);
    let log = || fs::read_to_string(folder.join("issuer.log")).unwrap();
    let said = |words: &str| log().matches(words).count();
    let until_said = async |words: &str| {
        let started = Instant::now();
        while said(words) == 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "{words:?} not in: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let hang_up = || server.signal("-HUP");

    // First the new certificate without its key, then half of the new certificate.
    fs::write(folder.join("cert.pem"), &new.cert).unwrap();
    until_said("cannot be used together").await;
    assert!(shows(address, &old, &new).await);
    fs::write(folder.join("cert.pem"), &new.cert[..new.cert.len() / 2]).unwrap();
    fs::write(folder.join("key.pem"), &new.key).unwrap();
    until_said("cert.pem: ").await;
    assert!(shows(address, &old, &new).await);
    fs::remove_file(folder.join("cert.pem")).unwrap();
    until_said("No such file").await;
    // The issuer looks three more times.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(said("the previous certificate stays in force"), 3, "{}", log());

    hang_up();
    let started = Instant::now();
    while said("No such file") < 2 {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    new.write(folder);
    hang_up();
    until_said("new connections get the new certificate").await;
    assert!(shows(address, &new, &old).await);
    assert_eq!(said("the previous certificate stays in force"), 4, "{}", log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_regular_one_stops_neither_the_issuer_nor_its_end() {
    let (folder, old, new) = (folder(), Pair::make(), Pair::make());
    let folder = folder.path();
    let (server, address) = process_over(folder, &old);
    let until_refused = async |times: usize| {
        let started = Instant::now();
        let log = || fs::read_to_string(folder.join("issuer.log")).unwrap();
        while log().matches("it is not a regular file").count() < times {
            assert!(started.elapsed() < Duration::from_secs(30), "{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    fs::remove_file(folder.join("cert.pem")).unwrap();
    let made = Command::new("mkfifo").arg(folder.join("cert.pem")).status();
    assert!(made.unwrap().success());
    server.signal("-HUP");
    until_refused(1).await;
    fs::remove_file(folder.join("cert.pem")).unwrap();
    new.write(folder);
    until_shown(address, &new, &old).await;
    fs::remove_file(folder.join("cert.pem")).unwrap();
    symlink("/dev/zero", folder.join("cert.pem")).unwrap();
    server.signal("-HUP");
    until_refused(2).await;
    assert!(server.stop().success());
}

#[test]
fn an_expired_certificate_is_served_with_an_error_in_the_log() {
    let folder = folder();
    let _server = process_over(folder.path(), &Pair::lasting(2020));
    let log = || fs::read_to_string(folder.path().join("issuer.log")).unwrap();
    let started = Instant::now();
    while !log().contains("the certificate in tls_cert has expired; renew it") {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_certificate_with_another_key_is_refused() {
    let folder = folder();
    Pair { key: Pair::make().key, ..Pair::make() }.write(folder.path());
    let run = |cert: &str| {
        let flags = ["config", "check", "--tls-key", "key.pem", "--tls-cert", cert];
        command(folder.path(), &flags, PASSWORD)
    };
    let done = run("cert.pem");
    assert!(stderr(&done).contains("cannot be used together"), "{}", stderr(&done));
    let done = run("key.pem");
    assert!(!done.status.success(), "a key is not a certificate");
}
