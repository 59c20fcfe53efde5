//! The issuer on a free port and the verifier on what it serves, in one process, by a clock that
//! the test sets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::{Router, routing::get};
use countersign_axum::{Claims, Guard};
use countersign_issuer::{Clock, Config, Error, Limits, State};
use countersign_verifier::{KeySet, Policy, Verified, Verifier};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PASSWORD: &str = "not a secret: for tests alone";
const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

#[tokio::test]
async fn a_login_gives_a_token_that_the_verifier_accepts_until_it_expires() {
    let issuer = Issuer::start().await;
    let answer = issuer.login().await;
    let token = text(&answer, "access_token");
    let verifier = issuer.verifier().await;

    let verified = issuer.verify(&verifier, &token).expect("the token is good");
    let claims = verified.claims();
    assert_eq!(claims.iss.as_deref(), Some(issuer.state.issuer()));
    assert!(claims.aud.is_some_and(|aud| aud.contains("api")));
    assert_eq!(claims.scope.as_deref(), Some("read write"));
    assert_eq!(claims.iat.map(|iat| iat.seconds()), Some(START));
    assert_eq!(claims.exp.map(|exp| exp.seconds()), Some(START + 900));
    for claim in [claims.sub, claims.client_id, claims.jti, claims.sid] {
        assert!(claim.is_some_and(|claim| !claim.is_empty()), "RFC 9068 §2.2 asks for it");
    }
    let header: Value = serde_json::from_str(verified.header_json()).expect("a header is JSON");
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("at+jwt")));

    issuer.advance(899);
    assert!(issuer.verify(&verifier, &token).is_ok());
    issuer.advance(1);
    assert_eq!(issuer.verify(&verifier, &token).err(), Some("token_expired"));
    issuer.stop().await;
}

#[tokio::test]
async fn a_token_is_good_for_its_issuer_audience_type_and_scope_alone() {
    let issuer = Issuer::start().await;
    let token = text(&issuer.login().await, "access_token");
    let jwks = issuer.jwks().await;
    let refusal = |policy: Policy| {
        let keys = KeySet::from_json(&jwks).expect("the issuer serves a JWK Set");
        issuer.verify(&Verifier::with_keys(policy, keys), &token).err()
    };
    let ours = || Policy::new(issuer.state.issuer(), "api");
    let scope = |scope| ours().with_scope(scope).expect("the scope is well formed");

    assert_eq!(refusal(ours()), None);
    assert_eq!(refusal(scope("write read")), None);
    assert_eq!(refusal(scope("read admin")), Some("scope_insufficient"));
    assert_eq!(refusal(Policy::new(issuer.state.issuer(), "web")), Some("audience_mismatch"));
    assert_eq!(refusal(Policy::new("https://auth.example", "api")), Some("issuer_mismatch"));
    assert_eq!(refusal(ours().with_token_type(Some("JWT"))), Some("type_mismatch"));
    issuer.stop().await;
}

#[tokio::test]
async fn a_status_list_has_a_good_signature_and_is_no_access_token() {
    let issuer = Issuer::with(|config| config.status_lists = true).await;
    let token = text(&issuer.login().await, "access_token");
    let verifier = issuer.verifier().await;
    let verified = issuer.verify(&verifier, &token).expect("the token is good");
    let status = verified.claims().status.and_then(|status| status.status_list);
    let status = status.expect("the token names a list");

    let list = issuer.client.get(&status.uri).send().await.expect("the list is there");
    let list = list.text().await.expect("the list is text");
    assert_eq!(issuer.verify(&verifier, &list).err(), Some("type_mismatch"));
    let jwks = KeySet::from_json(&issuer.jwks().await).expect("the issuer serves a JWK Set");
    let lists = Policy::new(issuer.state.issuer(), "api");
    let lists = Verifier::with_keys(lists.with_token_type(Some("statuslist+jwt")), jwks);
    let signed = lists.verify_signature(&list).expect("the signature is good");
    let claims: Value = serde_json::from_str(signed.payload_json()).expect("claims are JSON");
    assert_eq!(claims["sub"], status.uri.as_str());
    issuer.stop().await;
}

#[tokio::test]
async fn a_session_goes_from_login_over_refresh_to_logout() {
    let issuer = Issuer::start().await;
    let verifier = issuer.verifier().await;
    let first = issuer.login().await;
    issuer.advance(600);

    let (status, second) = issuer.refresh(&text(&first, "refresh_token")).await;
    assert_eq!(status, 200, "{second}");
    let claims = |answer: &Value| {
        let verified = issuer.verify(&verifier, &text(answer, "access_token"));
        verified.expect("the token is good").claims()
    };
    let (before, after) = (claims(&first), claims(&second));
    assert_eq!((&before.sub, &before.sid), (&after.sub, &after.sid));
    assert_ne!(before.jti, after.jti);
    assert_eq!(after.iat.map(|iat| iat.seconds()), Some(START + 600));

    issuer.advance(400);
    assert_eq!(
        issuer.verify(&verifier, &text(&first, "access_token")).err(),
        Some("token_expired")
    );
    let last = text(&second, "refresh_token");
    let (status, _) = issuer.post_form("/logout", &[("refresh_token", &last)]).await;
    assert_eq!(status, 204);
    let (status, refused) = issuer.refresh(&last).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    // An access token outlives its session until it expires: status lists will tell.
    assert!(issuer.verify(&verifier, &text(&second, "access_token")).is_ok());
    issuer.stop().await;
}

#[tokio::test]
async fn tokens_stay_good_over_a_rotation_of_keys() {
    let issuer = Issuer::start().await;
    issuer.advance(30 * DAY - 60);
    let old = text(&issuer.login().await, "access_token");
    // The next key is published well before it signs, so that a set fetched now has it.
    let cached = issuer.verifier().await;
    let signer = |token: &str| {
        let verified = issuer.verify(&cached, token).expect("the token is good");
        let header: Value = serde_json::from_str(verified.header_json()).expect("a header is JSON");
        header["kid"].clone()
    };
    let first = signer(&old);

    issuer.advance(60);
    let mut new = text(&issuer.login().await, "access_token");
    for _ in 0..100 {
        if signer(&new) != first {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        new = text(&issuer.login().await, "access_token");
    }
    assert_ne!(signer(&new), first, "the next key signs");
    let fresh = issuer.verifier().await;
    for verifier in [&cached, &fresh] {
        for token in [&old, &new] {
            assert!(issuer.verify(verifier, token).is_ok());
        }
    }
    issuer.stop().await;
}

#[tokio::test]
async fn a_token_of_another_issuer_finds_no_key() {
    let (ours, theirs) = (Issuer::start().await, Issuer::start().await);
    let token = text(&theirs.login().await, "access_token");
    assert!(theirs.verify(&theirs.verifier().await, &token).is_ok());
    assert_eq!(ours.verify(&ours.verifier().await, &token).err(), Some("key_not_found"));
    ours.stop().await;
    theirs.stop().await;
}

#[tokio::test]
async fn an_axum_service_discovers_the_issuer_and_guards_its_routes() {
    let issuer = Issuer::start().await;
    let service = Service::start(&issuer).await;
    let token = text(&issuer.login().await, "access_token");
    let tampered = format!("{}AAAA", &token[..token.len() - 4]);
    assert_eq!(service.get("/hello", &token).await, (200, "hello, read write".into()));
    let (status, refusal) = service.get("/hello", &tampered).await;
    assert_eq!(status, 401, "{refusal}");
    assert!(refusal.contains("invalid_token") && refusal.contains("signature"), "{refusal}");
    assert_eq!(service.get("/admin", &token).await.0, 403);

    issuer.advance(900);
    let (status, refusal) = service.get("/hello", &token).await;
    assert!(status == 401 && refusal.contains("expired"), "{refusal}");
    // By then the cached keys are too old, and others sign.
    issuer.advance(90 * DAY);
    let renewed = text(&issuer.login().await, "access_token");
    assert_eq!(service.get("/hello", &renewed).await.0, 200);

    // The service goes on while the issuer is away.
    let clock = Arc::clone(&issuer.clock);
    issuer.stop().await;
    clock.fetch_add(700, Ordering::Relaxed);
    assert_eq!(service.get("/hello", &renewed).await.0, 200);
}

/// A service that knows the issuer's name only.
struct Service {
    url: String,
    client: reqwest::Client,
}

impl Service {
    async fn start(issuer: &Issuer) -> Self {
        #[derive(Deserialize)]
        struct Hello {
            scope: String,
        }
        let hello = |Claims(me): Claims<Hello>| async move { format!("hello, {}", me.scope) };
        let now = Arc::clone(&issuer.clock);
        let clock = move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed));
        let guard = Guard::builder(Policy::new(issuer.state.issuer(), "api")).clock(clock).build();
        let guard = guard.expect("the issuer is on loopback");
        let admin = guard.with_scope("admin").expect("the scope is well formed");
        let app = Router::new()
            .route("/hello", get(hello))
            .route("/admin", get(hello).layer(admin))
            .layer(guard);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { url, client: issuer.client.clone() }
    }

    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(token);
        let answer = request.send().await.expect("the service answers");
        (answer.status().as_u16(), answer.text().await.expect("an answer is text"))
    }
}

/// An issuer in this process, with user `demo`.
struct Issuer {
    state: State,
    clock: Arc<AtomicU64>,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Error>>,
    _folder: TempDir,
}

impl Issuer {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        add_user(folder.path());
        let mut config = Config::default();
        config.database = database(folder.path()).parse().expect("a database URL");
        change(&mut config);
        let clock = Arc::new(AtomicU64::new(START));
        let now = Arc::clone(&clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let clock_of_issuer = Clock::new(move || now.load(Ordering::Relaxed));
        let state = State::open(config, address, Limits::default(), clock_of_issuer);
        let state = state.await.expect("the issuer opens its database");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let running = tokio::spawn(countersign_issuer::run(listener, state.clone(), shutdown));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build();
        let client = client.expect("a client without TLS can be made");
        Self { state, clock, client, stop, running, _folder: folder }
    }

    async fn stop(self) {
        self.stop.send(()).expect("the issuer still runs");
        let ended = self.running.await.expect("the issuer does not panic");
        ended.expect("the issuer stops without an error");
    }

    fn advance(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// A verifier with the keys that the issuer serves now.
    async fn verifier(&self) -> Verifier {
        let keys = KeySet::from_json(&self.jwks().await).expect("the issuer serves a JWK Set");
        Verifier::with_keys(Policy::new(self.state.issuer(), "api"), keys)
    }

    /// The verdict at the issuer's time: what was verified, or the code.
    fn verify(&self, verifier: &Verifier, token: &str) -> Result<Verified, &'static str> {
        let now = Duration::from_secs(self.clock.load(Ordering::Relaxed));
        verifier.verify(token, now).map_err(|error| error.code())
    }

    async fn jwks(&self) -> String {
        let answer = self.client.get(self.url("/.well-known/jwks.json")).send().await;
        let answer = answer.expect("the issuer answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/jwk-set+json");
        answer.text().await.expect("a JWK Set is text")
    }

    async fn login(&self) -> Value {
        let body = json!({ "username": "demo", "password": PASSWORD });
        let (status, answer) = self.send(self.client.post(self.url("/login")).json(&body)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post_form("/token", &form).await
    }

    async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.send(self.client.post(self.url(path)).form(form)).await
    }

    /// Status and JSON of an answer; null for an empty one.
    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = request.send().await.expect("the issuer answers");
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("an answer is text");
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.state.url())
    }
}

fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}

fn database(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("countersign.db").display())
}

/// Adds user `demo` as an operator does, with the binary.
fn add_user(folder: &Path) {
    let mut command = Command::new(issuer_binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COUNTERSIGN_")) {
        command.env_remove(name);
    }
    command.args(["--database", &database(folder), "user", "add", "demo", "--scope", "read write"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("the issuer's binary starts");
    let mut stdin = child.stdin.take().expect("its stdin is piped");
    stdin.write_all(format!("{PASSWORD}\n").as_bytes()).expect("it reads the password");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

/// The binary that cargo put beside this test's, built now where a test of this crate alone runs.
fn issuer_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("cargo puts tests into target/PROFILE/deps");
    let binary = profile.join(format!("countersign-issuer{}", std::env::consts::EXE_SUFFIX));
    if !binary.exists() {
        let target = profile.parent().expect("a profile is a folder of the target folder");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "countersign-issuer", "--target-dir"])
            .arg(target)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "cargo builds the issuer");
    }
    binary
}
