//! TLS, with a certificate and a key that are read again when their files change.

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
use crate::{Clock, Config, Error};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often it is said that the certificate ends.
const WARN_EVERY: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;

/// What ends TLS on each connection: TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 by ALPN.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<Inner>);

struct Inner {
    cert: PathBuf,
    key: PathBuf,
    in_force: RwLock<InForce>,
    seen: Mutex<Seen>,
    /// Somebody wants the files to be read now.
    asked: Notify,
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
            seen: Mutex::new(Seen { in_force: found, last: Some(found), is_judged: true }),
            asked: Notify::new(),
            cert: cert.clone(),
            key: key.clone(),
        }))))
    }

    /// The handshake; also answers whether HTTP/2 was agreed on.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<(TlsStream<TcpStream>, bool)> {
        let stream = self.0.in_force().acceptor.accept(stream).await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, h2))
    }

    /// When the certificate in force is good, if that can be read.
    pub(crate) fn validity(&self) -> Option<Validity> {
        self.0.in_force().validity
    }

    /// Lets [`Self::watch`] read the files now, and take them as they are.
    pub(crate) fn look_now(&self) {
        self.0.asked.notify_one();
    }

    /// Runs until it is dropped: takes a renewed certificate, and says in time when it ends.
    pub(crate) async fn watch(self, clock: Clock) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warn_at = Instant::now();
        loop {
            let asked = tokio::select! {
                _ = tick.tick() => false,
                () = self.0.asked.notified() => true,
            };
            let inner = Arc::clone(&self.0);
            // A file may be on a network.
            let taken = tokio::task::spawn_blocking(move || inner.look(asked)).await;
            if taken.unwrap_or(false) || Instant::now() >= warn_at {
                warn_at = Instant::now() + WARN_EVERY;
                self.0.in_force().warn(clock.now());
            }
        }
    }
}

/// What the files held when they were looked at.
struct Seen {
    in_force: Digest,
    last: Option<Digest>,
    /// Whether it was decided on what they held at last.
    is_judged: bool,
}

impl Inner {
    fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files, and answers whether another certificate is in force. They are taken when
    /// two looks in a row find the same: two files never change at once, and half a chain may be
    /// well-formed. Who asks says that they are complete.
    fn look(&self, asked: bool) -> bool {
        let files = Files::read(&self.cert, &self.key);
        let found = files.as_ref().ok().map(Files::digest);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = seen.last == found;
        let was_judged = is_settled && seen.is_judged;
        seen.last = found;
        if found == Some(seen.in_force) {
            seen.is_judged = true;
            if asked {
                tracing::info!("tls_cert and tls_key are as they were");
            }
            return false;
        }
        seen.is_judged = asked || is_settled;
        if !seen.is_judged || (was_judged && !asked) {
            return false;
        }
        match files.and_then(|files| files.check(&self.cert, &self.key)) {
            Ok(renewed) => {
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = renewed;
                seen.in_force = found.unwrap_or(seen.in_force);
                tracing::info!("new connections get the certificate that is in tls_cert now");
                true
            }
            Err(e) => {
                tracing::error!("{e}; the certificate from before stays in force");
                false
            }
        }
    }
}

/// SHA-256 of each file.
type Digest = [[u8; 32]; 2];

/// The files' content.
struct Files {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    fn read(cert: &Path, key: &Path) -> Result<Self, Error> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| unusable(path, &e));
        Ok(Self { cert: read(cert)?, key: read(key).map(Zeroizing::new)? })
    }

    fn digest(&self) -> Digest {
        [sha256(&self.cert), sha256(&self.key)]
    }

    /// The files as what serves, if they are a pair. Tickets of TLS sessions are its own: a client
    /// that comes back after a renewal sees the new certificate.
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

/// The first and the last second of a certificate.
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

    /// Whether renewing it is late: two weeks before its end, or a third of its life if it lives
    /// shorter than six weeks.
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
    fn files_are_taken_when_they_are_the_same_twice_or_when_somebody_asks() {
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

        // A chain of two, of which the first look finds the first alone.
        std::fs::write(path("key.pem"), two_key).unwrap();
        std::fs::write(path("cert.pem"), &two).unwrap();
        assert!(!inner.look(false));
        std::fs::write(path("cert.pem"), two.repeat(2)).unwrap();
        assert!(!inner.look(false));
        assert!(inner.look(false));
        assert!(!inner.look(false), "it is in force");

        std::fs::write(path("cert.pem"), &three).unwrap();
        assert!(!inner.look(true), "the key is missing");
        std::fs::write(path("key.pem"), three_key).unwrap();
        assert!(inner.look(true));
    }

    #[test]
    fn renewing_is_late_two_weeks_before_the_end_or_after_two_thirds_of_a_short_life() {
        let cases =
            [(365, 350, false), (365, 352, true), (365, 400, true), (6, 3, false), (6, 5, true)];
        for (days, day, late) in cases {
            let validity = Validity { from: 1000 * DAY, until: (1000 + days) * DAY };
            assert_eq!(validity.is_late((1000 + day) * DAY), late, "day {day} of {days}");
        }
    }

    #[test]
    fn the_validity_is_that_of_the_certificate() {
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
