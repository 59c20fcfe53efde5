//! Parallel refreshes, log-outs and changes of passwords.

use std::future::poll_fn;
use std::task::Poll;

use super::*;
use crate::audit::session_subject;

over_both!(
    one_of_several_parallel_refreshes_rotates_and_the_others_repeat,
    without_a_grace_the_second_of_two_parallel_refreshes_ends_the_session,
    a_session_that_ends_during_a_refresh_stays_ended,
    a_repeated_refresh_is_recorded_once_for_each_rotation,
    a_new_password_ends_all_sessions_of_the_old_one,
    a_user_has_a_thousand_sessions_and_the_oldest_end_first,
    a_login_waits_for_a_part_of_the_pruning_only,
    a_hash_is_replaced_only_if_it_is_unchanged_and_sessions_stay,
    no_session_survives_its_user,
    no_login_opens_a_session_with_a_scope_that_was_replaced,
    each_refresh_has_the_claims_that_its_user_has_then,
    a_session_that_opens_while_claims_change_has_the_new_ones,
);

/// Sends `count` refreshes in parallel, half of them to each store, and returns the verdicts.
async fn all_at_once(
    stores: &[Arc<dyn Store>; 2],
    refresh: &Refresh,
    count: usize,
) -> Vec<Verdict> {
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            let (store, refresh) = (Arc::clone(&stores[index % 2]), refresh.clone());
            tokio::spawn(async move { store.refresh(refresh).await.unwrap() })
        })
        .collect();
    let mut verdicts = Vec::new();
    for task in tasks {
        verdicts.push(task.await.unwrap());
    }
    verdicts
}

async fn one_of_several_parallel_refreshes_rotates_and_the_others_repeat(database: Database) {
    let stores = two(&database).await;
    for id in 0..10 {
        assert!(open(&*stores[0], session(id), "hash").await);
        let verdicts = all_at_once(&stores, &refresh(id, 0, 10), 16).await;
        let rotated = verdicts.iter().filter(|v| matches!(v, Verdict::Rotate(_))).count();
        assert_eq!(rotated, 1);
        for verdict in verdicts {
            let (Verdict::Rotate(next) | Verdict::Repeat { session: next, .. }) = verdict else {
                panic!("{verdict:?}")
            };
            assert_eq!(next.counter, 1);
        }
    }
}

async fn without_a_grace_the_second_of_two_parallel_refreshes_ends_the_session(database: Database) {
    let stores = two(&database).await;
    for id in 0..10 {
        assert!(open(&*stores[0], session(id), "hash").await);
        let verdicts = all_at_once(&stores, &refresh(id, 0, 0), 2).await;
        assert!(verdicts.iter().any(|v| matches!(v, Verdict::Rotate(_))), "{verdicts:?}");
        assert!(verdicts.contains(&Verdict::Reuse), "{verdicts:?}");
        assert_eq!(stores[1].refresh(refresh(id, 1, 0)).await.unwrap(), Verdict::Refuse);
    }
}

async fn a_session_that_ends_during_a_refresh_stays_ended(database: Database) {
    let stores = two(&database).await;
    for id in 0..20 {
        assert!(open(&*stores[0], session(id), "hash").await);
        let (refreshed, ended) = tokio::join!(
            stores[0].refresh(refresh(id, 0, 10)),
            stores[1].end_session([id; 16], Network::for_tests().into(), NOW)
        );
        ended.unwrap();
        assert!(!matches!(refreshed.unwrap(), Verdict::Reuse));
        for counter in [0, 1] {
            let verdict = stores[0].refresh(refresh(id, counter, 10)).await.unwrap();
            assert_eq!(verdict, Verdict::Refuse);
        }
        assert!(stores[0].session([id; 16]).await.unwrap().unwrap().revoked);
    }
}

async fn a_repeated_refresh_is_recorded_once_for_each_rotation(database: Database) {
    let stores = two(&database).await;
    assert!(open(&*stores[0], session(1), "hash").await);
    for counter in 0..3 {
        let rotated = stores[0].refresh(refresh(1, counter, 10)).await.unwrap();
        assert!(matches!(rotated, Verdict::Rotate(_)), "{rotated:?}");
        for verdict in all_at_once(&stores, &refresh(1, counter, 10), 16).await {
            assert!(matches!(verdict, Verdict::Repeat { .. }), "{verdict:?}");
        }
    }
    let subject = Some(session_subject(&[1; 16]));
    let filter = AuditFilter { subject, most: 99, ..AuditFilter::default() };
    let entries = stores[0].audit(filter).await.unwrap();
    let repeated = entries.iter().filter(|entry| entry.event == "refresh_repeated");
    assert_eq!(repeated.count(), 3);
}

/// The clocks of the issuers differ by more than the grace.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_postgres_measures_the_grace() {
    if cluster::is_left_out() {
        return;
    }
    let url = cluster::new_database();
    let stores = two(&Database::postgres_at(&url)).await;
    assert!(open(&*stores[0], session(1), "hash").await);
    let by_clock = async |index: usize, counter, now| {
        stores[index].refresh(Refresh { now, ..refresh(1, counter, 10) }).await.unwrap()
    };
    for (counter, one) in [(0, 0), (1, 1), (2, 0)] {
        let (now, then) = if one == 0 { (NOW + 1, NOW + 16) } else { (NOW + 16, NOW + 1) };
        let rotated = by_clock(one, counter, now).await;
        assert!(matches!(rotated, Verdict::Rotate(_)), "{rotated:?}");
        let repeated = by_clock(1 - one, counter, then).await;
        assert!(matches!(repeated, Verdict::Repeat { .. }), "{repeated:?}");
    }
    cluster::execute(&url, "UPDATE countersign.sessions SET rotated_at = rotated_at - 12");
    assert_eq!(by_clock(0, 2, NOW + 1).await, Verdict::Reuse);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_of_a_refresh_that_waits_for_a_lock_begins_after_it() {
    if cluster::is_left_out() {
        return;
    }
    let url = cluster::new_database();
    let [store, other] = two(&Database::postgres_at(&url)).await;
    assert!(open(&*store, session(1), "hash").await);
    let lock_url = url.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let lock =
            "BEGIN; SELECT 1 FROM countersign.sessions FOR UPDATE; SELECT pg_sleep(3); COMMIT";
        cluster::execute(&lock_url, lock);
    });
    let is_locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'
                     AND datname = current_database()";
    while cluster::execute(&url, is_locked) == ["0"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rotated = store.refresh(refresh(1, 0, 1)).await.unwrap();
    assert!(matches!(rotated, Verdict::Rotate(_)), "{rotated:?}");
    let repeated = other.refresh(refresh(1, 0, 1)).await.unwrap();
    assert!(matches!(repeated, Verdict::Repeat { .. }), "{repeated:?}");
    locked.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_of_a_refresh_that_waits_for_sqlite_begins_after_it() {
    let database = Database::sqlite();
    let [store, other] = two(&database).await;
    for id in [1, 2] {
        assert!(open(&*store, session(id), "hash").await);
    }
    assert!(matches!(store.refresh(refresh(2, 0, 1)).await, Ok(Verdict::Rotate(_))));
    let DatabaseUrl::Sqlite(path) = &database.url else { panic!() };
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Takes the writer, so that the others wait in its queue.
    let busy = open(&*store, session(3), "hash");
    let (rotating, repeating) = (store.refresh(refresh(1, 0, 1)), store.refresh(refresh(2, 0, 1)));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    lock.execute_batch("COMMIT").unwrap();
    assert!(busy.await);
    let repeated = repeating.await.unwrap();
    assert!(matches!(repeated, Verdict::Repeat { .. }), "it came within the grace: {repeated:?}");
    let rotated = rotating.await;
    let Ok(Verdict::Rotate(Session { rotated_at, .. })) = rotated else { panic!("{rotated:?}") };
    assert!(rotated_at > NOW + 1, "{rotated_at}");
    let late = Refresh { now: rotated_at + 1, ..refresh(1, 0, 1) };
    let repeated = other.refresh(late).await.unwrap();
    assert!(matches!(repeated, Verdict::Repeat { .. }), "{repeated:?}");
}

/// At the issuer that made it, however late the token comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_an_answer_is_no_reuse_on_sqlite() {
    let [store, other] = two(&Database::sqlite()).await;
    for id in 0..2 {
        assert!(open(&*store, session(id), "hash").await);
        let unanswered = store.refresh(refresh(id, 0, 10));
        while store.session([id; 16]).await.unwrap().unwrap().counter == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(unanswered);
    }
    let at = async |store: &Arc<dyn Store>, id, now| {
        store.refresh(Refresh { now, ..refresh(id, 0, 10) }).await.unwrap()
    };
    assert_eq!(at(&other, 1, NOW + 37).await, Verdict::Reuse, "at another issuer");
    // The answer begins the grace.
    for now in [NOW + 37, NOW + 47] {
        let repeated = at(&store, 0, now).await;
        assert!(matches!(repeated, Verdict::Repeat { .. }), "{repeated:?}");
    }
    assert_eq!(at(&store, 0, NOW + 48).await, Verdict::Reuse, "after the grace");
}

async fn a_user_has_a_thousand_sessions_and_the_oldest_end_first(database: Database) {
    let [store, other] = two(&database).await;
    let friend = User { id: "user_y".to_owned(), name: "friend".to_owned(), ..user() };
    assert!(store.add_user(friend, BY).await.unwrap());
    let of_friend = Session { user_id: "user_y".to_owned(), ..session(1) };
    assert!(open(&*store, of_friend, "hash").await);
    // A session that has ended does not count.
    assert!(open(&*store, session(3), "hash").await);
    store.end_session([3; 16], Network::for_tests().into(), NOW).await.unwrap();
    for n in 0..1000 {
        let session = Session { id: numbered(n), created_at: NOW + u64::from(n), ..session(9) };
        assert!(open(&*store, session, "hash").await);
    }
    let ended = async || {
        let filter = AuditFilter { most: 9999, ..AuditFilter::default() };
        let ended = other.audit(filter).await.unwrap();
        let ended = ended.into_iter().filter(|entry| entry.event == "session_ended");
        ended.map(|entry| entry.subject).skip(1).collect::<Vec<_>>()
    };
    assert!(ended().await.is_empty());
    // The second one has a clock that is behind.
    for (id, created_at) in [(4, NOW + 1000), (5, NOW - 7)] {
        assert!(open(&*store, Session { created_at, ..session(id) }, "hash").await);
    }
    assert_eq!(ended().await, [0, 1].map(|n| session_subject(&numbered(n))));
    for id in [[1; 16], [4; 16], [5; 16], numbered(2), numbered(999)] {
        assert!(!other.session(id).await.unwrap().unwrap().revoked);
    }
}

async fn a_login_waits_for_a_part_of_the_pruning_only(database: Database) {
    let [store, other] = two(&database).await;
    // Fewer than a user may have: a login that ends old sessions waits for those that are deleted.
    let expired = || (0..900).map(numbered);
    for id in expired() {
        let session = Session { id, expires_at: NOW + 1, ..session(9) };
        assert!(open(&*store, session, "hash").await);
    }
    // Polled once, the pruning begins and then stands still.
    let mut pruning = store.prune(NOW + 1);
    let once = poll_fn(|context| Poll::Ready(pruning.as_mut().poll(context).is_pending()));
    assert!(once.await);
    assert!(open(&*store, session(1), "hash").await);
    let mut left = 0;
    for id in expired() {
        left += u32::from(other.session(id).await.unwrap().is_some());
    }
    assert!(left > 0, "the login waited until all sessions were deleted");
    pruning.await.unwrap();
    for id in expired() {
        assert_eq!(other.session(id).await.unwrap(), None);
    }
    assert_eq!(other.session([1; 16]).await.unwrap(), Some(session(1)));
}

async fn a_new_password_ends_all_sessions_of_the_old_one(database: Database) {
    let stores = two(&database).await;
    let (mut hash, mut opened) = ("hash".to_owned(), 0);
    for round in 0..20 {
        let next = format!("hash{round}");
        let logins: Vec<_> = (0..4)
            .map(|index| {
                let (store, hash) = (Arc::clone(&stores[index % 2]), hash.clone());
                let id = u8::try_from(round * 4 + index).unwrap();
                tokio::spawn(async move { open(&*store, session(id), &hash).await })
            })
            .collect();
        // The change comes before, between or after the logins.
        tokio::time::sleep(Duration::from_micros(400 * u64::try_from(round % 8).unwrap())).await;
        assert!(
            stores[1]
                .change_user("user_x".to_owned(), vec![UserChange::Password(next.clone())], BY, NOW)
                .await
                .unwrap()
        );
        for login in logins {
            opened += usize::from(login.await.unwrap());
        }
        for index in 0..4 {
            let id = [u8::try_from(round * 4 + index).unwrap(); 16];
            let left = stores[0].session(id).await.unwrap();
            assert!(left.is_none_or(|session| session.revoked), "round {round}");
        }
        hash = next;
    }
    assert!(opened > 0, "every login was refused");
}

async fn a_hash_is_replaced_only_if_it_is_unchanged_and_sessions_stay(database: Database) {
    let [store, other] = two(&database).await;
    let hash = async || other.user("demo".to_owned()).await.unwrap().unwrap().password_hash;
    let replace = async |old: &str, new: &str| {
        let id = "user_x".to_owned();
        store.replace_hash(id, old.to_owned(), new.to_owned(), NOW).await.unwrap();
    };
    assert!(open(&*store, session(1), "hash").await);
    replace("hash", "anew").await;
    assert_eq!(hash().await, "anew");
    assert!(!other.session([1; 16]).await.unwrap().unwrap().revoked);
    assert!(
        store
            .change_user(
                "user_x".to_owned(),
                vec![UserChange::Password("changed".to_owned())],
                BY,
                NOW
            )
            .await
            .unwrap()
    );
    replace("anew", "late").await;
    assert_eq!(hash().await, "changed");
}

async fn no_session_survives_its_user(database: Database) {
    let stores = two(&database).await;
    let mut refreshed = 0;
    for round in 0..20_u8 {
        let id = format!("user_{round}");
        let user = User { id: id.clone(), name: id.clone(), ..user() };
        assert!(stores[0].add_user(user, BY).await.unwrap());
        let session = |number| Session { user_id: id.clone(), ..session(number) };
        let hash = || "hash".to_owned();
        assert!(open(&*stores[0], session(2 * round), "hash").await);
        let (one, opened, deleted) = tokio::join!(
            stores[0].refresh(refresh(2 * round, 0, 10)),
            stores[0].open_session(
                session(2 * round + 1),
                hash(),
                Network::for_tests(),
                None,
                None
            ),
            stores[1].delete_user(id.clone(), BY, NOW),
        );
        opened.unwrap();
        assert!(deleted.unwrap());
        refreshed += usize::from(matches!(one.unwrap(), Verdict::Rotate(_)));
        for number in [2 * round, 2 * round + 1] {
            let left = stores[0].session([number; 16]).await.unwrap();
            assert!(left.is_none_or(|session| session.revoked));
            let verdict = stores[1].refresh(refresh(number, 0, 10)).await.unwrap();
            assert_eq!(verdict, Verdict::Refuse);
        }
        assert!(!stores[0].delete_user(id.clone(), BY, NOW).await.unwrap());
        assert!(stores[0].user_with_id(id.clone()).await.unwrap().is_none());
        assert!(stores[0].user(id).await.unwrap().is_none());
    }
    // The rows of deleted users stay as long as their sessions, which the status lists need.
    let rows = async || {
        let (sender, mut parts) = tokio::sync::mpsc::channel(100);
        stores[0].export(sender).await.unwrap();
        let Some(Part::Rows { table: 0, rows }) = parts.recv().await else { panic!() };
        rows.len()
    };
    assert_eq!(stores[0].users(String::new(), 9).await.unwrap().len(), 1);
    assert_eq!(rows().await, 21);
    stores[0].prune(NOW + 9000).await.unwrap();
    assert_eq!(rows().await, 1);
    assert!(refreshed > 0, "every refresh was refused");
    assert!(stores[0].user("demo".to_owned()).await.unwrap().is_some());
}

async fn no_login_opens_a_session_with_a_scope_that_was_replaced(database: Database) {
    let stores = two(&database).await;
    for round in 0..20_u8 {
        let login = Session { scope: format!("read write {round}"), ..session(round) };
        let change = async |scope: &str| {
            let change = vec![UserChange::Scope(scope.to_owned())];
            stores[0].change_user("user_x".to_owned(), change, BY, NOW).await.unwrap();
        };
        change(&login.scope).await;
        let store = Arc::clone(&stores[1]);
        let opening = tokio::spawn(async move { open(&*store, login, "hash").await });
        for _ in 0..u32::from(round) * 20 {
            tokio::task::yield_now().await;
        }
        change("read").await;
        let opened = opening.await.unwrap();
        let found = stores[0].session([round; 16]).await.unwrap();
        assert_eq!(found.map(|session| session.revoked), opened.then_some(true), "{round}");
    }
    let wider = Session { scope: "read write".to_owned(), ..session(100) };
    assert!(!open(&*stores[0], wider, "hash").await);
    assert!(open(&*stores[0], session(101), "hash").await);
}

async fn each_refresh_has_the_claims_that_its_user_has_then(database: Database) {
    let [store, other] = two(&database).await;
    let another = User { id: "user_y".to_owned(), name: "eve".to_owned(), ..user() };
    assert!(other.add_user(another, BY).await.unwrap());
    let of_another = Session { user_id: "user_y".to_owned(), ..session(2) };
    assert!(open(&*store, session(1), "hash").await && open(&*store, of_another, "hash").await);
    let [some, later] = [r#"{"roles":["é"]}"#, r#"{"roles":[]}"#];
    for (round, (counter, change, expected)) in (0..).zip([
        (0, None, "{}"),
        (1, Some(some), some),
        // Repeats the last one.
        (1, Some(later), later),
        (2, None, later),
        (3, Some("{}"), "{}"),
        (4, Some(some), some),
    ]) {
        if let Some(claims) = change {
            set_claims(&*other, claims).await;
        }
        let verdict = store.refresh(refresh(1, counter, 10)).await.unwrap();
        let (Verdict::Rotate(next) | Verdict::Repeat { session: next, .. }) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(next.claims.as_json(), expected, "{counter}");
        let new = Session { id: numbered(round), ..session(1) };
        let hash = "hash".to_owned();
        let opened = store.open_session(new, hash, Network::for_tests(), None, None).await;
        assert_eq!(opened.unwrap().unwrap().claims.as_json(), expected, "{counter}");
    }
    assert_eq!(store.session([2; 16]).await.unwrap().unwrap().claims, CustomClaims::default());
    assert!(other.delete_user("demo".to_owned(), BY, NOW).await.unwrap());
    let ended = store.session([1; 16]).await.unwrap().unwrap();
    assert_eq!((ended.revoked, ended.claims), (true, CustomClaims::default()));
}

async fn set_claims(store: &dyn Store, json: &str) {
    let change = UserChange::Claims(CustomClaims::parse(json).unwrap());
    assert!(store.change_user("user_x".to_owned(), vec![change], BY, NOW).await.unwrap());
}

async fn a_session_that_opens_while_claims_change_has_the_new_ones(database: Database) {
    let stores = two(&database).await;
    for id in 0..30 {
        let json = format!("{{\"round\":{id}}}");
        let (opened, ()) =
            tokio::join!(open(&*stores[0], session(id), "hash"), set_claims(&*stores[1], &json),);
        assert!(opened);
        let found = stores[1].session([id; 16]).await.unwrap().unwrap();
        assert_eq!(found.claims.as_json(), json);
    }
}
