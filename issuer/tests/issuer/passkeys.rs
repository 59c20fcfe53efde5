//! Passkeys: registration, logins with a passkey alone, passkeys as second factors.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use countersign_issuer::Config;
use serde_json::{Value, json};

use crate::authenticator::{
    Assertion, Authenticator, BACKED_UP, BACKUP_ELIGIBLE, Key, ORIGIN, PRESENT, Registration,
    VERIFIED, cose,
};
use crate::common::{
    Answer, Backend, PASSWORD, START, Server, add_user, client, command, execute, folder_on, login,
    over_all, over_both, post_json, refresh, send, stderr, stdout,
};
use crate::watch::{admin, metrics};

over_all!(
    a_passkey_logs_its_user_in_alone,
    a_passkey_is_a_second_factor,
    a_challenge_works_once_and_for_its_holder,
    one_of_several_simultaneous_uses_of_an_answer_opens_a_session,
    a_counter_that_does_not_grow_opens_no_session_and_is_audited,
    a_passkey_authenticates_a_session_again,
);

over_both!(
    a_passkey_of_each_algorithm_logs_in_and_may_be_self_attested,
    a_malformed_registration_adds_nothing,
    a_wrong_answer_opens_no_session,
    a_user_has_at_most_20_passkeys_each_of_one_user,
    a_locked_user_is_refused_and_an_expired_password_does_not_matter,
    changes_of_passkeys_need_a_fresh_authentication,
    the_first_passkey_ends_all_other_sessions_and_makes_its_own_strong,
);

/// Starts an issuer whose passkeys are for pages at [`ORIGIN`]. Each request may come from another
/// network.
pub(crate) async fn server(backend: Backend) -> Server {
    let folder = folder_on(backend);
    add_user(folder.path(), "other");
    Server::over(folder, |config, _| pages(config)).await
}

fn pages(config: &mut Config) {
    config.cors_origins = vec![ORIGIN.parse().unwrap()];
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    config.login_rate = 1000;
}

async fn signed_in(url: &str, name: &str) -> String {
    let answer = post_json(url, "/login", &json!({ "username": name, "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.field("access_token")
}

async fn post_as(url: &str, token: &str, path: &str, body: &Value) -> Answer {
    send(client().post(format!("{url}{path}")).bearer_auth(token).json(body)).await
}

/// Returns the challenge token and the options of a registration.
pub(crate) async fn begin(url: &str, token: &str) -> (String, Value) {
    let answer = post_as(url, token, "/passkeys/options", &json!({})).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{answer:?}");
    assert_eq!(answer.json()["expires_in"], 300);
    (answer.field("challenge_token"), answer.json()["public_key"].clone())
}

async fn add(url: &str, token: &str, challenge: &str, credential: &Value, name: &str) -> Answer {
    let body = json!({ "challenge_token": challenge, "credential": credential, "name": name });
    post_as(url, token, "/passkeys", &body).await
}

/// Registers a passkey. Returns it and the answer.
pub(crate) async fn register(url: &str, token: &str) -> (Authenticator, Answer) {
    register_with(url, token, Authenticator::new()).await
}

async fn register_with(
    url: &str,
    token: &str,
    mut authenticator: Authenticator,
) -> (Authenticator, Answer) {
    let (challenge, options) = begin(url, token).await;
    let credential = authenticator.register(&options);
    let answer = add(url, token, &challenge, &credential, "My phone").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    (authenticator, answer)
}

/// Returns the challenge token and the options of a login.
pub(crate) async fn begin_login(url: &str, body: &Value) -> (String, Value) {
    let answer = post_json(url, "/login/passkey/options", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["expires_in"], 300);
    (answer.field("challenge_token"), answer.json()["public_key"].clone())
}

/// Sends an answer from a network of its own, so that earlier failures hold it back no further.
async fn finish_login(url: &str, challenge: &str, credential: &Value) -> Answer {
    static NETWORKS: AtomicU32 = AtomicU32::new(0x0a00_0000);
    let network = Ipv4Addr::from(NETWORKS.fetch_add(1, Ordering::Relaxed));
    let body = json!({ "challenge_token": challenge, "credential": credential });
    let request = client().post(format!("{url}/login/passkey")).json(&body);
    send(request.header("x-forwarded-for", network.to_string())).await
}

pub(crate) async fn login_with(url: &str, authenticator: &mut Authenticator) -> Answer {
    let (challenge, options) = begin_login(url, &json!({})).await;
    finish_login(url, &challenge, &authenticator.answer(&options)).await
}

async fn factors(url: &str, token: &str) -> Value {
    send(client().get(format!("{url}/factors")).bearer_auth(token)).await.json()
}

fn encoded(id: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

fn run(server: &Server, arguments: &[&str]) -> String {
    let done = command(server.folder.path(), arguments, PASSWORD);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

/// Returns the number of entries of an event in the audit log.
fn audited(server: &Server, event: &str) -> usize {
    let listed = run(server, &["audit", "list", "--json", "--event", event]);
    serde_json::from_str::<Vec<Value>>(&listed).unwrap().len()
}

async fn a_passkey_logs_its_user_in_alone(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let token = signed_in(url, "demo").await;

    let (challenge, options) = begin(url, &token).await;
    let mut phone = Authenticator::new();
    let expected = json!({
        "rp": { "id": "localhost", "name": "localhost" },
        "user": { "id": options["user"]["id"], "name": "demo", "displayName": "demo" },
        "challenge": options["challenge"],
        "pubKeyCredParams": [
            { "type": "public-key", "alg": -7 },
            { "type": "public-key", "alg": -8 },
            { "type": "public-key", "alg": -257 },
        ],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
        },
        "attestation": "none",
    });
    assert_eq!(options, expected);
    let added = add(url, &token, &challenge, &phone.register(&options), " My phone ").await;
    assert_eq!(added.status, 201, "{added:?}");
    let mut added = added.json();
    let codes = added.as_object_mut().unwrap().remove("recovery_codes").unwrap();
    assert_eq!(codes.as_array().unwrap().len(), 10);
    let id = encoded(&phone.id);
    let expected = json!({
        "id": id, "name": "My phone", "created_at": START, "last_used_at": null,
    });
    assert_eq!(added, expected);
    // The second one comes without recovery codes, and the first one is not to be registered again.
    let (_, options) = begin(url, &token).await;
    let known = json!([{ "type": "public-key", "id": id, "transports": ["internal"] }]);
    assert_eq!(options["excludeCredentials"], known);
    server.advance(10);
    let (mut key, added) = register(url, &token).await;
    assert!(added.json()["recovery_codes"].is_null());

    server.advance(10);
    let (challenge, options) = begin_login(url, &json!({})).await;
    let expected = json!({
        "challenge": options["challenge"],
        "timeout": 300_000,
        "rpId": "localhost",
        "allowCredentials": [],
        "userVerification": "required",
    });
    assert_eq!(options, expected);
    let opened = finish_login(url, &challenge, &phone.answer(&options)).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    assert!(!opened.refresh_token().is_empty());
    let claims = opened.claims();
    assert_eq!(claims["amr"], json!(["pop", "user", "mfa"]));
    assert_eq!((&claims["acr"], &claims["auth_time"]), (&json!("2"), &json!(START + 20)));

    let token = opened.field("access_token");
    let listed = factors(url, &token).await;
    let expected = json!([
        { "id": id, "name": "My phone", "created_at": START, "last_used_at": START + 20 },
        {
            "id": encoded(&key.id), "name": "My phone", "created_at": START + 10,
            "last_used_at": null,
        },
    ]);
    assert_eq!((&listed["passkeys"], &listed["recovery_codes"]), (&expected, &json!(10)));

    // With a cookie.
    let (challenge, options) = begin_login(url, &json!({})).await;
    let body = json!({
        "challenge_token": challenge, "credential": key.answer(&options), "session": "cookie",
    });
    let opened = post_json(url, "/login/passkey", &body).await;
    assert!(opened.status == 200 && opened.json()["refresh_token"].is_null(), "{opened:?}");
    assert_eq!(opened.headers.get_all("set-cookie").iter().count(), 2);

    let path = |id: &[u8]| format!("{url}/passkeys/{}", encoded(id));
    let rename = async |token: &str, id: &[u8], name: &str| {
        let request = client().patch(path(id)).bearer_auth(token);
        send(request.json(&json!({ "name": name }))).await
    };
    let remove =
        async |token: &str, id: &[u8]| send(client().delete(path(id)).bearer_auth(token)).await;
    let foreign = signed_in(url, "other").await;
    rename(&foreign, &phone.id, "Mine").await.refused(404, "not_found");
    remove(&foreign, &phone.id).await.refused(404, "not_found");
    rename(&token, &[1, 2, 3], "Mine").await.refused(404, "not_found");
    rename(&token, &phone.id, "a\nb").await.refused(400, "invalid_request");
    rename(&token, &phone.id, "").await.refused(400, "invalid_request");
    assert_eq!(rename(&token, &phone.id, "Old phone").await.status, 204);
    assert_eq!(factors(url, &token).await["passkeys"][0]["name"], "Old phone");
    assert_eq!(remove(&token, &phone.id).await.status, 204);
    remove(&token, &phone.id).await.refused(404, "not_found");
    login_with(url, &mut phone).await.refused(401, "invalid_grant");
    assert_eq!(login_with(url, &mut key).await.status, 200);
    assert_eq!(factors(url, &token).await["recovery_codes"], 10);
    assert_eq!(remove(&token, &key.id).await.status, 204);
    let none = json!({ "totp": null, "recovery_codes": 0, "passkeys": [] });
    assert_eq!(factors(url, &token).await, none);
    for (event, count) in [("passkey_added", 2), ("passkey_renamed", 1), ("passkey_removed", 2)] {
        assert_eq!(audited(&server, event), count, "{event}");
    }
    assert_eq!(login(url).await.status, 200, "without a second factor");
}

async fn a_passkey_is_a_second_factor(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let (mut phone, _) = register(url, &signed_in(url, "demo").await).await;
    let (mut foreign, _) = register(url, &signed_in(url, "other").await).await;

    let asked = login(url).await;
    asked.refused(401, "mfa_required");
    assert_eq!(asked.json()["methods"], json!(["recovery_code", "passkey"]));
    let mut mfa_token = asked.field("mfa_token");
    let complete = async |mfa_token: &str, challenge: &str, credential: &Value| {
        let body = json!({
            "mfa_token": mfa_token, "challenge_token": challenge, "credential": credential,
        });
        post_json(url, "/login/second-factor", &body).await
    };
    // A passkey of another user, and a challenge of another login.
    let (challenge, options) = begin_login(url, &json!({ "mfa_token": mfa_token })).await;
    let known = json!([{
        "type": "public-key", "id": encoded(&phone.id), "transports": ["internal"],
    }]);
    assert_eq!(options["allowCredentials"], known);
    assert_eq!(options["userVerification"], "preferred");
    let wrong = complete(&mfa_token, &challenge, &foreign.answer(&options)).await;
    wrong.refused(401, "invalid_grant");
    mfa_token = wrong.field("mfa_token");
    let (challenge, options) = begin_login(url, &json!({})).await;
    let wrong = complete(&mfa_token, &challenge, &phone.answer(&options)).await;
    wrong.refused(401, "invalid_grant");
    let used_up = mfa_token;
    mfa_token = wrong.field("mfa_token");
    let begun = post_json(url, "/login/passkey/options", &json!({ "mfa_token": used_up })).await;
    begun.refused(401, "invalid_grant");

    // The password was the other factor: the authenticator need not verify its user.
    let (challenge, options) = begin_login(url, &json!({ "mfa_token": mfa_token })).await;
    let assertion = Assertion { flags: PRESENT, user: None, ..phone.assertion(&options) };
    let opened = complete(&mfa_token, &challenge, &assertion.json(&phone)).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    assert_eq!(opened.claims()["amr"], json!(["pwd", "pop", "mfa"]));
    let again = complete(&mfa_token, &challenge, &phone.answer(&options)).await;
    again.refused(401, "invalid_grant");
    assert!(again.json()["mfa_token"].is_null());
    // The challenge of a second factor opens no session alone.
    let mfa_token = login(url).await.field("mfa_token");
    let (challenge, options) = begin_login(url, &json!({ "mfa_token": mfa_token })).await;
    finish_login(url, &challenge, &phone.answer(&options)).await.refused(401, "invalid_grant");
}

async fn a_challenge_works_once_and_for_its_holder(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let token = signed_in(url, "demo").await;
    let (mut phone, _) = register(url, &token).await;

    let (challenge, options) = begin_login(url, &json!({})).await;
    assert_eq!(finish_login(url, &challenge, &phone.answer(&options)).await.status, 200);
    finish_login(url, &challenge, &phone.answer(&options)).await.refused(401, "invalid_grant");
    // The challenge of the answer is another one.
    let (_, old) = begin_login(url, &json!({})).await;
    let (challenge, _) = begin_login(url, &json!({})).await;
    finish_login(url, &challenge, &phone.answer(&old)).await.refused(401, "invalid_grant");
    let (challenge, options) = begin_login(url, &json!({})).await;
    server.advance(300);
    finish_login(url, &challenge, &phone.answer(&options)).await.refused(401, "invalid_grant");
    let (challenge, options) = begin_login(url, &json!({})).await;
    server.advance(299);
    assert_eq!(finish_login(url, &challenge, &phone.answer(&options)).await.status, 200);

    let token = login_with(url, &mut phone).await.field("access_token");
    let other_session = login_with(url, &mut phone).await.field("access_token");
    let (challenge, options) = begin(url, &token).await;
    let mut key = Authenticator::new();
    let credential = key.register(&options);
    let refused = add(url, &other_session, &challenge, &credential, "Key").await;
    refused.refused(400, "invalid_request");
    assert!(refused.field("error_description").starts_with("the challenge is invalid"));
    let (of_login, _) = begin_login(url, &json!({})).await;
    for wrong in ["", "x", &of_login, &challenge[1..]] {
        add(url, &token, wrong, &credential, "Key").await.refused(400, "invalid_request");
    }
    assert_eq!(add(url, &token, &challenge, &credential, "Key").await.status, 201);
    let second = Authenticator::new().register(&options);
    add(url, &token, &challenge, &second, "Key").await.refused(400, "invalid_request");
    let (challenge, options) = begin(url, &token).await;
    server.advance(300);
    let credential = Authenticator::new().register(&options);
    add(url, &token, &challenge, &credential, "Key").await.refused(400, "invalid_request");
    let listed = factors(url, &token).await;
    assert_eq!(listed["passkeys"].as_array().unwrap().len(), 2);

    // What is remembered of the uses goes, and the challenges have expired by then.
    let purpose = "SELECT purpose FROM countersign.one_time_tokens WHERE purpose = 'passkey'";
    assert!(execute(server.folder.path(), purpose).len() >= 5);
}

async fn one_of_several_simultaneous_uses_of_an_answer_opens_a_session(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let (mut phone, _) = register(url, &signed_in(url, "demo").await).await;
    for counts in [false, true] {
        // With a counter too, the challenge decides: the answer has one counter.
        phone.counter = u32::from(counts);
        let (challenge, options) = begin_login(url, &json!({})).await;
        let credential = phone.answer(&options);
        let attempts = (0..8).map(|_| {
            let (url, challenge, credential) = (url.clone(), challenge.clone(), credential.clone());
            tokio::spawn(async move { finish_login(&url, &challenge, &credential).await.status })
        });
        let mut statuses = Vec::new();
        for attempt in attempts.collect::<Vec<_>>() {
            statuses.push(attempt.await.unwrap());
        }
        let opened = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(opened, 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    }
    assert_eq!(audited(&server, "passkey_counter_back"), 0);
    let mut key = Authenticator::new();
    let token = login_with(url, &mut phone).await.field("access_token");
    let (challenge, options) = begin(url, &token).await;
    let credential = key.register(&options);
    let attempts = (0..8).map(|_| {
        let (url, token) = (url.clone(), token.clone());
        let (challenge, credential) = (challenge.clone(), credential.clone());
        tokio::spawn(async move { add(&url, &token, &challenge, &credential, "Key").await.status })
    });
    let mut added = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        added += u32::from(attempt.await.unwrap() == 201);
    }
    assert_eq!(added, 1);
    assert_eq!(audited(&server, "passkey_added"), 2);
}

async fn a_counter_that_does_not_grow_opens_no_session_and_is_audited(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let mut counting = Authenticator::new();
    counting.counter = 7;
    let (mut key, _) = register_with(url, &signed_in(url, "demo").await, counting).await;
    assert_eq!(login_with(url, &mut key).await.status, 200);
    assert_eq!(key.counter, 8);
    for (counter, opened) in [(8, false), (7, false), (0, false), (9, true), (u32::MAX, true)] {
        let (challenge, options) = begin_login(url, &json!({})).await;
        let assertion = Assertion { counter, ..key.assertion(&options) };
        let credential = assertion.json(&key);
        let answer = finish_login(url, &challenge, &credential).await;
        if opened {
            assert_eq!(answer.status, 200, "{counter}: {answer:?}");
        } else {
            answer.refused(401, "invalid_grant");
            finish_login(url, &challenge, &credential).await.refused(401, "invalid_grant");
        }
        // A wrong signature says nothing about the counter.
        let (challenge, options) = begin_login(url, &json!({})).await;
        let forged =
            Assertion { counter: 1, signature: |_| vec![0x30, 0], ..key.assertion(&options) };
        let forged = finish_login(url, &challenge, &forged.json(&key)).await;
        forged.refused(401, "invalid_grant");
    }
    assert_eq!(audited(&server, "passkey_counter_back"), 3);
    let counted = metrics(&admin(&server).await).await["countersign_passkey_counters_back_total"];
    // Two issuers count apart.
    assert!(counted >= 1.0, "{counted}");
}

async fn a_passkey_authenticates_a_session_again(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let (mut phone, _) = register(url, &signed_in(url, "demo").await).await;
    let (mut foreign, _) = register(url, &signed_in(url, "other").await).await;
    let refresh_token = login_with(url, &mut phone).await.refresh_token();
    server.advance(1000);
    let again = async |authenticator: &mut Authenticator| {
        let (challenge, options) = begin_login(url, &json!({})).await;
        let body = json!({
            "refresh_token": refresh_token,
            "challenge_token": challenge,
            "credential": authenticator.answer(&options),
        });
        post_json(url, "/login/again", &body).await
    };
    again(&mut foreign).await.refused(401, "invalid_grant");
    let answer = again(&mut phone).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.claims()["auth_time"], START + 1000);
    assert_eq!(answer.claims()["amr"], json!(["pop", "user", "mfa"]));
    begin(url, &answer.field("access_token")).await;
    let body = json!({ "refresh_token": refresh_token, "password": "x", "challenge_token": "x" });
    post_json(url, "/login/again", &body).await.refused(400, "invalid_request");
}

async fn changes_of_passkeys_need_a_fresh_authentication(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let opened = login(url).await;
    let token = opened.field("access_token");
    let (phone, _) = register(url, &token).await;
    server.advance(601);
    let body = json!({});
    let code = "insufficient_user_authentication";
    post_as(url, &token, "/passkeys/options", &body).await.refused(401, code);
    let path = format!("{url}/passkeys/{}", encoded(&phone.id));
    let removed = send(client().delete(&path).bearer_auth(&token)).await;
    removed.refused(401, code);
    assert!(removed.header("www-authenticate").contains("max_age=\"600\""), "{removed:?}");
    let named = client().patch(&path).bearer_auth(&token).json(&json!({ "name": "Phone" }));
    assert_eq!(send(named).await.status, 204);

    let off = Server::over(server.stop().await, |_, _| {}).await;
    let asked = login(&off.url).await;
    asked.refused(401, "mfa_required");
    assert_eq!(asked.json()["methods"], json!(["recovery_code"]), "passkeys are off");
    for path in ["/login/passkey/options", "/login/passkey"] {
        let body = match path {
            "/login/passkey" => json!({ "challenge_token": "x", "credential": {} }),
            _ => json!({}),
        };
        let answer = post_json(&off.url, path, &body).await;
        answer.refused(404, "not_found");
        let advice = answer.field("error_description");
        assert!(advice.contains(&format!("{ORIGIN}, in cors_origins")), "{advice}");
    }
}

async fn the_first_passkey_ends_all_other_sessions_and_makes_its_own_strong(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    // Somebody else knows the password too, and has begun a registration.
    let (thief, owner) = (login(url).await, login(url).await);
    let stolen = thief.field("access_token");
    let (challenge, options) = begin(url, &stolen).await;
    register(url, &owner.field("access_token")).await;
    let credential = Authenticator::new().register(&options);
    add(url, &stolen, &challenge, &credential, "Mine").await.refused(401, "invalid_token");
    post_as(url, &stolen, "/recovery-codes", &json!({})).await.refused(401, "invalid_token");
    let refreshed = refresh(url, &owner.refresh_token()).await;
    assert_eq!(refreshed.claims()["amr"], json!(["pwd", "pop", "mfa"]));
    // A second one ends nothing.
    let by_passkey = refreshed.field("access_token");
    let codes = post_as(url, &by_passkey, "/recovery-codes", &json!({})).await;
    let recovery_code = codes.json()["recovery_codes"][0].clone();
    let asked = login(url).await;
    let proof = json!({ "mfa_token": asked.field("mfa_token"), "recovery_code": recovery_code });
    let other = post_json(url, "/login/second-factor", &proof).await;
    register(url, &by_passkey).await;
    assert_eq!(refresh(url, &other.refresh_token()).await.claims()["amr"], json!(["pwd", "mfa"]));
}

async fn a_passkey_of_each_algorithm_logs_in_and_may_be_self_attested(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let token = signed_in(url, "demo").await;
    for key in [Key::es256, Key::eddsa, Key::rs256] {
        for is_attested in [false, true] {
            let mut authenticator = Authenticator::with(key());
            let (challenge, options) = begin(url, &token).await;
            let registration = authenticator.registration(&options);
            let credential = if is_attested {
                registration.attested(&authenticator)
            } else {
                registration.json()
            };
            let added = add(url, &token, &challenge, &credential, "Key").await;
            assert_eq!(added.status, 201, "{added:?}");
            assert_eq!(login_with(url, &mut authenticator).await.status, 200);
        }
    }
}

async fn a_malformed_registration_adds_nothing(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let token = signed_in(url, "demo").await;
    let rsa = |bits: usize| {
        let n = Cbor::from(vec![0xff; bits / 8]);
        cose(&[(1, 3.into()), (3, (-257).into()), (-1, n), (-2, Cbor::from([1, 0, 1].as_slice()))])
    };
    let client_data = |name: &str, value: Value| {
        let name = name.to_owned();
        move |registration: &mut Registration| registration.client_data[name] = value
    };
    type Change = Box<dyn FnOnce(&mut Registration)>;
    let cases: Vec<(&str, Change)> = vec![
        ("another kind of request", Box::new(client_data("type", "webauthn.get".into()))),
        ("another kind of request", Box::new(client_data("type", "payment".into()))),
        ("malformed", Box::new(client_data("type", 7.into()))),
        ("another challenge", Box::new(client_data("challenge", "AAAA".into()))),
        ("malformed", Box::new(client_data("challenge", "=".into()))),
        ("origin of the page", Box::new(client_data("origin", "http://localhost:3001".into()))),
        ("origin of the page", Box::new(client_data("origin", "https://evil.example".into()))),
        ("malformed", Box::new(client_data("origin", Value::Null))),
        ("of another origin", Box::new(client_data("crossOrigin", true.into()))),
        ("of another origin", Box::new(client_data("topOrigin", ORIGIN.into()))),
        ("another RP id", Box::new(|one| one.rp_id = "evil.example".to_owned())),
        ("nobody was there", Box::new(|one| one.flags &= !PRESENT)),
        ("did not verify its user", Box::new(|one| one.flags &= !VERIFIED)),
        ("flags of backups", Box::new(|one| one.flags |= BACKED_UP)),
        ("malformed", Box::new(|one| one.flags &= !0x40)),
        ("malformed", Box::new(|one| one.flags |= 0x80)),
        ("the credential id", Box::new(|one| one.shown_id = Some(vec![9; 16]))),
        ("the credential id", Box::new(|one| one.id = vec![9; 1024])),
        ("the credential id", Box::new(|one| one.id = Vec::new())),
        ("malformed or too weak", Box::new(move |one| one.key = rsa(1024))),
        ("malformed or too weak", Box::new(move |one| one.key = rsa(8192))),
        (
            "algorithm",
            Box::new(|one| one.key = cose(&[(1, 2.into()), (3, (-47).into()), (-1, 8.into())])),
        ),
        ("algorithm", Box::new(|one| one.key = cose(&[(1, 2.into()), (3, (-35).into())]))),
        (
            "malformed or too weak",
            Box::new(|one| {
                let (x, y) = (Cbor::from(vec![7; 32]), Cbor::from(vec![7; 32]));
                let curve = [(1, 2.into()), (3, (-7).into()), (-1, 1.into()), (-2, x), (-3, y)];
                one.key = cose(&curve);
            }),
        ),
        ("malformed or too weak", Box::new(|one| one.key = Cbor::Map(Vec::new()))),
        ("malformed or too weak", Box::new(|one| one.key = Cbor::from("key"))),
        ("attestation", Box::new(|one| one.format = "unheard-of".to_owned())),
        ("attestation", Box::new(|one| one.format = "packed".to_owned())),
        ("attestation", Box::new(|one| one.format = "tpm".to_owned())),
        ("attestation", Box::new(|one| one.format = "fido-u2f".to_owned())),
        ("attestation", Box::new(|one| one.statement = Cbor::Array(Vec::new()))),
        (
            "attestation",
            Box::new(|one| one.statement = Cbor::Map(vec![("sig".into(), Cbor::from("x"))])),
        ),
        (
            "signature",
            Box::new(|one| {
                one.format = "packed".to_owned();
                let sig = Cbor::from([0x30, 0].as_slice());
                one.statement = Cbor::Map(vec![("alg".into(), (-7).into()), ("sig".into(), sig)]);
            }),
        ),
        ("attestation", Box::new(|one| one.bytes = |bytes| [bytes, vec![0]].concat())),
        ("attestation", Box::new(|one| one.bytes = |bytes| bytes[..bytes.len() - 1].to_vec())),
        ("attestation", Box::new(|one| one.bytes = |_| Vec::new())),
        ("attestation", Box::new(|one| one.bytes = |_| vec![0x9f; 4000])),
        ("attestation", Box::new(|one| one.bytes = |_| vec![0x5f, 0x5b, 255, 255, 255, 255])),
        ("attestation", Box::new(|one| one.bytes = |_| vec![0xbb; 9])),
    ];
    for (index, (reason, change)) in cases.into_iter().enumerate() {
        let (challenge, options) = begin(url, &token).await;
        let mut authenticator = Authenticator::new();
        let mut registration = authenticator.registration(&options);
        change(&mut registration);
        let refused = add(url, &token, &challenge, &registration.json(), "Key").await;
        refused.refused(400, "invalid_request");
        let description = refused.field("error_description");
        assert!(description.contains(reason), "{index}: {reason} is not in {description}");
        // Nothing was done: the challenge still works.
        if index % 10 == 0 {
            let credential = authenticator.register(&options);
            assert_eq!(add(url, &token, &challenge, &credential, "Key").await.status, 201);
        }
    }
    // The JSON around it.
    let (challenge, options) = begin(url, &token).await;
    let good = Authenticator::new().register(&options);
    let mut bad = vec![Value::Null, json!("x"), json!([]), json!({}), json!({ "id": "AA" })];
    for (pointer, value) in [
        ("/id", json!("AAAA")),
        ("/rawId", json!(7)),
        ("/type", json!("password")),
        ("/response", json!([])),
        ("/response/clientDataJSON", json!("{}")),
        ("/response/clientDataJSON", json!("é")),
        ("/response/attestationObject", json!(null)),
        ("/response/transports", json!("usb")),
    ] {
        let mut one = good.clone();
        *one.pointer_mut(pointer).unwrap() = value;
        bad.push(one);
    }
    for credential in bad {
        add(url, &token, &challenge, &credential, "Key").await.refused(400, "invalid_request");
    }
    for name in ["", "a\0b", &"x".repeat(65)] {
        add(url, &token, &challenge, &good, name).await.refused(400, "invalid_request");
    }
    // Each byte of the attestation may be another one.
    let object = good["response"]["attestationObject"].as_str().unwrap();
    let object = URL_SAFE_NO_PAD.decode(object).unwrap();
    for (index, byte) in object.iter().enumerate().step_by(7) {
        let mut changed = object.clone();
        changed[index] = byte ^ 0x20;
        let mut credential = good.clone();
        credential["response"]["attestationObject"] = encoded(&changed).into();
        let status = add(url, &token, &challenge, &credential, "Key").await.status;
        assert!([201, 400, 409].contains(&status), "{index}: {status}");
    }
    let huge = json!({ "clientDataJSON": "A".repeat(20_000) });
    add(url, &token, &challenge, &huge, "Key").await.refused(413, "content_too_large");
}

async fn a_wrong_answer_opens_no_session(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let (mut phone, _) = register(url, &signed_in(url, "demo").await).await;
    let (foreign, _) = register(url, &signed_in(url, "other").await).await;
    let (foreign_id, foreign_user) = (foreign.id.clone(), foreign.user.clone());
    let client_data = |name: &str, value: Value| {
        let name = name.to_owned();
        move |assertion: &mut Assertion| assertion.client_data[name] = value
    };
    type Change = Box<dyn FnOnce(&mut Assertion)>;
    let cases: Vec<Change> = vec![
        Box::new(client_data("type", "webauthn.create".into())),
        Box::new(client_data("challenge", "AAAA".into())),
        Box::new(client_data("origin", "http://localhost:3001".into())),
        Box::new(client_data("origin", "http://localhost".into())),
        Box::new(client_data("crossOrigin", true.into())),
        Box::new(client_data("topOrigin", "http://evil.example".into())),
        Box::new(|one| one.rp_id = "evil.example".to_owned()),
        Box::new(|one| one.flags &= !PRESENT),
        Box::new(|one| one.flags &= !VERIFIED),
        Box::new(|one| one.flags |= BACKED_UP),
        Box::new(|one| one.flags |= BACKUP_ELIGIBLE),
        Box::new(|one| one.user = None),
        Box::new(|one| one.user = Some("AAAA".to_owned())),
        Box::new(|one| one.user = Some("=".to_owned())),
        Box::new(move |one| one.user = Some(foreign_user)),
        Box::new(move |one| one.id = foreign_id),
        Box::new(|one| one.id = vec![1; 16]),
        Box::new(|one| one.id = vec![1; 1024]),
        Box::new(|one| one.id = Vec::new()),
        Box::new(|one| one.signature = |_| Vec::new()),
        Box::new(|one| {
            one.signature = |mut signature| {
                signature[20] ^= 1;
                signature
            }
        }),
        Box::new(|one| one.signature = |signature| [signature, vec![0]].concat()),
    ];
    let from = |network: usize, body: &Value| {
        let request = client().post(format!("{url}/login/passkey")).json(body);
        send(request.header("x-forwarded-for", format!("192.0.2.{network}")))
    };
    let description =
        post_json(url, "/login/passkey", &json!({ "challenge_token": "x", "credential": {} }))
            .await
            .field("error_description");
    for (index, change) in cases.into_iter().enumerate() {
        let (challenge, options) = begin_login(url, &json!({})).await;
        let mut assertion = phone.assertion(&options);
        change(&mut assertion);
        let body = json!({ "challenge_token": challenge, "credential": assertion.json(&phone) });
        let refused = from(index + 1, &body).await;
        refused.refused(401, "invalid_grant");
        assert_eq!(refused.field("error_description"), description, "{index}");
        // Nothing was done: the challenge still works.
        let good = finish_login(url, &challenge, &phone.answer(&options)).await;
        assert_eq!(good.status, 200, "{index}: {good:?}");
    }
    let (challenge, options) = begin_login(url, &json!({})).await;
    let good = phone.answer(&options);
    for (pointer, value) in [
        ("/id", json!("AAAA")),
        ("/type", json!("password")),
        ("/rawId", json!("=")),
        ("/response", json!("x")),
        ("/response/authenticatorData", json!("AAAA")),
        ("/response/authenticatorData", json!(7)),
        ("/response/clientDataJSON", json!("AAAA")),
        ("/response/signature", json!("=")),
    ] {
        let mut credential = good.clone();
        *credential.pointer_mut(pointer).unwrap() = value;
        let body = json!({ "challenge_token": challenge, "credential": credential });
        from(77, &body).await.refused(401, "invalid_grant");
        server.advance(20);
    }
    for body in [
        json!({}),
        json!({ "challenge_token": challenge }),
        json!({ "credential": good }),
        json!({ "challenge_token": 7, "credential": good }),
        json!({ "challenge_token": challenge, "credential": good, "session": "x" }),
        json!({ "challenge_token": challenge, "credential": good, "more": 1 }),
    ] {
        post_json(url, "/login/passkey", &body).await.refused(400, "invalid_request");
    }
    // Wrong answers from one network hold further wrong ones back, and no right one.
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let (challenge, options) = begin_login(url, &json!({})).await;
        let wrong = Assertion { flags: PRESENT, ..phone.assertion(&options) };
        let body = json!({ "challenge_token": challenge, "credential": wrong.json(&phone) });
        statuses.push(from(200, &body).await.status);
    }
    assert_eq!((statuses[0], statuses[7]), (401, 429), "{statuses:?}");
    let (challenge, options) = begin_login(url, &json!({})).await;
    let body = json!({ "challenge_token": challenge, "credential": phone.answer(&options) });
    assert_eq!(from(200, &body).await.status, 200);
}

async fn a_user_has_at_most_20_passkeys_each_of_one_user(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let token = signed_in(url, "demo").await;
    let (phone, _) = register(url, &token).await;
    let foreign = signed_in(url, "other").await;
    for token in [&token, &foreign] {
        let (challenge, options) = begin(url, token).await;
        let mut copy = Authenticator::new();
        copy.id.clone_from(&phone.id);
        let taken = add(url, token, &challenge, &copy.register(&options), "Copy").await;
        taken.refused(409, "conflict");
    }
    for _ in 1..20 {
        register(url, &token).await;
    }
    let (challenge, options) = begin(url, &token).await;
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 20);
    let credential = Authenticator::new().register(&options);
    let refused = add(url, &token, &challenge, &credential, "One more").await;
    refused.refused(409, "conflict");
    assert!(refused.field("error_description").contains("at most 20"));
    assert_eq!(factors(url, &token).await["passkeys"].as_array().unwrap().len(), 20);
    assert_eq!(factors(url, &foreign).await["passkeys"], json!([]));
}

async fn a_locked_user_is_refused_and_an_expired_password_does_not_matter(backend: Backend) {
    let server = server(backend).await;
    let url = &server.url;
    let (mut phone, _) = register(url, &signed_in(url, "demo").await).await;
    run(&server, &["user", "lock", "demo"]);
    login_with(url, &mut phone).await.refused(401, "invalid_grant");
    run(&server, &["user", "unlock", "demo"]);
    assert_eq!(login_with(url, &mut phone).await.status, 200);
    run(&server, &["user", "expire-passwords", "demo"]);
    assert_eq!(login_with(url, &mut phone).await.status, 200);
    run(&server, &["user", "delete", "demo"]);
    login_with(url, &mut phone).await.refused(401, "invalid_grant");
    let left = execute(server.folder.path(), "SELECT name FROM countersign.passkeys");
    assert!(left.is_empty(), "{left:?}");
}
