//! The issuers on the pair of servers, each a process of the real binary.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::common::{binary, use_database};
use crate::pair::Pair;
use crate::proxy::{Protocol, Proxy};

const SETTINGS: [&str; 9] = [
    "--issuer=https://issuer.example",
    "--trusted-proxies=127.0.0.1/32",
    "--log-level=warn",
    // Their clocks differ by up to 5 minutes.
    "--clock-skew=5m",
    "--jwks-max-age=1s",
    // A client that got no answer comes back after the faults, maybe to the other issuer.
    "--refresh-grace=1h",
    "--rotation-period=1d",
    "--access-ttl=1h",
    "--audience=api",
];

/// An issuer with proxies around it.
pub(crate) struct Issuer {
    folder: TempDir,
    process: Option<Child>,
    /// The seconds by which its clock is ahead.
    pub(crate) clock: u32,
    /// Between the clients and the issuer.
    pub(crate) front: Proxy,
    /// Between the issuer and each server.
    pub(crate) back: [Proxy; 2],
}

impl Issuer {
    /// Makes an issuer that does not run yet.
    pub(crate) fn new(runtime: &Handle, pair: &Pair) -> Self {
        let folder = TempDir::new().unwrap();
        let back = pair.ports().map(|port| Proxy::start(runtime, Protocol::Postgres, port));
        use_database(folder.path(), &Pair::url([back[0].port, back[1].port]));
        let front = Proxy::start(runtime, Protocol::Bytes, 0);
        Self { folder, process: None, clock: 0, front, back }
    }

    /// Returns the URL for clients. It stays the same when the issuer starts again.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.front.port)
    }

    /// Returns the folder for commands.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Starts the process. Tries again as long as the database is away.
    pub(crate) fn start(&mut self) {
        let started = Instant::now();
        loop {
            let mut child = self.command().spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            self.process = Some(child);
            if let Some((_, port)) = line.trim_end().rsplit_once(':') {
                return self.front.lead_to(port.parse().unwrap());
            }
            assert!(started.elapsed() < Duration::from_secs(60), "an issuer does not start");
            std::thread::sleep(Duration::from_millis(200));
            self.kill();
        }
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn command(&self) -> Command {
        let mut command = binary(self.folder.path());
        command.args(["serve", "--listen=127.0.0.1:0"]).args(SETTINGS);
        if self.clock > 0 {
            command.env("LD_PRELOAD", libfaketime());
            command.env("FAKETIME", format!("+{}s", self.clock));
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let log = self.folder.path().join("issuer.log");
        command.stderr(std::fs::File::options().create(true).append(true).open(log).unwrap());
        command
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds the library that gives a process another clock.
fn libfaketime() -> PathBuf {
    let folders = ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let paths = folders.map(|folder| PathBuf::from(folder).join("faketime/libfaketimeMT.so.1"));
    paths.into_iter().find(|path| path.exists()).unwrap_or_else(|| {
        panic!(
            "libfaketime is not installed: install it (Debian: `sudo apt-get install faketime`), \
             or leave out the tests that need it with COUNTERSIGN_SKIP=faketime"
        )
    })
}
