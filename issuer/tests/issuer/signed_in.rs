//! Requests of a user with an access token, and the sessions that the user ends with it.

use countersign_issuer::Config;
use serde_json::{Value, json};

use crate::common::{Answer, Backend, PASSWORD, Server, add_user, client, command, execute, login};
use crate::common::{folder_on, over_all, post_form, post_json, refresh, send, stderr, stdout};

over_all!(
    only_an_access_token_of_a_live_session_is_accepted,
    a_session_that_has_ended_accepts_no_more_requests,
    a_user_ends_their_own_sessions_and_no_others,
);

const BARE: &str = "Bearer realm=\"countersign\"";
const INVALID: &str = "Bearer realm=\"countersign\", error=\"invalid_token\"";

pub(crate) async fn end(url: &str, sid: &str, token: &str) -> Answer {
    send(client().delete(format!("{url}/sessions/{sid}")).bearer_auth(token)).await
}

pub(crate) fn sid(answer: &Answer) -> String {
    answer.claims()["sid"].as_str().unwrap().to_owned()
}

fn run(server: &Server, arguments: &[&str]) -> String {
    let done = command(server.folder.path(), arguments, PASSWORD);
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

async fn only_an_access_token_of_a_live_session_is_accepted(backend: Backend) {
    let issuer = |config: &mut Config| config.issuer = Some("http://localhost:1".to_owned());
    let server = Server::over(folder_on(backend), |config, _| issuer(config)).await;
    let answer = login(&server.url).await;
    let (sid, good) = (sid(&answer), answer.field("access_token"));
    let added: Value =
        serde_json::from_str(&run(&server, &["client", "add", "x", "--json"])).unwrap();
    let [id, secret] = ["client_id", "client_secret"].map(|name| added[name].as_str().unwrap());
    let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let of_client = post_form(&server.url, "/token", &form).await.field("access_token");

    let body = json!({ "username": "demo", "password": PASSWORD, "session": "cookie" });
    let cookie = post_json(&server.url, "/login", &body).await;
    let cookie = cookie.header("set-cookie").split(';').next().unwrap().to_owned();

    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let mut cut = good.clone();
    cut.truncate(good.len() - 4);
    let cases = [
        ("no header", vec![], 401, "unauthorized", BARE),
        ("another scheme", vec![("authorization", "Basic YTpi".into())], 401, "unauthorized", BARE),
        ("a cookie", vec![("cookie", cookie)], 401, "unauthorized", BARE),
        ("no JWT", vec![bearer("x")], 401, "invalid_token", INVALID),
        ("a cut token", vec![bearer(&cut)], 401, "invalid_token", INVALID),
        ("a refresh token", vec![bearer(&answer.refresh_token())], 401, "invalid_token", INVALID),
        ("a client's own token", vec![bearer(&of_client)], 401, "invalid_token", INVALID),
        ("no token", vec![bearer("")], 400, "invalid_request", "error=\"invalid_request\""),
        (
            "two tokens",
            vec![bearer(&good), bearer(&good)],
            400,
            "invalid_request",
            "Bearer realm=\"countersign\", error=\"invalid_request\"",
        ),
    ];
    for (name, headers, status, error, challenge) in cases {
        let mut request =
            client().delete(format!("{}/sessions/{sid}?access_token={good}", server.url));
        for (header, value) in headers {
            request = request.header(header, value);
        }
        let answer = send(request).await;
        answer.refused(status, error);
        assert!(answer.header("www-authenticate").ends_with(challenge), "{name}: {answer:?}");
    }
    // Several schemes, and spaces, as a proxy may send them.
    let request = client().delete(format!("{}/sessions/unknown", server.url));
    let request = request.header("authorization", "Basic YTpi");
    send(request.header("authorization", format!("bearer  {good}")))
        .await
        .refused(404, "not_found");

    let of_another_audience = |config: &mut Config, _: &mut _| {
        issuer(config);
        config.audience = "another".to_owned();
    };
    let server = Server::over(server.stop().await, of_another_audience).await;
    end(&server.url, &sid, &good).await.refused(401, "invalid_token");
    let server = Server::over(server.stop().await, |config, _| issuer(config)).await;
    assert_eq!(end(&server.url, &sid, &good).await.status, 204);
}

async fn a_session_that_has_ended_accepts_no_more_requests(backend: Backend) {
    let server = Server::on(backend).await;
    let refused = async |token: &str| {
        let answer = end(&server.url, "unknown", token).await;
        answer.refused(401, "invalid_token");
        assert_eq!(answer.header("www-authenticate"), INVALID);
    };
    let works = async |token: &str| {
        end(&server.url, "unknown", token).await.refused(404, "not_found");
    };
    let token = async || {
        let token = login(&server.url).await.field("access_token");
        works(&token).await;
        token
    };
    let answer = login(&server.url).await;
    works(&answer.field("access_token")).await;
    let form = [("refresh_token", &*answer.refresh_token())];
    assert_eq!(post_form(&server.url, "/logout", &form).await.status, 204);
    refused(&answer.field("access_token")).await;

    let expired = token().await;
    server.advance(900);
    refused(&expired).await;

    // No session of a locked user is left, but other software may have written the row.
    let of_locked = token().await;
    for (locked, is_refused) in [("true", true), ("false", false)] {
        let lock = format!(
            "UPDATE countersign.users SET locked = {locked} WHERE name = 'demo' RETURNING name"
        );
        assert_eq!(execute(server.folder.path(), &lock), ["demo"]);
        if is_refused { refused(&of_locked).await } else { works(&of_locked).await }
    }

    for change in [&["user", "lock", "demo"][..], &["user", "delete", "demo"]] {
        let token = token().await;
        run(&server, change);
        refused(&token).await;
        if change[1] == "lock" {
            run(&server, &["user", "unlock", "demo"]);
            refused(&token).await;
        }
    }
}

async fn a_user_ends_their_own_sessions_and_no_others(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    add_user(server.folder.path(), "other");
    let body = json!({ "username": "other", "password": PASSWORD });
    let foreign = post_json(url, "/login", &body).await;
    let (here, there) = (login(url).await, login(url).await);
    let token = here.field("access_token");

    let unknown = end(url, "AAAAAAAAAAAAAAAAAAAAAA", &token).await;
    unknown.refused(404, "not_found");
    for id in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA=", "%00", &sid(&foreign), &"A".repeat(200)] {
        let answer = end(url, id, &token).await;
        answer.refused(404, "not_found");
        assert_eq!(answer.text, unknown.text, "{id}");
    }
    assert_eq!(refresh(url, &foreign.refresh_token()).await.status, 200);

    let ended = end(url, &sid(&there), &token).await;
    assert_eq!((ended.status, ended.text.as_str()), (204, ""));
    refresh(url, &there.refresh_token()).await.refused(400, "invalid_grant");
    end(url, &sid(&there), &token).await.refused(404, "not_found");
    let listed = run(&server, &["audit", "list", "--event", "session_ended", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["user"], "demo");

    let next = refresh(url, &here.refresh_token()).await.refresh_token();
    assert_eq!(end(url, &sid(&here), &token).await.status, 204);
    end(url, &sid(&here), &token).await.refused(401, "invalid_token");
    refresh(url, &next).await.refused(400, "invalid_grant");
}
