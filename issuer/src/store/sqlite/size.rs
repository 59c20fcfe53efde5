use rusqlite::Connection;

use crate::store::Size;

/// The most sessions that are counted. The index by expiry is enough for that: a million take some
/// 30 ms.
const MOST: u32 = 10_000_000;

pub(super) fn read(db: &Connection, now: u64) -> rusqlite::Result<Size> {
    let size = "SELECT page_count * page_size,
                       (SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires_at > ?1 LIMIT ?2))
                FROM pragma_page_count(), pragma_page_size()";
    db.prepare_cached(size)?
        .query_row((now, MOST), |row| Ok(Size { bytes: row.get(0)?, sessions: row.get(1)? }))
}
