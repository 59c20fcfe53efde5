//! Standbys of the PostgreSQL servers in `cluster.rs`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, DATABASE_PASSWORD, connected, execute, first_column};
use crate::cluster::{folder, unprivileged, write};

impl Cluster {
    /// Makes a standby of this server that follows it through `port`, which may belong to a proxy.
    pub(crate) fn standby(&self, port: u16) -> Self {
        let folder = folder();
        self.copy_to(folder.path(), port);
        Self::launch(folder, self.binaries.clone())
    }

    /// Makes this server, which does not run, a standby of `primary` on its old port.
    pub(crate) fn follow(&mut self, primary: &Self, port: u16) {
        fs::remove_dir_all(self.folder.path().join("data")).unwrap();
        primary.copy_to(self.folder.path(), port);
        self.start_again();
    }

    /// Copies the data while the server runs. Not every distribution of PostgreSQL has
    /// `pg_basebackup`, so this does its work.
    fn copy_to(&self, folder: &Path, port: u16) {
        let copy = format!(
            "cp -a {}/data . ; rm -rf data/pg_wal/0* data/postmaster.* data/standby.signal",
            self.folder.path().display()
        );
        let work = async |client: &tokio_postgres::Client| {
            client.simple_query("SELECT pg_backup_start('standby', true)").await?;
            // Files may vanish while they are copied. The log of the server makes up for them.
            let mut copying = unprivileged(PathBuf::from("sh"), folder);
            copying.args(["-c", &copy]).output().unwrap();
            let stop = "SELECT labelfile FROM pg_backup_stop(false)";
            Ok(first_column(client.simple_query(stop).await?).remove(0))
        };
        let label = connected(&self.url("postgres"), work).unwrap();
        let data = folder.join("data");
        write(&data.join("backup_label"), &label);
        write(&data.join("standby.signal"), "");
        let settings = data.join("postgresql.auto.conf");
        let mut settings = File::options().append(true).open(settings).unwrap();
        let host = "host=127.0.0.1 user=postgres";
        writeln!(settings, "primary_conninfo = '{host} password={DATABASE_PASSWORD} port={port}'")
            .unwrap();
    }

    /// Lets commits wait for a standby, on this server and on later copies of it.
    pub(crate) fn require_a_standby(&self) {
        self.set("synchronous_standby_names", "*");
        // A standby that was away can catch up.
        self.set("wal_keep_size", "512MB");
    }

    pub(crate) fn set(&self, setting: &str, value: &str) {
        let url = self.url("postgres");
        execute(&url, &format!("ALTER SYSTEM SET {setting} = '{value}'"));
        execute(&url, "SELECT pg_reload_conf()");
    }

    /// Makes this standby the primary.
    pub(crate) fn promote(&self) {
        let mut promote = unprivileged(self.binaries.join("pg_ctl"), self.folder.path());
        let promoted = promote.args(["promote", "-D", "data", "-w"]).output().unwrap();
        assert!(promoted.status.success(), "{promoted:?}");
    }
}
