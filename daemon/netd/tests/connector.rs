//! The connector, with this test as its netd.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::keyd::Connection;
use softsim_client::proto::requests::Status;
use softsim_netd::connector::process::{KEEPER, SUBCOMMAND};
use softsim_netd::connector::wire::{CONNECTED, MAX, READY, Request, access_of, error_of};
use softsim_sandbox::passing::Inbox;
use softsim_sandbox::poll;
use softsim_sandbox::seqpacket::{Connection as Seqpacket, Listener, Received, pair};
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
        Self::start_with(keyd, &[])
    }

    fn start_with(keyd: &Path, files: &[PathBuf]) -> Self {
        Self::start_beside(keyd, &[], files)
    }

    fn start_beside(keyd: &Path, keepers: &[PathBuf], files: &[PathBuf]) -> Self {
        let alone = ONE_AT_A_TIME.lock();
        let (ours, theirs) = pair().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
            .arg(SUBCOMMAND)
            .arg(keyd)
            .args(files)
            .args(
                keepers
                    .iter()
                    .map(|path| format!("{KEEPER}{}", path.display())),
            )
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
        assert_eq!(error.kind(), ErrorKind::NotFound);

        let _keyd = Keyd::start(&path);
        let (answer, passed) = connector.ask(Request::Keyd);
        assert_eq!(answer, CONNECTED);
        let mut keyd = Connection::over(passed.unwrap()).unwrap();
        assert_eq!(keyd.call(&Status {}).unwrap().device_id, Some([0xd1; 32]));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_keyd_that_accepts_nobody_is_given_up_soon_and_holds_up_no_other_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.sock");
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let open = || softsim_client::keyd::open(&path, Duration::from_millis(1));
    let queued: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
    assert!(!queued.is_empty());

    let connector = Connector::start_with(&path, &[path.with_extension("toml")]);
    let begun = Instant::now();
    connector.inbox.send(&Request::Keyd.encode()).unwrap();
    for expected in [ErrorKind::WouldBlock, ErrorKind::NotFound] {
        let (answer, passed) = connector.ask(Request::File(0));
        assert!(passed.is_none());
        assert_eq!(error_of(&answer).unwrap().kind(), expected);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "keyd may take ten for an answer"
    );
}

#[test]
fn the_files_of_the_command_line_are_passed_as_they_are_now_to_read_and_no_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let [etc, other] = ["etc", "other"].map(|name| folder.path().join(name));
    for directory in [&etc, &other] {
        fs::create_dir(directory).unwrap();
    }
    let files = ["netd.toml", "secret", "link"].map(|name| etc.join(name));
    fs::write(&files[0], "one").unwrap();
    fs::write(&files[1], "secret").unwrap();
    fs::set_permissions(&files[1], fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(other.join("beside"), "beside").unwrap();
    // It leads elsewhere only after the start.
    fs::write(&files[2], "").unwrap();
    let connector = Connector::start_with(&folder.path().join("network.sock"), &files);
    let read = |place: u16| {
        let (answer, passed) = connector.ask(Request::File(place));
        let Some(passed) = passed else {
            return Err(error_of(&answer).unwrap().kind());
        };
        let mut text = String::new();
        let mut file = fs::File::from(passed);
        file.read_to_string(&mut text).unwrap();
        assert!(file.write(b"x").is_err(), "it is for reading");
        Ok((text, access_of(&answer).unwrap().mode))
    };
    let mode = read(0).unwrap().1;
    assert_eq!(read(1), Ok(("secret".into(), 0o640)));
    assert_eq!(read(3), Err(ErrorKind::InvalidInput));
    // An editor writes another file and renames it.
    fs::write(etc.join("new"), "two").unwrap();
    fs::rename(etc.join("new"), &files[0]).unwrap();
    assert_eq!(read(0), Ok(("two".into(), mode)));
    fs::remove_file(&files[2]).unwrap();
    symlink(other.join("beside"), &files[2]).unwrap();
    assert_eq!(read(2), Err(ErrorKind::PermissionDenied));
    fs::remove_file(&files[2]).unwrap();
    assert_eq!(read(2), Err(ErrorKind::NotFound));
}

/// A folder such as /etc has what the connector doesn't need, and a folder can't be given in part.
#[test]
fn in_a_folder_at_the_root_only_the_file_of_the_start_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    let files = [file.path().to_owned()];
    let connector = Connector::start_with(&folder.path().join("network.sock"), &files);
    assert!(connector.ask(Request::File(0)).1.is_some());
    let other = tempfile::NamedTempFile::new_in("/tmp").unwrap();
    other.persist(file.path()).unwrap();
    let (answer, passed) = connector.ask(Request::File(0));
    assert!(passed.is_none());
    let error = error_of(&answer).unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_named_pipe_in_place_of_a_file_is_refused_and_the_connector_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "").unwrap();
    let socket = folder.path().join("network.sock");
    let connector = Connector::start_with(&socket, std::slice::from_ref(&file));
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    for _ in 0..2 {
        let (answer, passed) = connector.ask(Request::File(0));
        assert!(passed.is_none());
        let error = error_of(&answer).unwrap().to_string();
        assert_eq!(error, "expected a regular file, got a named pipe");
    }
}

#[test]
fn a_connection_to_the_port_keeper_of_a_place_is_passed_and_nothing_else_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let keyd = folder.path().join("network.sock");
    let keepers = ["eth1.sock", "eth2.sock"].map(|name| folder.path().join(name));
    let [_first, second] = [0, 1].map(|place| Listener::bind(&keepers[place], 0o600).unwrap());
    let connector = Connector::start_beside(&keyd, &keepers, &[]);
    let (answer, passed) = connector.ask(Request::Keeper(1));
    assert_eq!(answer, CONNECTED);
    let netd = Seqpacket::from(passed.unwrap());
    let keeper = second.accept().unwrap().unwrap();
    keeper.send(b"x").unwrap();
    assert_eq!(netd.receive(&mut [0; 2]).unwrap(), Received::Datagram(1));

    let refused = |place| {
        let (answer, passed) = connector.ask(Request::Keeper(place));
        assert!(passed.is_none());
        error_of(&answer).unwrap()
    };
    assert_eq!(refused(2).kind(), ErrorKind::InvalidInput);
    fs::remove_file(&keepers[0]).unwrap();
    assert_eq!(refused(0).kind(), ErrorKind::NotFound);
    let made = Command::new("mkfifo").arg(&keepers[0]).status();
    assert!(made.unwrap().success());
    assert_eq!(refused(0).kind(), ErrorKind::ConnectionRefused);
    fs::remove_file(&keepers[0]).unwrap();
    let _stream = UnixListener::bind(&keepers[0]).unwrap();
    // EPROTOTYPE
    assert_eq!(refused(0).raw_os_error(), Some(91));
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
