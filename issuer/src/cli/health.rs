//! The command `health`: asks a running issuer on this machine how it is, for containers without a
//! shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::any_certificate::tls_connector;
use super::output::Output;
use crate::{Config, Error};

/// The longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Args)]
pub(super) struct Health {
    /// Succeed only if logins would: ask /healthz/ready instead of /healthz/live
    #[arg(long)]
    ready: bool,
}

impl Health {
    /// Asks the issuer at `listen`. Prints the answer if it is good.
    ///
    /// # Errors
    ///
    /// If nothing answers within 5 s, or the answer is not 200.
    pub(super) async fn run(&self, config: &Config, output: Output) -> Result<(), Error> {
        let address = reachable(config.listen)?;
        let path = if self.ready { "/healthz/ready" } else { "/healthz/live" };
        let asked = timeout(TIMEOUT, ask(address, config.tls_cert.is_some(), path)).await;
        let failed = |e: &dyn std::fmt::Display| {
            Error::Refused(format!("no issuer answers at {address}: {e}; is listen its address?"))
        };
        let (status, body) = asked.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        if status != StatusCode::OK {
            return Err(Error::Refused(format!("{path} answered {status}: {body}")));
        }
        let json = serde_json::from_str(&body).unwrap_or_else(|_| json!(body));
        output.print(&format!("{body}\n"), &json)
    }
}

/// Returns the address that reaches the listener from this machine.
fn reachable(listen: SocketAddr) -> Result<SocketAddr, Error> {
    if listen.port() == 0 {
        let line = "listen has port 0; set it to the port that the issuer picked";
        return Err(Error::Config(line.to_owned()));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, listen.port()))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn ask(address: SocketAddr, tls: bool, path: &str) -> Result<(StatusCode, String), Failure> {
    let stream = TcpStream::connect(address).await?;
    if tls {
        let name = address.ip().into();
        get(tls_connector()?.connect(name, stream).await?, address, path).await
    } else {
        get(stream, address, path).await
    }
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: SocketAddr,
    path: &str,
) -> Result<(StatusCode, String), Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header("Host", host.to_string()).body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await?.to_bytes();
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// TLS to an issuer on this machine. Its certificate is for another name than the address, and says
/// nothing that matters here: the request contains no secret, and the answer is only shown.
mod any_certificate {
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::client::danger::{
        HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
    };
    use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

    pub(super) fn tls_connector() -> Result<TlsConnector, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(client)))
    }

    #[derive(Debug)]
    struct AnyCertificate(Arc<CryptoProvider>);

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
