//! A real PostgreSQL server for the tests. It lives in a temporary folder and ends with the process.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// PostgreSQL refuses to run as root. This is `nobody`.
const NOBODY: u32 = 65534;

/// The file that a running server keeps about itself.
const STATE: &str = "data/postmaster.pid";

pub(crate) const DATABASE_PASSWORD: &str = "canary-of-the-database";

/// Returns true if `COUNTERSIGN_SKIP` leaves out the tests that need PostgreSQL.
pub(crate) fn is_left_out() -> bool {
    is_skipped("postgres")
}

/// Returns true if `COUNTERSIGN_SKIP` contains the name.
pub(crate) fn is_skipped(name: &str) -> bool {
    let skipped = std::env::var("COUNTERSIGN_SKIP").unwrap_or_default();
    let is_skipped = skipped.split(',').any(|one| one.trim() == name);
    if is_skipped {
        println!("left out: {name} (COUNTERSIGN_SKIP)");
    }
    is_skipped
}

/// Makes an empty database on the server that all tests of this process share.
pub(crate) fn new_database() -> String {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).new_database()
}

/// A PostgreSQL server.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    pub(crate) binaries: PathBuf,
    pub(crate) port: u16,
    /// A shell that stops the server as soon as its input ends. The server therefore stops even if
    /// this process is killed.
    guard: Child,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with TLS if there are files: each with its setting, name and content.
    pub(crate) fn with(files: &[(&str, &str, &str)]) -> Self {
        let folder = folder();
        let binaries = executable(binaries(), folder.path());
        let password = folder.path().join("password");
        fs::write(&password, DATABASE_PASSWORD).unwrap();
        let mut initdb = unprivileged(binaries.join("initdb"), folder.path());
        initdb.args(["--no-sync", "-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8"]);
        initdb.args(["--locale=C", "-D", "data", "--pwfile=password"]);
        let made = initdb.output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut settings =
            File::options().append(true).open(folder.path().join("data/postgresql.conf")).unwrap();
        for (setting, name, content) in files {
            let path = folder.path().join(name);
            write(&path, content);
            writeln!(settings, "{setting} = '{}'\nssl = on", path.display()).unwrap();
        }
        drop(settings);
        Self::launch(folder, binaries)
    }

    /// Starts a server on the data in `folder`.
    pub(crate) fn launch(folder: TempDir, binaries: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let guard = guard(&binaries, folder.path(), port);
        let cluster = Self { folder, binaries, port, guard };
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&self) {
        for _ in 0..600 {
            // The last line is the state. A standby never says "ready".
            if self.state().is_some_and(|lines| {
                lines.last().is_some_and(|state| ["ready", "standby"].contains(&state.trim()))
            }) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }

    /// Stops the server: properly in the mode `fast`, like a crash in the mode `immediate`.
    pub(crate) fn stop(&mut self, mode: &str) {
        let mut stop = unprivileged(self.binaries.join("pg_ctl"), self.folder.path());
        let stopped = stop.args(["stop", "-D", "data", "-m", mode, "-w"]).output().unwrap();
        assert!(stopped.status.success(), "{stopped:?}");
        self.end_guard();
    }

    /// Kills every process of the server at once, like a power cut.
    pub(crate) fn crash(&mut self) {
        let server = self.process();
        // Stopped first, so that it starts no other process meanwhile.
        signal("-STOP", &[server]);
        let processes = processes_of(server);
        signal("-KILL", &processes);
        // The next start is refused as long as one of them has its memory.
        while processes.iter().any(|process| runs(*process)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.end_guard();
        // The next start must not take this for its own.
        fs::remove_file(self.folder.path().join(STATE)).unwrap();
    }

    pub(crate) fn end_guard(&mut self) {
        self.guard.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        self.guard.wait().unwrap();
    }

    /// Returns the lines of the file that the running server keeps about itself.
    fn state(&self) -> Option<Vec<String>> {
        let state = fs::read_to_string(self.folder.path().join(STATE)).ok()?;
        Some(state.lines().map(ToOwned::to_owned).collect())
    }

    /// Starts the server again on the same port.
    pub(crate) fn start_again(&mut self) {
        self.guard = guard(&self.binaries, self.folder.path(), self.port);
        self.wait_until_ready();
    }

    /// Returns the id of the server's first process.
    pub(crate) fn process(&self) -> u32 {
        self.process_if_running().unwrap()
    }

    /// Like [`Self::process`], for a server that may have ended by itself.
    pub(crate) fn process_if_running(&self) -> Option<u32> {
        self.state()?.first()?.parse().ok().filter(|process| runs(*process))
    }

    pub(crate) fn new_database(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create(&name);
        self.url(&name)
    }

    /// Makes an empty database of that name.
    pub(crate) fn create(&self, name: &str) {
        execute(&self.url("postgres"), &format!("CREATE DATABASE {name}"));
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://postgres:{DATABASE_PASSWORD}@127.0.0.1:{port}/{database}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Runs statements and returns the first column of the rows.
pub(crate) fn execute(url: &str, statements: &str) -> Vec<String> {
    try_execute(url, statements).unwrap()
}

/// Like [`execute`], but returns an error if the server is away.
pub(crate) fn try_execute(
    url: &str,
    statements: &str,
) -> Result<Vec<String>, tokio_postgres::Error> {
    connected(url, async |client| Ok(first_column(client.simple_query(statements).await?)))
}

/// Runs `work` on a connection of its own.
pub(crate) fn connected<T: Send>(
    url: &str,
    work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error> + Send,
) -> Result<T, tokio_postgres::Error> {
    // In a new thread, because the caller may be inside a runtime.
    std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
                let connection = tokio::spawn(connection);
                let result = work(&client).await?;
                drop(client);
                connection.await.unwrap()?;
                Ok(result)
            })
        };
        scope.spawn(run).join().unwrap()
    })
}

pub(crate) fn first_column(messages: Vec<tokio_postgres::SimpleQueryMessage>) -> Vec<String> {
    let rows = messages.into_iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
        _ => None,
    });
    rows.collect()
}

fn guard(binaries: &Path, folder: &Path, port: u16) -> Child {
    let log = File::create(folder.join("log")).unwrap();
    let script = "\"$0\" -D data -h 127.0.0.1 -p \"$1\" -k \"$PWD\" & server=$!; \
                  read -r word; kill -INT $server; wait $server; \
                  [ \"$word\" = keep ] || rm -rf \"$PWD\"";
    let mut shell = unprivileged(PathBuf::from("sh"), folder);
    shell.args(["-c", script]).arg(binaries.join("postgres")).arg(port.to_string());
    shell.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// Makes an empty folder for a server.
pub(crate) fn folder() -> TempDir {
    let folder = TempDir::with_prefix("countersign-postgres-").unwrap();
    give(folder.path());
    folder
}

/// Writes a file that only the server can read.
pub(crate) fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    give(path);
}

/// Gives a file or folder to the user of the server.
fn give(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// Returns the folder of the programs. If the user of the server cannot reach it, as in a home
/// folder of root, returns a copy in `folder`.
fn executable(binaries: PathBuf, folder: &Path) -> PathBuf {
    if unprivileged(binaries.join("initdb"), folder).arg("--version").output().is_ok() {
        return binaries;
    }
    let copy = folder.join("installation");
    let mut copying = Command::new("cp");
    copying.arg("-a").arg(binaries.parent().unwrap()).arg(&copy);
    assert!(copying.status().unwrap().success());
    copy.join(binaries.file_name().unwrap())
}

/// Sends a signal to processes. Some may be gone already.
fn signal(name: &str, processes: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(name).args(processes.iter().map(ToString::to_string));
    kill.stderr(Stdio::null()).status().unwrap();
}

/// Returns the processes of a server.
pub(crate) fn processes_of(server: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().map(|process| process.parse().unwrap());
    children.chain([server]).collect()
}

/// Returns false for a process that has ended, also if nobody has asked for its status yet.
fn runs(process: u32) -> bool {
    fs::read_link(format!("/proc/{process}/exe")).is_ok()
}

pub(crate) fn unprivileged(program: PathBuf, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    // A new file belongs to the user of this process.
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}

/// Finds the folder with `initdb`, `pg_ctl` and `postgres`.
pub(crate) fn binaries() -> PathBuf {
    let named = std::env::var_os("COUNTERSIGN_POSTGRES").filter(|path| !path.is_empty());
    let mut folders: Vec<PathBuf> = named.map(PathBuf::from).into_iter().collect();
    if folders.is_empty() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        folders.extend(debian.map(|version| version.path().join("bin")));
    }
    let whole = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file())
    };
    folders.into_iter().find(whole).unwrap_or_else(|| {
        panic!(
            "PostgreSQL is not installed: install it (Debian: `sudo apt-get install postgresql`), \
             set COUNTERSIGN_POSTGRES to the folder of its initdb, or leave out the tests that \
             need it with COUNTERSIGN_SKIP=postgres"
        )
    })
}
