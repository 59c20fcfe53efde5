//! Users who are moved from another system with the hashes of their passwords.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{
    Backend, Server, binary, command, empty_folder_on, execute, over_both, post_json, stderr,
    stdout,
};

over_both!(
    an_imported_user_logs_in_by_one_hash_which_is_then_made_anew,
    an_import_that_is_killed_is_resumed,
    refused_lines_are_listed_and_keep_no_other_out,
);

const BCRYPT: &str = "$2b$04$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";

/// Returns passwords, each with a hash that another program has made: one of each kind.
fn vectors() -> Vec<(String, String)> {
    let vectors = include_str!("../data/foreign_hashes.jsonl").lines().map(|line| {
        let vector: Value = serde_json::from_str(line).unwrap();
        ["password", "hash"].map(|name| vector[name].as_str().unwrap().to_owned())
    });
    let mut kinds = HashSet::new();
    let vectors =
        vectors.filter(|[_, hash]| kinds.insert(hash.split('$').nth(1).unwrap().to_owned()));
    vectors.map(|[password, hash]| (password, hash)).collect()
}

fn line(name: &str, hash: &str) -> String {
    json!({ "name": name, "password_hash": hash }).to_string() + "\n"
}

async fn an_imported_user_logs_in_by_one_hash_which_is_then_made_anew(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let vectors = vectors();
    assert_eq!(vectors.len(), 10);
    let mut lines = String::new();
    for (n, (_, hash)) in vectors.iter().enumerate() {
        let user = json!({ "name": format!("User{n}"), "password_hash": hash, "scope": "a b",
                           "claims": { "legacy_id": n } });
        writeln!(lines, "{user}").unwrap();
    }
    let locked = json!({ "name": "locked", "password_hash": BCRYPT, "locked": true });
    lines += &locked.to_string();
    let done = command(folder, &["user", "import", "-", "--json"], &lines);
    let counts: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(counts, json!({ "added": 11, "present": 0, "refused": 0 }), "{}", stderr(&done));

    let attempt = async |name: &str, password: &str| {
        let before = server.state.password_hashes();
        let body = json!({ "username": name, "password": password });
        let answer = post_json(&server.url, "/login", &body).await;
        (answer, server.state.password_hashes() - before)
    };
    for (n, (password, hash)) in vectors.iter().enumerate() {
        let name = format!("user{n}");
        let (refused, hashes) = attempt(&name, "wrong horse").await;
        refused.refused(401, "invalid_grant");
        assert_eq!(hashes, 1, "{hash}");
        let (session, hashes) = attempt(&name, password).await;
        assert_eq!(session.status, 200, "{hash}: {session:?}");
        let is_new = hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$");
        assert_eq!(hashes, if is_new { 1 } else { 2 }, "{hash}");
        let claims = session.claims();
        assert_eq!((&claims["scope"], &claims["legacy_id"]), (&json!("a b"), &json!(n)));
        let (again, hashes) = attempt(&name, password).await;
        assert_eq!((again.status, hashes), (200, 1), "{hash}");
    }
    let stored = "SELECT password_hash FROM countersign.users WHERE name LIKE 'user%'";
    for hash in execute(folder, stored) {
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }
    for (name, password) in [("locked", "correct horse"), ("nobody", "correct horse")] {
        let (refused, hashes) = attempt(name, password).await;
        refused.refused(401, "invalid_grant");
        assert_eq!(hashes, 1);
    }
    // A line of a user who has logged in is still the same user.
    let done = command(folder, &["user", "import", "-"], &lines);
    let expected = "added users: 0; there already: 11; refused lines: 0\n";
    assert!(stdout(&done).starts_with(expected), "{}", stdout(&done));
}

fn count(folder: &Path, what: &str, from: &str) -> usize {
    let count = format!("SELECT CAST(count({what}) AS TEXT) FROM countersign.{from}");
    execute(folder, &count)[0].parse().unwrap()
}

async fn an_import_that_is_killed_is_resumed(backend: Backend) {
    const USERS: usize = 2300;
    let folder = empty_folder_on(backend);
    let folder = folder.path();
    let lines: Vec<_> = (0..USERS).map(|n| line(&format!("user{n}"), BCRYPT)).collect();
    fs::write(folder.join("users.jsonl"), lines.concat()).unwrap();

    let mut killed = binary(folder);
    let mut killed = killed.args(["user", "import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    // The last lines do not come, so that the import waits for them.
    let mut stdin = killed.stdin.take().unwrap();
    stdin.write_all(lines[..1700].concat().as_bytes()).unwrap();
    stdin.flush().unwrap();
    let started = Instant::now();
    let users = || count(folder, "*", "users");
    let has_tables = || match backend {
        Backend::Sqlite => {
            let tables = "SELECT CAST(count(*) AS TEXT) FROM sqlite_schema WHERE name = 'audit'";
            folder.join("countersign.db").exists() && execute(folder, tables) == ["1"]
        }
        Backend::Postgres | Backend::PostgresTwice => {
            let tables =
                "SELECT CAST(count(*) AS TEXT) FROM pg_tables WHERE schemaname = 'countersign'";
            execute(folder, tables) != ["0"]
        }
    };
    loop {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not begin");
        std::thread::sleep(Duration::from_millis(50));
        if has_tables() && users() >= 500 {
            break;
        }
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = users();
    assert!(before % 500 == 0 && before < 1700, "{before}");
    let ids = "SELECT id FROM countersign.users ORDER BY id";
    let first = execute(folder, ids);

    let done = command(folder, &["user", "import", "users.jsonl"], "");
    let expected =
        format!("added users: {}; there already: {before}; refused lines: 0\n", USERS - before);
    assert!(stdout(&done).starts_with(&expected), "{}{}", stdout(&done), stderr(&done));
    assert_eq!((users(), count(folder, "DISTINCT name", "users")), (USERS, USERS));
    let added = "audit WHERE event = 'user_added'";
    assert_eq!(count(folder, "*", added), USERS);
    assert_eq!(count(folder, "DISTINCT subject", added), USERS);
    let all: HashSet<_> = execute(folder, ids).into_iter().collect();
    assert!(first.iter().all(|id| all.contains(id)));
}

async fn refused_lines_are_listed_and_keep_no_other_out(backend: Backend) {
    let folder = empty_folder_on(backend);
    let folder = folder.path();
    let with = |more: Value| {
        let mut user = json!({ "name": "x", "password_hash": BCRYPT });
        user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        user.to_string().into_bytes()
    };
    let costly = BCRYPT.replace("$04$", "$16$");
    let object = |json: &str| json.as_bytes().to_vec();
    let lines: Vec<(Vec<u8>, &str)> = vec![
        (format!("\u{feff}{}\r", line("First", BCRYPT).trim_end()).into_bytes(), ""),
        (object("{\"name\":\"x\",\"password_hash\":"), "not well-formed JSON, from column 28 on"),
        (object("[\"x\"]"), "not a JSON object"),
        (object("null"), "not a JSON object"),
        (object("name,hash"), "not a JSON object"),
        (object("{\"name\":\"x\"}"), "password_hash is missing"),
        (object(&format!("{{\"password_hash\":\"{BCRYPT}\"}}")), "name is missing"),
        (object(" \t\r"), ""),
        (with(json!({ "name": 7 })), "name must be a string"),
        (with(json!({ "name": "" })), "is not a user name"),
        (with(json!({ "name": "a\u{0}b" })), "is not a user name"),
        (with(json!({ "name": "x".repeat(129) })), "is not a user name"),
        (with(json!({ "email": "x@y.example" })), "is unknown; expected name, password_hash"),
        (object("{\"name\":\"x\",\"name\":\"y\"}"), "duplicate field `name`"),
        (with(json!({ "password_hash": [BCRYPT] })), "password_hash must be a string"),
        (with(json!({ "password_hash": "secret" })), "no kind that is known"),
        (with(json!({ "password_hash": costly })), "the cost is 16; expected at most 14"),
        (with(json!({ "scope": "read  write" })), "is not a scope"),
        (with(json!({ "locked": BCRYPT })), "locked must be true or false"),
        (with(json!({ "claims": { "sub": "y" } })), "the claim \"sub\" is reserved"),
        (with(json!({ "claims": { "a": "x".repeat(5 * 1024) } })), "expected at most 4096"),
        (with(json!({ "claims": BCRYPT })), "expected a JSON object"),
        (with(json!({ "scope": "x".repeat(33_000) })), "longer than 32768 bytes"),
        (b"{\"name\":\"\xff\"}".to_vec(), "not well-formed JSON"),
        (line("FIRST", BCRYPT).trim_end().into(), ""),
        (
            line("first", &BCRYPT.replace("$2b$", "$2y$")).trim_end().into(),
            "another user has the name \"first\"",
        ),
        (with(json!({ "claims": { "a": "\u{1}".repeat(600) }, "scope": null })), ""),
        (line("last", BCRYPT).trim_end().into(), ""),
    ];
    let file: Vec<u8> =
        lines.iter().map(|(line, _)| line.as_slice()).collect::<Vec<_>>().join(&b'\n');
    fs::write(folder.join("users.jsonl"), file).unwrap();
    let import = ["user", "import", "users.jsonl", "--refused", "refused.jsonl"];
    let done = command(folder, &import, "");
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    let refused: Vec<_> =
        lines.iter().zip(1..).filter(|((_, reason), _)| !reason.is_empty()).collect();
    let expected = format!("added users: 3; there already: 1; refused lines: {}\n", refused.len());
    assert!(stdout(&done).starts_with(&expected), "{}", stdout(&done));
    let listed = fs::read_to_string(folder.join("refused.jsonl")).unwrap();
    let stderr = stderr(&done);
    let printed = stderr.lines().zip(listed.lines());
    assert_eq!(listed.lines().count(), refused.len());
    for (((_, reason), number), (printed, listed)) in refused.iter().zip(printed) {
        let listed: Value = serde_json::from_str(listed).unwrap();
        assert_eq!(listed["line"], *number);
        let why = listed["reason"].as_str().unwrap();
        assert!(why.contains(reason), "{why}");
        assert_eq!(printed, format!("line {number}: {why}"));
    }
    assert!(stderr.lines().last().unwrap().contains("all others are done"));
    assert!(!stderr.contains("W25P4") && !listed.contains("W25P4"));
    let names = execute(folder, "SELECT name FROM countersign.users ORDER BY name");
    assert_eq!(names, ["first", "last", "x"]);

    // A file that is there is not overwritten.
    for (arguments, reason) in [
        (&import[..], "cannot write refused.jsonl"),
        (&["user", "import", "nothing.jsonl"], "cannot read nothing.jsonl"),
    ] {
        let done = command(folder, arguments, "");
        assert!(self::stderr(&done).contains(reason), "{}", self::stderr(&done));
    }
    let broken = "{}\n".repeat(250);
    let done = command(folder, &["user", "import", "-"], &broken);
    let printed = self::stderr(&done);
    let numbered: Vec<_> = printed.lines().filter(|line| line.starts_with("line ")).collect();
    assert_eq!((numbered.len(), numbered[99]), (100, "line 100: name is missing"));
    assert!(printed.contains("more lines were refused; --refused FILE lists all"));
    assert!(printed.contains("refused lines: 250; all others are done"), "{printed}");
}
