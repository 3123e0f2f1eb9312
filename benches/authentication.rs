//! The cost of an authentication for the client: compares netd and keyd with eapol_test and
//! softsim-bridge, with the same hostapd in the same run. A tap on the path records when each
//! datagram passed.
//!
//! netd and keyd (or eapol_test, bridge and keyd) share one CPU; tap and hostapd share the other
//! one. `cargo xtask bench` builds the programs and passes their paths.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use softsim_client::keyd::Connection;
use softsim_client::netd::AccessState;
use softsim_client::proto;
use softsim_eap::Config;
use softsim_lab_harness::gateway;
use softsim_lab_harness::home::{Home, Options};
use softsim_lab_harness::hostapd::{self, Hostapd};
use softsim_lab_harness::supplicant::{Network, eapol_test, eapol_test_control, missing};
use softsim_lab_harness::tap::{Passed, Tap, clients_time};
use softsim_lab_simulators::eap_server::{self, EapServer, Server, Step};
use softsim_netd::access::conversation::{Action, Conversation, Policy};

/// The number of netd's authentications for the median.
const AUTHENTICATIONS: usize = 200;
/// The number of eapol_test's authentications, each of which is a process.
const PROCESSES: usize = 40;
/// The number of authentications before the first look at memory, and until the second one.
const WARM_UP: usize = 100;
const MANY: usize = 1_000;

/// hostapd keeps at most a thousand sessions, each for five seconds after its end.
const SESSIONS: usize = 500;
const FORGOTTEN: Duration = Duration::from_secs(6);

const CLIENT: &str = "0";
const SERVER: &str = "1";

fn main() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let options = Options {
        prepare: Box::new(|profile| profile.supplicant_consent = true),
        gateway: gateway::Options {
            supplicant: true,
            ..gateway::Options::default()
        },
        ..Options::default()
    };
    let mut home = Home::installed(&folder.path().join("lab"), options).unwrap();
    pin(std::process::id(), SERVER);
    pin(home.gateway().keyd().unwrap().id(), CLIENT);
    if Hostapd::program().is_none() || missing().is_some() {
        eprintln!("skipped: expected hostapd and eapol_test (Debian packages hostapd, eapoltest)");
        return;
    }
    let hostapd = home.hostapd(hostapd::Options::default()).unwrap();
    pin(hostapd.id(), SERVER);
    let tap = Tap::start(hostapd.address()).unwrap();

    println!(
        "| client of a full EAP-AKA' authentication | own time, p50 | p90 | datagrams | octets |"
    );
    println!("|---|---|---|---|---|");
    let access = home.radius_access(&[tap.address()], "methods = ['aka-prime']\n");
    home.gateway_mut().set_accesses(access);
    home.gateway_mut().start_netd(None).unwrap();
    pin(home.gateway().netd().unwrap().id(), CLIENT);
    of_netd(&home, &tap, WARM_UP);
    row(
        "netd and keyd, SQN durable on the disk",
        of_netd(&home, &tap, AUTHENTICATIONS),
    );
    row(
        "eapol_test, `external_sim`, softsim-bridge and keyd",
        of_eapol_test(&home, &tap, folder.path()),
    );
    println!();
    memory(&home, &tap);
    drop(tap);
    println!();
    without_network(&home);
}

/// A process, with all its threads.
fn pin(process: u32, processor: &str) {
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", processor, &process.to_string()])
        .stdout(Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        eprintln!("not pinned: expected taskset (util-linux) and two processors");
    }
}

/// The datagrams of each of this many authentications.
fn of_netd(home: &Home, tap: &Tap, times: usize) -> Vec<Vec<Passed>> {
    let mut all = Vec::new();
    for _ in 0..times {
        tap.take();
        let (access, _) = home.gateway().connect().unwrap();
        assert_eq!(access.state, AccessState::Authorised);
        all.push(tap.take());
    }
    all
}

fn of_eapol_test(home: &Home, tap: &Tap, folder: &std::path::Path) -> Vec<Vec<Passed>> {
    let folder = folder.join("eapol_test");
    fs::create_dir(&folder).unwrap();
    let bridge = home
        .gateway()
        .bridge(&[&eapol_test_control(&folder)])
        .unwrap();
    pin(bridge.id(), CLIENT);
    let imsi = home.subscription().profile.imsi.digits();
    let identity = format!("6{imsi}@wlan.mnc001.mcc001.3gppnetwork.org");
    let network = Network {
        method: "AKA'",
        identity: &identity,
        result_indication: false,
    };
    let mut all = Vec::new();
    for _ in 0..PROCESSES {
        tap.take();
        let prefix = ["taskset", "-c", CLIENT];
        let output = eapol_test(
            &prefix,
            &folder,
            tap.address(),
            home.radius_secret(),
            network,
        );
        assert!(output.unwrap().ends_with("SUCCESS\n"));
        all.push(tap.take());
    }
    all
}

fn row(name: &str, authentications: Vec<Vec<Passed>>) {
    let mut times: Vec<_> = authentications
        .iter()
        .map(|one| clients_time(one))
        .collect();
    let mut datagrams: Vec<_> = authentications.iter().map(Vec::len).collect();
    let size = |one: &Vec<Passed>| one.iter().map(|passed| passed.octets).sum::<usize>();
    let mut octets: Vec<_> = authentications.iter().map(size).collect();
    println!(
        "| {name} | {:.3} ms | {:.3} ms | {} | {} |",
        milliseconds(quantile(&mut times, 50)),
        milliseconds(quantile(&mut times, 90)),
        quantile(&mut datagrams, 50),
        quantile(&mut octets, 50),
    );
}

fn memory(home: &Home, tap: &Tap) {
    let daemons = [
        ("netd", home.gateway().netd().unwrap().id()),
        ("keyd", home.gateway().keyd().unwrap().id()),
    ];
    let before = daemons.map(|(_, process)| resident(process));
    let mut spent = Duration::ZERO;
    for _ in 0..MANY / SESSIONS {
        sleep(FORGOTTEN);
        let begun = Instant::now();
        of_netd(home, tap, SESSIONS);
        spent += begun.elapsed();
    }
    let each = spent / MANY as u32;
    println!(
        "| {MANY} authentications in a row, {:.2} ms each | resident before | after |",
        milliseconds(each)
    );
    println!("|---|---|---|");
    for ((name, process), before) in daemons.into_iter().zip(before) {
        println!("| {name} | {before} KiB | {} KiB |", resident(process));
    }
}

/// VmRSS, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// netd's peer in this process, a real keyd, and the lab's server, without a socket between peer
/// and server.
fn without_network(home: &Home) {
    pin(std::process::id(), CLIENT);
    let keyd = Connection::connect(&home.gateway().sockets().network).unwrap();
    let policy = Policy {
        peer: Config::new(),
        realm: proto::Realm::Wlan,
    };
    let mut conversation = Conversation::new(keyd.into(), &policy);
    let auc = home.subscription().auc.clone();
    let begun = Instant::now();
    for count in 0..MANY {
        let mut server: Box<dyn EapServer> =
            Box::new(Server::new(eap_server::Config::default()).unwrap());
        conversation.receive(&[1, count as u8, 0, 5, 1]);
        let mut succeeded = false;
        while let Some(action) = conversation.poll() {
            match action {
                Action::Note(_) => {}
                Action::Ended(ended) => {
                    ended.unwrap();
                    succeeded = true;
                }
                Action::Send(packet) => match server.handle(&mut auc.lock().unwrap(), &packet) {
                    Step::Request(packet) | Step::Success(packet, _) => {
                        conversation.receive(&packet)
                    }
                    other => panic!("{other:?}"),
                },
            }
        }
        assert!(succeeded);
        conversation.settle();
    }
    let each = begun.elapsed() / MANY as u32;
    println!(
        "peer, keyd and server without a network: {:.0} authentications a second, {:.3} ms each",
        1.0 / each.as_secs_f64(),
        milliseconds(each)
    );
}

fn quantile<T: Ord + Copy>(values: &mut [T], percent: usize) -> T {
    values.sort_unstable();
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
