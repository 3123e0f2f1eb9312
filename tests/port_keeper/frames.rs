//! What the port keeper relays: EAPOL of its interface, untagged or with a priority tag, and
//! nothing else.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_lab_harness::netns::INTERFACE;
use softsim_link::ethernet::{Address, Link};
use softsim_netd::access::port::wire::{Message, Order, Reason, Refused, Request};
use softsim_sandbox::seqpacket::{Connection, pair};

use crate::scene::{
    EAPOL, GROUP, OURS, STATION, Said, Scene, TAG, cable, hear, name, receive, start,
};

/// An EAP-Request/Identity, and a supplicant's response.
const REQUEST: &[u8] = &[2, 0, 0, 5, 1, 7, 0, 5, 1];
const RESPONSE: &[u8] = &[2, 0, 0, 5, 2, 7, 0, 5, 1];
const START: &[u8] = &[2, 1, 0, 0];
const LOGOFF: &[u8] = &[2, 2, 0, 0];

fn frame(source: Address, unicast: bool) -> Said {
    let pdu = REQUEST.to_vec();
    Said::Frame {
        source,
        unicast,
        pdu,
    }
}

/// A frame's payload after the EtherType of an 802.1Q tag.
fn tagged(priority: u16, vlan: u16) -> Vec<u8> {
    let control = priority << 13 | vlan;
    [&control.to_be_bytes()[..], &EAPOL.to_be_bytes(), REQUEST].concat()
}

impl Scene {
    fn sends(&self, destination: Address, pdu: &[u8]) {
        self.say(&Request::Frame { destination, pdu });
    }
}

#[test]
fn a_request_to_us_or_to_the_group_is_relayed_with_its_sender() {
    let Some(scene) = Scene::new("frames in") else {
        return;
    };
    let station = scene.station(EAPOL);
    for (destination, unicast) in [(OURS, true), (GROUP, false)] {
        station.send(destination, REQUEST).unwrap();
        assert_eq!(scene.hear(), frame(STATION, unicast));
    }
    // The address of another station, and the broadcast address.
    for destination in [[2, 0, 0, 0, 0, 9], [0xff; 6]] {
        station.send(destination, REQUEST).unwrap();
    }
    assert!(scene.is_silent());
}

/// A bridge takes what is sent to the address of its port, and floods what is sent to others.
#[test]
fn a_request_to_us_is_relayed_once_if_our_interface_is_a_port_of_a_bridge() {
    let Some(scene) = Scene::new("a port of a bridge") else {
        return;
    };
    scene.run("ip link add br0 type bridge");
    scene.run(&format!("ip link set {INTERFACE} master br0"));
    scene.run("ip link set br0 up");
    let station = scene.station(EAPOL);
    let tags = scene.station(TAG);
    for open in [false, true] {
        if open {
            scene.order(Order::Open);
        }
        for (destination, unicast) in [(OURS, true), (GROUP, false)] {
            station.send(destination, REQUEST).unwrap();
            assert_eq!(scene.hear(), frame(STATION, unicast));
            tags.send(destination, &tagged(7, 0)).unwrap();
            assert_eq!(scene.hear(), frame(STATION, unicast));
            tags.send(destination, &tagged(7, 5)).unwrap();
        }
        // The interface is promiscuous now.
        station.send([2, 0, 0, 0, 0, 9], REQUEST).unwrap();
        assert!(scene.is_silent());
    }
    station.send(OURS, REQUEST).unwrap();
    assert_eq!(scene.hear(), frame(STATION, true));
    scene.sends(STATION, RESPONSE);
    assert_eq!(receive(&station), Some((OURS, RESPONSE.to_vec())));
}

/// This holds for an open and a closed port, and without a controlled port.
#[test]
fn a_frame_that_is_tagged_for_its_priority_is_relayed_and_one_of_a_vlan_is_not() {
    let Some(cable) = cable("tagged frames") else {
        return;
    };
    let mut scene = Scene::on(cable, &[INTERFACE]).unwrap();
    for open in [false, true] {
        if open {
            scene.order(Order::Open);
        }
        tags(&scene);
    }
    scene.netd = None;
    assert!(scene.ended());
    scene.run("nft flush ruleset");
    let (ours, theirs) = pair().unwrap();
    let arguments = [INTERFACE, "--controlled-port=none"];
    scene.keeper = start(&scene.cable, &arguments, theirs.into(), Stdio::null());
    scene.netd = Some(ours);
    assert_eq!(scene.hear(), Said::Link(Link::Up, name(INTERFACE)));
    tags(&scene);
}

fn tags(scene: &Scene) {
    let station = scene.station(TAG);
    for vlan in [1, 5, 4094] {
        for destination in [OURS, GROUP] {
            station.send(destination, &tagged(7, vlan)).unwrap();
        }
    }
    assert!(scene.is_silent());
    for priority in [0, 7] {
        station.send(OURS, &tagged(priority, 0)).unwrap();
        assert_eq!(scene.hear(), frame(STATION, true));
        station.send(GROUP, &tagged(priority, 0)).unwrap();
        assert_eq!(scene.hear(), frame(STATION, false));
    }
}

#[test]
fn what_a_supplicant_sends_leaves_untagged_and_nothing_else_leaves() {
    let Some(scene) = Scene::new("frames out") else {
        return;
    };
    let station = scene.station(EAPOL);
    for pdu in [START, RESPONSE, LOGOFF] {
        scene.sends(GROUP, pdu);
        assert_eq!(receive(&station), Some((OURS, pdu.to_vec())));
    }
    let before = scene.arrived();
    let refused = |reason| {
        Said::Refused(Refused {
            order: None,
            reason,
        })
    };
    for pdu in [
        REQUEST,
        // An EAP-Success, and a response with a wrong length.
        &[2, 0, 0, 4, 3, 7, 0, 4],
        &[2, 0, 0, 5, 2, 7, 0, 6, 1],
        &[2, 0, 0, 4, 2, 7, 0, 4],
        // Octets after the body, a truncated body, and a body in an EAPOL-Start.
        &[2, 1, 0, 0, 0],
        &[2, 0, 0, 9, 2, 7, 0, 5, 1],
        &[2, 1, 0, 1, 0],
        // Key descriptors and MKA.
        &[2, 3, 0, 0],
        &[3, 5, 0, 4, 1, 2, 3, 4],
    ] {
        scene.sends(GROUP, pdu);
        assert_eq!(scene.hear(), refused(Reason::Pdu), "{pdu:?}");
    }
    for destination in [STATION, [0xff; 6], [0; 6], [1, 0x80, 0xc2, 0, 0, 0]] {
        scene.sends(destination, START);
        assert_eq!(
            scene.hear(),
            refused(Reason::Destination),
            "{destination:?}"
        );
    }
    assert_eq!(scene.arrived(), before);
}

#[test]
fn unicast_goes_only_to_the_last_unicast_sender_until_the_link_is_lost() {
    let Some(scene) = Scene::new("answers") else {
        return;
    };
    let station = scene.station(EAPOL);
    let refused = Said::Refused(Refused {
        order: None,
        reason: Reason::Destination,
    });
    // The keeper sends to the group address, because it doesn't know the authenticator's address.
    station.send(GROUP, REQUEST).unwrap();
    assert_eq!(scene.hear(), frame(STATION, false));
    scene.sends(STATION, RESPONSE);
    assert_eq!(scene.hear(), refused);
    station.send(OURS, REQUEST).unwrap();
    assert_eq!(scene.hear(), frame(STATION, true));
    scene.sends(STATION, RESPONSE);
    assert_eq!(receive(&station), Some((OURS, RESPONSE.to_vec())));
    for (state, link) in [("down", Link::Down), ("up", Link::Up)] {
        let far = &scene.cable.authenticator;
        crate::scene::run(far, &format!("ip link set {INTERFACE} {state}"));
        assert_eq!(scene.hear(), Said::Link(link, name(INTERFACE)));
    }
    scene.sends(STATION, RESPONSE);
    assert_eq!(scene.hear(), refused);
}

#[test]
fn a_frame_on_an_interface_without_a_link_is_told_to_be_lost() {
    let Some(scene) = Scene::new("no link") else {
        return;
    };
    scene.run(&format!("ip link set {INTERFACE} down"));
    assert_eq!(scene.hear(), Said::Link(Link::Down, name(INTERFACE)));
    scene.sends(GROUP, START);
    let reason = Reason::NotSent;
    assert_eq!(
        scene.hear(),
        Said::Refused(Refused {
            order: None,
            reason
        })
    );
}

/// A service manager passes such a connection.
#[test]
fn a_connection_that_was_accepted_serves_as_well_as_a_pair() {
    let Some(cable) = cable("accepted socket") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let netd = Connection::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let mut keeper = start(&cable, &[INTERFACE], OwnedFd::from(accepted), Stdio::null());
    assert_eq!(hear(&netd), Some(Said::Link(Link::Up, name(INTERFACE))));
    let open = Request::Order(Order::Leave).encode().unwrap();
    netd.send(open.as_slice()).unwrap();
    assert_eq!(hear(&netd), Some(Said::Done(Order::Leave)));
    assert_eq!(hear(&netd), Some(Said::Gone));
    assert!(keeper.wait().unwrap().success());

    // The keeper refuses a socket of another type, whether it is connected or listens.
    let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let streams = UnixListener::bind(folder.path().join("streams")).unwrap();
    for input in [OwnedFd::from(stream), OwnedFd::from(streams)] {
        let mut keeper = start(&cable, &[INTERFACE], input, Stdio::null());
        assert!(!keeper.wait().unwrap().success());
    }
}

#[test]
fn what_the_keeper_says_is_the_table_of_its_wire_and_no_more() {
    // The other tests read the keeper's messages with the keeper's own module, so this test
    // compares the octets of each kind.
    let done = Message::Done(Order::Open).encode().unwrap();
    assert_eq!(done.as_slice(), [5, 1]);
    let link = Message::Link {
        link: Link::Up,
        name: name("eth1"),
    };
    assert_eq!(link.encode().unwrap().as_slice(), b"\x08\x01eth1");
    let pdu = START;
    let frame = Message::Frame {
        source: STATION,
        unicast: true,
        pdu,
    };
    let octets = [&[7, 1, 2, 0, 0, 0, 0, 1][..], START].concat();
    assert_eq!(frame.encode().unwrap().as_slice(), octets);
}
