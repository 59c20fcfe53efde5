use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::process::setpriority_process;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::requests;

#[derive(Args)]
pub(crate) struct Options {
    /// What is asked for
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// Host and port; where there are more, the connections are spread over them
    #[arg(long, required = true, value_delimiter = ',')]
    pub(crate) address: Vec<String>,
    #[arg(long)]
    seconds: f64,
    /// How many connections there are, with one request at a time on each
    #[arg(long)]
    pub(crate) connections: usize,
    /// Requests in a second, whether the server keeps up or not; without it each connection asks
    /// again as soon as it has its answer
    #[arg(long)]
    rate: Option<f64>,
    /// What is between them
    #[arg(long, value_enum, default_value = "random")]
    gaps: Gaps,
    /// For `clients`: the value of the header `Authorization`
    #[arg(long, default_value = "")]
    pub(crate) authorization: String,
    /// For `clients`: the form
    #[arg(long, default_value = "grant_type=client_credentials")]
    pub(crate) form: String,
    /// For `logins` and `refreshes`
    #[arg(long, default_value = "")]
    pub(crate) username: String,
    #[arg(long, default_value = "")]
    pub(crate) password: String,
    /// For `logins`: the users of `fill`, instead
    #[arg(long)]
    pub(crate) users: Option<u64>,
    /// A file of refresh tokens, one a line: `logins` writes those that it got; `refreshes` uses
    /// them, instead of a login for each connection, and writes those that take their place
    #[arg(long)]
    pub(crate) tokens: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `GET /.well-known/jwks.json`
    Jwks,
    /// `POST /token` for clients
    Clients,
    /// `POST /token` with the refresh token of an earlier answer
    Refreshes,
    /// `POST /login`
    Logins,
}

#[derive(Clone, Copy, ValueEnum)]
enum Gaps {
    /// Always the same time
    Even,
    /// As from many who know nothing of each other: a Poisson process
    Random,
}

/// How long it goes on before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// Later than that with a request, though there was a connection for it, this program stood still,
/// and perhaps the whole machine.
const PAUSE: Duration = Duration::from_millis(1);

/// Nobody answers later than that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Loads the servers, from one thread: what is left of the machine is theirs.
pub(crate) fn measure(options: &Options) -> Result<Value> {
    let connections = requests::open(options)?;
    let begin = Instant::now() + WARM_UP;
    let mut load = Load {
        queue: epoll::create(CreateFlags::CLOEXEC)?,
        connections,
        begin,
        end: begin + Duration::from_secs_f64(options.seconds),
        latencies: Vec::new(),
        delays: Vec::new(),
        paused: Duration::ZERO,
    };
    match options.rate {
        Some(rate) => load.paced(rate, options.gaps)?,
        None => load.full()?,
    }
    if let Some(path) = &options.tokens {
        let tokens: Vec<_> = load.connections.iter().flat_map(Connection::tokens).collect();
        fs::write(path, tokens.join("\n"))?;
    }
    let Load { mut latencies, mut delays, paused, .. } = load;
    ensure!(!latencies.is_empty(), "no request was answered");
    Ok(json!({
        "requests": latencies.len(),
        "per_second": latencies.len() as f64 / options.seconds,
        "microseconds": percentiles(&mut latencies),
        "late": percentiles(&mut delays),
        "paused": paused.as_micros(),
    }))
}

struct Load {
    queue: OwnedFd,
    connections: Vec<Connection>,
    begin: Instant,
    end: Instant,
    /// How long each answer took that came after the beginning: from when it was to be asked for,
    /// so that a server that is late pays for all who wait.
    latencies: Vec<Duration>,
    /// How much later than that it was asked for.
    delays: Vec<Duration>,
    /// For how long the load itself stood still.
    paused: Duration,
}

/// What the timer's events are marked with, instead of the number of a connection.
const TIMER: u64 = u64::MAX;

impl Load {
    /// Each connection asks again as soon as it has its answer.
    fn full(&mut self) -> Result<()> {
        self.watch()?;
        for connection in &mut self.connections {
            connection.send(Instant::now())?;
        }
        let mut busy = self.connections.len();
        while busy > 0 {
            for number in self.wait()? {
                if !self.receive(number)? {
                    continue;
                }
                let now = Instant::now();
                if now >= self.end {
                    busy -= 1;
                } else if let Some(connection) = self.connections.get_mut(number) {
                    connection.send(now)?;
                }
            }
        }
        Ok(())
    }

    /// Requests are sent when they are due, on any connection that is free; while none is, they wait,
    /// and the server pays for that. It does not pay for pauses of the load: after one, requests are
    /// as far apart as ever, where they would else come all at once, which clients elsewhere do not.
    fn paced(&mut self, rate: f64, gaps: Gaps) -> Result<()> {
        // Clients on other machines wait for no core of this one. Where that is not allowed, this
        // waits, and says how late it was.
        let _ = setpriority_process(None, -20);
        self.watch()?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // It is not read: only that it goes off counts.
        let once = EventFlags::IN | EventFlags::ET;
        epoll::add(&self.queue, &timer, EventData::new_u64(TIMER), once)?;
        let mut free: Vec<_> = (0..self.connections.len()).collect();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut due = Instant::now();
        // Whether requests wait for connections, which is the server's doing.
        let mut lacking = false;
        loop {
            if !lacking && due < self.end {
                self.put_off(&mut due);
            }
            while let Some(&number) = free.last()
                && due < self.end
                && due <= Instant::now()
            {
                free.pop();
                if due >= self.begin {
                    self.delays.push(due.elapsed());
                }
                if let Some(connection) = self.connections.get_mut(number) {
                    connection.send(due)?;
                }
                due += Duration::from_secs_f64(match gaps {
                    Gaps::Even => 1.0 / rate,
                    Gaps::Random => -random.next().ln() / rate,
                });
            }
            if due >= self.end && free.len() == self.connections.len() {
                return Ok(());
            }
            lacking = free.is_empty();
            if due < self.end && !lacking {
                set(&timer, due)?;
            }
            for number in self.wait()? {
                if self.receive(number)? {
                    free.push(number);
                }
            }
        }
    }

    /// Puts off what is due, and all after it, by the time that the load stood still, if it did.
    fn put_off(&mut self, due: &mut Instant) {
        let late = due.elapsed();
        if late <= PAUSE {
            return;
        }
        if *due < self.begin {
            self.begin += late;
        } else {
            self.paused += late;
        }
        self.end += late;
        *due += late;
    }

    fn watch(&self) -> Result<()> {
        for (number, connection) in (0..).zip(&self.connections) {
            connection.stream.set_nonblocking(true)?;
            epoll::add(
                &self.queue,
                &connection.stream,
                EventData::new_u64(number),
                EventFlags::IN,
            )?;
        }
        Ok(())
    }

    /// Waits for something to come, and answers the connections on which it did.
    fn wait(&self) -> Result<Vec<usize>> {
        let mut events = Vec::with_capacity(64);
        let patience = Timespec { tv_sec: PATIENCE.as_secs().try_into()?, tv_nsec: 0 };
        epoll::wait(&self.queue, spare_capacity(&mut events), Some(&patience))?;
        ensure!(!events.is_empty(), "the server has not answered for {} s", PATIENCE.as_secs());
        let numbers = events.iter().map(|event| event.data.u64());
        Ok(numbers.filter(|number| *number != TIMER).map(|number| number as usize).collect())
    }

    /// Answers whether the connection has its whole answer.
    fn receive(&mut self, number: usize) -> Result<bool> {
        let connection = self.connections.get_mut(number).context("no such connection")?;
        if connection.receive()?.is_none() {
            return Ok(false);
        }
        if let Some(due) = connection.due.take()
            && due >= self.begin
        {
            self.latencies.push(due.elapsed());
        }
        Ok(true)
    }
}

/// Lets the timer go off at `due`, or at once. It is exact to some microseconds, where what waits
/// for a number of milliseconds would add to each latency what it is late by.
fn set(timer: &OwnedFd, due: Instant) -> Result<()> {
    // Zero would stop it.
    let left = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let left = Timespec { tv_sec: left.as_secs().try_into()?, tv_nsec: left.subsec_nanos().into() };
    let once = Itimerspec { it_interval: zero, it_value: left };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

/// The same numbers in each run: xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    /// A number between 0 and 1, without these.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

fn percentiles(all: &mut [Duration]) -> Value {
    all.sort_unstable();
    let at = |share: f64| {
        let index = (all.len() as f64 * share) as usize;
        all.get(index).or_else(|| all.last()).map(Duration::as_micros)
    };
    json!({ "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999) })
}
