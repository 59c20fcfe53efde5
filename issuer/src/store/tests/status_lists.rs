//! Status indices of sessions.

use super::*;

over_both!(
    status_indices_are_unique_and_a_full_list_is_followed_by_the_next,
    a_status_list_has_every_ended_session_until_it_expires,
    a_session_without_a_status_index_gets_one_when_it_is_refreshed,
);

async fn status_indices_are_unique_and_a_full_list_is_followed_by_the_next(database: Database) {
    const SIZE: u32 = 64;
    let stores = two(&database).await;
    assert_eq!(stores[0].newest_status_list().await.unwrap(), 0);
    // In a large list, parallel logins get indices of the first list, in random order.
    let logins: Vec<_> = (0..200)
        .map(|n| {
            let store = Arc::clone(&stores[usize::from(n % 2)]);
            let session = Session { id: numbered(n), ..session(9) };
            tokio::spawn(async move { open_in_list(&*store, session, 1024).await })
        })
        .collect();
    let mut indices = Vec::new();
    for login in logins {
        indices.push(login.await.unwrap());
    }
    assert!(indices.iter().all(|status| status.list == 1 && status.index < 1024), "{indices:?}");
    let ascending = indices.windows(2).filter(|two| two[0].index < two[1].index).count();
    assert!((50..150).contains(&ascending), "{ascending} of 199");
    // With lists of 64, the first one counts as full, and each later one is filled by a third or more.
    for n in 200..400 {
        let session = Session { id: numbered(n), ..session(9) };
        indices.push(open_in_list(&*stores[usize::from(n % 2)], session, SIZE).await);
    }
    let distinct: HashSet<_> = indices.iter().collect();
    assert_eq!(distinct.len(), indices.len());
    let newest = stores[1].newest_status_list().await.unwrap();
    assert!(newest >= 4, "200 do not fit into fewer: {newest}");
    for list in 2..newest {
        let filled = indices.iter().filter(|status| status.list == list).count();
        assert!(filled > SIZE as usize / 3, "list {list} ended with {filled}");
    }
    let last = stores[0].session(numbered(399)).await.unwrap().unwrap();
    assert_eq!(last.status, indices.last().copied());
}

async fn a_status_list_has_every_ended_session_until_it_expires(database: Database) {
    let [store, other] = two(&database).await;
    let mut indices = Vec::new();
    for id in 0..4 {
        indices.push(open_in_list(&*store, session(id), LIST_SIZE).await.index);
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
    store.end_session([0; 16], Network::for_tests().into(), NOW).await.unwrap();
    assert_eq!(ended(1, NOW).await, [indices[0]]);
    assert!(matches!(store.refresh(refresh(1, 0, 0)).await.unwrap().0, Verdict::Rotate(_)));
    assert_eq!(store.refresh(refresh(1, 0, 0)).await.unwrap().0, Verdict::Reuse);
    assert_eq!(ended(1, NOW).await, sorted(indices[..2].to_vec()));
    assert!(ended(2, NOW).await.is_empty());
    assert!(
        store
            .change_user("user_x".to_owned(), vec![UserChange::Password("new".to_owned())], BY, NOW)
            .await
            .unwrap()
    );
    assert_eq!(ended(1, NOW + 899).await, sorted(indices.clone()));
    // The refreshed session remains: it expires a second later.
    assert_eq!(ended(1, NOW + 900).await, [indices[1]]);
    store.prune(NOW + 899).await.unwrap();
    assert_eq!(ended(1, NOW + 899).await, sorted(indices.clone()));
    store.prune(NOW + 900).await.unwrap();
    assert_eq!(ended(1, 0).await, [indices[1]]);
}

async fn a_session_without_a_status_index_gets_one_when_it_is_refreshed(database: Database) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    let refreshed = async |counter| {
        let candidates = Some(Candidates::from_random(crate::crypto::random().unwrap(), LIST_SIZE));
        let verdict =
            store.refresh(Refresh { candidates, ..refresh(1, counter, 10) }).await.unwrap().0;
        let (Verdict::Rotate(next) | Verdict::Repeat { session: next, .. }) = verdict else {
            panic!("{verdict:?}")
        };
        next.status
    };
    let status = refreshed(0).await;
    assert!(status.is_some());
    // The session keeps its index, whatever the candidates are.
    assert_eq!(refreshed(0).await, status);
    assert_eq!(refreshed(1).await, status);
    assert_eq!(other.session([1; 16]).await.unwrap().unwrap().status, status);
}
