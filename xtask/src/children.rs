//! Servers that run as long as xtask does, and no longer.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use xshell::Cmd;

/// The longest time from a server's start to its announcement.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The longest time that a server may take to end: longer than the issuer waits for open requests.
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
    /// Returns no servers yet. From now on, Ctrl-C and its like stop the servers too.
    pub(crate) fn new() -> Result<Self> {
        let (sender, events) = channel();
        let stop = sender.clone();
        ctrlc::set_handler(move || {
            // The receiver is gone when xtask is about to end anyway.
            let _ = stop.send(Event::Stop);
        })
        .context("Ctrl-C can't be handled")?;
        Ok(Self { running: Vec::new(), sender, events })
    }

    /// Starts a server. Its standard error is passed through.
    pub(crate) fn start(&mut self, name: &'static str, command: Cmd<'_>) -> Result<()> {
        let mut command: Command = command.into();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // In a group of its own it gets the signal from here, but not the terminal's Ctrl-C too.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
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

    /// Waits until `name` prints the line that announces its address. Returns false if the user
    /// wants to stop.
    pub(crate) fn wait_for(&mut self, name: &'static str, announcement: &str) -> Result<bool> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Said(who, line)) if who == name && line.starts_with(announcement) => {
                    return Ok(true);
                }
                Ok(event) if self.goes_on(&event)? => {}
                Ok(_) => return Ok(false),
                Err(_) => bail!("{name} did not answer within {} s", START_LIMIT.as_secs()),
            }
        }
    }

    /// Waits until the user wants to stop. Fails if a server ends before.
    pub(crate) fn wait(mut self) -> Result<()> {
        while let Ok(event) = self.events.recv() {
            if !self.goes_on(&event)? {
                break;
            }
        }
        println!("\nstopping …");
        Ok(())
    }

    /// Passes a server's line on. Returns false if the user wants to stop.
    fn goes_on(&mut self, event: &Event) -> Result<bool> {
        match event {
            Event::Said(who, line) => println!("{who}: {line}"),
            Event::Ended(who) => {
                let mut ended = self.running.iter_mut().filter(|(name, _)| name == who);
                let status = ended.find_map(|(_, child)| child.wait().ok()).unwrap_or_default();
                bail!("{who} ended with {status}; its message is above");
            }
            Event::Stop => return Ok(false),
        }
        Ok(true)
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

    // Even if it has ended meanwhile, its id is still its own until somebody waits for it.
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut Child) {
    let _ = child.kill();
}
