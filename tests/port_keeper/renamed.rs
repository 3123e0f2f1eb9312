//! An interface that is renamed, as by udev or NetworkManager: its port stays closed.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use softsim_lab_harness::netns::{AUTHENTICATOR, GATEWAY, INTERFACE};
use softsim_link::ethernet::Link;
use softsim_netd::access::port::wire::Order;

use crate::scene::{Said, Scene, cable, name, wait_until};

impl Scene {
    /// Waits until the keeper reports the new name, and ignores what it reports about the link.
    #[track_caller]
    fn hears_of(&self, new: &str) {
        loop {
            match self.hear() {
                Said::Link(Link::Up, called) if called == name(new) => return,
                Said::Link(..) => {}
                said => panic!("{said:?}"),
            }
        }
    }

    /// Renames the interface as programs do that find it up: they take it down first.
    #[track_caller]
    fn rename(&self, old: &str, new: &str) {
        for command in [
            format!("ip link set dev {old} down"),
            format!("ip link set dev {old} name {new}"),
            format!("ip link set dev {new} up"),
        ] {
            self.run(&command);
        }
        self.run(&format!(
            "ip neighbour replace {AUTHENTICATOR} lladdr 02:00:00:00:00:01 dev {new} nud permanent"
        ));
    }
}

#[test]
fn a_closed_port_is_closed_under_the_new_name_and_an_open_one_open() {
    let Some(scene) = Scene::new("rename") else {
        return;
    };
    let index = scene.index(INTERFACE);
    scene.rename(INTERFACE, "wan0");
    scene.hears_of("wan0");
    assert_eq!(scene.rules(), scene.closed(index, "wan0"));
    assert_eq!(scene.passes(), [false, false]);
    scene.order(Order::Open);
    assert_eq!(scene.passes(), [true, true]);
    scene.rename("wan0", "wan1");
    scene.hears_of("wan1");
    assert_eq!(scene.passes(), [true, true]);
    scene.order(Order::Close);
    assert_eq!(scene.rules(), scene.closed(index, "wan1"));
    // The interface is renamed while it is up.
    scene.run("ip link set dev wan1 name wan2");
    scene.hears_of("wan2");
    assert_eq!(scene.rules(), scene.closed(index, "wan2"));
    assert_eq!(scene.passes(), [false, false]);
    let log = scene.log();
    assert!(
        log.ends_with("port-keeper: wan1 is called wan2 now\n"),
        "{log}"
    );
}

#[test]
fn no_datagram_passes_while_the_name_changes() {
    let Some(scene) = Scene::new("datagrams through a rename") else {
        return;
    };
    let (here, there) = (&scene.cable.gateway, &scene.cable.authenticator);
    let bind = |end: &softsim_lab_harness::netns::Namespace| {
        let socket = end
            .enter(|| UdpSocket::bind("0.0.0.0:4000"))
            .unwrap()
            .unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let (ours, theirs) = (bind(here), bind(there));
    let over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                // A datagram doesn't count if the filter refuses it or there is no route because
                // the interface is down.
                sent += usize::from(theirs.send_to(b"in", (GATEWAY, 4000)).is_ok());
                let _ = ours.send_to(b"out", (AUTHENTICATOR, 4000));
            }
            sent
        });
        let mut old = INTERFACE.to_owned();
        for round in 0..20 {
            let new = format!("wan{round}");
            // Every other rename happens while the interface is up.
            match round % 2 {
                0 => scene.rename(&old, &new),
                _ => drop(scene.run(&format!("ip link set dev {old} name {new}"))),
            }
            old = new;
        }
        scene.hears_of(&old);
        over.store(true, Ordering::Relaxed);
        sending.join().unwrap()
    });
    assert!(sent > 100, "{sent}");
    for socket in [&ours, &theirs] {
        assert!(socket.recv(&mut [0; 8]).is_err(), "a datagram passed");
    }
    // Through an open port, the datagrams pass.
    scene.order(Order::Open);
    assert_eq!(scene.passes(), [true, true]);
}

#[test]
fn a_port_whose_netd_has_ended_stays_closed_under_every_name() {
    let Some(mut scene) = Scene::new("rename after netd") else {
        return;
    };
    let index = scene.index(INTERFACE);
    scene.order(Order::Open);
    scene.order(Order::Close);
    scene.netd = None;
    assert!(scene.ended());
    scene.rename(INTERFACE, "wan0");
    assert_eq!(scene.passes(), [false, false]);
    // The next keeper recognises the interface by its index, and opens the port.
    scene.again("wan0");
    assert_eq!(scene.rules(), scene.closed(index, "wan0"));
    scene.order(Order::Open);
    assert_eq!(scene.rules(), "");
    assert_eq!(scene.passes(), [true, true]);
}

#[test]
fn an_alternative_name_on_the_command_line_is_the_interface_itself() {
    let Some(cable) = cable("alternative name") else {
        return;
    };
    crate::scene::run(
        &cable.gateway,
        &format!("ip link property add dev {INTERFACE} altname uplink"),
    );
    let scene = Scene::on(cable, &["uplink"]).unwrap();
    assert_eq!(
        scene.rules(),
        scene.closed(scene.index(INTERFACE), INTERFACE)
    );
    assert_eq!(scene.passes(), [false, false]);
}

#[test]
fn a_new_name_of_another_interface_changes_nothing() {
    let Some(scene) = Scene::new("another's name") else {
        return;
    };
    let closed = scene.closed(scene.index(INTERFACE), INTERFACE);
    for command in [
        "ip link add lan0 type veth peer name lan1",
        "ip link set dev lan0 name lan2",
        "ip link set dev lan2 up",
    ] {
        scene.run(command);
    }
    assert!(scene.is_silent());
    wait_until("its own rules", || scene.rules() == closed);
}
