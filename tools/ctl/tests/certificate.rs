//! softsimctl tells what the dates of the device certificate mean: when it is stored, and in the
//! status.

#![allow(clippy::unwrap_used, clippy::panic)]

mod schema;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::netd::{self, Event, Management, Report};
use softsim_client::proto::requests::{DeviceCertificate, Hello, SetDeviceCertificate, Status};
use softsim_client::proto::{
    Call, CertificateAnswer, Counters, Enforcement, HelloAnswer, IdentityPrivacy, KekSource,
    KeyMemory, MAX_ANSWER, MAX_REQUEST, Overwrites, PROTOCOL_VERSION, ProfileInfo, ProfileState,
    Refusal, RequestKind, Role, StatusAnswer, Times, encode_answer, kind_of,
};

/// 2030-07-01T00:00:00Z.
const NOW: u64 = 1_909_094_400;
const DAY: u64 = 86_400;

/// A certificate that is valid from the beginning of a day to that of another.
fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> (Vec<u8>, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "gateway");
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(to.0, to.1, to.2);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    (certificate.der().to_vec(), certificate.pem())
}

fn encoded<C: Call>(answer: Result<C::Answer, Refusal>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_ANSWER];
    encode_answer::<C>(&answer, &mut buffer).unwrap().to_vec()
}

fn status(times: Times) -> StatusAnswer {
    StatusAnswer {
        changes: 1,
        enforcement: Enforcement {
            landlock_abi: 7,
            seccomp_calls: 12,
            key_memory: KeyMemory::SecretMemory,
            kek_source: KekSource::Development,
            overwrites: Overwrites::InPlace,
            identity_privacy: IdentityPrivacy::Patient,
            identity_patience: 600,
            supplicant: false,
            test_profiles: false,
        },
        device_id: Some([0xd1; 32]),
        sealing_key_id: None,
        certified: true,
        trust_anchors: 0,
        profiles: 0,
        profile: None,
        capacity: 8,
        anchor: None,
        committed: None,
        accounts: None,
        identities: None,
        counters: Some(Counters::default()),
        times,
    }
}

/// A folder with a keyd that has this certificate and these times, and the number of certificates
/// that it was given.
struct Gateway {
    folder: tempfile::TempDir,
    stored: Arc<Mutex<u32>>,
}

/// The status of a gateway that has all it needs.
fn provisioned(times: Times) -> StatusAnswer {
    let status = status(times);
    StatusAnswer {
        enforcement: Enforcement {
            kek_source: KekSource::KeyFile,
            ..status.enforcement
        },
        profile: Some(ProfileInfo {
            iccid: "8988211000000000078".into(),
            state: ProfileState::Enabled,
            algorithm: "milenage".into(),
            autn_mac_rejected: 0,
        }),
        profiles: 1,
        ..status
    }
}

/// A netd that is as it should be.
fn netd(path: &Path) {
    let status = netd::Status {
        release: env!("CARGO_PKG_VERSION").into(),
        uptime: 17,
        endpoint: None,
        landlock_abi: 7,
        seccomp_calls: 47,
        keyd_lost: None,
        accounts: None,
        accounts_fault: None,
        management: Management::NotBootstrapped { reason: None },
        accesses: Vec::new(),
    };
    let report = Report::Status(status);
    let line = serde_json::to_string(&Event::Done { report }).unwrap() + "\n";
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut command = String::new();
            let mut reader = BufReader::new(client.try_clone().unwrap());
            reader.read_line(&mut command).unwrap();
            client.write_all(line.as_bytes()).unwrap();
        }
    });
}

impl Gateway {
    fn new(times: Times, der: Vec<u8>) -> Self {
        Self::with(times, der, status)
    }

    /// Whose keyd has this status.
    fn with(times: Times, der: Vec<u8>, status: fn(Times) -> StatusAnswer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stored = Arc::new(Mutex::new(0));
        let count = Arc::clone(&stored);
        let answer = move |request: &[u8]| match kind_of(request).unwrap() {
            RequestKind::Hello => encoded::<Hello>(Ok(HelloAnswer {
                version: PROTOCOL_VERSION,
                role: Role::Admin,
                max_request: MAX_REQUEST as u32,
                max_handles: 4,
            })),
            RequestKind::Status => encoded::<Status>(Ok(status(times))),
            RequestKind::DeviceCertificate => {
                encoded::<DeviceCertificate>(Ok(CertificateAnswer { der: der.clone() }))
            }
            RequestKind::SetDeviceCertificate => {
                *count.lock().unwrap() += 1;
                encoded::<SetDeviceCertificate<'_>>(Ok(()))
            }
            other => panic!("{other}"),
        };
        serve(&folder.path().join("admin.sock"), answer);
        Self { folder, stored }
    }

    fn softsimctl(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_softsimctl"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env(
                "SOFTSIM_ADMIN_SOCKET",
                self.folder.path().join("admin.sock"),
            )
            .env("SOFTSIM_NETD_SOCKET", self.folder.path().join("netd.sock"))
            .output()
            .unwrap();
        if arguments.contains(&"--json") {
            schema::describes(&output);
        }
        output
    }

    /// The text of a status, of which the exit status is this, and the object.
    fn status(&self, code: i32) -> (String, Value) {
        let Output {
            stdout: text,
            status,
            ..
        } = self.softsimctl(&["status"]);
        assert_eq!(status.code(), Some(code));
        let json = self.softsimctl(&["--json", "status"]).stdout;
        (
            String::from_utf8(text).unwrap(),
            serde_json::from_slice(&json).unwrap(),
        )
    }

    fn enrol(&self, pem: &str, options: &[&str]) -> Output {
        fs::write(self.folder.path().join("device.pem"), pem).unwrap();
        let enrol = ["enrol", "--certificate", "device.pem"];
        self.softsimctl(&[&enrol, options].concat())
    }

    fn stored(&self) -> u32 {
        *self.stored.lock().unwrap()
    }
}

/// Serves every connection, one after the other.
fn serve(path: &Path, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(4).unwrap();
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = vec![0; MAX_REQUEST];
            while let Ok(length @ 1..) = client.read(&mut request) {
                client.write_all(&answer(&request[..length])).unwrap();
            }
        }
    });
}

/// The times of a gateway whose clock is right.
fn clock(clock: u64) -> Times {
    Times {
        clock,
        built: NOW - 2 * 365 * DAY,
        kept: 0,
    }
}

#[test]
fn status_tells_subject_and_end_of_the_device_certificate() {
    for (to, words, state, days) in [
        (
            (2031, 7, 1),
            "expires in 365 days (2031-07-01T00:00:00Z)",
            "valid",
            365,
        ),
        (
            (2030, 7, 13),
            "expires in 12 days (2030-07-13T00:00:00Z)",
            "ends-soon",
            12,
        ),
        (
            (2030, 6, 28),
            "expired 2 days ago (2030-06-28T00:00:00Z)",
            "expired",
            -3,
        ),
    ] {
        let (der, _) = certificate((2029, 7, 1), to);
        // A moment before midnight, so that the days are whole.
        let (text, json) = Gateway::new(clock(NOW - 1), der).status(2);
        let line = format!("certificate      CN=gateway, {words}\n");
        assert!(text.contains(&line), "{text}");
        let json = &json["keyd"]["certificate"];
        assert_eq!(json["subject"], "CN=gateway");
        assert_eq!(json["issuer"], "CN=gateway");
        assert!(text.contains("issued by        CN=gateway\n"), "{text}");
        assert_eq!(json["state"], state);
        assert_eq!(json["days_left"], days);
        assert!(json["not_after"].as_u64() > json["not_before"].as_u64());
    }
}

#[test]
fn a_gateway_is_degraded_before_its_certificate_ends_and_not_ready_afterwards() {
    for (to, code, word, reason) in [
        ((2031, 7, 1), 0, "ready", ""),
        (
            (2030, 7, 13),
            1,
            "degraded: ",
            "the device certificate expires in 12 days (2030-07-13T00:00:00Z)",
        ),
        (
            (2030, 6, 28),
            2,
            "not ready: ",
            "the device certificate expired 2 days ago (2030-06-28T00:00:00Z): servers will refuse it, unless the clock is wrong (softsimctl time)",
        ),
    ] {
        let (der, _) = certificate((2029, 7, 1), to);
        let gateway = Gateway::with(clock(NOW - 1), der, provisioned);
        netd(&gateway.folder.path().join("netd.sock"));
        let (text, json) = gateway.status(code);
        assert_eq!(text.lines().next().unwrap(), format!("{word}{reason}"));
        assert_eq!(json["verdict"]["state"], word.trim_end_matches(": "));
    }
}

#[test]
fn status_goes_on_without_the_dates_of_what_cannot_be_read() {
    let (text, json) = Gateway::new(clock(NOW), vec![0x30, 0]).status(2);
    let line = "certificate      stored, but its dates can't be read\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(json["keyd"]["certificate"]["state"], "unreadable");
}

#[test]
fn enrol_tells_the_dates_and_warns_of_those_that_do_not_serve() {
    for (from, to, warning) in [
        ((2029, 7, 1), (2031, 7, 1), None),
        (
            (2029, 7, 1),
            (2030, 7, 13),
            Some("it expires in 12 days (2030-07-13T00:00:00Z)"),
        ),
        (
            (2029, 7, 1),
            (2030, 6, 28),
            Some(
                "it expired 2 days ago (2030-06-28T00:00:00Z): servers will refuse it, unless the clock is wrong (softsimctl time)",
            ),
        ),
        (
            (2030, 8, 1),
            (2031, 8, 1),
            Some(
                "it is not valid before 2030-08-01T00:00:00Z: servers may refuse it until then, unless the clock is wrong (softsimctl time)",
            ),
        ),
    ] {
        let (_, pem) = certificate(from, to);
        let gateway = Gateway::new(clock(NOW - 1), Vec::new());
        let output = gateway.enrol(&pem, &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(
            text.starts_with("certificate stored device.pem\nCN=gateway, "),
            "{text}"
        );
        let warned = text.lines().find_map(|line| line.strip_prefix("warning: "));
        assert_eq!(warned, warning);
        let json = gateway.enrol(&pem, &["--json"]).stdout;
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["done"], "certificate_stored");
        assert_eq!(json["warning"].as_str(), warning);
        assert_eq!(json["certificate"]["subject"], "CN=gateway");
        assert_eq!(gateway.stored(), 2);
    }
}

#[test]
fn enrol_refuses_a_certificate_that_has_certainly_expired_and_stores_nothing() {
    let (_, pem) = certificate((2029, 7, 1), (2030, 6, 28));
    // The clock stands at 1970; what an operator signed shows that the end has passed.
    let times = Times {
        clock: 0,
        built: 0,
        kept: NOW,
    };
    let gateway = Gateway::new(times, Vec::new());
    let output = gateway.enrol(&pem, &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65), "{text}");
    assert!(text.contains("device.pem: expected a certificate that is valid, got CN=gateway, expired 3 days ago (2030-06-28T00:00:00Z)"), "{text}");
    assert!(text.contains("softsimctl time shows"), "{text}");
    assert_eq!(gateway.stored(), 0);
}

#[test]
fn a_certificate_that_ends_before_the_stored_one_is_stored_only_if_it_must_be() {
    let (stored, _) = certificate((2029, 7, 1), (2031, 7, 1));
    let (_, earlier) = certificate((2029, 8, 1), (2031, 6, 30));
    let (_, later) = certificate((2030, 6, 1), (2032, 7, 1));
    let gateway = Gateway::new(clock(NOW - 1), stored);
    let output = gateway.enrol(&earlier, &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65), "{text}");
    assert!(
        text.contains("expected a certificate that doesn't end before the stored one (2031-07-01T00:00:00Z), got CN=gateway, expires in 364 days"),
        "{text}"
    );
    assert!(text.contains("--force stores it all the same"), "{text}");
    assert_eq!(gateway.stored(), 0);
    assert!(gateway.enrol(&earlier, &["--force"]).status.success());
    assert_eq!(gateway.stored(), 1);
    let text = String::from_utf8(gateway.enrol(&later, &[]).stdout).unwrap();
    let replaced = "before: CN=gateway, expires in 365 days (2031-07-01T00:00:00Z)\n";
    assert!(text.ends_with(replaced), "{text}");
    let json = gateway.enrol(&later, &["--json"]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["replaced"]["days_left"], 365);
    assert_eq!(gateway.stored(), 3);
}

#[test]
fn without_a_clock_a_certificate_may_have_begun() {
    let (_, pem) = certificate((2030, 8, 1), (2031, 8, 1));
    let times = Times {
        clock: 0,
        built: NOW,
        kept: 0,
    };
    let gateway = Gateway::new(times, Vec::new());
    let text = String::from_utf8(gateway.enrol(&pem, &[]).stdout).unwrap();
    assert!(
        text.contains("CN=gateway, expires 2031-08-01T00:00:00Z\n"),
        "{text}"
    );
}
