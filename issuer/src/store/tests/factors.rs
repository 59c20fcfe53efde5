//! Second factors, and the last step of an authentication.

use super::*;
use crate::authentication::SecondFactor;
use crate::passkeys::Registration;
use crate::second_factor::recovery::RecoveryHash;
use crate::second_factor::{
    Changed, FactorChange, Finished, Goal, LastStep, NewTotp, Proof, StoredFactors,
};

over_both!(
    a_totp_code_is_used_once_by_parallel_logins,
    a_recovery_code_is_used_once_by_parallel_logins,
    a_login_token_is_used_once_by_parallel_requests,
    a_wrong_proof_uses_the_token_up_and_leaves_the_failure,
    a_step_of_a_user_who_has_changed_changes_nothing,
    a_step_that_runs_again_has_the_same_result_once,
    a_session_goes_on_with_a_new_authentication,
    each_authentication_of_one_second_takes_its_failure_back,
    a_login_sets_up_only_the_first_factor,
    the_first_app_ends_all_other_sessions,
    the_first_app_of_a_login_ends_all_sessions,
    a_password_alone_opens_nothing_beside_a_second_factor,
    a_login_and_the_first_factor_at_once_leave_no_session_of_a_password,
    a_totp_secret_is_in_force_when_it_is_confirmed,
    an_app_brings_codes_unless_some_are_left,
    recovery_codes_go_with_the_last_factor,
    wrong_proofs_end_no_other_login_of_the_user,
    a_reset_removes_all_factors_and_ends_all_sessions,
    secrets_that_nobody_confirmed_are_deleted,
);

const SEALED: &[u8] = &[0, 255, 7];

pub(super) fn sealed() -> Vec<u8> {
    SEALED.to_vec()
}

pub(super) fn codes(first: u8) -> Vec<RecoveryHash> {
    (first..first + 10).map(|code| [code; 32]).collect()
}

pub(super) fn confirmed(step: u64, codes: Vec<RecoveryHash>) -> NewTotp {
    NewTotp { sealed: sealed(), step, codes }
}

/// Returns `false` if the change is not possible.
async fn change(store: &dyn Store, change: FactorChange) -> bool {
    let change = store.change_factors("user_x".to_owned(), change, None, BY, NOW);
    change.await.unwrap() != Changed::Impossible
}

/// Gives the user a TOTP secret that was confirmed with the code of step 10, and recovery codes.
pub(super) async fn set_up(store: &dyn Store) {
    assert!(change(store, FactorChange::TotpBegun(sealed())).await);
    assert!(change(store, FactorChange::TotpConfirmed(confirmed(10, codes(100)))).await);
}

async fn factors(store: &dyn Store) -> StoredFactors {
    store.factors("user_x".to_owned()).await.unwrap()
}

/// Adds the token of a login that waits.
pub(super) async fn token(store: &dyn Store, hash: u8) {
    let token = OneTimeToken { purpose: Purpose::SecondFactor, ..one_time_token(hash) };
    store.add_one_time_token(token, BY).await.unwrap();
}

pub(super) fn by_code(step: u64) -> Proof {
    Proof::Totp { sealed: sealed(), step }
}

/// The step of the request of that number with the token of that hash. It opens a session of that number.
pub(super) fn step(token: u8, id: u8, proof: Proof) -> LastStep {
    let session = Session {
        authentication: Authentication::by_password_and(SecondFactor::Totp, NOW),
        ..session(id)
    };
    LastStep {
        user_id: "user_x".to_owned(),
        password_version: Some(0),
        token: Some(token_use(token, Purpose::SecondFactor, id, NOW)),
        proof,
        goal: Goal::Open { session: Box::new(session), candidates: None },
        failure: None,
        retry: Some(OneTimeToken { purpose: Purpose::SecondFactor, ..one_time_token(200 + id) }),
        network: Network::for_tests(),
        now: NOW,
    }
}

/// A step after which nobody tries again: a user has ten tokens at most.
fn last_try(token: u8, id: u8, proof: Proof) -> LastStep {
    LastStep { retry: None, ..step(token, id, proof) }
}

async fn is_open(store: &dyn Store, hash: u8) -> bool {
    store.one_time_token([hash; 32], Purpose::SecondFactor, NOW).await.unwrap().is_some()
}

async fn count(store: &dyn Store, event: Event) -> usize {
    let filter = AuditFilter { most: 1000, ..AuditFilter::default() };
    let entries = store.audit(filter).await.unwrap();
    entries.iter().filter(|entry| entry.event == event.name()).count()
}

fn is_done(finished: &Finished) -> bool {
    matches!(finished, Finished::Done(_))
}

/// Runs the steps at the same time, on both stores. Returns their results.
async fn at_once(stores: &[Arc<dyn Store>; 2], steps: Vec<LastStep>) -> Vec<Finished> {
    let running: Vec<_> = steps
        .into_iter()
        .enumerate()
        .map(|(index, step)| {
            let store = Arc::clone(&stores[index % 2]);
            tokio::spawn(async move { store.finish(step).await.unwrap() })
        })
        .collect();
    let mut all = Vec::new();
    for one in running {
        all.push(one.await.unwrap());
    }
    all
}

async fn a_totp_code_is_used_once_by_parallel_logins(database: Database) {
    let stores = two(&database).await;
    set_up(&*stores[0]).await;
    for round in 1..=5_u8 {
        let mut steps = Vec::new();
        for id in 0..6 {
            let id = round * 10 + id;
            token(&*stores[0], id).await;
            steps.push(last_try(id, id, by_code(10 + u64::from(round))));
        }
        let results = at_once(&stores, steps).await;
        assert_eq!(results.iter().filter(|one| is_done(one)).count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|one| **one == Finished::Wrong).count(), 5);
    }
    let last_step = factors(&*stores[1]).await.totp.unwrap().last_step;
    assert_eq!((last_step, count(&*stores[0], Event::Login).await), (15, 5));
    // Codes of that step and before it are used, also by nobody.
    for (id, used) in [(1, 15), (2, 14), (3, 10)] {
        token(&*stores[0], id).await;
        assert_eq!(stores[1].finish(step(id, id, by_code(used))).await.unwrap(), Finished::Wrong);
    }
}

async fn a_recovery_code_is_used_once_by_parallel_logins(database: Database) {
    let stores = two(&database).await;
    set_up(&*stores[0]).await;
    for code in 100..103_u8 {
        let mut steps = Vec::new();
        for id in 0..6 {
            let id = (code - 99) * 10 + id;
            token(&*stores[0], id).await;
            steps.push(last_try(id, id, Proof::RecoveryCode([code; 32])));
        }
        let results = at_once(&stores, steps).await;
        assert_eq!(results.iter().filter(|one| is_done(one)).count(), 1, "{results:?}");
    }
    assert_eq!(factors(&*stores[0]).await.recovery_codes, 7);
    assert_eq!(count(&*stores[0], Event::RecoveryCodeUsed).await, 3);
    // Another user's code.
    let user = User { id: "user_y".to_owned(), name: "y".to_owned(), ..user() };
    assert!(stores[0].add_user(user, BY).await.unwrap());
    let other = OneTimeToken {
        user_id: Some("user_y".to_owned()),
        purpose: Purpose::SecondFactor,
        ..one_time_token(1)
    };
    stores[0].add_one_time_token(other, BY).await.unwrap();
    let foreign =
        LastStep { user_id: "user_y".to_owned(), ..step(1, 1, Proof::RecoveryCode([105; 32])) };
    assert_eq!(stores[0].finish(foreign).await.unwrap(), Finished::Wrong);
    assert_eq!(factors(&*stores[0]).await.recovery_codes, 7);
}

async fn a_login_token_is_used_once_by_parallel_requests(database: Database) {
    let stores = two(&database).await;
    set_up(&*stores[0]).await;
    for round in 0..3_u8 {
        token(&*stores[0], round).await;
        // Each proof is right, and another one.
        let steps = (0..3).map(|n| {
            last_try(round, 20 + round * 3 + n, Proof::RecoveryCode([100 + round * 3 + n; 32]))
        });
        let results = at_once(&stores, steps.collect()).await;
        assert_eq!(results.iter().filter(|one| is_done(one)).count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|one| **one == Finished::Refused).count(), 2);
    }
    // The others have used nothing.
    assert_eq!(factors(&*stores[0]).await.recovery_codes, 7);
    let unknown = step(99, 9, Proof::RecoveryCode([109; 32]));
    assert_eq!(stores[0].finish(unknown).await.unwrap(), Finished::Refused);
}

async fn a_wrong_proof_uses_the_token_up_and_leaves_the_failure(database: Database) {
    let [store, other] = two(&database).await;
    set_up(&*store).await;
    let counted = async |id| match store.attempt(attempt(1, 1, id, NOW)).await.unwrap() {
        throttle::Verdict::Admit(failure) => failure,
        refused @ throttle::Verdict::Refuse(_) => panic!("{refused:?}"),
    };
    token(&*store, 1).await;
    let failure = Some(counted(1).await);
    let wrong = LastStep { failure, ..step(1, 1, Proof::Wrong) };
    assert_eq!(store.finish(wrong).await.unwrap(), Finished::Wrong);
    assert!(!is_open(&*other, 1).await && is_open(&*other, 201).await);
    assert_eq!(store.session([1; 16]).await.unwrap(), None);
    let failure = counted(2).await;
    assert_eq!(failure.own.count, 2);
    let right = LastStep { failure: Some(failure), ..step(201, 2, by_code(11)) };
    let Finished::Done(session) = other.finish(right).await.unwrap() else { panic!() };
    assert_eq!(store.session([2; 16]).await.unwrap(), Some(*session.clone()));
    assert_eq!(session.authentication.methods, "pwd otp mfa");
    // As after a login with a password alone, the own counter begins anew.
    assert_eq!(counted(3).await.own.count, 1);
}

async fn wrong_proofs_end_no_other_login_of_the_user(database: Database) {
    let [store, other] = two(&database).await;
    set_up(&*store).await;
    for login in [1, 2] {
        token(&*store, login).await;
    }
    let mut last = 2;
    for id in 1..=14 {
        assert_eq!(store.finish(step(last, id, Proof::Wrong)).await.unwrap(), Finished::Wrong);
        last = 200 + id;
    }
    assert!(is_open(&*other, 1).await && is_open(&*other, last).await);
    assert!(is_done(&other.finish(step(1, 20, by_code(11))).await.unwrap()));
}

async fn a_step_of_a_user_who_has_changed_changes_nothing(database: Database) {
    let [store, _] = two(&database).await;
    set_up(&*store).await;
    let change = |change| store.change_user("user_x".to_owned(), vec![change], BY, NOW);
    for (before, after) in [
        (UserChange::Scope("read write".to_owned()), UserChange::Scope("read".to_owned())),
        (UserChange::Locked(true), UserChange::Locked(false)),
        (UserChange::PasswordExpired, UserChange::Password("hash".to_owned())),
    ] {
        assert!(change(before).await.unwrap());
        token(&*store, 1).await;
        assert_eq!(store.finish(step(1, 1, by_code(11))).await.unwrap(), Finished::Refused);
        assert!(is_open(&*store, 1).await);
        assert!(change(after).await.unwrap());
    }
    // The version is another one by now, and the token of the login is gone.
    assert!(!is_open(&*store, 1).await);
    token(&*store, 2).await;
    assert_eq!(store.finish(step(2, 1, by_code(11))).await.unwrap(), Finished::Refused);
    let present = LastStep { password_version: Some(1), ..step(2, 1, by_code(11)) };
    let foreign = LastStep { user_id: "user_y".to_owned(), ..present.clone() };
    assert_eq!(store.finish(foreign).await.unwrap(), Finished::Refused);
    assert!(is_done(&store.finish(present).await.unwrap()));
    assert!(store.delete_user("demo".to_owned(), BY, NOW).await.unwrap());
    assert_eq!(factors(&*store).await, StoredFactors::default());
    let gone = LastStep { token: None, ..step(3, 3, Proof::Password) };
    assert_eq!(store.finish(gone).await.unwrap(), Finished::Refused);
}

async fn a_step_that_runs_again_has_the_same_result_once(database: Database) {
    let [store, other] = two(&database).await;
    set_up(&*store).await;
    // SQLite runs no transaction twice, and finds the token used.
    let is_repeated = |again: &Finished, first: &Finished| {
        again == first
            || *again == Finished::Refused && matches!(database.url, DatabaseUrl::Sqlite(_))
    };
    for (id, proof) in [(1, Proof::RecoveryCode([100; 32])), (2, by_code(11)), (3, Proof::Wrong)] {
        token(&*store, id).await;
        let first = store.finish(step(id, id, proof.clone())).await.unwrap();
        let again = other.finish(step(id, id, proof)).await.unwrap();
        assert!(is_repeated(&again, &first), "{id}: {again:?}");
        assert_eq!(is_done(&first), id < 3);
    }
    assert_eq!(factors(&*store).await.recovery_codes, 9);
    assert_eq!(count(&*store, Event::Login).await, 2);
    assert_eq!(count(&*store, Event::RecoveryCodeUsed).await, 1);
}

async fn a_session_goes_on_with_a_new_authentication(database: Database) {
    let [store, other] = two(&database).await;
    set_up(&*store).await;
    let first = Session { authentication: Authentication::by_passkey(NOW), ..session(1) };
    assert!(open(&*store, first.clone(), "hash").await);
    let again = |id: u8, proof, token| LastStep {
        goal: Goal::Again {
            session: [1; 16],
            authentication: Authentication::by_password_and(
                SecondFactor::Totp,
                NOW + u64::from(id),
            ),
        },
        token,
        ..step(id, id, proof)
    };
    let by_token = |id| Some(token_use(id, Purpose::SecondFactor, id, NOW));
    token(&*store, 1).await;
    let wrong = again(1, Proof::Wrong, by_token(1));
    assert_eq!(store.finish(wrong).await.unwrap(), Finished::Wrong);
    assert_eq!(other.session([1; 16]).await.unwrap(), Some(first));
    for (id, proof, token) in
        [(2, by_code(11), by_token(201)), (3, Proof::RecoveryCode([100; 32]), None)]
    {
        let Finished::Done(session) = store.finish(again(id, proof, token)).await.unwrap() else {
            panic!("{id}")
        };
        let expected = Authentication::by_password_and(SecondFactor::Totp, NOW + u64::from(id));
        assert_eq!((session.authentication, session.counter), (expected, 0));
    }
    assert_eq!(count(&*store, Event::AuthenticatedAgain).await, 2);
    // The refresh token is the same.
    let verdict = other.refresh(refresh(1, 0, 10)).await.unwrap();
    assert!(matches!(verdict, Verdict::Rotate(_)), "{verdict:?}");
    store.end_session([1; 16], BY, NOW).await.unwrap();
    token(&*store, 4).await;
    let ended = again(4, by_code(12), by_token(4));
    assert_eq!(store.finish(ended).await.unwrap(), Finished::Refused);
    assert!(is_open(&*store, 4).await);
    assert_eq!(factors(&*store).await.totp.unwrap().last_step, 11);
}

async fn a_login_sets_up_only_the_first_factor(database: Database) {
    let [store, _] = two(&database).await;
    assert!(change(&*store, FactorChange::TotpBegun(vec![1])).await);
    token(&*store, 1).await;
    // The secret was replaced since the code was checked.
    let replaced = step(1, 1, Proof::NewTotp(confirmed(10, codes(100))));
    assert!(change(&*store, FactorChange::TotpBegun(sealed())).await);
    assert!(is_done(&store.finish(replaced.clone()).await.unwrap()));
    assert_eq!(factors(&*store).await.recovery_codes, 10);
    token(&*store, 2).await;
    let second = step(2, 2, Proof::NewTotp(confirmed(11, codes(120))));
    assert_eq!(store.finish(second).await.unwrap(), Finished::Wrong);
    assert_eq!(factors(&*store).await.totp.unwrap().last_step, 10);
    assert_eq!(count(&*store, Event::TotpAdded).await, 1);
}

async fn the_first_app_ends_all_other_sessions(database: Database) {
    let [store, other] = two(&database).await;
    let by_session = async |id: u8, change| {
        let changed = store.change_factors("user_x".to_owned(), change, Some([id; 16]), BY, NOW);
        changed.await.unwrap() != Changed::Impossible
    };
    for id in [1, 2] {
        assert!(open(&*store, session(id), "hash").await);
    }
    token(&*store, 1).await;
    assert!(by_session(2, FactorChange::TotpBegun(sealed())).await);
    assert!(!other.session([1; 16]).await.unwrap().unwrap().revoked);
    let confirm = FactorChange::TotpConfirmed(confirmed(10, codes(100)));
    assert!(by_session(2, confirm).await);
    assert!(other.session([1; 16]).await.unwrap().unwrap().revoked);
    assert!(!is_open(&*other, 1).await);
    let own = other.session([2; 16]).await.unwrap().unwrap();
    let strong = Authentication::by_password_and(SecondFactor::Totp, NOW);
    assert_eq!((own.revoked, own.authentication), (false, strong));
    // These were allowed while the session was open.
    for late in [FactorChange::TotpRemoved, FactorChange::RecoveryCodes(codes(120))] {
        assert!(!by_session(1, late).await);
    }
    assert_eq!(factors(&*store).await.recovery_codes, 10);
    assert!(by_session(2, FactorChange::TotpRemoved).await);
}

async fn the_first_app_of_a_login_ends_all_sessions(database: Database) {
    let [store, other] = two(&database).await;
    for id in [1, 2] {
        assert!(open(&*store, session(id), "hash").await);
        assert!(change(&*store, FactorChange::TotpBegun(sealed())).await);
        token(&*store, id).await;
        let first = step(id, 10 + id, Proof::NewTotp(confirmed(10, codes(100))));
        let authentication = Authentication::by_password_and(SecondFactor::Totp, NOW);
        let (goal, opened) = match id {
            1 => (first.goal.clone(), 11),
            _ => (Goal::Again { session: [2; 16], authentication }, 2),
        };
        assert!(open(&*store, session(20 + id), "hash").await);
        assert!(is_done(&store.finish(LastStep { goal, ..first }).await.unwrap()));
        assert!(other.session([20 + id; 16]).await.unwrap().unwrap().revoked);
        assert!(!other.session([opened; 16]).await.unwrap().unwrap().revoked);
        assert!(change(&*store, FactorChange::TotpRemoved).await);
    }
}

async fn a_password_alone_opens_nothing_beside_a_second_factor(database: Database) {
    let [store, _] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    let again = || LastStep {
        goal: Goal::Again {
            session: [2; 16],
            authentication: Authentication::by_password(NOW + 1),
        },
        token: None,
        ..last_try(1, 1, Proof::Password)
    };
    set_up(&*store).await;
    // Its password was checked before.
    assert!(!open(&*store, session(3), "hash").await);
    let strong = Authentication::by_password_and(SecondFactor::Totp, NOW);
    let opened = Session { authentication: strong.clone(), ..session(2) };
    assert!(open(&*store, opened, "hash").await);
    assert_eq!(store.finish(again()).await.unwrap(), Finished::Wrong);
    assert_eq!(store.session([2; 16]).await.unwrap().unwrap().authentication, strong);
    assert!(change(&*store, FactorChange::TotpRemoved).await);
    assert!(is_done(&store.finish(again()).await.unwrap()));
    assert!(open(&*store, session(3), "hash").await);
}

async fn a_login_and_the_first_factor_at_once_leave_no_session_of_a_password(database: Database) {
    let stores = two(&database).await;
    for round in 0..20 {
        assert!(change(&*stores[0], FactorChange::TotpBegun(sealed())).await);
        let store = Arc::clone(&stores[1]);
        let login = tokio::spawn(async move { open(&*store, session(round), "hash").await });
        for _ in 0..u32::from(round) * 20 {
            tokio::task::yield_now().await;
        }
        assert!(change(&*stores[0], FactorChange::TotpConfirmed(confirmed(10, codes(100)))).await);
        let opened = login.await.unwrap();
        let found = stores[0].session([round; 16]).await.unwrap();
        assert_eq!(found.map(|session| session.revoked), opened.then_some(true), "{round}");
        assert!(change(&*stores[0], FactorChange::Reset).await);
    }
}

async fn a_totp_secret_is_in_force_when_it_is_confirmed(database: Database) {
    let [store, other] = two(&database).await;
    let has_totp = async || {
        let user = other.user("demo".to_owned()).await.unwrap().unwrap();
        let listed = other.users(String::new(), 9).await.unwrap().remove(0);
        assert_eq!(listed, user);
        assert_eq!(other.user_with_id(user.id.clone()).await.unwrap(), Some(user.clone()));
        user.factors.totp
    };
    assert!(change(&*store, FactorChange::TotpBegun(vec![1])).await);
    assert!(change(&*store, FactorChange::TotpBegun(sealed())).await);
    assert!(!has_totp().await);
    // It proves nothing yet.
    token(&*store, 1).await;
    assert_eq!(store.finish(step(1, 1, by_code(11))).await.unwrap(), Finished::Wrong);
    let of_the_first = NewTotp { sealed: vec![1], ..confirmed(10, codes(100)) };
    assert!(!change(&*store, FactorChange::TotpConfirmed(of_the_first)).await);
    assert_eq!(factors(&*store).await.recovery_codes, 0);
    assert!(change(&*store, FactorChange::TotpConfirmed(confirmed(10, codes(100)))).await);
    assert!(has_totp().await);
    let totp = factors(&*other).await.totp.unwrap();
    assert_eq!((totp.confirmed_at, totp.last_step, totp.sealed), (Some(NOW), 10, sealed()));
    assert!(!change(&*store, FactorChange::TotpBegun(vec![2])).await);
    assert!(!change(&*store, FactorChange::TotpConfirmed(confirmed(11, codes(120)))).await);
    let nobody = store.change_factors("user_y".to_owned(), FactorChange::Reset, None, BY, NOW);
    assert_eq!(nobody.await.unwrap(), Changed::Impossible);
    assert_eq!(count(&*store, Event::TotpAdded).await, 1);
}

async fn an_app_brings_codes_unless_some_are_left(database: Database) {
    let [store, other] = two(&database).await;
    let confirm = async |first, codes| {
        assert!(change(&*store, FactorChange::TotpBegun(sealed())).await);
        let confirmed = FactorChange::TotpConfirmed(confirmed(first, codes));
        store.change_factors("user_x".to_owned(), confirmed, None, BY, NOW).await.unwrap()
    };
    // The session that registers the passkey.
    assert!(open(&*store, session(250), "hash").await);
    let passkey = passkeys::with_codes(1, codes(50));
    assert_eq!(other.add_passkey(passkey).await.unwrap(), Registration::AddedWithCodes);
    assert_eq!(confirm(10, codes(100)).await, Changed::Made);
    for code in 50..60_u8 {
        token(&*store, code).await;
        let by_code = last_try(code, code - 50, Proof::RecoveryCode([code; 32]));
        assert!(is_done(&other.finish(by_code).await.unwrap()), "{code}");
    }
    assert_eq!(factors(&*store).await.recovery_codes, 0);
    assert!(change(&*store, FactorChange::TotpRemoved).await);
    assert_eq!(confirm(11, codes(120)).await, Changed::MadeWithCodes);
    assert_eq!(factors(&*store).await.recovery_codes, 10);
}

async fn recovery_codes_go_with_the_last_factor(database: Database) {
    let [store, _] = two(&database).await;
    assert!(!change(&*store, FactorChange::RecoveryCodes(codes(50))).await);
    set_up(&*store).await;
    assert!(change(&*store, FactorChange::RecoveryCodes(codes(120))).await);
    token(&*store, 1).await;
    let old = step(1, 1, Proof::RecoveryCode([100; 32]));
    assert_eq!(store.finish(old).await.unwrap(), Finished::Wrong);
    assert!(is_done(&store.finish(step(201, 2, Proof::RecoveryCode([120; 32]))).await.unwrap()));
    assert_eq!(factors(&*store).await.recovery_codes, 9);
    for _ in 0..2 {
        assert!(change(&*store, FactorChange::TotpRemoved).await);
        assert_eq!(factors(&*store).await, StoredFactors::default());
    }
    assert_eq!(count(&*store, Event::TotpRemoved).await, 1);
    assert_eq!(count(&*store, Event::RecoveryCodesReplaced).await, 1);
}

async fn a_reset_removes_all_factors_and_ends_all_sessions(database: Database) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    assert!(change(&*store, FactorChange::Reset).await);
    assert!(!other.session([1; 16]).await.unwrap().unwrap().revoked);
    set_up(&*store).await;
    token(&*store, 1).await;
    for _ in 0..2 {
        assert!(change(&*store, FactorChange::Reset).await);
        assert_eq!(factors(&*other).await, StoredFactors::default());
        assert!(other.session([1; 16]).await.unwrap().unwrap().revoked);
        assert!(!is_open(&*other, 1).await);
    }
    assert_eq!(count(&*store, Event::SecondFactorsReset).await, 1);
}

async fn secrets_that_nobody_confirmed_are_deleted(database: Database) {
    let [store, _] = two(&database).await;
    assert!(change(&*store, FactorChange::TotpBegun(sealed())).await);
    store.prune_factors(NOW - 1).await.unwrap();
    assert!(factors(&*store).await.totp.is_some());
    store.prune_factors(NOW).await.unwrap();
    assert_eq!(factors(&*store).await.totp, None);
    set_up(&*store).await;
    store.prune_factors(NOW).await.unwrap();
    assert!(factors(&*store).await.totp.is_some());
}

async fn each_authentication_of_one_second_takes_its_failure_back(database: Database) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    for id in [1, 2] {
        let counted = store.attempt(attempt(1, 1, id, NOW)).await.unwrap();
        let throttle::Verdict::Admit(failure) = counted else { panic!("{counted:?}") };
        assert_eq!(failure.own.count, 1);
        let again = LastStep {
            goal: Goal::Again {
                session: [1; 16],
                authentication: Authentication::by_password(NOW + 5),
            },
            token: None,
            failure: Some(failure),
            ..last_try(1, id, Proof::Password)
        };
        assert!(is_done(&other.finish(again).await.unwrap()));
    }
    assert_eq!(count(&*store, Event::AuthenticatedAgain).await, 2);
}
