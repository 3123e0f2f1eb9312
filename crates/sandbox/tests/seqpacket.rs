//! The sockets of the request path, between threads of one process.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use softsim_sandbox::seqpacket::{Connection, Listener, Received};
use softsim_sandbox::{poll, process};
use tempfile::TempDir;

fn listener() -> (TempDir, Listener) {
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::bind(&folder.path().join("socket"), 0o660).unwrap();
    (folder, listener)
}

fn connected() -> (Connection, Connection) {
    let (folder, listener) = listener();
    let client = Connection::connect(&folder.path().join("socket")).unwrap();
    (client, listener.accept().unwrap().unwrap())
}

#[test]
fn datagrams_keep_their_bounds() {
    let (client, server) = connected();
    client.send(b"first").unwrap();
    client.send(b"second").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(server.receive(&mut buffer).unwrap(), Received::Datagram(5));
    assert_eq!(server.receive(&mut buffer).unwrap(), Received::Datagram(6));
    assert_eq!(&buffer[..6], b"second");
}

#[test]
fn a_datagram_larger_than_the_buffer_is_told_and_lost() {
    let (client, server) = connected();
    client.send(&[1; 17]).unwrap();
    client.send(&[2; 16]).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(server.receive(&mut buffer).unwrap(), Received::Truncated);
    assert_eq!(server.receive(&mut buffer).unwrap(), Received::Datagram(16));
    assert_eq!(buffer, [2; 16]);
}

#[test]
fn no_call_waits() {
    let (_folder, listener) = listener();
    assert!(listener.accept().unwrap().is_none());
    let (client, server) = connected();
    assert_eq!(server.receive(&mut [0; 16]).unwrap(), Received::Nothing);
    let full = loop {
        if let Err(error) = client.send(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_end_of_a_peer_is_seen_by_receive_and_send() {
    let (client, server) = connected();
    drop(client);
    assert_eq!(server.receive(&mut [0; 16]).unwrap(), Received::Closed);
    assert_eq!(
        server.send(b"late").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn an_empty_datagram_closes() {
    let (client, server) = connected();
    client.send(b"").unwrap();
    assert_eq!(server.receive(&mut [0; 16]).unwrap(), Received::Closed);
}

#[test]
fn both_ends_know_the_user_of_the_other() {
    let (client, server) = connected();
    assert_eq!(server.peer_uid(), process::uid());
    assert_eq!(client.peer_uid(), process::uid());
}

#[test]
fn a_connection_gives_its_descriptor_to_another_event_loop() {
    let (client, server) = connected();
    let descriptor = OwnedFd::from(client);
    server.send(b"x").unwrap();
    let mut entries = [poll::Entry::readable(&descriptor)];
    poll::wait(&mut entries, None).unwrap();
    assert!(entries[0].ready());
}

#[test]
fn the_socket_file_has_the_given_mode() {
    let (folder, _listener) = listener();
    let mode = fs::metadata(folder.path().join("socket"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn only_an_abandoned_socket_is_replaced() {
    let (folder, listener) = listener();
    let path = folder.path().join("socket");
    let bind = || Listener::bind(&path, 0o600);
    assert_eq!(bind().unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    drop(bind().unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"a file of somebody else").unwrap();
    assert_eq!(bind().unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read(&path).unwrap(), b"a file of somebody else");
}

#[test]
fn a_path_that_does_not_fit_is_an_error() {
    for path in ["", &"x".repeat(108), "a\0b"] {
        let error = Listener::bind(Path::new(path), 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
    }
}

#[test]
fn only_a_listening_seqpacket_socket_can_be_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let stream = UnixListener::bind(folder.path().join("stream")).unwrap();
    let (client, _server) = connected();
    for wrong in [OwnedFd::from(stream), OwnedFd::from(client)] {
        let error = Listener::from_inherited(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let (folder, original) = listener();
    let taken = Listener::from_inherited(original.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let _client = Connection::connect(&folder.path().join("socket")).unwrap();
    assert!(taken.accept().unwrap().is_some());
}
