//! The end: everything that was answered must still be true.

use std::sync::Arc;

use tokio::task::{JoinSet, LocalSet};

use crate::client::{Answer, Client, text};
use crate::cluster::execute;
use crate::common::{command, stdout};
use crate::driver::{Session, session_of};
use crate::ledger::{Ended, Fault, Ledger, User};
use crate::world::World;

/// Checks each session, user, client and key. Notes the faults in the ledger.
pub(crate) fn check(world: &mut World, sessions: Vec<Session>) {
    world.ledger.begin_event("the check at the end");
    let introspector = world.introspector.clone();
    for_each(world, sessions, check_live);
    let ended = world.ledger.ended_sessions();
    for_each(world, ended, |asker, session| check_ended(asker, session, introspector.clone()));
    let (users, clients) = (world.ledger.users(), world.ledger.clients());
    for_each(world, users, check_user);
    for_each(world, clients, check_client);
    check_keys(world);
    check_audit(world);
}

/// The last token of a session must work, and its successor too.
async fn check_live(mut asker: Asker, session: Session) {
    let mut token = session.refresh_token.clone();
    for _ in 0..2 {
        match asker.ask(async |client: &mut Client| client.refresh(&token).await).await {
            Answer::Done(body) => token = text(&body, "refresh_token"),
            other => {
                return asker.fault(Fault::Lost, &format!("session {}: {other}", session.id()));
            }
        }
    }
}

async fn check_ended(mut asker: Asker, session: Ended, introspector: (String, String)) {
    let Ended { refresh_token, access_token } = session;
    let id = session_of(&access_token);
    let answer = asker
        .ask(async |client: &mut Client| client.introspect(&access_token, &introspector).await)
        .await;
    if !matches!(&answer, Answer::Done(body) if body["active"] == false) {
        asker.fault(Fault::Revived, &format!("session {id}: introspection: {answer}"));
    }
    let answer = asker.ask(async |client: &mut Client| client.refresh(&refresh_token).await).await;
    if !matches!(&answer, Answer::Refused(_, body) if body["error"] == "invalid_grant") {
        asker.fault(Fault::Revived, &format!("session {id}: refresh: {answer}"));
    }
}

async fn check_user(mut asker: Asker, (name, user): (String, User)) {
    let (password, fault) = match &user {
        User::Password(password) => (password.as_str(), Fault::Lost),
        User::Deleted(password) => (password.as_str(), Fault::Revived),
        User::Unknown => return,
    };
    let answer = asker.ask(async |client: &mut Client| client.login(&name, password).await).await;
    let is_right = match fault {
        Fault::Lost => matches!(answer, Answer::Done(_)),
        _ => matches!(answer, Answer::Refused(..)),
    };
    if !is_right {
        asker.fault(fault, &format!("{name}: {answer}"));
    }
}

async fn check_client(mut asker: Asker, (name, (id, secret)): (String, (String, String))) {
    let answer =
        asker.ask(async |client: &mut Client| client.client_token(&id, &secret).await).await;
    if !matches!(answer, Answer::Done(_)) {
        asker.fault(Fault::Lost, &format!("{name}: {answer}"));
    }
}

/// Exactly one key signs.
fn check_keys(world: &World) {
    let listed = stdout(&command(&world.issuers[0].folder(), &["keys", "list"], ""));
    let active = listed.lines().filter(|line| line.contains("\tactive")).count();
    if active != 1 {
        world.ledger.fault(Fault::Lost, &format!("{active} keys are active: {listed}"));
    }
}

/// No client has used a token that it should not have used.
fn check_audit(world: &World) {
    let reused = "SELECT subject FROM countersign.audit WHERE event = 'refresh_reused'";
    for session in execute(&world.pair.primary_url(), reused) {
        world.ledger.fault(Fault::Theft, &format!("session {session}"));
    }
}

/// Checks many things, some at a time.
fn for_each<T, Checking: Future<Output = ()> + 'static>(
    world: &mut World,
    all: impl IntoIterator<Item = T>,
    check: impl Fn(Asker, T) -> Checking,
) {
    const AT_A_TIME: usize = 16;
    let World { client, ledger, runtime, .. } = world;
    LocalSet::new().block_on(runtime, async {
        let mut running = JoinSet::new();
        for one in all {
            if running.len() == AT_A_TIME {
                running.join_next().await.unwrap().unwrap();
            }
            running.spawn_local(check(
                Asker { client: client.fork(), ledger: Arc::clone(ledger) },
                one,
            ));
        }
        while let Some(done) = running.join_next().await {
            done.unwrap();
        }
    });
}

/// Asks the issuers, and notes faults.
struct Asker {
    client: Client,
    ledger: Arc<Ledger>,
}

impl Asker {
    /// Asks until there is an answer.
    async fn ask(&mut self, request: impl AsyncFn(&mut Client) -> Answer) -> Answer {
        for _ in 0..50 {
            match request(&mut self.client).await {
                Answer::Later => self.client.pause().await,
                answer => return answer,
            }
        }
        Answer::Later
    }

    fn fault(&self, fault: Fault, text: &str) {
        self.ledger.fault(fault, text);
    }
}
