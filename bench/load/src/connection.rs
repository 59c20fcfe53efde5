//! One connection with one request at a time on it. It speaks as little HTTP/1.1 as possible: each
//! instruction here is taken from the server, which shares the cores.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;

/// A connection and its request in flight.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    request: Request,
    /// The answer so far.
    received: Vec<u8>,
    sent: Vec<u8>,
    /// The time at which the request in flight was due; `None` without one.
    pub(crate) due: Option<Instant>,
}

/// A request that is sent again and again.
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// Further headers, each with its end of line.
    pub(crate) headers: String,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Same(String),
    /// A login as each of these users in turn, and the refresh tokens of the answers.
    Login {
        names: VecDeque<String>,
        password: String,
        tokens: Vec<String>,
    },
    /// A refresh with each of these tokens in turn. The successor token goes to the end.
    Refresh(VecDeque<String>),
}

thread_local! {
    /// Each request claims a client network of its own, so that no throttle applies.
    static NETWORK: Cell<u32> = const { Cell::new(0) };
}

impl Connection {
    pub(crate) fn open(address: &str, mut request: Request) -> Result<Self> {
        let stream = TcpStream::connect(address);
        let stream = stream.with_context(|| format!("nobody listens on {address}"))?;
        stream.set_nodelay(true)?;
        request.headers.insert_str(0, &format!("host: {address}\r\n"));
        Ok(Self { stream, request, received: Vec::new(), sent: Vec::new(), due: None })
    }

    /// Sends the next request.
    pub(crate) fn send(&mut self, due: Instant) -> Result<()> {
        let Request { line, headers, body } = &mut self.request;
        let body = body.next()?;
        let [_, a, b, c] = NETWORK.replace(NETWORK.get().wrapping_add(1)).to_be_bytes();
        self.sent.clear();
        write!(
            self.sent,
            "{line} HTTP/1.1\r\n{headers}x-forwarded-for: 10.{a}.{b}.{c}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.due = Some(due);
        self.stream.write_all(&self.sent).context("a request cannot be sent")
    }

    /// Returns the unused refresh tokens.
    pub(crate) fn tokens(&self) -> Vec<&str> {
        match &self.request.body {
            Body::Refresh(tokens) => tokens.iter().map(String::as_str).collect(),
            Body::Login { tokens, .. } => tokens.iter().map(String::as_str).collect(),
            Body::Same(_) => Vec::new(),
        }
    }

    /// Reads available data. Returns the body once it is complete.
    pub(crate) fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(length) => self.received.extend(buffer.iter().take(length)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        let Some((head, body)) = whole(&self.received)? else { return Ok(None) };
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status == "200", "status {status}: {}", String::from_utf8_lossy(body));
        let body = body.to_vec();
        self.received.clear();
        self.request.body.answered(&body)?;
        Ok(Some(body))
    }
}

/// Returns head and body of a message with a content length, once it is complete.
pub(crate) fn whole(received: &[u8]) -> Result<Option<(&str, &[u8])>> {
    let Some(head) = received.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = received.split_at(head + 4);
    let head = std::str::from_utf8(head)?;
    let length: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or_else(|| anyhow!("a message has no content-length"))?
        .1
        .trim()
        .parse()?;
    Ok((body.len() >= length).then_some((head, body)))
}

impl Body {
    /// Returns the body of the next request.
    fn next(&mut self) -> Result<String> {
        Ok(match self {
            Self::Same(body) => body.clone(),
            Self::Login { names, password, .. } => {
                names.rotate_left(1);
                let name = names.front().context("there is no user")?;
                serde_json::json!({ "username": name, "password": password }).to_string()
            }
            Self::Refresh(tokens) => {
                let token = tokens.pop_front().context("there is no refresh token")?;
                format!("grant_type=refresh_token&refresh_token={token}")
            }
        })
    }

    fn answered(&mut self, answer: &[u8]) -> Result<()> {
        match self {
            Self::Refresh(tokens) => tokens.push_back(refresh_token(answer)?),
            Self::Login { tokens, .. } => tokens.push(refresh_token(answer)?),
            Self::Same(_) => {}
        }
        Ok(())
    }
}

/// Returns the refresh token in an answer.
pub(crate) fn refresh_token(answer: &[u8]) -> Result<String> {
    let answer: Value = serde_json::from_slice(answer)?;
    let token = answer.get("refresh_token").and_then(Value::as_str);
    token.map(ToOwned::to_owned).context("an answer has no refresh token")
}
