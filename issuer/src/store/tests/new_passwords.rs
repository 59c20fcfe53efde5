//! Passwords that users set themselves.

use super::*;
use crate::login::new_password::{NewPassword, Proof};
use crate::session::{Cursor, SessionPage};

over_both!(
    a_new_password_ends_all_sessions_but_that_of_the_change,
    a_proof_that_does_not_hold_any_more_changes_nothing,
    one_of_several_changes_with_the_same_password_wins,
    a_reset_token_sets_one_password,
    a_change_that_ends_the_sessions_ends_the_one_time_tokens,
    live_sessions_are_listed_in_pages_from_the_newest,
    the_end_of_all_sessions_is_audited_if_there_was_one,
);

pub(super) fn new(hash: &str, proof: Proof) -> NewPassword {
    let (user_id, network) = ("user_x".to_owned(), Network::for_tests());
    NewPassword { user_id, hash: hash.to_owned(), proof, network, now: NOW + 1 }
}

/// Counts an attempt, as the service does before it checks the current password.
async fn counted(store: &dyn Store, account: u8, id: u8) -> ProvisionalFailure {
    match store.attempt(attempt(account, 1, id, NOW)).await.unwrap() {
        throttle::Verdict::Admit(failure) => failure,
        refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
    }
}

async fn by_password(store: &dyn Store, version: u64, session: u8) -> Proof {
    let failure = counted(store, 1, session).await;
    Proof::Password { version, session: [session; 16], failure }
}

pub(super) fn by_token(token: u8, request: u8) -> Proof {
    Proof::Reset(token_use(token, Purpose::PasswordReset, request, NOW))
}

async fn is_live(store: &dyn Store, id: u8) -> bool {
    !store.session([id; 16]).await.unwrap().unwrap().revoked
}

async fn events(store: &dyn Store) -> Vec<String> {
    let filter = AuditFilter { most: 100, ..AuditFilter::default() };
    let entries = store.audit(filter).await.unwrap().into_iter();
    let text = |entry: crate::audit::AuditEntry| {
        format!("{} {}", entry.event, entry.network.unwrap_or_default())
    };
    entries.map(text).skip(1).collect()
}

async fn a_new_password_ends_all_sessions_but_that_of_the_change(database: Database) {
    let [store, other] = two(&database).await;
    for id in 1..=3 {
        assert!(open(&*store, session(id), "hash").await);
    }
    counted(&*store, 1, 8).await;
    let change = new("anew", by_password(&*store, 0, 2).await);
    assert!(store.set_password(change.clone()).await.unwrap());
    for (id, live) in [(1, false), (2, true), (3, false)] {
        assert_eq!(is_live(&*other, id).await, live, "{id}");
    }
    let user = other.user("demo".to_owned()).await.unwrap().unwrap();
    assert_eq!((user.password_hash.as_str(), user.password_version), ("anew", 1));
    // As after a login, the own counter begins anew.
    assert_eq!(counted(&*other, 1, 9).await.own.count, 1);
    let login = "login 192.0.2.1";
    let expected = [login, login, login, "password_changed 192.0.2.1"];
    assert_eq!(events(&*store).await, expected);
}

async fn a_proof_that_does_not_hold_any_more_changes_nothing(database: Database) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    assert!(open(&*store, session(2), "hash").await);
    let change = |change| other.change_user("user_x".to_owned(), vec![change], BY, NOW);
    let foreign = NewPassword { user_id: "user_y".to_owned(), ..new("n", by_token(1, 1)) };
    assert!(!store.set_password(foreign).await.unwrap());
    let old = by_password(&*store, 7, 1).await;
    assert!(!store.set_password(new("anew", old)).await.unwrap());
    assert!(is_live(&*store, 2).await);
    for ends in [UserChange::Locked(true), UserChange::PasswordExpired] {
        let proof = by_password(&*store, 0, 1).await;
        assert!(change(ends).await.unwrap());
        assert!(!store.set_password(new("anew", proof)).await.unwrap());
        assert!(change(UserChange::Locked(false)).await.unwrap());
    }
    assert!(store.delete_user("demo".to_owned(), BY, NOW).await.unwrap());
    assert!(!store.set_password(new("anew", by_token(1, 1))).await.unwrap());
    assert!(events(&*store).await.iter().all(|event| !event.starts_with("password_changed")));
}

async fn one_of_several_changes_with_the_same_password_wins(database: Database) {
    let stores = two(&database).await;
    for round in 0..5_u64 {
        let mut changes = Vec::new();
        for id in 0..8_u8 {
            let store = Arc::clone(&stores[usize::from(id) % 2]);
            let failure = counted(&*store, id, id).await;
            let proof = Proof::Password { version: round, session: [id; 16], failure };
            let hash = format!("{round} {id}");
            changes.push(tokio::spawn(async move {
                let is_set = store.set_password(new(&hash, proof)).await.unwrap();
                is_set.then_some(hash)
            }));
        }
        let mut set = Vec::new();
        for change in changes {
            set.extend(change.await.unwrap());
        }
        let user = stores[0].user("demo".to_owned()).await.unwrap().unwrap();
        assert_eq!(set, [user.password_hash]);
        assert_eq!(user.password_version, round + 1);
    }
}

async fn a_reset_token_sets_one_password(database: Database) {
    let stores = two(&database).await;
    for round in 0..5_u8 {
        assert!(
            stores[0]
                .add_user(
                    User { id: format!("user_{round}"), name: format!("{round}"), ..user() },
                    BY
                )
                .await
                .unwrap()
        );
        let user_id = format!("user_{round}");
        let session = Session { user_id: user_id.clone(), ..session(round) };
        assert!(open(&*stores[0], session, "hash").await);
        let token = OneTimeToken { user_id: Some(user_id.clone()), ..one_time_token(round) };
        stores[1].add_one_time_token(token, BY).await.unwrap();
        let resets = (0..16).map(|request| {
            let store = Arc::clone(&stores[usize::from(request) % 2]);
            let hash = format!("hash {request}");
            let change =
                NewPassword { user_id: user_id.clone(), ..new(&hash, by_token(round, request)) };
            tokio::spawn(async move {
                let is_set = store.set_password(change).await.unwrap();
                is_set.then_some(hash)
            })
        });
        let mut set = Vec::new();
        for reset in resets.collect::<Vec<_>>() {
            set.extend(reset.await.unwrap());
        }
        let user = stores[0].user(format!("{round}")).await.unwrap().unwrap();
        assert_eq!(set, [user.password_hash]);
        assert_eq!(user.password_version, 1);
        assert!(!is_live(&*stores[1], round).await);
    }
    let count =
        |events: &[String], name: &str| events.iter().filter(|event| **event == name).count();
    let events = events(&*stores[0]).await;
    assert_eq!(count(&events, "password_reset_begun "), 5, "{events:?}");
    assert_eq!(count(&events, "password_reset 192.0.2.1"), 5, "{events:?}");
}

async fn a_change_that_ends_the_sessions_ends_the_one_time_tokens(database: Database) {
    let [store, other] = two(&database).await;
    let foreign = User { id: "user_y".to_owned(), name: "other".to_owned(), ..user() };
    assert!(store.add_user(foreign, BY).await.unwrap());
    let of_other = OneTimeToken { user_id: Some("user_y".to_owned()), ..one_time_token(99) };
    store.add_one_time_token(of_other, BY).await.unwrap();
    let is_open = async |hash: u8, purpose| {
        other.one_time_token([hash; 32], purpose, NOW).await.unwrap().is_some()
    };
    for (hash, (change, ends)) in (10..).zip([
        (UserChange::Locked(false), false),
        (UserChange::Scope("read write".to_owned()), false),
        (UserChange::SessionsEnded, true),
        (UserChange::Password("anew".to_owned()), true),
        (UserChange::PasswordExpired, true),
        (UserChange::Locked(true), true),
    ]) {
        let second = OneTimeToken { purpose: Purpose::SecondFactor, ..one_time_token(hash + 50) };
        store.add_one_time_token(second, BY).await.unwrap();
        store.add_one_time_token(one_time_token(hash), BY).await.unwrap();
        assert!(
            store.change_user("user_x".to_owned(), vec![change.clone()], BY, NOW).await.unwrap()
        );
        assert_eq!(is_open(hash, Purpose::PasswordReset).await, !ends, "{change:?}");
        assert_eq!(is_open(hash + 50, Purpose::SecondFactor).await, !ends, "{change:?}");
    }
    assert!(is_open(99, Purpose::PasswordReset).await);
    // A reset ends the tokens that were not used.
    for token in [1, 2] {
        store.add_one_time_token(one_time_token(token), BY).await.unwrap();
    }
    assert!(store.set_password(new("again", by_token(1, 1))).await.unwrap());
    assert!(!store.set_password(new("once more", by_token(2, 2))).await.unwrap());
}

async fn live_sessions_are_listed_in_pages_from_the_newest(database: Database) {
    let [store, other] = two(&database).await;
    let foreign = User { id: "user_y".to_owned(), name: "other".to_owned(), ..user() };
    assert!(store.add_user(foreign, BY).await.unwrap());
    let of_other = Session { user_id: "user_y".to_owned(), ..session(99) };
    assert!(open(&*store, of_other, "hash").await);
    // Three are of one second.
    for (id, age) in [(1, 5), (2, 3), (4, 3), (3, 3), (5, 0), (6, 1), (7, 2)] {
        let session = Session { created_at: NOW - age, ..session(id) };
        assert!(open(&*store, session, "hash").await);
    }
    let expired = Session { expires_at: NOW + 10, ..session(8) };
    assert!(open(&*store, expired, "hash").await);
    store.end_session([6; 16], BY, NOW).await.unwrap();
    let page = async |after, most, now| {
        let page = SessionPage { user_id: "user_x".to_owned(), now, after, most };
        other.live_sessions(page).await.unwrap()
    };
    let ids = |sessions: &[Session]| sessions.iter().map(|one| one.id[0]).collect::<Vec<_>>();
    assert_eq!(ids(&page(Cursor::START, 100, NOW + 9).await), [8, 5, 7, 4, 3, 2, 1]);
    assert_eq!(page(Cursor::START, 1, NOW + 10).await, [session(5)]);
    let (mut after, mut listed) = (Cursor::START, Vec::new());
    loop {
        let sessions = page(after, 2, NOW + 10).await;
        let Some(last) = sessions.last() else { break };
        after = Cursor::decode(&Cursor::of(last).encode()).unwrap();
        listed.push(ids(&sessions));
    }
    assert_eq!(listed, [vec![5, 7], vec![4, 3], vec![2, 1]]);
}

async fn the_end_of_all_sessions_is_audited_if_there_was_one(database: Database) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    for _ in 0..2 {
        let ended =
            other.change_user("user_x".to_owned(), vec![UserChange::SessionsEnded], BY, NOW);
        assert!(ended.await.unwrap());
        assert!(!is_live(&*store, 1).await);
    }
    assert_eq!(events(&*store).await, ["login 192.0.2.1", "sessions_ended "]);
    let user = store.user("demo".to_owned()).await.unwrap();
    assert_eq!(user, Some(super::user()));
}
