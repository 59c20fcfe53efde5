//! Requests that come again.

use super::*;
use crate::idempotency::{Added, KEPT, KeyedRequest, New, NewAnswer};

over_both!(a_key_adds_one_user_however_many_issuers_get_it, an_answer_is_forgotten_after_a_day,);

fn answer(sealed: u8, now: u64) -> NewAnswer {
    NewAnswer { to: KeyedRequest { key: [7; 32], request: [8; 32] }, sealed: vec![sealed], now }
}

/// Returns a user with an id that no other one has.
fn new(name: &str) -> New {
    let id = crate::crypto::random_id().unwrap();
    New::User(User { id, name: name.to_owned(), ..user() })
}

async fn a_key_adds_one_user_however_many_issuers_get_it(database: Database) {
    let stores = two(&database).await;
    let add = |number: u8| {
        let store = Arc::clone(&stores[usize::from(number) % 2]);
        let added = async move { store.add_once(new("alice"), answer(number, NOW), BY).await };
        tokio::spawn(added)
    };
    let attempts: Vec<_> = (0..10).map(add).collect();
    let mut results = Vec::new();
    for attempt in attempts {
        results.push(attempt.await.unwrap().unwrap());
    }
    let first = results.iter().position(|added| *added == Added::New).unwrap();
    let before = Added::Before { request: vec![8; 32], answer: vec![first as u8] };
    for (number, added) in results.iter().enumerate() {
        assert_eq!(added, if number == first { &Added::New } else { &before });
    }

    // A name that is taken leaves the key free.
    let other =
        NewAnswer { to: KeyedRequest { key: [9; 32], ..answer(0, NOW).to }, ..answer(0, NOW) };
    for (name, expected) in [("alice", Added::NameTaken), ("bob", Added::New)] {
        assert_eq!(stores[0].add_once(new(name), other.clone(), BY).await.unwrap(), expected);
    }
    assert_eq!(stores[1].users(String::new(), 9).await.unwrap().len(), 3);
}

async fn an_answer_is_forgotten_after_a_day(database: Database) {
    let [store, other] = two(&database).await;
    let add = async |name, now| store.add_once(new(name), answer(0, now), BY).await.unwrap();
    assert_eq!(add("alice", NOW).await, Added::New);
    assert!(matches!(add("alice", NOW + KEPT - 1).await, Added::Before { .. }));
    assert_eq!(add("bob", NOW + KEPT).await, Added::New);
    other.prune_answers(NOW + 2 * KEPT - 1).await.unwrap();
    assert!(matches!(add("carol", NOW + KEPT).await, Added::Before { .. }));
    other.prune_answers(NOW + 2 * KEPT).await.unwrap();
    assert_eq!(add("carol", NOW + KEPT).await, Added::New);
}
