//! Debian's wpa_supplicant and eapol_test with the SIM of the key process, through softsim-bridge
//! and the role supplicant, and with Debian's hostapd.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use softsim_client::proto::{ProfileState, StatusAnswer};
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd};
use softsim_lab_harness::netns::{self, Cable};
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::processes::{Daemon, binaries};
use softsim_lab_harness::subscription::found_in;
use softsim_lab_harness::supplicant::{
    self, Network, WpaSupplicant, eapol_test, eapol_test_control, wpa_supplicant_control,
};
use softsim_profile::Profile;
use softsim_testkit::processes::{built, end_of, stranger};

const PROGRAMS: [&str; 2] = ["softsim-keyd", "softsim-bridge"];

/// For what happens at once, or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway whose profile consents, and whose keyd has a socket for bridges.
struct Gateway {
    home: Home,
    folder: tempfile::TempDir,
}

/// Whether all is there that the test needs; it is skipped where not.
fn ready(test: &str) -> bool {
    let missing = supplicant::missing().or(Hostapd::program()
        .is_none()
        .then_some("hostapd is not installed"));
    if let Some(missing) = missing {
        skip(&format!("{test}: {missing}"));
    }
    missing.is_none() && built(test, &PROGRAMS)
}

impl Gateway {
    fn start() -> Self {
        Self::with(true, |profile| profile.supplicant_consent = true)
    }

    fn with(supplicant: bool, prepare: fn(&mut Profile)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            prepare: Box::new(prepare),
            gateway: gateway::Options {
                supplicant,
                ..gateway::Options::default()
            },
            ..Options::default()
        };
        let home = Home::installed(&folder.path().join("lab"), options).unwrap();
        Self { home, folder }
    }

    /// A folder for a supplicant's files.
    fn supplicants_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        let _ = fs::create_dir(&folder);
        folder
    }

    /// What the bridge prints for wpa_supplicant's configuration.
    fn identity(&self, method: &str) -> String {
        let output = Command::new(binaries().unwrap().join("softsim-bridge"))
            .arg("--keyd")
            .arg(self.home.gateway().sockets().supplicant)
            .arg(format!("--print-identity={method}"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Lets eapol_test authenticate once; what it wrote.
    fn eapol_test(&self, hostapd: &Hostapd, network: Network<'_>) -> String {
        let folder = self.supplicants_folder("eapol_test");
        let _bridge = self.bridge(&[&eapol_test_control(&folder)]);
        let secret = self.home.radius_secret();
        eapol_test(&[], &folder, hostapd.address(), secret, network).unwrap()
    }

    fn bridge(&self, controls: &[&Path]) -> Daemon {
        self.home.gateway().bridge(controls).unwrap()
    }

    fn status(&self) -> StatusAnswer {
        self.home.gateway().status().unwrap()
    }

    /// No log holds a key; that of keyd tells that there was something to find.
    fn no_key_is_written_down(&self) {
        let secrets = self.home.subscription().secrets();
        assert!(secrets.len() > 2, "there were vectors");
        for name in ["keyd.log", "bridge.log"] {
            let log = fs::read(self.home.gateway().folder().file(name)).unwrap();
            assert!(!log.is_empty(), "{name}");
            assert!(found_in(&log, &secrets).is_empty(), "{name}");
        }
    }
}

fn network<'a>(method: &'a str, identity: &'a str) -> Network<'a> {
    Network {
        method,
        identity,
        result_indication: false,
    }
}

fn assert_success(output: &str) {
    assert!(output.ends_with("SUCCESS\n"), "{}", end_of(output));
    assert!(output.contains("MPPE keys OK: 1"), "{}", end_of(output));
}

#[test]
fn eapol_test_authenticates_with_either_method_and_the_servers_keys() {
    if !ready("eapol_test through the bridge") {
        return;
    }
    let gateway = Gateway::start();
    let hostapd = gateway.home.hostapd(hostapd::Options::default()).unwrap();
    for (method, name) in [("AKA'", "aka-prime"), ("AKA", "aka")] {
        let identity = gateway.identity(name);
        let output = gateway.eapol_test(&hostapd, network(method, &identity));
        assert_success(&output);
    }
    assert_eq!(gateway.status().counters.unwrap().raw_keys, 2);
    gateway.no_key_is_written_down();
}

#[test]
fn eapol_test_authenticates_with_a_protected_result() {
    if !ready("eapol_test with a protected result") {
        return;
    }
    let gateway = Gateway::start();
    let options = hostapd::Options {
        result_indication: true,
        ..hostapd::Options::default()
    };
    let hostapd = gateway.home.hostapd(options).unwrap();
    let identity = gateway.identity("aka-prime");
    let network = Network {
        result_indication: true,
        ..network("AKA'", &identity)
    };
    assert_success(&gateway.eapol_test(&hostapd, network));
}

#[test]
fn a_sim_ahead_of_its_auc_synchronises_it_through_the_bridge() {
    if !ready("synchronisation through the bridge") {
        return;
    }
    let gateway = Gateway::start();
    let hostapd = gateway.home.hostapd(hostapd::Options::default()).unwrap();
    let identity = gateway.identity("aka-prime");
    let subscription = gateway.home.subscription();
    let behind = subscription.sqn();
    assert_success(&gateway.eapol_test(&hostapd, network("AKA'", &identity)));

    subscription.set_sqn(behind);
    let output = gateway.eapol_test(&hostapd, network("AKA'", &identity));
    assert!(output.contains("UMTS-AUTS"), "{}", end_of(&output));
    assert_success(&output);
    assert_eq!(
        gateway.status().counters.unwrap().synchronisation_failures,
        1
    );
}

#[test]
fn another_k_ends_in_authentication_reject_and_the_sim_stays_as_it_was() {
    if !ready("another K through the bridge") {
        return;
    }
    let gateway = Gateway::start();
    let hostapd = gateway.home.hostapd(hostapd::Options::default()).unwrap();
    let identity = gateway.identity("aka-prime");
    let subscription = gateway.home.subscription();
    subscription.replace(stranger());
    let output = gateway.eapol_test(&hostapd, network("AKA'", &identity));
    assert!(output.ends_with("FAILURE\n"), "{}", end_of(&output));
    assert!(output.contains("UMTS-FAIL"), "{}", end_of(&output));
    assert_eq!(gateway.status().counters.unwrap().raw_keys, 0);

    subscription.set_sqn(subscription.profile.sqn.floor());
    assert_success(&gateway.eapol_test(&hostapd, network("AKA'", &identity)));
}

#[test]
fn without_the_profiles_consent_no_key_leaves() {
    if !ready("no consent") {
        return;
    }
    let gateway = Gateway::with(true, |_| {});
    let hostapd = gateway.home.hostapd(hostapd::Options::default()).unwrap();
    let identity = gateway.identity("aka-prime");
    let output = gateway.eapol_test(&hostapd, network("AKA'", &identity));
    assert!(output.ends_with("FAILURE\n"), "{}", end_of(&output));
    let status = gateway.status();
    assert!(status.enforcement.supplicant, "the host allows it");
    assert_eq!(status.counters.unwrap().raw_keys, 0);
    let log = fs::read_to_string(gateway.home.gateway().folder().file("bridge.log")).unwrap();
    assert!(log.contains("consent"), "{log}");
}

#[test]
fn without_the_hosts_flag_there_is_no_socket() {
    if !ready("no socket") {
        return;
    }
    let gateway = Gateway::with(false, |profile| profile.supplicant_consent = true);
    let socket = gateway.home.gateway().sockets().supplicant;
    assert!(!socket.exists());
    let status = gateway.status();
    assert!(!status.enforcement.supplicant);
    assert_eq!(status.profile.unwrap().state, ProfileState::Enabled);
    let refused = Command::new(binaries().unwrap().join("softsim-bridge"))
        .args(["--sockets", "/tmp", "--control", "/nowhere/wlan0", "--keyd"])
        .arg(&socket)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
}

#[test]
fn the_bridge_ends_with_the_key_process() {
    if !ready("the bridge without keyd") {
        return;
    }
    let mut gateway = Gateway::start();
    let control = gateway.folder.path().join("nothing-there");
    let mut bridge = gateway.bridge(&[&control]);
    gateway.home.gateway_mut().stop();
    assert_eq!(bridge.await_end(PATIENCE).unwrap().code(), Some(69));
}

#[test]
fn the_bridge_ends_with_its_finder_and_serves_again_when_it_is_started_again() {
    if !ready("the bridge without its finder") {
        return;
    }
    let gateway = Gateway::start();
    let control = gateway.supplicants_folder("finder").join("wlan0");
    let mut bridge = gateway.bridge(&[&control]);
    let id = bridge.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let killed = Command::new("kill")
        .args(["-s", "KILL", children.trim()])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(bridge.await_end(PATIENCE).unwrap().code(), Some(71));
    gateway.bridge(&[&control]);
}

#[test]
fn a_wrong_command_line_is_told_how_it_goes() {
    if !ready("usage of the bridge") {
        return;
    }
    let bridge = |arguments: &[&str]| {
        let program = binaries().unwrap().join("softsim-bridge");
        Command::new(program).args(arguments).output().unwrap()
    };
    let wrong = bridge(&["--gsm"]);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("usage: softsim-bridge"));
    let help = bridge(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("external_sim=1"));
}

/// A wired port with hostapd on its other end, for a wpa_supplicant.
struct Port {
    cable: Cable,
    hostapd: Hostapd,
}

impl Port {
    fn of(gateway: &Gateway, options: hostapd::Options) -> Self {
        let cable = Cable::new().unwrap();
        let hostapd = gateway.home.wired_hostapd(&cable, options).unwrap();
        Self { cable, hostapd }
    }
}

fn wired(test: &str) -> bool {
    if let Some(missing) = netns::missing() {
        skip(&format!("{test}: {missing}"));
        return false;
    }
    ready(test)
}

/// wpa_supplicant says so after EAP-Success.
fn authenticates(wpa_supplicant: &WpaSupplicant) {
    let success = wpa_supplicant
        .said()
        .wait_for(PATIENCE, |line| line.contains("CTRL-EVENT-EAP-SUCCESS"));
    assert!(success.is_some(), "{:?}", wpa_supplicant.said());
}

#[test]
fn a_wired_wpa_supplicant_authenticates_and_again_after_its_restart() {
    if !wired("wpa_supplicant through the bridge") {
        return;
    }
    let gateway = Gateway::start();
    let port = Port::of(&gateway, hostapd::Options::default());
    let folder = gateway.supplicants_folder("wpa_supplicant");
    let identity = gateway.identity("aka-prime");
    // One bridge for all of them, started before the first.
    let _bridge = gateway.bridge(&[&wpa_supplicant_control(&folder)]);
    for _ in 0..3 {
        let network = network("AKA'", &identity);
        let started = WpaSupplicant::start(&folder, &port.cable.gateway, network);
        authenticates(&started.unwrap());
    }
    assert_eq!(gateway.status().counters.unwrap().raw_keys, 3);
    let authorised = |line: &String| line.contains("CTRL-EVENT-EAP-SUCCESS");
    assert!(port.hostapd.said().wait_for(PATIENCE, authorised).is_some());
    gateway.no_key_is_written_down();
}

#[test]
fn a_wired_wpa_supplicant_synchronises() {
    if !wired("synchronisation of wpa_supplicant") {
        return;
    }
    let gateway = Gateway::start();
    let subscription = gateway.home.subscription();
    let behind = subscription.sqn();
    let folder = gateway.supplicants_folder("wpa_supplicant");
    let identity = gateway.identity("aka");
    let _bridge = gateway.bridge(&[&wpa_supplicant_control(&folder)]);
    for synchronisations in 0..2 {
        let port = Port::of(&gateway, hostapd::Options::default());
        let network = network("AKA", &identity);
        let started = WpaSupplicant::start(&folder, &port.cable.gateway, network);
        authenticates(&started.unwrap());
        let counters = gateway.status().counters.unwrap();
        assert_eq!(counters.synchronisation_failures, synchronisations);
        subscription.set_sqn(behind);
    }
}

#[test]
fn one_bridge_serves_several_interfaces() {
    if !wired("several interfaces") {
        return;
    }
    let gateway = Gateway::start();
    let identity = gateway.identity("aka-prime");
    let folders = ["first", "second"].map(|name| gateway.supplicants_folder(name));
    let controls = folders
        .each_ref()
        .map(|folder| wpa_supplicant_control(folder));
    let _bridge = gateway.bridge(&[&controls[0], &controls[1]]);
    let ports = [(); 2].map(|()| {
        let (cable, lab) = (Cable::new().unwrap(), tempfile::tempdir().unwrap());
        let auc = gateway.home.auc_socket();
        let options = hostapd::Options::default();
        let hostapd = Hostapd::wired(lab.path(), &auc, &cable.authenticator, options).unwrap();
        (Port { cable, hostapd }, lab)
    });
    let running: Vec<_> = folders
        .iter()
        .zip(&ports)
        .map(|(folder, (port, _))| {
            let network = network("AKA'", &identity);
            WpaSupplicant::start(folder, &port.cable.gateway, network).unwrap()
        })
        .collect();
    running.iter().for_each(authenticates);
    assert_eq!(gateway.status().counters.unwrap().raw_keys, 2);
}
