//! The sessions of a user, as the user and operators see them.

use countersign_issuer::AuditNetwork;
use serde_json::{Value, json};

use crate::common::{
    Answer, Backend, PASSWORD, START, Server, add_user, client, command, folder_on,
};
use crate::common::{login, over_all, over_both, post_json, refresh, send, stderr, stdout};
use crate::signed_in::{end, sid};

over_all!(
    a_user_sees_their_own_sessions_from_the_newest,
    the_list_of_sessions_has_pages,
    a_wrong_page_is_refused,
);

over_both!(a_session_shows_its_network_if_the_audit_log_does, an_operator_lists_and_ends_sessions);

async fn list(url: &str, token: &str, query: &str) -> Answer {
    send(client().get(format!("{url}/sessions{query}")).bearer_auth(token)).await
}

async fn login_by(url: &str, user_agent: &str) -> Answer {
    let body = json!({ "username": "demo", "password": PASSWORD });
    let request = client().post(format!("{url}/login")).json(&body);
    send(if user_agent.is_empty() { request } else { request.header("user-agent", user_agent) })
        .await
}

fn ids(page: &Value) -> Vec<String> {
    let sessions = page["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

async fn a_user_sees_their_own_sessions_from_the_newest(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    add_user(server.folder.path(), "other");
    let foreign = json!({ "username": "other", "password": PASSWORD });
    assert_eq!(post_json(url, "/login", &foreign).await.status, 200);

    let first = login_by(url, "").await;
    server.advance(10);
    let ended = login_by(url, "ended").await;
    server.advance(10);
    let browser = format!("Mozilla/5.0 {}", "x".repeat(300));
    let here = login_by(url, &browser).await;
    let token = here.field("access_token");
    assert_eq!(end(url, &sid(&ended), &token).await.status, 204);

    let answer = list(url, &token, "").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    // Without networks, because the audit log hides them.
    let mut listed = answer.json();
    // The clock of PostgreSQL measures the last use of a session.
    for session in listed["sessions"].as_array_mut().unwrap() {
        let used = session.as_object_mut().unwrap().remove("last_used_at").unwrap();
        assert!(used.as_u64().unwrap() >= START - 20, "{used}");
    }
    let expected = json!({ "sessions": [
        {
            "id": sid(&here), "created_at": START + 20, "expires_at": START + 20 + 604_800,
            "user_agent": &browser[..256], "current": true,
        },
        {
            "id": sid(&first), "created_at": START, "expires_at": START + 604_800, "current": false,
        },
    ]});
    assert_eq!(listed, expected);
    let head = client().head(format!("{url}/sessions")).bearer_auth(&token);
    assert_eq!(send(head).await.status, 200);

    server.advance(10);
    refresh(url, &first.refresh_token()).await.refresh_token();
    let listed = list(url, &token, "").await.json();
    assert_eq!(listed["sessions"][1]["expires_at"], START + 30 + 604_800);
    assert_eq!(listed["sessions"][1]["created_at"], START);
    if backend == Backend::Sqlite {
        assert_eq!(listed["sessions"][0]["last_used_at"], START + 20);
        assert_eq!(listed["sessions"][1]["last_used_at"], START + 30);
    }
    list(url, "x", "").await.refused(401, "invalid_token");
    send(client().get(format!("{url}/sessions"))).await.refused(401, "unauthorized");
}

async fn the_list_of_sessions_has_pages(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let mut expected = Vec::new();
    let mut token = String::new();
    for number in 0..7 {
        let answer = login(url).await;
        expected.insert(0, sid(&answer));
        token = answer.field("access_token");
        // Some are of one second.
        server.advance(number % 2);
    }
    let all = list(url, &token, "").await.json();
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    let mut listed = ids(&all);
    assert!(all["next_cursor"].is_null());
    let (mut query, mut pages) = ("?limit=3".to_owned(), Vec::new());
    loop {
        let page = list(url, &token, &query).await.json();
        pages.push(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?cursor={cursor}&limit=3");
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(pages.concat(), listed);
    listed.sort_unstable();
    assert_eq!(listed, sorted);
    let page = list(url, &token, "?limit=7").await.json();
    assert!(ids(&page).len() == 7 && page["next_cursor"].is_null(), "{page}");
}

async fn a_wrong_page_is_refused(backend: Backend) {
    let server = Server::on(backend).await;
    let token = login(&server.url).await.field("access_token");
    for (query, reason) in [
        ("?limit=0", "limit must be a number from 1 to 100"),
        ("?limit=101", "limit must be a number from 1 to 100"),
        ("?limit=-1", "limit must be a number from 1 to 100"),
        ("?limit=ten", "limit must be a number from 1 to 100"),
        ("?cursor=x", "cursor must be the next_cursor"),
        ("?cursor=__________________________________________", "cursor must be the next_cursor"),
        ("?cursor=________________________________", "cursor must be the next_cursor"),
        ("?limit=1&limit=2", "a parameter occurs twice"),
        ("?limit=%zz", "the query is not a well-formed form"),
    ] {
        let refused = list(&server.url, &token, query).await;
        refused.refused(400, "invalid_request");
        assert!(refused.text.contains(reason), "{query}: {refused:?}");
    }
    for query in ["?", "?limit=", "?cursor=", "?unknown=1"] {
        assert_eq!(list(&server.url, &token, query).await.status, 200, "{query}");
    }
}

async fn a_session_shows_its_network_if_the_audit_log_does(backend: Backend) {
    let server = Server::over(folder_on(backend), |config, _| {
        config.audit_network = AuditNetwork::Address;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut token = String::new();
    for from in ["198.51.100.7", "2001:db8:1:2:3::4"] {
        let body = json!({ "username": "demo", "password": PASSWORD });
        let request = client().post(format!("{}/login", server.url)).json(&body);
        let answer = send(request.header("x-forwarded-for", from)).await;
        token = answer.field("access_token");
        server.advance(1);
    }
    let listed = list(&server.url, &token, "").await.json();
    assert_eq!(listed["sessions"][0]["network"], "2001:db8:1::/48");
    assert_eq!(listed["sessions"][1]["network"], "198.51.100.0/24");
}

async fn an_operator_lists_and_ends_sessions(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let sessions = [login_by(url, "one").await, login_by(url, "").await, login(url).await];
    let token = sessions[2].field("access_token");
    let run = |arguments: &[&str]| {
        let arguments = [&["user", "sessions", "Demo"], arguments].concat();
        command(server.folder.path(), &arguments, "")
    };
    let json = |arguments: &[&str]| {
        let done = run(&[arguments, &["--json"]].concat());
        assert!(done.status.success(), "{}", stderr(&done));
        serde_json::from_str::<Value>(&stdout(&done)).unwrap()
    };
    let listed = json(&[]);
    let seen = list(url, &token, "").await.json();
    for (operator, user) in
        listed.as_array().unwrap().iter().zip(seen["sessions"].as_array().unwrap())
    {
        for name in ["id", "created_at", "last_used_at", "expires_at", "network", "user_agent"] {
            assert_eq!(operator[name], user[name], "{name}");
        }
    }
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let text = stdout(&run(&[]));
    let one = text.lines().find(|line| line.ends_with("\tone")).unwrap();
    assert_eq!(one.split('\t').next().unwrap(), sid(&sessions[0]));
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("\t-\t-\n"), "{text}");

    let ended = json(&["--end", &sid(&sessions[0])]);
    assert_eq!((ended[0]["id"].as_str(), &ended[1]), (Some(&*sid(&sessions[0])), &Value::Null));
    refresh(url, &sessions[0].refresh_token()).await.refused(400, "invalid_grant");
    let again = run(&["--end", &sid(&sessions[0])]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("has no open session"), "{}", stderr(&again));
    assert_eq!(run(&["--end", "x", "--end-all"]).status.code(), Some(2));
    assert_eq!(stdout(&run(&["--end-all"])), "ended sessions of user demo: 2\n");
    assert_eq!(stdout(&run(&["--end-all"])), "ended sessions of user demo: 0\n");
    assert_eq!(json(&[]), json!([]));
    for session in &sessions[1..] {
        refresh(url, &session.refresh_token()).await.refused(400, "invalid_grant");
    }
    end(url, "x", &token).await.refused(401, "invalid_token");
    let unknown = command(server.folder.path(), &["user", "sessions", "nobody"], "");
    assert!(stderr(&unknown).contains("there is no user nobody"), "{}", stderr(&unknown));
}
