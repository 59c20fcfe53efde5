//! Measures the database, its disks and its backups for the metrics. That may take long. It is done
//! in the background, after somebody has read the metrics, and at most once a minute.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::Issuer;
use crate::disk;
use crate::metrics::disks;

#[derive(Default)]
pub(crate) struct StorageWatch {
    metrics_were_read: Notify,
    last_backup: Mutex<LastBackup>,
}

/// The time of the last backup, in UNIX seconds.
#[derive(Clone, Copy, Default)]
enum LastBackup {
    #[default]
    Unknown,
    None,
    At(u64),
}

impl StorageWatch {
    /// Returns the age of the last backup in seconds: infinite if there is none, or NaN if it is
    /// unknown. Requests a measurement.
    pub(super) fn backup_age(&self, now: u64) -> f64 {
        self.metrics_were_read.notify_one();
        match *self.last_backup.lock().unwrap_or_else(PoisonError::into_inner) {
            LastBackup::Unknown => f64::NAN,
            LastBackup::None => f64::INFINITY,
            LastBackup::At(at) => now as f64 - at as f64,
        }
    }

    fn set_last_backup(&self, last: LastBackup) {
        *self.last_backup.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

impl Issuer {
    /// Measures each time the metrics are read, at most once in [`crate::Limits::measure_interval`].
    /// Runs until it is dropped.
    pub(super) async fn watch_storage(&self) {
        loop {
            self.storage_watch.metrics_were_read.notified().await;
            self.measure_disks().await;
            self.measure_backups().await;
            self.polling.join_reading().await;
            self.measure_database().await;
            sleep(self.limits.measure_interval).await;
        }
    }

    async fn measure_disks(&self) {
        for (folder, path) in disks(&self.config) {
            let space = on_disk(path.to_owned(), |path| disk::space(&path)).await;
            if let Err(e) = &space {
                tracing::warn!("the free space at {} cannot be read: {e}", path.display());
            }
            self.metrics.storage.set_space(folder, space.ok());
        }
    }

    async fn measure_backups(&self) {
        let Some(folder) = &self.config.backup_folder else { return };
        let newest = on_disk(folder.clone(), |folder| disk::newest_backup(&folder)).await;
        if let Err(e) = &newest {
            tracing::warn!("backup_folder {} cannot be read: {e}", folder.display());
        }
        let last = newest.ok().flatten().map_or(LastBackup::None, LastBackup::At);
        self.storage_watch.set_last_backup(last);
    }

    async fn measure_database(&self) {
        let size = self.store.size(self.clock.now()).await;
        if let Err(e) = &size {
            tracing::warn!("the size of the database cannot be read: {e}");
        }
        self.metrics.storage.set_size(size.ok());
    }
}

/// Runs `job` on a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(
    path: PathBuf,
    job: impl FnOnce(PathBuf) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(move || job(path)).await.map_err(io::Error::other)?
}
