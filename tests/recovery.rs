//! A bootstrap is one transaction of both daemons. Whichever daemon is killed at whatever moment,
//! the gateway comes back with the accounts and the profile of the same transaction: after the end
//! of keyd, netd goes on with the next one.
//!
//! `SOFTSIM_BOOTSTRAP_KILLS` sets how often each is killed, `SOFTSIM_SEED` the moments.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::process::Command;
use std::thread::{scope, sleep, yield_now};
use std::time::{Duration, Instant};

use softsim_client::netd::{self, Control, Event};
use softsim_lab_harness::home::{Home, Options};
use softsim_testkit::dice::{Dice, number_from_env};
use softsim_testkit::processes::built;

/// The number of kills, unless `SOFTSIM_BOOTSTRAP_KILLS` sets another.
const KILLS: u64 = 8;

/// How long the test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Netd,
    Keyd,
}

#[test]
fn a_netd_killed_at_any_moment_of_a_bootstrap_comes_back_with_keyds_transaction() {
    killed_while_bootstrapping("netd killed", Victim::Netd);
}

#[test]
fn a_keyd_killed_at_any_moment_of_a_bootstrap_comes_back_with_netds_accounts() {
    killed_while_bootstrapping("keyd killed", Victim::Keyd);
}

fn killed_while_bootstrapping(test: &str, victim: Victim) {
    if !built(test, &["softsim-keyd", "softsim-netd"]) {
        return;
    }
    let kills = number_from_env("SOFTSIM_BOOTSTRAP_KILLS").unwrap_or(KILLS);
    let mut dice = Dice::of_test(test);
    let folder = tempfile::tempdir().unwrap();
    let mut home = Home::start(&folder.path().join("lab"), Options::default()).unwrap();
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    home.start_netd().unwrap();
    assert_eq!(in_step(&home), None);

    let mut longest = bootstrap(&home).unwrap();
    let (mut old, mut new) = (0, 0);
    for _ in 0..kills {
        let before = in_step(&home);
        let moment = dice.shorter_than(longest * 5 / 4);
        let took = bootstrap_until(&mut home, victim, moment);
        longest = took.unwrap_or(longest);
        if in_step(&home) == before {
            old += 1;
        } else {
            new += 1;
        }
    }
    println!("{test}: {kills} kills; the transaction was there {new} times, and {old} times not");
    bootstrap(&home).unwrap();
    in_step(&home);
    home.eap_test().unwrap();
}

/// Returns the transaction that keyd committed, after asserting that netd's accounts and the
/// profile belong to it.
fn in_step(home: &Home) -> Option<String> {
    let committed = home.gateway().status().unwrap().committed.map(hex::encode);
    let status = home.gateway().netd_status().unwrap();
    assert_eq!(
        (status.accounts, status.accounts_fault),
        (committed.clone(), None)
    );
    let profiles = home.gateway().status().unwrap().profiles;
    assert_eq!(profiles, u32::from(committed.is_some()));
    committed
}

/// Makes a bootstrap, and returns its duration.
fn bootstrap(home: &Home) -> Option<Duration> {
    let begun = Instant::now();
    let ask = netd::Command::Bootstrap {};
    let events = Control::run(&home.gateway().sockets().netd, &ask).ok()?;
    let last = events.map_while(Result::ok).last();
    matches!(last, Some(Event::Done { .. })).then(|| begun.elapsed())
}

/// Begins a bootstrap, kills a daemon at this moment, and restarts it. Returns the bootstrap's
/// duration if it had ended before the kill.
fn bootstrap_until(home: &mut Home, victim: Victim, moment: Duration) -> Option<Duration> {
    let gateway = home.gateway();
    let (keyd, netd) = (gateway.keyd().unwrap().id(), gateway.netd().unwrap().id());
    let took = scope(|scope| {
        let asked = scope.spawn(|| bootstrap(home));
        sleep(moment);
        kill(match victim {
            Victim::Netd => netd,
            Victim::Keyd => keyd,
        });
        asked.join().unwrap()
    });
    match victim {
        Victim::Netd => {
            // Like a service manager, the test restarts the daemon only after all its threads have
            // ended.
            await_end(netd);
            home.gateway_mut().stop_netd();
            home.start_netd().unwrap();
        }
        Victim::Keyd => {
            home.gateway_mut().stop_keyd();
            home.gateway_mut().start_keyd().unwrap();
            await_netd(home);
            assert_eq!(home.gateway().netd().unwrap().id(), netd);
        }
    }
    took
}

/// Waits until netd has noticed that keyd was away, and has the accounts of its transaction.
fn await_netd(home: &Home) {
    let end = Instant::now() + PATIENCE;
    let log = home.gateway().folder().file("netd.log");
    let seen = |text: &str| fs::read_to_string(&log).unwrap().matches(text).count();
    loop {
        let status = home.gateway().netd_status().unwrap();
        let committed = home.gateway().status().unwrap().committed.map(hex::encode);
        let back = seen("is lost;") > 0 && seen("is lost;") == seen("has returned");
        if back && status.keyd_lost.is_none() && status.accounts == committed {
            return;
        }
        assert!(Instant::now() < end, "{status:?}, {committed:?}");
        sleep(Duration::from_millis(2));
    }
}

fn kill(process: u32) {
    let process = process.to_string();
    let killed = Command::new("kill").args(["-s", "KILL", &process]).status();
    assert!(killed.unwrap().success());
}

/// Waits until all threads of a process have ended.
fn await_end(process: u32) {
    while fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z "))
    {
        yield_now();
    }
}
