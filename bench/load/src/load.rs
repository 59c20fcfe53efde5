//! The load: requests from one thread, at full speed or at a given rate, and their latencies.

use std::os::fd::OwnedFd;
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
use crate::requests::{self, Requests};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    requests: Requests,
    #[arg(long)]
    seconds: f64,
    /// Requests per second, even if the server does not keep up; without it each connection asks
    /// again as soon as it has its answer
    #[arg(long)]
    rate: Option<f64>,
    /// The distances between requests
    #[arg(long, value_enum, default_value = "random")]
    gaps: Gaps,
}

#[derive(Clone, Copy, ValueEnum)]
enum Gaps {
    /// Always the same time
    Even,
    /// A Poisson process, as from many independent clients
    Random,
}

/// Answers before this are not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// A request that is sent later than this although a connection is free: this program stood still,
/// and perhaps the whole machine.
const PAUSE: Duration = Duration::from_millis(1);

/// The longest time without any answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Loads the servers from one thread, which leaves them the rest of the machine.
pub(crate) fn measure(options: &Options) -> Result<Value> {
    let connections = requests::open(&options.requests)?;
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
    requests::save_tokens(&options.requests, &load.connections)?;
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
    /// Of each counted answer, the time since its request was due. A late server therefore pays for
    /// every request that waits.
    latencies: Vec<Duration>,
    /// Of each counted request, the time from due to sent.
    delays: Vec<Duration>,
    /// The time for which the load itself stood still.
    paused: Duration,
}

/// Marks the timer's events, in place of the number of a connection.
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

    /// Sends requests when they are due, on any free connection. Without a free one they wait, and
    /// the server pays for the delay. It does not pay for pauses of the load: after a pause, requests
    /// keep their distances. Clients on other machines would not send them all at once either.
    fn paced(&mut self, rate: f64, gaps: Gaps) -> Result<()> {
        // Clients on other machines need no core of this one. Without the permission, this program
        // waits for a core, and the result says how late it was.
        let _ = setpriority_process(None, -20);
        self.watch()?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // Edge-triggered, because nobody reads the timer.
        let once = EventFlags::IN | EventFlags::ET;
        epoll::add(&self.queue, &timer, EventData::new_u64(TIMER), once)?;
        let mut free: Vec<_> = (0..self.connections.len()).collect();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut due = Instant::now();
        // True while requests wait for a connection: then the server is late.
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

    /// If the load stood still, delays this and all later requests by the length of the pause.
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

    /// Waits for data, and returns the numbers of the connections that have some.
    fn wait(&self) -> Result<Vec<usize>> {
        let mut events = Vec::with_capacity(64);
        let patience = Timespec { tv_sec: PATIENCE.as_secs().try_into()?, tv_nsec: 0 };
        epoll::wait(&self.queue, spare_capacity(&mut events), Some(&patience))?;
        ensure!(!events.is_empty(), "the server has not answered for {} s", PATIENCE.as_secs());
        let numbers = events.iter().map(|event| event.data.u64());
        Ok(numbers.filter(|number| *number != TIMER).map(|number| number as usize).collect())
    }

    /// Returns true if the connection has its whole answer.
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

/// Sets the timer to `due`, or to now if that is past. It is exact to some microseconds. A wait in
/// whole milliseconds would add its error to each latency.
fn set(timer: &OwnedFd, due: Instant) -> Result<()> {
    // Zero would stop it.
    let left = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let left = Timespec { tv_sec: left.as_secs().try_into()?, tv_nsec: left.subsec_nanos().into() };
    let once = Itimerspec { it_interval: zero, it_value: left };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

/// xorshift64 (Marsaglia 2003): the same numbers in each run.
struct Random(u64);

impl Random {
    /// Returns a number between 0 and 1, exclusive.
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
