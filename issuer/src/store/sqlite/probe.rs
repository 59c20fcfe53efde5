//! The probe of readiness: the writes of a login, undone.

use rusqlite::Connection;

/// Writes the pages that a login writes. They are written although the rows are deleted again.
pub(super) fn write(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "INSERT INTO login_failures (counter, failures, blocked_until, last_at, attempt)
           VALUES (x'', 0, 0, 0, x'');
         INSERT INTO sessions (id, user_id, client_id, scope, counter, created_at, rotated_at,
                               expires_at, revoked)
           SELECT x'', id, '', '', 0, 0, 0, 0, 0 FROM users LIMIT 1;
         INSERT INTO audit (at, event, subject) VALUES (0, '', '');
         DELETE FROM audit WHERE id = last_insert_rowid();
         DELETE FROM sessions WHERE id = x'';
         DELETE FROM login_failures WHERE counter = x''",
    )
}
