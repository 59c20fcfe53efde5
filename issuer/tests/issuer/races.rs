//! Proofs that work once, sent 20 times at the same moment to two issuers on one database, each a
//! process of its own.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::authenticator::{Authenticator, ORIGIN};
use crate::common::over_both;
use crate::common::{
    Answer, Backend, PASSWORD, Process, binary, client, command, execute, folder_on, post_form,
    post_json, send, stderr, stdout,
};
use crate::second_factor::{App, codes, of_user};

over_both!(one_of_twenty_requests_at_once_succeeds);

/// Requests at the same moment.
const AT_ONCE: usize = 20;

/// The tokens of logins that a user may have at the same time.
const LOGINS: usize = 10;

const ISSUER: &str = "http://localhost:1";

/// Two issuers.
struct Pair {
    issuers: [Process; 2],
    folder: TempDir,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn run(folder: &TempDir, arguments: &[&str]) -> String {
    let done = command(folder.path(), arguments, PASSWORD);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

impl Pair {
    fn start(backend: Backend) -> Self {
        let folder = folder_on(backend);
        let issuer = || {
            let mut command = binary(folder.path());
            for (name, value) in [
                ("ISSUER", ISSUER),
                ("CORS_ORIGINS", ORIGIN),
                ("TRUSTED_PROXIES", "127.0.0.0/8"),
                ("LOGIN_RATE", "10000"),
                ("ADMIN_API", "public"),
            ] {
                command.env(format!("COUNTERSIGN_{name}"), value);
            }
            Process::with(folder.path(), command)
        };
        Self { issuers: [issuer(), issuer()], folder }
    }

    fn url(&self, number: usize) -> &str {
        &self.issuers[number % 2].url
    }

    async fn log_in(&self) -> Answer {
        let body = json!({ "username": "demo", "password": PASSWORD });
        post_json(self.url(0), "/login", &body).await
    }

    /// Begins logins with a second factor. Earlier ones end: those of one second have no order, so that
    /// they could end new ones.
    async fn begin(&self) -> Vec<Value> {
        run(&self.folder, &["user", "sessions", "demo", "--end-all"]);
        let mut tokens = Vec::new();
        for _ in 0..LOGINS {
            let asked = self.log_in().await;
            asked.refused(401, "mfa_required");
            tokens.push(asked.field("mfa_token").into());
        }
        tokens
    }

    /// Sends all bodies at the same moment, to the issuers in turns, each from a network of its own.
    /// Returns the answers.
    async fn at_once(&self, path: &str, token: &str, bodies: Vec<Value>) -> Vec<Answer> {
        assert_eq!(bodies.len(), AT_ONCE);
        let client = client();
        let requests = bodies.into_iter().enumerate().map(|(number, body)| {
            let request = client.request(Method::POST, format!("{}{path}", self.url(number)));
            let request = request.header("x-forwarded-for", format!("10.0.{number}.1"));
            let request = request.header("idempotency-key", path);
            let request = if token.is_empty() { request } else { request.bearer_auth(token) };
            tokio::spawn(send(request.json(&body)))
        });
        let mut answers = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            answers.push(request.await.unwrap());
        }
        answers
    }

    /// Sends all bodies at the same moment. Returns the only answer with that status, and its number. All
    /// others are refusals: on a busy machine some wait too long for the row of the user (503).
    async fn one_of(
        &self,
        path: &str,
        token: &str,
        status: u16,
        bodies: Vec<Value>,
    ) -> (usize, Answer) {
        let answers = self.at_once(path, token, bodies).await.into_iter().enumerate();
        let (done, refused): (Vec<_>, Vec<_>) =
            answers.partition(|(_, answer)| answer.status == status);
        assert_eq!(done.len(), 1, "{path}: {done:?} {refused:?}");
        let is_refusal =
            |(_, answer): &(usize, Answer)| [400, 401, 409, 429, 503].contains(&answer.status);
        assert!(refused.iter().all(is_refusal), "{path}: {refused:?}");
        done.into_iter().next().unwrap()
    }

    fn count(&self, event: &str) -> String {
        let count =
            format!("SELECT CAST(count(*) AS text) FROM countersign.audit WHERE event = '{event}'");
        execute(self.folder.path(), &count).remove(0)
    }
}

/// Returns the same body for each request.
fn same(body: &Value) -> Vec<Value> {
    vec![body.clone(); AT_ONCE]
}

async fn one_of_twenty_requests_at_once_succeeds(backend: Backend) {
    let pair = Pair::start(backend);
    let url = pair.url(0);

    // Additions with one key.
    let scope = ["client", "add", "operator", "--scope", "countersign:admin", "--json"];
    let new: Value = serde_json::from_str(&run(&pair.folder, &scope)).unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", ISSUER),
        ("client_id", new["client_id"].as_str().unwrap()),
        ("client_secret", new["client_secret"].as_str().unwrap()),
    ];
    let admin = post_form(url, "/token", &form).await.field("access_token");
    let added = pair.at_once("/admin/v1/clients", &admin, same(&json!({ "name": "worker" }))).await;
    let (added, refused): (Vec<_>, Vec<_>) = added.iter().partition(|answer| answer.status == 201);
    assert!(refused.iter().all(|answer| answer.status == 409), "{refused:?}");
    assert_eq!(added.iter().map(|answer| &answer.text).collect::<HashSet<_>>().len(), 1);
    assert_eq!(pair.count("client_added"), "2");

    // A token for a reset, with a new password each.
    let reset = |new: &str| {
        let made = run(&pair.folder, &["user", "reset", "demo", "--json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        json!({ "token": made["token"], "new_password": new })
    };
    let token = reset("")["token"].clone();
    let bodies = (0..AT_ONCE).map(|number| {
        json!({ "token": token, "new_password": format!("seven lanterns under plum trees {number}") })
    });
    let bodies: Vec<_> = bodies.collect();
    let (winner, _) = pair.one_of("/password/reset", "", 204, bodies.clone()).await;
    assert_eq!(pair.count("password_reset"), "1");

    // Changes of the password with the current one.
    let last = &bodies[winner]["new_password"];
    let body = json!({ "username": "demo", "password": last });
    let session = post_json(url, "/login", &body).await.field("access_token");
    let bodies = (0..AT_ONCE).map(|number| {
        let new = format!("twelve boats beyond a quiet harbour {number}");
        json!({ "current_password": last, "new_password": new })
    });
    pair.one_of("/password", &session, 204, bodies.collect()).await;
    assert_eq!(pair.count("password_changed"), "1");
    assert_eq!(post_json(url, "/password/reset", &reset(PASSWORD)).await.status, 204);
    run(&pair.folder, &["user", "unlock", "demo"]);

    // The first code of an app.
    let token = pair.log_in().await.field("access_token");
    let mut app = App::new(&of_user(url, "POST", "/totp", &token, json!({})).await);
    let begun = now();
    let code = json!({ "code": app.code_at(begun) });
    let (_, confirmed) = pair.one_of("/totp/confirm", &token, 200, same(&code)).await;
    app.codes = codes(&confirmed);
    assert_eq!(pair.count("totp_added"), "1");
    run(&pair.folder, &["user", "unlock", "demo"]);

    // Its next code, and a recovery code, each for several logins.
    let next = app.code_at(begun + 30);
    for (member, proof) in [("code", next), ("recovery_code", app.codes[0].clone())] {
        let tokens = pair.begin().await;
        let bodies = tokens.iter().cycle().take(AT_ONCE);
        let bodies = bodies.map(|token| json!({ "mfa_token": token, member: proof }));
        pair.one_of("/login/second-factor", "", 200, bodies.collect()).await;
        run(&pair.folder, &["user", "unlock", "demo"]);
    }
    assert_eq!(pair.count("recovery_code_used"), "1");

    // The token of one login, with another proof each.
    let token = pair.begin().await.remove(0);
    let bodies = app.codes[1..].iter().cycle().take(AT_ONCE);
    let bodies = bodies.map(|code| json!({ "mfa_token": token, "recovery_code": code }));
    let (_, done) = pair.one_of("/login/second-factor", "", 200, bodies.collect()).await;
    assert_eq!(pair.count("recovery_code_used"), "2");
    run(&pair.folder, &["user", "unlock", "demo"]);

    // The challenge of a registration.
    let (token, mut phone) = (done.field("access_token"), Authenticator::new());
    phone.counter = 1;
    let options = of_user(url, "POST", "/passkeys/options", &token, json!({})).await;
    let answer = |options: &Answer, credential: Value| {
        let challenge = options.field("challenge_token");
        json!({ "challenge_token": challenge, "credential": credential, "name": "Phone" })
    };
    let body = answer(&options, phone.register(&options.json()["public_key"]));
    pair.one_of("/passkeys", &token, 201, same(&body)).await;
    assert_eq!(pair.count("passkey_added"), "1");

    // The challenge of a login with the passkey alone, and one of step-up.
    for refresh_token in [None, Some(done.refresh_token())] {
        let options = post_json(url, "/login/passkey/options", &json!({})).await;
        let mut body = answer(&options, phone.answer(&options.json()["public_key"]));
        body.as_object_mut().unwrap().remove("name");
        let path = match refresh_token {
            None => "/login/passkey",
            Some(token) => {
                body["refresh_token"] = token.into();
                "/login/again"
            }
        };
        pair.one_of(path, "", 200, same(&body)).await;
        run(&pair.folder, &["user", "unlock", "demo"]);
    }
    assert_eq!(pair.count("passkey_counter_back"), "0");
    for issuer in pair.issuers {
        assert!(issuer.stop().success());
    }
}
