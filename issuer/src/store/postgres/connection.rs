//! Connections to a server, and the transactions on them.
//!
//! Between transactions a connection has no state: no prepared statement, no setting, no lock. So
//! it may lead to a pooler that gives each transaction another connection (pgbouncer's mode
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

use crate::Error;
use crate::config::{PostgresUrl, TIME_TO_CONNECT, describe};
use crate::store::StoreError;

/// Connections that one issuer has open: a server takes 100 in all where nobody changed that.
const CONNECTIONS: usize = 10;

/// The time for an answer, with all attempts.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// How often a transaction is tried, where another one or a lost connection is in its way.
const ATTEMPTS: u32 = 4;

/// The server ends by itself what an issuer that is gone has left behind.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SET LOCAL statement_timeout = '4s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'";

/// A statement's parameters with their types. Without types the server would be asked for them,
/// and would keep the statement until the next transaction.
pub(super) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Why an attempt failed.
pub(in crate::store) enum Failure {
    /// The next attempt may succeed.
    Passing(String),
    Lasting(String),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(e: tokio_postgres::Error) -> Self {
        const PASSING: [SqlState; 6] = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            // Another server has become the one that can be written.
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        let lost = || {
            let source = std::error::Error::source(&e);
            e.is_closed() || source.is_some_and(|source| source.is::<std::io::Error>())
        };
        let passing = e.code().map_or_else(lost, |code| PASSING.contains(code));
        let text = describe(&e);
        if passing { Self::Passing(text) } else { Self::Lasting(text) }
    }
}

impl From<Failure> for StoreError {
    fn from(e: Failure) -> Self {
        let (Failure::Passing(e) | Failure::Lasting(e)) = e;
        Self(format!("the database failed: {e}"))
    }
}

/// The connections to one database.
pub(super) struct Connections {
    pool: Pool,
    /// Whether the last change failed.
    failing: AtomicBool,
}

impl Connections {
    /// Opens none yet.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] when the certificates to trust can't be read.
    pub(super) fn new(address: &PostgresUrl) -> Result<Self, Error> {
        let tls = MakeRustlsConnect::new(tls(address)?);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), tls, recycling);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TIME_TO_CONNECT))
            .create_timeout(Some(TIME_TO_CONNECT))
            .recycle_timeout(Some(TIME_TO_CONNECT))
            .build();
        let pool = pool.map_err(|e| Error::System(format!("no pool of connections: {e}")))?;
        Ok(Self { pool, failing: AtomicBool::new(false) })
    }

    /// Whether the last change failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The rows of one statement that changes nothing.
    pub(super) async fn read(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.attempts(|db| async move { Ok(db.query_typed(statement, parameters).await?) }).await
    }

    /// Runs `job` in one transaction, and answers once what it changed is on the disk.
    ///
    /// A job may run more than once, and also again after a run whose COMMIT went unanswered: so it
    /// must answer the same, and change nothing, where an earlier run of it was committed.
    pub(super) async fn transact<T, Job>(&self, job: impl Fn(Lent) -> Job) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        // Also where the database was set to be quicker.
        self.transact_with("on", job).await
    }

    /// Like [`Connections::transact`], but answers once others see what the job changed: when the
    /// server crashes soon after, that may be undone.
    pub(super) async fn transact_unsynced<T, Job>(
        &self,
        job: impl Fn(Lent) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        self.transact_with("off", job).await
    }

    async fn transact_with<T, Job>(
        &self,
        synchronous_commit: &str,
        job: impl Fn(Lent) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        let begin = &format!("{BEGIN}; SET LOCAL synchronous_commit = {synchronous_commit}");
        let job = &job;
        let result = self.attempts(|db| in_transaction(db, begin, job)).await;
        self.failing.store(result.is_err(), Ordering::Relaxed);
        result
    }

    /// Runs `job` once in a transaction that begins with `begin`, however long it takes: for
    /// commands, and for no request.
    pub(super) async fn transact_once<T, Job>(
        &self,
        begin: &str,
        job: impl FnOnce(Lent) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        let connection = self.pool.get().await.map_err(|e| unreachable_because(&e))?;
        let db = Arc::new(connection);
        let mut lender = Lender(Some(Arc::clone(&db)));
        let result = in_transaction(db, begin, job).await;
        if result.is_ok() {
            lender.0 = None;
        }
        Ok(result?)
    }

    async fn attempts<T, Attempt>(&self, attempt: impl Fn(Lent) -> Attempt) -> Result<T, StoreError>
    where
        Attempt: Future<Output = Result<T, Failure>>,
    {
        let attempts = async {
            let mut count = 0;
            loop {
                count += 1;
                let connection = self.pool.get().await.map_err(|e| unreachable_because(&e))?;
                // Before the attempt, so that it is dropped after it.
                let mut lender = Lender(Some(Arc::new(connection)));
                let Some(lent) = lender.0.clone() else { continue };
                match attempt(lent).await {
                    Ok(result) => {
                        lender.0 = None;
                        return Ok(result);
                    }
                    Err(Failure::Passing(_)) if count < ATTEMPTS => {
                        drop(lender);
                        // So that two that are in each other's way don't meet again.
                        sleep(Duration::from_millis(5) * count).await;
                    }
                    Err(Failure::Passing(e) | Failure::Lasting(e)) => return Err(failed(&e)),
                }
            }
        };
        let slow = || failed(&"it does not answer in time");
        timeout(TIME_TO_ANSWER, attempts).await.unwrap_or_else(|_| Err(slow()))
    }
}

async fn in_transaction<T, Job>(
    db: Lent,
    begin: &str,
    job: impl FnOnce(Lent) -> Job,
) -> Result<T, Failure>
where
    Job: Future<Output = Result<T, Failure>>,
{
    db.batch_execute(begin).await?;
    let result = job(Arc::clone(&db)).await?;
    db.batch_execute("COMMIT").await?;
    Ok(result)
}

/// A connection, for one attempt.
pub(super) type Lent = Arc<Object>;

/// Gives a connection back to the pool only when all went well. Dropped before, it is closed, and
/// the server undoes what was not committed.
struct Lender(Option<Lent>);

impl Drop for Lender {
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

/// Always verifies the certificate and the name in it.
fn tls(address: &PostgresUrl) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &address.root_certificates {
        let bad = |e: &dyn std::fmt::Display| {
            let shown = path.display();
            Error::Tls(format!("cannot use sslrootcert {shown}: {e}; expected a PEM file"))
        };
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| bad(&e))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|e| bad(&e))?;
        }
    } else if address.config.get_ssl_mode() != tokio_postgres::config::SslMode::Disable {
        // Where the system has none, the handshake says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(format!("no TLS to the database: {e}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
