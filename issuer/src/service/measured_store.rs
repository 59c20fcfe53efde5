use std::sync::Arc;

use crate::audit::{Actor, AuditEntry, AuditFilter, Network, NewEntry};
use crate::clients::{Client, ClientChange};
use crate::idempotency::{Added, New, NewAnswer};
use crate::keys::{KeyRecord, Vault};
use crate::login::new_password::NewPassword;
use crate::login::throttle::{self, Attempt, ProvisionalFailure};
use crate::metrics::Metrics;
use crate::one_time::{OneTimeToken, Purpose, TokenHash};
use crate::passkeys::{NewPasskey, Passkey, Registration};
use crate::second_factor::{Changed, FactorChange, Finished, LastStep, StoredFactors};
use crate::session::{Refresh, Session, SessionId, SessionPage, Verdict};
use crate::status::Candidates;
use crate::store::copy::{Parts, PartsOut};
use crate::store::{Answer, KeyChange, Size, Store};
use crate::users::{Addition, User, UserChange};

/// A store whose answers are timed and counted.
pub(crate) struct Measured {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Measured {
    pub(crate) fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }
}

/// Each method of [`Store`] with what it counts as: a field of [`crate::metrics::Operations`].
macro_rules! measured {
    ($($class:ident: $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store for Measured {$(
            fn $name(&self, $($argument: $type),*) -> Answer<'_, $answer> {
                let ask = move || self.store.$name($($argument),*);
                Box::pin(self.metrics.store.$class.time(ask))
            }
        )*}
    };
}

measured! {
    write: add_user(user: User, by: Actor) -> bool;
    bulk: add_users(users: Vec<User>, by: Actor) -> Vec<Addition>;
    write: change_user(id: String, changes: Vec<UserChange>, by: Actor, now: u64) -> bool;
    write: replace_hash(user_id: String, old: String, new: String, now: u64) -> ();
    write: set_password(new: NewPassword) -> bool;
    write: delete_user(name: String, by: Actor, now: u64) -> bool;
    write: attempt(attempt: Attempt) -> throttle::Verdict;
    write: take_back(failure: ProvisionalFailure) -> ();
    write: take_back_unless_undone(failure: ProvisionalFailure) -> ();
    write: take_back_if_counted(attempt: Attempt) -> ();
    read: user(name: String) -> Option<User>;
    read: user_with_id(id: String) -> Option<User>;
    read: users(after: String, most: u32) -> Vec<User>;
    write: add_client(client: Client, by: Actor) -> bool;
    write: change_client(id: String, changes: Vec<ClientChange>, by: Actor, now: u64) -> bool;
    read: client(id: String) -> Option<Client>;
    read: client_named(name: String) -> Option<Client>;
    read: clients(after: String, most: u32) -> Vec<Client>;
    write: add_once(new: New, answer: NewAnswer, by: Actor) -> Added;
    bulk: prune_answers(now: u64) -> ();
    write: open_session(
        session: Session, password_hash: String, network: Network,
        failure: Option<ProvisionalFailure>, candidates: Option<Candidates>
    ) -> Option<Session>;
    write: refresh(refresh: Refresh) -> Verdict;
    read: session(id: SessionId) -> Option<Session>;
    read: live_sessions(page: SessionPage) -> Vec<Session>;
    write: end_session(id: SessionId, by: Actor, now: u64) -> ();
    write: add_one_time_token(token: OneTimeToken, by: Actor) -> ();
    read: one_time_token(hash: TokenHash, purpose: Purpose, now: u64) -> Option<OneTimeToken>;
    bulk: prune_one_time_tokens(at: u64) -> ();
    write: add_passkey(new: NewPasskey) -> Registration;
    read: passkey(id: Vec<u8>) -> Option<Passkey>;
    read: passkeys(user_id: String) -> Vec<Passkey>;
    write: rename_passkey(
        user_id: String, id: Vec<u8>, name: String, by: Actor, now: u64
    ) -> bool;
    write: remove_passkey(user_id: String, id: Vec<u8>, by: Actor, now: u64) -> bool;
    bulk: prune(at: u64) -> ();
    bulk: prune_failures(now: u64) -> ();
    read: factors(user_id: String) -> StoredFactors;
    write: change_factors(
        user_id: String, change: FactorChange, session: Option<SessionId>, by: Actor, now: u64
    ) -> Changed;
    write: finish(step: LastStep) -> Finished;
    bulk: prune_factors(until: u64) -> ();
    read: newest_status_list() -> u32;
    read: ended_sessions(list: u32, at: u64) -> Vec<u32>;
    read: keys() -> Vec<KeyRecord>;
    write: change_keys(change: KeyChange, by: Actor, now: u64) -> Vault;
    read: latest_time() -> Option<u64>;
    write: remember_time(now: u64) -> u64;
    write: reset_time(now: u64) -> bool;
    bulk: size(now: u64) -> Size;
    bulk: export(parts: PartsOut) -> ();
    bulk: import(parts: Parts) -> bool;
    write: record(entries: Vec<NewEntry>) -> ();
    read: audit(filter: AuditFilter) -> Vec<AuditEntry>;
    bulk: prune_audit(before: u64) -> ();
    ping: ping() -> ();
}
