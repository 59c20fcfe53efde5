//! TLS with a certificate and a key that are read again when their files change.
//!
//! A renewal writes two files, and never both at once. Changed files are therefore used only after
//! two looks in a row found the same content, or after an operator asked for a reload.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use crate::crypto::sha256;
use crate::{Clock, Config, Error, files};

/// The time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The time between two warnings that the certificate expires.
const WARN_EVERY: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;

/// Accepts TLS 1.2 and 1.3, and chooses HTTP/2 or HTTP/1.1 by ALPN.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<Inner>);

struct Inner {
    cert: PathBuf,
    key: PathBuf,
    in_force: RwLock<InForce>,
    seen: Mutex<Seen>,
    /// An operator asked for a reload.
    reload: Notify,
}

#[derive(Clone)]
struct InForce {
    acceptor: TlsAcceptor,
    validity: Option<Validity>,
}

impl Acceptor {
    /// Reads the configured certificate and key; `None` if none are configured.
    pub(crate) fn load(config: &Config) -> Result<Option<Self>, Error> {
        let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
        let files = Files::read(cert, key)?;
        let found = files.digest();
        Ok(Some(Self(Arc::new(Inner {
            in_force: RwLock::new(files.check(cert, key)?),
            seen: Mutex::new(Seen { in_force: found, last: Some(found), is_decided: true }),
            reload: Notify::new(),
            cert: cert.clone(),
            key: key.clone(),
        }))))
    }

    /// Does the handshake. Also returns true if the client chose HTTP/2.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<(TlsStream<TcpStream>, bool)> {
        let stream = self.0.in_force().acceptor.accept(stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, is_http2))
    }

    /// Returns the validity of the certificate in force, if it can be read.
    pub(crate) fn validity(&self) -> Option<Validity> {
        self.0.in_force().validity
    }

    /// Lets [`Self::watch`] read the files now and use them at once.
    pub(crate) fn look_now(&self) {
        self.0.reload.notify_one();
    }

    /// Runs until it is dropped. Switches to a renewed certificate, and warns before it expires.
    pub(crate) async fn watch(self, clock: Clock) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warn_at = Instant::now();
        loop {
            let is_asked = tokio::select! {
                _ = tick.tick() => false,
                () = self.0.reload.notified() => true,
            };
            let inner = Arc::clone(&self.0);
            // Reading blocks for long if a file is on a network.
            let switched = tokio::task::spawn_blocking(move || inner.look(is_asked)).await;
            if switched.unwrap_or(false) || Instant::now() >= warn_at {
                warn_at = Instant::now() + WARN_EVERY;
                self.0.in_force().warn(clock.now());
            }
        }
    }
}

/// The content of the files at earlier looks.
struct Seen {
    in_force: Digest,
    last: Option<Digest>,
    /// The last content was either used or refused.
    is_decided: bool,
}

impl Inner {
    fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files, and returns true if another certificate is now in force. New content is
    /// used once two looks in a row find it, because half a chain may be well-formed. `is_asked`
    /// means that an operator asked: the files are complete.
    fn look(&self, is_asked: bool) -> bool {
        let files = Files::read(&self.cert, &self.key);
        let found = files.as_ref().ok().map(Files::digest);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = seen.last == found;
        let was_decided = is_settled && seen.is_decided;
        seen.last = found;
        if found == Some(seen.in_force) {
            seen.is_decided = true;
            if is_asked {
                tracing::info!("tls_cert and tls_key have not changed");
            }
            return false;
        }
        seen.is_decided = is_asked || is_settled;
        if !seen.is_decided || (was_decided && !is_asked) {
            return false;
        }
        match files.and_then(|files| files.check(&self.cert, &self.key)) {
            Ok(renewed) => {
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = renewed;
                seen.in_force = found.unwrap_or(seen.in_force);
                tracing::info!("new connections get the new certificate in tls_cert");
                true
            }
            Err(e) => {
                tracing::error!("{e}; the previous certificate stays in force");
                false
            }
        }
    }
}

/// The SHA-256 of each file.
type Digest = [[u8; 32]; 2];

/// The content of the files.
struct Files {
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    fn read(cert: &Path, key: &Path) -> Result<Self, Error> {
        let read = |path: &Path| files::read(path).map_err(|e| unusable(path, &e));
        Ok(Self { cert: read(cert)?, key: read(key)? })
    }

    fn digest(&self) -> Digest {
        [sha256(&self.cert), sha256(&self.key)]
    }

    /// Makes an acceptor, if certificate and key belong together. Each acceptor has its own TLS
    /// session tickets, so that a returning client sees a renewed certificate.
    fn check(&self, cert: &Path, key: &Path) -> Result<InForce, Error> {
        let chain = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| unusable(cert, &e))?;
        let validity = chain.first().and_then(|leaf| Validity::of(leaf));
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| unusable(key, &e))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| {
                Error::Tls(format!("tls_cert and tls_key cannot be used together: {e}"))
            })?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(InForce { acceptor: TlsAcceptor::from(Arc::new(server)), validity })
    }
}

fn unusable(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::Tls(format!("cannot use {}: {e}; expected a PEM file", path.display()))
}

/// The first and the last second of a certificate, in UNIX time.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Validity {
    fn of(certificate: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
        let validity = certificate.tbs_certificate.validity;
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        Some(Self { from: seconds(validity.not_before), until: seconds(validity.not_after) })
    }

    /// Returns true if renewal is overdue: two weeks before the end, or after two thirds of the
    /// lifetime of a certificate that lives less than six weeks.
    fn is_late(self, now: u64) -> bool {
        let margin = (self.until.saturating_sub(self.from) / 3).min(14 * DAY);
        now > self.until.saturating_sub(margin)
    }
}

impl InForce {
    fn warn(&self, now: u64) {
        let Some(validity) = self.validity.filter(|validity| validity.is_late(now)) else { return };
        match validity.until.checked_sub(now) {
            None => tracing::error!("the certificate in tls_cert has expired; renew it"),
            Some(left) => {
                let days = left / DAY;
                tracing::warn!("the certificate in tls_cert expires in {days} days; renew it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn new_files_are_used_after_two_equal_looks_or_on_request() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let config = Config {
            tls_cert: Some(path("cert.pem")),
            tls_key: Some(path("key.pem")),
            ..Config::default()
        };
        let ((one, one_key), (two, two_key), (three, three_key)) = (pair(), pair(), pair());
        std::fs::write(path("cert.pem"), one).unwrap();
        std::fs::write(path("key.pem"), one_key).unwrap();
        let Acceptor(inner) = Acceptor::load(&config).unwrap().unwrap();
        assert!(!inner.look(false) && !inner.look(true), "nothing has changed");

        // A chain of two certificates: the first look finds only the first of them.
        std::fs::write(path("key.pem"), two_key).unwrap();
        std::fs::write(path("cert.pem"), &two).unwrap();
        assert!(!inner.look(false));
        std::fs::write(path("cert.pem"), two.repeat(2)).unwrap();
        assert!(!inner.look(false));
        assert!(inner.look(false));
        assert!(!inner.look(false), "the new certificate is already in force");

        std::fs::write(path("cert.pem"), &three).unwrap();
        assert!(!inner.look(true), "the key is missing");
        std::fs::write(path("key.pem"), three_key).unwrap();
        assert!(inner.look(true));
    }

    #[test]
    fn renewal_is_late_two_weeks_before_the_end_or_after_two_thirds_of_a_short_life() {
        let cases =
            [(365, 350, false), (365, 352, true), (365, 400, true), (6, 3, false), (6, 5, true)];
        for (days, day, late) in cases {
            let validity = Validity { from: 1000 * DAY, until: (1000 + days) * DAY };
            assert_eq!(validity.is_late((1000 + day) * DAY), late, "day {day} of {days}");
        }
    }

    #[test]
    fn the_validity_is_read_from_the_certificate() {
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        let validity = Validity::of(made.der()).unwrap();
        assert_eq!((validity.from, validity.until), (1_577_836_800, 1_893_456_000));
        assert!(Validity::of(b"no certificate").is_none());
    }
}
