//! The servers, the issuers and their clients, and the events that happen to them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::cluster::is_skipped;
use crate::commands::Administrator;
use crate::common::{PASSWORD, command, stderr, stdout};
use crate::driver::{Session, TIME_OF_A_REQUEST, Worker};
use crate::events::{self, Event};
use crate::issuers::Issuer;
use crate::ledger::{Fault, Ledger, say};
use crate::pair::Pair;
use crate::proxy::Mode;

/// The number of clients that are at work all the time.
const WORKERS: usize = 24;

/// The number of users that these share.
const USERS: usize = 6;

/// The number of things that each client does between two events.
const CALM: u64 = 4;

/// After each event, all clients go on within this time, also on a busy machine.
const TIME_TO_RECOVER: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) pair: Pair,
    pub(crate) issuers: [Issuer; 2],
    pub(crate) rng: fastrand::Rng,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) client: Client,
    pub(crate) introspector: (String, String),
    workers: Vec<JoinHandle<Vec<Session>>>,
    administrator: Option<JoinHandle<()>>,
    /// The number of things that each worker has done.
    done: Vec<Arc<AtomicU64>>,
    pub(crate) runtime: Runtime,
}

impl World {
    /// Starts everything. If the servers are not synchronous, a failover forgets.
    pub(crate) fn start(seed: u64, is_synchronous: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let pair = Pair::start(runtime.handle(), is_synchronous);
        let mut issuers = [0, 1].map(|_| Issuer::new(runtime.handle(), &pair));
        let mut rng = fastrand::Rng::with_seed(seed);
        let folder = issuers[0].folder();
        let run = |arguments: &[&str], input| {
            let done = command(&folder, arguments, input);
            assert!(done.status.success(), "{}", stderr(&done));
            stdout(&done)
        };
        for number in 0..USERS {
            run(&["user", "add", &user_name(number)], PASSWORD);
        }
        let introspector = run(&["client", "add", "introspector", "--json"], "");
        let introspector: serde_json::Value = serde_json::from_str(&introspector).unwrap();
        let introspector = ["client_id", "client_secret"]
            .map(|name| introspector[name].as_str().unwrap().to_owned());
        for issuer in &mut issuers {
            issuer.start();
        }
        let client = Client::new([issuers[0].url(), issuers[1].url()], rng.fork());
        Self {
            pair,
            issuers,
            rng,
            ledger: Arc::default(),
            client,
            introspector: introspector.into(),
            workers: Vec::new(),
            administrator: None,
            done: (0..WORKERS).map(|_| Arc::default()).collect(),
            runtime,
        }
    }

    /// Lets the clients begin.
    pub(crate) fn begin(&mut self) {
        let _runtime = self.runtime.enter();
        for (number, done) in self.done.iter().enumerate() {
            let worker = Worker::new(
                self.client.fork(),
                Arc::clone(&self.ledger),
                user_name(number % USERS),
                self.introspector.clone(),
                Arc::clone(done),
                self.rng.fork(),
            );
            self.workers.push(tokio::spawn(worker.run()));
        }
        let folders = [self.issuers[0].folder(), self.issuers[1].folder()];
        let (client, ledger) = (self.client.fork(), Arc::clone(&self.ledger));
        let administrator = Administrator::new(client, ledger, self.rng.fork(), folders);
        self.administrator = Some(tokio::spawn(administrator.run()));
    }

    /// Lets events happen in an order that the seed decides, each of them before one is repeated.
    /// Prints a line for each, and a table at the end.
    pub(crate) fn run_events(&mut self, time: Duration) {
        let mut all: Vec<Event> = events::ALL.to_vec();
        if !is_skipped("faketime") {
            all.push(events::CLOCKS);
        }
        if let Ok(part) = std::env::var("COUNTERSIGN_CHAOS_EVENTS") {
            all.retain(|(name, _)| name.contains(&part));
            assert!(!all.is_empty(), "no event's name contains COUNTERSIGN_CHAOS_EVENTS={part}");
        }
        let mut table = BTreeMap::<_, (u32, Duration)>::new();
        let started = Instant::now();
        let mut order = Vec::new();
        while started.elapsed() < time {
            let (name, happen) = order.pop().unwrap_or_else(|| {
                self.rng.shuffle(&mut all);
                order.clone_from(&all);
                order.pop().unwrap()
            });
            let began = Instant::now();
            self.event(name, happen);
            let (count, sum) = table.entry(name).or_default();
            *count += 1;
            *sum += began.elapsed();
            say(&format!("{:4} s, {name}: {}", started.elapsed().as_secs(), self.ledger));
        }
        for (name, (count, sum)) in table {
            say(&format!("{name:45} {count:3} times {:5} s", sum.as_secs()));
        }
    }

    /// Lets one event happen, and waits until all clients go on.
    pub(crate) fn event(&mut self, name: &str, happen: fn(&mut Self)) {
        self.ledger.begin_event(name);
        happen(self);
        let before: Vec<_> = self.done.iter().map(|done| done.load(Ordering::Relaxed)).collect();
        let healed = Instant::now();
        let goes_on =
            |(done, before): (&Arc<AtomicU64>, &u64)| done.load(Ordering::Relaxed) >= before + CALM;
        while !self.done.iter().zip(&before).all(goes_on) {
            if healed.elapsed() > TIME_TO_RECOVER {
                self.ledger.fault(Fault::Stuck, "a client gets no answers any more");
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the clients. Returns the sessions that live.
    pub(crate) fn end(&mut self) -> Vec<Session> {
        self.ledger.stop();
        let mut sessions = Vec::new();
        for worker in self.workers.drain(..) {
            sessions.extend(self.runtime.block_on(worker).unwrap());
        }
        self.runtime.block_on(self.administrator.take().unwrap()).unwrap();
        std::thread::sleep(TIME_OF_A_REQUEST);
        sessions
    }

    /// Waits for a random number of milliseconds.
    pub(crate) fn wait(&mut self, milliseconds: Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(milliseconds)));
    }

    /// Changes the connections of one issuer or of both to the database for a while.
    pub(crate) fn at_the_database(&mut self, mode: Mode, milliseconds: Range<u64>) {
        let chosen = self.rng.usize(..3);
        let changed = |which: &usize| chosen == 2 || chosen == *which;
        for issuer in [0, 1].into_iter().filter(changed) {
            self.issuers[issuer].back.iter().for_each(|proxy| proxy.set(mode));
        }
        self.wait(milliseconds);
        for issuer in &self.issuers {
            issuer.back.iter().for_each(|proxy| proxy.set(Mode::Pass));
        }
    }
}

fn user_name(number: usize) -> String {
    format!("constant-{number}")
}
