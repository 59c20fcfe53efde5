//! The audit log.

use super::*;
use crate::audit::AuditEntry;

over_both!(
    each_change_is_audited_once_and_only_if_it_changes_something,
    only_old_entries_of_the_audit_log_are_deleted,
    entries_have_user_and_network_and_are_filtered_by_all_conditions,
    an_entry_names_the_client_that_made_the_change,
);

/// Returns the whole log.
async fn all(store: &dyn Store) -> Vec<AuditEntry> {
    store.audit(AuditFilter { most: 9999, ..AuditFilter::default() }).await.unwrap()
}

async fn each_change_is_audited_once_and_only_if_it_changes_something(database: Database) {
    let [store, other] = two(&database).await;
    let id = || "user_x".to_owned();
    assert!(!store.add_user(User { id: "user_y".to_owned(), ..user() }, BY).await.unwrap());
    for locked in [true, true, false, false] {
        assert!(store.change_user(id(), vec![UserChange::Locked(locked)], BY, NOW).await.unwrap());
    }
    assert!(
        store
            .change_user(id(), vec![UserChange::Password("another".to_owned())], BY, NOW)
            .await
            .unwrap()
    );
    for scope in ["read", "read write", "read write"] {
        let change = UserChange::Scope(scope.to_owned());
        assert!(store.change_user(id(), vec![change], BY, NOW).await.unwrap());
    }
    let claims = CustomClaims::parse(r#"{"team":7}"#).unwrap();
    for claims in [&claims, &claims, &CustomClaims::default(), &CustomClaims::default()] {
        let change = UserChange::Claims(claims.clone());
        assert!(store.change_user(id(), vec![change], BY, NOW).await.unwrap());
    }
    let client = Client {
        id: "client_x".to_owned(),
        name: "worker".to_owned(),
        scope: String::new(),
        secret_hash: vec![1],
        locked: false,
        created_at: NOW,
        claims: CustomClaims::default(),
        audiences: String::new(),
    };
    assert!(store.add_client(client.clone(), BY).await.unwrap());
    assert!(!store.add_client(Client { id: "client_y".to_owned(), ..client }, BY).await.unwrap());
    for change in [
        ClientChange::Secret(vec![1]),
        ClientChange::Secret(vec![2]),
        ClientChange::Locked(false),
        ClientChange::Locked(true),
        ClientChange::Locked(true),
        ClientChange::Locked(false),
        ClientChange::Scope("read".to_owned()),
        ClientChange::Scope("read".to_owned()),
        ClientChange::Claims(claims.clone()),
        ClientChange::Claims(claims),
        ClientChange::Audiences("urn:example:a".to_owned()),
        ClientChange::Audiences("urn:example:a".to_owned()),
    ] {
        assert!(store.change_client("client_x".to_owned(), vec![change], BY, NOW).await.unwrap());
    }
    let login = |id| Session { scope: "read write".to_owned(), ..session(id) };
    assert!(!open(&*store, login(1), "hash").await);
    for id in [1, 2] {
        assert!(open(&*store, login(id), "another").await);
    }
    for counter in [0, 0, 1, 0, 2] {
        store.refresh(refresh(1, counter, 10)).await.unwrap();
    }
    for id in [1, 2, 2, 3] {
        store.end_session([id; 16], Network::for_tests().into(), NOW).await.unwrap();
    }
    for state in [KeyState::Active, KeyState::Active, KeyState::Retiring] {
        let change = move |_: &Vault| vault(vec![key("kid", state)]);
        store.change_keys(Box::new(change), BY, NOW).await.unwrap();
    }
    store.change_keys(Box::new(|_| vault(Vec::new())), BY, NOW).await.unwrap();

    let entries = all(&*other).await;
    let recorded: Vec<_> =
        entries.iter().map(|entry| (entry.event.as_str(), entry.subject.as_str())).collect();
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    let expected = [
        ("user_added", "user_x"),
        ("user_locked", "user_x"),
        ("user_unlocked", "user_x"),
        ("password_changed", "user_x"),
        ("user_scope_changed", "user_x"),
        ("user_claims_changed", "user_x"),
        ("user_claims_changed", "user_x"),
        ("client_added", "client_x"),
        ("client_secret_changed", "client_x"),
        ("client_locked", "client_x"),
        ("client_unlocked", "client_x"),
        ("client_scope_changed", "client_x"),
        ("client_claims_changed", "client_x"),
        ("client_audiences_changed", "client_x"),
        ("login", one.as_str()),
        ("login", two.as_str()),
        ("refresh_repeated", one.as_str()),
        ("refresh_reused", one.as_str()),
        ("session_ended", two.as_str()),
        ("key_active", "kid"),
        ("key_retiring", "kid"),
        ("key_withdrawn", "kid"),
    ];
    assert_eq!(recorded, expected);
    let last = other.audit(AuditFilter { most: 2, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(last, entries[20..]);
    let of_one = AuditFilter { subject: Some(one), most: 2, ..AuditFilter::default() };
    let of_one = other.audit(of_one).await.unwrap();
    assert_eq!(of_one, entries[16..18]);
}

async fn only_old_entries_of_the_audit_log_are_deleted(database: Database) {
    let [store, other] = two(&database).await;
    for n in 0..2100 {
        let opened =
            Session { id: numbered(n), created_at: NOW + u64::from(n / 100), ..session(9) };
        assert!(open(&*store, opened, "hash").await);
    }
    store.prune_audit(NOW).await.unwrap();
    // From the 1001st on, each login has ended a session.
    assert_eq!(all(&*other).await.len(), 2101 + 1100);
    store.prune_audit(NOW + 20).await.unwrap();
    let left = all(&*other).await;
    assert_eq!(left.len(), 200);
    assert!(left.iter().all(|entry| entry.at == NOW + 20));
}

async fn entries_have_user_and_network_and_are_filtered_by_all_conditions(database: Database) {
    let [store, other] = two(&database).await;
    let eve = User { id: "user_e".to_owned(), name: "eve".to_owned(), ..user() };
    assert!(store.add_user(eve, BY).await.unwrap());
    let of_eve = Session { user_id: "user_e".to_owned(), ..session(2) };
    for opened in [session(1), of_eve] {
        assert!(open(&*store, opened, "hash").await);
    }
    for counter in [0, 0, 1, 0] {
        store.refresh(refresh(1, counter, 10)).await.unwrap();
    }
    store.end_session([2; 16], Network::for_tests().into(), NOW + 5).await.unwrap();
    let failed = |user_id: Option<&str>, count| NewEntry {
        user_id: user_id.map(str::to_owned),
        network: Some("a network".to_owned()),
        count,
        ..NewEntry::of(NOW + 9, Event::LoginFailed, user_id.unwrap_or("-"))
    };
    store.record(vec![failed(Some("user_e"), 7), failed(None, u32::MAX)]).await.unwrap();

    let list = async |filter: AuditFilter| {
        let entries = other.audit(AuditFilter { most: 100, ..filter }).await.unwrap();
        let shown = entries.into_iter().map(|entry| {
            let user = entry.user_name.or(entry.user_id).unwrap_or_default();
            let network = entry.network.unwrap_or_default();
            format!("{} {user} {network} {}", entry.event, entry.count)
        });
        shown.collect::<Vec<_>>()
    };
    let all = [
        "user_added demo  1",
        "user_added eve  1",
        "login demo 192.0.2.1 1",
        "login eve 192.0.2.1 1",
        "refresh_repeated demo 192.0.2.1 1",
        "refresh_reused demo 192.0.2.1 1",
        "session_ended eve 192.0.2.1 1",
        "login_failed eve a network 7",
        "login_failed  a network 4294967295",
    ];
    assert_eq!(list(AuditFilter::default()).await, all);
    let of_eve = || AuditFilter { user_id: Some("user_e".to_owned()), ..AuditFilter::default() };
    assert_eq!(list(of_eve()).await, [all[1], all[3], all[6], all[7]]);
    let events = ["login_failed", "session_ended"].map(str::to_owned).to_vec();
    let filter = AuditFilter { events: events.clone(), ..AuditFilter::default() };
    assert_eq!(list(filter).await, [all[6], all[7], all[8]]);
    assert_eq!(list(AuditFilter { events: events.clone(), ..of_eve() }).await, [all[6], all[7]]);
    assert_eq!(list(AuditFilter { events, since: NOW + 6, ..of_eve() }).await, [all[7]]);
    assert_eq!(list(AuditFilter { since: NOW + 1, ..of_eve() }).await, [all[6], all[7]]);
    let network = Some("a network".to_owned());
    assert_eq!(list(AuditFilter { network: network.clone(), ..of_eve() }).await, [all[7]]);
    assert_eq!(list(AuditFilter { network, ..AuditFilter::default() }).await, [all[7], all[8]]);

    let last = other.audit(AuditFilter { most: 2, ..of_eve() }).await.unwrap();
    let before = AuditFilter { before: Some(last[0].id), ..of_eve() };
    assert_eq!(list(before).await, [all[1], all[3]]);

    // A deleted user has no name.
    assert!(store.delete_user("eve".to_owned(), BY, NOW).await.unwrap());
    assert_eq!(list(of_eve()).await[1], "login user_e 192.0.2.1 1");
    // An older version recorded a user only as the subject.
    store.record(vec![NewEntry::of(NOW, Event::UserLocked, "user_e")]).await.unwrap();
    assert_eq!(list(of_eve()).await.last().unwrap(), "user_locked   1");
}

async fn an_entry_names_the_client_that_made_the_change(database: Database) {
    let [store, other] = two(&database).await;
    let by = || Actor { id: Some("client_x".to_owned()), network: Some(Network::for_tests()) };
    let eve = User { id: "user_e".to_owned(), name: "eve".to_owned(), ..user() };
    assert!(store.add_user(eve, by()).await.unwrap());
    assert!(open(&*store, session(1), "hash").await);
    assert!(open(&*store, session(2), "hash").await);
    store.end_session([1; 16], by(), NOW).await.unwrap();
    let changes = [
        // The second time, there is no session to end.
        vec![UserChange::SessionsEnded],
        vec![UserChange::SessionsEnded],
        vec![
            UserChange::Locked(true),
            UserChange::Scope("write".to_owned()),
            UserChange::Locked(true),
        ],
    ];
    for changes in changes {
        assert!(store.change_user("user_x".to_owned(), changes, by(), NOW).await.unwrap());
    }
    assert!(store.delete_user("demo".to_owned(), by(), NOW).await.unwrap());
    // Nothing can be done to a deleted user but this.
    for (change, is_possible) in [(UserChange::Locked(false), false), (UserChange::Deleted, true)] {
        let changed = store.change_user("user_x".to_owned(), vec![change], by(), NOW);
        assert_eq!(changed.await.unwrap(), is_possible);
    }
    let keys = |_: &Vault| vault(vec![key("kid", KeyState::Active)]);
    store.change_keys(Box::new(keys), by(), NOW).await.unwrap();

    let entries = all(&*other).await;
    let by_client = entries.iter().filter(|entry| entry.actor.as_deref() == Some("client_x"));
    let events: Vec<_> = by_client
        .map(|entry| {
            assert_eq!(entry.network.as_deref(), Some("192.0.2.1"), "{entry:?}");
            entry.event.as_str()
        })
        .collect();
    let expected = [
        "user_added",
        "session_ended",
        "sessions_ended",
        "user_locked",
        "user_scope_changed",
        "user_deleted",
        "key_active",
    ];
    assert_eq!(events, expected);
    assert_eq!(entries.iter().filter(|entry| entry.actor.is_none()).count(), 3, "{entries:?}");
}
