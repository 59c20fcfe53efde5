//! Everything that goes wrong. Each event ends with everything whole again.

use std::time::Duration;

use crate::cluster::connected;
use crate::common::command;
use crate::proxy::Mode;
use crate::world::World;

/// An event: its name, and a function that lets it happen.
pub(crate) type Event = (&'static str, fn(&mut World));

pub(crate) const ALL: [Event; 18] = [
    ("issuer killed", kill_issuer),
    ("server killed", kill_server),
    ("issuer and server killed", kill_both),
    ("failover", fail_over),
    ("failover and back", fail_over_and_back),
    ("failover to a standby that was away", fail_over_to_a_standby_that_was_away),
    ("standby killed", kill_standby),
    ("standby away", standby_away),
    ("COMMIT cut before", |world| commits(world, Mode::CutBeforeCommit)),
    ("COMMIT cut after", |world| commits(world, Mode::CutAfterCommit)),
    ("answers to COMMIT swallowed", |world| commits(world, Mode::SwallowCommitAnswer)),
    ("answers to clients swallowed", swallow_answers_to_clients),
    ("network to the database gone", blackhole),
    ("network to the database stands still", stall),
    ("network to the database slow", delay),
    ("table locked", lock_table),
    ("disk full", fill_disk),
    ("keys rotated", rotate_keys),
];

/// An event that only happens if processes can have other clocks.
pub(crate) const CLOCKS: Event = ("clocks apart", set_clocks);

fn kill_issuer(world: &mut World) {
    let which = world.rng.usize(..2);
    world.issuers[which].kill();
    world.wait(200..2000);
    world.issuers[which].start();
}

fn kill_server(world: &mut World) {
    world.pair.crash();
    world.wait(200..4000);
    world.pair.start_primary();
    world.pair.wait_for_the_standby();
}

fn kill_both(world: &mut World) {
    let which = world.rng.usize(..2);
    world.issuers[which].kill();
    world.pair.crash();
    world.wait(200..3000);
    world.pair.start_primary();
    world.issuers[which].start();
}

fn fail_over(world: &mut World) {
    world.pair.crash();
    world.wait(0..2000);
    world.pair.promote();
    world.wait(0..1000);
    world.pair.rebuild();
    world.pair.wait_for_the_standby();
}

fn fail_over_and_back(world: &mut World) {
    fail_over(world);
    world.wait(500..3000);
    fail_over(world);
}

/// The primary restarts while the standby is away, so that changes are there which nobody waited
/// for. Then the primary dies, and the standby without these changes takes over.
fn fail_over_to_a_standby_that_was_away(world: &mut World) {
    world.pair.set_link(Mode::Cut);
    world.wait(1000..3000);
    world.pair.crash();
    world.pair.start_primary();
    world.wait(3000..5000);
    world.pair.crash();
    world.pair.set_link(Mode::Pass);
    world.pair.promote();
    world.pair.rebuild();
    world.pair.wait_for_the_standby();
}

fn kill_standby(world: &mut World) {
    world.pair.crash_standby();
    world.wait(500..6000);
    world.pair.start_standby();
    world.pair.wait_for_the_standby();
}

fn standby_away(world: &mut World) {
    let mode = if world.rng.bool() { Mode::Cut } else { Mode::Stall };
    world.pair.set_link(mode);
    world.wait(3000..10_000);
    world.pair.set_link(Mode::Pass);
    world.pair.wait_for_the_standby();
}

fn commits(world: &mut World, mode: Mode) {
    world.at_the_database(mode, 2000..5000);
}

fn swallow_answers_to_clients(world: &mut World) {
    for issuer in &world.issuers {
        issuer.front.set(Mode::SwallowAnswers);
    }
    world.wait(1000..4000);
    for issuer in &world.issuers {
        issuer.front.set(Mode::Pass);
    }
}

fn blackhole(world: &mut World) {
    world.at_the_database(Mode::Blackhole, 2000..10_000);
}

fn stall(world: &mut World) {
    world.at_the_database(Mode::Stall, 500..8000);
}

fn delay(world: &mut World) {
    let delay = Duration::from_millis(world.rng.u64(20..300));
    world.at_the_database(Mode::Delay(delay), 2000..6000);
}

fn lock_table(world: &mut World) {
    let table = *world.rng.choice(&["sessions", "users", "clients", "audit"]).unwrap();
    let time = Duration::from_millis(world.rng.u64(2000..8000));
    let lock = format!("BEGIN; LOCK TABLE countersign.{table}");
    let hold = async |client: &tokio_postgres::Client| {
        client.simple_query(&lock).await?;
        tokio::time::sleep(time).await;
        Ok(())
    };
    connected(&world.pair.primary_url(), hold).unwrap();
}

fn fill_disk(world: &mut World) {
    world.pair.primary().fill_disk();
    world.wait(2000..6000);
    world.pair.primary().free_disk();
    world.pair.wait_for_the_standby();
}

/// Three commands and two issuers work on the keys at the same time.
fn rotate_keys(world: &mut World) {
    let folders = [0, 1, 0].map(|which: usize| world.issuers[which].folder());
    let commands = folders.map(|folder| {
        std::thread::spawn(move || command(&folder, &["keys", "rotate"], "").status.success())
    });
    for done in commands {
        // Only one may be done: the others find a rotation that is under way.
        done.join().unwrap();
    }
    world.wait(1000..3000);
}

/// Gives the second issuer another clock.
fn set_clocks(world: &mut World) {
    let mut clocks = vec![0, 15, 295];
    clocks.retain(|clock| *clock != world.issuers[1].clock);
    let clock = world.rng.choice(clocks).unwrap();
    let issuer = &mut world.issuers[1];
    issuer.kill();
    issuer.clock = clock;
    issuer.start();
    world.wait(2000..5000);
}
