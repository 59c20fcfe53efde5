//! The log: its lines for each request, and the absence of secrets in log, metrics and audit log.

use std::collections::HashSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::cluster::{DATABASE_PASSWORD, execute};
use crate::common::{Answer, Backend, PASSWORD, Process, binary, client};
use crate::common::{database, folder, folder_on, get, login, over_both, post_form, post_json};
use crate::common::{refresh, send, stderr, stdout};
use crate::watch::{metrics, process_with_admin};

over_both!(no_secret_is_in_the_trace_log_the_metrics_or_the_audit_log);

/// Returns the log of the issuer in `folder`.
pub(crate) fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("issuer.log")).unwrap()
}

#[tokio::test]
async fn each_response_has_the_request_id_of_its_log_lines() {
    let folder = folder();
    let mut json_lines = binary(folder.path());
    json_lines.args(["--log-format", "json", "--trusted-proxies", "127.0.0.1"]);
    let process = Process::with(folder.path(), json_lines);
    let first = login(&process.url).await.refresh_token();
    let second = refresh(&process.url, &first).await.refresh_token();
    refresh(&process.url, &second).await.refresh_token();
    let reused = refresh(&process.url, &first).await;
    reused.refused(400, "invalid_grant");
    let named = client().get(format!("{}/healthz/live", process.url)).header("x-request-id", "a-1");
    let named = send(named).await;
    assert_eq!(named.header("x-request-id"), "a-1");
    process.stop();

    let log = log(folder.path());
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    let of = |answer: &Answer| {
        let id = answer.header("x-request-id");
        lines.iter().filter(|line| line["span"]["id"] == id).collect::<Vec<_>>()
    };
    let [warning, request] = of(&reused)[..] else { panic!("{log}") };
    assert_eq!(warning["level"], "WARN");
    assert_eq!(warning["message"], "a replaced refresh token was used; its session is ended");
    assert_eq!(
        (&request["method"], &request["path"], &request["status"]),
        (&json!("POST"), &json!("/token"), &json!(400))
    );
    let [request] = of(&named)[..] else { panic!("{log}") };
    assert_eq!(request["path"], "/healthz/live");
}

#[tokio::test]
async fn a_log_of_warnings_has_no_request_lines_but_its_warnings_have_the_request_id() {
    let folder = folder();
    let mut warnings = binary(folder.path());
    warnings.args(["--log-level", "warn"]);
    let process = Process::with(folder.path(), warnings);
    let first = login(&process.url).await.refresh_token();
    let second = refresh(&process.url, &first).await.refresh_token();
    refresh(&process.url, &second).await.refresh_token();
    let reused = refresh(&process.url, &first).await;
    process.stop();
    let log = log(folder.path());
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(&format!("id=\"{}\"", reused.header("x-request-id"))), "{log}");
}

#[tokio::test]
async fn an_x_forwarded_for_that_is_unreadable_is_logged_once_and_not_quoted() {
    let folder = folder();
    let mut command = binary(folder.path());
    command.env("COUNTERSIGN_TRUSTED_PROXIES", "127.0.0.1");
    let process = Process::with(folder.path(), command);
    let warning = "sent an entry in X-Forwarded-For that is not an address";
    let ask = async |entry| {
        let url = format!("{}/healthz/live", process.url);
        send(client().get(url).header("x-forwarded-for", entry)).await
    };
    for entry in
        ["198.51.100.7:4431", "[2001:db8::1]:443", "\"[2001:db8::1]\"", "fe80::1%eth0", "1.2.3.4,"]
    {
        assert_eq!(ask(entry).await.status, 200);
    }
    assert!(!log(folder.path()).contains(warning));
    for _ in 0..3 {
        assert_eq!(ask("not-an-address").await.status, 200);
    }
    process.stop();
    let log = log(folder.path());
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(!log.contains("not-an-address"), "{log}");
}

#[tokio::test]
async fn the_log_has_a_line_for_each_request() {
    let folder = folder();
    let process = Process::start(folder.path());
    login(&process.url).await.refresh_token();
    let body = json!({ "username": "demo", "password": "a wrong password in clear" });
    post_json(&process.url, "/login", &body).await.refused(401, "invalid_grant");
    get(&process.url, "/nothing").await.refused(404, "not_found");
    let method = reqwest::Method::from_bytes(b"UNKNOWN").unwrap();
    let request = client().request(method, format!("{}/login", process.url));
    send(request).await.refused(405, "method_not_allowed");
    process.stop();
    let log = log(folder.path());
    for line in [
        "method=\"POST\" path=\"/login\" status=200",
        "method=\"POST\" path=\"/login\" status=401",
        "method=\"GET\" path=\"-\" status=404",
        "method=\"-\" path=\"/login\" status=405",
    ] {
        assert!(log.contains(line), "{line} is not in {log}");
    }
}

#[tokio::test]
async fn an_issuer_whose_output_nobody_reads_answers_and_stops() {
    let folder = folder();
    let mut unread = binary(folder.path());
    // A free port: the log, which has the port otherwise, is not read.
    let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    unread.args(["--log-level", "info", "--admin-listen", &admin.to_string()]);
    let process = Process::logging(unread);
    let client = client();
    for _ in 0..1000 {
        let answer = send(client.get(format!("{}/healthz/live", process.url))).await;
        assert_eq!(answer.status, 200);
    }
    let metrics = metrics(&format!("http://{admin}")).await;
    assert!(metrics.contains_key("countersign_log_lines_lost_total"), "{metrics:#?}");
    assert!(process.stop().success());
}

/// The secrets that must appear nowhere, each with a name.
type Secrets = Vec<(&'static str, String)>;

async fn no_secret_is_in_the_trace_log_the_metrics_or_the_audit_log(backend: Backend) {
    for format in ["text", "json"] {
        let folder = folder_on(backend);
        let path = folder.path();
        let said = use_everything(path, format).await;
        let mut secrets = said.secrets;
        if backend == Backend::Sqlite {
            let key = fs::read_to_string(path.join("countersign.db.master-key")).unwrap();
            secrets.push(("the master key", key.trim().to_owned()));
        } else {
            secrets.push(("the database's password", DATABASE_PASSWORD.to_owned()));
            secrets.push(("the master key", "AQEBAQEBAQEB".to_owned()));
        }
        let keys = rows(path).into_iter().filter(|(event, _)| event.starts_with("key_"));
        let kids: HashSet<_> = keys.map(|(_, kid)| kid).collect();
        assert!(kids.len() >= 2, "{kids:?}");
        let places = [
            ("log", log(path) + &said.stderr),
            ("metrics", said.metrics),
            ("audit", audited(path)),
        ];
        for (place, text) in &places {
            assert!(text.len() > 200, "the {place} is nearly empty: {text}");
            for (name, secret) in &secrets {
                assert!(secret.len() >= 8, "{name} is too short for a search: {secret:?}");
                assert!(!text.contains(secret.as_str()), "{name} is in the {place}: {text}");
            }
            // Parts of private keys and other secrets, in base64, in hexadecimal, or as a printed
            // list of bytes. Ordinary names have no digits.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_+/".contains(c);
            let is_long =
                |word: &&str| word.len() > 32 && word.contains(|c: char| c.is_ascii_digit());
            for word in text.split(|c| !plain(c)).filter(is_long) {
                assert!(kids.contains(word), "{word} is in the {place}: {text}");
            }
            let numbers = text.split(", ").filter(|one| one.parse::<u8>().is_ok()).count();
            assert!(numbers < 5, "bytes are in the {place}: {text}");
        }
        assert!(log(path).contains("DEBUG"), "the log level was not the lowest one");
    }
}

/// The traces of [`use_everything`].
struct Said {
    secrets: Secrets,
    metrics: String,
    /// The output of all commands.
    stderr: String,
}

/// Uses every function of an issuer, with right and with wrong input.
async fn use_everything(folder: &Path, format: &str) -> Said {
    let settings = [("COUNTERSIGN_LOG_LEVEL", "trace"), ("COUNTERSIGN_LOG_FORMAT", format)];
    let mut said = Said { secrets: Vec::new(), metrics: String::new(), stderr: String::new() };
    let mut run = |arguments: &[&str], input: &str| {
        let mut command = binary(folder);
        command.envs(settings).args(arguments).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let written = std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            format!("{input}\n").as_bytes(),
        );
        // A command that fails before it reads closes its stdin.
        let _ = written;
        let done = child.wait_with_output().unwrap();
        said.stderr += &stderr(&done);
        stdout(&done)
    };
    let keep = |secrets: &mut Secrets, name, secret: &str| secrets.push((name, secret.to_owned()));
    let mut secrets = vec![("the password", PASSWORD.to_owned())];
    let other_password = "canary of another password";
    keep(&mut secrets, "a new password", other_password);
    keep(&mut secrets, "the user's name", "canary-known");
    run(&["user", "add", "canary-known", "--scope", "read write"], PASSWORD);
    let added = run(&["client", "add", "worker", "--scope", "read", "--json"], "");
    let added: Value = serde_json::from_str(&added).unwrap();
    let (id, secret) =
        (added["client_id"].as_str().unwrap(), added["client_secret"].as_str().unwrap());
    keep(&mut secrets, "the client's secret", secret);
    keep(&mut secrets, "Basic", &STANDARD.encode(format!("{id}:{secret}")));

    let (process, admin) = {
        let mut command = binary(folder);
        command.envs(settings);
        process_with_admin(folder, command, "127.0.0.1:0")
    };
    let url = &process.url;
    let log_in = async |body: Value| post_json(url, "/login", &body).await;
    for session in ["token", "cookie"] {
        let body = json!({ "username": "canary-known", "password": PASSWORD, "session": session });
        let answer = log_in(body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        keep(&mut secrets, "an access token", &answer.field("access_token"));
        if session == "cookie" {
            let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
            keep(&mut secrets, "the cookie", cookie.split_once('=').unwrap().1);
            let token = client().post(format!("{url}/token")).header("cookie", &cookie);
            let refreshed = send(token.form(&[("grant_type", "refresh_token")])).await;
            assert_eq!(refreshed.status, 200, "{refreshed:?}");
            let logout = client().post(format!("{url}/logout")).header("cookie", &cookie);
            assert_eq!(send(logout).await.status, 204);
        }
    }
    let wrong = "canary-of-a-wrong-password";
    keep(&mut secrets, "a wrong password", wrong);
    keep(&mut secrets, "an unknown name", "canary-unknown");
    log_in(json!({ "username": "canary-known", "password": wrong })).await;
    log_in(json!({ "username": "canary-unknown", "password": PASSWORD })).await;
    log_in(json!({ "username": PASSWORD, "password": "" })).await;
    log_in(json!({ "username": [wrong], "password": { "password": wrong } })).await;
    for body in [format!("{{\"password\": \"{wrong}"), format!("password={wrong}&password={wrong}")]
    {
        for (path, kind) in
            [("/login", "application/json"), ("/token", "application/x-www-form-urlencoded")]
        {
            let request = client().post(format!("{url}{path}")).body(body.clone());
            send(request.header("content-type", kind)).await;
        }
    }

    let own_password = "canary of lanterns under trees";
    keep(&mut secrets, "a password of the user's own", own_password);
    let reset_password = "canary of trees over lanterns";
    keep(&mut secrets, "a password of a reset", reset_password);
    let answer = log_in(json!({ "username": "canary-known", "password": PASSWORD })).await;
    let token = answer.field("access_token");
    keep(&mut secrets, "a user's access token", &token);
    for (current, new, status) in
        [(wrong, own_password, 400), (PASSWORD, "canary-known", 400), (PASSWORD, own_password, 204)]
    {
        let body = json!({ "current_password": current, "new_password": new });
        let request = client().post(format!("{url}/password")).bearer_auth(&token).json(&body);
        assert_eq!(send(request).await.status, status, "{current} {new}");
    }
    let sessions = client().get(format!("{url}/sessions?cursor={token}")).bearer_auth(&token);
    send(sessions).await.refused(400, "invalid_request");
    let reset: Value =
        serde_json::from_str(&run(&["user", "reset", "canary-known", "--json"], "")).unwrap();
    let reset = reset["token"].as_str().unwrap();
    keep(&mut secrets, "a token for a reset", reset);
    for (new, status) in [("canary-known", 400), (reset_password, 204)] {
        let body = json!({ "token": reset, "new_password": new });
        assert_eq!(post_json(url, "/password/reset", &body).await.status, status, "{new}");
    }

    let answer = login(url).await;
    let (access, first) = (answer.field("access_token"), answer.refresh_token());
    let second = refresh(url, &first).await.refresh_token();
    let third = refresh(url, &second).await.refresh_token();
    for form in [[("token", &access)], [("token", &third)]] {
        let request = client().post(format!("{url}/introspect")).basic_auth(id, Some(secret));
        assert_eq!(send(request.form(&form)).await.status, 200);
    }
    post_form(url, "/revoke", &[("token", &access)]).await.refused(400, "unsupported_token_type");
    refresh(url, &first).await.refused(400, "invalid_grant");
    for token in [&access, &first, &second, &third] {
        keep(&mut secrets, "a token", token);
        post_form(url, "/logout", &[("refresh_token", token.as_str())]).await;
        get(url, &format!("/{token}?token={token}")).await.refused(404, "not_found");
        let method = reqwest::Method::from_bytes(token.replace('.', "-").as_bytes()).unwrap();
        let mut request = client().request(method, format!("{url}/login"));
        for name in ["authorization", "x-request-id", "x-forwarded-for", "cookie", "origin"] {
            request = request.header(name, token);
        }
        send(request).await.refused(405, "method_not_allowed");
        garbage(url, token).await;
    }
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let answer = post_form(url, "/token", &form).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    keep(&mut secrets, "a client's token", &answer.field("access_token"));
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", wrong)];
    post_form(url, "/token", &form).await.refused(401, "invalid_client");
    said.metrics = get(&admin, "/metrics").await.text;
    process.stop();

    let rotated = run(&["client", "rotate", "worker", "--json"], "");
    let rotated: Value = serde_json::from_str(&rotated).unwrap();
    keep(&mut secrets, "another secret", rotated["client_secret"].as_str().unwrap());
    run(&["user", "passwd", "canary-known"], other_password);
    run(&["user", "lock", "canary-known"], "");
    run(&["client", "lock", "worker"], "");
    run(&["keys", "rotate"], "");
    let listed: Vec<Value> = serde_json::from_str(&run(&["keys", "list", "--json"], "")).unwrap();
    run(&["keys", "revoke", listed[0]["kid"].as_str().unwrap()], "");
    run(&["config", "check"], "");
    over_tls(folder, settings, &mut secrets).await;
    said.secrets = secrets;
    said
}

/// Sends malformed requests that contain `secret`.
async fn garbage(url: &str, secret: &str) {
    let address = url.split("://").nth(1).unwrap();
    for line in [
        format!("{secret}\r\n\r\n"),
        format!("POST /{secret} HTTP/9.9\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{secret} : x\r\nhost\r\n\r\n"),
        format!("POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 9{secret}\r\n\r\n"),
        format!("CONNECT {secret}:1 HTTP/1.1\r\nhost: x\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        // The server may close before it has read everything.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

/// Sends garbage to a TLS port, and then logs in over TLS.
async fn over_tls(folder: &Path, settings: [(&str, &str); 2], secrets: &mut Secrets) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_pem();
    fs::write(folder.join("key.pem"), &key).unwrap();
    secrets.push(("the certificate's key", key.lines().nth(1).unwrap().to_owned()));
    let mut command = binary(folder);
    command.envs(settings).args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let process = Process::with(folder, command);
    garbage(&process.url, "canary-of-garbage").await;
    secrets.push(("garbage", "canary-of-garbage".to_owned()));

    let body = json!({ "username": "demo", "password": PASSWORD }).to_string();
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = process.url.strip_prefix("https://").unwrap().parse().unwrap();
    let answer = exchange(address, made.cert.der().clone(), &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    let tokens: Value = serde_json::from_str(body).unwrap();
    secrets.push(("a token over TLS", tokens["refresh_token"].as_str().unwrap().to_owned()));
    process.stop();
}

async fn exchange(address: SocketAddr, root: CertificateDer<'static>, request: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn audited(folder: &Path) -> String {
    rows(folder).iter().map(|(event, subject)| format!("{event} {subject}\n")).collect()
}

/// Returns event and subject of each row of the audit log.
fn rows(folder: &Path) -> Vec<(String, String)> {
    let url = database(folder);
    let lines = if url.starts_with("postgres") {
        execute(&url, "SELECT event || ' ' || subject FROM countersign.audit ORDER BY id")
    } else {
        let db = rusqlite::Connection::open(folder.join("countersign.db")).unwrap();
        let mut all = db.prepare("SELECT event || ' ' || subject FROM audit ORDER BY id").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let split = |line: String| {
        let (event, subject) = line.split_once(' ').unwrap();
        (event.to_owned(), subject.to_owned())
    };
    lines.into_iter().map(split).collect()
}
