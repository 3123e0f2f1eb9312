//! Accesses by RADIUS in the whole daemon, with a scripted key process and a server that rejects
//! everybody.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use softsim_carriers::radius::{Request, Secret};
use softsim_client::netd::{
    Access, AccessState, Accesses, Carrier, Command, Control, Event, Failure, Report,
};
use softsim_client::proto::requests::{Identity, IdentityRefused};
use softsim_client::proto::{IdentityAnswer, IdentityKind, RequestKind, kind_of};
use support::{Keyd, Netd, answer, encoded};

/// A server that says Access-Reject with EAP-Failure to whatever identity comes.
fn rejecting_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let secret = Secret::new(b"testing123".to_vec()).unwrap();
        let mut datagram = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut datagram) {
            let request = Request::parse(&datagram[..length], &secret).unwrap();
            let failure = [4, request.eap[1], 0, 4];
            let answer = request.reject(&secret, Some(&failure)).unwrap();
            socket.send_to(&answer, client).unwrap();
        }
    });
    address
}

/// A netd with one access of this name per line of settings.
fn netd(directory: &Path, accesses: &[(&str, &str)]) -> (Netd, Keyd) {
    Netd::start(&radius(directory, accesses))
}

fn radius(directory: &Path, accesses: &[(&str, &str)]) -> String {
    let secret = directory.join("secret");
    fs::write(&secret, b"testing123\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let server = rejecting_server();
    let access = |(name, more): &(&str, &str)| {
        format!(
            "[[access]]\nname = '{name}'\ncarrier = 'radius'\nservers = ['{server}']\nsecret_files = ['{}']\n{more}\n",
            secret.display()
        )
    };
    accesses.iter().map(access).collect()
}

fn accesses(netd: &Netd, command: Command) -> Vec<Access> {
    match netd.run(&command).unwrap() {
        Event::Done {
            report: Report::Access(report),
        } => report.accesses,
        other => panic!("{other:?}"),
    }
}

fn status(netd: &Netd) -> Vec<Access> {
    accesses(netd, Command::AccessStatus { name: None })
}

fn held(access: &Access) -> bool {
    matches!(access.state, AccessState::Held { .. })
}

#[test]
fn an_access_that_is_rejected_is_held_and_tries_again_later_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let (netd, _keyd) = netd(
        directory.path(),
        &[("aaa", "retry_after = 1\nretry_at_most = 3600")],
    );
    let end = Instant::now() + Duration::from_secs(60);
    let mut waits = Vec::new();
    while waits.len() < 3 {
        assert!(Instant::now() < end);
        let access = status(&netd).remove(0);
        if held(&access)
            && waits
                .last()
                .is_none_or(|(attempts, _)| *attempts < access.counters.attempts)
        {
            waits.push((access.counters.attempts, access.next_seconds.unwrap()));
            assert_eq!(access.counters.failures, access.counters.attempts);
        }
        thread::sleep(Duration::from_millis(20));
    }
    // 1, 2 and 4 seconds, a fifth more or less, rounded down.
    assert!(waits[2].1 >= 2 && waits[2].1 > waits[0].1, "{waits:?}");
}

/// A server may reject whoever it doesn't know before a method begins.
#[test]
fn a_pseudonym_that_is_rejected_is_told_to_keyd_and_not_shown_again_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let script = move |request: &[u8]| {
        let kind = kind_of(request).unwrap();
        match kind {
            RequestKind::Identity => {
                seen.lock().unwrap().push(kind);
                encoded::<Identity<'_>>(Ok(IdentityAnswer {
                    nai: "7alice@wlan.mnc001.mcc001.3gppnetwork.org".into(),
                    kind: IdentityKind::Pseudonym,
                }))
            }
            RequestKind::IdentityRefused => {
                seen.lock().unwrap().push(kind);
                encoded::<IdentityRefused<'_>>(Ok(()))
            }
            _ => answer(request),
        }
    };
    let access = radius(directory.path(), &[("aaa", "retry_after = 1")]);
    let (_netd, _keyd) = Netd::begin(&access, script);
    let end = Instant::now() + Duration::from_secs(60);
    while requests.lock().unwrap().len() < 4 {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(20));
    }
    let attempt = [RequestKind::Identity, RequestKind::IdentityRefused];
    assert_eq!(requests.lock().unwrap()[..4], [attempt, attempt].concat());
}

#[test]
fn connect_tells_each_message_and_how_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let manual = "automatic = false\nretry_after = 3600\nretry_at_most = 3600";
    let (netd, _keyd) = netd(directory.path(), &[("one", manual), ("two", manual)]);
    assert!(status(&netd).iter().all(|access| {
        access.counters.attempts == 0 && matches!(access.state, AccessState::Idle { .. })
    }));
    let command = Command::AccessConnect {
        name: Some("two".into()),
    };
    let events: Vec<Event> = Control::run(&netd.control, &command)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let messages: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Message {
                text,
                access,
                remark,
                ..
            } => Some((access.as_deref()?, text.as_str(), remark.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(messages[0], ("two", "EAP-Response/Identity", None));
    // A server that has proved nothing can't fail anything; Access-Reject can.
    let (_, text, remark) = messages[1];
    assert!(
        text == "EAP-Failure" && remark.is_some_and(|remark| remark.starts_with("discarded")),
        "{messages:?}"
    );
    let states: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Access { access, .. } => Some(access.state.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(states[0], "identity");
    assert!(states[1].ends_with("Access-Reject"), "{states:?}");
    let Some(Event::Done {
        report: Report::Access(report),
    }) = events.last()
    else {
        panic!("{events:?}")
    };
    assert!(report.accesses.len() == 1 && held(&report.accesses[0]));
    assert_eq!(report.accesses[0].carrier, Carrier::Radius);

    let idle = accesses(
        &netd,
        Command::AccessDisconnect {
            name: Some("two".into()),
        },
    );
    let expected = AccessState::Idle {
        reason: "disconnected".into(),
    };
    assert_eq!(idle[0].state, expected);
    assert_eq!(idle[0].next_seconds, None);
    assert_eq!(netd.status().unwrap().accesses.len(), 2);
}

#[test]
fn who_watches_is_told_where_accesses_stand_and_what_happens() {
    let directory = tempfile::tempdir().unwrap();
    let (netd, _keyd) = netd(
        directory.path(),
        &[("one", "automatic = false"), ("two", "automatic = false")],
    );
    let command = Command::AccessWatch {
        name: Some("one".into()),
    };
    let mut events = Control::run(&netd.control, &command)
        .unwrap()
        .map(Result::unwrap);
    let Some(Event::Access { access, .. }) = events.next() else {
        panic!()
    };
    assert_eq!(access.name, "one");
    accesses(&netd, Command::AccessConnect { name: None });
    // Its thread may have told that it waits for a command in between.
    let begun = events.find_map(|event| match event {
        Event::Access { access, .. } => {
            let idle = matches!(access.state, AccessState::Idle { .. });
            (!idle).then_some((access.name, access.state))
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(begun, Some(("one".to_owned(), AccessState::Identity)));
}

#[test]
fn unknown_access_is_named_in_the_error() {
    let directory = tempfile::tempdir().unwrap();
    let (with, _keyd) = netd(directory.path(), &[("one", "")]);
    let (without, _keyd) = Netd::start("");
    let status = Command::AccessStatus {
        name: Some("two".into()),
    };
    let connect = Command::AccessConnect { name: None };
    for (netd, command, kind, expected) in [
        (&with, status, Failure::Command, "two"),
        (&without, connect, Failure::Configuration, "[[access]]"),
    ] {
        let Some(Event::Failed { failure, reason }) = netd.run(&command) else {
            panic!()
        };
        assert_eq!(failure, kind);
        assert!(reason.contains(expected), "{reason}");
    }
    let none = Report::Access(Accesses::default());
    let status = without.run(&Command::AccessStatus { name: None });
    assert_eq!(status, Some(Event::Done { report: none }));
}

#[test]
fn an_access_that_requires_forward_secrecy_says_that_it_has_no_patience() {
    let directory = tempfile::tempdir().unwrap();
    let required = "automatic = false\nforward_secrecy = 'require'";
    let (netd, _keyd) = netd(
        directory.path(),
        &[("secret", required), ("plain", "automatic = false")],
    );
    let log = netd.log();
    let says: Vec<_> = (log.lines())
        .filter(|line| line.contains("whatever keyd's --identity-patience"))
        .collect();
    assert!(says.len() == 1 && says[0].contains("secret"), "{log}");
}
