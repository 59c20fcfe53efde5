//! An administrator: commands about users and clients while faults happen.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use serde_json::Value;

use crate::client::{Answer, Client, text};
use crate::common::{PASSWORD, command, stdout};
use crate::ledger::{Answered, Ended, Fault, Ledger, User};

pub(crate) struct Administrator {
    client: Client,
    ledger: Arc<Ledger>,
    rng: fastrand::Rng,
    /// The folders that the commands run in, each configured for one issuer's database.
    folders: [PathBuf; 2],
}

impl Administrator {
    /// Each user that is known costs a password hash at the end.
    const MOST_USERS: usize = 200;

    pub(crate) fn new(
        client: Client,
        ledger: Arc<Ledger>,
        rng: fastrand::Rng,
        folders: [PathBuf; 2],
    ) -> Self {
        Self { client, ledger, rng, folders }
    }

    /// Works until the ledger says stop.
    pub(crate) async fn run(mut self) {
        let mut number = 0;
        while !self.ledger.is_stopping() {
            number += 1;
            match self.rng.u8(..10) {
                0..4 if self.ledger.users().len() < Self::MOST_USERS => {
                    self.add_user(&format!("user-{number}")).await;
                }
                4..6 => self.set_password(number).await,
                6 => self.delete_user().await,
                7..9 => self.add_client(&format!("client-{number}")).await,
                _ => self.rotate_client().await,
            }
            self.client.pause().await;
        }
    }

    async fn add_user(&mut self, name: &str) {
        let done = self.command(&["user", "add", name], PASSWORD).await;
        let added = done.then(|| User::Password(PASSWORD.to_owned()));
        self.ledger.set_user(name, added.unwrap_or(User::Unknown));
    }

    /// Changes a password. That ends the session that was opened before.
    async fn set_password(&mut self, number: u32) {
        let Some((name, password)) = self.some_user() else { return };
        let session = match self.client.login(&name, &password).await {
            Answer::Done(body) => Some(body),
            Answer::Refused(status, body) => {
                self.ledger.fault(Fault::Lost, &format!("login of {name}: {status} {body}"));
                None
            }
            Answer::Later => None,
        };
        self.ledger.set_user(&name, User::Unknown);
        let password = format!("{PASSWORD} {number}");
        if self.command(&["user", "passwd", &name], &password).await {
            self.ledger.set_user(&name, User::Password(password));
            self.must_have_ended(session);
        }
    }

    async fn delete_user(&mut self) {
        let Some((name, password)) = self.some_user() else { return };
        let session = match self.client.login(&name, &password).await {
            Answer::Done(body) => Some(body),
            _ => None,
        };
        self.ledger.set_user(&name, User::Unknown);
        if self.command(&["user", "delete", &name], "").await {
            self.ledger.set_user(&name, User::Deleted(password));
            self.must_have_ended(session);
        }
    }

    async fn add_client(&mut self, name: &str) {
        self.client_command(&["client", "add", name, "--json"]).await;
    }

    /// Gives a client a new secret.
    async fn rotate_client(&mut self) {
        let names: Vec<_> = self.ledger.clients().into_keys().collect();
        let Some(name) = self.rng.choice(names) else { return };
        self.ledger.forget_client(&name);
        self.client_command(&["client", "rotate", &name, "--json"]).await;
    }

    async fn client_command(&mut self, arguments: &[&str]) {
        let output = self.output(arguments, "").await;
        if output.status.success() {
            let printed: Value = serde_json::from_str(&stdout(&output)).unwrap();
            let [id, secret] = ["client_id", "client_secret"].map(|name| text(&printed, name));
            self.ledger.set_client(arguments[2], (id, secret));
        }
    }

    /// Returns a user that exists, with the password.
    fn some_user(&mut self) -> Option<(String, String)> {
        let users = self.ledger.users().into_iter().filter_map(|(name, user)| match user {
            User::Password(password) => Some((name, password)),
            User::Deleted(_) | User::Unknown => None,
        });
        let users: Vec<_> = users.collect();
        self.rng.choice(users)
    }

    fn must_have_ended(&self, session: Option<Value>) {
        if let Some(body) = session {
            let [refresh_token, access_token] =
                ["refresh_token", "access_token"].map(|name| text(&body, name));
            self.ledger.end_session(Ended { refresh_token, access_token });
        }
    }

    /// Runs a command. Returns false if nobody knows if it was done.
    async fn command(&mut self, arguments: &[&str], input: &str) -> bool {
        self.output(arguments, input).await.status.success()
    }

    async fn output(&mut self, arguments: &[&str], input: &str) -> Output {
        let folder = self.folders[self.rng.usize(..2)].clone();
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let input = input.to_owned();
        let run = move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            command(&folder, &arguments, &input)
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let is_done = output.status.success();
        self.ledger.count(if is_done { Answered::Command } else { Answered::Nothing });
        output
    }
}
