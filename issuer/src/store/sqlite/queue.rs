use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use crate::store::StoreError;

/// The most jobs that wait for a thread. A job stays if its caller has gone. Without a limit,
/// requests that are given up would fill the memory while the disk stands still.
pub(super) const MAX_WAITING: usize = 4096;

/// A thread that owns a connection, and the queue of its jobs.
pub(super) struct Queue<J> {
    jobs: Option<SyncSender<J>>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> Queue<J> {
    /// Starts the thread. `work` runs the jobs until no more can come.
    pub(super) fn start(
        name: &str,
        work: impl FnOnce(Receiver<J>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, jobs) = mpsc::sync_channel(MAX_WAITING);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(jobs))?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    /// Adds a job, and does not wait.
    pub(super) fn add(&self, job: J) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => {
                StoreError::Failed(format!("the database is busy: {MAX_WAITING} jobs wait for it"))
            }
            TrySendError::Disconnected(_) => stopped(),
        })
    }
}

impl<J> Drop for Queue<J> {
    /// Waits until all jobs have run and the connection is closed.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // An error means that a job panicked; the thread is gone in either case.
            let _ = thread.join();
        }
    }
}

pub(super) fn stopped() -> StoreError {
    StoreError::Failed("the database thread has stopped".to_owned())
}
