//! What each connection asks for.

use std::collections::VecDeque;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::connection::{Body, Connection, Request, refresh_token};
use crate::load::{Kind, Options};

pub(crate) fn open(options: &Options) -> Result<Vec<Connection>> {
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

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn post(path: &str, body: Body) -> Request {
    Request { line: format!("POST {path}"), headers: FORM.to_owned(), body }
}

fn login(options: &Options, number: u64) -> Request {
    let names = match options.users {
        // Each connection has users of its own, from all over the table.
        Some(users) => {
            (0..1000).map(|one| crate::fill::name((one * 7919 + number) % users)).collect()
        }
        None => VecDeque::from([options.username.clone()]),
    };
    Request {
        line: "POST /login".to_owned(),
        headers: "content-type: application/json\r\n".to_owned(),
        body: Body::Login { names, password: options.password.clone(), tokens: Vec::new() },
    }
}
