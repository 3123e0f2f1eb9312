//! The monitor socket: who may look and gives no order.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use softsim_client::netd::{
    Access, AccessState, Accesses, Command, Control, Event, Failure, Happening, RadiusSecret,
    Report, What,
};
use support::{Keyd, Netd};

const SOCKET: &str = "monitor_socket = 'netd-monitor.sock'\n";

fn monitor(netd: &Netd) -> PathBuf {
    netd.directory.path().join("netd-monitor.sock")
}

/// The last event of a command on the monitor socket.
fn observe(netd: &Netd, command: &Command) -> Event {
    let mut events = Control::run(&monitor(netd), command).unwrap();
    events.next().unwrap().unwrap()
}

/// An access to a server that never answers, which begins on command.
fn access(folder: &Path, server: &UdpSocket, more: &str) -> String {
    let secret = folder.join("secret");
    fs::write(&secret, "testing123").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    format!(
        "[[access]]\nname = 'aaa'\ncarrier = 'radius'\nservers = ['{}']\nsecret_files = ['{}']\n\
         automatic = false\n{more}",
        server.local_addr().unwrap(),
        secret.display()
    )
}

/// What happens, as a client learns it.
fn happenings(socket: &Path) -> impl Iterator<Item = Happening> {
    let events = Control::run(socket, &Command::Events {}).unwrap();
    events.map(|event| match event.unwrap() {
        Event::Happened(happening) => happening,
        other => panic!("{other:?}"),
    })
}

#[test]
fn observers_see_the_state_without_what_names_the_device_and_no_order_of_theirs_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (netd, _keyd) = Netd::start(&(SOCKET.to_owned() + &access(folder.path(), &server, "")));
    let socket = fs::metadata(monitor(&netd)).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o660);

    let whole = netd.status().unwrap();
    assert_eq!(whole.endpoint, Some("d1".repeat(32)));
    let Event::Done {
        report: Report::Status(seen),
    } = observe(&netd, &Command::Status {})
    else {
        panic!()
    };
    assert_eq!(seen.endpoint.as_deref(), Some("withheld from observers"));
    assert_eq!(seen.landlock_abi, whole.landlock_abi);
    assert_eq!(seen.accesses[0].name, "aaa");

    let name = || None::<String>;
    for order in [
        Command::Bootstrap {},
        Command::AccountsReset {},
        Command::EapTest {
            radius: server.local_addr().unwrap().to_string(),
            secret: RadiusSecret::new(b"testing123".into()),
            identity: None,
        },
        Command::AccessConnect { name: name() },
        Command::AccessDisconnect { name: name() },
    ] {
        let Event::Failed { failure, reason } = observe(&netd, &order) else {
            panic!("{order:?}")
        };
        assert_eq!(failure, Failure::Refused, "{order:?}");
        assert!(reason.contains("the control socket takes"), "{reason}");
    }
    server.set_nonblocking(true).unwrap();
    assert!(server.recv_from(&mut [0; 64]).is_err(), "nothing was sent");
    assert_eq!(netd.status().unwrap().accesses[0].counters.attempts, 0);
}

#[test]
fn without_the_setting_nobody_but_administrators_is_served() {
    let (netd, _keyd) = Netd::start("");
    assert!(!monitor(&netd).exists());
}

#[test]
fn a_flood_of_observers_keeps_no_administrator_out() {
    let (netd, _keyd) = Netd::start(SOCKET);
    let mut observers = Vec::new();
    let refused = loop {
        let mut observer = UnixStream::connect(monitor(&netd)).unwrap();
        observer.write_all(b"{\"command\":\"events\"}\n").unwrap();
        let mut first = String::new();
        let mut reader = BufReader::new(observer);
        reader.read_line(&mut first).unwrap();
        match serde_json::from_str(&first).unwrap() {
            Event::Failed { failure, reason } => break (failure, reason),
            _ => observers.push(reader),
        }
        assert!(observers.len() <= 16);
    };
    assert_eq!(refused.0, Failure::Busy);
    assert_eq!(observers.len(), 16);
    for _ in 0..100 {
        let _ = UnixStream::connect(monitor(&netd)).unwrap();
        assert!(netd.status().is_some());
    }
    drop(observers);
    let end = Instant::now() + Duration::from_secs(20);
    while !matches!(observe(&netd, &Command::Status {}), Event::Done { .. }) {
        assert!(Instant::now() < end, "no place became free");
    }
}

#[test]
fn a_client_that_does_not_keep_up_learns_how_much_it_has_missed_and_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let settings = SOCKET.to_owned() + &access(folder.path(), &server, "");
    let (netd, _keyd) = Netd::start(&settings);
    let socket = monitor(&netd);
    let never = happenings(&socket);
    let mut slow = happenings(&socket);
    assert_eq!(slow.next().unwrap().what, What::Keyd { lost: None });

    let connect = Command::AccessConnect { name: None };
    let _connecting = Control::run(&netd.control, &connect).unwrap();
    let (_, client) = server.recv_from(&mut [0; 4096]).unwrap();
    // More than the socket takes and netd keeps for a client. Each datagram is an event.
    let ignored = || netd.status().unwrap().accesses[0].counters.ignored;
    while ignored() < 5000 {
        for _ in 0..50 {
            server.send_to(b"not RADIUS", client).unwrap();
        }
    }
    netd.reload(&settings);
    netd.await_log("the configuration was read again", 1);

    let (mut told, mut missed) = (0, 0);
    for happening in slow {
        match happening.what {
            What::Message { text, .. } if text == "ignored" => told += 1,
            What::Missed { events } => missed += events,
            What::Reload { .. } => break,
            _ => {}
        }
    }
    assert!(missed > 0);
    assert!(told + missed >= 5000, "{told} + {missed}");
    assert!(netd.status().is_some());
    drop(never);
}

#[test]
fn what_happens_is_told_with_its_time_after_the_present_states() {
    let folder = tempfile::tempdir().unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let settings = SOCKET.to_owned() + &access(folder.path(), &server, "");
    let (netd, keyd) = Netd::start(&settings);
    let socket = monitor(&netd);
    let mut told = happenings(&socket);
    let mut next = || told.next().unwrap();
    assert_eq!(next().what, What::Keyd { lost: None });
    let none = What::Accounts {
        transaction: None,
        fault: None,
    };
    assert_eq!(next().what, none);
    assert!(matches!(next().what, What::Management { .. }));
    let present = next();
    assert!(matches!(present.what, What::Access { .. }));
    assert!(present.time > 1_700_000_000_000);

    drop(keyd);
    let lost = next();
    assert!(matches!(lost.what, What::Keyd { lost: Some(_) }));
    assert!(lost.time >= present.time);
    let _keyd = Keyd::start(&netd.keyd_socket());
    let mut until = |wanted: fn(&What) -> bool| while !wanted(&next().what) {};
    until(|what| *what == What::Keyd { lost: None });

    netd.reload(&settings);
    until(|what| *what == What::Reload { fault: None });
    netd.reload("nonsense = 1\n");
    until(|what| matches!(what, What::Reload { fault: Some(_) }));

    let connect = Command::AccessConnect { name: None };
    let _connecting = Control::run(&netd.control, &connect).unwrap();
    until(|what| matches!(what, What::Access { access } if access.state == AccessState::Identity));
    until(|what| matches!(what, What::Message { text, .. } if text == "EAP-Response/Identity"));
}

/// A reason may name a profile, or quote what a server says.
#[test]
fn an_observer_learns_that_an_access_is_held_and_not_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = server.try_clone().unwrap();
    let settings = SOCKET.to_owned() + &access(folder.path(), &closed, "");
    let (netd, _keyd) = Netd::start(&settings);
    let reason = |event: Event| match event {
        Event::Done {
            report: Report::Access(Accesses { mut accesses }),
        } => match accesses.remove(0) {
            Access {
                state: AccessState::Idle { reason },
                ..
            } => reason,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let command = Command::AccessStatus { name: None };
    assert_eq!(reason(netd.run(&command).unwrap()), "waits for a command");
    assert_eq!(reason(observe(&netd, &command)), "withheld from observers");
}
