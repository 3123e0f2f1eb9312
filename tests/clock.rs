//! A gateway without a clock: netd as a program, and the key process in this one, where a test can
//! give it a clock that stands at 1970.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread::{sleep, spawn};
use std::time::{Duration, SystemTime};

use softsim_client::keyd::Connection;
use softsim_client::netd::Bootstrap;
use softsim_client::proto::requests::SetTimeBack;
use softsim_client::proto::{Enforcement, IdentityPrivacy, KekSource, KeyMemory, Overwrites, Role};
use softsim_keyd::roles::{COMPILED, PerRole};
use softsim_keyd::users::Users;
use softsim_keyd::vault::{Kek, Vault};
use softsim_keyd::{Keyd, Service, serve};
use softsim_lab_harness::gateway::{self, Enrolled};
use softsim_lab_harness::home::{Home, Options};
use softsim_profile::{Command, Validity};
use softsim_sandbox::notify::{Notify, Watchdog};
use softsim_sandbox::process::uid;
use softsim_sandbox::seqpacket::Listener;
use softsim_testkit::processes::built;

/// The length of a year in the Gregorian calendar, in seconds.
const YEAR: u64 = 31_556_952;

/// Serves a new vault, with a clock that stands at 1970.
fn keyd_without_clock(state: &Path, network: &Path, admin: &Path) {
    fs::create_dir(state).unwrap();
    let listener = |path| Listener::bind(path, 0o600).unwrap();
    let listeners = [
        (Role::Network, listener(network)),
        (Role::Admin, listener(admin)),
    ];
    let state = state.to_owned();
    spawn(move || {
        let kek = Kek::development();
        let storage = Vault::create(&state, &kek, (4, 0)).unwrap();
        let vault = Vault::open(storage, &kek).unwrap();
        let service = Service {
            enforcement: Enforcement {
                landlock_abi: 0,
                seccomp_calls: 0,
                key_memory: KeyMemory::Plain,
                kek_source: KekSource::Development,
                overwrites: Overwrites::InPlace,
                identity_privacy: IdentityPrivacy::default(),
                identity_patience: 600,
                supplicant: false,
                test_profiles: false,
            },
            policies: COMPILED,
            users: Users {
                uids: PerRole::from_fn(|_| vec![uid()]),
                ..Users::default()
            },
            afs: Vec::new(),
            realtime: || Duration::ZERO,
        };
        let mut watchdog = Watchdog::from(Notify::from_env().unwrap());
        let error = serve::serve(&mut Keyd::new(vault, service), &listeners, &mut watchdog);
        panic!("the key process ended: {error}");
    });
    while Connection::connect(admin).is_err() {
        sleep(Duration::from_millis(5));
    }
}

/// A lab whose gateway has no clock, and whose bootstrap server has a certificate that is valid in
/// these years.
fn lab(folder: &Path, bootstrap_years: RangeInclusive<i32>) -> (Home, Enrolled) {
    let admin = folder.join("admin.sock");
    let options = Options {
        bootstrap_years,
        gateway: gateway::Options {
            elsewhere: Some(admin.clone()),
            ..gateway::Options::default()
        },
        ..Options::default()
    };
    let mut home = Home::start(&folder.join("lab"), options).unwrap();
    let network = home.gateway().sockets().network;
    keyd_without_clock(&folder.join("keyd"), &network, &admin);
    let device = home.enrol().unwrap();
    home.plan(&device).unwrap();
    home.start_netd().unwrap();
    (home, device)
}

fn this_year() -> i32 {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    1970 + (since_1970 / YEAR) as i32
}

fn bootstrap(home: &Home) -> Result<Bootstrap, String> {
    home.bootstrap().map_err(|error| error.to_string())
}

#[test]
fn a_gateway_without_a_clock_bootstraps_even_if_the_server_s_certificate_is_younger_than_it() {
    if !built("no clock", &["softsim-netd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (home, _) = lab(folder.path(), this_year() + 3..=this_year() + 5);
    bootstrap(&home).unwrap();
}

#[test]
fn without_a_clock_a_server_whose_certificate_ended_before_keyd_was_built_is_refused() {
    if !built("no clock, old server", &["softsim-netd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (home, _) = lab(folder.path(), 1980..=2020);
    let error = bootstrap(&home).unwrap_err();
    assert!(error.contains("it expired at 20"), "{error}");
}

#[test]
fn netd_learns_at_each_handshake_what_time_operators_signed_and_administrators_set_back() {
    if !built("no clock, signed time", &["softsim-netd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (home, device) = lab(folder.path(), 2000..=this_year() + 3);
    bootstrap(&home).unwrap();

    let mut admin = home.gateway().admin().unwrap();
    let built = home.gateway().status().unwrap().times.built;
    let later = Validity::new(Some(built + 6 * YEAR), None).unwrap();
    let enable = Command::Enable(home.subscription().profile.iccid);
    let command = home.order_within(&device, &enable, &later).unwrap();
    home.gateway().install(&command).unwrap();
    let error = bootstrap(&home).unwrap_err();
    assert!(error.contains("it expired at 20"), "{error}");

    admin.call(&SetTimeBack { seconds: built }).unwrap();
    bootstrap(&home).unwrap();
}
