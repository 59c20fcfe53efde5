//! Starts a real issuer for each test: in this process on a free port, with a clock that the test
//! sets, or as the binary.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign_issuer::{Clock, Config, Error, Limits, Secret, State};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cluster;

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const START: u64 = 1_800_000_000;

/// The database of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
    /// Two issuers on one PostgreSQL database. Connections go to them in turns.
    PostgresTwice,
}

/// Makes two tests of each function, one for each database.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            crate::common::over!($name, sqlite: Sqlite, postgres: Postgres);
        }
    )+};
}
pub(crate) use over_both;

/// Makes three tests of each function: one for each database, and one for two issuers on one
/// database. The functions may use only [`Server`].
macro_rules! over_all {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            crate::common::over!(
                $name, sqlite: Sqlite, postgres: Postgres, two_issuers: PostgresTwice
            );
        }
    )+};
}
pub(crate) use over_all;

macro_rules! over {
    ($name:ident, $($test:ident: $backend:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let backend = crate::common::Backend::$backend;
            if backend == crate::common::Backend::Sqlite || !crate::cluster::is_left_out() {
                super::$name(backend).await;
            }
        }
    )+};
}
pub(crate) use over;

/// The file that marks the folder of two issuers on one database.
const TWICE: &str = "two-issuers";

/// The file with the URL of the database for [`binary`] and [`Server`], unless it is SQLite.
const URL: &str = "database-url";

/// [`binary`] sets this variable to `none`.
pub(crate) const ADMIN_LISTEN: &str = "COUNTERSIGN_ADMIN_LISTEN";

/// The master key of PostgreSQL databases.
pub(crate) const MASTER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// Returns a folder with a database that contains the user `demo` with scope `read write`.
pub(crate) fn folder() -> TempDir {
    folder_on(Backend::Sqlite)
}

pub(crate) fn folder_on(backend: Backend) -> TempDir {
    let folder = empty_folder_on(backend);
    add_user(folder.path(), "demo");
    folder
}

/// Returns a folder without a database yet.
pub(crate) fn empty_folder_on(backend: Backend) -> TempDir {
    let folder = TempDir::new().unwrap();
    if backend == Backend::PostgresTwice {
        std::fs::write(folder.path().join(TWICE), "").unwrap();
    }
    if backend != Backend::Sqlite {
        use_database(folder.path(), &cluster::new_database());
    }
    folder
}

/// Lets every issuer and command in `folder` use this PostgreSQL database.
pub(crate) fn use_database(folder: &Path, url: &str) {
    std::fs::write(folder.join(URL), url).unwrap();
}

/// Returns the URL of the database of the folder.
pub(crate) fn database(folder: &Path) -> String {
    let sqlite = |_| format!("sqlite://{}", folder.join("countersign.db").display());
    std::fs::read_to_string(folder.join(URL)).unwrap_or_else(sqlite)
}

/// Runs a statement on the database of the folder. SQLite has no schema `countersign`.
pub(crate) fn execute(folder: &Path, statement: &str) -> Vec<String> {
    let url = database(folder);
    match url.strip_prefix("sqlite://") {
        Some(path) => {
            let db = rusqlite::Connection::open(path).unwrap();
            db.busy_timeout(Duration::from_secs(5)).unwrap();
            let mut rows = db.prepare(&statement.replace("countersign.", "")).unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
        None => cluster::execute(&url, statement),
    }
}

pub(crate) fn add_user(folder: &Path, name: &str) {
    let done = command(folder, &["user", "add", name, "--scope", "read write"], PASSWORD);
    assert!(done.status.success(), "{}", stderr(&done));
}

/// Runs the binary in `folder` with `input` on stdin, until it ends.
pub(crate) fn command(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = binary(folder).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A command that fails before it reads closes its stdin.
    let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn binary(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-issuer"));
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUNTERSIGN_")) {
        command.env_remove(name);
    }
    // Parallel tests cannot share the default port.
    command.env(ADMIN_LISTEN, "none");
    if folder.join(URL).exists() {
        command.env("COUNTERSIGN_DATABASE", database(folder));
        command.env("COUNTERSIGN_MASTER_KEY", MASTER_KEY);
    }
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A serving process of the binary. Its log is `issuer.log` in the folder.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Process {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::with(folder, binary(folder))
    }

    /// Starts it with a prepared command.
    pub(crate) fn with(folder: &Path, mut command: Command) -> Self {
        let log = folder.join("issuer.log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stderr(log);
        Self::logging(command)
    }

    /// Starts it with a prepared command, which says where the log goes.
    pub(crate) fn logging(mut command: Command) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("countersign-issuer listening on ").unwrap();
        Self { url: url.to_owned(), child }
    }
}

impl Process {
    /// Lets it end by SIGTERM, so that its log is complete.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An issuer in this process, or two on one database behind one address.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) state: State,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) folder: TempDir,
    issuers: Vec<Issuer>,
    turns: Option<JoinHandle<()>>,
}

struct Issuer {
    state: State,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    pub(crate) async fn on(backend: Backend) -> Self {
        Self::over(folder_on(backend), |_, _| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config, &mut Limits)) -> Self {
        Self::over(folder(), change).await
    }

    pub(crate) async fn over(
        folder: TempDir,
        change: impl FnOnce(&mut Config, &mut Limits),
    ) -> Self {
        Self::by(folder, |clock| clock, change).await
    }

    /// Starts with a clock that `compared` has changed.
    pub(crate) async fn by(
        folder: TempDir,
        compared: impl FnOnce(Clock) -> Clock,
        change: impl FnOnce(&mut Config, &mut Limits),
    ) -> Self {
        Self::at(START, folder, compared, change).await
    }

    /// Starts at the given time.
    pub(crate) async fn at(
        time: u64,
        folder: TempDir,
        compared: impl FnOnce(Clock) -> Clock,
        change: impl FnOnce(&mut Config, &mut Limits),
    ) -> Self {
        let clock = Arc::new(AtomicU64::new(time));
        let (mut config, mut limits) = (Config::default(), Limits::default());
        config.database = database(folder.path()).parse().unwrap();
        if folder.path().join(URL).exists() {
            config.master_key = Some(Secret::new(MASTER_KEY.to_owned()));
        }
        change(&mut config, &mut limits);
        let now = Arc::clone(&clock);
        let by = compared(Clock::new(move || now.load(Ordering::Relaxed)));
        if !folder.path().join(TWICE).exists() {
            let issuer = Issuer::start(config, limits, by).await;
            let (state, address) = (issuer.state.clone(), issuer.address);
            let issuers = vec![issuer];
            return Self { url: state.url(), address, state, clock, folder, issuers, turns: None };
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        config.issuer.get_or_insert_with(|| url.clone());
        let one = Issuer::start(config.clone(), limits, by.clone()).await;
        let other = Issuer::start(config, limits, by).await;
        let turns = Some(tokio::spawn(take_turns(listener, [one.address, other.address])));
        let (state, issuers) = (one.state.clone(), vec![one, other]);
        Self { url, address, state, clock, folder, issuers, turns }
    }

    /// Advances the issuer's clock and, for the grace of refresh tokens, that of PostgreSQL: nobody
    /// can set it, so that the times in the database are set back instead.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
        if self.folder.path().join(URL).exists() {
            let earlier =
                format!("UPDATE countersign.sessions SET rotated_at = rotated_at - {seconds}");
            cluster::execute(&database(self.folder.path()), &earlier);
        }
    }

    /// Waits until each issuer has looked at the clock, which it does once a second.
    pub(crate) async fn looked(&self) {
        tokio::time::sleep(Duration::from_millis(2200)).await;
    }

    pub(crate) async fn stop(self) -> TempDir {
        if let Some(turns) = self.turns {
            turns.abort();
        }
        for issuer in self.issuers {
            issuer.stop.send(()).unwrap();
            issuer.running.await.unwrap().unwrap();
        }
        self.folder
    }
}

/// Returns a server with a wall clock and a monotonic clock. The test sets both.
pub(crate) async fn with_clocks(
    backend: Backend,
    change: impl FnOnce(&mut Config, &mut Limits),
) -> (Server, Arc<AtomicU64>) {
    let monotonic = Arc::new(AtomicU64::new(0));
    let elapsed = Arc::clone(&monotonic);
    let elapsed = move || Duration::from_secs(elapsed.load(Ordering::Relaxed));
    let compared = |clock: Clock| clock.with_monotonic(elapsed);
    (Server::by(folder_on(backend), compared, change).await, monotonic)
}

impl Issuer {
    async fn start(config: Config, limits: Limits, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State::open(config, address, limits, clock).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let running = tokio::spawn(countersign_issuer::run(listener, state.clone(), shutdown));
        Self { state, address, stop, running }
    }
}

/// Forwards connections to the two issuers in turns.
async fn take_turns(listener: TcpListener, issuers: [SocketAddr; 2]) {
    for issuer in issuers.into_iter().cycle() {
        let (mut client, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut issuer = TcpStream::connect(issuer).await?;
            tokio::io::copy_bidirectional(&mut client, &mut issuer).await
        });
    }
}

/// A complete response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn field(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn refresh_token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.field("refresh_token")
    }

    /// Returns the claims of the access token without verifying it.
    pub(crate) fn claims(&self) -> Value {
        jwt_part(&self.field("access_token"), 1)
    }

    pub(crate) fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.field("error").as_str()), (status, error), "{self:?}");
        assert!(!self.field("error_description").is_empty());
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
    }
}

pub(crate) fn jwt_part(token: &str, index: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(index).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap()
}

pub(crate) async fn post_json(url: &str, path: &str, body: &Value) -> Answer {
    send(client().post(format!("{url}{path}")).json(body)).await
}

pub(crate) async fn post_form(url: &str, path: &str, form: &[(&str, &str)]) -> Answer {
    send(client().post(format!("{url}{path}")).form(form)).await
}

pub(crate) async fn get(url: &str, path: &str) -> Answer {
    send(client().get(format!("{url}{path}"))).await
}

/// Returns the different results of parallel attempts.
pub(crate) async fn distinct(attempts: Vec<JoinHandle<String>>) -> HashSet<String> {
    let mut answers = HashSet::new();
    for attempt in attempts {
        answers.insert(attempt.await.unwrap());
    }
    answers
}

pub(crate) async fn login(url: &str) -> Answer {
    let body = serde_json::json!({ "username": "demo", "password": PASSWORD });
    post_json(url, "/login", &body).await
}

pub(crate) async fn refresh(url: &str, token: &str) -> Answer {
    post_form(url, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}
