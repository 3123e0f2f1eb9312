//! The control socket and the monitor socket as the service manager passes them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};

use softsim_client::netd::{Control, Event, Failure};
use softsim_sandbox::exit_status;
use support::{Keyd, Netd, answer};

/// A shell passes its standard input and output as the descriptors 3 and 4, and netd's process id,
/// as a service manager would.
const SCRIPT: &str = "exec 3<&0 4>&1 0</dev/null; LISTEN_PID=$$ exec \"$@\"";

/// netd with a socket under this name, and another descriptor that it has no use for.
fn begin(name: &str, socket: impl FnOnce(&Path) -> OwnedFd) -> (Netd, Keyd) {
    Netd::begin_as("", answer, |directory| {
        let mut command = Command::new("sh");
        command
            .args(["-c", SCRIPT, "sh", env!("CARGO_BIN_EXE_softsim-netd")])
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", format!("{name}:spare"))
            .stdin(socket(directory))
            .stdout(Stdio::from(
                fs::File::create(directory.join("spare")).unwrap(),
            ));
        command
    })
}

fn listener(path: &Path) -> OwnedFd {
    UnixListener::bind(path).unwrap().into()
}

#[test]
fn netd_serves_the_control_socket_that_it_inherits_and_keeps_no_other_descriptor() {
    let (netd, _keyd) = begin("control", |directory| {
        listener(&directory.join("netd.sock"))
    });
    // The socket takes connections before netd does.
    assert!(netd.status().is_some());
    let lock = netd.directory.path().join("netd.sock.lock");
    assert!(!lock.exists(), "the service manager keeps the socket");
    let spare = fs::metadata(netd.directory.path().join("spare")).unwrap();
    let descriptors = format!("/proc/{}/fd", netd.child.id());
    let is_spare = |descriptor: &fs::DirEntry| {
        let file = fs::metadata(descriptor.path());
        file.is_ok_and(|file| (file.dev(), file.ino()) == (spare.dev(), spare.ino()))
    };
    let open = fs::read_dir(descriptors).unwrap().map(Result::unwrap);
    let left: Vec<_> = open
        .filter(is_spare)
        .map(|descriptor| descriptor.file_name())
        .collect();
    assert_eq!(left, ["1"], "standard output is the same file");
}

#[test]
fn netd_serves_the_monitor_socket_that_it_inherits_without_a_setting() {
    let (netd, _keyd) = begin("monitor", |directory| {
        listener(&directory.join("watch.sock"))
    });
    let monitor = netd.directory.path().join("watch.sock");
    let command = softsim_client::netd::Command::Bootstrap {};
    let mut events = Control::run(&monitor, &command).unwrap();
    let event = events.next().unwrap().unwrap();
    let Event::Failed { failure, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(failure, Failure::Refused);
}

#[test]
fn netd_refuses_an_inherited_control_socket_of_another_kind_or_place() {
    let datagrams = |path: &Path| UnixDatagram::bind(path).unwrap().into();
    type Case = (fn(&Path) -> OwnedFd, &'static str, &'static str);
    let cases: [Case; 3] = [
        (datagrams, "netd.sock", "another kind of socket"),
        (listener, "other.sock", "other.sock"),
        (
            |path| fs::File::create(path).unwrap().into(),
            "netd.sock",
            "non-socket",
        ),
    ];
    for (make, name, got) in cases {
        let (mut netd, _keyd) = begin("control", |directory| make(&directory.join(name)));
        let status = netd.child.wait().unwrap();
        let log = netd.log();
        assert_eq!(status.code(), Some(i32::from(exit_status::IO)), "{log}");
        assert!(log.contains("netd.sock: "), "{log}");
        assert!(log.contains(got), "{log}");
    }
}

#[test]
fn a_socket_of_another_name_is_not_the_control_socket() {
    let (netd, _keyd) = begin("monitor-of-old", |directory| {
        listener(&directory.join("spare.sock"))
    });
    netd.await_service();
    assert!(netd.directory.path().join("netd.sock.lock").exists());
}
