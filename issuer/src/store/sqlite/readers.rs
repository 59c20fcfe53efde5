//! The connections that read: a pool that callers use on their own thread, and one connection with
//! its own thread.

use std::sync::{Mutex, TryLockError};

use rusqlite::{Connection, ErrorCode};

use super::worker::Worker;
use crate::store::{Answer, StoreError};

/// Looks up one row on the caller's own thread. That takes some microseconds, less than waking
/// another thread and being woken by it. Anything that might have to wait runs on the worker's thread
/// instead.
pub(super) struct Readers {
    pool: Vec<Mutex<Connection>>,
    worker: Worker,
}

impl Readers {
    /// The connections of the pool must not wait for a lock of the database, because they would
    /// block an async thread. `waiting` may wait.
    pub(super) fn start(pool: Vec<Connection>, waiting: Connection) -> std::io::Result<Self> {
        let pool = pool.into_iter().map(Mutex::new).collect();
        Ok(Self { pool, worker: Worker::start("store-reader", waiting)? })
    }

    /// Reads one row by a key, on the caller's thread if possible.
    pub(super) fn look_up<T: Send + 'static>(
        &self,
        job: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match self.try_in_pool(&job) {
            Some(answer) => Box::pin(std::future::ready(answer.map_err(StoreError::from))),
            None => self.read(move |connection| job(connection)),
        }
    }

    /// Reads on the worker's thread. May take long.
    pub(super) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.worker.run(job)
    }

    /// Returns `None` if every connection is in use or the database is locked.
    fn try_in_pool<T>(
        &self,
        job: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Option<rusqlite::Result<T>> {
        let connection = self.pool.iter().find_map(|connection| match connection.try_lock() {
            Ok(connection) => Some(connection),
            // A connection that only reads is usable after a panic.
            Err(TryLockError::Poisoned(connection)) => Some(connection.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        })?;
        let answer = job(&connection);
        let locked = |e: &rusqlite::Error| {
            let code = e.sqlite_error_code();
            matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
        };
        (!answer.as_ref().is_err_and(locked)).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A file with one row, and readers with a pool of one connection.
    struct Setting {
        folder: tempfile::TempDir,
        readers: Readers,
    }

    impl Setting {
        fn new() -> Self {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("x.db");
            let open = |lock_timeout: Duration| {
                let connection = Connection::open(&path).unwrap();
                connection.busy_timeout(lock_timeout).unwrap();
                connection
            };
            open(Duration::ZERO)
                .execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (7)")
                .unwrap();
            let (pooled, waiting) = (open(Duration::ZERO), open(Duration::from_secs(60)));
            Self { readers: Readers::start(vec![pooled], waiting).unwrap(), folder }
        }

        fn look_up(&self) -> Answer<'_, (i64, thread::ThreadId)> {
            self.readers.look_up(|db| {
                let n = db.query_row("SELECT n FROM t", [], |row| row.get(0))?;
                Ok((n, thread::current().id()))
            })
        }
    }

    #[tokio::test]
    async fn a_row_is_looked_up_on_the_caller_s_thread_unless_the_pool_is_in_use() {
        let setting = Setting::new();
        let here = thread::current().id();
        assert_eq!(setting.look_up().await.unwrap(), (7, here));
        let taken = setting.readers.pool[0].lock().unwrap();
        let elsewhere = setting.look_up();
        drop(taken);
        let (n, thread) = elsewhere.await.unwrap();
        assert!(n == 7 && thread != here);
        assert_eq!(setting.look_up().await.unwrap(), (7, here));
    }

    #[tokio::test]
    async fn another_thread_waits_for_a_lock_of_the_database() {
        let setting = Setting::new();
        let (locked, is_locked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let other = Connection::open(setting.folder.path().join("x.db")).unwrap();
        let holder = thread::spawn(move || {
            other.execute_batch("BEGIN EXCLUSIVE").unwrap();
            locked.send(()).unwrap();
            released.recv().unwrap();
            drop(other);
        });
        is_locked.recv().unwrap();
        // The lookup returns a future at once, although the database is still locked.
        let answer = setting.look_up();
        release.send(()).unwrap();
        holder.join().unwrap();
        let (n, thread) = answer.await.unwrap();
        assert!(n == 7 && thread != thread::current().id());
    }
}
