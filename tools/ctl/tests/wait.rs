//! `softsimctl wait` and `events`, and the monitor socket, with a scripted netd.

#![allow(clippy::unwrap_used, clippy::panic)]

mod schema;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use softsim_client::netd::{
    Access, AccessCounters, AccessState, Accesses, Carrier, Direction, Event, Failure, Happening,
    Report, What,
};
use softsim_sandbox::process;

/// What a script sends its events with.
type Say<'a> = &'a mut dyn FnMut(Event);

/// A netd that answers each command by this script, until the script has nothing more to say.
fn netd(path: &Path, script: impl Fn(&Value, Say<'_>) + Send + Sync + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let script = Arc::clone(&script);
            thread::spawn(move || answer(client, &*script));
        }
    });
}

fn answer(mut client: UnixStream, script: &dyn Fn(&Value, Say<'_>)) {
    let mut command = String::new();
    let mut reader = BufReader::new(client.try_clone().unwrap());
    reader.read_line(&mut command).unwrap();
    script(&serde_json::from_str(&command).unwrap(), &mut |event| {
        let line = serde_json::to_string(&event).unwrap() + "\n";
        // softsimctl may have seen enough.
        let _ = client.write_all(line.as_bytes());
    });
}

fn access(name: &str, automatic: bool, state: AccessState) -> Access {
    Access {
        name: name.into(),
        carrier: Carrier::Wired,
        at: "eth1".into(),
        server: None,
        renamed: None,
        automatic,
        state,
        seconds: 17,
        next_seconds: None,
        port: None,
        authentication: None,
        counters: AccessCounters::default(),
    }
}

fn held() -> AccessState {
    AccessState::Held {
        reason: "no authenticator answers".into(),
    }
}

fn report(accesses: Vec<Access>) -> Event {
    let report = Report::Access(Accesses { accesses });
    Event::Done { report }
}

fn happened(what: What) -> Event {
    Event::Happened(Happening {
        time: 1_796_000_000_123,
        what,
    })
}

fn keyd_serves() -> Event {
    happened(What::Keyd { lost: None })
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_softsimctl"));
    command
        .args(arguments)
        .env("SOFTSIM_NETD_SOCKET", control(folder))
        .env("SOFTSIM_NETD_MONITOR_SOCKET", monitor(folder));
    command
}

fn softsimctl(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn control(folder: &Path) -> PathBuf {
    folder.join("netd.sock")
}

fn monitor(folder: &Path) -> PathBuf {
    folder.join("netd-monitor.sock")
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).unwrap()
}

/// How `softsimctl wait` ends with accesses that never change.
fn waited(accesses: &[Access], more: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let accesses = accesses.to_vec();
    netd(&control(folder.path()), move |command, say| {
        if command["command"] == "events" {
            say(keyd_serves());
            thread::park();
        }
        let wanted = |access: &Access| {
            command["name"]
                .as_str()
                .is_none_or(|name| name == access.name)
        };
        say(report(
            accesses.iter().filter(|one| wanted(one)).cloned().collect(),
        ));
    });
    let output = softsimctl(folder.path(), &[&["wait"], more].concat());
    (output.status.code(), text(output.stderr))
}

#[test]
fn wait_ends_once_every_access_that_begins_by_itself_is_authorised() {
    let authorised = |name| access(name, true, AccessState::Authorised);
    let by_hand = access("spare", false, held());
    let both = [authorised("a"), authorised("b"), by_hand.clone()];
    assert_eq!(waited(&both, &[]).0, Some(0));
    let (status, said) = waited(
        &[authorised("a"), access("b", true, held())],
        &["--timeout", "3"],
    );
    assert_eq!(status, Some(75));
    let expected =
        "not authorised within 3 s; it waits for access b (held: no authenticator answers)";
    assert!(said.contains(expected), "{said}");
    assert_eq!(waited(&both, &["--access", "a"]).0, Some(0));
    assert_eq!(
        waited(&both, &["--access", "spare", "--timeout", "1"]).0,
        Some(75)
    );
}

#[test]
fn without_an_access_to_wait_for_it_says_so_at_once() {
    let (status, said) = waited(&[], &[]);
    assert_eq!(status, Some(78));
    assert!(said.contains("has no [[access]]"), "{said}");
    let (status, said) = waited(&[access("spare", false, held())], &[]);
    assert_eq!(status, Some(78));
    assert!(said.contains("name one with --access"), "{said}");
}

#[test]
fn wait_learns_of_a_change_when_it_happens_and_says_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let state = Mutex::new(held());
    netd(&control(folder.path()), move |command, say| {
        if command["command"] == "events" {
            say(keyd_serves());
            *state.lock().unwrap() = AccessState::Authorised;
            let now = access("uplink", true, AccessState::Authorised);
            say(happened(What::Access { access: now }));
            thread::park();
        }
        say(report(vec![access(
            "uplink",
            true,
            state.lock().unwrap().clone(),
        )]));
    });
    let output = softsimctl(folder.path(), &["wait", "--access", "uplink"]);
    assert_eq!(output.status.code(), Some(0));
    let expected = "waits for access uplink (held: no authenticator answers)\nauthorised\n";
    assert_eq!(text(output.stdout), expected);
}

#[test]
fn wait_waits_for_a_netd_that_comes_later_and_one_that_refuses_for_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut waiting = command(folder.path(), &["wait", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let absent = next()["waits_for"].to_string();
    assert!(
        absent.contains("softsim-netd, which isn't there yet"),
        "{absent}"
    );
    let asked = Mutex::new(0);
    netd(&control(folder.path()), move |command, say| {
        if command["command"] == "events" {
            return say(keyd_serves());
        }
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match *asked {
            1 => say(Event::Failed {
                failure: Failure::Busy,
                reason: "too many".into(),
            }),
            _ => say(report(vec![access(
                "uplink",
                true,
                AccessState::Authorised,
            )])),
        }
    });
    assert_eq!(next()["waits_for"], "softsim-netd: too many");
    assert_eq!(next()["authorised"], true);
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn events_have_their_version_and_time_and_are_words_for_people() {
    let folder = tempfile::tempdir().unwrap();
    netd(&control(folder.path()), |command, say| {
        assert_eq!(command["command"], "events");
        say(happened(What::Keyd {
            lost: Some("it has ended".into()),
        }));
        say(happened(What::Message {
            access: "uplink".into(),
            direction: Direction::Received,
            text: "EAP-Failure".into(),
            remark: Some("discarded".into()),
        }));
        say(happened(What::Missed { events: 17 }));
    });
    let output = softsimctl(folder.path(), &["events"]);
    assert_eq!(output.status.code(), Some(69), "netd has ended");
    let expected = "\
        2026-11-30T00:53:20Z softsim-keyd is lost: it has ended\n\
        2026-11-30T00:53:20Z access uplink <- EAP-Failure (discarded)\n\
        2026-11-30T00:53:20Z 17 events were missed\n";
    assert_eq!(text(output.stdout), expected);
    let output = softsimctl(folder.path(), &["events", "--json"]);
    let described = schema::describes(&output);
    assert_eq!(described, ["happened", "happened", "happened", "failure"]);
    let lines = text(output.stdout);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!(
            (&line["version"], &line["time"]),
            (&1.into(), &1_796_000_000_123_u64.into())
        );
    }
    assert_eq!(
        (&lines[2]["what"], &lines[2]["events"]),
        (&"missed".into(), &17.into())
    );
}

/// As a user who may not open the control socket.
fn as_an_observer(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(folder, arguments);
    if process::uid() == 0 {
        command.uid(65534).gid(65534);
    }
    command.output().unwrap()
}

#[test]
fn whoever_may_not_open_the_control_socket_looks_through_the_monitor_socket_and_orders_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(folder.path(), 0o755);
    let script = |_: &Value, say: Say<'_>| {
        say(report(vec![access(
            "uplink",
            true,
            AccessState::Authorised,
        )]));
    };
    netd(&control(folder.path()), script);
    mode(&control(folder.path()), 0o000);
    let denied = |output: &Output| {
        let said = text(output.stderr.clone());
        output.status.code() == Some(69) && said.contains("netd.sock: Permission denied")
    };
    let status = ["access", "status"];
    assert!(
        denied(&as_an_observer(folder.path(), &status)),
        "there is no monitor socket"
    );
    netd(&monitor(folder.path()), script);
    mode(&monitor(folder.path()), 0o666);
    for looks in [&status[..], &["wait"]] {
        let output = as_an_observer(folder.path(), looks);
        assert!(
            output.status.success(),
            "{looks:?}: {}",
            text(output.stderr)
        );
    }
    assert!(denied(&as_an_observer(
        folder.path(),
        &["access", "connect"]
    )));
}
