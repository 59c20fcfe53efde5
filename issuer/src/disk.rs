//! Disk space, and the age of backups, as the file system shows them.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::files;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Free for users other than root.
    pub(crate) free: u64,
    pub(crate) size: u64,
}

/// Returns the space of the file system with this file or folder.
///
/// # Errors
///
/// If there is no such file, or the file system does not answer in time.
pub(crate) fn space(path: &Path) -> io::Result<Space> {
    let path = path.to_owned();
    files::within_time(move || {
        let about = rustix::fs::statvfs(&path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
        Ok(Space { free: bytes(about.f_bavail), size: bytes(about.f_blocks) })
    })
}

/// Returns the time at which the newest backup in a folder was written, in UNIX seconds. Empty files,
/// and files whose names begin with a dot, are no backups. Folders in the folder are not looked into.
///
/// # Errors
///
/// If the folder cannot be read, has more than 10,000 entries, or does not come in time.
pub(crate) fn newest_backup(folder: &Path) -> io::Result<Option<u64>> {
    let folder = folder.to_owned();
    files::within_time(move || {
        let mut newest = None;
        for (index, entry) in fs::read_dir(&folder)?.enumerate() {
            if index == MAX_ENTRIES {
                return Err(io::Error::other(format!("it has more than {MAX_ENTRIES} entries")));
            }
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                newest = newest.max(time_of_backup(&entry.path()));
            }
        }
        Ok(newest)
    })
}

/// Returns `None` if the file is no backup, or was deleted meanwhile.
fn time_of_backup(path: &Path) -> Option<u64> {
    let about = path.metadata().ok().filter(|about| about.is_file() && about.len() > 0)?;
    let time = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_newest_whole_file_is_the_last_backup() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, content: &str, at: u64| {
            fs::write(path(name), content).unwrap();
            let file = fs::File::options().write(true).open(path(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(at)).unwrap();
        };
        assert_eq!(newest_backup(folder.path()).unwrap(), None);
        write("monday.db", "x", 1000);
        write("tuesday.db", "x", 2000);
        assert_eq!(newest_backup(folder.path()).unwrap(), Some(2000));
        // A backup that failed, and one that is being made.
        write("wednesday.db", "", 3000);
        write(".thursday.db", "x", 4000);
        fs::create_dir(path("friday")).unwrap();
        std::os::unix::fs::symlink("gone", path("saturday")).unwrap();
        assert_eq!(newest_backup(folder.path()).unwrap(), Some(2000));
        assert_eq!(newest_backup(&path("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_space_of_a_file_system_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let Space { free, size } = space(folder.path()).unwrap();
        assert!(free <= size && size > 0, "{free} {size}");
        assert!(space(&folder.path().join("gone")).is_err());
    }
}
