use std::sync::mpsc::Receiver;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::queue::{Queue, stopped};
use crate::store::{Answer, StoreError};

/// A thread that owns a connection and runs one job after another.
pub(super) struct Worker {
    queue: Queue<Job>,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Worker {
    pub(super) fn start(name: &str, mut connection: Connection) -> std::io::Result<Self> {
        let work = move |jobs: Receiver<Job>| jobs.into_iter().for_each(|job| job(&mut connection));
        Ok(Self { queue: Queue::start(name, work)? })
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (sender, answer) = oneshot::channel();
        // Sending fails if the caller has gone away. The job has run all the same.
        let added = self.queue.add(Box::new(move |connection| drop(sender.send(job(connection)))));
        Box::pin(async move {
            added?;
            answer.await.map_err(|_| stopped())?.map_err(StoreError::from)
        })
    }
}
