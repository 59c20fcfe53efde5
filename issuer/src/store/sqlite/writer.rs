//! The one connection that writes, and the thread that owns it.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::store::{Answer, StoreError};

/// The most jobs in one transaction: none of them shall wait for long.
const MOST: usize = 256;

/// Takes all jobs that wait into one transaction, each in a savepoint of its own, and answers them
/// once that is on the disk. So the disk is waited for once, and not once for each; and where no
/// job of it has to be there, it is not waited for.
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    failing: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (sender, jobs) = mpsc::channel();
        let failing = Arc::<AtomicBool>::default();
        let says = Arc::clone(&failing);
        let work = move || work(connection, &jobs, &says);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(sender), thread: Some(thread), failing })
    }

    /// Runs `job`, and answers once what it changed is on the disk. Where it fails, it changed
    /// nothing.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.send(true, job)
    }

    /// Runs `job`, and answers once others see what it changed: when the power fails soon after,
    /// that may be undone.
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
        let job = Box::new(Waiting { synced, job: Some(job), result: None, sender });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        Box::pin(async move {
            let answer = if sent { answer.await.ok() } else { None };
            answer.unwrap_or_else(|| Err(StoreError("the database thread has stopped".to_owned())))
        })
    }

    /// Whether anything failed in the last transaction.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    /// Waits until the jobs are done and the connection is closed.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A job that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn work(mut connection: Connection, jobs: &Receiver<Box<dyn Job>>, failing: &AtomicBool) {
    // As the connection was opened.
    let mut synced = true;
    while let Ok(first) = jobs.recv() {
        let mut batch: Vec<_> = iter::once(first).chain(jobs.try_iter()).take(MOST).collect();
        let outcome = sync(&connection, &mut synced, batch.iter().any(|job| job.is_synced()))
            .and_then(|()| commit(&mut connection, &mut batch));
        failing.store(!outcome.as_ref().is_ok_and(|all| *all), Ordering::Relaxed);
        for job in batch {
            job.answer(outcome.as_ref().err());
        }
    }
}

/// Lets commits wait for the disk from now on, or not; `synced` says whether they do.
fn sync(connection: &Connection, synced: &mut bool, wanted: bool) -> Result<(), StoreError> {
    if *synced != wanted {
        let level = if wanted { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", level)?;
        *synced = wanted;
    }
    Ok(())
}

/// Runs all jobs in one transaction. Answers whether each of them succeeded.
fn commit(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> Result<bool, StoreError> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut all = true;
    for job in batch {
        all &= job.run(&mut transaction)?;
        // When the disk is full, for one, SQLite undoes the whole by itself.
        if transaction.is_autocommit() {
            return Err(StoreError("the database gave up a transaction".to_owned()));
        }
    }
    transaction.commit()?;
    Ok(all)
}

/// What the thread is given to do.
trait Job: Send {
    /// Whether it is done only when it is on the disk.
    fn is_synced(&self) -> bool;
    /// Does it. Answers whether it succeeded.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<bool>;
    /// Says what came of it. `failure` is why the transaction failed, if it did.
    fn answer(self: Box<Self>, failure: Option<&StoreError>);
}

struct Waiting<F, T> {
    synced: bool,
    job: Option<F>,
    result: Option<rusqlite::Result<T>>,
    sender: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Waiting<F, T>
where
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn is_synced(&self) -> bool {
        self.synced
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) -> rusqlite::Result<bool> {
        let Some(job) = self.job.take() else { return Ok(true) };
        // Undone when it is dropped.
        let savepoint = transaction.savepoint()?;
        let result = job(&savepoint);
        if result.is_ok() {
            savepoint.commit()?;
        }
        Ok(self.result.insert(result).is_ok())
    }

    fn answer(self: Box<Self>, failure: Option<&StoreError>) {
        let result = match (self.result, failure) {
            (Some(Ok(result)), None) => Ok(result),
            // Its own error says more than that of the whole.
            (Some(Err(e)), _) => Err(e.into()),
            (_, Some(failure)) => Err(failure.clone()),
            (None, None) => return,
        };
        // A caller that has gone away does not matter: what was asked is done all the same.
        let _ = self.sender.send(result);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A writer on a database in memory, with a table of numbers below a thousand.
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

    /// Keeps the thread busy while `ask` gives it more to do, so that all of that waits.
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
    async fn all_that_waits_is_one_transaction_and_answered_after_it() {
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
    async fn the_disk_is_waited_for_where_one_job_of_many_asks_for_it() {
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
    async fn a_job_that_fails_takes_nothing_from_those_around_it_and_leaves_nothing() {
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
        assert!(writer.is_failing());
        assert_eq!(numbers(&writer).await.unwrap(), [1, 3]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!writer.is_failing());
    }

    #[tokio::test]
    async fn where_the_whole_is_undone_nobody_is_told_that_it_is_done() {
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
