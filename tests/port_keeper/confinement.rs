//! The privileges of the port keeper while it serves.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use softsim_lab_harness::netns::INTERFACE;
use softsim_lab_harness::prerequisite::skip;
use softsim_lab_harness::supplicant::find;
use softsim_link::ethernet::Link;
use softsim_netd::access::port::keeper::WITHOUT_PORT;
use softsim_netd::access::port::wire::{Order, Request};
use softsim_sandbox::seccomp::Filter;
use softsim_testkit::trace::CLOCK;

use crate::scene::{EAPOL, GROUP, OURS, Said, Scene, cable, name, wait_until};
use crate::service::Service;

/// A field of the keeper's /proc/PID/status, without blanks.
fn status(scene: &Scene, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", scene.keeper.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_once(':').unwrap().1.trim().to_owned()
}

#[test]
fn a_keeper_has_the_one_capability_that_rules_take_and_without_a_port_none() {
    for (arguments, expected) in [
        // CAP_NET_ADMIN is number 12.
        (&[INTERFACE][..], 1u64 << 12),
        (&[INTERFACE, WITHOUT_PORT], 0),
    ] {
        let Some(cable) = cable("capabilities") else {
            return;
        };
        let scene = Scene::on(cable, arguments).unwrap();
        for set in ["CapEff", "CapPrm", "CapInh"] {
            let set = u64::from_str_radix(&status(&scene, set), 16).unwrap();
            assert_eq!(set, expected);
        }
        assert_eq!(status(&scene, "CapAmb"), "0".repeat(16));
        assert_eq!(status(&scene, "NoNewPrivs"), "1");
        assert_eq!(status(&scene, "Seccomp"), "2");
        assert_eq!(status(&scene, "Threads"), "1");
    }
}

/// The system calls in a trace after the filter was installed.
fn confined(trace: &str) -> BTreeSet<&str> {
    let calls = trace.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        Some(call.trim_start().split_once('(')?.0)
    });
    let calls: Vec<_> = calls.collect();
    let last = calls.iter().rposition(|call| *call == "seccomp").unwrap();
    calls[last + 1..].iter().copied().collect()
}

#[test]
fn a_keeper_makes_each_call_that_its_filter_leaves_and_no_other() {
    let Some(cable) = cable("the keeper's calls") else {
        return;
    };
    if find("strace").is_none() {
        skip("the keeper's calls: strace is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let options = ["strace", "-D", "-f", "-qq", "-e", "signal=none", "-o"];
    let under = [&options[..], &[trace.to_str().unwrap()]].concat();
    let mut service = Service::start(cable, &under, INTERFACE);
    service.await_readiness();
    service.connect();
    let scene = &service.scene;
    let closed = scene.rules();
    scene.run("nft flush ruleset");
    wait_until("its own rules", || scene.rules() == closed);
    scene.order(Order::Open);
    let station = scene.station(EAPOL);
    station.send(OURS, &[2, 0, 0, 4, 1, 7, 0, 4]).unwrap();
    assert!(matches!(scene.hear(), Said::Frame { .. }));
    scene.say(&Request::Frame {
        destination: GROUP,
        pdu: &[2, 1, 0, 0],
    });
    scene.run(&format!("ip link set dev {INTERFACE} name wan0"));
    assert_eq!(scene.hear(), Said::Link(Link::Up, name("wan0")));
    scene.order(Order::Leave);
    assert_eq!(scene.hear(), Said::Gone);
    let keeper = scene.keeper.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &keeper]).status();
    assert!(sent.unwrap().success());
    assert!(service.scene.ended());

    let allowed: BTreeSet<_> = Filter::PortKeeper.calls().iter().copied().collect();
    let made = || fs::read_to_string(&trace).unwrap();
    // strace writes the last line after the process has ended.
    wait_until("the whole trace", || made().contains("exit_group"));
    let trace = made();
    let made = confined(&trace);
    assert!(made.is_subset(&allowed), "{made:?}");
    let mut spare = allowed.difference(&made).filter(|call| **call != CLOCK);
    assert_eq!(spare.next(), None);
}
