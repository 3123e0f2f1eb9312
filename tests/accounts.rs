//! The accounts that somebody who took over netd leaves in its folder: netd never uses accounts
//! that softsim-keyd didn't commit, and forgets those that it did on command.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use softsim_client::netd::{Bootstrap, Command, Control, Event, Failure, Report};
use softsim_lab_harness::gateway::Enrolled;
use softsim_lab_harness::home::Home;
use softsim_lab_harness::processes::NetdBootstrap;
use softsim_lab_simulators::bootstrap_server::{Account, Plan};
use softsim_lab_simulators::management_server::ManagementEvent;
use softsim_lwm2m::ContentFormat;
use softsim_testkit::processes::{bootstrapped, built};

const DAEMONS: [&str; 2] = ["softsim-keyd", "softsim-netd"];

/// How long the test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

fn file(home: &Home, name: &str) -> PathBuf {
    home.gateway().folder().file("netd").join(name)
}

/// A bootstrap after which the account has another Short Server ID, in both objects.
fn bootstrap_under(home: &Home, device: &Enrolled, ssid: u16) {
    let account = Account {
        ssid,
        ..home.account()
    };
    let plan = move || Plan::new(ContentFormat::Tlv, &account, None);
    home.bootstrap_server().set_planner(&device.endpoint, plan);
    home.bootstrap().unwrap();
}

/// Starts netd on accounts that it didn't write. netd must run, log why it doesn't use them, and
/// keep the file. Returns the reason.
fn refuses(home: &mut Home, accounts: &[u8]) -> String {
    home.gateway_mut().stop_netd();
    fs::write(file(home, "accounts.json"), accounts).unwrap();
    home.start_netd().unwrap();
    let status = home.gateway().netd_status().unwrap();
    assert_eq!(status.accounts, None);
    let set_aside = fs::read(file(home, "accounts.rejected")).unwrap();
    assert_eq!(set_aside, accounts, "set aside as they were");
    assert!(!file(home, "accounts.json").exists());
    let log = fs::read_to_string(home.gateway().folder().file("netd.log")).unwrap();
    let fault = status.accounts_fault.unwrap();
    assert!(log.contains(&fault), "{fault}");
    fault
}

#[test]
fn accounts_that_keyd_did_not_commit_are_set_aside_and_a_bootstrap_brings_others() {
    if !built("foreign accounts", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut home, device) = bootstrapped(folder.path());
    let older = fs::read(file(&home, "accounts.json")).unwrap();
    bootstrap_under(&home, &device, 124);
    let good = fs::read(file(&home, "accounts.json")).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();

    let other = tempfile::tempdir().unwrap();
    let (other, _) = bootstrapped(other.path());
    let foreign = fs::read(file(&other, "accounts.json")).unwrap();
    drop(other);

    let elsewhere = text.replace("coaps://127.0.0.1", "coaps://127.0.0.9");
    assert_ne!(elsewhere, text);
    for accounts in [elsewhere.as_bytes(), &older, &foreign] {
        let fault = refuses(&mut home, accounts);
        assert!(fault.contains("digest"), "{fault}");
    }
    refuses(&mut home, &good[..good.len() / 2]);
    refuses(&mut home, b"");

    // The accounts that keyd committed still work, and so does a bootstrap.
    home.gateway_mut().stop_netd();
    fs::write(file(&home, "accounts.json"), &good).unwrap();
    home.start_netd().unwrap();
    let status = home.gateway().netd_status().unwrap();
    assert!(status.accounts.is_some() && status.accounts_fault.is_none());
    refuses(&mut home, &older);
    home.bootstrap().unwrap();
    let status = home.gateway().netd_status().unwrap();
    assert!(status.accounts.is_some() && status.accounts_fault.is_none());
}

#[test]
fn a_gateway_without_good_accounts_bootstraps_by_itself() {
    if !built("foreign accounts, automatic", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut home, device) = bootstrapped(folder.path());
    home.gateway_mut().stop_netd();
    fs::write(file(&home, "accounts.json"), b"{}").unwrap();
    let authority = home.gateway().folder().file("ca.pem");
    let server = NetdBootstrap::new(home.bootstrap_server().address(), authority).automatic();
    home.gateway_mut().start_netd(Some(server)).unwrap();
    let mut registrations = 0;
    let again = home.management_server().journal().wait_for(PATIENCE, |event| {
        let registered = matches!(event, ManagementEvent::Registered { endpoint, .. } if *endpoint == device.endpoint);
        registrations += usize::from(registered);
        registrations == 2
    });
    assert!(again.is_some());
}

fn reset(home: &Home) -> Result<Bootstrap, (Failure, String)> {
    let events = Control::run(&home.gateway().sockets().netd, &Command::AccountsReset {}).unwrap();
    match events.map(Result::unwrap).last() {
        Some(Event::Done {
            report: Report::Bootstrap(bootstrap),
        }) => Ok(bootstrap),
        Some(Event::Failed { failure, reason }) => Err((failure, reason)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn accounts_are_forgotten_on_command_and_the_gateway_bootstraps_anew() {
    if !built("accounts reset", &DAEMONS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut home, device) = bootstrapped(folder.path());
    let before = home.gateway().netd_status().unwrap().accounts;
    let account = home.account();
    let plan = move || Plan::new(ContentFormat::Tlv, &account, None);
    home.bootstrap_server().set_planner(&device.endpoint, plan);

    let bootstrap = reset(&home).unwrap();
    let events: Vec<_> = (home.management_server().journal().events().into_iter())
        .filter_map(|event| match event {
            ManagementEvent::Registered { .. } => Some("registered"),
            ManagementEvent::Deregistered { .. } => Some("deregistered"),
            _ => None,
        })
        .collect();
    assert_eq!(events, ["registered", "deregistered", "registered"]);
    let after = home.gateway().netd_status().unwrap().accounts;
    assert_eq!(after.as_ref(), Some(&bootstrap.transaction));
    assert_ne!(after, before);

    // Without a bootstrap server, netd has no accounts after a restart, either.
    home.gateway_mut().stop_netd();
    home.gateway_mut().start_netd(None).unwrap();
    let (failure, reason) = reset(&home).unwrap_err();
    assert_eq!(failure, Failure::Configuration, "{reason}");
    for _ in 0..2 {
        let status = home.gateway().netd_status().unwrap();
        assert_eq!((status.accounts, status.accounts_fault), (None, None));
        home.gateway_mut().stop_netd();
        home.gateway_mut().start_netd(None).unwrap();
    }
    assert_eq!(
        home.gateway().status().unwrap().profiles,
        1,
        "the SIM stays"
    );
}
