//! `store copy`: users stay logged in, and a copy is complete or not made at all.

use tempfile::TempDir;

use crate::cluster::{DATABASE_PASSWORD, execute, is_left_out, new_database};
use crate::common::{Process, add_user, binary, command, database, folder, get, login, refresh};
use crate::common::{stderr, stdout, use_database};

/// Runs the binary with the master key in the file beside the SQLite database.
fn copy(folder: &TempDir, from: &str, to: &str) -> std::process::Output {
    let mut command = binary(folder.path());
    command.args(["store", "copy", "--from", from, "--to", to]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_keys_move_from_sqlite_to_postgres_and_back() {
    if is_left_out() {
        return;
    }
    let folder = folder();
    let sqlite = database(folder.path());
    let key = folder.path().join("countersign.db.master-key");
    let process = Process::start(folder.path());
    let first = login(&process.url).await.refresh_token();
    let jwks = get(&process.url, "/.well-known/jwks.json").await.text;
    let used = format!("{sqlite} is in use; nothing was copied");
    let refused = copy(&folder, &sqlite, &format!("{sqlite}.copy"));
    assert!(stderr(&refused).contains(&used), "{}", stderr(&refused));
    drop(process);

    let postgres = new_database();
    let done = copy(&folder, &sqlite, &postgres);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stdout(&done).starts_with("users\t1\n"), "{}", stdout(&done));
    let master_key = std::fs::read_to_string(key).unwrap();
    let serve = |url: &str| {
        let mut command = binary(folder.path());
        command.env("COUNTERSIGN_DATABASE", url).env("COUNTERSIGN_MASTER_KEY", master_key.trim());
        Process::with(folder.path(), command)
    };
    let process = serve(&postgres);
    assert_eq!(get(&process.url, "/.well-known/jwks.json").await.text, jwks);
    let second = refresh(&process.url, &first).await.refresh_token();
    login(&process.url).await.refresh_token();
    let copy_back = |from: &str, to: &str| {
        let mut command = binary(folder.path());
        command.env("COUNTERSIGN_MASTER_KEY", master_key.trim());
        command.args(["store", "copy", "--from", from, "--to", to]).output().unwrap()
    };
    let role =
        format!("CREATE ROLE operator LOGIN PASSWORD '{DATABASE_PASSWORD}' IN ROLE postgres");
    execute(&postgres, &role);
    for from in [&postgres, &postgres.replace("//postgres:", "//operator:")] {
        let refused = copy_back(from, &format!("{sqlite}.copy"));
        assert!(stderr(&refused).contains("is in use; nothing was copied"), "{}", stderr(&refused));
    }
    drop(process);

    let back = format!("sqlite://{}", folder.path().join("back.db").display());
    let done = copy_back(&postgres, &back);
    assert!(done.status.success(), "{}", stderr(&done));
    let process = serve(&back);
    assert_eq!(refresh(&process.url, &second).await.status, 200);
}

#[test]
fn a_copy_that_is_refused_changes_nothing() {
    let folder = folder();
    let sqlite = database(folder.path());
    drop(Process::start(folder.path()));
    let refuse = |from: &str, to: &str, words: &[&str]| {
        let done = copy(&folder, from, to);
        let line = stderr(&done);
        assert_eq!((done.status.code(), line.lines().count()), (Some(1), 1), "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
        assert!(!line.contains(DATABASE_PASSWORD));
    };
    let new = format!("sqlite://{}", folder.path().join("new.db").display());
    refuse(&sqlite, &sqlite, &["the same database"]);
    refuse("mysql://x", &new, &["--from", "expected sqlite://PATH"]);
    refuse(&sqlite, "postgres://x", &["--to", "names no database"]);
    refuse(&new, &sqlite, &["there is no database"]);
    assert!(!folder.path().join("new.db").exists());

    let other = crate::common::folder();
    add_user(other.path(), "eve");
    let users = || stdout(&command(other.path(), &["user", "list"], ""));
    let before = users();
    refuse(&sqlite, &database(other.path()), &["is not empty; nothing was copied"]);
    assert_eq!(users(), before);

    if !is_left_out() {
        let taken = TempDir::new().unwrap();
        use_database(taken.path(), &new_database());
        add_user(taken.path(), "eve");
        let url = database(taken.path());
        refuse(&sqlite, &url, &["postgres:(hidden)@", "is not empty; nothing was copied"]);
        assert!(stdout(&command(taken.path(), &["user", "list"], "")).starts_with("eve\t"));
    }

    // A copy would be useless without the right master key.
    let mut command = binary(folder.path());
    command.args(["store", "copy", "--from", &sqlite, "--to", &new]);
    command.args(["--master-key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]);
    assert!(stderr(&command.output().unwrap()).contains("master key does not open"));
    assert!(!folder.path().join("new.db").exists());
}
