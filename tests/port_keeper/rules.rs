//! The rules that the port keeper writes to the packet filter, and its reaction when others change
//! them.

use std::io::Write;
use std::process::{Child, Stdio};

use softsim_lab_harness::netns::INTERFACE;
use softsim_link::ethernet::Link;
use softsim_netd::access::port::wire::{Order, Reason, Refused, Request};

use crate::scene::{Said, Scene, cable, name, port, wait_until};

/// An interactive `nft` that owns a table, which nobody else may change until `nft` ends.
struct Owner(Child);

impl Owner {
    fn of(scene: &Scene, table: &str) -> Self {
        let mut nft = scene.cable.gateway.command("nft");
        let child = nft
            .arg("-i")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let line = format!("add table netdev {table} {{ flags owner; }}\n");
        let mut conversation = child.stdin.as_ref().unwrap();
        conversation.write_all(line.as_bytes()).unwrap();
        let owner = Self(child);
        wait_until("a table that is owned", || {
            scene.rules().contains("flags owner")
        });
        owner
    }

    /// Ends `nft`; the kernel removes the table with its owner.
    fn ends(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_port_is_closed_first_and_opens_and_closes_at_a_word() {
    let Some(mut scene) = Scene::new("open and close") else {
        return;
    };
    let closed = scene.closed(scene.index(INTERFACE), INTERFACE);
    assert_eq!(scene.rules(), closed);
    assert_eq!(scene.passes(), [false, false]);
    for _ in 0..2 {
        scene.order(Order::Open);
        assert_eq!(scene.rules(), "");
        assert_eq!(scene.passes(), [true, true]);
        scene.order(Order::Close);
        assert_eq!(scene.rules(), closed);
        assert_eq!(scene.passes(), [false, false]);
    }
    scene.order(Order::Leave);
    assert!(scene.ended());
    assert_eq!(scene.rules(), "");
}

#[test]
fn rules_that_somebody_takes_away_or_adds_are_put_back() {
    let Some(scene) = Scene::new("rules put back") else {
        return;
    };
    let index = scene.index(INTERFACE);
    let table = format!("softsim_port_{index}_{INTERFACE}");
    let closed = scene.closed(index, INTERFACE);
    for change in [
        "flush ruleset".into(),
        format!("delete table netdev {table}"),
        format!("flush chain netdev {table} ingress"),
        format!("add rule netdev {table} egress accept"),
        format!("delete table inet {table}"),
        format!("flush chain arp {table} out"),
    ] {
        scene.run(&format!("nft {change}"));
        wait_until(&change, || scene.rules() == closed);
    }
    // While the port is open, somebody restores the closed port's rules, as from a file.
    scene.order(Order::Open);
    for restore in ["add table netdev", "add table inet"] {
        scene.run(&format!("nft {restore} {table}"));
        wait_until(restore, || scene.rules().is_empty());
    }
}

#[test]
fn what_the_packet_filter_refuses_is_told_and_tried_again() {
    let Some(mut scene) = Scene::new("a packet filter that refuses") else {
        return;
    };
    let index = scene.index(INTERFACE);
    let table = format!("softsim_port_{index}_{INTERFACE}");
    scene.order(Order::Open);
    let owner = Owner::of(&scene, &table);
    scene.say(&Request::Order(Order::Close));
    let refused = Refused {
        order: Some(Order::Close),
        reason: Reason::PacketFilter,
    };
    assert_eq!(scene.hear(), Said::Refused(refused));
    owner.ends();
    scene.order(Order::Close);
    assert_eq!(scene.rules(), scene.closed(index, INTERFACE));

    // netd ends while the packet filter refuses changes.
    scene.order(Order::Open);
    let owner = Owner::of(&scene, &table);
    let refusals = |scene: &Scene| scene.log().matches("the packet filter refused").count();
    let before = refusals(&scene);
    scene.netd = None;
    wait_until("an attempt to close", || refusals(&scene) > before + 1);
    owner.ends();
    assert!(scene.ended());
    assert_eq!(scene.rules(), scene.closed(index, INTERFACE));
}

#[test]
fn the_port_is_closed_when_netd_is_gone_and_a_signal_is_no_end() {
    let Some(mut scene) = Scene::new("netd gone") else {
        return;
    };
    scene.order(Order::Open);
    let id = scene.keeper.id();
    for signal in ["TERM", "INT", "HUP"] {
        scene.run(&format!("kill -s {signal} {id}"));
    }
    scene.order(Order::Open);
    assert_eq!(scene.rules(), "");
    scene.netd = None;
    assert!(scene.ended());
    assert_eq!(
        scene.rules(),
        scene.closed(scene.index(INTERFACE), INTERFACE)
    );
    assert_eq!(scene.passes(), [false, false]);
}

#[test]
fn a_name_that_is_none_ends_the_keeper() {
    for interface in ["no-such-if", "lo;flush", "", "sixteen-octets-x", "a b"] {
        let Some(cable) = cable("no name") else {
            return;
        };
        let mut scene = Scene::starting(cable, &[interface]);
        assert_eq!(scene.hear(), Said::Gone, "{interface}");
        assert!(!scene.ended());
        assert_eq!(scene.rules(), "");
    }
}

#[test]
fn without_a_controlled_port_there_are_no_rules_and_no_capability() {
    let Some(cable) = cable("no port") else {
        return;
    };
    let scene = Scene::on(cable, &[INTERFACE, "--controlled-port=none"]).unwrap();
    assert_eq!(scene.rules(), "");
    assert_eq!(scene.passes(), [true, true]);
    for order in [Order::Open, Order::Close] {
        scene.say(&Request::Order(order));
        let refused = Refused {
            order: Some(order),
            reason: Reason::NoPort,
        };
        assert_eq!(scene.hear(), Said::Refused(refused));
    }
    scene.run(&format!("ip link set {INTERFACE} down"));
    assert_eq!(scene.hear(), Said::Link(Link::Down, name(INTERFACE)));
}

#[test]
fn an_interface_that_vanishes_and_comes_back_finds_its_port_closed() {
    let Some(mut scene) = Scene::new("vanished interface") else {
        return;
    };
    let old = scene.index(INTERFACE);
    scene.order(Order::Open);
    scene.run(&format!("ip link del {INTERFACE}"));
    loop {
        match scene.hear() {
            Said::Link(Link::Gone, _) => break,
            said => assert_eq!(said, Said::Link(Link::Down, name(INTERFACE))),
        }
    }
    scene.netd = None;
    // Before Linux 6.16, the kernel accepts no netdev rule for an interface that doesn't exist.
    if !scene.ended() {
        return;
    }
    assert_eq!(scene.rules(), port(old, INTERFACE));
    scene.run(&format!(
        "ip link add {INTERFACE} type veth peer name {INTERFACE} netns {}",
        scene.cable.authenticator.name()
    ));
    // The next keeper finds the interface under another index, and replaces the old rules.
    scene.again(INTERFACE);
    let new = scene.index(INTERFACE);
    assert_ne!(old, new);
    assert_eq!(scene.rules(), scene.closed(new, INTERFACE));
    scene.order(Order::Open);
    assert_eq!(scene.rules(), "");
}
