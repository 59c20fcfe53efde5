//! The connections that read: some that are used where the question is asked, and one with a thread
//! of its own.

use std::sync::{Mutex, TryLockError};

use rusqlite::{Connection, ErrorCode};

use super::worker::Worker;
use crate::store::{Answer, StoreError};

/// Answers a question about one row on the caller's own thread, which takes some microseconds: to
/// wake another thread, and to be woken by it, takes longer. Whatever might have to wait goes to
/// the thread that may.
pub(super) struct Readers {
    at_hand: Vec<Mutex<Connection>>,
    patient: Worker,
}

impl Readers {
    /// The connections in `at_hand` must not wait for a lock of the database: who asks has other
    /// things to do meanwhile.
    pub(super) fn start(at_hand: Vec<Connection>, patient: Connection) -> std::io::Result<Self> {
        let at_hand = at_hand.into_iter().map(Mutex::new).collect();
        Ok(Self { at_hand, patient: Worker::start("store-reader", patient)? })
    }

    /// Reads one row by a key, at once if that can be.
    pub(super) fn look_up<T: Send + 'static>(
        &self,
        job: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        match self.at_once(&job) {
            Some(answer) => Box::pin(std::future::ready(answer.map_err(StoreError::from))),
            None => self.read(move |connection| job(connection)),
        }
    }

    /// Reads anything, however long it takes.
    pub(super) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        self.patient.run(job)
    }

    /// `None` where every connection is in use, or the database is locked.
    fn at_once<T>(
        &self,
        job: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> Option<rusqlite::Result<T>> {
        let connection =
            self.at_hand.iter().find_map(|connection| match connection.try_lock() {
                Ok(connection) => Some(connection),
                // What a panic has left behind is a connection that reads.
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

    /// A file with one row, and readers on it of which one is at hand.
    struct Setting {
        folder: tempfile::TempDir,
        readers: Readers,
    }

    impl Setting {
        fn new() -> Self {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("x.db");
            let open = |patience: Duration| {
                let connection = Connection::open(&path).unwrap();
                connection.busy_timeout(patience).unwrap();
                connection
            };
            open(Duration::ZERO)
                .execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (7)")
                .unwrap();
            let (at_hand, patient) = (open(Duration::ZERO), open(Duration::from_secs(60)));
            Self { readers: Readers::start(vec![at_hand], patient).unwrap(), folder }
        }

        fn ask(&self) -> Answer<'_, (i64, thread::ThreadId)> {
            self.readers.look_up(|db| {
                let n = db.query_row("SELECT n FROM t", [], |row| row.get(0))?;
                Ok((n, thread::current().id()))
            })
        }
    }

    #[tokio::test]
    async fn a_row_is_looked_up_where_it_is_asked_for_and_by_another_thread_if_that_is_taken() {
        let setting = Setting::new();
        let here = thread::current().id();
        assert_eq!(setting.ask().await.unwrap(), (7, here));
        let taken = setting.readers.at_hand[0].lock().unwrap();
        let elsewhere = setting.ask();
        drop(taken);
        let (n, thread) = elsewhere.await.unwrap();
        assert!(n == 7 && thread != here);
        assert_eq!(setting.ask().await.unwrap(), (7, here));
    }

    #[tokio::test]
    async fn a_lock_on_the_database_is_waited_for_by_another_thread() {
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
        // Only once that is asked, and has not been waited for, is the lock released.
        let answer = setting.ask();
        release.send(()).unwrap();
        holder.join().unwrap();
        let (n, thread) = answer.await.unwrap();
        assert!(n == 7 && thread != thread::current().id());
    }
}
