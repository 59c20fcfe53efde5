//! Refresh tokens over HTTP, in every order in which a client can present them.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::common::{Backend, PASSWORD, START, Server, command, get, login, over_all};
use crate::common::{distinct, post_form, post_json, refresh, stderr};

over_all!(
    each_refresh_replaces_the_token_and_keeps_the_session,
    a_token_has_the_same_successor_within_the_grace_and_ends_the_session_after_it,
    the_counter_orders_tokens_even_if_the_clock_stands_still,
    parallel_refreshes_of_one_token_have_one_successor,
    a_session_that_is_revoked_during_a_refresh_stays_ended,
    an_altered_token_is_refused_and_ends_no_session,
    an_idle_session_ends_and_every_session_ends_after_thirty_days,
    a_new_password_replaces_the_old_one_and_ends_every_session,
    a_clock_that_is_set_back_revives_no_refresh_token,
    sessions_survive_a_restart,
);

async fn each_refresh_replaces_the_token_and_keeps_the_session(backend: Backend) {
    let server = Server::on(backend).await;
    let first = login(&server.url).await;
    let mut token = first.refresh_token();
    for _ in 0..5 {
        server.advance(60);
        let answer = refresh(&server.url, &token).await;
        let next = answer.refresh_token();
        assert_ne!(next, token);
        assert_eq!(answer.claims()["sid"], first.claims()["sid"]);
        assert_eq!(answer.claims()["sub"], first.claims()["sub"]);
        token = next;
    }
}

async fn a_token_has_the_same_successor_within_the_grace_and_ends_the_session_after_it(
    backend: Backend,
) {
    let server = Server::on(backend).await;
    let first = login(&server.url).await.refresh_token();
    let second = refresh(&server.url, &first).await.refresh_token();
    // The clock of PostgreSQL goes on meanwhile.
    server.advance(20);
    assert_eq!(refresh(&server.url, &first).await.refresh_token(), second);
    server.advance(11);
    refresh(&server.url, &first).await.refused(400, "invalid_grant");
    refresh(&server.url, &second).await.refused(400, "invalid_grant");
}

async fn the_counter_orders_tokens_even_if_the_clock_stands_still(backend: Backend) {
    let server = Server::on(backend).await;
    let first = login(&server.url).await.refresh_token();
    let second = refresh(&server.url, &first).await.refresh_token();
    let third = refresh(&server.url, &second).await.refresh_token();
    assert_eq!(refresh(&server.url, &second).await.refresh_token(), third);
    // The token was replaced twice, so that it counts as stolen even within the grace.
    refresh(&server.url, &first).await.refused(400, "invalid_grant");
    refresh(&server.url, &third).await.refused(400, "invalid_grant");
}

async fn parallel_refreshes_of_one_token_have_one_successor(backend: Backend) {
    let server = Server::on(backend).await;
    for _ in 0..5 {
        let token = login(&server.url).await.refresh_token();
        let attempts: Vec<_> = (0..16)
            .map(|_| {
                let (url, token) = (server.url.clone(), token.clone());
                tokio::spawn(async move { refresh(&url, &token).await.refresh_token() })
            })
            .collect();
        assert_eq!(distinct(attempts).await.len(), 1);
    }
}

async fn a_session_that_is_revoked_during_a_refresh_stays_ended(backend: Backend) {
    let server = Server::on(backend).await;
    for _ in 0..8 {
        let token = login(&server.url).await.refresh_token();
        let form = [("token", token.as_str())];
        let (refreshed, revoked) =
            tokio::join!(refresh(&server.url, &token), post_form(&server.url, "/revoke", &form));
        assert_eq!(revoked.status, 200);
        if refreshed.status == 200 {
            let next = refreshed.refresh_token();
            refresh(&server.url, &next).await.refused(400, "invalid_grant");
        }
        refresh(&server.url, &token).await.refused(400, "invalid_grant");
    }
}

async fn an_altered_token_is_refused_and_ends_no_session(backend: Backend) {
    let server = Server::on(backend).await;
    let token = login(&server.url).await.refresh_token();
    let flipped = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut altered: Vec<String> = (0..token.len()).step_by(5).map(flipped).collect();
    altered.push(flipped(token.len() - 1));
    altered.push(token[..token.len() - 1].to_owned());
    altered.push(format!("{token}A"));
    altered.push(format!("{token}="));
    altered.push(format!("{token}{token}"));
    altered.push(" ".to_owned() + &token);
    for altered in altered {
        refresh(&server.url, &altered).await.refused(400, "invalid_grant");
    }
    assert_eq!(refresh(&server.url, &token).await.status, 200);
}

async fn an_idle_session_ends_and_every_session_ends_after_thirty_days(backend: Backend) {
    const DAY: u64 = 86400;
    let server = Server::on(backend).await;
    let token = login(&server.url).await.refresh_token();
    server.advance(7 * DAY);
    refresh(&server.url, &token).await.refused(400, "invalid_grant");

    let mut token = login(&server.url).await.refresh_token();
    for day in [6, 12, 18, 24] {
        server.advance(6 * DAY);
        let answer = refresh(&server.url, &token).await;
        let left = (30 - day).min(7) * DAY;
        assert_eq!(answer.json()["refresh_expires_in"], left, "day {day}");
        token = answer.refresh_token();
    }
    server.advance(6 * DAY);
    refresh(&server.url, &token).await.refused(400, "invalid_grant");
}

async fn a_clock_that_is_set_back_revives_no_refresh_token(backend: Backend) {
    let server = Server::on(backend).await;
    let url = &server.url;
    let expired = login(url).await.refresh_token();
    server.advance(86400);
    let good = login(url).await.refresh_token();
    server.advance(6 * 86400);
    server.looked().await;
    refresh(url, &expired).await.refused(400, "invalid_grant");
    let set_back = |seconds| server.clock.fetch_sub(seconds, Ordering::Relaxed);

    // A difference of `clock_skew` disturbs nobody.
    set_back(60);
    refresh(url, &expired).await.refused(400, "invalid_grant");
    let good = refresh(url, &good).await.refresh_token();
    let answer = login(url).await;
    assert_eq!(answer.claims()["iat"], START + 7 * 86400 - 60, "no token is from the future");
    assert_eq!(get(url, "/healthz/ready").await.status, 200);

    set_back(60);
    refresh(url, &expired).await.refused(400, "invalid_grant");
    for refused in [refresh(url, &good).await, login(url).await, get(url, "/healthz/ready").await] {
        refused.refused(503, "temporarily_unavailable");
        assert!(refused.text.contains("the clock is behind"), "{refused:?}");
    }
    // A session can be ended at any time.
    let logout = post_form(url, "/logout", &[("refresh_token", &answer.refresh_token())]).await;
    assert_eq!(logout.status, 204);

    // Nothing was used up meanwhile.
    server.clock.fetch_add(120, Ordering::Relaxed);
    refresh(url, &good).await.refresh_token();
    refresh(url, &expired).await.refused(400, "invalid_grant");
}

async fn a_new_password_replaces_the_old_one_and_ends_every_session(backend: Backend) {
    let server = Server::on(backend).await;
    let sessions = [login(&server.url).await, login(&server.url).await];
    let other = "another long password";
    let done = command(server.folder.path(), &["user", "passwd", "Demo"], other);
    assert!(done.status.success(), "{}", stderr(&done));
    for session in sessions {
        refresh(&server.url, &session.refresh_token()).await.refused(400, "invalid_grant");
    }
    login(&server.url).await.refused(401, "invalid_grant");
    let body = json!({ "username": "demo", "password": other });
    assert_ne!(other, PASSWORD);
    assert_eq!(post_json(&server.url, "/login", &body).await.status, 200);
}

async fn sessions_survive_a_restart(backend: Backend) {
    let server = Server::on(backend).await;
    let first = login(&server.url).await.refresh_token();
    let second = refresh(&server.url, &first).await.refresh_token();
    let server = Server::over(server.stop().await, |_, _| {}).await;
    assert_eq!(refresh(&server.url, &first).await.refresh_token(), second);
    assert_eq!(refresh(&server.url, &second).await.status, 200);
}
