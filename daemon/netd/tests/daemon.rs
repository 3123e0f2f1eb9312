//! The whole daemon, confined, with a scripted key process.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, UdpSocket},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::{
    netd::{self, Control, Event, Failure, MAX_LINE, Management, RadiusSecret, Report},
    proto::{
        Call, Counters, Enforcement, HelloAnswer, IdentityAnswer, IdentityKind, IdentityPrivacy,
        KekSource, KeyMemory, MAX_ANSWER, MAX_REQUEST, PROTOCOL_VERSION, Refusal, RequestKind,
        Role, StatusAnswer, encode_answer, kind_of,
        requests::{DeviceCertificate, Hello, Identity, Status},
    },
};

fn encoded<C: Call>(answer: Result<C::Answer, Refusal>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_ANSWER];
    encode_answer::<C>(&answer, &mut buffer).unwrap().to_vec()
}

/// A device that has its key and nothing else.
fn answer(request: &[u8]) -> Vec<u8> {
    match kind_of(request).unwrap() {
        RequestKind::Hello => encoded::<Hello>(Ok(HelloAnswer {
            version: PROTOCOL_VERSION,
            role: Role::Network,
            max_request: MAX_REQUEST as u32,
            max_handles: 4,
        })),
        RequestKind::Status => encoded::<Status>(Ok(StatusAnswer {
            enforcement: Enforcement {
                landlock_abi: 7,
                seccomp_calls: 12,
                key_memory: KeyMemory::Plain,
                kek_source: KekSource::Development,
                identity_privacy: IdentityPrivacy::Conservative,
                supplicant: false,
                test_algorithm: false,
            },
            device_id: Some([0xd1; 32]),
            sealing_key_id: None,
            certified: false,
            trust_anchors: 0,
            profiles: 0,
            profile: None,
            capacity: 1,
            anchor: None,
            committed: None,
            counters: Counters::default(),
        })),
        RequestKind::Identity => encoded::<Identity<'_>>(Ok(IdentityAnswer {
            nai: "6001010000000007@wlan.mnc001.mcc001.3gppnetwork.org".into(),
            kind: IdentityKind::Permanent,
        })),
        RequestKind::DeviceCertificate => {
            encoded::<DeviceCertificate>(Err(Refusal::NoDeviceCertificate))
        }
        other => panic!("not expected: {other}"),
    }
}

/// A key process that answers every connection by the script, until it is dropped.
struct Keyd(Arc<Mutex<Vec<Socket>>>);

impl Keyd {
    fn start(path: &Path) -> Self {
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
        listener.listen(4).unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let accepted = Arc::clone(&connections);
        thread::spawn(move || {
            while let Ok((mut client, _)) = listener.accept() {
                accepted.lock().unwrap().push(client.try_clone().unwrap());
                thread::spawn(move || {
                    let mut request = vec![0; MAX_REQUEST];
                    while let Ok(length @ 1..) = client.read(&mut request) {
                        client.write_all(&answer(&request[..length])).unwrap();
                    }
                });
            }
        });
        Self(connections)
    }
}

impl Drop for Keyd {
    fn drop(&mut self) {
        for connection in self.0.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// softsim-netd in a folder of its own.
struct Netd {
    child: Child,
    control: PathBuf,
    _directory: tempfile::TempDir,
}

impl Drop for Netd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Netd {
    fn start(more: &str) -> (Self, Keyd) {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        fs::create_dir(file("state")).unwrap();
        let keyd = Keyd::start(&file("network.sock"));
        let config = format!(
            "keyd_socket = 'network.sock'\ncontrol_socket = 'netd.sock'\nstate_dir = 'state'\n{more}"
        );
        fs::write(file("netd.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_softsim-netd"))
            .arg("--config")
            .arg(file("netd.toml"))
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let control = file("netd.sock");
        let netd = Self {
            child,
            control,
            _directory: directory,
        };
        let end = Instant::now() + Duration::from_secs(20);
        while netd.status().is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        (netd, keyd)
    }

    fn status(&self) -> Option<netd::Status> {
        match self.run(&netd::Command::Status {})? {
            Event::Done {
                report: Report::Status(status),
            } => Some(status),
            other => panic!("{other:?}"),
        }
    }

    /// The last event of a command.
    fn run(&self, command: &netd::Command) -> Option<Event> {
        Control::run(&self.control, command).ok()?.last()?.ok()
    }

    /// What a line is answered with.
    fn say(&self, line: &[u8]) -> Event {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        // A line that is too long may be answered before it is read to its end.
        let _ = stream.write_all(line);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

#[test]
fn a_confined_netd_tells_what_confines_it() {
    let (netd, _keyd) = Netd::start("");
    let status = netd.status().unwrap();
    assert_eq!(status.endpoint, Some("d1".repeat(32)));
    assert_eq!(
        status.management,
        Management::NotBootstrapped { reason: None }
    );
    assert!(status.landlock_abi >= 1 && status.seccomp_calls > 0);
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
    let silent: Vec<_> = (0..16)
        .map(|_| UnixStream::connect(&netd.control).unwrap())
        .collect();
    let event = netd.run(&netd::Command::Status {}).unwrap();
    let Event::Failed { failure, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(failure, Failure::Busy);
    drop(silent);
    let served = || netd.run(&netd::Command::Status {});
    let end = Instant::now() + Duration::from_secs(20);
    while !matches!(served(), Some(Event::Done { .. })) {
        assert!(Instant::now() < end, "no place became free");
    }
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
        radius: radius.local_addr().unwrap(),
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
fn the_end_of_keyd_is_the_end_of_netd() {
    let (mut netd, keyd) = Netd::start("");
    drop(keyd);
    assert_eq!(netd.wait().unwrap().code(), Some(69));
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
