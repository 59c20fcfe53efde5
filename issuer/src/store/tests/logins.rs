//! Counters of failed logins.

use super::*;

over_both!(
    as_many_parallel_attempts_are_admitted_as_sequential_ones,
    a_login_undoes_its_own_failure_and_leaves_those_of_others,
    a_failure_is_taken_back_once_and_leaves_those_of_others,
    a_failure_that_a_login_has_undone_takes_none_of_others_back,
    failures_taken_back_in_parallel_are_not_counted,
    forgotten_failures_are_deleted,
);

async fn as_many_parallel_attempts_are_admitted_as_sequential_ones(database: Database) {
    let stores = two(&database).await;
    // From one network, and from a different network for each attempt.
    for (account, networks, expected) in [(201, 1, 5), (202, u16::MAX, 100)] {
        let attempts: Vec<_> = (0..150_u8)
            .map(|index| {
                let store = Arc::clone(&stores[usize::from(index) % 2]);
                let attempt = attempt(account, u16::from(index) % networks, index, NOW);
                tokio::spawn(async move { store.attempt(attempt).await.unwrap() })
            })
            .collect();
        let mut admitted = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                throttle::Verdict::Admit(_) => admitted += 1,
                throttle::Verdict::Refuse(wait) => assert_eq!(wait, 1),
            }
        }
        assert_eq!(admitted, expected);
    }
}

async fn a_login_undoes_its_own_failure_and_leaves_those_of_others(database: Database) {
    let stores = two(&database).await;
    let reserve = async |attempt: Attempt| match stores[0].attempt(attempt).await.unwrap() {
        throttle::Verdict::Admit(failure) => failure,
        refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
    };
    let counts = |failure: &ProvisionalFailure| {
        (failure.own.count, failure.everywhere.as_ref().map(|failures| failures.count))
    };
    for id in 1..5 {
        let failure = reserve(attempt(1, 1, id, NOW)).await;
        assert_eq!(counts(&failure), (u32::from(id), Some(u32::from(id))));
    }
    let other = reserve(attempt(1, 2, 5, NOW)).await;
    assert_eq!(counts(&other), (1, Some(5)));
    // A login that is refused undoes nothing.
    let opened =
        stores[1].open_session(session(1), "x".to_owned(), Network::for_tests(), Some(other), None);
    assert_eq!(opened.await.unwrap(), None);
    let good = reserve(attempt(1, 1, 6, NOW)).await;
    assert_eq!(counts(&good), (5, Some(6)));
    let opened = stores[1].open_session(
        session(1),
        "hash".to_owned(),
        Network::for_tests(),
        Some(good),
        None,
    );
    assert!(opened.await.unwrap().is_some());
    let next = reserve(attempt(1, 1, 7, NOW)).await;
    assert_eq!(counts(&next), (1, Some(6)));
    // The same transaction runs again, as after a lost answer.
    let again = reserve(attempt(1, 1, 7, NOW)).await;
    assert_eq!(again, next);

    let with_device = |id| Attempt { device: Some([77; 32]), ..attempt(1, 1, id, NOW) };
    let device = reserve(with_device(8)).await;
    assert_eq!(counts(&device), (1, None));
    assert_eq!(counts(&reserve(with_device(9)).await), (2, None));
    let hash = || "hash".to_owned();
    let opened =
        stores[1].open_session(session(2), hash(), Network::for_tests(), Some(device), None);
    assert!(opened.await.unwrap().is_some());
    assert_eq!(counts(&reserve(with_device(10)).await), (1, None));
    assert_eq!(counts(&reserve(attempt(1, 1, 11, NOW)).await), (2, Some(7)));
}

async fn a_failure_is_taken_back_once_and_leaves_those_of_others(database: Database) {
    let [store, other] = two(&database).await;
    let count = async |attempt: Attempt| match store.attempt(attempt).await.unwrap() {
        throttle::Verdict::Admit(failure) => failure,
        refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
    };
    let counts = |failure: &ProvisionalFailure| {
        (failure.own.count, failure.everywhere.as_ref().map(|failures| failures.count))
    };
    for own in [
        |id| attempt(1, 1, id, NOW),
        |id| Attempt { device: Some([77; 32]), ..attempt(2, 1, 100 + id, NOW) },
    ] {
        let first = count(own(1)).await;
        let second = count(own(2)).await;
        // As after a lost answer; the second time after somebody else's attempt.
        other.take_back(first.clone()).await.unwrap();
        other.take_back(first.clone()).await.unwrap();
        let third = count(own(3)).await;
        assert_eq!(counts(&third), counts(&second));
        other.take_back(first).await.unwrap();
        assert_eq!(count(own(4)).await.own.count, 3);
    }
    // The one that ends the free attempts, and its wait.
    count(attempt(1, 1, 5, NOW)).await;
    let fifth = count(attempt(1, 1, 6, NOW)).await;
    let next = || attempt(1, 1, 7, NOW);
    assert_eq!(store.attempt(next()).await.unwrap(), throttle::Verdict::Refuse(1));
    other.take_back(fifth).await.unwrap();
    assert_eq!(counts(&count(next()).await), (5, Some(5)));
    // A counter that was reset meanwhile.
    let gone = count(attempt(3, 1, 201, NOW)).await;
    let good = count(attempt(3, 1, 202, NOW)).await;
    assert!(
        store
            .open_session(session(1), "hash".to_owned(), Network::for_tests(), Some(good), None)
            .await
            .unwrap()
            .is_some()
    );
    store.take_back(gone).await.unwrap();
    assert_eq!(counts(&count(attempt(3, 1, 203, NOW)).await), (1, Some(1)));
}

async fn a_failure_that_a_login_has_undone_takes_none_of_others_back(database: Database) {
    let [store, other] = two(&database).await;
    let count = async |network, id| {
        let attempt = attempt(1, network, id, NOW);
        match store.attempt(attempt).await.unwrap() {
            throttle::Verdict::Admit(failure) => failure,
            refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
        }
    };
    let everywhere = |failure: &ProvisionalFailure| failure.everywhere.as_ref().unwrap().count;
    // Those of others.
    for id in [1, 2] {
        count(9, id).await;
    }
    let undone = count(1, 3).await;
    let (hash, network) = ("hash".to_owned(), Network::for_tests());
    let login = store.open_session(session(1), hash, network, Some(undone.clone()), None);
    assert!(login.await.unwrap().is_some());
    for _ in 0..2 {
        other.take_back_unless_undone(undone.clone()).await.unwrap();
    }
    let counted = count(1, 4).await;
    assert_eq!((counted.own.count, everywhere(&counted)), (1, 3));
    for _ in 0..2 {
        other.take_back_unless_undone(counted.clone()).await.unwrap();
    }
    // It stays if another attempt was counted after it.
    let stays = count(1, 5).await;
    assert_eq!((stays.own.count, everywhere(&stays)), (1, 3));
    count(1, 6).await;
    other.take_back_unless_undone(stays).await.unwrap();
    let last = count(1, 7).await;
    assert_eq!((last.own.count, everywhere(&last)), (3, 5));
}

async fn failures_taken_back_in_parallel_are_not_counted(database: Database) {
    let stores = two(&database).await;
    for (device, first) in [(None, 0), (Some([77; 32]), 100)] {
        for round in 0..20 {
            let logins: Vec<_> = (0..4)
                .map(|index| {
                    let store = Arc::clone(&stores[usize::from(index) % 2]);
                    let one = attempt(1, 1, first + round * 4 + index, NOW);
                    tokio::spawn(async move {
                        match store.attempt(Attempt { device, ..one }).await.unwrap() {
                            throttle::Verdict::Admit(failure) => store.take_back(failure).await,
                            refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
                        }
                    })
                })
                .collect();
            for login in logins {
                login.await.unwrap().unwrap();
            }
        }
        let last = Attempt { device, ..attempt(1, 1, first + 99, NOW) };
        match stores[0].attempt(last).await.unwrap() {
            throttle::Verdict::Admit(failure) => assert_eq!(failure.own.count, 1),
            refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
        }
    }
}

async fn forgotten_failures_are_deleted(database: Database) {
    const DAY: u64 = 86400;
    let [store, other] = two(&database).await;
    let count = async |account, network, now| match other
        .attempt(attempt(account, network, 1, now))
        .await
        .unwrap()
    {
        throttle::Verdict::Admit(failure) => failure.own.count,
        refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
    };
    for network in 0..1100_u16 {
        // Several accounts, because the counter of all networks together has a limit.
        let account = 100 + u8::try_from(network / 20).unwrap();
        store.attempt(attempt(account, network, 9, NOW)).await.unwrap();
    }
    store.attempt(attempt(7, 1, 9, NOW + 1)).await.unwrap();
    store.prune_failures(NOW + DAY).await.unwrap();
    // At `NOW` the counters would still count if they had not been deleted.
    for network in [0, 999, 1099] {
        let account = 100 + u8::try_from(network / 20).unwrap();
        assert_eq!(count(account, network, NOW).await, 1, "{network}");
    }
    assert_eq!(count(7, 1, NOW).await, 2);
}
