//! The audit log.

use super::*;

over_both!(
    each_change_is_audited_once_and_only_if_it_changes_something,
    only_old_entries_of_the_audit_log_are_deleted,
);

async fn each_change_is_audited_once_and_only_if_it_changes_something(database: Database) {
    let [store, other] = two(&database).await;
    let name = || "demo".to_owned();
    assert!(!store.add_user(User { id: "user_y".to_owned(), ..user() }).await.unwrap());
    for locked in [true, true, false, false] {
        assert!(store.change_user(name(), UserChange::Locked(locked), NOW).await.unwrap());
    }
    assert!(
        store.change_user(name(), UserChange::Password("another".to_owned()), NOW).await.unwrap()
    );
    for scope in ["read", "read write", "read write"] {
        let change = UserChange::Scope(scope.to_owned());
        assert!(store.change_user(name(), change, NOW).await.unwrap());
    }
    let client = Client {
        id: "client_x".to_owned(),
        name: "worker".to_owned(),
        scope: String::new(),
        secret_hash: vec![1],
        locked: false,
        created_at: NOW,
    };
    assert!(store.add_client(client.clone()).await.unwrap());
    assert!(!store.add_client(Client { id: "client_y".to_owned(), ..client }).await.unwrap());
    for change in [
        ClientChange::Secret(vec![1]),
        ClientChange::Secret(vec![2]),
        ClientChange::Locked(false),
        ClientChange::Locked(true),
        ClientChange::Locked(true),
        ClientChange::Locked(false),
        ClientChange::Scope("read".to_owned()),
        ClientChange::Scope("read".to_owned()),
    ] {
        assert!(store.change_client("worker".to_owned(), change, NOW).await.unwrap());
    }
    assert!(!open(&*store, session(1), "hash").await);
    for id in [1, 2] {
        assert!(open(&*store, session(id), "another").await);
    }
    for counter in [0, 0, 1, 0, 2] {
        store.refresh(refresh(1, counter, 10)).await.unwrap();
    }
    for id in [1, 2, 2, 3] {
        store.end_session([id; 16], NOW).await.unwrap();
    }
    for state in [KeyState::Active, KeyState::Active, KeyState::Retiring] {
        let change = move |_: &Vault| vault(vec![key("kid", state)]);
        store.change_keys(Box::new(change), NOW).await.unwrap();
    }
    store.change_keys(Box::new(|_| vault(Vec::new())), NOW).await.unwrap();

    let entries = other.audit(None, 100).await.unwrap();
    let recorded: Vec<_> =
        entries.iter().map(|entry| (entry.event.as_str(), entry.subject.as_str())).collect();
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    let expected = [
        ("user_added", "user_x"),
        ("user_locked", "user_x"),
        ("user_unlocked", "user_x"),
        ("password_changed", "user_x"),
        ("user_scope_changed", "user_x"),
        ("client_added", "client_x"),
        ("client_secret_changed", "client_x"),
        ("client_locked", "client_x"),
        ("client_unlocked", "client_x"),
        ("client_scope_changed", "client_x"),
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
    assert_eq!(other.audit(None, 2).await.unwrap(), entries[16..]);
    let of_one = other.audit(Some(one), 2).await.unwrap();
    assert_eq!(of_one, entries[12..14]);
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
    assert_eq!(other.audit(None, 9999).await.unwrap().len(), 2101 + 1100);
    store.prune_audit(NOW + 20).await.unwrap();
    let left = other.audit(None, 9999).await.unwrap();
    assert_eq!(left.len(), 200);
    assert!(left.iter().all(|entry| entry.at == NOW + 20));
}
