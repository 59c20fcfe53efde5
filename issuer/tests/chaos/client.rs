//! A client of both issuers that notices each missing answer.

use std::fmt;
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// The answer to a request. A request without an answer may have had an effect.
pub(crate) enum Answer {
    Done(Value),
    Refused(StatusCode, Value),
    /// No answer, or one that says "later".
    Later,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its body has tokens.
            Self::Done(_) => f.write_str("200"),
            Self::Refused(status, body) => write!(f, "{status} {body}"),
            Self::Later => f.write_str("no answer"),
        }
    }
}

/// Sends requests to one issuer or another.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    issuers: [String; 2],
    rng: fastrand::Rng,
}

impl Client {
    /// A fault of the database may last this long before the issuer answers.
    const PATIENCE: Duration = Duration::from_secs(8);

    pub(crate) fn new(issuers: [String; 2], rng: fastrand::Rng) -> Self {
        let http = reqwest::Client::builder().timeout(Self::PATIENCE).build().unwrap();
        Self { http, issuers, rng }
    }

    /// Returns a client that makes its own choices.
    pub(crate) fn fork(&mut self) -> Self {
        Self { rng: self.rng.fork(), ..self.clone() }
    }

    pub(crate) async fn login(&mut self, user: &str, password: &str) -> Answer {
        let body = json!({ "username": user, "password": password });
        // Each login comes from another network: the limits of logins are not under test.
        let [a, b, c] = [self.rng.u8(..), self.rng.u8(..), self.rng.u8(..)];
        let request = self.post("/login").header("X-Forwarded-For", format!("10.{a}.{b}.{c}"));
        self.send(request.json(&body)).await
    }

    pub(crate) async fn refresh(&mut self, token: &str) -> Answer {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let request = self.post("/token").form(&form);
        self.send(request).await
    }

    pub(crate) async fn log_out(&mut self, token: &str) -> Answer {
        let request = self.post("/logout").form(&[("refresh_token", token)]);
        self.send(request).await
    }

    pub(crate) async fn introspect(&mut self, token: &str, client: &(String, String)) -> Answer {
        let form = [("token", token), ("client_id", &client.0), ("client_secret", &client.1)];
        let request = self.post("/introspect").form(&form);
        self.send(request).await
    }

    /// Asks for a token of a client itself.
    pub(crate) async fn client_token(&mut self, id: &str, secret: &str) -> Answer {
        let form =
            [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        let request = self.post("/token").form(&form);
        self.send(request).await
    }

    /// Waits a moment before the next attempt.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(20..200))).await;
    }

    fn post(&mut self, path: &str) -> RequestBuilder {
        let issuer = &self.issuers[self.rng.usize(..2)];
        self.http.post(format!("{issuer}{path}"))
    }

    async fn send(&mut self, request: RequestBuilder) -> Answer {
        // Some clients go away before their answer comes.
        let gives_up = self.rng.u8(..50) == 0;
        let patience =
            if gives_up { Duration::from_millis(self.rng.u64(..30)) } else { Self::PATIENCE };
        let answer = async {
            let response = request.send().await.ok()?;
            let status = response.status();
            let text = response.text().await.ok()?;
            Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
        };
        match tokio::time::timeout(patience, answer).await {
            Ok(Some((status, body))) if status.is_success() => Answer::Done(body),
            Ok(Some((StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _)))
            | Ok(None)
            | Err(_) => Answer::Later,
            Ok(Some((status, body))) => Answer::Refused(status, body),
        }
    }
}

/// Returns a member of an answer.
pub(crate) fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_default().to_owned()
}
