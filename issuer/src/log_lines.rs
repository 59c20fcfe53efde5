//! The lines of the log on their way to stderr: a bounded buffer, and a thread that writes it. If
//! nobody reads stderr, only that thread waits.
//!
//! After each write the thread sleeps for a moment, while lines gather. Waking it for each line would
//! cost more than the line.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most bytes that wait: some thousand lines.
const MAX_BYTES: usize = 1024 * 1024;

/// The time in which lines gather after a write. A process that is killed loses its lines of that time.
const GATHERING: Duration = Duration::from_millis(5);

/// The lines of this process that were not written.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Returns the number of lines that were not written: they did not fit into the buffer, or stderr
/// failed.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The way to stderr. Clones share the buffer. Each call of `write` is one line and never waits.
#[derive(Clone)]
pub(crate) struct LogLines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Buffer {
    waiting: Vec<u8>,
    /// The thread waits for the next line.
    is_idle: bool,
    is_writing: bool,
}

impl LogLines {
    /// Starts the thread.
    pub(crate) fn to_stderr() -> io::Result<Self> {
        Self::to(io::stderr())
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self(Arc::default());
        let written = lines.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || written.write_to(out))?;
        Ok(lines)
    }

    /// Waits until every line is written, but not longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let is_busy = |buffer: &mut Buffer| buffer.is_writing || !buffer.waiting.is_empty();
        drop(self.0.written.wait_timeout_while(self.buffer(), limit, is_busy));
    }

    /// Writes for as long as the process lives.
    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            self.take(&mut lines);
            if out.write_all(&lines).is_err() {
                let count = lines.iter().filter(|byte| **byte == b'\n').count();
                LOST.fetch_add(count as u64, Ordering::Relaxed);
            }
            lines.clear();
            self.buffer().is_writing = false;
            self.0.written.notify_all();
            thread::sleep(GATHERING);
        }
    }

    /// Waits for lines, and takes all of them.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut buffer = self.buffer();
        while buffer.waiting.is_empty() {
            buffer.is_idle = true;
            buffer = self.0.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut buffer.waiting, lines);
        buffer.is_writing = true;
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.0.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut buffer = self.buffer();
        if buffer.waiting.len() + line.len() > MAX_BYTES {
            LOST.fetch_add(1, Ordering::Relaxed);
        } else {
            buffer.waiting.extend_from_slice(line);
            if std::mem::take(&mut buffer.is_idle) {
                self.0.filled.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Takes each write only when the test receives it.
    struct Slow(mpsc::SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            self.0.send(lines.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_wait_in_their_order_and_those_that_do_not_fit_are_counted() {
        let (sender, written) = mpsc::sync_channel(0);
        let mut lines = LogLines::to(Slow(sender)).unwrap();
        lines.write_all(b"first\n").unwrap();
        while !lines.buffer().is_writing {
            thread::yield_now();
        }
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..MAX_BYTES / line.len() {
            lines.write_all(&line).unwrap();
        }
        assert_eq!(lost(), 0);
        lines.write_all(b"one\n").unwrap();
        lines.write_all(b"another\n").unwrap();
        assert_eq!(lost(), 2);
        lines.flush(Duration::ZERO);

        assert_eq!(written.recv().unwrap(), b"first\n");
        let rest = written.recv().unwrap();
        assert!(rest.starts_with(&line) && rest.len() == MAX_BYTES);
        lines.flush(LONG);
        // Now there is room again, but nobody to write to.
        drop(written);
        lines.write_all(b"one\nand another\n").unwrap();
        lines.flush(LONG);
        assert_eq!(lost(), 4);
    }
}
