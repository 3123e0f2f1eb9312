//! A port keeper that is a service of its own, with this test in its place.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use softsim_client::netd::{Access, AccessState, Port};
use softsim_link::ethernet::{Link, Name};
use softsim_netd::access::port::wire::{MAX_MESSAGE, Message, Order, Reason, Refused, Request};
use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use support::{Keyd, Netd};

/// How long a test waits for an event that happens soon or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// A socket on which netd expects the keeper of eth1.
struct Service {
    listener: Listener,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Service {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("eth1.sock");
        Self {
            listener: Listener::bind(&path, 0o600).unwrap(),
            path,
            _folder: folder,
        }
    }

    fn listen_again(&mut self) {
        let _ = fs::remove_file(&self.path);
        self.listener = Listener::bind(&self.path, 0o600).unwrap();
    }

    /// A wired access with this keeper.
    fn access(&self, controlled_port: &str) -> String {
        access(&self.path, controlled_port)
    }

    /// Accepts netd, but not its checks, whose connection ended before netd served.
    fn accept(&self) -> Connection {
        loop {
            poll::wait(&mut [Entry::readable(&self.listener)], Some(PATIENCE)).unwrap();
            let netd = self.listener.accept().unwrap().expect("no netd connects");
            if netd.receive(&mut [0; 8]).unwrap() == Received::Nothing {
                return netd;
            }
        }
    }

    /// Accepts netd, and serves until it has made sure that the port is closed.
    fn serve(&self) -> Connection {
        let netd = self.accept();
        say(&netd, &link("eth1"));
        assert_eq!(hear(&netd), Some(vec![2]), "close");
        say(&netd, &Message::Done(Order::Close));
        netd
    }
}

fn access(socket: &Path, controlled_port: &str) -> String {
    format!(
        "[[access]]\nname = 'uplink'\ncarrier = 'wired'\ninterface = 'eth1'\n\
         controlled_port = '{controlled_port}'\nkeeper_socket = '{}'\n",
        socket.display()
    )
}

fn link(interface: &str) -> Message<'static> {
    Message::Link {
        link: Link::Up,
        name: Name::new(interface.as_bytes()).unwrap(),
    }
}

fn say(netd: &Connection, message: &Message<'_>) {
    netd.send(message.encode().unwrap().as_slice()).unwrap();
}

/// netd's next message; `None` if it has closed the connection.
fn hear(netd: &Connection) -> Option<Vec<u8>> {
    poll::wait(&mut [Entry::readable(netd)], Some(PATIENCE)).unwrap();
    let mut buffer = [0; MAX_MESSAGE];
    match netd.receive(&mut buffer) {
        Ok(Received::Datagram(length)) => Some(buffer[..length].to_vec()),
        Ok(Received::Closed) => None,
        other => panic!("{other:?}"),
    }
}

/// Waits for an EAPOL-Start, with which an authentication begins.
#[track_caller]
fn begins(netd: &Connection) {
    let heard = hear(netd).expect("netd is gone");
    let Ok(Request::Frame { pdu, .. }) = Request::decode(&heard) else {
        panic!("{heard:?}");
    };
    assert_eq!(pdu, [2, 1, 0, 0]);
}

/// Waits until the access says that it has no keeper, for this reason.
#[track_caller]
fn await_reason(netd: &Netd, expected: &str) -> Access {
    let end = Instant::now() + PATIENCE;
    loop {
        let access = netd.status().unwrap().accesses.remove(0);
        match &access.state {
            AccessState::Idle { reason } if reason.contains(expected) => return access,
            state => assert!(Instant::now() < end, "{expected}: {state}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn netd_makes_sure_that_the_port_is_closed_and_authenticates_anew_with_each_connection() {
    let service = Service::new();
    let (mut netd, _keyd) = Netd::start(&service.access("nftables"));
    for _ in 0..3 {
        let connection = service.serve();
        begins(&connection);
        drop(connection);
        let access = await_reason(&netd, "no port keeper: has ended");
        assert_eq!(access.port, Some(Port::Unauthorised));
    }
    assert!(netd.child.try_wait().unwrap().is_none());
}

#[test]
fn until_the_keeper_says_something_netd_serves_and_says_nothing_to_it() {
    let service = Service::new();
    let (netd, _keyd) = Netd::start(&service.access("nftables"));
    let connection = service.accept();
    await_reason(&netd, "no port keeper: it hasn't answered yet");
    assert_eq!(connection.receive(&mut [0; 8]).unwrap(), Received::Nothing);
    say(&connection, &link("eth1"));
    assert_eq!(hear(&connection), Some(vec![2]));
    say(&connection, &Message::Done(Order::Close));
    begins(&connection);
}

/// What a keeper says before netd believes it, and why netd doesn't.
type Impostor = (fn(&Connection), &'static str);

#[test]
fn a_keeper_that_is_not_the_one_of_the_access_gets_no_order_to_open_and_is_told() {
    const IMPOSTORS: [Impostor; 6] = [
        (
            |netd| say(netd, &link("eth2")),
            "expected the keeper of eth1, got that of eth2",
        ),
        (
            |netd| netd.send(&[0; 40]).unwrap(),
            "sent what is none of its messages",
        ),
        (
            |netd| netd.send(&[7; MAX_MESSAGE + 1]).unwrap(),
            "sent a message that is too long",
        ),
        (
            |netd| say(netd, &Message::Done(Order::Open)),
            "answered unasked",
        ),
        (
            |netd| {
                let frame = Message::Frame {
                    source: [2; 6],
                    unicast: true,
                    pdu: &[2, 0, 0, 0],
                };
                say(netd, &frame);
            },
            "expected the state of the link first",
        ),
        (
            |netd| {
                say(netd, &link("eth1"));
                assert_eq!(hear(netd), Some(vec![2]));
                let reason = Reason::NoPort;
                let order = Some(Order::Close);
                say(netd, &Message::Refused(Refused { order, reason }));
            },
            "expected a keeper of the controlled port, got one that keeps none",
        ),
    ];
    let service = Service::new();
    let (netd, _keyd) = Netd::start(&service.access("nftables"));
    for (says, expected) in IMPOSTORS {
        let connection = service.accept();
        says(&connection);
        let access = await_reason(&netd, expected);
        assert_eq!(access.port, Some(Port::Unauthorised));
        assert_eq!(hear(&connection), None, "{expected}");
    }
    begins(&service.serve());
}

#[test]
fn without_a_controlled_port_a_keeper_of_one_is_refused() {
    let service = Service::new();
    let (netd, _keyd) = Netd::start(&service.access("none"));
    drop(service.serve());
    let access = await_reason(&netd, "expected a keeper that only relays");
    assert_eq!(access.port, None);
    let connection = service.accept();
    say(&connection, &link("eth1"));
    assert_eq!(hear(&connection), Some(vec![2]));
    let refused = Refused {
        order: Some(Order::Close),
        reason: Reason::NoPort,
    };
    say(&connection, &Message::Refused(refused));
    begins(&connection);
}

/// What takes the place of the socket, and what netd says of it.
type Replacement = (fn(&Path) -> Option<UnixListener>, &'static str);

#[test]
fn whatever_takes_the_place_of_the_socket_netd_goes_on_and_finds_the_keeper_again() {
    const REPLACEMENTS: [Replacement; 3] = [
        (
            |path| {
                let made = Command::new("mkfifo").arg(path).status();
                assert!(made.unwrap().success());
                None
            },
            "Connection refused",
        ),
        (
            |path| Some(UnixListener::bind(path).unwrap()),
            "Protocol wrong type for socket",
        ),
        (|_| None, "No such file or directory"),
    ];
    let mut service = Service::new();
    let (netd, _keyd) = Netd::start(&service.access("nftables"));
    let shown = service.path.display().to_string();
    for (replace, expected) in REPLACEMENTS {
        let connection = service.serve();
        fs::remove_file(&service.path).unwrap();
        let _other = replace(&service.path);
        drop(connection);
        await_reason(&netd, &format!("no port keeper: {shown}: {expected}"));
        service.listen_again();
    }
    begins(&service.serve());
}

/// Accepts netd, and serves without a port.
fn relays(service: &Service) -> Connection {
    let connection = service.accept();
    say(&connection, &link("eth1"));
    assert_eq!(hear(&connection), Some(vec![2]));
    let refused = Refused {
        order: Some(Order::Close),
        reason: Reason::NoPort,
    };
    say(&connection, &Message::Refused(refused));
    begins(&connection);
    connection
}

#[test]
fn a_reload_ends_changes_and_begins_an_access_whose_socket_was_named_at_the_start() {
    let (service, other) = (Service::new(), Service::new());
    let (netd, _keyd) = Netd::start(&service.access("nftables"));
    let connection = service.serve();
    begins(&connection);
    // netd leaves the port as the configuration says, closed, and the connection ends.
    let leaves = |connection: &Connection| loop {
        match hear(connection) {
            Some(heard) if heard == [2] => say(connection, &Message::Done(Order::Close)),
            Some(heard) if heard == [3] => say(connection, &Message::Done(Order::Leave)),
            Some(_) => {}
            None => break,
        }
    };
    netd.reload("");
    leaves(&connection);
    netd.await_log("the configuration was read again", 1);
    assert!(netd.status().unwrap().accesses.is_empty());

    netd.reload(&service.access("nftables"));
    let connection = service.serve();
    begins(&connection);
    netd.reload(&service.access("none"));
    leaves(&connection);
    let connection = relays(&service);
    netd.await_log("the configuration was read again", 3);

    // A confined netd doesn't get to a socket that it didn't name.
    netd.reload(&other.access("none"));
    netd.await_log("a wired access needs a restart", 1);
    assert!(other.listener.accept().unwrap().is_none());
    // The access goes on, which may have sent another frame.
    assert_ne!(connection.receive(&mut [0; 8]).unwrap(), Received::Closed);
}

/// Two keepers of one interface would undo each other's work.
#[test]
fn a_reload_begins_no_access_on_an_interface_whose_keeper_netd_has_started() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Only root can start a keeper.
        return;
    }
    let service = Service::new();
    let own = "[[access]]\nname = 'own'\ncarrier = 'wired'\ninterface = 'lo'\n\
               controlled_port = 'none'\nautomatic = false\n";
    let (netd, _keyd) = Netd::start(&[own, &service.access("nftables")].concat());
    let connection = service.serve();
    begins(&connection);
    drop(connection);
    netd.reload(
        &service
            .access("none")
            .replace("'eth1'", "'lo'")
            .replace("'uplink'", "'other'"),
    );
    netd.await_log(
        "a wired access needs a restart to begin or change access=\"other\"",
        1,
    );
    let accesses = netd.status().unwrap().accesses;
    let names: Vec<_> = accesses.iter().map(|access| &*access.name).collect();
    assert_eq!(names, ["own"]);
}

#[test]
fn the_keeper_is_found_again_also_if_keyd_has_restarted_meanwhile() {
    let service = Service::new();
    let (netd, keyd) = Netd::start(&service.access("nftables"));
    drop(service.serve());
    drop(keyd);
    netd.await_keyd(|lost| lost.is_some());
    let _keyd = Keyd::start(&netd.keyd_socket());
    netd.await_keyd(|lost| lost.is_none());
    begins(&service.serve());
}
