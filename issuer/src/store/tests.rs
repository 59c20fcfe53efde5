//! What both stores promise, with several stores on one database, as several issuers have it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::copy::Part;
use super::{Client, ClientChange, Missing, Place, Store, User};
use crate::Error;
use crate::attempt::{self, Attempt, Reserved};
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::session::{Lifetimes, Refresh, RefreshToken, Session, SessionId, Verdict};
use crate::status::{self, Draw};

#[allow(dead_code, reason = "the other tests use all of it")]
#[path = "../../tests/issuer/cluster.rs"]
mod cluster;

mod copy;

const NOW: u64 = 1_800_000_000;

/// A new database, which can be opened more than once.
struct Database {
    place: Place,
    _folder: TempDir,
}

impl Database {
    fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        Self { place: Place::File(folder.path().join("x.db")), _folder: folder }
    }

    fn postgres() -> Self {
        let place = Place::parse(&cluster::new_database()).unwrap();
        Self { place, _folder: TempDir::new().unwrap() }
    }

    async fn open(&self) -> Arc<dyn Store> {
        self.place.open(Missing::Make, |_| Ok(())).await.unwrap().0
    }
}

macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                super::$name(super::Database::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                if !super::cluster::is_left_out() {
                    super::$name(super::Database::postgres()).await;
                }
            }
        }
    )+};
}

over_both!(
    of_parallel_refreshes_of_one_token_one_rotates_and_the_others_repeat,
    without_a_grace_the_first_of_two_parallel_refreshes_is_answered_and_the_session_ends,
    a_session_that_is_ended_while_it_is_refreshed_has_ended,
    no_session_of_the_old_password_outlives_a_change_of_it,
    a_hash_is_replaced_where_it_is_still_the_same_and_no_session_ends,
    of_many_attempts_at_once_as_many_are_admitted_as_one_after_the_other,
    a_login_takes_its_own_failure_back_and_leaves_those_of_others,
    failures_are_deleted_when_they_are_forgotten,
    no_session_outlives_its_user,
    of_two_that_change_the_keys_at_once_one_does,
    a_change_that_fails_changes_nothing_and_is_in_nobody_s_way,
    a_caller_that_goes_away_is_in_nobody_s_way,
    the_secret_is_kept_and_changed_along_with_the_keys,
    the_latest_time_that_any_issuer_saw_is_remembered,
    keys_that_are_refused_leave_an_empty_database_empty,
    many_that_open_an_empty_database_at_once_make_it_once,
    what_is_written_is_read_as_it_was,
    each_change_is_audited_once_and_what_changes_nothing_is_not,
    old_entries_of_the_audit_log_are_deleted_and_no_other,
    no_two_sessions_have_one_place_in_the_status_lists_and_a_full_list_is_followed_by_the_next,
    a_status_list_has_the_sessions_that_were_ended_until_they_expired_however_they_were_ended,
    a_session_without_a_place_in_the_status_lists_gets_one_when_it_is_refreshed,
);

fn user() -> User {
    User {
        id: "user_x".to_owned(),
        name: "demo".to_owned(),
        scope: "read".to_owned(),
        password_hash: "hash".to_owned(),
        created_at: NOW,
        locked: false,
    }
}

fn session(id: u8) -> Session {
    Session {
        id: [id; 16],
        user_id: "user_x".to_owned(),
        client_id: "client_x".to_owned(),
        scope: "read".to_owned(),
        counter: 0,
        created_at: NOW,
        rotated_at: NOW,
        expires_at: NOW + 900,
        revoked: false,
        status: None,
    }
}

/// Opens a session without a place in the status lists; `false` if it may not be.
async fn open(store: &dyn Store, session: Session, hash: &str) -> bool {
    store.open_session(session, hash.to_owned(), None, None).await.unwrap().is_some()
}

/// Opens one with a place in lists of that size.
async fn open_in_list(store: &dyn Store, session: Session, size: u32) -> status::Place {
    let draw = Some(Draw::new(size).unwrap());
    let opened = store.open_session(session, "hash".to_owned(), None, draw).await.unwrap();
    opened.unwrap().status.unwrap()
}

fn numbered(n: u16) -> SessionId {
    let [high, low] = n.to_be_bytes();
    [high, low, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]
}

fn refresh(id: u8, counter: u64, grace: u64) -> Refresh {
    Refresh {
        token: RefreshToken { session: [id; 16], counter },
        scope: None,
        now: NOW + 1,
        lifetimes: Lifetimes { idle: 900, absolute: 9000, grace },
        draw: None,
    }
}

fn key(kid: &str, state: KeyState) -> KeyRecord {
    KeyRecord {
        kid: kid.to_owned(),
        bits: 2048,
        n: "n".to_owned(),
        e: "AQAB".to_owned(),
        sealed: vec![0, 255, 7],
        state,
        published_at: NOW,
        activates_at: Some(NOW),
        retired_at: None,
        drops_at: None,
    }
}

fn of(keys: Vec<KeyRecord>) -> Vault {
    Vault { keys, secret: None }
}

/// Two stores with user `demo`.
async fn two(database: &Database) -> [Arc<dyn Store>; 2] {
    let stores = [database.open().await, database.open().await];
    assert!(stores[0].add_user(user()).await.unwrap());
    stores
}

/// The verdicts of so many refreshes at once, half of them in each store.
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

async fn of_parallel_refreshes_of_one_token_one_rotates_and_the_others_repeat(database: Database) {
    let stores = two(&database).await;
    for id in 0..10 {
        assert!(open(&*stores[0], session(id), "hash").await);
        let verdicts = all_at_once(&stores, &refresh(id, 0, 10), 16).await;
        let rotated = verdicts.iter().filter(|v| matches!(v, Verdict::Rotate(_))).count();
        assert_eq!(rotated, 1);
        for verdict in verdicts {
            let (Verdict::Rotate(next) | Verdict::Repeat(next)) = verdict else {
                panic!("{verdict:?}")
            };
            assert_eq!(next.counter, 1);
        }
    }
}

async fn without_a_grace_the_first_of_two_parallel_refreshes_is_answered_and_the_session_ends(
    database: Database,
) {
    let stores = two(&database).await;
    for id in 0..10 {
        assert!(open(&*stores[0], session(id), "hash").await);
        let verdicts = all_at_once(&stores, &refresh(id, 0, 0), 2).await;
        assert!(verdicts.iter().any(|v| matches!(v, Verdict::Rotate(_))), "{verdicts:?}");
        assert!(verdicts.contains(&Verdict::Reuse), "{verdicts:?}");
        assert_eq!(stores[1].refresh(refresh(id, 1, 0)).await.unwrap(), Verdict::Refuse);
    }
}

async fn a_session_that_is_ended_while_it_is_refreshed_has_ended(database: Database) {
    let stores = two(&database).await;
    for id in 0..20 {
        assert!(open(&*stores[0], session(id), "hash").await);
        let (refreshed, ended) = tokio::join!(
            stores[0].refresh(refresh(id, 0, 10)),
            stores[1].end_session([id; 16], NOW)
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

async fn no_session_of_the_old_password_outlives_a_change_of_it(database: Database) {
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
        // Sometimes before them, sometimes between, sometimes after.
        tokio::time::sleep(Duration::from_micros(400 * u64::try_from(round % 8).unwrap())).await;
        assert!(stores[1].set_password("demo".to_owned(), next.clone(), NOW).await.unwrap());
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
    assert!(opened > 0, "no login was in time");
}

async fn a_hash_is_replaced_where_it_is_still_the_same_and_no_session_ends(database: Database) {
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
    assert!(store.set_password("demo".to_owned(), "changed".to_owned(), NOW).await.unwrap());
    replace("anew", "late").await;
    assert_eq!(hash().await, "changed");
}

/// An attempt on the account of that number, from the network of that number.
fn attempt(account: u8, network: u16, id: u8, now: u64) -> Attempt {
    let mut counter = [account; 32];
    counter[..2].copy_from_slice(&network.to_be_bytes());
    Attempt { account: [account; 32], network: counter, device: None, id: [id; 16], now }
}

async fn of_many_attempts_at_once_as_many_are_admitted_as_one_after_the_other(database: Database) {
    let stores = two(&database).await;
    // From one network, and from as many as there are attempts.
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
                attempt::Verdict::Admit(_) => admitted += 1,
                attempt::Verdict::Refuse(wait) => assert_eq!(wait, 1),
            }
        }
        assert_eq!(admitted, expected);
    }
}

async fn a_login_takes_its_own_failure_back_and_leaves_those_of_others(database: Database) {
    let stores = two(&database).await;
    let reserve = async |attempt: Attempt| match stores[0].attempt(attempt).await.unwrap() {
        attempt::Verdict::Admit(reserved) => reserved,
        refused @ attempt::Verdict::Refuse(_) => panic!("{refused:?}"),
    };
    let counts = |reserved: &Reserved| {
        (reserved.own.count, reserved.everywhere.as_ref().map(|failures| failures.count))
    };
    for id in 1..5 {
        let reserved = reserve(attempt(1, 1, id, NOW)).await;
        assert_eq!(counts(&reserved), (u32::from(id), Some(u32::from(id))));
    }
    let other = reserve(attempt(1, 2, 5, NOW)).await;
    assert_eq!(counts(&other), (1, Some(5)));
    // One that fails takes nothing back.
    let opened = stores[1].open_session(session(1), "x".to_owned(), Some(other), None);
    assert_eq!(opened.await.unwrap(), None);
    let good = reserve(attempt(1, 1, 6, NOW)).await;
    assert_eq!(counts(&good), (5, Some(6)));
    let opened = stores[1].open_session(session(1), "hash".to_owned(), Some(good), None);
    assert!(opened.await.unwrap().is_some());
    let next = reserve(attempt(1, 1, 7, NOW)).await;
    assert_eq!(counts(&next), (1, Some(6)));
    // The same transaction again, as after an answer that was lost.
    let again = reserve(attempt(1, 1, 7, NOW)).await;
    assert_eq!(again, next);

    let with_device = |id| Attempt { device: Some([77; 32]), ..attempt(1, 1, id, NOW) };
    let device = reserve(with_device(8)).await;
    assert_eq!(counts(&device), (1, None));
    assert_eq!(counts(&reserve(with_device(9)).await), (2, None));
    let hash = || "hash".to_owned();
    let opened = stores[1].open_session(session(2), hash(), Some(device), None);
    assert!(opened.await.unwrap().is_some());
    assert_eq!(counts(&reserve(with_device(10)).await), (1, None));
    assert_eq!(counts(&reserve(attempt(1, 1, 11, NOW)).await), (2, Some(7)));
}

async fn failures_are_deleted_when_they_are_forgotten(database: Database) {
    const DAY: u64 = 86400;
    let [store, other] = two(&database).await;
    let count = async |account, network, now| match other
        .attempt(attempt(account, network, 1, now))
        .await
        .unwrap()
    {
        attempt::Verdict::Admit(reserved) => reserved.own.count,
        refused @ attempt::Verdict::Refuse(_) => panic!("{refused:?}"),
    };
    for network in 0..1100_u16 {
        // As many accounts as there have to be, because all networks together have a limit.
        let account = 100 + u8::try_from(network / 20).unwrap();
        store.attempt(attempt(account, network, 9, NOW)).await.unwrap();
    }
    store.attempt(attempt(7, 1, 9, NOW + 1)).await.unwrap();
    store.prune_failures(NOW + DAY).await.unwrap();
    // At a time at which no rule but that of deletion forgets them.
    for network in [0, 999, 1099] {
        let account = 100 + u8::try_from(network / 20).unwrap();
        assert_eq!(count(account, network, NOW).await, 1, "{network}");
    }
    assert_eq!(count(7, 1, NOW).await, 2);
}

async fn no_session_outlives_its_user(database: Database) {
    let stores = two(&database).await;
    let mut refreshed = 0;
    for round in 0..20_u8 {
        let id = format!("user_{round}");
        let user = User { id: id.clone(), name: id.clone(), ..user() };
        assert!(stores[0].add_user(user).await.unwrap());
        let session = |number| Session { user_id: id.clone(), ..session(number) };
        let hash = || "hash".to_owned();
        assert!(open(&*stores[0], session(2 * round), "hash").await);
        let (one, opened, deleted) = tokio::join!(
            stores[0].refresh(refresh(2 * round, 0, 10)),
            stores[0].open_session(session(2 * round + 1), hash(), None, None),
            stores[1].delete_user(id.clone(), NOW),
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
        assert!(!stores[0].delete_user(id.clone(), NOW).await.unwrap());
        assert!(stores[0].user(id).await.unwrap().is_none());
    }
    // Nothing of them is left when the sessions are gone, which the status lists needed until then.
    let rows = async || {
        let (sender, mut parts) = tokio::sync::mpsc::channel(100);
        stores[0].export(sender).await.unwrap();
        let Some(Part::Rows { table: 0, rows }) = parts.recv().await else { panic!() };
        rows.len()
    };
    assert_eq!(stores[0].users().await.unwrap().len(), 1);
    assert_eq!(rows().await, 21);
    stores[0].prune(NOW + 9000).await.unwrap();
    assert_eq!(rows().await, 1);
    assert!(refreshed > 0, "no refresh was in time");
    assert!(stores[0].user("demo".to_owned()).await.unwrap().is_some());
}

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

async fn a_change_that_fails_changes_nothing_and_is_in_nobody_s_way(database: Database) {
    let [store, other] = two(&database).await;
    for round in 0..20 {
        // Two keys that sign are one too many, which shows with the second.
        let two = |_: &Vault| of(vec![key("a", KeyState::Active), key("b", KeyState::Active)]);
        store.change_keys(Box::new(two), NOW).await.unwrap_err();
        store.ping().await.unwrap();
        assert!(store.keys().await.unwrap().is_empty());
        assert!(open(&*store, session(round), "hash").await);
        assert!(other.session([round; 16]).await.unwrap().is_some());
    }
}

async fn a_caller_that_goes_away_is_in_nobody_s_way(database: Database) {
    let [store, _] = two(&database).await;
    let mut gone = 0;
    for id in 0_u8..60 {
        assert!(open(&*store, session(id), "hash").await);
        // By turns, because timers count in milliseconds, and a refresh may be over in one.
        let patience = async {
            for _ in 0..u32::from(id) * 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = store.refresh(refresh(id, 0, 10)) => {}
            () = patience => gone += 1,
        }
        let verdict = store.refresh(refresh(id, 0, 10)).await.unwrap();
        assert!(matches!(verdict, Verdict::Rotate(_) | Verdict::Repeat(_)), "{verdict:?}");
        assert_eq!(store.session([id; 16]).await.unwrap().unwrap().counter, 1);
    }
    assert!(gone > 0, "nobody went away");
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
        let seen = database.place.open(Missing::Make, |vault| Ok(vault.clone())).await.unwrap().1;
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

async fn the_latest_time_that_any_issuer_saw_is_remembered(database: Database) {
    let [one, other] = two(&database).await;
    assert_eq!(one.latest_time().await.unwrap(), None);
    for (now, latest) in [(NOW, NOW), (NOW - 9, NOW), (NOW + 9, NOW + 9), (0, NOW + 9)] {
        assert_eq!(one.remember_time(now).await.unwrap(), latest);
        assert_eq!(other.latest_time().await.unwrap(), Some(latest));
    }
}

async fn keys_that_are_refused_leave_an_empty_database_empty(database: Database) {
    let refuse = |_: &Vault| Err::<(), _>(Error::MasterKey("refused".to_owned()));
    let refused = database.place.open(Missing::Make, refuse).await.err().unwrap();
    assert_eq!(refused.to_string(), "refused");
    let store = database.open().await;
    assert!(store.users().await.unwrap().is_empty());
    store.change_keys(Box::new(|_| of(vec![key("a", KeyState::Active)])), NOW).await.unwrap();
    let seen = database.place.open(Missing::Make, |vault| Ok(vault.clone())).await.unwrap().1;
    assert_eq!(seen, of(vec![key("a", KeyState::Active)]));
}

async fn many_that_open_an_empty_database_at_once_make_it_once(database: Database) {
    let place = Arc::new(database.place);
    let opens: Vec<_> = (0..8)
        .map(|_| {
            let place = Arc::clone(&place);
            tokio::spawn(async move { place.open(Missing::Make, |_| Ok(())).await.unwrap().0 })
        })
        .collect();
    let mut added = HashSet::new();
    for (index, open) in opens.into_iter().enumerate() {
        let store = open.await.unwrap();
        store.ping().await.unwrap();
        let user = User { id: format!("user_{index}"), ..user() };
        if store.add_user(user).await.unwrap() {
            added.insert(index);
        }
    }
    assert_eq!(added, HashSet::from([0]));
}

async fn what_is_written_is_read_as_it_was(database: Database) {
    let [store, other] = two(&database).await;
    let names = ["b", "B", "a", "é", "_", "-"];
    for name in names {
        let user = User { id: format!("user_{name}"), name: name.to_owned(), ..user() };
        assert!(store.add_user(user).await.unwrap());
    }
    let mut expected = [&names[..], &["demo"]].concat();
    expected.sort_unstable();
    let users = other.users().await.unwrap();
    let listed: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(listed, expected, "by their bytes");
    assert!(!store.add_user(User { id: "user_y".to_owned(), ..user() }).await.unwrap());

    let client = Client {
        id: "client_x".to_owned(),
        name: "worker".to_owned(),
        scope: String::new(),
        secret_hash: vec![0, 1, 255],
        locked: false,
        created_at: NOW,
    };
    assert!(store.add_client(client.clone()).await.unwrap());
    assert_eq!(other.client("client_x".to_owned()).await.unwrap(), Some(client));
    assert_eq!(other.client("client_\0".to_owned()).await.unwrap(), None);

    assert!(open(&*store, session(1), "hash").await);
    assert!(!open(&*store, session(2), "another").await);
    assert_eq!(other.session([1; 16]).await.unwrap(), Some(session(1)));
    store.prune(NOW + 899).await.unwrap();
    assert!(other.session([1; 16]).await.unwrap().is_some());
    for n in 0..1100 {
        let expired = Session { id: numbered(n), ..session(9) };
        assert!(open(&*store, expired, "hash").await);
    }
    store.prune(NOW + 900).await.unwrap();
    for n in [0, 999, 1099] {
        assert_eq!(other.session(numbered(n)).await.unwrap(), None);
    }
    assert_eq!(other.session([1; 16]).await.unwrap(), None);
}

async fn each_change_is_audited_once_and_what_changes_nothing_is_not(database: Database) {
    let [store, other] = two(&database).await;
    let name = || "demo".to_owned();
    assert!(!store.add_user(User { id: "user_y".to_owned(), ..user() }).await.unwrap());
    for locked in [true, true, false, false] {
        assert!(store.lock_user(name(), locked, NOW).await.unwrap());
    }
    assert!(store.set_password(name(), "another".to_owned(), NOW).await.unwrap());
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
        let change = move |_: &Vault| of(vec![key("kid", state)]);
        store.change_keys(Box::new(change), NOW).await.unwrap();
    }
    store.change_keys(Box::new(|_| of(Vec::new())), NOW).await.unwrap();

    let entries = other.audit(None, 100).await.unwrap();
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.event.as_str(), entry.subject.as_str())).collect();
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    let expected = [
        ("user_added", "user_x"),
        ("user_locked", "user_x"),
        ("user_unlocked", "user_x"),
        ("password_changed", "user_x"),
        ("client_added", "client_x"),
        ("client_secret_changed", "client_x"),
        ("client_locked", "client_x"),
        ("client_unlocked", "client_x"),
        ("login", one.as_str()),
        ("login", two.as_str()),
        ("refresh_repeated", one.as_str()),
        ("refresh_reused", one.as_str()),
        ("session_ended", two.as_str()),
        ("key_active", "kid"),
        ("key_retiring", "kid"),
        ("key_dropped", "kid"),
    ];
    assert_eq!(told, expected);
    assert_eq!(other.audit(None, 2).await.unwrap(), entries[14..]);
    let of_one = other.audit(Some(one), 2).await.unwrap();
    assert_eq!(of_one, entries[10..12]);
}

async fn old_entries_of_the_audit_log_are_deleted_and_no_other(database: Database) {
    let [store, other] = two(&database).await;
    for n in 0..2100 {
        let opened =
            Session { id: numbered(n), created_at: NOW + u64::from(n / 100), ..session(9) };
        assert!(open(&*store, opened, "hash").await);
    }
    store.prune_audit(NOW).await.unwrap();
    assert_eq!(other.audit(None, 9999).await.unwrap().len(), 2101);
    store.prune_audit(NOW + 20).await.unwrap();
    let left = other.audit(None, 9999).await.unwrap();
    assert_eq!(left.len(), 100);
    assert!(left.iter().all(|entry| entry.at == NOW + 20));
}

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
        indices.push(open_in_list(&*store, session(id), status::SIZE).await.index);
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
        let draw = Some(Draw::new(status::SIZE).unwrap());
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
