//! Requests about accounts whose COMMIT is lost on the way to PostgreSQL, or whose answer is lost on the
//! way back. [What their users do](../../docs/issuer.md#lost-responses)

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use countersign_issuer::{AdminApi, Config, SecondFactorPolicy};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::authenticator::{Authenticator, ORIGIN};
use crate::cluster::{execute, is_left_out, new_database};
use crate::common::{
    Answer, PASSWORD, Server, client, command, post_form, post_json, refresh, send,
};
use crate::common::{stderr, stdout, use_database};
use crate::lossy_proxy::Fault::{self, Cut, Lose};
use crate::lossy_proxy::LossyProxy;
use crate::second_factor::{App, by_recovery_code, codes, of_user, second};

const NEW: &str = "seven lanterns under plum trees";

/// The kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Login,
    Code,
    RecoveryCode,
    /// An app that a login sets up.
    Enrolment,
    SecondPasskey,
    Passkey,
    Again,
    AgainByPasskey,
    ConfirmApp,
    /// The user has a passkey with recovery codes.
    ConfirmSecondFactor,
    NewCodes,
    RemoveApp,
    AddPasskey,
    RemovePasskey,
    ChangePassword,
    ResetPassword,
    AddUser,
    AddClient,
}

/// A row of the table: a request, and its answers.
struct Row {
    kind: Kind,
    /// A text of its last transaction.
    text: &'static str,
    status: u16,
    /// The answer to the same request after one that was done.
    again: (u16, &'static str),
}

const fn row(kind: Kind, text: &'static str, status: u16, again: (u16, &'static str)) -> Row {
    Row { kind, text, status, again }
}

const OVER: (u16, &str) = (401, "invalid_grant");

const ROWS: [Row; 18] = [
    row(Kind::Login, "INSERT INTO countersign.sessions", 200, (200, "")),
    row(Kind::Code, "UPDATE countersign.totps SET last_step", 200, OVER),
    row(Kind::RecoveryCode, "UPDATE countersign.recovery_codes SET used_by", 200, OVER),
    row(Kind::Enrolment, "UPDATE countersign.totps SET confirmed_at", 200, OVER),
    row(Kind::SecondPasskey, "UPDATE countersign.passkeys SET credential", 200, OVER),
    row(Kind::Passkey, "UPDATE countersign.passkeys SET credential", 200, OVER),
    row(Kind::Again, "UPDATE countersign.sessions SET authenticated_at", 200, (200, "")),
    row(Kind::AgainByPasskey, "UPDATE countersign.sessions SET authenticated_at", 200, OVER),
    row(Kind::ConfirmApp, "UPDATE countersign.totps SET confirmed_at", 200, (409, "conflict")),
    row(
        Kind::ConfirmSecondFactor,
        "UPDATE countersign.totps SET confirmed_at",
        200,
        (409, "conflict"),
    ),
    row(Kind::NewCodes, "INSERT INTO countersign.recovery_codes", 200, (200, "")),
    row(Kind::RemoveApp, "DELETE FROM countersign.totps", 204, (204, "")),
    row(Kind::AddPasskey, "INSERT INTO countersign.passkeys", 201, (400, "invalid_request")),
    row(Kind::RemovePasskey, "DELETE FROM countersign.passkeys", 204, (404, "not_found")),
    row(Kind::ChangePassword, "UPDATE countersign.users SET name", 204, (400, "invalid_grant")),
    row(Kind::ResetPassword, "UPDATE countersign.users SET name", 204, (400, "invalid_grant")),
    row(Kind::AddUser, "INSERT INTO countersign.idempotency", 201, (201, "")),
    row(Kind::AddClient, "INSERT INTO countersign.idempotency", 201, (201, "")),
];

/// Two issuers on one database, one of them through a proxy.
struct World {
    through: Server,
    other: Server,
    proxy: Arc<LossyProxy>,
    direct: String,
    /// The id and the secret of a client for the Admin API.
    operator: [String; 2],
}

/// A user with their things, and the request that meets the fault.
struct Asked {
    name: String,
    method: Method,
    path: &'static str,
    token: String,
    body: Value,
    app: Option<App>,
    phone: Option<Authenticator>,
    /// The answer to a login of the user.
    session: Option<Answer>,
}

impl World {
    async fn new() -> Self {
        let direct = new_database();
        let (proxy, url) = LossyProxy::start(&direct).await;
        let change = |config: &mut Config| {
            config.issuer = Some("http://localhost:1".to_owned());
            config.cors_origins = vec![ORIGIN.parse().unwrap()];
            config.admin_api = AdminApi::Public;
            config.login_rate = 10_000;
            config.second_factor = SecondFactorPolicy::Scopes(vec!["enrol".to_owned()]);
        };
        let server = async |url: &str| {
            let folder = TempDir::new().unwrap();
            use_database(folder.path(), url);
            Server::over(folder, |config, _| change(config)).await
        };
        let (other, through) = (server(&direct).await, server(&url).await);
        let scope = ["client", "add", "operator", "--scope", "countersign:admin", "--json"];
        let done = command(other.folder.path(), &scope, "");
        let new: Value = serde_json::from_str(&stdout(&done)).unwrap();
        let operator = ["client_id", "client_secret"];
        let operator = operator.map(|member| new[member].as_str().unwrap().to_owned());
        Self { through, other, proxy, direct, operator }
    }

    /// Returns an access token for the Admin API.
    async fn admin(&self) -> String {
        let [id, secret] = &self.operator;
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", "http://localhost:1"),
            ("client_id", id),
            ("client_secret", secret),
        ];
        let answer = post_form(&self.other.url, "/token", &form).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.field("access_token")
    }

    fn now(&self) -> u64 {
        self.other.clock.load(Ordering::Relaxed)
    }

    /// Lets time pass, so that the next codes of apps are new.
    fn pass(&self) {
        for server in [&self.other, &self.through] {
            server.clock.fetch_add(30, Ordering::Relaxed);
        }
    }

    async fn log_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({ "username": name, "password": password });
        post_json(&self.other.url, "/login", &body).await
    }

    /// Begins a login with a second factor.
    async fn begin(&self, name: &str) -> String {
        let asked = self.log_in(name, PASSWORD).await;
        asked.refused(401, "mfa_required");
        asked.field("mfa_token")
    }

    async fn log_in_by_code(&self, name: &str, app: &App) -> Answer {
        self.pass();
        let token = self.begin(name).await;
        let done = second(&self.other.url, &token, &app.code_at(self.now())).await;
        assert_eq!(done.status, 200, "{done:?}");
        done
    }

    async fn log_in_by_passkey(&self, phone: &mut Authenticator) -> Answer {
        let answer = self.passkey_answer(phone, json!({})).await;
        let done = post_json(&self.other.url, "/login/passkey", &answer).await;
        assert_eq!(done.status, 200, "{done:?}");
        done
    }

    async fn ask_admin(&self, path: &str, body: &Value) -> Answer {
        let request = client().post(format!("{}/admin/v1{path}", self.other.url));
        send(request.bearer_auth(self.admin().await).json(body)).await
    }

    /// Returns the members of a request with the answer to a challenge.
    async fn passkey_answer(&self, phone: &mut Authenticator, body: Value) -> Value {
        let options = post_json(&self.other.url, "/login/passkey/options", &body).await;
        assert_eq!(options.status, 200, "{options:?}");
        let credential = phone.answer(&options.json()["public_key"]);
        json!({ "challenge_token": options.field("challenge_token"), "credential": credential })
    }

    /// Returns the body of a registration.
    async fn registration(&self, token: &str, phone: &mut Authenticator) -> Value {
        let options = of_user(&self.other.url, "POST", "/passkeys/options", token, json!({})).await;
        assert_eq!(options.status, 200, "{options:?}");
        let credential = phone.register(&options.json()["public_key"]);
        let challenge = options.field("challenge_token");
        json!({ "challenge_token": challenge, "credential": credential, "name": "Phone" })
    }

    async fn register(&self, token: &str) -> (Authenticator, Vec<String>) {
        let mut phone = Authenticator::new();
        // It counts.
        phone.counter = 1;
        let body = self.registration(token, &mut phone).await;
        let added = of_user(&self.other.url, "POST", "/passkeys", token, body).await;
        assert_eq!(added.status, 201, "{added:?}");
        (phone, codes(&added))
    }

    /// Sets up an app. Its first code is used.
    async fn set_up(&self, token: &str) -> App {
        let mut app = App::new(&of_user(&self.other.url, "POST", "/totp", token, json!({})).await);
        let code = json!({ "code": app.code_at(self.now()) });
        let confirmed = of_user(&self.other.url, "POST", "/totp/confirm", token, code).await;
        app.codes = codes(&confirmed);
        self.pass();
        app
    }

    /// Makes a user, and the request that meets the fault.
    async fn prepare(&self, kind: Kind, number: usize) -> Asked {
        let name = format!("user{number}");
        let scope = if kind == Kind::Enrolment { "enrol" } else { "read" };
        let user = json!({ "name": name, "password": PASSWORD, "scope": scope });
        let added = self.ask_admin("/users", &user).await;
        assert_eq!(added.status, 201, "{added:?}");
        let mut asked = Asked {
            name: name.clone(),
            method: Method::POST,
            path: "/login/second-factor",
            token: String::new(),
            body: json!({}),
            app: None,
            phone: None,
            session: None,
        };
        let url = &self.other.url;
        if ![Kind::Enrolment, Kind::AddUser, Kind::AddClient].contains(&kind) {
            let session = self.log_in(&name, PASSWORD).await;
            asked.token = session.field("access_token");
            asked.session = Some(session);
        }
        match kind {
            Kind::Login => {
                asked.path = "/login";
                asked.body = json!({ "username": name, "password": PASSWORD });
            }
            Kind::Code => {
                let app = self.set_up(&asked.token).await;
                let (token, code) = (self.begin(&name).await, app.code_at(self.now()));
                asked.body = json!({ "mfa_token": token, "code": code });
                asked.app = Some(app);
            }
            Kind::RecoveryCode => {
                let app = self.set_up(&asked.token).await;
                let token = self.begin(&name).await;
                asked.body = json!({ "mfa_token": token, "recovery_code": app.codes[0] });
                asked.app = Some(app);
            }
            Kind::Enrolment => {
                let token = self.begin(&name).await;
                let begun = json!({ "mfa_token": token });
                let app = App::new(&post_json(url, "/login/totp", &begun).await);
                asked.body = json!({ "mfa_token": token, "code": app.code_at(self.now()) });
                asked.app = Some(app);
            }
            Kind::SecondPasskey => {
                let (mut phone, _) = self.register(&asked.token).await;
                let token = json!({ "mfa_token": self.begin(&name).await });
                asked.body = self.passkey_answer(&mut phone, token.clone()).await;
                asked.body["mfa_token"] = token["mfa_token"].clone();
                asked.phone = Some(phone);
            }
            Kind::Passkey => {
                let (mut phone, _) = self.register(&asked.token).await;
                asked.path = "/login/passkey";
                asked.body = self.passkey_answer(&mut phone, json!({})).await;
                asked.phone = Some(phone);
            }
            Kind::Again => {
                self.pass();
                asked.path = "/login/again";
                let token = asked.session.as_ref().unwrap().refresh_token();
                asked.body = json!({ "refresh_token": token, "password": PASSWORD });
            }
            Kind::AgainByPasskey => {
                let (mut phone, _) = self.register(&asked.token).await;
                self.pass();
                asked.path = "/login/again";
                asked.body = self.passkey_answer(&mut phone, json!({})).await;
                let token = asked.session.as_ref().unwrap().refresh_token();
                asked.body["refresh_token"] = token.into();
                asked.phone = Some(phone);
            }
            Kind::ConfirmApp | Kind::ConfirmSecondFactor => {
                if kind == Kind::ConfirmSecondFactor {
                    asked.phone = Some(self.register(&asked.token).await.0);
                }
                let app = App::new(&of_user(url, "POST", "/totp", &asked.token, json!({})).await);
                asked.path = "/totp/confirm";
                asked.body = json!({ "code": app.code_at(self.now()) });
                asked.app = Some(app);
            }
            Kind::NewCodes => {
                asked.app = Some(self.set_up(&asked.token).await);
                asked.path = "/recovery-codes";
            }
            Kind::RemoveApp => {
                asked.app = Some(self.set_up(&asked.token).await);
                (asked.method, asked.path) = (Method::DELETE, "/totp");
            }
            Kind::AddPasskey => {
                let mut phone = Authenticator::new();
                asked.path = "/passkeys";
                asked.body = self.registration(&asked.token, &mut phone).await;
                asked.phone = Some(phone);
            }
            Kind::RemovePasskey => {
                let (phone, _) = self.register(&asked.token).await;
                let listed = of_user(url, "GET", "/factors", &asked.token, json!({})).await;
                let id = listed.json()["passkeys"][0]["id"].as_str().unwrap().to_owned();
                asked.method = Method::DELETE;
                asked.path = format!("/passkeys/{id}").leak();
                asked.phone = Some(phone);
            }
            Kind::ChangePassword => {
                asked.path = "/password";
                asked.body = json!({ "current_password": PASSWORD, "new_password": NEW });
            }
            Kind::ResetPassword => {
                let path = format!("/users/{}/password-reset", added.field("sub"));
                let token = self.ask_admin(&path, &json!({})).await.field("token");
                assert!(!token.is_empty());
                asked.path = "/password/reset";
                asked.body = json!({ "token": token, "new_password": NEW });
            }
            Kind::AddUser | Kind::AddClient => {
                asked.token = self.admin().await;
                asked.name = format!("new{number}");
                asked.path = "/admin/v1/users";
                asked.body = json!({ "name": asked.name, "password": PASSWORD });
                if kind == Kind::AddClient {
                    asked.path = "/admin/v1/clients";
                    asked.body = json!({ "name": asked.name, "scope": "read" });
                }
            }
        }
        asked
    }

    /// Sends the request to the issuer behind the proxy.
    async fn ask(&self, asked: &Asked) -> Answer {
        self.ask_at(&self.through, asked).await
    }

    async fn ask_at(&self, server: &Server, asked: &Asked) -> Answer {
        let request =
            client().request(asked.method.clone(), format!("{}{}", server.url, asked.path));
        let request =
            if asked.method == Method::POST { request.json(&asked.body) } else { request };
        let request = request.header("idempotency-key", &asked.name);
        let is_of_user = !asked.path.starts_with("/login") && asked.path != "/password/reset";
        send(if is_of_user { request.bearer_auth(&asked.token) } else { request }).await
    }

    /// Asserts that a request was done once. `answer` is what the user got, or that to the same request
    /// later.
    async fn is_done(&self, kind: Kind, asked: &mut Asked, answer: &Answer) {
        let url = &self.other.url;
        let (token, name) = (asked.token.clone(), asked.name.clone());
        let new_codes = async |token: &str| {
            codes(&of_user(url, "POST", "/recovery-codes", token, json!({})).await)
        };
        let left = async |token: &str| {
            let factors = of_user(url, "GET", "/factors", token, json!({})).await.json();
            factors["recovery_codes"].as_u64().unwrap()
        };
        let by =
            async |code: &str| by_recovery_code(url, &self.begin(&name).await, code).await.status;
        match kind {
            Kind::Login => {
                let sessions = of_user(url, "GET", "/sessions", &token, json!({})).await.json();
                // With that from before.
                assert!(sessions["sessions"].as_array().unwrap().len() >= 2, "{sessions}");
            }
            Kind::Code => {
                let app = asked.app.as_ref().unwrap();
                let used = second(url, &self.begin(&name).await, &app.code_at(self.now())).await;
                used.refused(401, "invalid_grant");
                self.log_in_by_code(&name, app).await;
            }
            Kind::RecoveryCode => {
                let app = asked.app.as_ref().unwrap();
                assert_eq!(by(&app.codes[0]).await, 401);
                assert_eq!(by(&app.codes[1]).await, 200);
            }
            Kind::Enrolment | Kind::ConfirmApp => {
                let app = asked.app.as_ref().unwrap();
                // If nobody saw the codes, the user makes others.
                let codes = if answer.status == 200 {
                    codes(answer)
                } else {
                    let done = self.log_in_by_code(&name, app).await;
                    new_codes(&done.field("access_token")).await
                };
                assert_eq!(by(&codes[0]).await, 200);
                self.log_in_by_code(&name, app).await;
            }
            Kind::ConfirmSecondFactor => {
                assert!(answer.json().get("recovery_codes").is_none(), "{answer:?}");
                assert_eq!(left(&token).await, 10);
                self.log_in_by_code(&name, asked.app.as_ref().unwrap()).await;
            }
            Kind::NewCodes => {
                assert_eq!(by(&asked.app.as_ref().unwrap().codes[0]).await, 401);
                assert_eq!(by(&codes(answer)[0]).await, 200);
            }
            Kind::RemoveApp | Kind::RemovePasskey => {
                assert_eq!(self.log_in(&name, PASSWORD).await.status, 200);
                assert_eq!(left(&token).await, 0);
            }
            Kind::SecondPasskey | Kind::Passkey | Kind::AgainByPasskey => {
                self.ask_at(&self.other, asked).await.refused(401, "invalid_grant");
                self.log_in_by_passkey(asked.phone.as_mut().unwrap()).await;
            }
            Kind::Again => {
                assert_eq!(answer.claims()["auth_time"], self.now());
                refresh(url, asked.body["refresh_token"].as_str().unwrap()).await.refresh_token();
            }
            Kind::AddPasskey => {
                let listed = of_user(url, "GET", "/factors", &token, json!({})).await.json();
                assert_eq!(listed["passkeys"].as_array().unwrap().len(), 1, "{listed}");
                assert_eq!(left(&token).await, 10);
                self.log_in_by_passkey(asked.phone.as_mut().unwrap()).await;
                let codes =
                    if answer.status == 201 { codes(answer) } else { new_codes(&token).await };
                assert_eq!(by(&codes[0]).await, 200);
            }
            Kind::ChangePassword | Kind::ResetPassword => {
                self.log_in(&name, PASSWORD).await.refused(401, "invalid_grant");
                assert_eq!(self.log_in(&name, NEW).await.status, 200);
                let session = asked.session.as_ref().unwrap().refresh_token();
                let stays = refresh(url, &session).await.status == 200;
                assert_eq!(stays, kind == Kind::ChangePassword);
            }
            Kind::AddUser | Kind::AddClient => {
                let again = self.ask_at(&self.other, asked).await;
                assert_eq!((again.status, &again.text), (201, &answer.text));
                let table = if kind == Kind::AddUser { "users" } else { "clients" };
                let count =
                    format!("SELECT count(*) FROM countersign.{table} WHERE name = '{name}'");
                assert_eq!(execute(&self.direct, &count), ["1"]);
            }
        }
    }
}

/// Runs each row of the table with the faults, and asserts that the user gets the answer as without them.
async fn each_is_done_once(faults: &'static [Fault]) {
    if is_left_out() {
        return;
    }
    let world = World::new().await;
    for (number, row) in ROWS.iter().enumerate() {
        let mut asked = world.prepare(row.kind, number).await;
        world.proxy.break_at(row.text, faults);
        let answer = world.ask(&asked).await;
        assert_eq!(answer.status, row.status, "{:?}: {answer:?}", row.kind);
        assert!(world.proxy.is_done(), "{:?} has no such COMMIT", row.kind);
        world.is_done(row.kind, &mut asked, &answer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_commit_did_not_arrive_is_done_once() {
    each_is_done_once(&[Cut]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_commit_was_not_acknowledged_is_done_once() {
    each_is_done_once(&[Lose]).await;
}

/// Runs each row of the table with a fault after which the database is away for a moment.
async fn each_can_be_repeated(fault: Fault) {
    if is_left_out() {
        return;
    }
    let world = World::new().await;
    world.proxy.close_after_faults(true);
    for (number, row) in ROWS.iter().enumerate() {
        let mut asked = world.prepare(row.kind, number).await;
        world.proxy.break_at(row.text, &[fault]);
        let answer = world.ask(&asked).await;
        answer.refused(503, "temporarily_unavailable");
        assert!(answer.text.contains("may have been made"), "{:?}: {answer:?}", row.kind);
        assert!(!answer.header("retry-after").is_empty());
        assert!(world.proxy.is_done(), "{:?} has no such COMMIT", row.kind);
        world.proxy.open();
        // Each issuer answers the same request in the same way.
        let servers = [&world.through, &world.other];
        let again = world.ask_at(servers[number % 2], &asked).await;
        if fault == Lose {
            let error = if again.text.is_empty() { String::new() } else { again.field("error") };
            assert_eq!((again.status, error.as_str()), row.again, "{:?}", row.kind);
        } else {
            assert_eq!(again.status, row.status, "{:?}: {again:?}", row.kind);
        }
        world.is_done(row.kind, &mut asked, &again).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_not_done_in_an_outage_can_be_repeated() {
    each_can_be_repeated(Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_locked_out_by_a_request_that_was_done_in_an_outage() {
    each_can_be_repeated(Lose).await;
}

/// An import stops, says so, and goes on with the same file.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_not_confirmed_is_resumed() {
    if is_left_out() {
        return;
    }
    let direct = new_database();
    let (proxy, through) = LossyProxy::start(&direct).await;
    let folder = TempDir::new().unwrap();
    use_database(folder.path(), &through);
    let hash = "$2b$04$W25P4Ffr1xkX/GwZUTgE0.XXKsWzfpNtAPvycPd2k6OLD9ujvCVaG";
    let line = |n| format!("{{\"name\":\"user{n}\",\"password_hash\":\"{hash}\"}}\n");
    let lines: String = (0..1200).map(line).collect();
    proxy.close_after_faults(true);
    let count = |of: &str| {
        execute(&direct, &format!("SELECT count(*) FROM countersign.{of}"))[0]
            .parse::<usize>()
            .unwrap()
    };
    let import = || command(folder.path(), &["user", "import", "-"], &lines);
    for (fault, pass) in [(Cut, 0), (Lose, 0), (Cut, 1), (Lose, 1)] {
        let faults = [vec![Fault::Pass; pass], vec![fault]].concat();
        proxy.break_at("INSERT INTO countersign.users", &faults);
        let stopped = import();
        assert_eq!(stopped.status.code(), Some(3), "{}", stderr(&stopped));
        proxy.open();
    }
    let done = import();
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!((count("users"), count("audit WHERE event = 'user_added'")), (1200, 1200));
}

/// Nobody knows if the login undid its own failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_an_outage_takes_back_no_failure_of_others() {
    if is_left_out() {
        return;
    }
    let world = World::new().await;
    let asked = world.prepare(Kind::Login, 0).await;
    let counted = || {
        let count = "SELECT coalesce(sum(failures), 0) FROM countersign.login_failures";
        execute(&world.direct, count).remove(0)
    };
    for _ in 0..2 {
        world.log_in(&asked.name, "wrong").await.refused(401, "invalid_grant");
    }
    // Two for the network, and two for all networks together.
    assert_eq!(counted(), "4");
    world.proxy.close_after_faults(true);
    // The login that was done has deleted the counter of the network.
    for fault in [Lose, Cut] {
        world.proxy.break_at("INSERT INTO countersign.sessions", &[fault]);
        world.ask(&asked).await.refused(503, "temporarily_unavailable");
        world.proxy.open();
        let recovered = Instant::now();
        while counted() != "2" {
            assert!(recovered.elapsed() < Duration::from_secs(20), "{fault:?}: {}", counted());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // Those that wait are taken back one after the other.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counted(), "2");
}
