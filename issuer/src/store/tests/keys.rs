//! Keys and what else is sealed under the master key.

use super::*;

over_both!(
    of_two_that_change_the_keys_at_once_one_does,
    the_secret_is_kept_and_changed_along_with_the_keys,
    keys_that_are_refused_leave_an_empty_database_empty,
);

async fn of_two_that_change_the_keys_at_once_one_does(database: Database) {
    let stores = two(&database).await;
    for round in 0..10 {
        let change = |name: &str| {
            let new = key(&format!("{name}{round}"), KeyState::Active);
            let old = format!("{}", round - 1);
            // Only where nobody was faster.
            Box::new(move |vault: &Vault| {
                let keys = &vault.keys;
                let done = keys.iter().any(|key| key.kid.ends_with(&new.kid[1..]));
                assert!(done || keys.is_empty() || keys[0].kid.ends_with(&old));
                if done { vault.clone() } else { of(vec![new.clone()]) }
            })
        };
        let (one, other) = tokio::join!(
            stores[0].change_keys(change("a"), NOW),
            stores[1].change_keys(change("b"), NOW)
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one, other);
        assert_eq!(one.keys.len(), 1);
        assert_eq!(stores[0].keys().await.unwrap(), one.keys);
    }
}

async fn the_secret_is_kept_and_changed_along_with_the_keys(database: Database) {
    let stores = two(&database).await;
    let vault = |sealed: u8| Vault {
        keys: vec![KeyRecord { sealed: vec![sealed], ..key("a", KeyState::Active) }],
        secret: Some(vec![sealed; 60]),
    };
    for sealed in [1, 2, 2] {
        let change = move |_: &Vault| vault(sealed);
        let changed = stores[0].change_keys(Box::new(change), NOW).await.unwrap();
        assert_eq!(changed, vault(sealed));
        let seen = crate::store::open(&database.url, Missing::Make, |vault| Ok(vault.clone()))
            .await
            .unwrap()
            .1;
        assert_eq!(seen, vault(sealed));
    }
    // A change that fails leaves the secret as it was.
    let two = |_: &Vault| Vault {
        keys: vec![key("a", KeyState::Active), key("b", KeyState::Active)],
        secret: Some(vec![3]),
    };
    stores[0].change_keys(Box::new(two), NOW).await.unwrap_err();
    let unchanged = stores[1].change_keys(Box::new(Vault::clone), NOW).await.unwrap();
    assert_eq!(unchanged, vault(2));
}

async fn keys_that_are_refused_leave_an_empty_database_empty(database: Database) {
    let refuse = |_: &Vault| Err::<(), _>(Error::MasterKey("refused".to_owned()));
    let refused = crate::store::open(&database.url, Missing::Make, refuse).await.err().unwrap();
    assert_eq!(refused.to_string(), "refused");
    let store = database.open().await;
    assert!(store.users().await.unwrap().is_empty());
    store.change_keys(Box::new(|_| of(vec![key("a", KeyState::Active)])), NOW).await.unwrap();
    let seen = crate::store::open(&database.url, Missing::Make, |vault| Ok(vault.clone()))
        .await
        .unwrap()
        .1;
    assert_eq!(seen, of(vec![key("a", KeyState::Active)]));
}
