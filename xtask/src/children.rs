//! Servers that run as long as xtask does, and no longer.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to end: longer than the issuer waits for open requests.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// The running servers. Dropping this stops them all and waits for them.
pub(crate) struct Children {
    running: Vec<(&'static str, Child)>,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

enum Event {
    Said(&'static str, String),
    Ended(&'static str),
    /// Ctrl-C, SIGTERM or SIGHUP.
    Stop,
}

impl Children {
    /// No servers yet; from here on Ctrl-C and its like stop the servers instead of xtask alone.
    pub(crate) fn new() -> Result<Self> {
        let (sender, events) = channel();
        let stop = sender.clone();
        ctrlc::set_handler(move || {
            // Nobody listens any more when xtask is about to end anyway.
            let _ = stop.send(Event::Stop);
        })
        .context("Ctrl-C can't be handled")?;
        Ok(Self { running: Vec::new(), sender, events })
    }

    /// Starts a server. What it writes to standard error is passed through.
    pub(crate) fn start(&mut self, name: &'static str, command: &mut Command) -> Result<()> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // In a group of its own it does not get the terminal's Ctrl-C besides the signal from here.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = command.spawn().with_context(|| format!("{name} did not start"))?;
        if let Some(output) = child.stdout.take() {
            let sender = self.sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(Event::Said(name, line));
                }
                let _ = sender.send(Event::Ended(name));
            });
        }
        self.running.push((name, child));
        Ok(())
    }

    /// Waits until `name` prints the line that says that it answers. False if the user wants to stop.
    pub(crate) fn wait_for(&mut self, name: &'static str, announcement: &str) -> Result<bool> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Said(who, line)) if who == name && line.starts_with(announcement) => {
                    return Ok(true);
                }
                Ok(Event::Said(who, line)) => println!("{who}: {line}"),
                Ok(Event::Ended(who)) => return Err(self.ended(who)),
                Ok(Event::Stop) => return Ok(false),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    bail!("{name} did not answer within {} s", START_LIMIT.as_secs());
                }
            }
        }
    }

    /// Waits until the user wants to stop; an error if a server ends before.
    pub(crate) fn wait(mut self) -> Result<()> {
        while let Ok(event) = self.events.recv() {
            match event {
                Event::Said(who, line) => println!("{who}: {line}"),
                Event::Ended(who) => return Err(self.ended(who)),
                Event::Stop => break,
            }
        }
        println!("\nstopping …");
        Ok(())
    }

    /// The error for a server that ended by itself, with its exit status if it has ended for good.
    fn ended(&mut self, name: &'static str) -> anyhow::Error {
        let child = self.running.iter_mut().find(|(who, _)| *who == name);
        match child.map(|(_, child)| child.wait()) {
            Some(Ok(status)) => anyhow!("{name} ended with {status}; its message is above"),
            _ => anyhow!("{name} ended; its message is above"),
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child) in self.running.iter_mut().rev() {
            if !matches!(child.try_wait(), Ok(Some(_))) {
                terminate(child);
            }
        }
        let deadline = Instant::now() + STOP_LIMIT;
        for (name, child) in &mut self.running {
            while matches!(child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    eprintln!("{name} did not end within {} s and is killed", STOP_LIMIT.as_secs());
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Asks a child to end.
#[cfg(unix)]
fn terminate(child: &mut Child) {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    // It may have ended in the meantime; it is not waited for yet, so its id is still its own.
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    let _ = child.kill();
}
