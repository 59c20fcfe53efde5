//! Keys and the deployment secret.

use super::*;

over_both!(
    one_of_two_parallel_changes_of_the_keys_is_made,
    the_secret_changes_along_with_the_keys,
    an_empty_database_whose_keys_are_refused_stays_empty,
);

async fn one_of_two_parallel_changes_of_the_keys_is_made(database: Database) {
    let stores = two(&database).await;
    for round in 0..10 {
        let change = |name: &str| {
            let new = key(&format!("{name}{round}"), KeyState::Active);
            let old = format!("{}", round - 1);
            // Does nothing if the other change was faster.
            Box::new(move |stored: &Vault| {
                let keys = &stored.keys;
                let done = keys.iter().any(|key| key.kid.ends_with(&new.kid[1..]));
                assert!(done || keys.is_empty() || keys[0].kid.ends_with(&old));
                if done { stored.clone() } else { vault(vec![new.clone()]) }
            })
        };
        let (one, other) = tokio::join!(
            stores[0].change_keys(change("a"), BY, NOW),
            stores[1].change_keys(change("b"), BY, NOW)
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one, other);
        assert_eq!(one.keys.len(), 1);
        assert_eq!(stores[0].keys().await.unwrap(), one.keys);
    }
}

async fn the_secret_changes_along_with_the_keys(database: Database) {
    let stores = two(&database).await;
    let sealed_as = |sealed: u8| Vault {
        keys: vec![KeyRecord { sealed: vec![sealed], ..key("a", KeyState::Active) }],
        secret: Some(vec![sealed; 60]),
        factor_key: Some(vec![sealed; 61]),
    };
    for sealed in [1, 2, 2] {
        let change = move |_: &Vault| sealed_as(sealed);
        let changed = stores[0].change_keys(Box::new(change), BY, NOW).await.unwrap();
        assert_eq!(changed, sealed_as(sealed));
        let seen = crate::store::open(&database.url, Missing::Make, |vault| Ok(vault.clone()))
            .await
            .unwrap()
            .1;
        assert_eq!(seen, sealed_as(sealed));
    }
    // A change that fails does not change the secret.
    let two = |_: &Vault| Vault {
        keys: vec![key("a", KeyState::Active), key("b", KeyState::Active)],
        secret: Some(vec![3]),
        factor_key: Some(vec![3]),
    };
    stores[0].change_keys(Box::new(two), BY, NOW).await.unwrap_err();
    let unchanged = stores[1].change_keys(Box::new(Vault::clone), BY, NOW).await.unwrap();
    assert_eq!(unchanged, sealed_as(2));
}

async fn an_empty_database_whose_keys_are_refused_stays_empty(database: Database) {
    let refuse = |_: &Vault| Err::<(), _>(Error::MasterKey("refused".to_owned()));
    let refused = crate::store::open(&database.url, Missing::Make, refuse).await.err().unwrap();
    assert_eq!(refused.to_string(), "refused");
    let store = database.open().await;
    assert!(store.users(String::new(), 9).await.unwrap().is_empty());
    store
        .change_keys(Box::new(|_| vault(vec![key("a", KeyState::Active)])), BY, NOW)
        .await
        .unwrap();
    let seen = crate::store::open(&database.url, Missing::Make, |vault| Ok(vault.clone()))
        .await
        .unwrap()
        .1;
    assert_eq!(seen, vault(vec![key("a", KeyState::Active)]));
}
