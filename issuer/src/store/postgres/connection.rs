//! A pool of connections to a server, transactions, and their retries.
//!
//! Between transactions a connection has no state: no prepared statement, no setting, no lock. It
//! may therefore lead to a pooler that gives each transaction another connection (pgbouncer's mode
//! `transaction`).

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, QueueMode};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tokio_postgres::error::Severity;

use super::connect::{Connector, Link, MAX_BACKENDS, Parameters, TIME_IN_QUEUE};
use super::failure::{Failure, no_answer, unavailable};
use super::supervisor::Supervisor;
use crate::Error;
use crate::config::PostgresUrl;
use crate::store::StoreError;

/// The most transactions that write at the same time. Commits that wait share one write to the disk, so
/// that more writers are faster. The other connections are left for reads: while a synchronous standby
/// is away, each COMMIT keeps its connection.
const MAX_WRITERS: usize = 10;

/// The time for the answer to BEGIN. The server has nothing to wait for, so that a connection without
/// an answer is dead.
const TIME_TO_BEGIN: Duration = Duration::from_secs(2);

/// The time for a result on open connections, with all retries.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// The number of tries if another transaction is in the way or the connection is lost.
const MAX_ATTEMPTS: u32 = 4;

/// With these timeouts the server itself ends the transactions of an issuer that is gone, and their
/// statements that nobody waits for any more. A request to cancel could come late, and cancel the wait
/// of a COMMIT for a standby. The warning about such a cancelled wait may be turned off by default.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SET LOCAL statement_timeout = '4s'; \
     SET LOCAL idle_in_transaction_session_timeout = '4s'; \
     SET LOCAL client_min_messages = warning";

/// Its answer shows that a connection is alive, and has done with everything before.
const NOTHING: &str = "";

/// A COMMIT after which a synchronous standby has everything that the transaction read. A COMMIT
/// without changes would not wait, although the standby may not have an earlier transaction whose
/// changes it read. An empty message in the log of the server is a change.
const COMMIT_AFTER_READS: &str = "SELECT pg_logical_emit_message(true, 'countersign', ''); COMMIT";

/// The connections to one database.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool<Connector>,
    writers: Arc<Semaphore>,
    supervisor: Arc<Supervisor>,
}

impl Connections {
    /// Makes the pool. Opens no connection yet.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] if the trusted certificates cannot be read.
    pub(super) fn new(address: &PostgresUrl) -> Result<Self, Error> {
        let pool = Pool::builder(Connector::new(address)?)
            .max_size(MAX_BACKENDS)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TIME_IN_QUEUE))
            .build();
        let pool =
            pool.map_err(|e| Error::System(format!("cannot make a pool of connections: {e}")))?;
        let writers = Arc::new(Semaphore::new(MAX_WRITERS));
        Ok(Self { pool, writers, supervisor: Arc::default() })
    }

    /// Returns the rows of one statement that changes nothing.
    pub(super) async fn read(
        &self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        // Without a transaction, which would take more of the server's time than the statement.
        let read = |db: Connection| async move {
            // Sent together, so that there is one round trip.
            let alive = async { if db.was_idle() { begin(&db, NOTHING).await } else { Ok(()) } };
            let query = async { Ok(db.query_typed(statement, parameters).await?) };
            let ((), rows) = tokio::try_join!(biased; alive, query)?;
            Ok(rows)
        };
        self.retry(Purpose::Read, read).await
    }

    /// Runs `job` in one transaction. Returns once everything that it wrote or read is on the disk,
    /// and on the disk of the standby if the server has a synchronous one.
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
        self.transact_with("on", COMMIT_AFTER_READS, job).await
    }

    /// Like [`Connections::transact`], but a run also gets the result of the last one that came to its
    /// COMMIT, if there was one. The result says nothing about that COMMIT: the job has to see in the
    /// database if it was done.
    pub(super) async fn transact_knowing<T, Job>(
        &self,
        job: impl Fn(Connection, Option<T>) -> Job,
    ) -> Result<T, StoreError>
    where
        T: Clone,
        Job: Future<Output = Result<T, Failure>>,
    {
        let (last, job) = (&Mutex::new(None), &job);
        let lock = || last.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |db| async move {
            let before = lock().clone();
            let result = job(db, before).await?;
            *lock() = Some(result.clone());
            Ok(result)
        };
        self.transact(run).await
    }

    /// Like [`Connections::transact`], but waits only for changes of its own. With a synchronous
    /// standby that is away, a job that changes nothing returns.
    pub(super) async fn transact_own<T, Job>(
        &self,
        job: impl Fn(Connection) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        self.transact_with("on", "COMMIT", job).await
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
        self.transact_with("off", "COMMIT", job).await
    }

    /// Sets `synchronous_commit` explicitly, because the database may have another default.
    async fn transact_with<T, Job>(
        &self,
        synchronous_commit: &str,
        commit_without_changes: &str,
        job: impl Fn(Connection) -> Job,
    ) -> Result<T, StoreError>
    where
        Job: Future<Output = Result<T, Failure>>,
    {
        let begin = &format!("{BEGIN}; SET LOCAL synchronous_commit = {synchronous_commit}");
        let (outcome, job) = (&Outcome::default(), &job);
        let attempt = |db| in_transaction(db, begin, commit_without_changes, outcome, job);
        self.retry(Purpose::Write, attempt).await.map_err(|e| outcome.explain(e))
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
        let lease = self.lease(Purpose::Write).await?;
        let outcome = Outcome::default();
        let result = in_transaction(lease.connection()?, begin, "COMMIT", &outcome, job).await;
        let result = result.map_err(|e| outcome.explain(e.into()))?;
        lease.give_back();
        Ok(result)
    }

    async fn retry<T, Attempt>(
        &self,
        purpose: Purpose,
        attempt: impl Fn(Connection) -> Attempt,
    ) -> Result<T, StoreError>
    where
        Attempt: Future<Output = Result<T, Failure>>,
    {
        let (mut count, mut left) = (0, TIME_TO_ANSWER);
        loop {
            count += 1;
            // Declared before the attempt, so that it is dropped after it.
            let lease = self.lease(purpose).await?;
            let begun = Instant::now();
            let result = timeout(left, attempt(lease.connection()?)).await;
            left = left.saturating_sub(begun.elapsed());
            match result {
                Ok(Ok(result)) => {
                    lease.give_back();
                    return Ok(result);
                }
                Ok(Err(Failure::Silent)) => {
                    lease.abandon();
                    // The others may have died in the same way, unless somebody used them meanwhile.
                    self.pool.retain(|_, metrics| metrics.last_used() < TIME_TO_BEGIN);
                }
                Ok(Err(Failure::Transient(_))) if count < MAX_ATTEMPTS => {
                    lease.close();
                    // Two transactions that are in each other's way should not meet again.
                    sleep(Duration::from_millis(5) * count).await;
                }
                Ok(Err(e)) => {
                    lease.close();
                    return Err(e.into());
                }
                Err(_) => {
                    lease.close();
                    return Err(no_answer());
                }
            }
        }
    }

    /// Takes a connection out of the pool, or opens one.
    async fn lease(&self, purpose: Purpose) -> Result<Lease<'_>, StoreError> {
        let writer = match purpose {
            Purpose::Read => None,
            Purpose::Write => {
                let permit = timeout(TIME_IN_QUEUE, Arc::clone(&self.writers).acquire_owned());
                let permit = permit.await.ok().and_then(Result::ok);
                Some(permit.ok_or_else(|| unavailable("too many transactions wait for it"))?)
            }
        };
        let pool = self.pool.clone();
        let mut connection = Box::pin(async move { pool.get().await });
        let connection = match poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx))).await {
            Poll::Ready(connection) => connection,
            // In a task of its own. If the caller stops to wait, the new connection goes to the pool.
            Poll::Pending => {
                tokio::spawn(connection).await.map_err(|e| unavailable(&e.to_string()))?
            }
        };
        let connection = connection.map_err(|e| match e {
            PoolError::Backend(e) => e.while_connecting(),
            PoolError::Timeout(_) => unavailable("no connection in time"),
            e => unavailable(&e.to_string()),
        })?;
        Ok(Lease { connections: self, connection: Some(Arc::new(connection)), writer })
    }

    /// Undoes the transaction of a caller that has stopped to wait. The connection then goes back to the
    /// pool: a new one costs more than most transactions.
    async fn recover(self, connection: Object<Connector>, writer: Option<OwnedSemaphorePermit>) {
        let undo = if writer.is_some() { "ROLLBACK" } else { NOTHING };
        let undone = timeout(TIME_TO_BEGIN, connection.batch_execute(undo)).await;
        if !matches!(undone, Ok(Ok(()))) {
            self.outlive(Object::take(connection), writer).await;
        }
    }

    /// Waits until the server has done with a connection that nobody uses any more. Until then it has
    /// a backend, and `writer` is kept.
    async fn outlive(self, link: Link, writer: Option<OwnedSemaphorePermit>) {
        let host = link.host();
        // Only a read: it has no COMMIT whose wait for a standby could be cancelled.
        if writer.is_none() {
            self.pool.manager().cancel(&link).await;
        }
        let mut driver = link.finish();
        while timeout(TIME_TO_ANSWER, &mut driver).await.is_err() {
            if self.supervisor.is_done(self.pool.manager(), host).await {
                // The connection is dead, although nobody has closed it.
                driver.abort();
            }
        }
    }
}

/// The reason why an attempt needs a connection.
#[derive(Clone, Copy)]
enum Purpose {
    Read,
    Write,
}

/// The knowledge about the changes of a transaction that failed.
#[derive(Default)]
struct Outcome {
    may_be_committed: AtomicBool,
}

impl Outcome {
    /// Sends the COMMIT.
    async fn commit(&self, db: &Connection, commit: &str) -> Result<(), Failure> {
        // An earlier run of the same transaction may have been committed.
        let before = self.may_be_committed.swap(true, Ordering::Relaxed);
        let committed = db.batch_execute(commit).await;
        if let Err(e) = &committed
            && e.as_db_error().is_some_and(|e| e.parsed_severity() == Some(Severity::Error))
        {
            self.may_be_committed.store(before, Ordering::Relaxed);
        }
        Ok(committed?)
    }

    fn explain(&self, e: StoreError) -> StoreError {
        if self.may_be_committed.load(Ordering::Relaxed) {
            StoreError::Unconfirmed(e.to_string())
        } else {
            e
        }
    }
}

async fn begin(db: &Connection, begin: &str) -> Result<(), Failure> {
    let begun = timeout(TIME_TO_BEGIN, db.batch_execute(begin)).await;
    begun.map_err(|_| Failure::Silent)?.map_err(Failure::from)
}

async fn in_transaction<T, Job>(
    db: Connection,
    begin_with: &str,
    commit_without_changes: &str,
    outcome: &Outcome,
    job: impl FnOnce(Connection) -> Job,
) -> Result<T, Failure>
where
    Job: Future<Output = Result<T, Failure>>,
{
    db.take_written();
    // The first statement is sent along with BEGIN, so that there is one round trip less.
    let ((), result) = tokio::try_join!(biased; begin(&db, begin_with), job(Arc::clone(&db)))?;
    db.take_warning();
    let commit = if db.take_written() { "COMMIT" } else { commit_without_changes };
    outcome.commit(&db, commit).await?;
    if db.take_warning() {
        return Err(Failure::Transient("the server did not wait for its standby".to_owned()));
    }
    Ok(result)
}

/// A connection of the pool.
pub(super) type Connection = Arc<Object<Connector>>;

/// A connection for one attempt. If the caller stops to wait, [`Connections::recover`] gets it.
struct Lease<'a> {
    connections: &'a Connections,
    connection: Option<Connection>,
    writer: Option<OwnedSemaphorePermit>,
}

impl Lease<'_> {
    fn connection(&self) -> Result<Connection, StoreError> {
        self.connection.clone().ok_or_else(no_answer)
    }

    /// Puts the connection back into the pool.
    fn give_back(mut self) {
        self.connection = None;
    }

    /// Closes the connection, so that the server undoes everything that was not committed.
    fn close(mut self) {
        if let Some(connection) = self.take() {
            let (connections, writer) = (self.connections.clone(), self.writer.take());
            tokio::spawn(connections.outlive(Object::take(connection), writer));
        }
    }

    /// Forgets a dead connection without waiting for answers.
    fn abandon(mut self) {
        if let Some(connection) = self.take() {
            Object::take(connection).finish().abort();
        }
    }

    fn take(&mut self) -> Option<Object<Connector>> {
        self.connection.take().and_then(Arc::into_inner)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(self.connections.clone().recover(connection, self.writer.take()));
        }
    }
}
