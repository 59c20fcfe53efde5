//! Disk space, and the age of backups, as the file system shows them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    ask(path, |path| {
        let about = rustix::fs::statvfs(path)?;
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
    ask(folder, |folder| {
        let mut newest = None;
        for (index, entry) in fs::read_dir(folder)?.enumerate() {
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

/// Runs `job` with `path`. Fails at once while the file system has not answered an earlier job with it:
/// each of them holds a thread, and others are needed to read the certificate.
fn ask<T: Send + 'static>(
    path: &Path,
    job: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let asked = Asked::begin(path)?;
    files::within_time(move || job(&asked.0))
}

/// A path whose file system has not answered yet.
struct Asked(PathBuf);

static ASKED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

impl Asked {
    fn begin(path: &Path) -> io::Result<Self> {
        if Self::all().insert(path.to_owned()) {
            Ok(Self(path.to_owned()))
        } else {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the file system does not answer"))
        }
    }

    fn all() -> MutexGuard<'static, BTreeSet<PathBuf>> {
        ASKED.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        Self::all().remove(&self.0);
    }
}

/// Returns `None` if the file is no backup, or was deleted meanwhile.
fn time_of_backup(path: &Path) -> Option<u64> {
    let about = path.metadata().ok().filter(|about| about.is_file() && about.len() > 0)?;
    let time = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
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

    #[test]
    fn a_disk_that_does_not_answer_holds_one_thread() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().to_owned();
        let (answer, answered) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let asking = thread::spawn(move || {
            ask(&path, move |_| {
                begin.send(()).unwrap();
                Ok(answered.recv().is_err())
            })
        });
        begun.recv().unwrap();
        let refused = newest_backup(folder.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(answer);
        assert!(asking.join().unwrap().unwrap());
        assert_eq!(newest_backup(folder.path()).unwrap(), None);
    }
}
