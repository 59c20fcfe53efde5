//! Opens connections to the server, one host of the URL after the other.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::failure::Failure;
use crate::config::{PostgresUrl, TIME_TO_CONNECT};
use crate::{Error, crypto, files};

/// The most backends that the server has for the transactions of this issuer. With the one of the
/// [`Supervisor`](super::supervisor::Supervisor) there are 13. By default a server accepts 100
/// connections from all its clients.
pub(super) const MAX_BACKENDS: usize = 12;

/// The most characters of a name in the URL. The server keeps 63, and nine are for the issuer.
const MAX_NAME: usize = 54;

/// The time to wait for a connection that others use.
pub(super) const TIME_IN_QUEUE: Duration = Duration::from_secs(2);

/// The time after which a connection may have died unnoticed.
const IDLE: Duration = Duration::from_secs(1);

/// A connection that nobody has used for this long is replaced: a firewall may have forgotten it, and
/// the next request would wait in vain. The pool takes the one that was used last, so that an issuer
/// with nobody there goes on with one.
const MAX_IDLE: Duration = Duration::from_secs(120);

/// A statement's parameters with their types. Without types, the client would ask the server for
/// them, and the server would keep the statement beyond the transaction.
pub(super) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Opens the connections of a pool.
pub(super) struct Connector {
    /// One configuration for each host.
    hosts: Vec<tokio_postgres::Config>,
    /// The host that the last connection led to.
    primary: AtomicUsize,
    /// The `application_name` of all connections, which no other issuer has.
    name: String,
    tls: MakeRustlsConnect,
    /// Not the pool's size: a connection may have left the pool while the server still works for it.
    backends: Arc<Semaphore>,
}

impl Connector {
    /// # Errors
    ///
    /// [`Error::Tls`] if the trusted certificates cannot be read.
    pub(super) fn new(address: &PostgresUrl) -> Result<Self, Error> {
        // The server may replace other characters.
        let name = address.config.get_application_name().unwrap_or_default();
        let name: String = name.chars().filter(char::is_ascii).take(MAX_NAME).collect();
        let name = format!("{name} {:08x}", u32::from_ne_bytes(crypto::random()?));
        let mut hosts = address.hosts();
        for host in &mut hosts {
            host.application_name(&name);
        }
        Ok(Self {
            hosts,
            primary: AtomicUsize::new(0),
            name,
            tls: MakeRustlsConnect::new(tls(address)?),
            backends: Arc::new(Semaphore::new(MAX_BACKENDS)),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Connects to the first host that can be written. Begins with the last one that could.
    pub(super) async fn connect(
        &self,
        backend: Option<OwnedSemaphorePermit>,
    ) -> Result<Link, Failure> {
        let first = self.primary.load(Ordering::Relaxed);
        let mut failure = None;
        let hosts = self.hosts.iter().enumerate();
        for (index, host) in hosts.clone().skip(first).chain(hosts.take(first)) {
            let e = match timeout(TIME_TO_CONNECT, host.connect(self.tls.clone())).await {
                Ok(Ok((client, connection))) => {
                    self.primary.store(index, Ordering::Relaxed);
                    return Ok(Link::start(client, connection, index, backend));
                }
                Ok(Err(e)) => e.into(),
                Err(_) => Failure::Passing("no connection in time".to_owned()),
            };
            // As long as one host may come back, a retry may succeed.
            failure = Some(failure.filter(|_| matches!(e, Failure::Permanent(_))).unwrap_or(e));
        }
        Err(failure.unwrap_or(Failure::Silent))
    }

    /// Asks the server to end the statement of a connection. If it cannot be asked, the statement runs
    /// on.
    pub(super) async fn cancel(&self, link: &Link) {
        let cancel = link.cancel_token();
        let _ = timeout(TIME_TO_CONNECT, cancel.cancel_query(self.tls.clone())).await;
    }
}

impl Manager for Connector {
    type Type = Link;
    type Error = Failure;

    async fn create(&self) -> Result<Link, Failure> {
        let backend = timeout(TIME_IN_QUEUE, Arc::clone(&self.backends).acquire_owned()).await;
        let backend = backend.ok().and_then(Result::ok);
        let in_use = || Failure::Passing("all connections of this issuer are in use".to_owned());
        self.connect(Some(backend.ok_or_else(in_use)?)).await
    }

    async fn recycle(&self, link: &mut Link, metrics: &Metrics) -> RecycleResult<Failure> {
        let unused = metrics.last_used();
        link.was_idle = unused >= IDLE;
        let is_usable = !link.is_closed() && unused < MAX_IDLE;
        if is_usable { Ok(()) } else { Err(RecycleError::message("closed, or idle for too long")) }
    }
}

/// A connection. Once it is dropped, it is closed as soon as the server has answered everything.
pub(super) struct Link {
    client: Client,
    host: usize,
    was_idle: bool,
    /// The server has stopped to wait for its standby.
    is_warned: Arc<AtomicBool>,
    has_written: AtomicBool,
    driver: JoinHandle<()>,
}

impl Link {
    fn start<S, T>(
        client: Client,
        connection: tokio_postgres::Connection<S, T>,
        host: usize,
        backend: Option<OwnedSemaphorePermit>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let is_warned = Arc::<AtomicBool>::default();
        let driver = tokio::spawn(drive(connection, Arc::clone(&is_warned), backend));
        let has_written = AtomicBool::new(false);
        Self { client, host, was_idle: false, is_warned, has_written, driver }
    }

    /// Returns the index of the host in the URL.
    pub(super) fn host(&self) -> usize {
        self.host
    }

    /// Returns true if nobody has used it for a while.
    pub(super) fn was_idle(&self) -> bool {
        self.was_idle
    }

    /// Returns true if the server sent a warning since the last call. It warns if somebody cancels a
    /// COMMIT that waits for a standby: then only the primary has the changes.
    pub(super) fn take_warning(&self) -> bool {
        self.is_warned.swap(false, Ordering::Relaxed)
    }

    /// Executes a statement that changes rows. Returns their number.
    pub(super) async fn execute_typed(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let changed = self.client.execute_typed(statement, parameters).await?;
        self.has_written.fetch_or(changed > 0, Ordering::Relaxed);
        Ok(changed)
    }

    /// Returns true if [`Link::execute_typed`] has changed a row since the last call.
    pub(super) fn take_written(&self) -> bool {
        self.has_written.swap(false, Ordering::Relaxed)
    }

    /// Sends nothing more. Returns the task that ends when the server has answered everything.
    pub(super) fn finish(self) -> JoinHandle<()> {
        self.driver
    }
}

impl Deref for Link {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Runs a connection until it is closed, and then gives its permit back.
async fn drive<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    is_warned: Arc<AtomicBool>,
    _backend: Option<OwnedSemaphorePermit>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notice(notice) = message
            && notice.code() == &SqlState::WARNING
        {
            is_warned.store(true, Ordering::Relaxed);
        }
    }
}

/// Returns a configuration that always verifies the certificate and the name in it.
fn tls(address: &PostgresUrl) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &address.root_certificates {
        let bad = |e: &dyn std::fmt::Display| {
            let shown = path.display();
            Error::Tls(format!("cannot use sslrootcert {shown}: {e}; expected a PEM file"))
        };
        let pem = files::read(path).map_err(|e| bad(&e))?;
        let certificates = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| bad(&e))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|e| bad(&e))?;
        }
    } else if address.config.get_ssl_mode() != tokio_postgres::config::SslMode::Disable {
        // If the system has no certificates, the handshake fails and says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(format!("no TLS to the database: {e}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
