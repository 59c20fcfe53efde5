//! A TCP proxy that can do to a connection everything that a network can do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How the proxy treats its connections from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Closes all connections, and new ones at once.
    Cut,
    /// Keeps connections open and forwards nothing. Closes them afterwards.
    Blackhole,
    /// Forwards nothing for now, and everything afterwards.
    Stall,
    /// Forwards each piece of data after this time.
    Delay(Duration),
    /// Forwards requests. Closes the connection instead of an answer.
    SwallowAnswers,
    /// Closes the connection instead of every second COMMIT.
    CutBeforeCommit,
    /// Forwards every second COMMIT. Closes the connection instead of the answer.
    CutAfterCommit,
    /// Forwards every second COMMIT. Never forwards an answer on that connection again.
    SwallowCommitAnswer,
}

/// The protocol that the proxy forwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Any. No COMMIT is noticed.
    Bytes,
    /// PostgreSQL's, without TLS.
    Postgres,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    protocol: Protocol,
    target: AtomicU16,
    mode: watch::Sender<Mode>,
    /// Chooses every second COMMIT.
    chosen: AtomicBool,
}

impl Proxy {
    /// Starts a proxy to a port of this machine.
    pub(crate) fn start(runtime: &Handle, protocol: Protocol, target: u16) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            protocol,
            target: AtomicU16::new(target),
            mode: watch::Sender::new(Mode::Pass),
            chosen: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&accepting).connection(client));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Leads new connections to another port.
    pub(crate) fn lead_to(&self, target: u16) {
        self.shared.target.store(target, Ordering::SeqCst);
    }
}

impl Shared {
    async fn connection(self: Arc<Self>, client: TcpStream) {
        let mut mode = self.mode.subscribe();
        let pass = async {
            self.gate().await?;
            let target = self.target.load(Ordering::SeqCst);
            let server = TcpStream::connect(("127.0.0.1", target)).await?;
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let answer = watch::Sender::new(Answers::Forward);
            tokio::select! {
                done = self.requests(from_client, to_server, &answer) => done,
                done = self.answers(from_server, to_client, &answer) => done,
            }
        };
        tokio::select! {
            // An error is the end of the connection, as intended.
            _ = pass => {}
            _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
        }
    }

    async fn requests(
        &self,
        mut client: OwnedReadHalf,
        mut server: OwnedWriteHalf,
        answers: &watch::Sender<Answers>,
    ) -> io::Result<()> {
        let mut reader = Reader { protocol: self.protocol, is_started: false };
        loop {
            let request = reader.read(&mut client).await?;
            self.gate().await?;
            let mode = *self.mode.borrow();
            if mode == Mode::SwallowAnswers {
                answers.send_replace(Answers::Close);
            }
            let is_commit = self.protocol == Protocol::Postgres && is_commit(&request);
            if is_commit && self.chosen.fetch_not(Ordering::SeqCst) {
                match mode {
                    Mode::CutBeforeCommit => return Ok(()),
                    Mode::CutAfterCommit => drop(answers.send_replace(Answers::Close)),
                    Mode::SwallowCommitAnswer => drop(answers.send_replace(Answers::Drop)),
                    _ => {}
                }
            }
            server.write_all(&request).await?;
        }
    }

    async fn answers(
        &self,
        mut server: OwnedReadHalf,
        mut client: OwnedWriteHalf,
        answers: &watch::Sender<Answers>,
    ) -> io::Result<()> {
        let mut answer = vec![0; 16 * 1024];
        loop {
            let length = server.read(&mut answer).await?;
            if length == 0 {
                return Ok(());
            }
            self.gate().await?;
            let state = *answers.borrow();
            match state {
                Answers::Forward => client.write_all(&answer[..length]).await?,
                Answers::Close => return Ok(()),
                Answers::Drop => {}
            }
        }
    }

    /// Waits as long as the mode lets nothing pass.
    async fn gate(&self) -> io::Result<()> {
        let mut mode = self.mode.subscribe();
        let now = *mode.borrow();
        match now {
            Mode::Delay(delay) => tokio::time::sleep(delay).await,
            Mode::Stall | Mode::Blackhole => {
                let _ = mode.wait_for(|mode| *mode != now).await;
                if now == Mode::Blackhole {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// What happens to the answers of a connection.
#[derive(Clone, Copy)]
enum Answers {
    Forward,
    Drop,
    Close,
}

/// Reads whole messages of PostgreSQL's protocol, so that no COMMIT is in two pieces.
struct Reader {
    protocol: Protocol,
    /// The first messages, up to the start of the session, have no type.
    is_started: bool,
}

impl Reader {
    /// The largest message that the proxy takes.
    const MAX: usize = 1 << 20;

    async fn read(&mut self, client: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
        if self.protocol == Protocol::Bytes {
            let mut bytes = vec![0; 16 * 1024];
            let length = client.read(&mut bytes).await?;
            bytes.truncate(length);
            return if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) };
        }
        let kind = usize::from(self.is_started);
        let mut message = vec![0; kind + 4];
        client.read_exact(&mut message).await?;
        let length = u32::from_be_bytes(message[kind..].try_into().unwrap()) as usize;
        if !(4..Self::MAX).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        message.resize(kind + length, 0);
        client.read_exact(&mut message[kind + 4..]).await?;
        // A start has the version 3.x. Requests for encryption before it have other numbers.
        self.is_started |= message.get(4..6) == Some(&[0, 3]);
        Ok(message)
    }
}

fn is_commit(message: &[u8]) -> bool {
    message.first() == Some(&b'Q') && message.windows(7).any(|word| word == b"COMMIT\0")
}
