//! Two issuers on a primary with a standby, under load, while everything goes wrong that can go
//! wrong. Nothing that was answered may be lost, doubled, revived, or ended as theft.
//!
//! `COUNTERSIGN_CHAOS_SECONDS` is the time that faults happen (180 by default).
//! `COUNTERSIGN_CHAOS_SEED` repeats the choices of an earlier run. `COUNTERSIGN_CHAOS_EVENTS` leaves
//! only the events whose names contain it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helpers"
)]

#[allow(dead_code, reason = "the integration tests use all of it")]
#[path = "../issuer/cluster.rs"]
mod cluster;
#[allow(dead_code, unused_imports, unused_macros, reason = "the integration tests use all of it")]
#[path = "../issuer/common.rs"]
mod common;
#[path = "../issuer/standby.rs"]
mod standby;

mod checker;
mod client;
mod commands;
mod disk;
mod driver;
mod events;
mod issuers;
mod ledger;
mod pair;
mod proxy;
mod world;

use std::sync::Mutex;
use std::time::Duration;

use crate::ledger::{Fault, say};
use crate::proxy::Mode;
use crate::world::World;

/// One test at a time: both need the whole machine.
static MACHINE: Mutex<()> = Mutex::new(());

#[test]
fn nothing_that_was_answered_is_lost_in_chaos() {
    if cluster::is_left_out() {
        return;
    }
    let _machine = MACHINE.lock();
    let seed = variable("COUNTERSIGN_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let seconds = variable("COUNTERSIGN_CHAOS_SECONDS").unwrap_or(180);
    say(&format!("{seconds} s with COUNTERSIGN_CHAOS_SEED={seed}"));
    let mut world = World::start(seed, true);
    world.begin();
    world.run_events(Duration::from_secs(seconds));
    let sessions = world.end();
    checker::check(&mut world, sessions);
    say(&world.ledger.to_string());
    let faults = world.ledger.faults();
    assert!(faults.is_empty(), "COUNTERSIGN_CHAOS_SEED={seed}: {faults:?}");
}

#[test]
fn a_store_that_forgets_is_caught() {
    if cluster::is_left_out() {
        return;
    }
    let _machine = MACHINE.lock();
    let mut world = World::start(1, false);
    world.begin();
    world.event("failover to a standby that lags", |world| {
        world.wait(2000..3000);
        world.pair.set_link(Mode::Cut);
        world.wait(3000..4000);
        world.pair.crash();
        world.pair.set_link(Mode::Pass);
        world.pair.promote();
        world.pair.rebuild();
    });
    let sessions = world.end();
    checker::check(&mut world, sessions);
    say(&world.ledger.to_string());
    let faults = world.ledger.faults();
    assert!(faults.contains_key(&Fault::Lost), "{faults:?}");
}

/// Reads a number from the environment.
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}; expected a whole number")))
}
