//! The one connection that writes, and the thread that owns it (group commit).

use std::iter;
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::queue::{Queue, stopped};
use crate::store::{Answer, StoreError};

/// The most jobs in one transaction, so that no job waits for long.
const MAX_BATCH: usize = 256;

/// Runs all queued jobs in one transaction, each in its own savepoint, and answers them once the
/// transaction is on the disk. The jobs share one wait for the disk. If no job of the transaction
/// needs the disk, it does not wait at all.
pub(super) struct Writer {
    queue: Queue<Box<dyn Job>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let work = move |jobs: Receiver<_>| work(connection, &jobs);
        Ok(Self { queue: Queue::start("store-writer", work)? })
    }

    /// Runs `job` and returns once its changes are on the disk. A job that fails changes nothing.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.send(true, job)
    }

    /// Runs `job` and returns once its changes are visible to others. A power failure soon after may
    /// undo them.
    pub(super) fn run_unsynced<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.send(false, job)
    }

    fn send<T: Send + 'static>(
        &self,
        synced: bool,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (sender, answer) = oneshot::channel();
        let job = Box::new(Queued { synced, job: Some(job), result: None, sender });
        let added = self.queue.add(job);
        Box::pin(async move {
            added?;
            answer.await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

fn work(mut connection: Connection, jobs: &Receiver<Box<dyn Job>>) {
    // The connection was opened with `synchronous = FULL`.
    let mut synced = true;
    while let Ok(first) = jobs.recv() {
        let mut batch: Vec<_> = iter::once(first).chain(jobs.try_iter()).take(MAX_BATCH).collect();
        let outcome = set_sync(&connection, &mut synced, batch.iter().any(|job| job.is_synced()))
            .and_then(|()| commit(&mut connection, &mut batch));
        for job in batch {
            job.answer(outcome.as_ref().err());
        }
    }
}

/// Makes the next commits wait for the disk, or not. `synced` is the present setting.
fn set_sync(connection: &Connection, synced: &mut bool, wanted: bool) -> Result<(), StoreError> {
    if *synced != wanted {
        let level = if wanted { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", level)?;
        *synced = wanted;
    }
    Ok(())
}

/// Runs all jobs in one transaction.
fn commit(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch {
        job.run(&mut transaction)?;
        // SQLite rolls back the whole transaction by itself on some errors, such as a full disk.
        if transaction.is_autocommit() {
            return Err(StoreError::Failed("the database gave up a transaction".to_owned()));
        }
    }
    Ok(transaction.commit()?)
}

/// A queued job, whatever type it returns.
trait Job: Send {
    /// Returns true if the job must be on the disk before it is answered.
    fn is_synced(&self) -> bool;
    /// Runs the job. Returns an error if the transaction cannot go on.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()>;
    /// Sends the result to the caller. `failure` is the error of the transaction, if it failed.
    fn answer(self: Box<Self>, failure: Option<&StoreError>);
}

struct Queued<F, T> {
    synced: bool,
    job: Option<F>,
    result: Option<rusqlite::Result<T>>,
    sender: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Queued<F, T>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn is_synced(&self) -> bool {
        self.synced
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<()> {
        let Some(job) = self.job.take() else { return Ok(()) };
        // Rolls back when it is dropped.
        let savepoint = transaction.savepoint()?;
        let result = job(&savepoint);
        if result.is_ok() {
            savepoint.commit()?;
        }
        self.result = Some(result);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>) {
        let result = match (self.result, failure) {
            (Some(Ok(result)), None) => Ok(result),
            // The job's own error says more than the transaction's.
            (Some(Err(e)), _) => Err(e.into()),
            (_, Some(failure)) => Err(failure.clone()),
            (None, None) => return,
        };
        // Sending fails if the caller has gone away. The job is done all the same.
        let _ = self.sender.send(result);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::store::sqlite::queue::MAX_WAITING;

    /// A writer on a database in memory. Its one table takes numbers below a thousand.
    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER UNIQUE CHECK (n < 1000))").unwrap();
        Writer::start(connection).unwrap()
    }

    fn insert(writer: &Writer, n: i64) -> Answer<'_, usize> {
        writer.run(move |db| db.execute("INSERT INTO t VALUES (?1)", [n]))
    }

    fn numbers(writer: &Writer) -> Answer<'_, Vec<i64>> {
        writer.run(|db| {
            db.prepare("SELECT n FROM t ORDER BY n")?.query_map([], |r| r.get(0))?.collect()
        })
    }

    /// Keeps the thread busy while `ask` queues jobs, so that all of them form one batch.
    async fn while_busy<T>(writer: &Writer, ask: impl FnOnce() -> T) -> T {
        let (begun, begins) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let busy = writer.run(move |_| Ok(begun.send(()).is_ok() && wait.recv().is_ok()));
        begins.recv().unwrap();
        let asked = ask();
        go.send(()).unwrap();
        assert!(busy.await.unwrap());
        asked
    }

    #[tokio::test]
    async fn queued_jobs_share_a_transaction_and_are_answered_after_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n)").unwrap();
        let writer = Writer::start(connection).unwrap();
        let other = Connection::open(&path).unwrap();
        let count = |db: &Connection| {
            db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))
        };
        let asked = while_busy(&writer, || {
            let inserts: Vec<_> = (0..100).map(|n| insert(&writer, n)).collect();
            (inserts, writer.run(move |db| Ok((count(db)?, count(&other)?, other))))
        });
        let (inserts, last) = asked.await;
        let (within, outside, other) = last.await.unwrap();
        assert_eq!((within, outside), (100, 0));
        assert_eq!(count(&other), Ok(100));
        for insert in inserts {
            assert_eq!(insert.await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_batch_waits_for_the_disk_if_one_of_its_jobs_does() {
        const FULL: i64 = 2;
        let writer = writer();
        let level = |db: &Connection| {
            db.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))
        };
        assert_eq!(writer.run(level).await.unwrap(), FULL);
        assert_eq!(writer.run_unsynced(level).await.unwrap(), FULL - 1);
        assert_eq!(writer.run(level).await.unwrap(), FULL);
        let asked = while_busy(&writer, || [writer.run_unsynced(level), writer.run(level)]);
        for answer in asked.await {
            assert_eq!(answer.await.unwrap(), FULL);
        }
    }

    #[tokio::test]
    async fn the_jobs_that_wait_are_bounded_and_run_without_their_callers() {
        let writer = writer();
        let add = || writer.run(|db| db.execute("INSERT INTO t VALUES (NULL)", []));
        let refused = while_busy(&writer, || {
            (0..MAX_WAITING).for_each(|_| drop(add()));
            add()
        });
        let refused = refused.await.await.unwrap_err();
        assert!(refused.to_string().contains("busy"), "{refused}");
        let count = |db: &Connection| db.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
        while writer.run(count).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(writer.run(count).await.ok(), Some(MAX_WAITING));
    }

    #[tokio::test]
    async fn a_job_that_fails_is_undone_alone() {
        let writer = writer();
        let asked = while_busy(&writer, || {
            let before = insert(&writer, 1);
            let fails = writer.run(|db| {
                db.execute("INSERT INTO t VALUES (2)", [])?;
                db.execute("INSERT INTO t VALUES (1000)", [])
            });
            (before, fails, insert(&writer, 3))
        });
        let (before, fails, after) = asked.await;
        assert_eq!(before.await.unwrap(), 1);
        assert!(fails.await.unwrap_err().to_string().contains("CHECK"));
        assert_eq!(after.await.unwrap(), 1);
        assert_eq!(numbers(&writer).await.unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn no_job_of_a_transaction_that_is_rolled_back_succeeds() {
        let writer = writer();
        let asked = while_busy(&writer, || {
            let before = insert(&writer, 1);
            let undoes = writer.run(|db| db.execute("INSERT OR ROLLBACK INTO t VALUES (1000)", []));
            (before, undoes, insert(&writer, 3))
        });
        let (before, undoes, after) = asked.await;
        assert!(before.await.is_err());
        assert!(undoes.await.unwrap_err().to_string().contains("CHECK"));
        assert!(after.await.is_err());
        assert!(numbers(&writer).await.unwrap().is_empty());
        assert_eq!(insert(&writer, 4).await.unwrap(), 1);
    }
}
