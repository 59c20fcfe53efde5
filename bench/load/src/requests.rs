//! The requests of each connection.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::connection::{Body, Connection, Request, refresh_token};
use crate::fill;

/// The requests to send, and the connections for them.
#[derive(Args)]
pub(crate) struct Requests {
    /// The kind of request
    #[arg(value_enum)]
    kind: Kind,
    /// Host and port of the servers, separated by commas; they share the connections
    #[arg(long, required = true, value_delimiter = ',')]
    address: Vec<String>,
    /// The number of connections, with one request at a time on each
    #[arg(long)]
    connections: usize,
    /// For `clients`: the value of the header `Authorization`
    #[arg(long, default_value = "")]
    authorization: String,
    /// For `clients`: the form
    #[arg(long, default_value = "grant_type=client_credentials")]
    form: String,
    /// For `logins` and `refreshes`
    #[arg(long, default_value = "")]
    username: String,
    #[arg(long, default_value = "")]
    password: String,
    /// For `logins`: log in as the users of `fill`, of which there are this many
    #[arg(long)]
    users: Option<u64>,
    /// A file of refresh tokens, one a line. `logins` writes the tokens that it got. `refreshes`
    /// uses them instead of a login for each connection, and writes their successors
    #[arg(long)]
    tokens: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// `GET /.well-known/jwks.json`
    Jwks,
    /// `POST /token` for clients
    Clients,
    /// `POST /token` with the refresh token of an earlier answer
    Refreshes,
    /// `POST /login`
    Logins,
}

/// Opens the connections, each with its requests.
pub(crate) fn open(options: &Requests) -> Result<Vec<Connection>> {
    let tokens = match &options.tokens {
        Some(path) if options.kind == Kind::Refreshes => {
            let text = fs::read_to_string(path);
            text.with_context(|| format!("cannot read {}", path.display()))?
        }
        _ => String::new(),
    };
    let mut shares = vec![VecDeque::new(); options.connections];
    let count = shares.len();
    for (number, token) in tokens.lines().enumerate() {
        if let Some(share) = shares.get_mut(number % count) {
            share.push_back(token.to_owned());
        }
    }
    (0..)
        .zip(shares)
        .zip(options.address.iter().cycle())
        .map(|((number, share), address)| {
            let request = match options.kind {
                Kind::Jwks => Request {
                    line: "GET /.well-known/jwks.json".to_owned(),
                    headers: String::new(),
                    body: Body::Same(String::new()),
                },
                Kind::Clients => Request {
                    headers: format!("{FORM}authorization: {}\r\n", options.authorization),
                    ..post("/token", Body::Same(options.form.clone()))
                },
                Kind::Logins => login(options, number),
                Kind::Refreshes if !share.is_empty() => post("/token", Body::Refresh(share)),
                Kind::Refreshes => {
                    let mut connection = Connection::open(address, login(options, number))?;
                    connection.send(Instant::now())?;
                    let answer = loop {
                        if let Some(answer) = connection.receive()? {
                            break answer;
                        }
                    };
                    post("/token", Body::Refresh(VecDeque::from([refresh_token(&answer)?])))
                }
            };
            Connection::open(address, request)
        })
        .collect()
}

/// Writes the unused refresh tokens to the file that the options name, if they name one.
pub(crate) fn save_tokens(options: &Requests, connections: &[Connection]) -> Result<()> {
    if let Some(path) = &options.tokens {
        let tokens: Vec<_> = connections.iter().flat_map(Connection::tokens).collect();
        fs::write(path, tokens.join("\n"))?;
    }
    Ok(())
}

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn post(path: &str, body: Body) -> Request {
    Request { line: format!("POST {path}"), headers: FORM.to_owned(), body }
}

fn login(options: &Requests, number: u64) -> Request {
    let names = match options.users {
        // Each connection has users of its own, from all over the table.
        Some(users) => (0..1000).map(|one| fill::name((one * 7919 + number) % users)).collect(),
        None => VecDeque::from([options.username.clone()]),
    };
    Request {
        line: "POST /login".to_owned(),
        headers: "content-type: application/json\r\n".to_owned(),
        body: Body::Login { names, password: options.password.clone(), tokens: Vec::new() },
    }
}
