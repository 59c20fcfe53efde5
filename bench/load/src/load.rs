use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

#[derive(Args)]
pub(crate) struct Options {
    /// What is asked for
    #[arg(value_enum)]
    kind: Kind,
    /// Host and port
    #[arg(long)]
    address: String,
    #[arg(long)]
    seconds: f64,
    /// How many connections there are, with one request at a time on each
    #[arg(long)]
    connections: u32,
    /// Requests in a second, at even distances, whether the server keeps up or not; without it each
    /// connection asks again as soon as it has its answer
    #[arg(long)]
    rate: Option<f64>,
    /// For `clients`: the value of the header `Authorization`
    #[arg(long, default_value = "")]
    authorization: String,
    /// For `logins` and `refreshes`
    #[arg(long, default_value = "")]
    username: String,
    #[arg(long, default_value = "")]
    password: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// `GET /.well-known/jwks.json`
    Jwks,
    /// `POST /token` for clients
    Clients,
    /// `POST /token` with the refresh token of the last answer
    Refreshes,
    /// `POST /login`
    Logins,
}

/// How long it goes on before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// Loads the server, from one thread: what is left of the machine is the server's.
pub(crate) fn measure(options: &Options) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let mut sessions = Vec::new();
        for _ in 0..options.connections {
            sessions.push(Session::open(options).await?);
        }
        let begin = Instant::now() + WARM_UP;
        let end = begin + Duration::from_secs_f64(options.seconds);
        let running: Vec<_> = (0..)
            .zip(sessions)
            .map(|(number, session)| {
                let pace = options.rate.map(|rate| Pace {
                    next: begin - WARM_UP + Duration::from_secs_f64(f64::from(number) / rate),
                    step: Duration::from_secs_f64(f64::from(options.connections) / rate),
                });
                tokio::task::spawn_local(session.run(pace, begin, end))
            })
            .collect();
        let mut latencies = Vec::new();
        for session in running {
            latencies.extend(session.await??);
        }
        ensure!(!latencies.is_empty(), "no request was answered");
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies.get(index).or_else(|| latencies.last()).map(Duration::as_micros)
        };
        Ok(json!({
            "requests": latencies.len(),
            "per_second": latencies.len() as f64 / options.seconds,
            "microseconds": { "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999) },
        }))
    })
}

/// When a connection is to send its requests.
struct Pace {
    next: Instant,
    step: Duration,
}

/// One connection, and what its next request needs of its last answer.
struct Session {
    sender: SendRequest<Full<Bytes>>,
    request: Request<Bytes>,
    refreshes: bool,
}

thread_local! {
    /// Counts the networks that logins come from, so that none has too many.
    static NETWORK: Cell<u32> = const { Cell::new(0) };
}

impl Session {
    async fn open(options: &Options) -> Result<Self> {
        let stream = TcpStream::connect(&options.address).await;
        let stream = stream.with_context(|| format!("nobody listens on {}", options.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        let request = |method, path: &str| {
            Request::builder().method(method).uri(path).header(HOST, &options.address)
        };
        let form = "application/x-www-form-urlencoded";
        let login = || {
            let body = json!({ "username": options.username, "password": options.password });
            let request = request(Method::POST, "/login").header(CONTENT_TYPE, "application/json");
            request.body(body.to_string().into())
        };
        let first = match options.kind {
            Kind::Jwks => request(Method::GET, "/.well-known/jwks.json").body(Bytes::new())?,
            Kind::Clients => request(Method::POST, "/token")
                .header(AUTHORIZATION, &options.authorization)
                .header(CONTENT_TYPE, form)
                .body("grant_type=client_credentials".into())?,
            Kind::Logins | Kind::Refreshes => login()?,
        };
        let mut session = Self { sender, request: first, refreshes: false };
        if options.kind == Kind::Refreshes {
            let answer = session.ask().await?;
            session.request =
                request(Method::POST, "/token").header(CONTENT_TYPE, form).body(Bytes::new())?;
            session.refreshes = true;
            session.renew(&answer)?;
        }
        Ok(session)
    }

    /// Asks until the end. Answers how long each answer took that came after the beginning: from
    /// when it was to be asked for, so that a server that is late pays for all who wait.
    async fn run(
        mut self,
        mut pace: Option<Pace>,
        begin: Instant,
        end: Instant,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        loop {
            let due = match &mut pace {
                Some(pace) => {
                    let due = pace.next;
                    pace.next += pace.step;
                    tokio::time::sleep_until(due.into()).await;
                    due
                }
                None => Instant::now(),
            };
            if due >= end {
                return Ok(latencies);
            }
            let answer = self.ask().await?;
            if due >= begin {
                latencies.push(due.elapsed());
            }
            if self.refreshes {
                self.renew(&answer)?;
            }
        }
    }

    async fn ask(&mut self) -> Result<Bytes> {
        let mut request = Request::builder().method(self.request.method()).uri(self.request.uri());
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.request.headers().clone());
            let number = NETWORK.replace(NETWORK.get().wrapping_add(1));
            let [_, a, b, c] = number.to_be_bytes();
            headers.insert("x-forwarded-for", format!("10.{a}.{b}.{c}").parse()?);
        }
        let request = request.body(Full::new(self.request.body().clone()))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status == StatusCode::OK, "status {status}");
        Ok(body)
    }

    /// Takes the refresh token of an answer for the next request.
    fn renew(&mut self, answer: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(answer)?;
        let token = answer.get("refresh_token").and_then(Value::as_str).unwrap_or_default();
        *self.request.body_mut() = format!("grant_type=refresh_token&refresh_token={token}").into();
        Ok(())
    }
}
