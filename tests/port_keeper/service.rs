//! A port keeper that is a service of its own: its standard input listens, and it outlives the
//! netds that connect.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_lab_harness::netns::{Cable, INTERFACE};
use softsim_lab_harness::processes::binaries;
use softsim_link::ethernet::Link;
use softsim_netd::access::port::keeper::SUBCOMMAND;
use softsim_netd::access::port::wire::{Order, Reason, Refused, Request};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::Connection;
use softsim_testkit::processes::A_WHILE;

use crate::scene::{EAPOL, OURS, PATIENCE, Said, Scene, cable, hear, name, wait_until};

/// A keeper, its socket, and the service manager that it tells when it is ready.
pub(crate) struct Service {
    pub(crate) scene: Scene,
    path: PathBuf,
    manager: UnixDatagram,
    _folder: tempfile::TempDir,
}

impl Service {
    /// Starts a keeper of this interface, and perhaps under another program.
    pub(crate) fn start(cable: Cable, under: &[&str], interface: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(4).unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let netd = binaries().unwrap().join("softsim-netd");
        let netd = netd.to_str().unwrap();
        let line = [under, &[netd, SUBCOMMAND, interface]].concat();
        let keeper = (cable.gateway.command(line[0]).args(&line[1..]))
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stderr(Stdio::from(log.reopen().unwrap()))
            .spawn()
            .unwrap();
        Self {
            scene: Scene {
                cable,
                keeper,
                netd: None,
                log,
            },
            path,
            manager,
            _folder: folder,
        }
    }

    /// Starts a keeper of the cable's interface, and waits until it is ready.
    fn ready(test: &str) -> Option<Self> {
        let service = Self::start(cable(test)?, &[], INTERFACE);
        service.await_readiness();
        Some(service)
    }

    pub(crate) fn await_readiness(&self) {
        let mut message = [0; 16];
        let length = self.manager.recv(&mut message).unwrap();
        assert_eq!(&message[..length], b"READY=1");
    }

    fn connection(&self) -> Connection {
        Connection::connect(&self.path).unwrap()
    }

    /// Connects in place of netd, and waits until the keeper serves.
    #[track_caller]
    pub(crate) fn connect(&mut self) {
        self.scene.netd = Some(self.connection());
        assert_eq!(self.scene.hear(), Said::Link(Link::Up, name(INTERFACE)));
    }

    #[track_caller]
    fn is_closed(&self) {
        assert_eq!(self.scene.rules(), self.closed());
    }

    fn closed(&self) -> String {
        self.scene.closed(self.scene.index(INTERFACE), INTERFACE)
    }

    fn kill(&self, signal: &str) {
        let keeper = self.scene.keeper.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &keeper]).status();
        assert!(sent.unwrap().success());
    }
}

/// Whether the keeper sends nothing on this connection for a while.
fn is_silent(netd: &Connection) -> bool {
    poll::wait(&mut [Entry::readable(netd)], Some(A_WHILE)).unwrap() == 0
}

#[test]
fn the_port_is_closed_before_the_first_netd_and_between_two_of_them() {
    let Some(mut service) = Service::ready("before netd") else {
        return;
    };
    service.is_closed();
    for _ in 0..3 {
        service.connect();
        service.is_closed();
        service.scene.order(Order::Open);
        assert_eq!(service.scene.rules(), "");
        service.scene.netd = None;
        wait_until("a closed port", || {
            service.scene.rules() == service.closed()
        });
        // Nobody is connected, and the rules are put back all the same.
        service.scene.run("nft flush ruleset");
        wait_until("its own rules", || {
            service.scene.rules() == service.closed()
        });
    }
    assert!(service.scene.keeper.try_wait().unwrap().is_none());
}

#[test]
fn a_second_connection_waits_until_the_first_has_ended() {
    let Some(mut service) = Service::ready("two connections") else {
        return;
    };
    service.connect();
    let second = service.connection();
    let close = Request::Order(Order::Close).encode().unwrap();
    second.send(close.as_slice()).unwrap();
    service.scene.order(Order::Open);
    assert!(is_silent(&second));
    assert_eq!(service.scene.rules(), "", "the first one's port");
    service.scene.netd = Some(second);
    assert_eq!(service.scene.hear(), Said::Link(Link::Up, name(INTERFACE)));
    assert_eq!(service.scene.hear(), Said::Done(Order::Close));
}

#[test]
fn a_connection_that_ends_before_its_turn_or_says_nothing_holds_up_nobody_after_it() {
    let Some(mut service) = Service::ready("silent connections") else {
        return;
    };
    service.connect();
    drop(service.connection());
    let silent = service.connection();
    service.scene.netd = None;
    assert_eq!(hear(&silent), Some(Said::Link(Link::Up, name(INTERFACE))));
    drop(silent);
    service.connect();
    service.scene.order(Order::Open);
}

#[test]
fn garbage_is_refused_or_ends_its_connection_and_the_next_netd_is_served() {
    let Some(mut service) = Service::ready("garbage") else {
        return;
    };
    let refused = Said::Refused(Refused {
        order: None,
        reason: Reason::Malformed,
    });
    service.connect();
    service.scene.order(Order::Open);
    for octets in [&[0][..], &[5, 1], &[4; 65536]] {
        service.scene.netd().send(octets).unwrap();
        assert_eq!(service.scene.hear(), refused);
    }
    service.scene.netd().send(&[]).unwrap();
    assert_eq!(service.scene.hear(), Said::Gone);
    wait_until("a closed port", || {
        service.scene.rules() == service.closed()
    });
    service.connect();
    service.scene.order(Order::Open);
}

#[test]
fn a_port_that_netd_leaves_open_is_closed_for_the_next_netd() {
    let Some(mut service) = Service::ready("leave") else {
        return;
    };
    service.connect();
    service.scene.order(Order::Leave);
    assert_eq!(service.scene.hear(), Said::Gone);
    service.scene.netd = None;
    assert_eq!(service.scene.rules(), "");
    service.connect();
    service.is_closed();
}

#[test]
fn what_arrived_before_a_netd_connected_is_not_relayed_to_it() {
    let Some(mut service) = Service::ready("old frames") else {
        return;
    };
    let station = service.scene.station(EAPOL);
    let request = |identifier| [2, 0, 0, 5, 1, identifier, 0, 5, 1];
    station.send(OURS, &request(1)).unwrap();
    // The keeper takes what is there in turns: once it has put the rules back, it has seen the
    // frame.
    service.scene.run("nft flush ruleset");
    wait_until("its own rules", || {
        service.scene.rules() == service.closed()
    });
    service.connect();
    station.send(OURS, &request(2)).unwrap();
    let Said::Frame { pdu, .. } = service.scene.hear() else {
        panic!("expected a frame");
    };
    assert_eq!(pdu, request(2));
}

#[test]
fn a_service_that_is_stopped_closes_the_port_and_ends() {
    let Some(mut service) = Service::ready("stop") else {
        return;
    };
    service.connect();
    service.scene.order(Order::Open);
    // It has no configuration to read again.
    service.kill("HUP");
    service.scene.order(Order::Open);
    service.kill("TERM");
    assert!(service.scene.ended());
    service.is_closed();
    assert_eq!(service.scene.hear(), Said::Gone);
}

#[test]
fn an_interface_that_appears_late_is_closed_then_and_until_then_a_stop_is_obeyed() {
    let Some(cable) = cable("late interface") else {
        return;
    };
    let mut service = Service::start(cable, &[], "late0");
    // The boot goes on.
    service.await_readiness();
    let netd = service.connection();
    assert!(is_silent(&netd));
    service
        .scene
        .run("ip link add other0 type veth peer name other1");
    service
        .scene
        .run("ip link add late0 type veth peer name late1");
    assert_eq!(hear(&netd), Some(Said::Link(Link::Down, name("late0"))));
    let closed = service.scene.closed(service.scene.index("late0"), "late0");
    assert_eq!(service.scene.rules(), closed);
    service.kill("TERM");
    assert!(service.scene.ended());

    let cable = softsim_lab_harness::netns::Cable::new().unwrap();
    let mut waiting = Service::start(cable, &[], "late0");
    waiting.await_readiness();
    waiting.kill("TERM");
    assert!(waiting.scene.ended());
}

#[test]
fn a_service_whose_interface_vanishes_says_so_and_ends() {
    let Some(mut service) = Service::ready("gone") else {
        return;
    };
    service.connect();
    service.scene.order(Order::Open);
    service.scene.run(&format!("ip link delete {INTERFACE}"));
    loop {
        match service.scene.hear() {
            Said::Link(Link::Down, _) => {}
            said => {
                assert_eq!(said, Said::Link(Link::Gone, name(INTERFACE)));
                break;
            }
        }
    }
    assert_eq!(service.scene.hear(), Said::Gone);
    assert!(service.scene.ended());
}

#[test]
fn a_service_holds_no_socket_to_its_manager_once_it_serves() {
    let Some(service) = Service::ready("sockets") else {
        return;
    };
    let process = format!("/proc/{}", service.scene.keeper.id());
    let links = || {
        let links = fs::read_dir(format!("{process}/fd")).unwrap();
        let links = links.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let sockets = links.map(|link| link.to_str().unwrap().to_owned());
        sockets.collect::<Vec<_>>()
    };
    // The type and the inode of each AF_UNIX socket (proc(5)).
    let types = || {
        let held = links();
        // The listener belongs to the test's network namespace.
        let lists = ["/proc/self", &*process].map(|of| format!("{of}/net/unix"));
        let list = lists.map(|list| fs::read_to_string(list).unwrap()).concat();
        let fields = list.lines().map(|line| line.split_whitespace().collect());
        let held = fields.filter(|fields: &Vec<_>| {
            held.contains(&format!("socket:[{}]", fields.get(6).unwrap_or(&"")))
        });
        held.map(|fields| fields[4].to_owned()).collect::<Vec<_>>()
    };
    // A moment after the message, SOCK_DGRAM is gone and SOCK_SEQPACKET is left.
    wait_until("the listener alone", || types() == ["0005"]);
}
