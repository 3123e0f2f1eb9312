//! The finder, started as by the bridge: what it does under its filter, and that it needs each call
//! of the filter.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use softsim_sandbox::poll::{self, Entry};
use softsim_sandbox::seccomp::Filter;
use softsim_sandbox::seqpacket::{Connection, Received, pair};

/// How long the test waits for an event that either happens at once or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// A finder, which runs under these programs, and the bridge's ends of its two sockets.
struct Scene {
    finder: Child,
    bridge: Option<Connection>,
    socket: UnixDatagram,
}

impl Scene {
    fn start(under: &[&str], control: &Path) -> Self {
        let (ours, theirs) = pair().unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        let program = [under, &[env!("CARGO_BIN_EXE_softsim-bridge")]].concat();
        let finder = Command::new(program[0])
            .args(&program[1..])
            .arg("finder")
            .arg(control)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
            .spawn()
            .unwrap();
        Self {
            finder,
            bridge: Some(ours),
            socket,
        }
    }

    /// Sends a question and returns the answer; `None` if the finder has ended.
    fn ask(&self, question: &[u8]) -> Option<u8> {
        let bridge = self.bridge.as_ref()?;
        bridge.send(question).ok()?;
        let mut answer = [0];
        poll::wait(&mut [Entry::readable(bridge)], Some(PATIENCE)).unwrap();
        match bridge.receive(&mut answer) {
            Ok(Received::Datagram(1)) => Some(answer[0]),
            _ => None,
        }
    }

    /// Waits until the finder, which runs under strace, waits for a question, and so is neither
    /// stopped nor running.
    fn await_wait(&self) {
        let strace = self.finder.id();
        let end = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children"));
            let stat = fs::read_to_string(format!("/proc/{}/stat", children.unwrap().trim()));
            if stat.is_ok_and(|stat| stat.contains(") S ")) {
                return;
            }
            assert!(Instant::now() < end, "it doesn't wait");
        }
    }

    fn ends_well(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.finder.try_wait().unwrap() {
                return status.success();
            }
        }
        false
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.finder.kill();
        let _ = self.finder.wait();
    }
}

#[test]
fn whoever_listens_at_the_path_is_found_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let mut scene = Scene::start(&[], &path);
    assert_eq!(scene.ask(b"?"), Some(b'n'));
    for _ in 0..2 {
        let control = UnixDatagram::bind(&path).unwrap();
        assert_eq!(scene.ask(b"?"), Some(b'y'));
        scene.socket.send(b"ATTACH").unwrap();
        let mut heard = [0; 16];
        assert_eq!(control.recv(&mut heard).unwrap(), 6);
        drop(control);
        fs::remove_file(&path).unwrap();
        assert_eq!(scene.ask(b"?"), Some(b'n'));
    }
    scene.bridge = None;
    assert!(scene.ends_well());
}

#[test]
fn what_is_no_question_is_the_end() {
    for question in [&b"/run/dbus/system_bus_socket"[..], b"!", b"??"] {
        let mut scene = Scene::start(&[], Path::new("/run/nobody"));
        assert_eq!(scene.ask(question), None);
        assert!(scene.ends_well());
    }
}

#[test]
fn it_makes_each_call_that_its_filter_leaves_and_no_other() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("skipped: strace is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let strace = ["strace", "-qq", "-e", "signal=none", "-o"];
    let under = [&strace[..], &[trace.to_str().unwrap()]].concat();
    let mut scene = Scene::start(&under, &folder.path().join("control"));
    assert_eq!(scene.ask(b"?"), Some(b'n'));
    scene.await_wait();
    scene.bridge = None;
    assert!(scene.ends_well());
    let trace = fs::read_to_string(trace).unwrap();
    let calls = trace
        .lines()
        .filter_map(|line| Some(line.split_once('(')?.0));
    let calls: Vec<_> = calls.collect();
    let last = calls.iter().rposition(|call| *call == "seccomp").unwrap();
    let made: BTreeSet<_> = calls[last + 1..].iter().copied().collect();
    let allowed = Filter::Finder.calls().iter().copied();
    assert_eq!(made, allowed.collect());
}
