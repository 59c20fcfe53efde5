use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// The time that a program has to close the file.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns true if another connection to the file is open. With a write-ahead log, exclusive use is
/// possible only without one.
pub(super) fn is_in_use(path: &Path) -> rusqlite::Result<bool> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(TIMEOUT)?;
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    match db.execute_batch("BEGIN EXCLUSIVE; ROLLBACK") {
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(true),
        done => done.map(|()| false),
    }
}
