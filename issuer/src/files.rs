//! Files that an operator names: configuration, certificates and keys. Only a regular file of limited
//! size is read, and for a limited time: nothing that is at the path can stop the issuer.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::crypto::random_id;

/// The longest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The longest wait for a file. A file on a network may never come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most files that are read at the same time. Each file that never comes holds a thread.
const MAX_THREADS: usize = 16;

/// Reads a file of text.
///
/// # Errors
///
/// Those of [`read`]; also if the content is not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let content = read(path)?;
    let text = str::from_utf8(&content).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads a file.
///
/// # Errors
///
/// If the file cannot be read, is not a regular one, is longer than 1 MiB, or does not come in time.
pub(crate) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let path = path.to_owned();
    within_time(move || read_regular(&path))
}

/// Runs `job`, which asks the file system, in another thread, and waits for it for 5 s.
///
/// # Errors
///
/// Those of `job`; also if it does not end in time.
pub(crate) fn within_time<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    within(TIMEOUT, job)
}

/// Returns a warning if users other than the owner and the group may read or write a secret file.
pub(crate) fn warning_of_others(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = path.metadata().ok()?.permissions().mode();
    let shown = path.display();
    (mode & 0o006 != 0)
        .then(|| format!("others on this machine may read or write {shown}; chmod o-rwx {shown}"))
}

/// Checks that a file can be made at `path`: makes another one in its folder and removes it.
///
/// # Errors
///
/// If there is no such folder, or it cannot be written.
pub(crate) fn check_folder_of(path: &Path) -> io::Result<()> {
    let draft_id = random_id().map_err(io::Error::other)?;
    let draft = path.with_file_name(format!("countersign-check.{draft_id}"));
    File::create_new(&draft)?;
    std::fs::remove_file(draft)
}

fn read_regular(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Before it is opened too: to open a FIFO is to wait for its writer.
    check(&path.metadata()?)?;
    let file = File::open(path)?;
    let about = file.metadata()?;
    check(&about)?;
    // Allocated at once: a buffer that grows leaves copies of a key in memory.
    let mut content = Zeroizing::new(Vec::with_capacity(about.len() as usize + 1));
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES { Err(too_long()) } else { Ok(content) }
}

fn check(about: &Metadata) -> io::Result<()> {
    if !about.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if about.len() > MAX_BYTES { Err(too_long()) } else { Ok(()) }
}

fn too_long() -> io::Error {
    io::Error::other(format!("it is longer than {MAX_BYTES} bytes"))
}

/// Runs `job` in another thread and waits for it until the time is over. The thread goes on.
fn within<T: Send + 'static>(
    limit: Duration,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let late = || io::Error::new(ErrorKind::TimedOut, "the file does not come in time");
    let running = Running::begin().ok_or_else(late)?;
    let (sender, result) = mpsc::channel();
    thread::Builder::new().name("file".to_owned()).spawn(move || {
        let result = job();
        drop(running);
        // Sending fails if the time is over.
        let _ = sender.send(result);
    })?;
    result.recv_timeout(limit).unwrap_or_else(|_| Err(late()))
}

/// One of the threads that read files.
struct Running;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

impl Running {
    fn begin() -> Option<Self> {
        let more = |count| (count < MAX_THREADS).then_some(count + 1);
        RUNNING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_limited_size_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let size = usize::try_from(MAX_BYTES).unwrap();
        std::fs::write(path("text"), "é").unwrap();
        std::fs::write(path("longest"), vec![0xff; size]).unwrap();
        std::fs::write(path("too long"), vec![0; size + 1]).unwrap();
        std::os::unix::fs::symlink("text", path("link")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
        assert!(made.success());

        assert_eq!(read_text(&path("link")).unwrap().as_str(), "é");
        assert_eq!(read(&path("longest")).unwrap().len(), size);
        for (path, expected) in [
            (path("longest"), "not UTF-8"),
            (path("too long"), "longer than 1048576 bytes"),
            (path("fifo"), "not a regular file"),
            (path("."), "not a regular file"),
            ("/dev/zero".into(), "not a regular file"),
            (path("missing"), "No such file"),
        ] {
            let refused = read_text(&path).unwrap_err().to_string();
            assert!(refused.contains(expected), "{}: {refused}", path.display());
        }
    }

    #[test]
    fn a_file_that_does_not_come_is_not_waited_for() {
        let (sender, end) = mpsc::channel::<()>();
        let late = within(Duration::ZERO, move || Ok(end.recv().is_ok()));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(sender);
    }
}
