//! Gauges of the database and of its disks. They are NaN until they are measured for the first time.

use std::path::Path;

use prometheus::{Gauge, GaugeVec};

use super::Maker;
use crate::Config;
use crate::config::DatabaseUrl;
use crate::disk::Space;
use crate::store::Size;

pub(crate) struct Storage {
    database_bytes: Gauge,
    sessions: Gauge,
    disk_free: GaugeVec,
    disk_size: GaugeVec,
}

/// Returns the paths whose file systems are measured, each with its label. The disk of a PostgreSQL
/// server is not known.
pub(crate) fn disks(config: &Config) -> impl Iterator<Item = (&'static str, &Path)> {
    let database = match &config.database {
        DatabaseUrl::Sqlite(path) => Some(("database", path.as_path())),
        DatabaseUrl::Postgres(_) => None,
    };
    database.into_iter().chain(config.backup_folder.as_deref().map(|path| ("backups", path)))
}

impl Storage {
    pub(super) fn new(maker: &Maker, config: &Config) -> prometheus::Result<Self> {
        let storage = Self {
            database_bytes: maker.gauge(
                "countersign_database_size_bytes",
                "Size of the tables and indexes in the database",
            )?,
            sessions: maker.gauge(
                "countersign_sessions",
                "Sessions in the database that have not expired, ended ones included",
            )?,
            disk_free: maker.gauge_vec(
                "countersign_disk_free_bytes",
                "Free space of the file system",
                &["folder"],
            )?,
            disk_size: maker.gauge_vec(
                "countersign_disk_size_bytes",
                "Size of the file system",
                &["folder"],
            )?,
        };
        storage.set_size(None);
        for (folder, _) in disks(config) {
            storage.set_space(folder, None);
        }
        Ok(storage)
    }

    /// Sets the size of the database, or NaN if it is not known.
    pub(crate) fn set_size(&self, size: Option<Size>) {
        self.database_bytes.set(size.map_or(f64::NAN, |size| size.bytes as f64));
        self.sessions.set(size.map_or(f64::NAN, |size| size.sessions as f64));
    }

    /// Sets the space of a file system, or NaN if it is not known.
    pub(crate) fn set_space(&self, folder: &str, space: Option<Space>) {
        for (gauge, value) in [
            (&self.disk_free, space.map(|space| space.free)),
            (&self.disk_size, space.map(|space| space.size)),
        ] {
            if let Ok(gauge) = gauge.get_metric_with_label_values(&[folder]) {
                gauge.set(value.map_or(f64::NAN, |bytes| bytes as f64));
            }
        }
    }
}
