//! Opening a file: checks that it is ours, makes or migrates the schema, and opens the connections.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::keys;
use crate::keys::Vault;
use crate::store::schema::Schema;
use crate::{Error, files};

/// One script for each schema version. `user_version` counts the scripts that have run.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];

/// The oldest version whose binaries can use the newest schema. It stays the same as long as new
/// scripts only add things that older binaries can ignore.
const COMPATIBLE: usize = 1;

/// Marks the file as ours in SQLite's header: "`CSig`".
const APPLICATION_ID: i64 = 0x4353_6967;

/// The time to wait for a lock that another process holds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest pool of readers. Each connection may cache 2 MiB of the file.
const MAX_POOL: usize = 8;

/// The connections to a database that is ready for use.
pub(super) struct Connections<T> {
    pub(super) writer: Connection,
    /// Readers that fail at once if the database is locked: one for each core.
    pub(super) pool: Vec<Connection>,
    /// A reader that waits for a lock.
    pub(super) waiting_reader: Connection,
    /// The value that `admit` returned.
    pub(super) admitted: T,
}

/// Opens the file, makes it if it is absent, and runs the migrations that it lacks. `admit` sees the
/// sealed secrets before the transaction commits.
///
/// # Errors
///
/// [`Error::Database`] if the file cannot be opened or written, is not ours, or is from a newer
/// version; the error of `admit`. The file is then as it was.
pub(super) fn open<T>(
    path: &Path,
    admit: impl FnOnce(&Vault) -> Result<T, Error>,
) -> Result<Connections<T>, Error> {
    create(path).map_err(|e| unusable(path, &e))?;
    let (mut writer, schema) = writer(path)?;
    let admitted = prepare(&mut writer, &schema, MIGRATIONS, Ending::Commit, admit)
        .map_err(|refusal| refusal.at(path))?;
    let count = thread::available_parallelism().map_or(1, usize::from).min(MAX_POOL);
    let pool = (0..count).map(|_| reader(path, Duration::ZERO)).collect::<Result<_, _>>();
    let pool = pool.map_err(|e| unusable(path, &e))?;
    let waiting_reader = reader(path, LOCK_TIMEOUT).map_err(|e| unusable(path, &e))?;
    Ok(Connections { writer, pool, waiting_reader, admitted })
}

/// Does everything that [`open`] does, and leaves the file as it was. If there is no file, checks
/// that one can be made.
///
/// # Errors
///
/// Those of [`open`].
pub(super) fn check(
    path: &Path,
    admit: impl FnOnce(&Vault) -> Result<(), Error>,
) -> Result<(), Error> {
    if !path.exists() {
        files::check_folder_of(path).map_err(|e| unusable(path, &e))?;
        return admit(&Vault::default());
    }
    let (mut writer, schema) = writer(path)?;
    prepare(&mut writer, &schema, MIGRATIONS, Ending::Undo, admit)
        .map_err(|refusal| refusal.at(path))
}

/// Opens an existing file that is ours and can be written.
fn writer(path: &Path) -> Result<(Connection, Schema), Error> {
    let failed = |e: rusqlite::Error| unusable(path, &e);
    let writer = Connection::open(path).map_err(failed)?;
    let shown = path.display();
    let Some(schema) = schema(&writer).map_err(failed)? else {
        return Err(Error::Database(format!(
            "{shown} is a database of something else; set database to another file"
        )));
    };
    schema.missing(MIGRATIONS, &shown.to_string()).map_err(Error::Database)?;
    if writer.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
        return Err(unusable(path, &"it is read-only"));
    }
    Ok((writer, schema))
}

fn unusable(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::Database(format!(
        "cannot use the database {}: {e}; make the file and its folder writable, or set database \
         to another file",
        path.display()
    ))
}

/// Makes an empty file that only its owner can read, if there is none, also where a link leads to.
/// SQLite itself would make it readable for everybody.
fn create(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if path.exists() {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

/// Reads the schema's versions. Returns `None` if the database is not ours.
fn schema(db: &Connection) -> rusqlite::Result<Option<Schema>> {
    db.busy_timeout(LOCK_TIMEOUT)?;
    // In this order: another process may make the schema in between.
    let is_empty = "SELECT NOT EXISTS (SELECT * FROM sqlite_schema)";
    let is_empty: bool = db.query_row(is_empty, [], |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Ok(is_empty.then_some(Schema::EMPTY));
    }
    let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let compatible =
        db.query_row("SELECT compatible_version FROM database", [], |row| row.get(0))?;
    Ok(Some(Schema { version, compatible }))
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(LOCK_TIMEOUT)?;
    // A commit returns once it is on the disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)
}

fn reader(path: &Path, lock_timeout: Duration) -> rusqlite::Result<Connection> {
    let reader = Connection::open(path)?;
    configure(&reader)?;
    reader.busy_timeout(lock_timeout)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

/// Retries, because SQLite ignores its timeout here: it turns a read lock into a write lock, and two
/// processes that do so would wait for each other.
fn use_write_ahead_log(db: &Connection) -> rusqlite::Result<()> {
    let end = Instant::now() + LOCK_TIMEOUT;
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

/// The reason not to open a database.
enum Refusal {
    Database(rusqlite::Error),
    Keys(Error),
}

impl Refusal {
    fn at(self, path: &Path) -> Error {
        match self {
            Self::Database(e) => unusable(path, &e),
            Self::Keys(e) => e,
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(e: rusqlite::Error) -> Self {
        Self::Database(e)
    }
}

/// The end of the transaction that prepares a database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Commit,
    Undo,
}

/// Runs the migrations that are missing, and `admit`, in one transaction. `before` is the schema as
/// it was read without a lock.
fn prepare<T>(
    db: &mut Connection,
    before: &Schema,
    migrations: &[&str],
    ending: Ending,
    admit: impl FnOnce(&Vault) -> Result<T, Error>,
) -> Result<T, Refusal> {
    configure(db)?;
    if before.version < migrations.len() && ending == Ending::Commit {
        use_write_ahead_log(db)?;
    }
    // Taken even if nothing is missing: the lock shows that the file can be written.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    migrate(&transaction, migrations)?;
    let admitted = admit(&keys::vault(&transaction)?).map_err(Refusal::Keys)?;
    match ending {
        Ending::Commit => transaction.commit()?,
        Ending::Undo => transaction.rollback()?,
    }
    Ok(admitted)
}

fn migrate(db: &Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    // Read again under the lock: another process may have migrated meanwhile.
    let done: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let newest = migrations.len();
    if done >= newest {
        return Ok(());
    }
    if done > 0 {
        tracing::info!(from = done, to = newest, "migrating the database");
    }
    migrations.iter().skip(done).try_for_each(|script| db.execute_batch(script))?;
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", newest)?;
    db.execute("UPDATE database SET compatible_version = ?1", [COMPATIBLE]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in a folder of its own.
    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x.db");
        (folder, path)
    }

    /// The number of tables and indices, and the versions.
    fn content(db: &Connection) -> (i64, usize, usize) {
        let Schema { version, compatible } = schema(db).unwrap().unwrap();
        let count = "SELECT count(*) FROM sqlite_schema";
        (db.query_row(count, [], |row| row.get(0)).unwrap(), version, compatible)
    }

    #[test]
    fn the_schema_is_not_made_if_the_keys_are_refused() {
        let (_folder, path) = file();
        let wrong = || Error::MasterKey("wrong".to_owned());
        let refused = open(&path, |_| Err::<(), _>(wrong())).err().unwrap();
        assert_eq!(refused.to_string(), "wrong");
        let db = Connection::open(&path).unwrap();
        assert_eq!(content(&db), (0, 0, 0));
        open(&path, |_| Ok(())).map(drop).unwrap();
        let (tables, version, compatible) = content(&db);
        assert_eq!((version, compatible), (MIGRATIONS.len(), COMPATIBLE));
        assert!(tables > 8, "{tables}");
    }

    #[test]
    fn a_migration_keeps_the_rows_and_one_that_fails_changes_nothing() {
        let (_folder, path) = file();
        open(&path, |_| Ok(())).map(drop).unwrap();
        let mut db = Connection::open(&path).unwrap();
        db.execute("INSERT INTO audit (at, event, subject) VALUES (1, 'kept', '')", []).unwrap();
        let before = content(&db);
        let mut migrate_with = |script: &'static str| {
            let migrations = [MIGRATIONS, &["CREATE TABLE one (id)", script]].concat();
            let had = schema(&db).unwrap().unwrap();
            let done = prepare(&mut db, &had, &migrations, Ending::Commit, |_| Ok(())).is_ok();
            (done, content(&db))
        };
        assert_eq!(migrate_with("CREATE TABLE broken ("), (false, before));
        let (done, after) = migrate_with("CREATE TABLE other (id)");
        assert!(done);
        assert_eq!(after, (before.0 + 2, MIGRATIONS.len() + 2, COMPATIBLE));
        let event = db.query_row("SELECT event FROM audit", [], |row| row.get(0));
        assert_eq!(event, Ok("kept".to_owned()));
        // The new schema says that this version can use it.
        drop(db);
        open(&path, |_| Ok(())).map(drop).unwrap();
    }

    #[test]
    fn a_database_that_another_process_is_making_is_waited_for() {
        for held in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE", "BEGIN; SELECT * FROM sqlite_schema"] {
            let (_folder, path) = file();
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
