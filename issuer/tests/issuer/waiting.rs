//! The start of an issuer whose database is away.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::{Cluster, DATABASE_PASSWORD, execute, is_left_out};
use crate::common::{ADMIN_LISTEN, PASSWORD, Process, add_user, binary, command, get, login};
use crate::common::{post_form, refresh, stderr, stdout, use_database};

/// An issuer that has not said yet that it is open.
struct Starting {
    child: Child,
    url: String,
    admin: String,
}

/// Starts an issuer in `folder`, whose log is `issuer.log` there.
fn start(folder: &Path) -> Starting {
    let log = fs::File::create(folder.join("issuer.log")).unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (address, admin) = (free(), free());
    let mut serve = binary(folder);
    serve.args(["serve", "--listen", &address]).env(ADMIN_LISTEN, &admin).stderr(log);
    let child = serve.stdout(Stdio::piped()).spawn().unwrap();
    Starting { child, url: format!("http://{address}"), admin: format!("http://{admin}") }
}

impl Starting {
    /// Waits until the issuer answers.
    async fn answers(&self) {
        for _ in 0..600 {
            if reqwest::get(format!("{}/healthz/live", self.url)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not answer");
    }

    /// Waits until the issuer says that it is open.
    fn opened(mut self) -> Process {
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, format!("countersign-issuer listening on {}\n", self.url));
        Process { child: self.child, url: self.url }
    }

    /// Waits until the issuer ends by itself.
    fn ended(mut self) -> ExitStatus {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        panic!("it does not end");
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("issuer.log")).unwrap()
}

/// Makes a folder with the user `demo` in a database on `cluster`.
fn folder_on(cluster: &Cluster) -> TempDir {
    let folder = TempDir::new().unwrap();
    use_database(folder.path(), &cluster.new_database());
    add_user(folder.path(), "demo");
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_waits_for_its_database_and_says_so() {
    if is_left_out() {
        return;
    }
    let mut cluster = Cluster::start();
    let folder = folder_on(&cluster);
    cluster.stop("fast");
    let starting = start(folder.path());
    starting.answers().await;
    let (url, admin) = (starting.url.clone(), starting.admin.clone());
    let live = get(&url, "/healthz/live").await;
    assert_eq!((live.status, &*live.text), (200, "{\"status\":\"ok\"}"));
    let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for answer in [
        get(&url, "/healthz/ready").await,
        get(&url, "/.well-known/jwks.json").await,
        get(&url, "/.well-known/oauth-authorization-server").await,
        login(&url).await,
        post_form(&url, "/token", &form).await,
        get(&admin, "/metrics").await,
    ] {
        answer.refused(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        // A client with an open connection would not reach the issuer that is open later.
        assert_eq!(answer.header("connection"), "close");
        assert!(answer.field("error_description").contains("is starting"), "{answer:?}");
    }
    get(&url, "/nothing").await.refused(404, "not_found");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let line = log(folder.path());
    assert_eq!(line.matches("waiting for the database: ").count(), 1, "{line}");
    assert!(line.contains("Connection refused"), "{line}");
    assert!(!line.contains(DATABASE_PASSWORD), "{line}");

    // A connection without a request is closed when the issuer opens, and so reaches it.
    let silent = tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await;
    cluster.start_again();
    let process = starting.opened();
    let token = login(&process.url).await.refresh_token();
    assert_eq!(refresh(&process.url, &token).await.status, 200);
    assert_eq!(get(&process.url, "/healthz/ready").await.status, 200);
    assert_eq!(get(&admin, "/metrics").await.status, 200);
    let mut silent = silent.unwrap();
    let read = tokio::io::AsyncReadExt::read(&mut silent, &mut [0]).await;
    assert_eq!(read.unwrap(), 0);
    assert!(process.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_waits_for_its_database_stops_at_once() {
    let folder = TempDir::new().unwrap();
    // Nobody listens on port 1.
    use_database(folder.path(), "postgres://u:p@127.0.0.1:1/x");
    let starting = start(folder.path());
    starting.answers().await;
    let process = Process { url: starting.url.clone(), child: starting.child };
    process.signal("-HUP");
    assert!(process.stop().success());
    // A command does not wait, and says the same.
    let done = command(folder.path(), &["config", "check"], "");
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).contains("cannot use the database"), "{}", stderr(&done));
    let waited = log(folder.path());
    let reason = stderr(&done);
    let reason = reason.trim().strip_prefix("countersign-issuer: ").unwrap();
    assert!(waited.contains(reason), "{reason:?} is not in {waited}");
}

/// The failures that waiting cannot cure.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_waits_ends_if_its_database_comes_back_and_cannot_be_used() {
    if is_left_out() {
        return;
    }
    let mut cluster = Cluster::start();
    let of_another = |url: &str| {
        let columns = "schema_version = 99, compatible_version = 99";
        execute(url, &format!("UPDATE countersign.database SET {columns}"));
    };
    let other_key = |url: &str| execute(url, "UPDATE countersign.keys SET sealed = '\\x00'");
    let (newer, foreign, gone) = (folder_on(&cluster), folder_on(&cluster), folder_on(&cluster));
    let url = |folder: &TempDir| fs::read_to_string(folder.path().join("database-url")).unwrap();
    // The keys are made at the first start.
    Process::start(foreign.path()).stop();
    of_another(&url(&newer));
    other_key(&url(&foreign));
    use_database(gone.path(), &cluster.url("nothing"));
    cluster.stop("fast");
    let folders = [newer, foreign, gone];
    let mut waiting = Vec::new();
    for folder in &folders {
        let starting = start(folder.path());
        starting.answers().await;
        waiting.push(starting);
    }
    cluster.start_again();
    let reasons = ["is from a newer version", "master key", "\"nothing\" does not exist"];
    for ((starting, folder), reason) in waiting.into_iter().zip(&folders).zip(reasons) {
        assert_eq!(starting.ended().code(), Some(1), "{reason}");
        let log = log(folder.path());
        assert!(log.lines().last().unwrap().contains(reason), "{reason} is not in {log}");
    }
    // Without waiting, they are refused at once.
    for (folder, reason) in folders.iter().zip(reasons) {
        let done = command(folder.path(), &["serve", "--listen", "127.0.0.1:0"], "");
        assert_eq!(done.status.code(), Some(1), "{}", stdout(&done));
        assert!(stderr(&done).contains(reason), "{}", stderr(&done));
    }
    let wrong = url(&folders[0]).replace(DATABASE_PASSWORD, "wrong");
    use_database(folders[0].path(), &wrong);
    let done = command(folders[0].path(), &["serve", "--listen", "127.0.0.1:0"], "");
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).contains("password authentication failed"), "{}", stderr(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_waits_for_the_end_of_a_session_that_locks_its_tables() {
    if is_left_out() {
        return;
    }
    let cluster = Cluster::start();
    let folder = folder_on(&cluster);
    let url = fs::read_to_string(folder.path().join("database-url")).unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE countersign.database").await.unwrap();
    let done = command(folder.path(), &["user", "list"], PASSWORD);
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).contains("another session may lock its tables"), "{}", stderr(&done));
    let starting = start(folder.path());
    starting.answers().await;
    get(&starting.url, "/healthz/ready").await.refused(503, "temporarily_unavailable");
    for _ in 0..600 {
        if log(folder.path()).contains("waiting for the database: ") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.batch_execute("ROLLBACK").await.unwrap();
    let process = starting.opened();
    login(&process.url).await.refresh_token();
}
