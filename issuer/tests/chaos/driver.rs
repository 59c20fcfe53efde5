//! The load: clients that use their sessions and compare each answer with all answers before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Client, text};
use crate::common::{PASSWORD, jwt_part};
use crate::ledger::{Answered, Ended, Fault, Ledger};

/// A session as its client knows it.
pub(crate) struct Session {
    pub(crate) refresh_token: String,
    pub(crate) access_token: String,
    /// The token before this one, and when its successor was answered.
    previous: Option<(String, Instant)>,
    /// A request with an older token may be under way until then. The current token is not used
    /// before, or the older one would rightly look stolen.
    rests_until: Instant,
}

impl Session {
    pub(crate) fn new(body: &Value) -> Self {
        let [refresh_token, access_token] =
            ["refresh_token", "access_token"].map(|name| text(body, name));
        Self { refresh_token, access_token, previous: None, rests_until: Instant::now() }
    }

    pub(crate) fn id(&self) -> String {
        session_of(&self.access_token)
    }
}

/// Returns the id of the session of an access token.
pub(crate) fn session_of(access_token: &str) -> String {
    jwt_part(access_token, 1)["sid"].as_str().unwrap().to_owned()
}

/// One user with some sessions.
pub(crate) struct Worker {
    client: Client,
    ledger: Arc<Ledger>,
    rng: fastrand::Rng,
    user: String,
    /// A client that may introspect.
    introspector: (String, String),
    sessions: Vec<Session>,
    /// The number of things that this worker has done.
    done: Arc<AtomicU64>,
}

/// An issuer works on a request for no longer than this, also if its client is gone.
pub(crate) const TIME_OF_A_REQUEST: Duration = Duration::from_secs(10);

/// A client does not repeat a used token for longer, so that it stays within the grace.
const TIME_TO_REPEAT: Duration = Duration::from_secs(20);

impl Worker {
    /// The most sessions that one worker keeps.
    const SESSIONS: usize = 2;

    pub(crate) fn new(
        mut client: Client,
        ledger: Arc<Ledger>,
        user: String,
        introspector: (String, String),
        done: Arc<AtomicU64>,
        mut rng: fastrand::Rng,
    ) -> Self {
        let rng = rng.fork();
        let client = client.fork();
        Self { client, ledger, rng, user, introspector, sessions: Vec::new(), done }
    }

    /// Works until the ledger says stop. Returns the sessions that live.
    pub(crate) async fn run(mut self) -> Vec<Session> {
        while !self.ledger.is_stopping() {
            if self.sessions.len() < Self::SESSIONS {
                self.log_in().await;
            } else {
                let place = self.rng.usize(..self.sessions.len());
                let session = self.sessions.swap_remove(place);
                let rests = session.rests_until > Instant::now();
                let kept = match self.rng.u8(..100) {
                    0..92 if rests => self.introspect(session).await,
                    0..50 => self.refresh(session).await,
                    50..65 => self.refresh_in_two_tabs(session).await,
                    65..75 => self.repeat(session).await,
                    75..92 => self.introspect(session).await,
                    _ => self.log_out(session).await,
                };
                self.sessions.extend(kept);
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(self.rng.u64(..40))).await;
        }
        self.sessions
    }

    async fn log_in(&mut self) {
        match self.client.login(&self.user, PASSWORD).await {
            Answer::Done(body) => {
                self.ledger.count(Answered::Login);
                self.sessions.push(Session::new(&body));
            }
            Answer::Refused(status, body) => {
                let user = &self.user;
                self.ledger.fault(Fault::Lost, &format!("login of {user}: {status} {body}"));
                self.client.pause().await;
            }
            Answer::Later => self.later().await,
        }
    }

    /// Tries until there is an answer. Returns none if the session is lost.
    async fn refresh(&mut self, mut session: Session) -> Option<Session> {
        let mut rests_until = Instant::now();
        while !self.ledger.is_stopping() {
            match self.client.refresh(&session.refresh_token).await {
                Answer::Done(body) => {
                    let session = self.succeed(session, &body);
                    return Some(Session { rests_until, ..session });
                }
                Answer::Refused(status, body) => {
                    self.report_refused(&session, &format!("refresh: {status} {body}"));
                    return None;
                }
                Answer::Later => {
                    rests_until = Instant::now() + TIME_OF_A_REQUEST;
                    self.later().await;
                }
            }
        }
        // It may have been done. The next refresh returns the same successor.
        session.previous = None;
        Some(session)
    }

    /// Notes the successor of the current token.
    fn succeed(&mut self, session: Session, body: &Value) -> Session {
        self.ledger.count(Answered::Refresh);
        let previous = Some((session.refresh_token, Instant::now()));
        Session { previous, ..Session::new(body) }
    }

    /// Two tabs use one token at the same time.
    async fn refresh_in_two_tabs(&mut self, session: Session) -> Option<Session> {
        let mut tab = self.client.fork();
        let used = session.refresh_token.clone();
        let (session, in_tab) = tokio::join!(self.refresh(session), tab.refresh(&used));
        let mut session = session?;
        match in_tab {
            // If the first tab was not answered in time, this answer is the only one.
            Answer::Done(body) if session.refresh_token == used => {
                return Some(self.succeed(session, &body));
            }
            Answer::Done(body) => self.compare(&session, &body),
            Answer::Refused(status, body) => {
                self.report_refused(&session, &format!("second tab: {status} {body}"));
                return None;
            }
            Answer::Later => session.rests_until = Instant::now() + TIME_OF_A_REQUEST,
        }
        Some(session)
    }

    /// Uses the token before the current one again, as a client that lost the answer.
    async fn repeat(&mut self, mut session: Session) -> Option<Session> {
        let Some((used, answered_at)) = session.previous.clone() else {
            return Some(session);
        };
        while !self.ledger.is_stopping() && answered_at.elapsed() < TIME_TO_REPEAT {
            match self.client.refresh(&used).await {
                Answer::Done(body) => {
                    self.compare(&session, &body);
                    return Some(session);
                }
                Answer::Refused(status, body) => {
                    self.report_refused(&session, &format!("repetition: {status} {body}"));
                    return None;
                }
                Answer::Later => {
                    session.rests_until = Instant::now() + TIME_OF_A_REQUEST;
                    self.later().await;
                }
            }
        }
        Some(session)
    }

    fn compare(&self, session: &Session, body: &Value) {
        self.ledger.count(Answered::Repetition);
        if text(body, "refresh_token") != session.refresh_token {
            self.ledger.fault(Fault::Double, &format!("session {}", session.id()));
        }
    }

    async fn introspect(&mut self, session: Session) -> Option<Session> {
        match self.client.introspect(&session.access_token, &self.introspector).await {
            Answer::Done(body) => {
                self.ledger.count(Answered::Introspection);
                if body["active"] != true {
                    self.report_refused(&session, "its access token is inactive");
                    return None;
                }
            }
            Answer::Refused(status, body) => {
                self.ledger.fault(Fault::Lost, &format!("introspection: {status} {body}"));
            }
            Answer::Later => self.later().await,
        }
        Some(session)
    }

    /// Tries until there is an answer. If there is none, nobody knows if the session lives.
    async fn log_out(&mut self, session: Session) -> Option<Session> {
        while !self.ledger.is_stopping() {
            match self.client.log_out(&session.refresh_token).await {
                Answer::Done(_) => {
                    let Session { refresh_token, access_token, .. } = session;
                    self.ledger.end_session(Ended { refresh_token, access_token });
                    return None;
                }
                Answer::Refused(status, body) => {
                    self.ledger.fault(Fault::Lost, &format!("logout: {status} {body}"));
                    return None;
                }
                Answer::Later => self.later().await,
            }
        }
        None
    }

    async fn later(&mut self) {
        self.ledger.count(Answered::Nothing);
        self.client.pause().await;
    }

    fn report_refused(&self, session: &Session, text: &str) {
        self.ledger.fault(Fault::Lost, &format!("session {}: {text}", session.id()));
    }
}
