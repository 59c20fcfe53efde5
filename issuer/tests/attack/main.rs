//! The program under attack: its memory, and the requests of others meanwhile. Other tests are not
//! in this program, because these take the whole machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

#[allow(dead_code, unused, reason = "the other tests use it too")]
#[path = "../issuer/cluster.rs"]
mod cluster;
#[allow(dead_code, unused, reason = "the other tests use it too")]
#[path = "../issuer/common.rs"]
mod common;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::{Body, Frame};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::generate_simple_self_signed;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::common::{PASSWORD, Process, binary, folder};

/// Longer than anything takes that does not hang.
const FOREVER: Duration = Duration::from_secs(60);

const ATTACK: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_take_little_memory() {
    // One address may have 128 connections.
    for (connections, limit) in [(128, 64), (500, 128)] {
        let target = Target::start();
        let before = target.memory("VmRSS");
        let mut attack = JoinSet::new();
        for _ in 0..connections {
            attack.spawn(unfinished_bodies(target.at.clone()));
        }
        let started = Instant::now();
        while started.elapsed() < ATTACK {
            assert_eq!(target.at.get("/.well-known/jwks.json").await, 200);
            sleep(Duration::from_millis(100)).await;
        }
        let most = target.memory("VmHWM");
        eprintln!("{connections} connections: {before} MiB before, {most} MiB at most");
        assert!(most < limit, "{most} MiB");
        attack.shutdown().await;
        assert!(target.process.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_device_logs_in_while_the_issuer_is_attacked_in_four_ways() {
    // The first way: `Target` does not read the log.
    let target = Target::start();
    let first = target.at.log_in("192.0.2.1", "demo", PASSWORD, "").await.unwrap();
    assert_eq!(first.status, 200);

    let mut attack = JoinSet::new();
    for _ in 0..1400 {
        attack.spawn(silence(target.at.clone()));
    }
    for _ in 0..100 {
        attack.spawn(unfinished_bodies(target.at.clone()));
    }
    for _ in 0..10 {
        attack.spawn(guesses(target.at.clone()));
    }
    let (started, mut waits) = (Instant::now(), Vec::new());
    while started.elapsed() < ATTACK {
        sleep(Duration::from_millis(500)).await;
        let before = Instant::now();
        while target
            .at
            .log_in("198.51.100.7", "demo", PASSWORD, &first.device)
            .await
            .is_none_or(|answer| answer.status != 200)
        {
            assert!(before.elapsed() < FOREVER, "the known device cannot log in");
        }
        waits.push(before.elapsed());
        assert_eq!(target.at.get("/healthz/ready").await, 200);
    }
    waits.sort_unstable();
    let (middle, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    let most = target.memory("VmHWM");
    eprintln!("{} logins: half within {middle:?}, all within {longest:?}; {most} MiB", waits.len());
    assert!(most < 256, "{most} MiB");
    // The attack goes on.
    let stopping = Instant::now();
    assert!(target.process.stop().success());
    eprintln!("stopped in {:?}", stopping.elapsed());
}

/// Opens a connection, sends nothing, and does so again as soon as it is closed.
async fn silence(target: Address) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(target.address).await {
            let _ = stream.read(&mut [0]).await;
        }
    }
}

/// Sends 16 requests over HTTP/2, each one byte short of its body.
async fn unfinished_bodies(target: Address) {
    loop {
        let Ok(stream) = target.connect(b"h2").await else { continue };
        let stream = TokioIo::new(stream);
        let client = http2::handshake(TokioExecutor::new(), stream).await;
        let Ok((mut sender, connection)) = client else { continue };
        for _ in 0..16 {
            let request = Request::post("https://localhost/revoke").body(Unfinished::default());
            tokio::spawn(sender.send_request(request.unwrap()));
        }
        let _ = connection.await;
    }
}

/// A body that is one byte short of 16 KiB and never ends.
#[derive(Default)]
struct Unfinished {
    is_sent: bool,
}

impl Body for Unfinished {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.is_sent, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'a'; 16 * 1024 - 1])))))
    }
}

/// Tries to log in ten times a second, each time from another /64 of one /56.
async fn guesses(target: Address) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let network = format!("2001:db8:0:{:x}::1", count % 256);
        let user = format!("user{count}");
        let guess = target.log_in(&network, &user, "a wrong password", "");
        let _ = tokio::join!(guess, sleep(Duration::from_millis(100)));
    }
}

/// The program with TLS and a trusted proxy on this machine. Nobody reads its log.
struct Target {
    process: Process,
    at: Address,
    _folder: TempDir,
}

impl Target {
    fn start() -> Self {
        // The attackers and the program may need more files than a shell allows.
        let files = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: files.maximum, ..files })
            .unwrap();
        let folder = folder();
        let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        let mut command = binary(folder.path());
        command.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
        command.args(["--trusted-proxies", "127.0.0.1", "--log-level", "info"]);
        let process = Process::logging(command);
        let address = process.url.strip_prefix("https://").unwrap().parse().unwrap();
        Self { process, at: Address { address, root: pair.cert.der().clone() }, _folder: folder }
    }

    /// Returns MiB of its memory: `VmRSS` is in use now, `VmHWM` was in use at the worst moment.
    fn memory(&self, name: &str) -> u64 {
        let file = format!("/proc/{}/status", self.process.child.id());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }
}

/// The address of the program, and its certificate.
#[derive(Clone)]
struct Address {
    address: SocketAddr,
    root: CertificateDer<'static>,
}

impl Address {
    /// Returns the status of an answer, which must come.
    async fn get(&self, path: &str) -> u16 {
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Full::default()).unwrap();
        let answer = timeout(FOREVER, async {
            loop {
                // A connection can be closed for a newer one before its request arrives.
                if let Ok(answer) = self.send(request.clone()).await {
                    return answer.status;
                }
            }
        });
        answer.await.expect("no answer")
    }

    /// Logs in from this address behind the proxy. `None` means that the connection was closed.
    async fn log_in(&self, from: &str, user: &str, password: &str, device: &str) -> Option<Answer> {
        let body = json!({ "username": user, "password": password, "session": "cookie" });
        let request = Request::post("/login")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("x-forwarded-for", from)
            .header("cookie", device)
            .body(Full::from(body.to_string()));
        timeout(FOREVER, self.send(request.unwrap())).await.expect("no answer").ok()
    }

    /// Connects, unless the connection is closed meanwhile.
    async fn connect(&self, protocol: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Sends a request over a connection of its own.
    async fn send(&self, request: Request<Full<Bytes>>) -> io::Result<Answer> {
        let stream = self.connect(b"http/1.1").await?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let cookies = answer.headers().get_all("set-cookie").iter();
        let cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let device = cookies.filter(|cookie| cookie.contains("device")).collect();
        let status = answer.status().as_u16();
        answer.into_body().collect().await.map_err(io::Error::other)?;
        Ok(Answer { status, device })
    }
}

struct Answer {
    status: u16,
    /// The cookie that marks the device.
    device: String,
}
