//! Audiences that requests choose by `resource` (RFC 8707), and tokens for the issuer itself.

use countersign_issuer::{Config, Limits};
use serde_json::{Value, json};

use crate::clients::{Credentials, GRANT, add, ask, introspect, run};
use crate::common::{
    Answer, Backend, Server, command, folder_on, login, over_all, post_form, stderr,
};

over_all!(
    a_client_chooses_among_its_audiences,
    a_session_chooses_among_the_configured_audiences_and_no_token_is_spent_otherwise,
    a_token_for_the_issuer_is_for_nobody_else,
    a_scope_for_the_issuer_is_in_no_other_token,
    a_list_of_audiences_that_no_request_can_name_is_refused,
);

const ORDERS: &str = "https://orders.example";
const MAIL: &str = "urn:example:mail";

/// Asks for a token with these further parameters.
async fn token(server: &Server, client: &Credentials, more: &[(&str, &str)]) -> Answer {
    ask(server, "/token", client, &[&[GRANT], more].concat()).await
}

fn described(answer: &Answer, error: &str, description: &str) {
    answer.refused(400, error);
    assert!(answer.field("error_description").contains(description), "{answer:?}");
}

async fn a_client_chooses_among_its_audiences(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let worker = add(folder, "worker", "read");
    let orders = ("resource", ORDERS);
    let not_listed = "may have no token for that resource";
    described(&token(&server, &worker, &[orders]).await, "invalid_target", not_listed);

    run(folder, &["client", "audiences", "worker", ORDERS, MAIL, ORDERS]);
    assert_eq!(run(folder, &["client", "audiences", "worker"]), format!("{ORDERS}\n{MAIL}\n"));
    let shown = run(folder, &["client", "audiences", "worker", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let expected = json!({ "name": "worker", "client_id": worker.id, "audiences": [ORDERS, MAIL] });
    assert_eq!(shown, expected);
    let mail = ("resource", MAIL);
    for (more, audience) in [
        (&[][..], json!("api")),
        (&[("resource", "")], json!("api")),
        (&[orders], json!(ORDERS)),
        (&[orders, orders], json!(ORDERS)),
        (&[mail, ("scope", "read"), orders], json!([MAIL, ORDERS])),
    ] {
        let answer = token(&server, &worker, more).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.claims()["aud"], audience);
        let found = introspect(&server, &worker, &answer.field("access_token")).await;
        assert_eq!(found["aud"], audience);
    }
    for (resource, description) in [
        ("https://orders.example/", not_listed),
        ("https://ORDERS.example", not_listed),
        ("https://other.example", not_listed),
        ("api", "resource is malformed"),
        ("https://orders.example#x", "resource is malformed"),
        ("//orders.example", "resource is malformed"),
        ("https://orders.example urn:example:mail", "resource is malformed"),
    ] {
        let more = [orders, ("resource", resource)];
        described(&token(&server, &worker, &more).await, "invalid_target", description);
    }
    // Credentials come first.
    let wrong = Credentials { id: worker.id.clone(), secret: "wrong".to_owned() };
    token(&server, &wrong, &[orders]).await.refused(401, "invalid_client");

    run(folder, &["client", "audiences", "worker", ""]);
    assert_eq!(run(folder, &["client", "audiences", "worker"]), "");
    described(&token(&server, &worker, &[orders]).await, "invalid_target", not_listed);
    assert_eq!(token(&server, &worker, &[]).await.claims()["aud"], "api");
    let audited = run(folder, &["audit", "list", "--event", "client_audiences_changed"]);
    assert_eq!(audited.lines().count(), 2, "{audited}");
}

async fn a_session_chooses_among_the_configured_audiences_and_no_token_is_spent_otherwise(
    backend: Backend,
) {
    let listed = |config: &mut Config, _: &mut Limits| {
        config.audiences = vec![ORDERS.parse().unwrap(), MAIL.parse().unwrap()];
    };
    let server = Server::over(folder_on(backend), listed).await;
    let answer = login(&server.url).await;
    assert_eq!(answer.claims()["aud"], "api");
    let mut refresh_token = answer.refresh_token();
    let url = server.url.clone();
    for (more, expected) in [
        (&[("resource", ORDERS)][..], Ok(json!(ORDERS))),
        (&[("resource", "https://other.example")], Err("may have no token for that resource")),
        (&[("resource", "orders")], Err("resource is malformed")),
        (&[("resource", url.as_str())], Err("the client's scope has neither countersign:admin")),
        (&[("resource", MAIL), ("resource", ORDERS), ("scope", "read")], Ok(json!([MAIL, ORDERS]))),
        (&[], Ok(json!("api"))),
    ] {
        let form = [
            &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str())][..],
            more,
        ];
        let answer = post_form(&url, "/token", &form.concat()).await;
        match expected {
            Ok(audience) => {
                assert_eq!(answer.claims()["aud"], audience);
                refresh_token = answer.refresh_token();
            }
            Err(description) => described(&answer, "invalid_target", description),
        }
    }
}

async fn a_token_for_the_issuer_is_for_nobody_else(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let issuer = ("resource", server.url.as_str());
    let admin = add(folder, "admin", "read countersign:admin write countersign:read");
    run(folder, &["client", "audiences", "admin", ORDERS, &server.url]);
    let worker = add(folder, "worker", "read");
    run(folder, &["client", "audiences", "worker", &server.url]);

    let answer = token(&server, &admin, &[issuer]).await;
    assert_eq!(answer.claims()["aud"], server.url.as_str());
    for scope in [&answer.claims()["scope"], &answer.json()["scope"]] {
        assert_eq!(scope, "countersign:admin countersign:read");
    }
    let answer = token(&server, &admin, &[issuer, ("scope", "countersign:read")]).await;
    assert_eq!(answer.claims()["scope"], "countersign:read");

    let alone = "resource names the issuer and others";
    let others = [issuer, ("resource", ORDERS)];
    described(&token(&server, &admin, &others).await, "invalid_target", alone);
    let slash = format!("{}/", server.url);
    token(&server, &admin, &[("resource", &slash)]).await.refused(400, "invalid_target");
    let neither = "neither countersign:admin nor countersign:read";
    described(&token(&server, &worker, &[issuer]).await, "invalid_target", neither);
    run(folder, &["client", "scope", "admin", "read"]);
    described(&token(&server, &admin, &[issuer]).await, "invalid_target", neither);
}

async fn a_scope_for_the_issuer_is_in_no_other_token(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    let issuer = ("resource", server.url.as_str());
    let admin = add(folder, "admin", "read countersign:admin");
    let answer = token(&server, &admin, &[]).await;
    let scope = (answer.claims()["scope"].clone(), answer.field("scope"));
    assert_eq!(scope, (json!("read"), "read".to_owned()));
    let own = "scopes that begin with countersign: are for the issuer alone";
    for more in [
        &[("scope", "countersign:admin")][..],
        &[("scope", "read countersign:admin")],
        &[issuer, ("scope", "read")],
        &[issuer, ("scope", "read countersign:admin")],
    ] {
        described(&token(&server, &admin, more).await, "invalid_scope", own);
    }
    let more = [issuer, ("scope", "countersign:read")];
    described(&token(&server, &admin, &more).await, "invalid_scope", "more than the client has");

    // No user administers the issuer by a session.
    run(folder, &["user", "scope", "demo", "write countersign:admin"]);
    let answer = login(&server.url).await;
    assert_eq!(
        (answer.field("scope"), &answer.claims()["scope"]),
        ("write".to_owned(), &json!("write"))
    );
    let refresh_token = answer.refresh_token();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.as_str()),
        ("scope", "countersign:admin"),
    ];
    described(&post_form(&server.url, "/token", &form).await, "invalid_scope", own);
    let form = [&form[..2], &[issuer]].concat();
    post_form(&server.url, "/token", &form).await.refused(400, "invalid_target");
    let answer = post_form(&server.url, "/token", &form[..2]).await;
    assert_eq!(
        (answer.field("scope"), &answer.claims()["scope"]),
        ("write".to_owned(), &json!("write"))
    );
}

async fn a_list_of_audiences_that_no_request_can_name_is_refused(backend: Backend) {
    let server = Server::on(backend).await;
    let folder = server.folder.path();
    add(folder, "worker", "read");
    let many: Vec<_> = (0..17).map(|n| format!("urn:example:{n}")).collect();
    for (name, audiences, reason) in [
        ("worker", "api", "\"api\" is not a resource; expected an absolute URI"),
        ("worker", "https://orders.example#x", "is not a resource"),
        ("worker", &many.join(" "), "at most 16 audiences"),
        ("nobody", ORDERS, "there is no client nobody"),
    ] {
        let done = command(folder, &["client", "audiences", name, MAIL, audiences], "");
        assert_eq!(done.status.code(), Some(1));
        assert!(stderr(&done).contains(reason), "{}", stderr(&done));
    }
    assert_eq!(run(folder, &["client", "audiences", "worker"]), "");
}
