//! A JWKS endpoint that counts its requests, and a guard with a clock that the test moves.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::{Router, serve};
use countersign_axum::{Error, Guard, GuardBuilder, Policy, Verified};
use countersign_tests::object::Object;
use countersign_tests::rsa::RsaKey;
use countersign_tests::token::{NOW, signed};
use http_body::Frame;
use serde_json::json;
use tokio::net::TcpListener;

pub(crate) const ISSUER: &str = "https://auth.example";

/// The path of the key set.
pub(crate) const JWKS: &str = "/jwks";

/// An HTTP server on loopback. Paths without an answer get a 404.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    served: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    answers: HashMap<String, Answer>,
    /// The path and query of each request, with its headers.
    requests: Vec<(String, HeaderMap)>,
}

/// An answer. A request with its `etag` gets a 304.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// The body never ends.
    pub(crate) hangs: bool,
}

impl Answer {
    pub(crate) fn json(body: impl Into<String>) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status: 200, headers, body: body.into(), hangs: false }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::json("{}") }
    }

    /// A key set with a lifetime of 10 minutes.
    pub(crate) fn keys(keys: &[(&str, &RsaKey)]) -> Self {
        let keys: Vec<_> = keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
        let body = json!({ "keys": keys }).to_string();
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let tag = format!("\"{:x}\"", hasher.finish());
        Self::json(body).with("cache-control", "max-age=600").with("etag", tag)
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let served = Arc::new(Mutex::new(Served::default()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&served));
        tokio::spawn(async { serve(listener, app).await });
        Self { url, served }
    }

    pub(crate) fn set(&self, path: &str, answer: Answer) {
        self.served().answers.insert(path.to_owned(), answer);
    }

    /// The number of requests to a path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.served().requests.iter().filter(|(asked, _)| asked == path).count()
    }

    /// The headers of the last request.
    pub(crate) fn last_headers(&self) -> HeaderMap {
        self.served().requests.last().expect("a request").1.clone()
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().expect("no panic")
    }
}

async fn answer(State(served): State<Arc<Mutex<Served>>>, request: Request) -> Response<Body> {
    let path = request.uri().path_and_query().map_or("", |it| it.as_str()).to_owned();
    let answer = {
        let mut served = served.lock().expect("no panic");
        served.requests.push((path.clone(), request.headers().clone()));
        served.answers.get(&path).cloned().unwrap_or_else(|| Answer::status(404))
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let response = response.body(match answer.hangs {
        true => Body::new(Endless),
        false => Body::from(answer.body),
    });
    let mut response = response.expect("a response");
    let tag = request.headers().get("if-none-match");
    if tag.is_some() && tag == response.headers().get("etag") {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
    }
    response
}

/// A body that never ends.
struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// A guard for the endpoint's keys.
pub(crate) struct Fixture {
    pub(crate) endpoint: Endpoint,
    pub(crate) guard: Guard,
    clock: Arc<AtomicU64>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    /// A guard for the set at [`JWKS`].
    pub(crate) async fn new() -> Self {
        let endpoint = Endpoint::start().await;
        let url = format!("{}{JWKS}", endpoint.url);
        Self::with(endpoint, Guard::builder(Policy::new(ISSUER, "api")).jwks(url))
    }

    pub(crate) fn with(endpoint: Endpoint, builder: GuardBuilder) -> Self {
        let (clock, errors) = (Arc::new(AtomicU64::new(NOW)), Arc::new(Mutex::new(Vec::new())));
        let (now, heard) = (Arc::clone(&clock), Arc::clone(&errors));
        let builder = builder
            .clock(move || {
                SystemTime::UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed))
            })
            .on_error(move |error| heard.lock().expect("no panic").push(error.to_string()));
        Self { endpoint, guard: builder.build().expect("the options are good"), clock, errors }
    }

    pub(crate) fn serve(&self, keys: &[(&str, &RsaKey)]) {
        self.endpoint.set(JWKS, Answer::keys(keys));
    }

    /// Moves the clock to so many seconds after the start.
    pub(crate) fn at(&self, seconds: u64) {
        self.clock.store(NOW + seconds, Ordering::Relaxed);
    }

    /// Verifies a token, and returns the code of a refusal.
    pub(crate) async fn verdict(&self, token: &str) -> Result<Verified, &'static str> {
        self.guard.verify(token).await.map_err(|error| error.code())
    }

    pub(crate) async fn refusal(&self, token: &str) -> Option<Error> {
        self.guard.verify(token).await.err()
    }

    /// The failed fetches, as `on_error` heard of them.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("no panic").clone()
    }

    /// Waits until so many fetches have failed: background fetches too.
    pub(crate) async fn failures(&self, count: usize) {
        until(|| self.errors().len() >= count).await;
        assert_eq!(self.errors().len(), count, "{:?}", self.errors());
    }
}

/// Waits for an event in another task.
pub(crate) async fn until(mut is_true: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within 10 seconds");
}

/// Verifies the token fifty times at once.
pub(crate) async fn verify_at_once(guard: &Guard, token: &str) {
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (guard, token) = (guard.clone(), token.to_owned());
            tokio::spawn(async move { guard.verify(&token).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.expect("no panic").expect("the token is good");
    }
}

/// A token that lives for a month.
pub(crate) fn token(kid: &str, key: &RsaKey) -> String {
    token_of(ISSUER, kid, key)
}

pub(crate) fn token_of(issuer: &str, kid: &str, key: &RsaKey) -> String {
    let header = Object::header().set("kid", &json!(kid).to_string());
    let claims = Object::claims().set("exp", &(NOW + 30 * 86_400).to_string());
    signed(key, header.text(), claims.set("iss", &json!(issuer).to_string()).text())
}

pub(crate) fn key(label: &str) -> RsaKey {
    RsaKey::generate(label, 2048, 65537)
}
