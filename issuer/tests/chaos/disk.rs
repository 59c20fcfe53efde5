//! A disk that is full.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, processes_of, try_execute};

/// The server cannot write beyond this many bytes of a file.
const FULL: u64 = 8192;

impl Cluster {
    /// Limits the size of each file that the server writes. To the server this is a full disk, and it
    /// needs no disk of its own and no root.
    pub(crate) fn fill_disk(&self) {
        self.limit_files(&FULL.to_string());
    }

    /// Lifts the limit. Starts the server if it has ended.
    pub(crate) fn free_disk(&mut self) {
        let url = self.url("postgres");
        let started = Instant::now();
        loop {
            if self.process_if_running().is_some() {
                self.limit_files("unlimited");
            } else {
                self.end_guard();
                self.start_again();
            }
            if try_execute(&url, "SELECT 1").is_ok() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the server does not recover");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn limit_files(&self, limit: &str) {
        let processes = self.process_if_running().map(processes_of);
        for process in processes.into_iter().flatten() {
            let mut prlimit = Command::new("prlimit");
            prlimit.args([format!("--fsize={limit}:"), format!("--pid={process}")]);
            // Some processes may have ended meanwhile.
            prlimit.stderr(Stdio::null()).status().unwrap();
        }
    }
}
