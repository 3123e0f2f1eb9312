//! The whole daemon, confined, with a scripted key process.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::Permissions;
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{fs, thread};

use softsim_client::netd::{
    self, AccessState, Control, Event, Failure, MAX_LINE, Management, RadiusSecret,
};
use softsim_client::proto::requests::{DeviceCertificate, Hello, Status};
use softsim_client::proto::{CertificateAnswer, Refusal, RequestKind, Role, StatusAnswer, kind_of};
use support::{Keyd, Netd, answer, encoded, hello, status};

#[test]
fn a_confined_netd_tells_what_confines_it() {
    let (netd, _keyd) = Netd::start("");
    let status = netd.status().unwrap();
    assert_eq!(status.endpoint, Some("d1".repeat(32)));
    assert_eq!(
        status.management,
        Management::NotBootstrapped { reason: None }
    );
    assert_eq!(status.release, env!("CARGO_PKG_VERSION"));
    assert!(status.landlock_abi >= 1 && status.seccomp_calls > 0);
}

/// Otherwise each access would log off.
#[test]
fn a_keyd_that_wants_to_be_asked_later_for_its_next_change_is_not_taken_for_lost() {
    let (waits, waited) = mpsc::channel();
    let script = move |request: &[u8]| {
        if kind_of(request) == Ok(RequestKind::Wait) {
            waits.send(()).unwrap();
            return encoded::<Status>(Err(Refusal::RetryAfter { milliseconds: 1 }));
        }
        answer(request)
    };
    let (netd, _keyd) = Netd::start_with("", script);
    for _ in 0..3 {
        waited.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    assert!(!netd.log().contains("is lost"), "{}", netd.log());
}

/// keyd answers netd's first question at once, and its second when it is let.
#[test]
fn netd_answers_when_it_knows_its_endpoint_and_not_before() {
    let (asked, second) = mpsc::channel();
    let (let_it, gate) = mpsc::channel::<()>();
    let gate = Mutex::new((0, gate));
    let (netd, _keyd) = Netd::begin("", move |request| {
        if kind_of(request) == Ok(RequestKind::Status) {
            let mut gate = gate.lock().unwrap();
            gate.0 += 1;
            if gate.0 == 2 {
                asked.send(()).unwrap();
                gate.1.recv().unwrap();
            }
        }
        answer(request)
    });
    second.recv_timeout(Duration::from_secs(20)).unwrap();
    thread::scope(|scope| {
        let status = scope.spawn(|| netd.status());
        // Nothing can come; what comes all the same is there by then.
        thread::sleep(Duration::from_millis(100));
        assert!(!status.is_finished());
        let_it.send(()).unwrap();
        let status = status.join().unwrap().unwrap();
        assert_eq!(status.endpoint, Some("d1".repeat(32)));
    });
}

#[test]
fn malformed_lines_are_answered_and_netd_goes_on() {
    let (netd, _keyd) = Netd::start("");
    let too_long = [&vec![b' '; MAX_LINE][..], b"{}\n"].concat();
    for line in [
        &b"\n"[..],
        b"{\"command\":\"status\"}",
        b"{\"command\":\"reboot\"}\n",
        b"{\"command\":\"status\",\"more\":1}\n",
        b"{\"command\":\"eap-test\",\"radius\":\"localhost\",\"secret\":\"00\"}\n",
        b"\xff\xfe\x00\n",
        &too_long,
    ] {
        let event = netd.say(line);
        let command = |event: &Event| {
            let Event::Failed { failure, .. } = event else {
                return false;
            };
            *failure == Failure::Command
        };
        assert!(command(&event), "{}: {event:?}", line.escape_ascii());
    }
    assert!(netd.status().is_some());
}

/// A bootstrap server that isn't there, with a certificate for it in `directory`.
fn bootstrap_server(directory: &Path) -> String {
    let authority = directory.join("ca.pem");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    fs::write(&authority, certificate.pem()).unwrap();
    format!(
        "[bootstrap]\nuri = 'coaps://127.0.0.1:9'\nserver_trust = ['{}']\n",
        authority.display()
    )
}

#[test]
fn one_client_too_many_is_told_so_and_served_once_there_is_room() {
    let (netd, _keyd) = Netd::start("");
    // The connection that found netd ready may hold a place for a moment longer, so that one of the
    // silent ones is refused. netd accepts them in their order.
    let mut silent: Vec<UnixStream> = Vec::new();
    let event = loop {
        silent.resize_with(16, || {
            let connection = UnixStream::connect(&netd.control).unwrap();
            connection.set_nonblocking(true).unwrap();
            connection
        });
        let event = netd.run(&netd::Command::Status {}).unwrap();
        silent.retain(|mut connection| connection.read(&mut [0]).is_err());
        if silent.len() == 16 {
            break event;
        }
    };
    let Event::Failed { failure, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(failure, Failure::Busy);
    // Each is answered; the log tells of the first, and of the others after a minute.
    for _ in 0..100 {
        assert!(matches!(
            netd.run(&netd::Command::Status {}),
            Some(Event::Failed { .. })
        ));
    }
    let log = netd.log();
    assert_eq!(log.matches("too many").count(), 1, "{log}");
    drop(silent);
    let served = || netd.run(&netd::Command::Status {});
    let end = Instant::now() + Duration::from_secs(20);
    while !matches!(served(), Some(Event::Done { .. })) {
        assert!(Instant::now() < end, "no place became free");
    }
}

#[test]
fn a_netd_that_has_no_descriptor_left_goes_on_and_serves_when_it_has() {
    let (netd, _keyd) = Netd::start("");
    netd.limit_descriptors(3);
    let _waits = UnixStream::connect(&netd.control).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while !netd.log().contains("Too many open files") {
        assert!(Instant::now() < end, "nothing is logged");
        thread::sleep(Duration::from_millis(2));
    }
    netd.limit_descriptors(1024);
    assert!(netd.status().is_some());
}

#[test]
fn a_netd_without_a_descriptor_for_the_next_keyd_waits_until_it_has_one() {
    let (mut netd, keyd) = Netd::start("");
    netd.limit_descriptors(3);
    drop(keyd);
    let _next = Keyd::start(&netd.keyd_socket());
    netd.await_log("softsim-keyd is still lost reason=Too many open files", 1);
    netd.limit_descriptors(1024);
    netd.await_log("softsim-keyd has returned", 1);
    assert!(netd.child.try_wait().unwrap().is_none());
}

#[test]
fn a_bootstrap_without_a_server_or_a_certificate_says_so() {
    let failed = |netd: &Netd| match netd.run(&netd::Command::Bootstrap {}).unwrap() {
        Event::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    let (netd, _keyd) = Netd::start("");
    assert!(failed(&netd).contains("bootstrap server"));

    let directory = tempfile::tempdir().unwrap();
    let (netd, _keyd) = Netd::start(&bootstrap_server(directory.path()));
    assert!(failed(&netd).contains("no device certificate"));
}

/// Anybody can forge an ICMP message, so only the client is told; netd's handshake goes on.
#[test]
fn a_bootstrap_server_that_is_not_there_is_told_at_once_and_tried_on() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let server = bootstrap_server(directory.path());
    let server = server.replace("127.0.0.1:9", &address.to_string()) + "automatic = false\n";
    let (netd, _keyd) = Netd::begin(&server, |request| match kind_of(request).unwrap() {
        RequestKind::DeviceCertificate => {
            encoded::<DeviceCertificate>(Ok(CertificateAnswer { der: vec![0x30, 0] }))
        }
        _ => answer(request),
    });
    let end = Instant::now() + Duration::from_secs(20);
    while netd.status().is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    let events = Control::run(&netd.control, &netd::Command::Bootstrap {}).unwrap();
    let mut steps = Vec::new();
    let mut failure = None;
    for event in events {
        match event.unwrap() {
            Event::Step { text, .. } => steps.push(text),
            Event::Failed {
                failure: kind,
                reason,
            } => failure = Some((kind, reason)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(steps[0], format!("DTLS handshake with {address}"));
    let refused = format!("{address}: the network says that nothing listens there");
    assert_eq!(steps[1], refused, "{steps:#?}");
    let again = format!("no answer from {address}: DTLS flight sent again (1)");
    assert!(steps.contains(&again), "{steps:#?}");
    let (kind, reason) = failure.unwrap();
    assert_eq!(kind, Failure::Unavailable);
    assert!(reason.contains("also of the first repetition"), "{reason}");
    let management = netd.status().unwrap().management;
    assert_eq!(management, Management::Bootstrapping);
}

#[test]
fn without_accounts_netd_bootstraps_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let reason = |netd: &Netd| match netd.status().unwrap().management {
        Management::NotBootstrapped { reason } => reason,
        other => panic!("{other:?}"),
    };
    let (netd, _keyd) = Netd::start(&bootstrap_server(directory.path()));
    let end = Instant::now() + Duration::from_secs(20);
    while reason(&netd).is_none() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(reason(&netd).unwrap().contains("no device certificate"));
}

#[test]
fn a_signal_ends_netd_in_peace() {
    for signal in ["TERM", "INT"] {
        let (mut netd, _keyd) = Netd::start("");
        let id = netd.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        assert_eq!(netd.wait().unwrap().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn an_authentication_begins_with_the_identity_that_keyd_gives() {
    let radius = UdpSocket::bind("127.0.0.1:0").unwrap();
    radius
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let (netd, keyd) = Netd::start("");
    let command = netd::Command::EapTest {
        radius: radius.local_addr().unwrap().to_string(),
        secret: RadiusSecret::new(b"testing123".to_vec()),
        identity: None,
    };
    let mut events = Control::run(&netd.control, &command).unwrap();
    let mut request = [0; 4096];
    let length = radius.recv(&mut request).unwrap();
    let text = request[..length].escape_ascii().to_string();
    assert!(text.contains("6001010000000007@wlan.mnc001"), "{text}");
    let Some(Ok(Event::Message { text, .. })) = events.next() else {
        panic!("no message")
    };
    assert_eq!(text, "EAP-Response/Identity");
    // A second one has to wait.
    let busy = netd.run(&command).unwrap();
    let Event::Failed { failure, .. } = busy else {
        panic!("{busy:?}")
    };
    assert_eq!(failure, Failure::Busy);
    // Whoever leaves makes room.
    drop(events);
    let end = Instant::now() + Duration::from_secs(20);
    let mut busy = true;
    while busy && Instant::now() < end {
        let mut next = Control::run(&netd.control, &command).unwrap();
        busy = matches!(next.next(), Some(Ok(Event::Failed { .. })));
    }
    assert!(!busy);
    drop(keyd);
}

#[test]
fn netd_outlives_keyd_and_goes_on_with_the_next_one() {
    let (mut netd, mut keyd) = Netd::start("");
    for _ in 0..10 {
        drop(keyd);
        netd.await_keyd(|lost| lost.is_some());
        keyd = Keyd::start(&netd.keyd_socket());
        netd.await_keyd(|lost| lost.is_none());
        // The LwM2M task asks the new one.
        let bootstrap = netd.run(&netd::Command::Bootstrap {});
        let Some(Event::Failed { failure, .. }) = bootstrap else {
            panic!("{bootstrap:?}")
        };
        assert_eq!(failure, Failure::Configuration, "there is no server");
    }
    assert!(netd.child.try_wait().unwrap().is_none());
    let log = netd.log();
    assert_eq!(log.matches("softsim-keyd is lost;").count(), 10, "{log}");
    assert_eq!(
        log.matches("softsim-keyd has returned").count(),
        10,
        "{log}"
    );
}

#[test]
fn an_attempt_that_keyds_end_cut_short_is_made_again_as_soon_as_keyd_returns() {
    let radius = UdpSocket::bind("127.0.0.1:0").unwrap();
    radius
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "testing123").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let access = format!(
        "[[access]]\nname = 'radius'\ncarrier = 'radius'\nservers = ['{}']\nsecret_files = ['{}']\n\
         retry_after = 10000\nretry_at_most = 10000\n",
        radius.local_addr().unwrap(),
        secret.display()
    );
    let (asked, identity) = mpsc::channel();
    let (_never, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let (netd, keyd) = Netd::begin(&access, move |request| {
        if kind_of(request) == Ok(RequestKind::Identity) {
            asked.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }
        answer(request)
    });
    identity.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(keyd);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match netd
            .status()
            .map(|mut status| status.accesses.remove(0).state)
        {
            Some(AccessState::Held { reason }) => {
                assert!(reason.starts_with("softsim-keyd restarted"), "{reason}");
                break;
            }
            other => assert!(Instant::now() < end, "{other:?}"),
        }
    }
    let _keyd = Keyd::start(&netd.keyd_socket());
    assert!(radius.recv(&mut [0; 4096]).unwrap() > 0);
}

#[test]
fn a_command_waits_for_a_keyd_that_restarts_and_fails_if_that_takes_long() {
    let radius = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (netd, keyd) = Netd::start("");
    drop(keyd);
    netd.await_keyd(|lost| lost.is_some());
    let command = netd::Command::EapTest {
        radius: radius.local_addr().unwrap().to_string(),
        secret: RadiusSecret::new(b"testing123".to_vec()),
        identity: None,
    };
    let failed = netd.run(&command);
    let Some(Event::Failed { failure, reason }) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(failure, Failure::Unavailable);
    assert!(reason.starts_with("softsim-keyd is lost: "), "{reason}");
    // This one waits.
    let mut events = Control::run(&netd.control, &command).unwrap();
    let _keyd = Keyd::start(&netd.keyd_socket());
    let event = events.next();
    let Some(Ok(Event::Message { text, .. })) = event else {
        panic!("{event:?}")
    };
    assert_eq!(text, "EAP-Response/Identity");
}

const VERSION: Refusal = Refusal::Version {
    expected: 0,
    got: 1,
};

#[test]
fn a_keyd_that_is_of_no_use_is_told_and_one_that_is_serves_again() {
    let (netd, mut keyd) = Netd::start("");
    let role = |role| {
        move |request: &[u8]| match kind_of(request) {
            Ok(RequestKind::Hello) => hello(role),
            _ => answer(request),
        }
    };
    drop(keyd);
    let (attempt, attempts) = mpsc::channel();
    let of_application = role(Role::App);
    keyd = Keyd::start_with(&netd.keyd_socket(), move |request| {
        let _ = attempt.send(());
        of_application(request)
    });
    netd.await_keyd(|lost| lost.is_some_and(|lost| lost.contains("for the role app")));
    // However long that lasts, one line says so.
    attempts.iter().take(3).for_each(drop);
    drop(keyd);
    keyd = Keyd::start_with(&netd.keyd_socket(), |request| match kind_of(request) {
        Ok(RequestKind::Hello) => encoded::<Hello>(Err(VERSION)),
        _ => answer(request),
    });
    netd.await_keyd(|lost| lost == Some(&*VERSION.to_string()));
    drop(keyd);
    keyd = Keyd::start_with(&netd.keyd_socket(), role(Role::Network));
    netd.await_keyd(|lost| lost.is_none());
    let log = netd.log();
    for line in [
        "is still lost reason=expected the socket for the role network",
        "has returned",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
    drop(keyd);
}

#[test]
fn a_keyd_with_another_device_ends_netd() {
    let (mut netd, keyd) = Netd::start("");
    drop(keyd);
    let _other = Keyd::start_with(&netd.keyd_socket(), |request| match kind_of(request) {
        Ok(RequestKind::Status) => encoded::<Status>(Ok(StatusAnswer {
            device_id: Some([0xd2; 32]),
            ..status()
        })),
        _ => answer(request),
    });
    assert_eq!(netd.wait().unwrap().code(), Some(69));
    let log = netd.log();
    let expected = format!("expected {}, got {}", "d1".repeat(32), "d2".repeat(32));
    assert!(
        log.contains("another device") && log.contains(&expected),
        "{log}"
    );
}

#[test]
fn a_configuration_that_is_none_ends_with_its_field_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("netd.toml");
    fs::write(&path, "keyd = 'x'\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("keyd"), "{log}");
}
