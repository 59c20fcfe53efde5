//! Status lists over real HTTP: their content, their caching, and their cost.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_issuer::{Config, Limits};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use miniz_oxide::inflate::decompress_to_vec_zlib;
use serde_json::{Value, json};

use crate::cluster::{self, Cluster};
use crate::common::{
    Answer, Backend, PASSWORD, START, Server, add_user, client, command, folder_on,
};
use crate::common::{
    get, jwt_part, login, over_all, over_both, post_form, post_json, refresh, send,
};
use crate::common::{stderr, use_database, with_clocks};

over_all!(
    each_end_of_a_session_sets_its_bit_and_no_other,
    revoking_an_access_token_with_a_status_index_ends_its_session,
    an_unused_list_is_not_found,
    a_full_list_stays_and_the_next_one_begins,
);

over_both!(
    the_list_is_signed_and_has_the_claims_of_the_draft,
    an_older_session_gets_its_index_at_the_next_refresh,
    if_none_match_is_answered_with_304_until_the_list_is_signed_again,
    many_requests_cost_one_signature_for_each_change,
    the_bit_of_an_ended_session_stays_as_long_as_its_last_access_token,
    a_clock_that_jumps_forward_removes_no_session_from_the_list,
);

async fn with_lists(backend: Backend) -> Server {
    Server::over(folder_on(backend), |config, _| config.status_lists = true).await
}

/// Returns the list and the index in an access token.
fn index_of(answer: &Answer) -> (String, usize) {
    let status = &answer.claims()["status"]["status_list"];
    let uri = status["uri"].as_str().unwrap_or_else(|| panic!("no status: {answer:?}"));
    (uri.to_owned(), usize::try_from(status["idx"].as_u64().unwrap()).unwrap())
}

fn bits(jwt: &str) -> Vec<u8> {
    let lst = jwt_part(jwt, 1)["status_list"]["lst"].as_str().unwrap().to_owned();
    decompress_to_vec_zlib(&URL_SAFE_NO_PAD.decode(lst).unwrap()).unwrap()
}

/// Returns the indices of the bits that are set.
fn set(jwt: &str) -> HashSet<usize> {
    let bits = bits(jwt);
    (0..bits.len() * 8).filter(|index| bits[index / 8] & 1 << (index % 8) != 0).collect()
}

async fn revoke(server: &Server, token: &str) {
    let form = [("token", token), ("token_type_hint", "refresh_token")];
    assert_eq!(post_form(&server.url, "/revoke", &form).await.status, 200);
}

/// Waits until the issuer reads the database again, and returns the indices that are set.
async fn read_again(uri: &str) -> HashSet<usize> {
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let answer = send(client().get(uri)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    set(&answer.text)
}

async fn the_list_is_signed_and_has_the_claims_of_the_draft(backend: Backend) {
    let server = with_lists(backend).await;
    let session = login(&server.url).await;
    let (uri, index) = index_of(&session);
    assert_eq!(uri, format!("{}/status/1", server.url));
    assert!(index < 1 << 17);

    let answer = send(client().get(&uri).header("accept", "application/statuslist+cwt")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    let jwks = get(&server.url, "/.well-known/jwks.json").await.json();
    let header = jwt_part(&answer.text, 0);
    let expected = json!({
        "alg": "RS256", "typ": "statuslist+jwt", "kid": jwt_part(&session.field("access_token"), 0)["kid"],
    });
    assert_eq!(header, expected);
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]);
    let text = |name: &str| key.unwrap()[name].as_str().unwrap();
    let key = DecodingKey::from_rsa_components(text("n"), text("e")).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    let verified = jsonwebtoken::decode::<Value>(&answer.text, &key, &validation).unwrap();
    let mut claims = verified.claims;
    let lst = claims["status_list"].as_object_mut().unwrap().remove("lst");
    assert!(lst.is_some_and(|lst| lst.is_string()));
    let expected = json!({
        "iss": server.url, "sub": uri, "iat": START, "exp": START + 900, "ttl": 60,
        "status_list": { "bits": 1 },
    });
    assert_eq!(claims, expected);
    assert_eq!(bits(&answer.text), vec![0; 1 << 14]);
    // The list is not an access token.
    let as_access_token = [("token", answer.text.as_str())];
    assert_eq!(post_form(&server.url, "/revoke", &as_access_token).await.status, 200);
    let head = send(client().head(&uri)).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

async fn each_end_of_a_session_sets_its_bit_and_no_other(backend: Backend) {
    let server = with_lists(backend).await;
    let folder = server.folder.path();
    for name in ["locked", "changed"] {
        add_user(folder, name);
    }
    let login_as = async |name: &str| {
        let body = json!({ "username": name, "password": PASSWORD });
        post_json(&server.url, "/login", &body).await
    };
    let (revoked, logged_out, reused, left) = (
        login_as("demo").await,
        login_as("demo").await,
        login_as("demo").await,
        login_as("demo").await,
    );
    let (locked, changed) = (login_as("locked").await, login_as("changed").await);
    let (uri, _) = index_of(&revoked);
    let mut expected = HashSet::new();
    assert_eq!(read_again(&uri).await, expected);

    revoke(&server, &revoked.refresh_token()).await;
    expected.insert(index_of(&revoked).1);
    assert_eq!(read_again(&uri).await, expected, "revoked");

    let body = json!({ "refresh_token": logged_out.refresh_token() });
    assert_eq!(post_json(&server.url, "/logout", &body).await.status, 204);
    expected.insert(index_of(&logged_out).1);
    assert_eq!(read_again(&uri).await, expected, "logged out");

    let next = refresh(&server.url, &reused.refresh_token()).await;
    assert_eq!(index_of(&next), index_of(&reused), "a session keeps its index");
    server.advance(31);
    refresh(&server.url, &reused.refresh_token()).await.refused(400, "invalid_grant");
    expected.insert(index_of(&reused).1);
    assert_eq!(read_again(&uri).await, expected, "reused");

    let run = |arguments: &[&str]| {
        let done = command(folder, arguments, "another long password");
        assert!(done.status.success(), "{}", stderr(&done));
    };
    run(&["user", "lock", "locked"]);
    expected.insert(index_of(&locked).1);
    assert_eq!(read_again(&uri).await, expected, "locked");
    run(&["user", "unlock", "locked"]);
    run(&["user", "passwd", "changed"]);
    expected.insert(index_of(&changed).1);
    assert_eq!(read_again(&uri).await, expected, "another password");

    assert_eq!(expected.len(), 5);
    assert!(!expected.contains(&index_of(&left).1));
    assert_eq!(refresh(&server.url, &left.refresh_token()).await.status, 200);
}

async fn revoking_an_access_token_with_a_status_index_ends_its_session(backend: Backend) {
    let server = with_lists(backend).await;
    let session = login(&server.url).await;
    let token = session.field("access_token");
    let revoke_access = async |token: &str| {
        let form = [("token", token), ("token_type_hint", "access_token")];
        post_form(&server.url, "/revoke", &form).await
    };
    // A token with a forged signature changes nothing.
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(revoke_access(&format!("{signed}.{}", "A".repeat(342))).await.status, 200);
    let (uri, index) = index_of(&session);
    let other = [("token", token.as_str()), ("client_id", "client_other")];
    post_form(&server.url, "/revoke", &other).await.refused(400, "invalid_grant");
    assert_eq!(read_again(&uri).await, HashSet::new());
    let answer = revoke_access(&token).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    refresh(&server.url, &session.refresh_token()).await.refused(400, "invalid_grant");
    assert_eq!(read_again(&uri).await, HashSet::from([index]));
    assert_eq!(revoke_access(&token).await.status, 200);
}

async fn an_older_session_gets_its_index_at_the_next_refresh(backend: Backend) {
    let server = Server::on(backend).await;
    let before = login(&server.url).await;
    assert_eq!(before.claims().get("status"), None);
    assert_eq!(get(&server.url, "/status/1").await.status, 404);
    let issuer = server.url.clone();
    let on = |lists| {
        let issuer = issuer.clone();
        move |config: &mut Config, _: &mut Limits| {
            config.status_lists = lists;
            config.issuer = Some(issuer);
        }
    };
    let server = Server::over(server.stop().await, on(true)).await;
    // The old access token cannot be revoked, because it has no status index.
    let token = before.field("access_token");
    let refused = post_form(&server.url, "/revoke", &[("token", &token)]).await;
    refused.refused(400, "unsupported_token_type");
    let after = refresh(&server.url, &before.refresh_token()).await;
    let (uri, _) = index_of(&after);
    assert_eq!(uri, format!("{issuer}/status/1"));
    // With lists switched off, the list is still served for the tokens that refer to it.
    let server = Server::over(server.stop().await, on(false)).await;
    let last = refresh(&server.url, &after.refresh_token()).await;
    assert_eq!(last.claims().get("status"), None);
    assert_eq!(get(&server.url, "/status/1").await.status, 200);
}

async fn if_none_match_is_answered_with_304_until_the_list_is_signed_again(backend: Backend) {
    let server = with_lists(backend).await;
    let session = login(&server.url).await;
    let (uri, index) = index_of(&session);
    let ask = async |etag: &str| {
        tokio::time::sleep(Duration::from_millis(1050)).await;
        send(client().get(&uri).header("if-none-match", etag)).await
    };
    let first = ask("\"x\"").await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong tag: {etag}");
    server.advance(299);
    let same = ask(&etag).await;
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    assert_eq!(same.header("etag"), etag);
    assert_eq!(same.header("cache-control"), "public, max-age=60");
    // The same bits with a later expiry.
    server.advance(1);
    let longer = ask(&etag).await;
    assert_eq!(longer.status, 200);
    assert_eq!(jwt_part(&longer.text, 1)["exp"], START + 300 + 900);
    assert_eq!(bits(&longer.text), bits(&first.text));
    // Other bits.
    revoke(&server, &session.refresh_token()).await;
    let other = ask(longer.header("etag")).await;
    assert_eq!((other.status, set(&other.text)), (200, HashSet::from([index])));
    // The list is signed with another key, because new key sets lack the revoked one.
    let kid = jwt_part(&other.text, 0)["kid"].as_str().unwrap().to_owned();
    let done = command(server.folder.path(), &["keys", "revoke", &kid], "");
    assert!(done.status.success(), "{}", stderr(&done));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let signed_anew = ask(other.header("etag")).await;
    assert_eq!(signed_anew.status, 200);
    assert_ne!(jwt_part(&signed_anew.text, 0)["kid"], kid.as_str());
}

async fn an_unused_list_is_not_found(backend: Backend) {
    let server = with_lists(backend).await;
    get(&server.url, "/status/1").await.refused(404, "not_found");
    let session = login(&server.url).await;
    // The list appears at once, also if another issuer created it.
    assert_eq!(send(client().get(index_of(&session).0)).await.status, 200);
    for path in ["/status/2", "/status/0", "/status/01", "/status/1/", "/status/", "/status"] {
        get(&server.url, path).await.refused(404, "not_found");
    }
    let refused = send(client().post(format!("{}/status/1", server.url))).await;
    refused.refused(405, "method_not_allowed");
}

async fn many_requests_cost_one_signature_for_each_change(backend: Backend) {
    let server = with_lists(backend).await;
    let session = login(&server.url).await;
    let (uri, index) = index_of(&session);
    let hammer = async || {
        let (begun, before) = (Instant::now(), server.state.status_list_readings());
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let (uri, other) = (uri.clone(), uri.replace("/status/1", "/status/77"));
                tokio::spawn(async move {
                    let client = client();
                    let begun = Instant::now();
                    let mut answers = 0;
                    while begun.elapsed() < Duration::from_millis(1500) {
                        assert_eq!(send(client.get(&uri)).await.status, 200);
                        assert_eq!(send(client.get(&other)).await.status, 404);
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        let mut answers = 0;
        for asked in asked {
            answers += asked.await.unwrap();
        }
        // At most one reading of the list per second, and twenty of the set of lists.
        let most = begun.elapsed().as_millis() / 1000 + begun.elapsed().as_millis() / 50 + 4;
        let readings = server.state.status_list_readings() - before;
        assert!(u128::from(readings) <= most, "{readings} readings for {answers} answers");
        answers
    };
    assert!(hammer().await >= 20);
    assert_eq!(server.state.status_list_signatures(), 1);
    revoke(&server, &session.refresh_token()).await;
    assert!(hammer().await >= 20);
    assert_eq!(read_again(&uri).await, HashSet::from([index]));
    assert_eq!(server.state.status_list_signatures(), 2);
}

async fn the_bit_of_an_ended_session_stays_as_long_as_its_last_access_token(backend: Backend) {
    const EXPIRES: u64 = START + 7 * 86400;
    let server = with_lists(backend).await;
    let session = login(&server.url).await;
    let (_, index) = index_of(&session);
    revoke(&server, &session.refresh_token()).await;
    let (ended, nothing) = (HashSet::from([index]), HashSet::new());
    let mut folder = server.stop().await;
    // The bit stays for access_ttl and twice clock_skew. The index is free after another clock_skew
    // and the lifetime of a list. Each start deletes everything that may be deleted.
    let cases = [
        (0, Some(&ended)),
        (1019, Some(&ended)),
        (1020, Some(&nothing)),
        (1979, Some(&nothing)),
        (1980, None),
    ];
    for (after, expected) in cases {
        let lists = |config: &mut Config, _: &mut Limits| config.status_lists = true;
        let server = Server::at(EXPIRES + after, folder, |clock| clock, lists).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut list = get(&server.url, "/status/1").await;
        for _ in 0..100 {
            if expected.is_some() || list.status == 404 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            list = get(&server.url, "/status/1").await;
        }
        let found = (list.status == 200).then(|| set(&list.text));
        assert_eq!(found.as_ref(), expected, "{after}");
        folder = server.stop().await;
    }
}

async fn a_clock_that_jumps_forward_removes_no_session_from_the_list(backend: Backend) {
    const YEAR: u64 = 365 * 86400;
    let lists = |config: &mut Config, _: &mut Limits| config.status_lists = true;
    let (server, monotonic) = with_clocks(backend, lists).await;
    let session = login(&server.url).await;
    let (uri, index) = index_of(&session);
    revoke(&server, &session.refresh_token()).await;
    assert_eq!(read_again(&uri).await, HashSet::from([index]));
    server.advance(YEAR);
    assert_eq!(read_again(&uri).await, HashSet::from([index]), "its tokens may be valid elsewhere");
    // A new time counts once the clock has been steady.
    // At nearly the same moment: a look at the clocks in between would see a jump.
    monotonic.fetch_add(600, Ordering::Relaxed);
    server.advance(600);
    assert_eq!(read_again(&uri).await, HashSet::new());
}

async fn a_full_list_stays_and_the_next_one_begins(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, limits| {
        config.status_lists = true;
        limits.status_list_size = 8;
    })
    .await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(login(&server.url).await);
    }
    let indices: HashSet<_> = sessions.iter().map(index_of).collect();
    assert_eq!(indices.len(), 20);
    let lists: HashSet<_> = indices.iter().map(|(uri, _)| uri.clone()).collect();
    assert!(lists.len() >= 3, "{lists:?}");
    for session in [&sessions[0], &sessions[19]] {
        revoke(&server, &session.refresh_token()).await;
        let (uri, index) = index_of(session);
        assert_eq!(read_again(&uri).await, HashSet::from([index]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_contains_sessions_revoked_at_another_issuer() {
    if cluster::is_left_out() {
        return;
    }
    let folder = folder_on(Backend::Postgres);
    let second = tempfile::TempDir::new().unwrap();
    use_database(second.path(), &crate::common::database(folder.path()));
    let on = |folder| {
        Server::over(folder, |config, _| {
            config.status_lists = true;
            config.issuer = Some("http://127.0.0.1".to_owned());
        })
    };
    let (one, other) = (on(folder).await, on(second).await);
    let session = login(&one.url).await;
    let (_, index) = index_of(&session);
    let list = || get(&other.url, "/status/1");
    assert_eq!(set(&list().await.text), HashSet::new());
    revoke(&one, &session.refresh_token()).await;
    let revoked = Instant::now();
    while set(&list().await.text) != HashSet::from([index]) {
        assert!(revoked.elapsed() < Duration::from_secs(10), "the bit is not set");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("the bit was in the other issuer's list after {:?}", revoked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_the_last_list_is_served_until_it_expires() {
    if cluster::is_left_out() {
        return;
    }
    let cluster = Cluster::start();
    let folder = tempfile::TempDir::new().unwrap();
    use_database(folder.path(), &cluster.new_database());
    add_user(folder.path(), "demo");
    let server = Server::over(folder, |config, _| config.status_lists = true).await;
    let (uri, _) = index_of(&login(&server.url).await);
    let before = send(client().get(&uri)).await;
    assert_eq!(before.status, 200);
    tokio::task::spawn_blocking(move || {
        let mut cluster = cluster;
        cluster.stop("immediate");
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let advance = |seconds| server.clock.fetch_add(seconds, Ordering::Relaxed);
    advance(870);
    let away = send(client().get(&uri)).await;
    assert_eq!((away.status, away.text == before.text), (200, true));
    assert_eq!(away.header("cache-control"), "public, max-age=30");
    get(&server.url, "/status/2").await.refused(503, "temporarily_unavailable");
    advance(30);
    send(client().get(&uri)).await.refused(503, "temporarily_unavailable");
}
