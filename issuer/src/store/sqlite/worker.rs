use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::{Answer, StoreError};

/// A thread that owns a connection and runs one job after another.
pub(super) struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Worker {
    pub(super) fn start(name: &str, mut connection: Connection) -> std::io::Result<Self> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let work = move || jobs.into_iter().for_each(|job| job(&mut connection));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (sender, answer) = oneshot::channel();
        // Sending fails if the caller has gone away. The job has run all the same.
        let job: Job = Box::new(move |connection| drop(sender.send(job(connection))));
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        Box::pin(async move {
            let stopped = || StoreError::Failed("the database thread has stopped".to_owned());
            let answer = if sent { answer.await.ok() } else { None };
            let answer = answer.ok_or_else(stopped)?;
            answer.map_err(StoreError::from)
        })
    }
}

impl Drop for Worker {
    /// Waits until all jobs have run and the connection is closed.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // An error means that a job panicked; the thread is gone in either case.
            let _ = thread.join();
        }
    }
}
