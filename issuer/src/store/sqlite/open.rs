//! How a file becomes the issuer's database: made, looked at, migrated.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::vault_of;
use crate::Error;
use crate::keys::Vault;
use crate::store::schema::Schema;

/// One script for each schema version; the database's `user_version` says how many have run.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("clients.sql"),
    include_str!("versions.sql"),
    include_str!("secrets.sql"),
    include_str!("clock.sql"),
    include_str!("status.sql"),
    include_str!("login_failures.sql"),
];

/// The oldest version whose binaries work on the newest schema. It stays what it is as long as
/// scripts only add what those need not know.
const COMPATIBLE: usize = 7;

/// Marks the file as ours in SQLite's header: "`CSig`".
const APPLICATION_ID: i64 = 0x4353_6967;

/// How long to wait for another process that holds the database's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most connections that read at a time: each may keep 2 MiB of the file in memory.
const MOST_AT_HAND: usize = 8;

/// The connections to a database that can be used.
pub(super) struct Connections<T> {
    pub(super) writer: Connection,
    /// One that waits for a lock of the database.
    pub(super) reader: Connection,
    /// As many as can be used at a time, none of which waits.
    pub(super) at_hand: Vec<Connection>,
    /// What the keys were admitted with.
    pub(super) admitted: T,
}

/// Opens the file, makes it if it is absent, and runs the migrations that it lacks. `admit`
/// sees what is sealed under the master key before any of that is kept; what it answers comes along.
///
/// # Errors
///
/// [`Error::Database`] when it can't be opened or written, is not ours, or is from a newer
/// version, and what `admit` refuses with; the file is then as it was.
pub(super) fn open<T>(
    path: &Path,
    admit: impl FnOnce(&Vault) -> Result<T, Error>,
) -> Result<Connections<T>, Error> {
    let shown = path.display();
    let failed = |e: &dyn std::fmt::Display| {
        Error::Database(format!(
            "cannot use the database {shown}: {e}; make the file and its folder writable, or \
             set database to another place"
        ))
    };
    // SQLite would make it readable for everybody.
    create(path).map_err(|e| failed(&e))?;
    let mut writer = Connection::open(path).map_err(|e| failed(&e))?;
    let Some(schema) = schema(&writer).map_err(|e| failed(&e))? else {
        return Err(Error::Database(format!(
            "{shown} is a database of something else; set database to another place"
        )));
    };
    let missing = schema.missing(MIGRATIONS, &shown.to_string()).map_err(Error::Database)?.len();
    if writer.is_readonly(rusqlite::MAIN_DB).map_err(|e| failed(&e))? {
        return Err(failed(&"it is read-only"));
    }
    let admitted = migrate(&mut writer, missing, admit).map_err(|e| match e {
        Refused::Database(e) => failed(&e),
        Refused::Keys(e) => e,
    })?;
    let reader = |patience| {
        let reader = Connection::open(path)?;
        configure(&reader)?;
        reader.busy_timeout(patience)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(reader)
    };
    let count = thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_HAND);
    let at_hand = (0..count).map(|_| reader(Duration::ZERO)).collect::<rusqlite::Result<_>>();
    let (reader, at_hand) =
        reader(PATIENCE).and_then(|reader| Ok((reader, at_hand?))).map_err(|e| failed(&e))?;
    Ok(Connections { writer, reader, at_hand, admitted })
}

/// Makes an empty file that only its owner can read, if there is none.
fn create(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// The schema that the database has; `None` if it is not ours.
fn schema(db: &Connection) -> rusqlite::Result<Option<Schema>> {
    db.busy_timeout(PATIENCE)?;
    let count = "SELECT count(*), coalesce(sum(name = 'database'), 0) FROM sqlite_schema";
    let (tables, marked): (i64, bool) =
        db.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Ok((tables == 0).then_some(Schema::EMPTY));
    }
    let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let compatible = if marked {
        db.query_row("SELECT compatible_version FROM database", [], |row| row.get(0))?
    } else {
        version
    };
    Ok(Some(Schema { version, compatible }))
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(PATIENCE)?;
    // Each commit is on the disk before it is answered.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)
}

/// SQLite itself never waits here: it turns a lock to read into one to write, and two that do so
/// would wait for each other.
fn use_write_ahead_log(db: &Connection) -> rusqlite::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(e)
                if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < end =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

/// Writes what is there already, to see whether the disk takes it.
pub(super) fn touch(db: &Connection) -> rusqlite::Result<()> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    db.pragma_update(None, "user_version", version)
}

/// Why a database is not opened.
enum Refused {
    Database(rusqlite::Error),
    Keys(Error),
}

impl From<rusqlite::Error> for Refused {
    fn from(e: rusqlite::Error) -> Self {
        Self::Database(e)
    }
}

fn migrate<T>(
    db: &mut Connection,
    missing: usize,
    admit: impl FnOnce(&Vault) -> Result<T, Error>,
) -> Result<T, Refused> {
    configure(db)?;
    if missing > 0 {
        use_write_ahead_log(db)?;
    }
    // The lock is taken also when nothing is missing: it shows that the file can be written.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the lock: another process may have just migrated.
    let done: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for script in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(script)?;
    }
    if done < MIGRATIONS.len() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
        transaction.execute("UPDATE database SET compatible_version = ?1", [COMPATIBLE])?;
        if done > 0 {
            tracing::info!(from = done, to = MIGRATIONS.len(), "migrating the database");
        }
    }
    let admitted = admit(&vault_of(&transaction)?).map_err(Refused::Keys)?;
    transaction.commit()?;
    Ok(admitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_migration_is_kept_when_the_keys_are_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.db");
        let wrong = || Error::MasterKey("wrong".to_owned());
        let refused = open(&path, |_| Err::<(), _>(wrong())).err().unwrap();
        assert_eq!(refused.to_string(), "wrong");
        let db = Connection::open(&path).unwrap();
        let version = || schema(&db).unwrap().unwrap().version;
        assert_eq!(version(), 0);
        let tables = "SELECT count(*) FROM sqlite_schema";
        assert_eq!(db.query_row(tables, [], |row| row.get(0)), Ok(0));
        open(&path, |_| Ok(())).map(drop).unwrap();
        assert_eq!(version(), MIGRATIONS.len());
    }

    #[test]
    fn a_database_of_any_earlier_version_is_migrated_and_keeps_what_it_holds() {
        for had in 1..=MIGRATIONS.len() {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("x.db");
            let db = Connection::open(&path).unwrap();
            for script in &MIGRATIONS[..had] {
                db.execute_batch(script).unwrap();
            }
            db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            db.pragma_update(None, "user_version", had).unwrap();
            db.execute("INSERT INTO audit (at, event, subject) VALUES (1, 'old', '')", []).unwrap();
            open(&path, |_| Ok(())).map(drop).unwrap();
            let Schema { version, compatible } = schema(&db).unwrap().unwrap();
            assert_eq!(version, MIGRATIONS.len());
            assert!(had == version || compatible == COMPATIBLE);
            let event = db.query_row("SELECT event FROM audit", [], |row| row.get(0));
            assert_eq!(event, Ok("old".to_owned()));
        }
    }

    #[test]
    fn a_database_that_another_process_is_making_is_waited_for() {
        for held in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "BEGIN; SELECT * FROM sqlite_schema"] {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("x.db");
            let other = Connection::open(&path).unwrap();
            other.execute_batch(held).unwrap();
            thread::scope(|scope| {
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(200));
                    drop(other);
                });
                let opened = open(&path, |_| Ok(())).err();
                assert!(opened.is_none(), "{held}: {opened:?}");
            });
        }
    }
}
