//! Tests that both stores must pass. Several stores are open on one database, as with several
//! issuers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::copy::Part;
use super::{Missing, Store};
use crate::Error;
use crate::audit::{Actor, AuditFilter, Event, Network, NewEntry};
use crate::authentication::{Authentication, Factors};
use crate::clients::{Client, ClientChange};
use crate::config::DatabaseUrl;
use crate::custom_claims::CustomClaims;
use crate::keys::{KeyRecord, KeyState, Vault};
use crate::login::throttle::{self, Attempt, ProvisionalFailure};
use crate::one_time::{self, OneTimeToken, Purpose, TokenUse};
use crate::session::{Device, Lifetimes, Refresh, RefreshToken, Session, SessionId, Verdict};
use crate::status::{self, Candidates};
use crate::users::{User, UserChange};

#[allow(dead_code, reason = "the integration tests use all of it")]
#[path = "../../tests/issuer/cluster.rs"]
mod cluster;
#[allow(dead_code, reason = "the integration tests use all of it")]
#[path = "../../tests/issuer/lossy_proxy.rs"]
mod lossy_proxy;

const NOW: u64 = 1_800_000_000;
/// A command.
const BY: Actor = Actor { id: None, network: None };
/// The bits of a status list.
const LIST_SIZE: u32 = 1 << 17;

/// A new database that can be opened more than once.
struct Database {
    url: DatabaseUrl,
    _folder: TempDir,
}

impl Database {
    fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        Self { url: DatabaseUrl::Sqlite(folder.path().join("x.db")), _folder: folder }
    }

    fn postgres() -> Self {
        Self::postgres_at(&cluster::new_database())
    }

    fn postgres_at(url: &str) -> Self {
        Self { url: url.parse().unwrap(), _folder: TempDir::new().unwrap() }
    }

    async fn open(&self) -> Arc<dyn Store> {
        super::open(&self.url, Missing::Make, |_| Ok(())).await.unwrap().0
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

mod audit;
mod copy;
mod factors;
mod idempotency;
mod keys;
mod logins;
mod lost_commits;
mod new_passwords;
mod passkeys;
mod sessions;
mod status_lists;
mod user_imports;

over_both!(
    a_change_that_fails_changes_nothing_and_blocks_nobody,
    a_caller_that_goes_away_blocks_nobody,
    the_latest_time_of_all_issuers_is_remembered,
    parallel_opens_of_an_empty_database_make_it_once,
    rows_are_read_as_they_were_written,
    a_one_time_token_is_found_in_its_time_for_its_purpose,
    a_user_has_a_bounded_number_of_one_time_tokens,
    one_time_tokens_are_deleted_when_they_expire,
);

fn user() -> User {
    User {
        id: "user_x".to_owned(),
        name: "demo".to_owned(),
        scope: "read".to_owned(),
        password_hash: "hash".to_owned(),
        password_version: 0,
        created_at: NOW,
        locked: false,
        unlocked_at: 0,
        factors: Factors::default(),
        claims: CustomClaims::default(),
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
        repeat_audited: None,
        authentication: Authentication::by_password(NOW),
        device: Device::default(),
        claims: user().claims,
    }
}

/// Opens a session without a status index. Returns `false` if it is refused.
async fn open(store: &dyn Store, session: Session, hash: &str) -> bool {
    let network = Network::for_tests();
    store.open_session(session, hash.to_owned(), network, None, None).await.unwrap().is_some()
}

/// Opens a session with a status index in lists of that size.
async fn open_in_list(store: &dyn Store, session: Session, size: u32) -> status::StatusIndex {
    let candidates = Some(Candidates::from_random(crate::crypto::random().unwrap(), size));
    let hash = "hash".to_owned();
    let opened = store.open_session(session, hash, Network::for_tests(), None, candidates).await;
    opened.unwrap().unwrap().status.unwrap()
}

fn numbered(n: u16) -> SessionId {
    let [high, low] = n.to_be_bytes();
    [high, low, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]
}

fn refresh(id: u8, counter: u64, grace: u64) -> Refresh {
    Refresh {
        token: RefreshToken { session: [id; 16], counter },
        network: Network::for_tests(),
        scope: None,
        max_age: None,
        now: NOW + 1,
        lifetimes: Lifetimes { idle: 900, absolute: 9000, grace },
        candidates: None,
    }
}

/// An attempt on the account of that number, from the network of that number.
fn attempt(account: u8, network: u16, id: u8, now: u64) -> Attempt {
    let mut counter = [account; 32];
    counter[..2].copy_from_slice(&network.to_be_bytes());
    Attempt { account: [account; 32], network: counter, device: None, id: [id; 16], now }
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

fn vault(keys: Vec<KeyRecord>) -> Vault {
    Vault { keys, ..Vault::default() }
}

/// Opens two stores and adds the user `demo`.
async fn two(database: &Database) -> [Arc<dyn Store>; 2] {
    let stores = [database.open().await, database.open().await];
    assert!(stores[0].add_user(user(), BY).await.unwrap());
    stores
}

fn one_time_token(hash: u8) -> OneTimeToken {
    OneTimeToken {
        hash: [hash; 32],
        purpose: Purpose::PasswordReset,
        user_id: Some("user_x".to_owned()),
        data: vec![0, 255],
        created_at: NOW + u64::from(hash),
        expires_at: NOW + 100,
    }
}

fn token_use(hash: u8, purpose: Purpose, id: u8, now: u64) -> TokenUse {
    TokenUse { hash: [hash; 32], purpose, id: [id; 16], now }
}

async fn a_one_time_token_is_found_in_its_time_for_its_purpose(database: Database) {
    let [one, other] = two(&database).await;
    one.add_one_time_token(one_time_token(1), BY).await.unwrap();
    let find = |purpose, now| other.one_time_token([1; 32], purpose, now);
    assert_eq!(find(Purpose::PasswordReset, NOW).await.unwrap(), Some(one_time_token(1)));
    for (purpose, now) in [(Purpose::PasswordReset, NOW + 100), (Purpose::SecondFactor, NOW)] {
        assert_eq!(find(purpose, now).await.unwrap(), None);
    }
}

async fn a_user_has_a_bounded_number_of_one_time_tokens(database: Database) {
    let [store, _] = two(&database).await;
    let most = u8::try_from(one_time::MOST_OF_A_USER).unwrap();
    for hash in 0..most + 2 {
        store.add_one_time_token(one_time_token(hash), BY).await.unwrap();
    }
    let other = OneTimeToken { purpose: Purpose::SecondFactor, ..one_time_token(99) };
    store.add_one_time_token(other.clone(), BY).await.unwrap();
    let find = |hash: u8, purpose| store.one_time_token([hash; 32], purpose, NOW);
    for hash in 0..most + 2 {
        let found = find(hash, Purpose::PasswordReset).await.unwrap();
        assert_eq!(found.is_some(), hash >= 2, "{hash}");
    }
    store.prune_one_time_tokens(NOW + 99).await.unwrap();
    assert_eq!(find(99, Purpose::SecondFactor).await.unwrap(), Some(other));
    assert!(store.delete_user("demo".to_owned(), BY, NOW).await.unwrap());
    assert_eq!(find(99, Purpose::SecondFactor).await.unwrap(), None);
}

async fn one_time_tokens_are_deleted_when_they_expire(database: Database) {
    let [store, _] = two(&database).await;
    for n in 0..1100 {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&numbered(n));
        let token = OneTimeToken { hash, user_id: None, ..one_time_token(1) };
        store.add_one_time_token(token, BY).await.unwrap();
    }
    let find = |n| {
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(&numbered(n));
        store.one_time_token(hash, Purpose::PasswordReset, NOW)
    };
    for (at, stay) in [(NOW + 99, true), (NOW + 100, false)] {
        store.prune_one_time_tokens(at).await.unwrap();
        for n in [0, 1099] {
            assert_eq!(find(n).await.unwrap().is_some(), stay);
        }
    }
}

async fn a_change_that_fails_changes_nothing_and_blocks_nobody(database: Database) {
    let [store, other] = two(&database).await;
    for round in 0..20 {
        // Fails at the second key: only one may be active.
        let two = |_: &Vault| vault(vec![key("a", KeyState::Active), key("b", KeyState::Active)]);
        store.change_keys(Box::new(two), BY, NOW).await.unwrap_err();
        store.ping().await.unwrap();
        assert!(store.keys().await.unwrap().is_empty());
        assert!(open(&*store, session(round), "hash").await);
        assert!(other.session([round; 16]).await.unwrap().is_some());
    }
}

async fn a_caller_that_goes_away_blocks_nobody(database: Database) {
    let [store, _] = two(&database).await;
    let mut cancelled = 0;
    for id in 0_u8..60 {
        assert!(open(&*store, session(id), "hash").await);
        // Counts turns of the scheduler, because a refresh may be faster than a timer's millisecond.
        let turns = async {
            for _ in 0..u32::from(id) * 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = store.refresh(refresh(id, 0, 10)) => {}
            () = turns => cancelled += 1,
        }
        let verdict = store.refresh(refresh(id, 0, 10)).await.unwrap();
        assert!(matches!(verdict, Verdict::Rotate(_) | Verdict::Repeat { .. }), "{verdict:?}");
        assert_eq!(store.session([id; 16]).await.unwrap().unwrap().counter, 1);
    }
    assert!(cancelled > 0, "no refresh was cancelled");
}

async fn the_latest_time_of_all_issuers_is_remembered(database: Database) {
    let [one, other] = two(&database).await;
    assert_eq!(one.latest_time().await.unwrap(), None);
    for (now, latest) in [(NOW, NOW), (NOW - 9, NOW), (NOW + 9, NOW + 9), (0, NOW + 9)] {
        assert_eq!(one.remember_time(now).await.unwrap(), latest);
        assert_eq!(other.latest_time().await.unwrap(), Some(latest));
    }
}

async fn parallel_opens_of_an_empty_database_make_it_once(database: Database) {
    let url = Arc::new(database.url);
    let opens: Vec<_> = (0..8)
        .map(|_| {
            let url = Arc::clone(&url);
            tokio::spawn(
                async move { super::open(&url, Missing::Make, |_| Ok(())).await.unwrap().0 },
            )
        })
        .collect();
    let mut added = HashSet::new();
    for (index, open) in opens.into_iter().enumerate() {
        let store = open.await.unwrap();
        store.ping().await.unwrap();
        let user = User { id: format!("user_{index}"), ..user() };
        if store.add_user(user, BY).await.unwrap() {
            added.insert(index);
        }
    }
    assert_eq!(added, HashSet::from([0]));
}

async fn rows_are_read_as_they_were_written(database: Database) {
    let [store, other] = two(&database).await;
    let names = ["b", "B", "a", "é", "_", "-"];
    for name in names {
        let user = User { id: format!("user_{name}"), name: name.to_owned(), ..user() };
        assert!(store.add_user(user, BY).await.unwrap());
    }
    let mut expected = [&names[..], &["demo"]].concat();
    expected.sort_unstable();
    let users = other.users(String::new(), 100).await.unwrap();
    let listed: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(listed, expected, "users are ordered by bytes");
    let mut paged = Vec::new();
    loop {
        let part = other.users(paged.last().cloned().unwrap_or_default(), 3).await.unwrap();
        paged.extend(part.iter().map(|user| user.name.clone()));
        if part.len() < 3 {
            break;
        }
    }
    assert_eq!(paged, expected);
    assert!(!store.add_user(User { id: "user_y".to_owned(), ..user() }, BY).await.unwrap());
    for (id, found) in [("user_x", Some(user())), ("user_y", None)] {
        assert_eq!(other.user_with_id(id.to_owned()).await.unwrap(), found);
    }

    let client = Client {
        id: "client_x".to_owned(),
        name: "worker".to_owned(),
        scope: String::new(),
        secret_hash: vec![0, 1, 255],
        locked: false,
        created_at: NOW,
        claims: CustomClaims::parse(r#"{"role":"wörker"}"#).unwrap(),
        audiences: "https://one.example https://other.example".to_owned(),
    };
    assert!(store.add_client(client.clone(), BY).await.unwrap());
    assert_eq!(other.client("client_x".to_owned()).await.unwrap(), Some(client.clone()));
    let second = Client { id: "client_y".to_owned(), name: "Worker".to_owned(), ..client.clone() };
    assert!(store.add_client(second.clone(), BY).await.unwrap());
    for (name, found) in [("worker", Some(client)), ("Worker", Some(second)), ("client_x", None)] {
        assert_eq!(other.client_named(name.to_owned()).await.unwrap(), found, "{name}");
    }
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
