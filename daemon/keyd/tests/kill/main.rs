//! Kills keyd at random moments under load and starts it again with its stored state: it accepts no
//! AUTN twice, loses no profile, and has no transaction half done.
//!
//! `SOFTSIM_KILLS` sets how often, `SOFTSIM_SEED` the moments.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fast;
mod load;
mod replay;
mod store;

use std::thread::{scope, sleep};
use std::time::Duration;

use softsim_keyd_proto::Role;
use softsim_testkit::device::Operator;
use softsim_testkit::dice::{Dice, number_from_env};
use softsim_testkit::host::{Host, Running};
use softsim_testkit::over_the_socket::provision;

use crate::fast::Namer;
use crate::load::{Shared, clients};
use crate::replay::Replays;
use crate::store::Store;

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// The number of kills, unless `SOFTSIM_KILLS` sets another.
const KILLS: u64 = 60;

/// How many clients authenticate at the same time.
const CLIENTS: usize = 3;

/// The longest time for which keyd is under load before a kill.
const LOAD: Duration = Duration::from_millis(40);

/// About the time that keyd takes to start.
const START: Duration = Duration::from_millis(10);

/// After every so many kills, the test enables each profile in turn for the replays.
const ALL_PROFILES: u64 = 10;

/// After every so many kills, the test replays all challenges.
const EVERYTHING: u64 = 250;

/// How many of each profile's last challenges the test replays after each kill: only a recent
/// answer could be undone.
const LAST: usize = 48;

#[test]
fn killed_at_any_moment_it_accepts_no_autn_twice_and_loses_no_profile() {
    let kills = number_from_env("SOFTSIM_KILLS").unwrap_or(KILLS);
    let mut dice = Dice::of_test("kill");
    let host = Host::new(PROGRAM);
    let running = host.start();
    let shared = Shared::new(&mut dice);
    let mut store = Store::provisioned(&host, &shared);
    let mut replays = Replays::default();
    drop(running);

    for kill in 1..=kills {
        if dice.once_in(4) {
            kill_at_start(&host, &mut dice);
        }
        let running = host.start();
        store.check(&host);
        replays.check(&host, &mut store, &shared, depth(kill, kills));
        load_and_kill(running, &host, &shared, &mut store, &mut replays, &mut dice);
    }
    let _running = host.start();
    store.check(&host);
    store.install_missing(&host, &shared);
    replays.check(&host, &mut store, &shared, Depth::EVERYTHING);
    println!("kill: {kills} kills under load; {replays}; {store}");
    assert!(replays.accepted() > kills as usize, "too little load");
}

#[test]
fn killed_at_any_moment_it_takes_no_counter_back_and_loses_no_pseudonym() {
    let kills = number_from_env("SOFTSIM_KILLS").unwrap_or(KILLS);
    let mut dice = Dice::of_test("kill, fast re-authentication");
    let host = Host::new(PROGRAM);
    let mut running = host.start();
    provision(&mut host.connect(Role::Admin), &Operator::generate());
    let mut namer = Namer::new();
    for _ in 0..kills {
        scope(|scope| {
            let own = dice.fork();
            let load = scope.spawn(|| namer.until_killed(&host, own));
            sleep(dice.shorter_than(LOAD));
            running.child.kill().unwrap();
            running.child.wait().unwrap();
            load.join().unwrap();
        });
        running = host.start();
        namer.check(&host);
    }
    println!("kill: {kills} kills; {namer}");
}

/// How much is replayed after a kill.
#[derive(Clone, Copy)]
struct Depth {
    all_profiles: bool,
    last: usize,
}

impl Depth {
    const EVERYTHING: Self = Self {
        all_profiles: true,
        last: usize::MAX,
    };
}

fn depth(kill: u64, kills: u64) -> Depth {
    if kill.is_multiple_of(EVERYTHING) {
        return Depth::EVERYTHING;
    }
    Depth {
        all_profiles: kill.is_multiple_of(ALL_PROFILES) || kill == kills,
        last: LAST,
    }
}

/// A kill before, while or just after the vault is opened.
fn kill_at_start(host: &Host, dice: &mut Dice) {
    let mut child = host.command().spawn().unwrap();
    sleep(dice.shorter_than(START));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn load_and_kill(
    mut running: Running,
    host: &Host,
    shared: &Shared,
    store: &mut Store,
    replays: &mut Replays,
    dice: &mut Dice,
) {
    scope(|scope| {
        let clients = clients(scope, CLIENTS, host, shared, dice);
        let own = dice.fork();
        let manager = scope.spawn(|| store.change_until_killed(host, shared, own));
        sleep(dice.shorter_than(LOAD));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        for client in clients {
            replays.add(client.join().unwrap());
        }
        manager.join().unwrap();
    });
}

/// A client's request that keyd didn't answer before it was killed.
pub(crate) fn killed(error: &softsim_client::keyd::Error) -> bool {
    use softsim_client::keyd::Error;
    match error {
        Error::Closed | Error::Socket(_) | Error::Connect { .. } => true,
        Error::Refused(_) => false,
        other => panic!("expected an answer or the end, got {other}"),
    }
}

/// The roles that may change profiles.
const MANAGERS: [Role; 2] = [Role::Network, Role::Admin];
