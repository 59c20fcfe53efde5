//! A proxy between an issuer and its PostgreSQL server that breaks connections at a COMMIT.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The effect of the proxy on a COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Pass,
    /// The COMMIT does not reach the server, and the connection ends.
    Cut,
    /// The server commits, and the connection ends before its answer.
    Lose,
}

/// A proxy between an issuer and its database.
#[derive(Default)]
pub(crate) struct LossyProxy {
    plan: Mutex<Plan>,
    /// Refuses all connections.
    closed: AtomicBool,
    broken: AtomicUsize,
}

/// The faults to come.
#[derive(Default)]
struct Plan {
    /// One for each of the next COMMITs.
    faults: VecDeque<Fault>,
    /// Only transactions with this text count.
    text: &'static str,
    /// Refuses all connections after a fault.
    closes: bool,
}

impl LossyProxy {
    /// Starts a proxy to the server in the URL. Returns it with the URL that leads through it.
    pub(crate) async fn start(url: &str) -> (Arc<Self>, String) {
        let proxy = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, through) = (port(url), listener.local_addr().unwrap().port());
        let shared = Arc::clone(&proxy);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if !shared.closed.load(Ordering::SeqCst) {
                    tokio::spawn(Arc::clone(&shared).pass(client, port));
                }
            }
        });
        (proxy, url.replace(&format!(":{port}/"), &format!(":{through}/")))
    }

    /// Loses the answer to the next COMMIT with 1, to the one after it with 2. Loses none with 0.
    pub(crate) fn lose(&self, which: usize) {
        let mut faults = vec![Fault::Pass; which];
        if let Some(last) = faults.last_mut() {
            *last = Fault::Lose;
        }
        self.break_at("", &faults);
    }

    /// Has these faults at the next COMMITs of transactions with that text.
    pub(crate) fn break_at(&self, text: &'static str, faults: &[Fault]) {
        let mut plan = self.plan();
        (plan.text, plan.faults) = (text, faults.iter().copied().collect());
    }

    /// Refuses all connections after each fault, until [`Self::open`].
    pub(crate) fn close_after_faults(&self, closes: bool) {
        self.plan().closes = closes;
    }

    /// Takes connections again.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Returns the number of connections that were broken.
    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }

    /// Returns true if no fault is to come.
    pub(crate) fn is_done(&self) -> bool {
        self.plan().faults.is_empty()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// Returns the effect on the next bytes for the server. `transaction` has all since its BEGIN.
    fn fault(&self, transaction: &mut Vec<u8>, asked: &[u8]) -> Fault {
        if contains(asked, b"BEGIN ISOLATION") {
            transaction.clear();
        }
        transaction.extend(asked);
        let mut plan = self.plan();
        if !contains(asked, b"COMMIT\0") || !contains(transaction, plan.text.as_bytes()) {
            return Fault::Pass;
        }
        let fault = plan.faults.pop_front().unwrap_or(Fault::Pass);
        if fault != Fault::Pass {
            self.closed.store(plan.closes, Ordering::SeqCst);
        }
        fault
    }

    async fn pass(self: Arc<Self>, mut client: TcpStream, port: u16) {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // Otherwise each small message waits 40 ms for an acknowledgement.
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let (mut asked, mut answered) = ([0; 8192], [0; 8192]);
        let mut transaction = Vec::new();
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Ok(length @ 1..) = read else { return };
                    let asked = &asked[..length];
                    let was_closed = self.closed.load(Ordering::SeqCst);
                    let fault = self.fault(&mut transaction, asked);
                    if fault != Fault::Cut {
                        server.write_all(asked).await.unwrap();
                    }
                    if was_closed {
                        return;
                    }
                    if fault == Fault::Lose {
                        // The answer shows that the transaction is on the disk.
                        assert!(server.read(&mut answered).await.unwrap() > 0);
                    }
                    if fault != Fault::Pass {
                        self.broken.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(length @ 1..) = read else { return };
                    if client.write_all(&answered[..length]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

/// Returns the port in a database URL.
fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap()
}
