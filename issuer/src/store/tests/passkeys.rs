//! Passkeys.

use super::*;
use crate::authentication::{Authentication, SecondFactor};
use crate::one_time::ChallengeUse;
use crate::passkeys::credential::Credential;
use crate::passkeys::{MOST_OF_A_USER, NewPasskey, Passkey, PasskeyUse, Registration};
use crate::second_factor::recovery::RecoveryHash;
use crate::second_factor::{Finished, Goal, LastStep, Proof};

over_both!(
    a_passkey_is_read_as_it_was_added_until_it_is_removed,
    simultaneous_registrations_keep_the_limit,
    one_of_simultaneous_registrations_brings_recovery_codes,
    a_used_challenge_is_remembered_until_its_time,
    one_use_of_a_passkey_with_one_counter_opens_a_session,
    the_last_passkey_takes_the_recovery_codes_along,
    the_first_passkey_ends_all_other_sessions,
);

/// The session that registers passkeys.
const OWN: SessionId = [250; 16];

/// Opens two stores. The user has a session.
async fn two(database: &Database) -> [Arc<dyn Store>; 2] {
    let stores = super::two(database).await;
    assert!(open(&*stores[0], session(250), "hash").await);
    stores
}

fn credential(counter: u32) -> Credential {
    let json = format!(
        "{{\"algorithm\":-7,\"public_key\":\"AP8\",\"counter\":{counter},\"backup_eligible\":true}}"
    );
    Credential::from_stored(json.as_bytes()).unwrap()
}

pub(super) fn passkey(id: u8, counter: u32) -> Passkey {
    Passkey {
        id: vec![id, 0, 255],
        user_id: "user_x".to_owned(),
        name: "Phöne".to_owned(),
        credential: credential(counter),
        created_at: NOW + u64::from(id),
        used_at: None,
    }
}

pub(super) fn challenge(hash: u8, request: u8) -> ChallengeUse {
    ChallengeUse { hash: [hash; 32], id: [request; 16], now: NOW + 7, remembered_until: NOW + 900 }
}

pub(super) fn new(passkey: Passkey, challenge: ChallengeUse) -> NewPasskey {
    let (codes, network) = (Vec::new(), Network::for_tests());
    NewPasskey { passkey, session: OWN, challenge, codes, network }
}

/// A new passkey of that number with recovery codes.
pub(super) fn with_codes(id: u8, codes: Vec<RecoveryHash>) -> NewPasskey {
    NewPasskey { codes, ..new(passkey(id, 0), challenge(id, id)) }
}

/// The last step of a login with the passkey alone.
pub(super) fn login(id: u8, counter: u32, challenge: ChallengeUse) -> LastStep {
    let proof = Proof::Passkey(PasskeyUse { id: passkey(id, 0).id, counter, challenge });
    let session = Session {
        id: crate::crypto::random().unwrap(),
        authentication: Authentication::by_passkey(NOW),
        ..session(1)
    };
    LastStep {
        user_id: "user_x".to_owned(),
        password_version: None,
        token: None,
        proof,
        goal: Goal::Open { session: Box::new(session), candidates: None },
        failure: None,
        retry: None,
        network: Network::for_tests(),
        now: NOW + 7,
    }
}

async fn add(store: &dyn Store, passkey: Passkey, challenge: ChallengeUse) -> Registration {
    store.add_passkey(new(passkey, challenge)).await.unwrap()
}

/// Returns events and their networks, oldest first.
async fn events(store: &dyn Store) -> Vec<String> {
    let all = AuditFilter { most: 100, ..AuditFilter::default() };
    let entries = store.audit(all).await.unwrap();
    let shown = entries
        .into_iter()
        .map(|entry| format!("{} {}", entry.event, entry.network.unwrap_or_default()));
    shown.collect()
}

async fn a_passkey_is_read_as_it_was_added_until_it_is_removed(database: Database) {
    let [store, other] = two(&database).await;
    let foreign = User { id: "user_y".to_owned(), name: "other".to_owned(), ..user() };
    assert!(store.add_user(foreign, BY).await.unwrap());
    for id in [2, 1] {
        let added = add(&*store, passkey(id, 0), challenge(id, id)).await;
        assert_eq!(added, Registration::Added);
    }
    assert_eq!(other.passkey(passkey(1, 0).id).await.unwrap(), Some(passkey(1, 0)));
    assert_eq!(other.passkey(vec![7]).await.unwrap(), None);
    let all = [passkey(1, 0), passkey(2, 0)];
    assert_eq!(other.passkeys("user_x".to_owned()).await.unwrap(), all);
    assert_eq!(other.passkeys("user_y".to_owned()).await.unwrap(), []);
    assert!(other.user_with_id("user_x".to_owned()).await.unwrap().unwrap().factors.passkeys);

    // The id of another user's passkey.
    let copy = Passkey { user_id: "user_y".to_owned(), ..passkey(1, 0) };
    let own = Session { user_id: "user_y".to_owned(), ..session(251) };
    assert!(open(&*store, own, "hash").await);
    let taken = NewPasskey { session: [251; 16], ..new(copy.clone(), challenge(3, 3)) };
    assert_eq!(store.add_passkey(taken).await.unwrap(), Registration::IdTaken);
    assert_eq!(add(&*store, passkey(1, 0), challenge(4, 4)).await, Registration::IdTaken);
    for (user_id, possible) in [("user_y", false), ("user_x", true), ("user_x", true)] {
        let (user_id, name) = (user_id.to_owned(), "Other".to_owned());
        let renamed = store.rename_passkey(user_id, copy.id.clone(), name, BY, NOW);
        assert_eq!(renamed.await.unwrap(), possible);
    }
    let name = "Other".to_owned();
    assert_eq!(
        other.passkey(copy.id.clone()).await.unwrap(),
        Some(Passkey { name, ..passkey(1, 0) })
    );
    for (user_id, possible) in [("user_y", false), ("user_x", true), ("user_x", false)] {
        let removed = store.remove_passkey(user_id.to_owned(), copy.id.clone(), BY, NOW);
        assert_eq!(removed.await.unwrap(), possible);
    }
    assert_eq!(other.passkeys("user_x".to_owned()).await.unwrap(), [passkey(2, 0)]);
    let expected = [
        "passkey_added 192.0.2.1",
        "passkey_added 192.0.2.1",
        "login 192.0.2.1",
        "passkey_renamed ",
        "passkey_removed ",
    ];
    assert_eq!(events(&*store).await[3..], expected);

    assert!(store.delete_user("demo".to_owned(), BY, NOW).await.unwrap());
    assert_eq!(other.passkeys("user_x".to_owned()).await.unwrap(), []);
    assert_eq!(add(&*store, passkey(5, 0), challenge(5, 5)).await, Registration::Refused);
}

async fn simultaneous_registrations_keep_the_limit(database: Database) {
    let stores = two(&database).await;
    let most = u8::try_from(MOST_OF_A_USER).unwrap();
    let attempts = (0..most + 8).map(|id| {
        let store = Arc::clone(&stores[usize::from(id) % 2]);
        tokio::spawn(async move { add(&*store, passkey(id, 0), challenge(id, id)).await })
    });
    let mut added = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Registration::Added => added += 1,
            refused => assert_eq!(refused, Registration::TooMany),
        }
    }
    assert_eq!(added, MOST_OF_A_USER);
    let all = stores[0].passkeys("user_x".to_owned()).await.unwrap();
    assert_eq!(all.len(), MOST_OF_A_USER as usize);
}

async fn one_of_simultaneous_registrations_brings_recovery_codes(database: Database) {
    let stores = two(&database).await;
    let codes_of = |id| vec![[2 * id; 32], [2 * id + 1; 32]];
    let registrations = (0..10_u8).map(|id| {
        let (store, new) = (Arc::clone(&stores[usize::from(id) % 2]), with_codes(id, codes_of(id)));
        tokio::spawn(async move { (id, store.add_passkey(new).await.unwrap()) })
    });
    let mut with_codes = Vec::new();
    for registration in registrations.collect::<Vec<_>>() {
        match registration.await.unwrap() {
            (id, Registration::AddedWithCodes) => with_codes.push(id),
            (_, other) => assert_eq!(other, Registration::Added),
        }
    }
    let [id] = with_codes[..] else { panic!("{with_codes:?}") };
    assert_eq!(stores[0].factors("user_x".to_owned()).await.unwrap().recovery_codes, 2);
    // They are in force.
    for (n, code) in codes_of(id).into_iter().enumerate() {
        let by_code =
            LastStep { proof: Proof::RecoveryCode(code), ..login(id, 1, challenge(250, 250)) };
        let finished = stores[n].finish(by_code).await.unwrap();
        assert!(matches!(finished, Finished::Done(_)), "{finished:?}");
    }
}

async fn a_used_challenge_is_remembered_until_its_time(database: Database) {
    let [store, other] = two(&database).await;
    assert_eq!(add(&*store, passkey(1, 0), challenge(1, 1)).await, Registration::Added);
    assert_eq!(add(&*other, passkey(2, 0), challenge(1, 2)).await, Registration::Refused);
    // Its time is not over yet.
    store.prune_one_time_tokens(NOW + 899).await.unwrap();
    // The end of all sessions ends the tokens that nobody has used.
    let ended = store.change_user("user_x".to_owned(), vec![UserChange::SessionsEnded], BY, NOW);
    assert!(ended.await.unwrap());
    let refused = other.finish(login(1, 0, challenge(1, 3))).await.unwrap();
    assert_eq!(refused, Finished::Wrong);
    store.prune_one_time_tokens(NOW + 900).await.unwrap();
    assert_eq!(add(&*other, passkey(2, 0), challenge(1, 4)).await, Registration::Refused);
    let authentication = Authentication::by_passkey(NOW);
    assert!(open(&*store, Session { authentication, ..session(251) }, "hash").await);
    let new = NewPasskey { session: [251; 16], ..new(passkey(2, 0), challenge(1, 4)) };
    assert_eq!(other.add_passkey(new).await.unwrap(), Registration::Added);
}

async fn one_use_of_a_passkey_with_one_counter_opens_a_session(database: Database) {
    let stores = two(&database).await;
    assert_eq!(add(&*stores[0], passkey(1, 7), challenge(200, 0)).await, Registration::Added);
    for round in 0..5_u8 {
        // Half with the same challenge, and half with challenges of their own.
        let attempts = (0..16_u8).map(|request| {
            let store = Arc::clone(&stores[usize::from(request) % 2]);
            let hash = if request < 8 { 16 * round } else { 16 * round + request };
            let step = login(1, 8 + u32::from(round), challenge(hash, request + 1));
            tokio::spawn(async move { store.finish(step).await.unwrap() })
        });
        let mut opened = 0;
        for attempt in attempts.collect::<Vec<_>>() {
            match attempt.await.unwrap() {
                Finished::Done(_) => opened += 1,
                refused => assert_eq!(refused, Finished::Wrong),
            }
        }
        assert_eq!(opened, 1);
    }
    let found = stores[1].passkey(passkey(1, 0).id).await.unwrap().unwrap();
    assert_eq!(found, Passkey { used_at: Some(NOW + 7), ..passkey(1, 12) });
    stores[0].end_session(OWN, BY, NOW).await.unwrap();
    let page = crate::session::SessionPage {
        user_id: "user_x".to_owned(),
        now: NOW,
        after: crate::session::Cursor::START,
        most: 100,
    };
    let sessions = stores[0].live_sessions(page).await.unwrap();
    assert_eq!(sessions.len(), 5);
    assert_eq!(sessions[0].authentication, Authentication::by_passkey(NOW));
    let back = events(&*stores[0]).await;
    let back = back.iter().filter(|event| *event == "passkey_counter_back 192.0.2.1").count();
    assert!((5 * 7..=5 * 8).contains(&back), "{back}");

    let locked =
        stores[0].change_user("user_x".to_owned(), vec![UserChange::Locked(true)], BY, NOW);
    assert!(locked.await.unwrap());
    let refused = stores[1].finish(login(1, 99, challenge(250, 1))).await.unwrap();
    assert_eq!(refused, Finished::Refused);
    let unlocked =
        stores[0].change_user("user_x".to_owned(), vec![UserChange::Locked(false)], BY, NOW);
    assert!(unlocked.await.unwrap());
    let expired =
        stores[0].change_user("user_x".to_owned(), vec![UserChange::PasswordExpired], BY, NOW);
    assert!(expired.await.unwrap());
    let opened = stores[1].finish(login(1, 99, challenge(250, 2))).await.unwrap();
    assert!(matches!(opened, Finished::Done(_)), "{opened:?}");
}

async fn the_last_passkey_takes_the_recovery_codes_along(database: Database) {
    let [store, other] = two(&database).await;
    let codes = vec![[1; 32], [2; 32]];
    let first = with_codes(1, codes);
    assert_eq!(store.add_passkey(first).await.unwrap(), Registration::AddedWithCodes);
    assert_eq!(add(&*store, passkey(2, 0), challenge(2, 2)).await, Registration::Added);
    for (id, left) in [(1, 2), (2, 0)] {
        let removed = store.remove_passkey("user_x".to_owned(), passkey(id, 0).id, BY, NOW);
        assert!(removed.await.unwrap());
        let stored = other.factors("user_x".to_owned()).await.unwrap();
        assert_eq!(stored.recovery_codes, left);
    }
}

async fn the_first_passkey_ends_all_other_sessions(database: Database) {
    let [store, other] = two(&database).await;
    assert!(open(&*store, session(1), "hash").await);
    let foreign = NewPasskey { session: [1; 16], ..new(passkey(2, 0), challenge(2, 2)) };
    assert_eq!(add(&*store, passkey(1, 0), challenge(1, 1)).await, Registration::Added);
    assert!(other.session([1; 16]).await.unwrap().unwrap().revoked);
    let own = other.session(OWN).await.unwrap().unwrap();
    let strong = Authentication::by_password_and(SecondFactor::Passkey, NOW);
    assert_eq!((own.revoked, own.authentication), (false, strong.clone()));
    // It was verified while that session was open.
    assert_eq!(other.add_passkey(foreign).await.unwrap(), Registration::Refused);
    // Another one ends nothing.
    assert!(open(&*store, Session { authentication: strong, ..session(3) }, "hash").await);
    assert_eq!(add(&*store, passkey(3, 0), challenge(3, 3)).await, Registration::Added);
    assert!(!other.session([3; 16]).await.unwrap().unwrap().revoked);
}
