//! Sessions' places in the status lists.

use super::*;

over_both!(
    no_two_sessions_have_one_place_in_the_status_lists_and_a_full_list_is_followed_by_the_next,
    a_status_list_has_the_sessions_that_were_ended_until_they_expired_however_they_were_ended,
    a_session_without_a_place_in_the_status_lists_gets_one_when_it_is_refreshed,
);

async fn no_two_sessions_have_one_place_in_the_status_lists_and_a_full_list_is_followed_by_the_next(
    database: Database,
) {
    const SIZE: u32 = 64;
    let stores = two(&database).await;
    assert_eq!(stores[0].newest_status_list().await.unwrap(), 0);
    // Large lists first: many at once get places in the first one, and not in the order in which
    // they came.
    let logins: Vec<_> = (0..200)
        .map(|n| {
            let store = Arc::clone(&stores[usize::from(n % 2)]);
            let session = Session { id: numbered(n), ..session(9) };
            tokio::spawn(async move { open_in_list(&*store, session, 1024).await })
        })
        .collect();
    let mut places = Vec::new();
    for login in logins {
        places.push(login.await.unwrap());
    }
    assert!(places.iter().all(|place| place.list == 1 && place.index < 1024), "{places:?}");
    let ascending = places.windows(2).filter(|two| two[0].index < two[1].index).count();
    assert!((50..150).contains(&ascending), "{ascending} of 199");
    // In lists of 64 the first one is full, and each after it is filled for the greater part.
    for n in 200..400 {
        let session = Session { id: numbered(n), ..session(9) };
        places.push(open_in_list(&*stores[usize::from(n % 2)], session, SIZE).await);
    }
    let distinct: HashSet<_> = places.iter().collect();
    assert_eq!(distinct.len(), places.len());
    let newest = stores[1].newest_status_list().await.unwrap();
    assert!(newest >= 4, "200 do not fit into fewer: {newest}");
    for list in 2..newest {
        let filled = places.iter().filter(|place| place.list == list).count();
        assert!(filled > SIZE as usize / 3, "list {list} ended with {filled}");
    }
    let last = stores[0].session(numbered(399)).await.unwrap().unwrap();
    assert_eq!(last.status, places.last().copied());
}

async fn a_status_list_has_the_sessions_that_were_ended_until_they_expired_however_they_were_ended(
    database: Database,
) {
    let [store, other] = two(&database).await;
    let mut indices = Vec::new();
    for id in 0..4 {
        indices.push(
            open_in_list(&*store, session(id), crate::Limits::default().status_list_size)
                .await
                .index,
        );
    }
    assert!(open(&*store, session(9), "hash").await);
    let ended = async |list, at| {
        let mut ended = other.ended_sessions(list, at).await.unwrap();
        ended.sort_unstable();
        ended
    };
    let sorted = |mut indices: Vec<u32>| {
        indices.sort_unstable();
        indices
    };
    assert!(ended(1, NOW).await.is_empty());
    store.end_session([0; 16], NOW).await.unwrap();
    assert_eq!(ended(1, NOW).await, [indices[0]]);
    assert!(matches!(store.refresh(refresh(1, 0, 0)).await.unwrap(), Verdict::Rotate(_)));
    assert_eq!(store.refresh(refresh(1, 0, 0)).await.unwrap(), Verdict::Reuse);
    assert_eq!(ended(1, NOW).await, sorted(indices[..2].to_vec()));
    assert!(ended(2, NOW).await.is_empty());
    assert!(store.set_password("demo".to_owned(), "new".to_owned(), NOW).await.unwrap());
    assert_eq!(ended(1, NOW + 899).await, sorted(indices.clone()));
    // Not the one that was refreshed, which expires a second later.
    assert_eq!(ended(1, NOW + 900).await, [indices[1]]);
    store.prune(NOW + 899).await.unwrap();
    assert_eq!(ended(1, NOW + 899).await, sorted(indices.clone()));
    store.prune(NOW + 900).await.unwrap();
    assert_eq!(ended(1, 0).await, [indices[1]]);
}

async fn a_session_without_a_place_in_the_status_lists_gets_one_when_it_is_refreshed(
    database: Database,
) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    let refreshed = async |counter| {
        let draw = Some(Candidates::from_random(
            crate::crypto::random().unwrap(),
            crate::Limits::default().status_list_size,
        ));
        let verdict = store.refresh(Refresh { draw, ..refresh(1, counter, 10) }).await.unwrap();
        let (Verdict::Rotate(next) | Verdict::Repeat(next)) = verdict else {
            panic!("{verdict:?}")
        };
        next.status
    };
    let place = refreshed(0).await;
    assert!(place.is_some());
    // It keeps it, whatever is drawn.
    assert_eq!(refreshed(0).await, place);
    assert_eq!(refreshed(1).await, place);
    assert_eq!(other.session([1; 16]).await.unwrap().unwrap().status, place);
}
