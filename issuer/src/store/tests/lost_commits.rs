//! Changes whose COMMIT is lost on the way to PostgreSQL, or whose answer is lost on the way back.
//!
//! Each request runs undisturbed once. With each fault it must have the same result and leave the same
//! rows. If there is no connection after the fault, its error says that the change may have been made.

use std::pin::Pin;

use tokio_postgres::{Client as Direct, NoTls};

use super::factors::{by_code, codes, confirmed, sealed, set_up, step, token};
use super::lossy_proxy::{Fault, LossyProxy};
use super::new_passwords::{by_token, new as new_password};
use super::passkeys::{challenge, login as passkey_login, new as new_passkey, passkey, with_codes};
use super::*;
use crate::authentication::SecondFactor;
use crate::idempotency::{Added, KeyedRequest, New, NewAnswer};
use crate::login::new_password::{NewPassword, Proof as PasswordProof};
use crate::passkeys::{MOST_OF_A_USER, NewPasskey, Passkey, PasskeyUse};
use crate::second_factor::{FactorChange, Goal, LastStep, NewTotp, Proof};
use crate::store::StoreError;

/// Everything that the requests change. The ids of the audit log have gaps.
const ROWS: &str = "
    SELECT 'user ' || t::text AS row FROM countersign.users AS t
    UNION ALL SELECT 'client ' || t::text FROM countersign.clients AS t
    UNION ALL SELECT 'session ' || t::text FROM countersign.sessions AS t
    UNION ALL SELECT 'failure ' || t::text FROM countersign.login_failures AS t
    UNION ALL SELECT 'token ' || t::text FROM countersign.one_time_tokens AS t
    UNION ALL SELECT 'app ' || t::text FROM countersign.totps AS t
    UNION ALL SELECT 'code ' || t::text FROM countersign.recovery_codes AS t
    UNION ALL SELECT 'passkey ' || t::text FROM countersign.passkeys AS t
    UNION ALL SELECT 'answer ' || t::text FROM countersign.idempotency AS t
    UNION ALL SELECT 'audit ' || concat_ws(' ', at, event, subject, user_id, network, count, actor)
              FROM countersign.audit
    ORDER BY 1";

/// Faster than TRUNCATE, which makes new files. What belongs to a user goes too.
const FORGET: &str = "
    DELETE FROM countersign.sessions; DELETE FROM countersign.users; DELETE FROM countersign.clients;
    DELETE FROM countersign.login_failures; DELETE FROM countersign.one_time_tokens;
    DELETE FROM countersign.idempotency; DELETE FROM countersign.audit";

type Work = fn(&dyn Store) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;

/// A request to the store, and what is there before it.
struct Case {
    name: &'static str,
    prepare: Work,
    request: Work,
}

/// Makes cases. Requests return their results, which are compared as text.
macro_rules! cases {
    ($($name:literal: |$store:ident| $prepare:block, $request:expr;)+) => {
        [$(Case {
            name: $name,
            prepare: |$store| Box::pin(async move {
                let _ = $store;
                $prepare
                String::new()
            }),
            request: |$store| Box::pin(async move {
                let result: Result<_, StoreError> = $request.await;
                match result {
                    Ok(result) => format!("{result:?}"),
                    Err(StoreError::Unconfirmed(_)) => UNCONFIRMED.to_owned(),
                    Err(e) => format!("failed: {e}"),
                }
            }),
        }),+]
    };
}

const UNCONFIRMED: &str = "unconfirmed";

fn id() -> String {
    "user_x".to_owned()
}

fn counted() -> Option<ProvisionalFailure> {
    match throttle::decide(&attempt(1, 1, 1, NOW), &[]) {
        throttle::Verdict::Admit(failure) => Some(failure),
        throttle::Verdict::Refuse(_) => None,
    }
}

/// The step of a login whose attempt was counted.
fn login(proof: Proof) -> LastStep {
    LastStep { failure: counted(), ..step(1, 20, proof) }
}

/// The step of a user who authenticates again by the password alone.
fn by_password_again(at: u64) -> LastStep {
    let goal = Goal::Again { session: [1; 16], authentication: Authentication::by_password(at) };
    LastStep { goal, token: None, ..login(Proof::Password) }
}

/// The same session at each run.
fn by_passkey(counter: u32, request: u8) -> LastStep {
    let authentication = Authentication::by_passkey(NOW);
    let session = Box::new(Session { authentication, ..session(20) });
    let goal = Goal::Open { session, candidates: None };
    LastStep { goal, ..passkey_login(1, counter, challenge(90, request)) }
}

fn use_of_passkey() -> Proof {
    Proof::Passkey(PasskeyUse { id: passkey(1, 0).id, counter: 8, challenge: challenge(90, 90) })
}

fn confirm() -> NewTotp {
    confirmed(10, codes(100))
}

fn by_password() -> NewPassword {
    let (session, failure) = ([1; 16], counted().unwrap());
    new_password("anew", PasswordProof::Password { version: 0, session, failure })
}

fn keyed() -> NewAnswer {
    let to = KeyedRequest { key: [7; 32], request: [8; 32] };
    NewAnswer { to, sealed: vec![9], now: NOW }
}

fn client() -> Client {
    Client {
        id: "client_y".to_owned(),
        name: "worker".to_owned(),
        scope: "read".to_owned(),
        secret_hash: vec![1],
        locked: false,
        created_at: NOW,
        claims: CustomClaims::default(),
        audiences: String::new(),
    }
}

fn other_user() -> User {
    User { id: "user_y".to_owned(), name: "other".to_owned(), ..user() }
}

async fn add_passkey(store: &dyn Store, number: u8, counter: u32) {
    let new = new_passkey(passkey(number, counter), challenge(number, number));
    store.add_passkey(new).await.unwrap();
}

async fn add_with_codes(store: &dyn Store) {
    store.add_passkey(with_codes(1, codes(50))).await.unwrap();
}

async fn begin_app(store: &dyn Store) {
    factor(store, FactorChange::TotpBegun(sealed()), None).await.unwrap();
}

async fn count(store: &dyn Store) {
    store.attempt(attempt(1, 1, 1, NOW)).await.unwrap();
}

async fn factor(
    store: &dyn Store,
    change: FactorChange,
    session: Option<u8>,
) -> Result<crate::second_factor::Changed, StoreError> {
    let session = session.map(|session| [session; 16]);
    store.change_factors(id(), change, session, BY, NOW).await
}

/// Returns the stored answer, which is that of the request itself.
async fn answered(store: &dyn Store, new: New) -> Result<Vec<u8>, StoreError> {
    let added = store.add_once(new, keyed(), BY).await?;
    Ok(match added {
        Added::New => keyed().sealed,
        Added::Before { request, answer } if request == keyed().to.request => answer,
        refused => panic!("{refused:?}"),
    })
}

async fn change(store: &dyn Store, change: UserChange) -> Result<bool, StoreError> {
    store.change_user(id(), vec![change], BY, NOW).await
}

fn all() -> Vec<Case> {
    let cases = cases! {
        "a login": |store| { count(store).await },
            store.open_session(
                session(20), "hash".to_owned(), Network::for_tests(), counted(), None);
        "an attempt": |store| {}, store.attempt(attempt(1, 1, 1, NOW));
        "a failure that is taken back": |store| { count(store).await },
            store.take_back(counted().unwrap());
        "a failure that may be undone": |store| { count(store).await },
            store.take_back_unless_undone(counted().unwrap());
        "a failure that is undone": |store| {
            count(store).await;
            let open = store.open_session(
                session(20), "hash".to_owned(), Network::for_tests(), counted(), None);
            open.await.unwrap();
        }, store.take_back_unless_undone(counted().unwrap());
        "the token of a login": |store| {},
            store.add_one_time_token(
                OneTimeToken { purpose: Purpose::SecondFactor, ..one_time_token(1) }, BY);
        "a code of an app": |store| {
            set_up(store).await; token(store, 1).await; count(store).await;
        }, store.finish(login(by_code(11)));
        "a used code of an app": |store| { set_up(store).await; token(store, 1).await },
            store.finish(login(by_code(10)));
        "a wrong code": |store| { set_up(store).await; token(store, 1).await; count(store).await },
            store.finish(login(Proof::Wrong));
        "a used token": |store| { set_up(store).await }, store.finish(login(by_code(11)));
        "a recovery code": |store| {
            set_up(store).await; token(store, 1).await; count(store).await;
        }, store.finish(login(Proof::RecoveryCode([100; 32])));
        "a used recovery code": |store| { set_up(store).await; token(store, 1).await },
            store.finish(login(Proof::RecoveryCode([99; 32])));
        "the first code at a login": |store| {
            begin_app(store).await; token(store, 1).await; count(store).await;
        }, store.finish(login(Proof::NewTotp(confirm())));
        "a passkey after the password": |store| {
            add_passkey(store, 1, 7).await; token(store, 1).await; count(store).await;
        }, store.finish(login(use_of_passkey()));
        "a passkey alone": |store| { add_passkey(store, 1, 7).await },
            store.finish(by_passkey(8, 90));
        "a passkey whose counter is back": |store| { add_passkey(store, 1, 7).await },
            store.finish(by_passkey(7, 90));
        "a used challenge": |store| {
            add_passkey(store, 1, 7).await;
            let session = Session {
                authentication: Authentication::by_passkey(NOW), ..session(22)
            };
            let goal = Goal::Open { session: Box::new(session), candidates: None };
            store.finish(LastStep { goal, ..by_passkey(8, 91) }).await.unwrap();
        }, store.finish(by_passkey(9, 90));
        "a password again": |store| { count(store).await },
            store.finish(by_password_again(NOW + 5));
        "a password again in the same second": |store| { count(store).await },
            store.finish(by_password_again(NOW));
        "a code again": |store| {
            set_up(store).await; token(store, 1).await; count(store).await;
            let authentication = Authentication::by_password_and(SecondFactor::Totp, NOW);
            assert!(open(store, Session { authentication, ..session(21) }, "hash").await);
        }, store.finish(LastStep {
            goal: Goal::Again {
                session: [21; 16],
                authentication: Authentication::by_password_and(SecondFactor::Totp, NOW + 5),
            },
            ..login(by_code(11))
        });
        "a passkey again": |store| { add_passkey(store, 1, 7).await },
            store.finish(LastStep {
                goal: Goal::Again {
                    session: [250; 16],
                    authentication: Authentication::by_passkey(NOW + 5),
                },
                ..by_passkey(8, 90)
            });
        "a new app": |store| {}, factor(store, FactorChange::TotpBegun(sealed()), Some(1));
        "the first code of an app": |store| { begin_app(store).await },
            factor(store, FactorChange::TotpConfirmed(confirm()), Some(1));
        "the first code of an app beside a passkey with codes": |store| {
            add_with_codes(store).await; begin_app(store).await;
        }, factor(store, FactorChange::TotpConfirmed(confirm()), Some(250));
        "the first code of an app that was replaced": |store| {
            factor(store, FactorChange::TotpBegun(vec![1]), None).await.unwrap();
        }, factor(store, FactorChange::TotpConfirmed(confirm()), Some(1));
        "new recovery codes": |store| { set_up(store).await },
            factor(store, FactorChange::RecoveryCodes(codes(120)), None);
        "recovery codes without a factor": |store| {},
            factor(store, FactorChange::RecoveryCodes(codes(120)), None);
        "the removal of an app": |store| { set_up(store).await },
            factor(store, FactorChange::TotpRemoved, None);
        "the removal of an app beside a passkey": |store| {
            add_with_codes(store).await; begin_app(store).await;
            factor(store, FactorChange::TotpConfirmed(confirm()), None).await.unwrap();
        }, factor(store, FactorChange::TotpRemoved, Some(250));
        "the removal of no app": |store| {}, factor(store, FactorChange::TotpRemoved, Some(1));
        "a reset of all factors": |store| { set_up(store).await; token(store, 1).await },
            factor(store, FactorChange::Reset, None);
        "the first passkey": |store| { token(store, 1).await },
            store.add_passkey(with_codes(1, codes(50)));
        "a passkey beside codes": |store| { add_with_codes(store).await },
            store.add_passkey(with_codes(2, codes(70)));
        "a passkey that the user has": |store| { add_passkey(store, 1, 0).await },
            store.add_passkey(new_passkey(passkey(1, 0), challenge(90, 90)));
        "a passkey that another user has": |store| {
            assert!(store.add_user(other_user(), BY).await.unwrap());
            let theirs = Session { user_id: "user_y".to_owned(), ..session(40) };
            assert!(open(store, theirs, "hash").await);
            let passkey = Passkey { user_id: "user_y".to_owned(), ..passkey(1, 0) };
            let new = new_passkey(passkey, challenge(1, 1));
            store.add_passkey(NewPasskey { session: [40; 16], ..new }).await.unwrap();
        }, store.add_passkey(new_passkey(passkey(1, 0), challenge(90, 90)));
        "a passkey too many": |store| {
            for number in 0..u8::try_from(MOST_OF_A_USER).unwrap() {
                add_passkey(store, number, 0).await;
            }
        }, store.add_passkey(new_passkey(passkey(30, 0), challenge(90, 90)));
        "a passkey with a used challenge": |store| { add_passkey(store, 1, 0).await },
            store.add_passkey(new_passkey(passkey(2, 0), challenge(1, 90)));
        "another name of a passkey": |store| { add_passkey(store, 1, 0).await },
            store.rename_passkey(id(), passkey(1, 0).id, "Key".to_owned(), BY, NOW);
        "the removal of a passkey": |store| {
            add_with_codes(store).await; add_passkey(store, 2, 0).await;
        }, store.remove_passkey(id(), passkey(2, 0).id, BY, NOW);
        "the removal of the last passkey": |store| { add_with_codes(store).await },
            store.remove_passkey(id(), passkey(1, 0).id, BY, NOW);
        "the removal of an unknown passkey": |store| { add_passkey(store, 1, 0).await },
            store.remove_passkey(id(), passkey(2, 0).id, BY, NOW);
        "a change of the password": |store| { count(store).await; token(store, 1).await },
            store.set_password(by_password());
        "a token for a reset": |store| {}, store.add_one_time_token(one_time_token(1), BY);
        "a reset of the password": |store| {
            for hash in [1, 2] {
                store.add_one_time_token(one_time_token(hash), BY).await.unwrap();
            }
        }, store.set_password(new_password("anew", by_token(1, 90)));
        "a reset by a used token": |store| {
            store.add_one_time_token(one_time_token(1), BY).await.unwrap();
            let first = new_password("first", by_token(1, 91));
            assert!(store.set_password(first).await.unwrap());
        }, store.set_password(new_password("anew", by_token(1, 90)));
        "a hash with other parameters": |store| {},
            store.replace_hash(id(), "hash".to_owned(), "anew".to_owned(), NOW);
        "a user": |store| {}, store.add_user(other_user(), BY);
        "a user with a key": |store| {}, answered(store, New::User(other_user()));
        "a client with a key": |store| {}, answered(store, New::Client(client()));
        "a key that was used": |store| {
            store.add_once(New::Client(client()), keyed(), BY).await.unwrap();
        }, store.add_once(New::User(other_user()), NewAnswer { sealed: vec![1], ..keyed() }, BY);
        "a name that is taken": |store| {},
            store.add_once(New::User(User { name: "demo".to_owned(), ..other_user() }), keyed(), BY);
        "an import": |store| {},
            store.add_users(
                vec![other_user(), user(), User { id: "user_z".to_owned(), ..user() }], BY);
        "a password by an operator": |store| { token(store, 1).await },
            change(store, UserChange::Password("anew".to_owned()));
        "an expired password": |store| {}, change(store, UserChange::PasswordExpired);
        "a lock": |store| {}, change(store, UserChange::Locked(true));
        "another scope": |store| {}, change(store, UserChange::Scope("write".to_owned()));
        "the end of all sessions": |store| {}, change(store, UserChange::SessionsEnded);
        "the deletion of a user": |store| { set_up(store).await }, change(store, UserChange::Deleted);
        "the deletion by name": |store| { set_up(store).await },
            store.delete_user("demo".to_owned(), BY, NOW);
        "a client": |store| {}, store.add_client(client(), BY);
        "another secret of a client": |store| {
            assert!(store.add_client(client(), BY).await.unwrap());
        }, store.change_client("client_y".to_owned(), vec![ClientChange::Secret(vec![2])], BY, NOW);
        "the end of a session": |store| {}, store.end_session([1; 16], BY, NOW);
        "entries of the audit log": |store| {},
            store.record(vec![NewEntry::of_user(NOW, Event::LoginFailed, "user_x")]);
    };
    cases.into()
}

/// Two stores on one database, one of them through a proxy.
struct Stores {
    through: Arc<dyn Store>,
    direct: Arc<dyn Store>,
    proxy: Arc<LossyProxy>,
    rows: Direct,
    _cluster: cluster::Cluster,
}

impl Stores {
    async fn new() -> Self {
        // This is not about the disk.
        let cluster = cluster::Cluster::start();
        let url = cluster.new_database();
        cluster::execute(&url, "ALTER SYSTEM SET fsync = off");
        cluster::execute(&url, "SELECT pg_reload_conf()");
        let (proxy, through) = LossyProxy::start(&url).await;
        let (rows, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let direct = Database::postgres_at(&url).open().await;
        let through = Database::postgres_at(&through).open().await;
        Self { through, direct, proxy, rows, _cluster: cluster }
    }

    async fn prepare(&self, case: &Case) {
        self.rows.batch_execute(FORGET).await.unwrap();
        assert!(self.direct.add_user(user(), BY).await.unwrap());
        for id in [1, 2, 250] {
            assert!(open(&*self.direct, session(id), "hash").await);
        }
        (case.prepare)(&*self.direct).await;
    }

    async fn rows(&self) -> Vec<String> {
        let rows = self.rows.query(ROWS, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_commit_is_lost_has_the_same_result_once() {
    if cluster::is_left_out() {
        return;
    }
    use Fault::{Cut, Lose};
    let stores = Stores::new().await;
    let mut wrong = Vec::new();
    for case in all() {
        stores.prepare(&case).await;
        let before = stores.rows().await;
        let expected = (case.request)(&*stores.through).await;
        assert!(!expected.starts_with("failed") && expected != UNCONFIRMED, "{expected}");
        let after = stores.rows().await;
        for faults in [&[Lose][..], &[Cut], &[Lose, Lose], &[Cut, Lose], &[Cut, Cut, Lose]] {
            stores.prepare(&case).await;
            stores.proxy.break_at("", faults);
            let result = (case.request)(&*stores.through).await;
            assert!(stores.proxy.is_done(), "{}: no COMMIT", case.name);
            if result != expected {
                wrong.push(format!("{} {faults:?}: {result} and not {expected}", case.name));
            }
            let rows = stores.rows().await;
            if rows != after {
                wrong.push(format!("{} {faults:?}: {rows:#?} and not {after:#?}", case.name));
            }
        }
        // Without a connection after it, nobody knows.
        stores.proxy.close_after_faults(true);
        for (fault, there) in [(Lose, &after), (Cut, &before)] {
            stores.prepare(&case).await;
            stores.proxy.break_at("", &[fault]);
            let result = (case.request)(&*stores.through).await;
            if result != UNCONFIRMED || stores.rows().await != *there {
                wrong.push(format!("{} {fault:?} without a connection: {result}", case.name));
            }
            stores.proxy.open();
        }
        stores.proxy.close_after_faults(false);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
