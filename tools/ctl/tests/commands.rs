//! softsimctl with scripted daemons: its requests, output and exit status.

#![allow(clippy::unwrap_used, clippy::panic)]

mod schema;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};
use softsim_client::netd::{
    self, Access, AccessCounters, AccessState, Accesses, Authentication, Carrier, Direction,
    EapTest, Event, Failure, Happening, Management, MskComparison, Port, Report, What,
};
use softsim_client::proto::requests::{
    AddTrustAnchor, CertificateRequest, Commit, Delete, Disable, Enable, ForgetIdentities,
    GenerateDeviceKey, Hello, ListProfiles, RemoveTrustAnchor, SealingStatement,
    SetDeviceCertificate, SetTimeBack, Stage, Status,
};
use softsim_client::proto::{
    Call, CertificateAnswer, Counters, DeviceKeyAnswer, Enforcement, HelloAnswer, IdentityPrivacy,
    IdentityStatus, KekSource, KeyMemory, MAX_ANSWER, MAX_REQUEST, Overwrites, PROTOCOL_VERSION,
    PackageFault, ProfileInfo, ProfileState, ProfilesAnswer, Refusal, RequestKind, Role,
    SealingStatementAnswer, StageAnswer, Staged, StatusAnswer, Times, decode_request,
    encode_answer, kind_of,
};

fn encoded<C: Call>(answer: Result<C::Answer, Refusal>) -> Vec<u8> {
    let mut buffer = vec![0; MAX_ANSWER];
    encode_answer::<C>(&answer, &mut buffer).unwrap().to_vec()
}

fn status_answer() -> StatusAnswer {
    StatusAnswer {
        changes: 1,
        enforcement: Enforcement {
            landlock_abi: 7,
            seccomp_calls: 12,
            key_memory: KeyMemory::SecretMemory,
            kek_source: KekSource::Development,
            overwrites: Overwrites::Elsewhere,
            identity_privacy: IdentityPrivacy::Liberal,
            identity_patience: 600,
            supplicant: true,
            test_profiles: false,
        },
        device_id: Some([0xd1; 32]),
        sealing_key_id: None,
        certified: false,
        trust_anchors: 1,
        profiles: 1,
        profile: Some(ProfileInfo {
            iccid: "8988211000000000078".into(),
            state: ProfileState::Enabled,
            algorithm: "milenage".into(),
            autn_mac_rejected: 3,
        }),
        capacity: 8,
        anchor: None,
        committed: None,
        accounts: None,
        identities: Some(IdentityStatus {
            privacy: IdentityPrivacy::Patient,
            pseudonyms: 2,
            quarters: 3,
            shown: 1,
        }),
        counters: Some(Counters {
            times_set_back: 3,
            ..Counters::default()
        }),
        times: Times {
            clock: 17,
            built: 1_796_063_414,
            kept: 1_900_000_000,
        },
    }
}

/// Serves one connection after the other; the script answers each request after Hello.
fn keyd(path: &Path, script: impl Fn(RequestKind, &[u8]) -> Vec<u8> + Send + 'static) {
    let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(1).unwrap();
    let serve = move |mut client: Socket| {
        let mut request = vec![0; MAX_REQUEST];
        while let Ok(length @ 1..) = client.read(&mut request) {
            let datagram = &request[..length];
            let answer = match kind_of(datagram).unwrap() {
                RequestKind::Hello => encoded::<Hello>(Ok(HelloAnswer {
                    version: PROTOCOL_VERSION,
                    role: Role::Admin,
                    max_request: MAX_REQUEST as u32,
                    max_handles: 4,
                })),
                RequestKind::Status => encoded::<Status>(Ok(status_answer())),
                other => script(other, datagram),
            };
            client.write_all(&answer).unwrap();
        }
    };
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            serve(client);
        }
    });
}

/// Serves one command with these events.
fn netd(path: &Path, events: Vec<Event>) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut command = String::new();
        BufReader::new(client.try_clone().unwrap())
            .read_line(&mut command)
            .unwrap();
        for event in events {
            let line = serde_json::to_string(&event).unwrap() + "\n";
            client.write_all(line.as_bytes()).unwrap();
        }
    });
}

fn softsimctl(directory: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_softsimctl"))
        .args(arguments)
        .current_dir(directory)
        .env("SOFTSIM_ADMIN_SOCKET", directory.join("admin.sock"))
        .env("SOFTSIM_NETD_SOCKET", directory.join("netd.sock"))
        .env(
            "SOFTSIM_NETD_MONITOR_SOCKET",
            directory.join("netd-monitor.sock"),
        )
        .output()
        .unwrap();
    let mut own = arguments.iter().take_while(|word| **word != "--");
    if own.any(|word| *word == "--json") {
        schema::describes(&output);
    }
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_absent_daemon_is_named_with_its_socket_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let output = softsimctl(directory.path(), &["profile", "list"]);
    assert_eq!(output.status.code(), Some(69));
    let text = stderr(&output);
    assert!(text.contains("admin.sock"), "{text}");
    assert!(text.contains("is softsim-keyd running?"), "{text}");
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["profile", "list", "--colour"][..], &["eap-test"], &[]] {
        let output = softsimctl(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_is_one_object_if_it_asks_for_json() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, reason) in [
        (
            &["--json", "statsu"][..],
            "unrecognized subcommand 'statsu'",
        ),
        (
            &["eap-test", "--json"],
            "the following required arguments were not provided: --radius <HOST:PORT> --secret-file <FILE>",
        ),
    ] {
        let output = softsimctl(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let failure: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(failure["error"], reason);
        assert_eq!(failure["status"], 64);
    }
    let arguments = ["vault", "unlock", "--", "keyd", "--json"];
    let text = stderr(&softsimctl(directory.path(), &arguments));
    assert!(text.starts_with("error: "), "that --json is keyd's: {text}");
}

#[test]
fn help_names_each_exit_status() {
    let directory = tempfile::tempdir().unwrap();
    let help = softsimctl(directory.path(), &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    for (status, meaning) in softsim_sandbox::exit_status::TABLE {
        let row = format!("  {status:<4} {meaning}");
        assert!(help.lines().any(|line| line == row), "{row}\n{help}");
    }
}

#[test]
fn status_is_one_object_and_says_why_netd_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    keyd(&directory.path().join("admin.sock"), |kind, _| {
        panic!("{kind}")
    });
    let output = softsimctl(directory.path(), &["status", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["verdict"]["state"], "degraded");
    assert_eq!(value["keyd_error"], Value::Null);
    let reasons = value["verdict"]["reasons"].to_string();
    for reason in ["K or OPc", "development key", "softsim-netd doesn't answer"] {
        assert!(reasons.contains(reason), "{reasons}");
    }
    assert_eq!(value["keyd"]["key_memory"], "memfd_secret");
    assert_eq!(value["keyd"]["overwrites"], "elsewhere");
    assert_eq!(value["keyd"]["device_id"], "d1".repeat(32));
    assert_eq!(value["keyd"]["profile"]["state"], "enabled");
    assert_eq!(value["keyd"]["profile"]["autn_mac_rejected"], 3);
    assert_eq!(value["netd"], Value::Null);
    assert!(value["netd_error"].as_str().unwrap().contains("netd.sock"));
}

#[test]
fn without_daemons_the_verdict_is_the_first_line_and_each_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let output = softsimctl(directory.path(), &["status"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let first = "not ready: softsim-keyd doesn't answer; softsim-netd doesn't answer";
    assert_eq!(text.lines().next(), Some(first));
    for daemon in ["keyd", "netd"] {
        let line = text.lines().find(|line| line.starts_with(daemon)).unwrap();
        let running = format!("is softsim-{daemon} running?");
        assert!(line.contains(&running), "{line}");
    }
    let output = softsimctl(directory.path(), &["status", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["verdict"]["state"], "not ready");
    assert!(value["keyd_error"].as_str().unwrap().contains("admin.sock"));
}

#[test]
fn doctor_examines_this_host_and_says_what_to_change() {
    let directory = tempfile::tempdir().unwrap();
    keyd(&directory.path().join("admin.sock"), |kind, _| {
        panic!("{kind}")
    });
    let doctor = ["doctor", "--config", "netd.toml", "--json"];
    let output = softsimctl(directory.path(), &doctor);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["verdict"]["state"], "not ready");
    let findings = value["findings"].as_array().unwrap();
    let told = |found: &str| {
        let told = |finding: &&Value| finding["found"].as_str().unwrap().contains(found);
        let finding = findings
            .iter()
            .find(told)
            .unwrap_or_else(|| panic!("{found}: {findings:?}"));
        (finding["state"].clone(), finding["advice"].to_string())
    };
    let (state, advice) = told("the development key doesn't protect the vault");
    assert_eq!(state, "amiss");
    assert!(advice.contains("softsimctl vault rekey"), "{advice}");
    let (state, advice) = told("netd.sock is missing");
    assert_eq!(state, "wrong");
    assert!(advice.contains("start softsim-netd"), "{advice}");
    let words = ["fine", "unexamined", "amiss", "wrong"];
    for finding in findings {
        assert!(
            words.iter().any(|word| finding["state"] == *word),
            "{finding}"
        );
        let bad = finding["state"] == "amiss" || finding["state"] == "wrong";
        assert!(!bad || finding["advice"].is_string(), "{finding}");
    }
}

#[test]
fn a_bundle_is_for_its_owner_alone_and_replaces_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let doctor = [
        "doctor",
        "--config",
        "netd.toml",
        "--bundle",
        "bundle",
        "--json",
    ];
    let output = softsimctl(directory.path(), &doctor);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["bundle"], "bundle");
    let file = directory.path().join("bundle");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("netd.sock is missing"), "{text}");

    let again = softsimctl(directory.path(), &doctor);
    assert_eq!(again.status.code(), Some(73));
    assert!(
        stderr(&again).contains("doesn't exist yet"),
        "{}",
        stderr(&again)
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

/// The answers of a keyd that carries out whatever softsimctl asks.
fn obedient(kind: RequestKind, datagram: &[u8]) -> Vec<u8> {
    let iccid = || "8988211000000000078".to_owned();
    match kind {
        RequestKind::GenerateDeviceKey => encoded::<GenerateDeviceKey>(Ok(DeviceKeyAnswer {
            device_id: [0xd1; 32],
        })),
        RequestKind::CertificateRequest => {
            encoded::<CertificateRequest>(Ok(CertificateAnswer { der: vec![0x30, 0] }))
        }
        RequestKind::SealingStatement => encoded::<SealingStatement>(Ok(SealingStatementAnswer {
            statement: vec![1, 2, 3],
        })),
        RequestKind::SetDeviceCertificate => encoded::<SetDeviceCertificate<'_>>(Ok(())),
        RequestKind::AddTrustAnchor => encoded::<AddTrustAnchor<'_>>(Ok(())),
        RequestKind::RemoveTrustAnchor => encoded::<RemoveTrustAnchor<'_>>(Ok(())),
        RequestKind::ListProfiles => encoded::<ListProfiles>(Ok(ProfilesAnswer {
            profiles: vec![status_answer().profile.unwrap()],
            next: None,
        })),
        RequestKind::Enable => encoded::<Enable<'_>>(Ok(())),
        RequestKind::Disable => encoded::<Disable<'_>>(Ok(())),
        RequestKind::Delete => encoded::<Delete<'_>>(Ok(())),
        RequestKind::ForgetIdentities => encoded::<ForgetIdentities<'_>>(Ok(())),
        RequestKind::SetTimeBack => encoded::<SetTimeBack>(Ok(())),
        RequestKind::Commit => encoded::<Commit>(Ok(())),
        RequestKind::Stage => {
            let stage: Stage<'_> = decode_request(datagram).unwrap();
            encoded::<Stage<'_>>(Ok(StageAnswer {
                staged: Some(match stage.package.unwrap() {
                    b"rotate" => Staged::SealingKeyRotated,
                    b"delete" => Staged::Deleted { iccid: iccid() },
                    _ => Staged::Installed { iccid: iccid() },
                }),
            }))
        }
        other => panic!("{other}"),
    }
}

/// One of each thing that may happen.
fn happenings(management: Management, accesses: Vec<Access>) -> Vec<Event> {
    let all = [
        What::Access {
            access: access(AccessState::Authorised),
        },
        What::Message {
            access: "uplink".into(),
            direction: Direction::Received,
            text: "EAP-Failure".into(),
            remark: Some("discarded".into()),
        },
        What::Keyd { lost: None },
        What::Management { management },
        What::Accounts {
            transaction: None,
            fault: None,
        },
        What::Reload { fault: None },
        What::Missed { events: 3 },
    ];
    let happened = all.map(|what| Event::Happened(Happening { time: 17, what }));
    let report = Report::Access(Accesses { accesses });
    happened
        .into_iter()
        .chain([Event::Done { report }])
        .collect()
}

/// What a netd says in the course of this command.
fn events_of(command: &str) -> Vec<Event> {
    let management = Management::Registered {
        server: "coaps://lwm2m.example".into(),
        location: "/rd/1".into(),
    };
    let accesses = vec![access(AccessState::Authorised)];
    match command {
        "events" => return happenings(management, accesses),
        "wait" => {
            let report = Report::Access(Accesses { accesses });
            return vec![Event::Done { report }];
        }
        _ => {}
    }
    let report = match command {
        "status" => Report::Status(netd::Status {
            release: env!("CARGO_PKG_VERSION").into(),
            uptime: 17,
            endpoint: Some("gateway".into()),
            landlock_abi: 7,
            seccomp_calls: 47,
            keyd_lost: None,
            accounts: None,
            accounts_fault: None,
            management,
            accesses,
        }),
        "bootstrap" | "accounts" => Report::Bootstrap(netd::Bootstrap {
            transaction: "00".repeat(16),
            package: Some("profile 8988 installed".into()),
            management,
        }),
        "access" => Report::Access(Accesses { accesses }),
        other => panic!("{other}"),
    };
    let step = Event::Step {
        microseconds: 17,
        text: "DTLS handshake".into(),
    };
    let message = Event::Message {
        microseconds: 18,
        direction: Direction::Sent,
        text: "EAPOL-Start".into(),
        remark: Some("again".into()),
        access: Some("uplink".into()),
    };
    let changed = Event::Access {
        microseconds: 19,
        access: access(AccessState::Held {
            reason: "no authenticator answers".into(),
        }),
    };
    vec![step, message, changed, Event::Done { report }]
}

#[test]
fn what_each_command_prints_for_programs_is_an_object_of_the_schema() {
    let directory = tempfile::tempdir().unwrap();
    keyd(&directory.path().join("admin.sock"), obedient);
    for name in ["install", "rotate", "delete", "device.der", "issuer.der"] {
        fs::write(directory.path().join(name), name).unwrap();
    }
    let program = directory.path().join("keyd");
    fs::write(&program, "#!/bin/sh\necho '<5>softsim-keyd: done' >&2\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    let mut printed = BTreeSet::new();
    for line in [
        "status",
        "doctor --config netd.toml",
        "time",
        "time set-back 1900000000",
        "enrol",
        "enrol --certificate device.der --trust-issuer issuer.der --distrust-issuer issuer.der",
        "profile list",
        "profile enable 8988211000000000078",
        "profile disable 8988211000000000078",
        "profile delete 8988211000000000078",
        "profile install install",
        "profile install rotate",
        "profile install delete",
        "identity forget",
        "vault init-passphrase --parameters parameters",
        "vault rekey --state s --keyd ./keyd --kek-file k --new-kek-file n",
        "vault accept --state s --keyd ./keyd --kek-file k --anchor-file a",
        "bootstrap",
        "accounts reset",
        "access status",
        "access connect",
        "access disconnect",
        "access watch",
        "events",
        "wait",
        "profile list --colour",
    ] {
        let words: Vec<_> = line.split(' ').chain(["--json"]).collect();
        let socket = directory.path().join("netd.sock");
        if [
            "status",
            "bootstrap",
            "accounts",
            "access",
            "events",
            "wait",
        ]
        .contains(&words[0])
        {
            let _ = fs::remove_file(&socket);
            netd(&socket, events_of(words[0]));
        }
        let output = softsimctl(directory.path(), &words);
        let described = schema::describes(&output);
        assert!(!described.is_empty(), "{line}");
        let failed = described.contains(&"failure".to_owned());
        assert_eq!(
            failed,
            line.ends_with("--colour"),
            "{line}: {}",
            stderr(&output)
        );
        printed.extend(described);
    }
    let expected: BTreeSet<_> = schema::whole().into_iter().collect();
    assert_eq!(printed, expected);
}

#[test]
fn a_failure_is_one_object_too() {
    let directory = tempfile::tempdir().unwrap();
    let output = softsimctl(directory.path(), &["profile", "list", "--json"]);
    let value: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(value["status"], 69);
    assert_eq!(output.status.code(), Some(69));
    assert!(value["error"].as_str().unwrap().contains("admin.sock"));
    assert!(value["hint"].as_str().unwrap().contains("running?"));
}

#[test]
fn enrol_takes_out_the_request_and_the_statement_of_keys_that_exist() {
    let directory = tempfile::tempdir().unwrap();
    keyd(&directory.path().join("admin.sock"), |kind, _| match kind {
        RequestKind::GenerateDeviceKey => {
            encoded::<GenerateDeviceKey>(Err::<DeviceKeyAnswer, _>(Refusal::DeviceKeyExists))
        }
        RequestKind::CertificateRequest => {
            encoded::<CertificateRequest>(Ok(CertificateAnswer { der: vec![0x30, 0] }))
        }
        RequestKind::SealingStatement => encoded::<SealingStatement>(Ok(SealingStatementAnswer {
            statement: vec![1, 2, 3],
        })),
        other => panic!("{other}"),
    });
    let output = softsimctl(directory.path(), &["enrol"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let request = fs::read_to_string(directory.path().join("device.csr")).unwrap();
    assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    let statement = fs::read(directory.path().join("sealing-statement.cose")).unwrap();
    assert_eq!(statement, [1, 2, 3]);
}

#[test]
fn install_commits_the_transaction_that_it_staged() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("sim.package"), b"sealed").unwrap();
    let staged = std::sync::Mutex::new(None);
    keyd(
        &directory.path().join("admin.sock"),
        move |kind, datagram| match kind {
            RequestKind::Stage => {
                let stage: Stage<'_> = decode_request(datagram).unwrap();
                assert_eq!(stage.package, Some(&b"sealed"[..]));
                *staged.lock().unwrap() = Some(stage.txid);
                encoded::<Stage<'_>>(Ok(StageAnswer {
                    staged: Some(Staged::Installed {
                        iccid: "8988211000000000078".into(),
                    }),
                }))
            }
            RequestKind::Commit => {
                let commit: Commit = decode_request(datagram).unwrap();
                assert_eq!(Some(commit.txid), *staged.lock().unwrap());
                encoded::<Commit>(Ok(()))
            }
            RequestKind::ListProfiles => encoded::<ListProfiles>(Ok(ProfilesAnswer {
                profiles: vec![ProfileInfo {
                    iccid: "8988211000000000078".into(),
                    state: ProfileState::Disabled,
                    algorithm: "milenage".into(),
                    autn_mac_rejected: 0,
                }],
                next: None,
            })),
            other => panic!("{other}"),
        },
    );
    let output = softsimctl(directory.path(), &["profile", "install", "sim.package"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, b"installed 8988211000000000078, disabled\n");
}

#[test]
fn a_refusal_says_what_to_do_first() {
    let directory = tempfile::tempdir().unwrap();
    keyd(&directory.path().join("admin.sock"), |_, _| {
        encoded::<Delete<'_>>(Err(Refusal::ProfileEnabled))
    });
    let output = softsimctl(
        directory.path(),
        &["profile", "delete", "8988211000000000078"],
    );
    assert_eq!(output.status.code(), Some(77));
    assert!(stderr(&output).contains("disable it first"));
}

fn eap_test(events: Vec<Event>) -> (Output, Vec<Value>) {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, b"testing123\n").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    netd(&directory.path().join("netd.sock"), events);
    let radius = [
        "eap-test",
        "--json",
        "--radius",
        "127.0.0.1:1812",
        "--secret-file",
        "secret",
    ];
    let output = softsimctl(directory.path(), &radius);
    let lines = output.stdout.split(|octet| *octet == b'\n');
    let values = lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    (output, values)
}

fn authentication() -> Authentication {
    Authentication {
        method: "EAP-AKA'".into(),
        identity: "pseudonym".into(),
        reauthenticated: false,
        forward_secrecy: true,
        session_id: "32".repeat(33),
    }
}

fn access(state: AccessState) -> Access {
    Access {
        name: "uplink".into(),
        carrier: Carrier::Wired,
        at: "eth1".into(),
        server: None,
        renamed: None,
        automatic: true,
        authentication: (state == AccessState::Authorised).then(authentication),
        state,
        seconds: 17,
        next_seconds: Some(3),
        port: Some(Port::Authorised),
        counters: AccessCounters::default(),
    }
}

/// The output of `softsimctl access` for an access in this state.
fn access_command(command: &[&str], state: AccessState) -> Output {
    access_reported(command, access(state))
}

/// The output of `softsimctl access` for an access that netd reports.
fn access_reported(command: &[&str], access: Access) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let report = Report::Access(Accesses {
        accesses: vec![access],
    });
    netd(
        &directory.path().join("netd.sock"),
        vec![Event::Done { report }],
    );
    softsimctl(directory.path(), &[&["access"], command].concat())
}

#[test]
fn an_access_is_connected_only_when_it_is_authorised() {
    let held = || AccessState::Held {
        reason: "no authenticator answers".into(),
    };
    for (command, state, expected) in [
        ("connect", AccessState::Authorised, 0),
        ("connect", held(), 75),
        ("status", held(), 0),
        ("disconnect", held(), 0),
    ] {
        let output = access_command(&[command, "uplink"], state);
        assert_eq!(output.status.code(), Some(expected), "{command}");
    }
    let output = access_command(&["connect"], held());
    assert!(stderr(&output).contains("access uplink: held: no authenticator answers"));
}

#[test]
fn the_state_of_an_access_is_told_in_words_and_as_an_object() {
    let output = access_command(&["status"], AccessState::Authorised);
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "uplink authorised, port open: EAP-AKA', forward secrecy, shown first: pseudonym",
        "wired at eth1, for 17 s, next attempt in 3 s",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let output = access_command(&["status", "--json"], AccessState::Authorised);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let access = &value["report"]["accesses"][0];
    assert_eq!(access["state"]["is"], "authorised");
    assert_eq!(access["port"], "authorised");
    assert_eq!(access["authentication"]["method"], "EAP-AKA'");
}

#[test]
fn the_radius_server_in_use_is_told_in_words_and_as_a_field() {
    let radius = || Access {
        carrier: Carrier::Radius,
        at: "aaa1.example:1812, aaa2.example:1812".into(),
        server: Some("aaa2.example:1812".into()),
        port: None,
        ..access(AccessState::Authorised)
    };
    let output = access_reported(&["status"], radius());
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "uplink authorised, server aaa2.example:1812: EAP-AKA'";
    assert!(text.contains(expected), "{text}");
    let output = access_reported(&["status", "--json"], radius());
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let access = &value["report"]["accesses"][0];
    assert_eq!(access["server"], "aaa2.example:1812");
}

#[test]
fn status_says_aloud_what_may_be_seen_of_the_subscriber() {
    let directory = tempfile::tempdir().unwrap();
    keyd(&directory.path().join("admin.sock"), |kind, _| {
        panic!("not expected: {kind}")
    });
    let output = softsimctl(directory.path(), &["status"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for expected in [
        // The narrower one of keyd's policy and the profile's.
        "identity privacy patient (600 s)",
        "pseudonyms       2 known, refused 0 times",
        "patience         3 of 4 quarters over; IMSI shown 1 times",
        "supplicant       served: CK and IK",
        "IMSI in clear    given 0 times, withheld 0 times",
        "raw CK and IK    given 0 times",
        "time             unknown, at least 2030-03-17T17:46:40Z, the kept time",
        "kept time        set back 3 times",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn identity_forget_names_the_profile_or_leaves_it_to_keyd() {
    for (arguments, expected, told) in [
        (&["identity", "forget"][..], None, "8988211000000000078"),
        (&["identity", "forget", "89010"], Some("89010"), "89010"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        keyd(
            &directory.path().join("admin.sock"),
            move |kind, request| {
                assert_eq!(kind, RequestKind::ForgetIdentities);
                let forget: ForgetIdentities<'_> = decode_request(request).unwrap();
                assert_eq!(forget.iccid, expected);
                encoded::<ForgetIdentities<'_>>(Ok(()))
            },
        );
        let output = softsimctl(directory.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("identities forgotten {told}\n"));
    }
}

#[test]
fn a_wrong_command_line_asks_for_no_more_than_it_must() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["vault", "rekey", "--state", "st", "--development-key"];
    let said = stderr(&softsimctl(directory.path(), &arguments));
    let each = [
        "--new-kek-file",
        "--new-kek-credential",
        "--new-development-key",
        "--new-parameters",
    ];
    let missing = said.lines().nth(1).unwrap_or_default();
    assert!(each.iter().all(|flag| missing.contains(flag)), "{said}");
    assert!(!missing.contains("--kek-file"), "{said}");
    let arguments = [
        "vault",
        "init-passphrase",
        "--parameters",
        "p",
        "--memory-mib",
        "99999999",
    ];
    let said = stderr(&softsimctl(directory.path(), &arguments));
    assert!(
        said.contains("--memory-mib") && said.contains("19..=4096"),
        "{said}"
    );
}

#[test]
fn an_operator_who_is_not_trusted_is_told_with_the_way_to_trust() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("sim.package"), b"sealed").unwrap();
    keyd(&directory.path().join("admin.sock"), |_, _| {
        let fault = PackageFault::UnknownIssuer { got: [7; 32] };
        encoded::<Stage<'_>>(Err(Refusal::Package(fault)))
    });
    let output = softsimctl(directory.path(), &["profile", "install", "sim.package"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(stderr(&output).contains("enrol --trust-issuer"));
}

#[test]
fn time_shows_what_validity_is_judged_by() {
    let run = |arguments: &[&str]| {
        let directory = tempfile::tempdir().unwrap();
        keyd(&directory.path().join("admin.sock"), |kind, _| {
            panic!("not expected: {kind}")
        });
        let output = softsimctl(directory.path(), arguments);
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = "\
clock            1970-01-01T00:00:17Z (17)
build            2026-11-30T18:30:14Z (1796063414)
kept time        2030-03-17T17:46:40Z (1900000000)
time             unknown, at least 2030-03-17T17:46:40Z, the kept time
";
    assert_eq!(run(&["time"]), expected);
    let value: Value = serde_json::from_str(&run(&["time", "--json"])).unwrap();
    assert_eq!(value["by"], "kept");
    assert_eq!(value["now"], 1_900_000_000);
    assert_eq!(value["known"], false);
    let mut status: Value = serde_json::from_str(&run(&["status", "--json"])).unwrap();
    // Of an object within another, the outer one has the version.
    status["keyd"]["times"]["version"] = 1.into();
    assert_eq!(status["keyd"]["times"], value);
    assert_eq!(status["keyd"]["counters"]["times_set_back"], 3);
}

#[test]
fn time_set_back_takes_seconds_or_a_date() {
    for time in ["1796063415", "2026-11-30T18:30:15Z"] {
        let directory = tempfile::tempdir().unwrap();
        keyd(
            &directory.path().join("admin.sock"),
            move |kind, request| {
                assert_eq!(kind, RequestKind::SetTimeBack);
                let set: SetTimeBack = decode_request(request).unwrap();
                assert_eq!(set.seconds, 1_796_063_415);
                encoded::<SetTimeBack>(Ok(()))
            },
        );
        let output = softsimctl(directory.path(), &["time", "set-back", time]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(output.stdout, b"time set back 2026-11-30T18:30:15Z\n");
    }
    let directory = tempfile::tempdir().unwrap();
    let output = softsimctl(directory.path(), &["time", "set-back", "yesterday"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn an_authentication_exits_with_0_only_when_netd_says_done() {
    let done = Event::Done {
        report: Report::EapTest(EapTest {
            identity: "6001010000000007@wlan.mnc001.mcc001.3gppnetwork.org".into(),
            synchronised: false,
            authentication: authentication(),
            msk: MskComparison::Equal,
            microseconds: 12_345,
        }),
    };
    let (output, values) = eap_test(vec![done]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(values[0]["report"]["msk"], "equal");

    let failed = Event::Failed {
        failure: Failure::Refused,
        reason: "EAP-Failure".into(),
    };
    let (output, values) = eap_test(vec![failed]);
    assert_eq!(output.status.code(), Some(77));
    assert!(values.is_empty(), "a failure is on one stream: {values:?}");
    let failure: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(failure["error"], "EAP-Failure");
    assert_eq!(failure["status"], 77);

    let (output, _) = eap_test(vec![]);
    assert_eq!(output.status.code(), Some(69), "netd closed before the end");
}

#[test]
fn a_command_that_takes_too_long_says_what_happened_last() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("netd.sock")).unwrap();
    let silent = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let mut client = BufReader::new(client);
        client.read_line(&mut String::new()).unwrap();
        let step = Event::Step {
            microseconds: 1,
            text: "DTLS handshake with 192.0.2.1:5684".into(),
        };
        let line = serde_json::to_string(&step).unwrap() + "\n";
        client.get_mut().write_all(line.as_bytes()).unwrap();
        // Until softsimctl gives up.
        client.read_to_end(&mut Vec::new()).unwrap();
    });
    let output = softsimctl(directory.path(), &["--json", "bootstrap", "--timeout", "1"]);
    silent.join().unwrap();
    assert_eq!(output.status.code(), Some(75));
    let failure: Value = serde_json::from_slice(&output.stderr).unwrap();
    let last = "the last thing that happened: DTLS handshake with 192.0.2.1:5684";
    assert_eq!(failure["error"], format!("not done within 1 s; {last}"));
}

#[test]
fn a_secret_that_others_can_read_is_refused_before_anybody_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, b"testing123\n").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let arguments = [
        "eap-test",
        "--radius",
        "127.0.0.1:1812",
        "--secret-file",
        "secret",
    ];
    let output = softsimctl(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(65));
    assert!(
        stderr(&output).contains("got mode 0644: chmod 600 secret"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_radius_server_without_port_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "eap-test",
        "--radius",
        "localhost",
        "--secret-file",
        "secret",
    ];
    let output = softsimctl(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("HOST:PORT"));
}

/// Writes a passphrase, and parameters for a fast derivation.
fn passphrase(directory: &Path) {
    fs::write(directory.join("passphrase"), "correct horse\n").unwrap();
    fs::set_permissions(directory.join("passphrase"), Permissions::from_mode(0o600)).unwrap();
    let init = [
        "vault",
        "init-passphrase",
        "--parameters",
        "parameters",
        "--memory-mib",
        "19",
        "--passes",
        "2",
    ];
    let output = softsimctl(directory, &init);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_passphrase_becomes_a_key_on_standard_input_of_the_program() {
    let directory = tempfile::tempdir().unwrap();
    passphrase(directory.path());
    let unlock = |program: &[&str]| {
        let flags = [
            "vault",
            "unlock",
            "--parameters",
            "parameters",
            "--passphrase-file",
            "passphrase",
            "--",
        ];
        softsimctl(directory.path(), &[&flags[..], program].concat())
    };
    let key = unlock(&["cat"]).stdout;
    assert_eq!(key.len(), 32);
    assert_eq!(
        unlock(&["cat"]).stdout,
        key,
        "the same passphrase, the same key"
    );
    let status = unlock(&["sh", "-c", "exit 78"]).status;
    assert_eq!(
        status.code(),
        Some(78),
        "it is the program itself that ends"
    );
    let absent = unlock(&["./no-such-program"]);
    assert_eq!(absent.status.code(), Some(69));
    assert!(stderr(&absent).contains("no-such-program"));

    let again = softsimctl(
        directory.path(),
        &["vault", "init-passphrase", "--parameters", "parameters"],
    );
    assert_eq!(
        again.status.code(),
        Some(73),
        "the salt of a vault is not replaced"
    );
}

#[test]
fn rekey_runs_the_key_process_and_tells_what_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    passphrase(directory.path());
    let keyd = directory.path().join("keyd");
    fs::write(
        &keyd,
        "#!/bin/sh\necho \"<5>softsim-keyd: $* with $(wc -c) octets\" >&2\nexit $(cat code)\n",
    )
    .unwrap();
    fs::set_permissions(&keyd, Permissions::from_mode(0o700)).unwrap();
    let rekey = |code: &str, flags: &[&str]| {
        fs::write(directory.path().join("code"), code).unwrap();
        let fixed = [
            "vault", "rekey", "--json", "--state", "state", "--keyd", "./keyd",
        ];
        softsimctl(directory.path(), &[&fixed[..], flags].concat())
    };
    let old = [
        "--parameters",
        "parameters",
        "--passphrase-file",
        "passphrase",
    ];
    let new = [
        "--new-parameters",
        "parameters",
        "--new-passphrase-file",
        "passphrase",
    ];
    let output = rekey("0", &[&old[..], &new].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        value["said"],
        "--state state --kek-stdin --new-kek-stdin with 64 octets"
    );
    assert!(value["advice"].as_str().unwrap().contains("old key"));

    let output = rekey(
        "78",
        &[
            "--kek-file",
            "k",
            "--new-kek-credential",
            "c",
            "--capacity",
            "9",
            "--anchor-file",
            "a",
        ],
    );
    assert_eq!(output.status.code(), Some(77));
    let value: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(
        value["error"],
        "--state state --kek-file k --new-kek-credential c --capacity 9 --anchor-file a with 0 octets"
    );
    assert!(value["hint"].as_str().unwrap().contains("as it was"));

    for flags in [
        &["--kek-file", "k"][..],
        &["--new-kek-file", "k"],
        &[
            "--kek-file",
            "k",
            "--development-key",
            "--new-kek-file",
            "n",
        ],
    ] {
        assert_eq!(rekey("0", flags).status.code(), Some(64), "{flags:?}");
    }
}

#[test]
fn accepting_a_vault_needs_its_anchor_and_hands_over_one_key() {
    let directory = tempfile::tempdir().unwrap();
    passphrase(directory.path());
    let keyd = directory.path().join("keyd");
    fs::write(
        &keyd,
        "#!/bin/sh\necho \"<4>softsim-keyd: $* with $(wc -c) octets\" >&2\n",
    )
    .unwrap();
    fs::set_permissions(&keyd, Permissions::from_mode(0o700)).unwrap();
    let accept = |flags: &[&str]| {
        let fixed = [
            "vault", "accept", "--json", "--state", "state", "--keyd", "./keyd",
        ];
        softsimctl(directory.path(), &[&fixed[..], flags].concat())
    };
    let key = [
        "--parameters",
        "parameters",
        "--passphrase-file",
        "passphrase",
    ];
    let output = accept(&[&key[..], &["--anchor-socket", "a"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        value["said"],
        "--state state --kek-stdin --anchor-socket a --accept-vault with 32 octets"
    );
    let both = ["--anchor-socket", "a", "--anchor-file", "a"];
    for flags in [&[][..], &both] {
        let output = accept(&[&key[..], flags].concat());
        assert_eq!(output.status.code(), Some(64), "{flags:?}");
    }
}
