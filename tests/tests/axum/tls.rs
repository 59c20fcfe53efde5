//! Keys over https, with the root certificates of the machine.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use countersign_axum::{Guard, Policy};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::endpoint::{Answer, ISSUER, key};

/// Tells the test in a process of its own the URL of the key set.
const URL: &str = "COUNTERSIGN_TEST_TLS_URL";

/// The roots are those of the process, so each case runs this test again in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_fetched_over_https_from_a_trusted_server_alone() {
    if let Ok(url) = std::env::var(URL) {
        let guard = Guard::builder(Policy::new(ISSUER, "api")).jwks(url).build();
        let fetched = guard.expect("there are roots").refresh().await;
        return fetched.unwrap_or_else(|error| panic!("{error}"));
    }
    let folder = TempDir::new().expect("a temporary folder");
    let (ours, others) = (authority(), authority());
    let url = serve(&ours).await;
    for (authority, trusted) in [(&ours, true), (&others, false)] {
        let roots = folder.path().join("roots.pem");
        fs::write(&roots, authority.pem()).expect("a file");
        let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
        command.args(["--exact", "tls::keys_are_fetched_over_https_from_a_trusted_server_alone"]);
        command.env(URL, &url).env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        let output = command.output().expect("the test runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), trusted, "{text}");
        assert!(text.contains("1 passed") || text.contains("invalid peer certificate"), "{text}");
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Serves a key set over TLS, and returns its URL.
async fn serve(authority: &CertifiedIssuer<'_, KeyPair>) -> String {
    let key_pair = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key_pair, authority).expect("a certificate");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key_pair.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            let config = config.with_no_client_auth();
            config.with_single_cert(vec![certificate.der().clone()], private)
        });
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let port = listener.local_addr().expect("an address").port();
    let body = Answer::keys(&[("main", &key("main"))]).body;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("https://localhost:{port}/jwks")
}
