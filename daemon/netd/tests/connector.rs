//! The connector, with this test as its netd.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use softsim_client::keyd::Connection;
use softsim_client::proto::requests::Status;
use softsim_netd::connector::process::SUBCOMMAND;
use softsim_netd::connector::wire::{MAX, PASSED, READY, Request, error_of};
use softsim_sandbox::passing::Inbox;
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{Received, pair};
use support::Keyd;

/// How long a test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// The test that has its connector on standard input.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Connector {
    process: Child,
    inbox: Inbox,
    _alone: MutexGuard<'static, ()>,
}

impl Connector {
    fn start(keyd: &Path) -> Self {
        let alone = ONE_AT_A_TIME.lock();
        let (ours, theirs) = pair().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
            .arg(SUBCOMMAND)
            .arg(keyd)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let connector = Self {
            process,
            inbox: Inbox::replace_standard_input(ours).unwrap(),
            _alone: alone.unwrap_or_else(PoisonError::into_inner),
        };
        assert_eq!(connector.hear().0, READY);
        connector
    }

    fn hear(&self) -> (Vec<u8>, Option<OwnedFd>) {
        poll::wait(&mut [poll::Entry::readable(&self.inbox)], Some(PATIENCE)).unwrap();
        let mut datagram = [0; MAX];
        match self.inbox.receive(&mut datagram).unwrap() {
            (Received::Datagram(length), passed) => (datagram[..length].to_vec(), passed),
            other => panic!("{other:?}"),
        }
    }

    fn ask(&self, request: Request) -> (Vec<u8>, Option<OwnedFd>) {
        self.inbox.send(&request.encode()).unwrap();
        self.hear()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_connection_is_passed_whenever_keyd_serves_and_the_reason_whenever_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.sock");
    let connector = Connector::start(&path);
    for _ in 0..3 {
        let (answer, passed) = connector.ask(Request::Keyd);
        assert!(passed.is_none());
        let error = error_of(&answer).unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);

        let _keyd = Keyd::start(&path);
        let (answer, passed) = connector.ask(Request::Keyd);
        assert_eq!(answer, PASSED);
        let mut keyd = Connection::over(passed.unwrap()).unwrap();
        assert_eq!(keyd.call(&Status {}).unwrap().device_id, Some([0xd1; 32]));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_request_that_is_none_ends_the_connector_and_so_does_the_end_of_netd() {
    let folder = tempfile::tempdir().unwrap();
    for datagram in [Some(&b"x"[..]), Some(b"kk"), Some(&[0; MAX + 1]), None] {
        let mut connector = Connector::start(&folder.path().join("network.sock"));
        match datagram {
            Some(datagram) => connector.inbox.send(datagram).unwrap(),
            // This is netd's end that closes.
            None => drop(Inbox::replace_standard_input(pair().unwrap().0).unwrap()),
        }
        assert!(connector.process.wait().unwrap().success());
    }
}

#[test]
fn a_connector_whose_folder_is_not_there_does_not_begin() {
    let (_netd, theirs) = pair().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
        .args([SUBCOMMAND, "/nowhere/network.sock"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(71));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("/nowhere"), "{log}");
}
