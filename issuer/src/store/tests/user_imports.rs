//! Users that are added together.

use super::*;
use crate::users::Addition;

over_both!(
    users_are_added_together_and_each_is_audited_once,
    two_issuers_that_add_the_same_users_add_each_once,
);

fn named(id: &str, name: &str) -> User {
    User { id: id.to_owned(), name: name.to_owned(), ..user() }
}

async fn added(store: &dyn Store) -> Vec<String> {
    let events = vec![Event::UserAdded.name().to_owned()];
    let filter = AuditFilter { events, most: 9999, ..AuditFilter::default() };
    store.audit(filter).await.unwrap().into_iter().map(|entry| entry.subject).collect()
}

async fn users_are_added_together_and_each_is_audited_once(database: Database) {
    use Addition::{Added, NameTaken, Present};
    let [store, other] = two(&database).await;
    let alice = User {
        scope: "read write".to_owned(),
        password_hash: "$2b$".to_owned(),
        locked: true,
        claims: CustomClaims::parse(r#"{"team":7}"#).unwrap(),
        created_at: NOW + 5,
        ..named("user_a", "alice")
    };
    let users = vec![
        alice.clone(),
        named("user_d", "demo"),
        named("user_b", "bob"),
        named("user_b", "bob"),
        named("user_c", "bob"),
        named("user_x", "another name"),
    ];
    let outcomes = store.add_users(users.clone(), BY).await.unwrap();
    assert_eq!(outcomes, [Added, NameTaken, Added, Present, NameTaken, Present]);
    assert_eq!(other.user("alice".to_owned()).await.unwrap(), Some(alice));
    assert_eq!(added(&*other).await, ["user_x", "user_a", "user_b"]);

    let outcomes = other.add_users(users, BY).await.unwrap();
    assert_eq!(outcomes, [Present, NameTaken, Present, Present, NameTaken, Present]);
    assert_eq!(added(&*store).await.len(), 3);
    assert_eq!(store.users(String::new(), 9).await.unwrap().len(), 3);
    assert_eq!(store.add_users(Vec::new(), BY).await.unwrap(), []);
}

async fn two_issuers_that_add_the_same_users_add_each_once(database: Database) {
    let stores = two(&database).await;
    let users: Vec<_> = (0..300).map(|n| named(&format!("user_{n}"), &format!("n{n}"))).collect();
    let add = |store: &Arc<dyn Store>, users: Vec<User>| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.add_users(users, BY).await })
    };
    let backwards = users.iter().rev().cloned().collect();
    for adding in [add(&stores[0], users), add(&stores[1], backwards)] {
        let outcomes = adding.await.unwrap().unwrap();
        assert!(!outcomes.contains(&Addition::NameTaken));
    }
    let ids: HashSet<_> = added(&*stores[0]).await.into_iter().collect();
    assert_eq!((ids.len(), added(&*stores[0]).await.len()), (301, 301));
}
