//! A netd that an attacker controls, and hostile stations: the port keeper continues, or the port
//! closes.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::process::Stdio;

use socket2::SockRef;
use softsim_lab_harness::netns::INTERFACE;
use softsim_netd::access::port::wire::{MAX_MESSAGE, Order, Reason, Refused, Request};
use softsim_sandbox::seqpacket::pair;

use crate::scene::{EAPOL, GROUP, OURS, Said, Scene, hear, start, wait_until};

impl Scene {
    /// Asserts that the port is closed and that the keeper has ended.
    #[track_caller]
    fn has_closed_and_ended(&mut self) {
        assert!(self.ended());
        assert_eq!(self.rules(), self.closed(self.index(INTERFACE), INTERFACE));
    }
}

#[test]
fn what_is_no_message_is_refused_and_changes_nothing() {
    let Some(scene) = Scene::new("malformed") else {
        return;
    };
    scene.order(Order::Open);
    let refused = Said::Refused(Refused {
        order: None,
        reason: Reason::Malformed,
    });
    for octets in [
        &[0][..],
        &[2, 0],
        &[5],
        &[255; 3],
        &[4, 1, 0x80, 0xc2, 0, 0, 3, 2, 1],
        &[4; MAX_MESSAGE + 1],
        &[4; 65536],
    ] {
        scene.netd().send(octets).unwrap();
        assert_eq!(scene.hear(), refused);
    }
    assert_eq!(scene.rules(), "");
    scene.order(Order::Close);
}

#[test]
fn an_empty_message_and_half_a_socket_are_the_end() {
    let endings: [fn(&Scene); 3] = [
        |scene| scene.netd().send(&[]).unwrap(),
        |scene| {
            let socket = SockRef::from(scene.netd());
            socket.shutdown(Shutdown::Write).unwrap();
        },
        |scene| {
            let socket = SockRef::from(scene.netd());
            socket.shutdown(Shutdown::Read).unwrap();
            // The keeper notices the closed half when it sends an answer.
            let _ = scene.netd().send(&[0]);
        },
    ];
    for ending in endings {
        let Some(mut scene) = Scene::new("half a socket") else {
            return;
        };
        scene.order(Order::Open);
        ending(&scene);
        scene.has_closed_and_ended();
    }
}

/// Sends these octets until the socket is full, and returns how often it did.
fn flood(scene: &Scene, octets: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        match scene.netd().send(octets) {
            Ok(()) => sent += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_netd_that_asks_and_never_listens_is_not_read_from_either() {
    let Some(mut scene) = Scene::new("flood") else {
        return;
    };
    scene.order(Order::Open);
    // The keeper's refusals fill one direction of the socket, and then the requests fill the other.
    let mut sent = 0;
    wait_until("full sockets", || {
        let more = flood(&scene, &[0]);
        sent += more;
        more == 0
    });
    assert!(sent > 100, "{sent}");
    // The keeper still maintains its rules.
    let table = format!("softsim_port_{}_{INTERFACE}", scene.index(INTERFACE));
    scene.run(&format!("nft add table inet {table}"));
    wait_until("its own rules", || scene.rules().is_empty());
    scene.netd = None;
    scene.has_closed_and_ended();
}

#[test]
fn a_flood_of_frames_from_netd_holds_nothing_up() {
    let Some(scene) = Scene::new("flood of frames") else {
        return;
    };
    let start = Request::Frame {
        destination: GROUP,
        pdu: &[2, 1, 0, 0],
    };
    let table = format!("softsim_port_{}_{INTERFACE}", scene.index(INTERFACE));
    let closed = scene.rules();
    scene.run(&format!("nft delete table inet {table}"));
    let octets = start.encode().unwrap();
    wait_until("its own rules", || {
        flood(&scene, octets.as_slice());
        scene.rules() == closed
    });
    wait_until("room", || {
        let open = Request::Order(Order::Open).encode().unwrap();
        scene.netd().send(open.as_slice()).is_ok()
    });
    assert_eq!(scene.hear(), Said::Done(Order::Open));
}

#[test]
fn a_flood_of_frames_from_the_wire_neither_ends_it_nor_keeps_an_order_back() {
    let Some(scene) = Scene::new("flood from the wire") else {
        return;
    };
    let station = scene.station(EAPOL);
    let long = [7; 1500];
    let shout = || {
        for _ in 0..1000 {
            // A frame that doesn't fit into the socket is lost, as on a wire.
            let _ = station.send(OURS, &long);
        }
    };
    shout();
    scene.say(&Request::Order(Order::Open));
    shout();
    let mut frames = 0;
    loop {
        match scene.hear() {
            Said::Frame { pdu, .. } if pdu == long => frames += 1,
            said => {
                assert_eq!(said, Said::Done(Order::Open));
                break;
            }
        }
    }
    assert!(frames > 0);
}

#[test]
fn of_two_keepers_of_an_interface_the_one_that_closes_it_prevails() {
    let Some(mut scene) = Scene::new("two keepers") else {
        return;
    };
    // This keeper belongs to another netd with a separate state directory.
    let (other_netd, socket) = pair().unwrap();
    let mut other = start(&scene.cable, &[INTERFACE], socket.into(), Stdio::null());
    assert!(matches!(hear(&other_netd), Some(Said::Link(..))));
    scene.order(Order::Open);
    scene.has_closed_and_ended();
    assert!(scene.log().contains("another keeper"), "{}", scene.log());
    // The other keeper now controls the port, and can open it.
    let open = Request::Order(Order::Open).encode().unwrap();
    other_netd.send(open.as_slice()).unwrap();
    assert_eq!(hear(&other_netd), Some(Said::Done(Order::Open)));
    assert_eq!(scene.rules(), "");
    drop(other_netd);
    assert!(other.wait().unwrap().success());
}
