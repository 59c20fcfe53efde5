//! A pool of connections to a server, transactions, and their retries.
//!
//! Between transactions a connection has no state: no prepared statement, no setting, no lock. It
//! may therefore lead to a pooler that gives each transaction another connection (pgbouncer's mode
//! `transaction`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::{PostgresUrl, TIME_TO_CONNECT, describe};
use crate::store::StoreError;
use crate::{Error, files};

/// The size of the pool. By default a server accepts 100 connections from all its clients.
const MAX_POOL: usize = 10;

/// The time for a result, with all retries.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// The number of tries if another transaction is in the way or the connection is lost.
const MAX_ATTEMPTS: u32 = 4;

/// With these timeouts the server itself ends the transactions of an issuer that is gone.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SET LOCAL statement_timeout = '4s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'";

/// A statement's parameters with their types. Without types, the client would ask the server for
/// them, and the server would keep the statement beyond the transaction.
pub(super) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// The reason why an attempt failed.
pub(in crate::store) enum Failure {
    /// A retry may succeed.
    Transient(String),
    Permanent(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(e: tokio_postgres::Error) -> Self {
        const TRANSIENT: [SqlState; 6] = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            // This server is a standby now, and another one is the primary.
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        let lost = || {
            let source = std::error::Error::source(&e);
            e.is_closed() || source.is_some_and(|source| source.is::<std::io::Error>())
        };
        let is_transient = e.code().map_or_else(lost, |code| TRANSIENT.contains(code));
        let text = describe(&e);
        if is_transient { Self::Transient(text) } else { Self::Permanent(text) }
    }
}

impl From<Failure> for StoreError {
    fn from(e: Failure) -> Self {
        let (Failure::Transient(e) | Failure::Permanent(e)) = e;
        failed(&e)
    }
}

/// The connections to one database.
pub(super) struct Connections {
    pool: Pool,
    /// The last transaction failed.
    failing: AtomicBool,
}

impl Connections {
    /// Makes the pool. Opens no connection yet.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] if the trusted certificates cannot be read.
    pub(super) fn new(address: &PostgresUrl) -> Result<Self, Error> {
        let tls = MakeRustlsConnect::new(tls(address)?);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), tls, recycling);
        let pool = Pool::builder(manager)
            .max_size(MAX_POOL)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TIME_TO_CONNECT))
            .create_timeout(Some(TIME_TO_CONNECT))
            .recycle_timeout(Some(TIME_TO_CONNECT))
            .build();
        let pool =
            pool.map_err(|e| Error::System(format!("cannot make a pool of connections: {e}")))?;
        Ok(Self { pool, failing: AtomicBool::new(false) })
    }

    /// Returns true if the last transaction failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Returns the rows of one statement that changes nothing.
    pub(super) async fn read(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.retry(|db| async move { Ok(db.query_typed(statement, parameters).await?) }).await
    }

    /// Runs `job` in one transaction and returns once its changes are on the disk.
    ///
    /// A job may run more than once, even after it was committed: the answer to a COMMIT can get
    /// lost. A job must then return the same result and change nothing more.
    pub(super) async fn transact<T, Job>(
        &self,
        job: impl Fn(Connection) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        // Set explicitly, because the database may have another default.
        self.transact_with("on", job).await
    }

    /// Like [`Connections::transact`], but returns once the changes are visible to others. A crash
    /// of the server soon after may undo them.
    pub(super) async fn transact_unsynced<T, Job>(
        &self,
        job: impl Fn(Connection) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        self.transact_with("off", job).await
    }

    async fn transact_with<T, Job>(
        &self,
        synchronous_commit: &str,
        job: impl Fn(Connection) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        let begin = &format!("{BEGIN}; SET LOCAL synchronous_commit = {synchronous_commit}");
        let job = &job;
        let result = self.retry(|db| in_transaction(db, begin, job)).await;
        self.failing.store(result.is_err(), Ordering::Relaxed);
        result
    }

    /// Runs `job` once in a transaction that begins with `begin`, without a time limit. For commands
    /// only.
    pub(super) async fn transact_once<T, Job>(
        &self,
        begin: &str,
        job: impl FnOnce(Connection) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        let connection = self.pool.get().await.map_err(|e| unreachable_because(&e))?;
        let db = Arc::new(connection);
        let guard = CloseOnDrop(Some(Arc::clone(&db)));
        let result = in_transaction(db, begin, job).await?;
        guard.keep_open();
        Ok(result)
    }

    async fn retry<T, Attempt>(
        &self,
        attempt: impl Fn(Connection) -> Attempt,
    ) -> Result<T, StoreError>
    where
        Attempt: Future<Output = Result<T, Failure>>,
    {
        let attempts = async {
            let mut count = 0;
            loop {
                count += 1;
                let connection = self.pool.get().await.map_err(|e| unreachable_because(&e))?;
                let connection = Arc::new(connection);
                // Declared before the attempt, so that it is dropped after it.
                let guard = CloseOnDrop(Some(Arc::clone(&connection)));
                match attempt(connection).await {
                    Ok(result) => {
                        guard.keep_open();
                        return Ok(result);
                    }
                    Err(Failure::Transient(_)) if count < MAX_ATTEMPTS => {
                        drop(guard);
                        // Two transactions that are in each other's way should not meet again.
                        sleep(Duration::from_millis(5) * count).await;
                    }
                    Err(e) => return Err(e.into()),
                }
            }
        };
        let slow = || failed(&"no answer in time");
        timeout(TIME_TO_ANSWER, attempts).await.unwrap_or_else(|_| Err(slow()))
    }
}

async fn in_transaction<T, Job>(
    db: Connection,
    begin: &str,
    job: impl FnOnce(Connection) -> Job,
) -> Result<T, Failure>
where
    Job: Future<Output = Result<T, Failure>>,
{
    db.batch_execute(begin).await?;
    let result = job(Arc::clone(&db)).await?;
    db.batch_execute("COMMIT").await?;
    Ok(result)
}

/// A connection of the pool, for one attempt.
pub(super) type Connection = Arc<Object>;

/// Closes the connection when it is dropped, so that the server undoes everything that was not
/// committed. After [`CloseOnDrop::keep_open`] it goes back to the pool.
struct CloseOnDrop(Option<Connection>);

impl CloseOnDrop {
    fn keep_open(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take().and_then(Arc::into_inner) {
            drop(Object::take(connection));
        }
    }
}

fn failed(e: &dyn std::fmt::Display) -> StoreError {
    StoreError(format!("the database failed: {e}"))
}

fn unreachable_because(e: &PoolError) -> StoreError {
    match e {
        PoolError::Backend(e) => {
            StoreError(format!("the database cannot be reached: {}", describe(e)))
        }
        PoolError::Timeout(_) => failed(&"no connection in time"),
        e => failed(e),
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
