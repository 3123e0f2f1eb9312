//! The real program, confined as it is shipped, over its sockets.
//!
//! It is separate from the other tests, because a process that is being started holds its parent's
//! files for a moment, locked vaults among them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use softsim_aka::agreement::{Group, PrivateKey};
use softsim_client::keyd::{Connection, Error};
use softsim_keyd_proto::requests::*;
use softsim_keyd_proto::{
    AkaAnswer, Call, IdentityKind, IdentityPrivacy, IdentityRequest, KekSource, Refusal,
    RequestKind, Role, SecretSlice, decode_answer,
};
use softsim_profile::{HomeNetworkKey, HomeNetworkKeys, Profile};
use softsim_sandbox::process;
use softsim_sandbox::random::SystemRng;
use softsim_sandbox::seqpacket::Listener;
use softsim_testkit::device::{ICCID, Operator, profile};
use softsim_testkit::home_network::{HomeNetwork, IDENTITY, RAND};
use softsim_testkit::host::{Host, Running, closes, receive};
use softsim_testkit::over_the_socket::{enrol, provision};
use softsim_testkit::requests::{challenge, identity};

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn it_says_what_is_enforced_and_answers_hello_and_status_on_each_socket() {
    let host = Host::new(PROGRAM).without_supplicant();
    let running = host.start();
    assert!(
        running
            .first_line
            .starts_with("softsim-keyd: enforcing landlock ABI "),
        "{}",
        running.first_line
    );
    for role in [Role::Network, Role::Admin, Role::App] {
        let mut connection = host.connect(role);
        assert_eq!(connection.hello().role, role);
        let enforcement = connection.call(&Status {}).unwrap().enforcement;
        assert!(enforcement.landlock_abi >= 1);
        assert_eq!(enforcement.seccomp_calls, 12);
        assert_eq!(enforcement.kek_source, KekSource::KeyFile);
        assert_eq!(enforcement.identity_privacy, IdentityPrivacy::Patient);
        assert!(!enforcement.supplicant);
        let line = format!(
            "enforcing landlock ABI {}, seccomp 12 calls, key memory {}",
            enforcement.landlock_abi, enforcement.key_memory
        );
        assert!(running.first_line.contains(&line));
    }
    assert_eq!(running.kill(), "", "one line at start, and no other");
}

#[test]
fn supplicant_socket_exists_only_on_request_and_is_logged_as_a_warning() {
    let host = Host::new(PROGRAM).without_supplicant();
    let running = host.start();
    assert!(!host.path("supplicant").exists());
    assert!(!running.first_line.contains("supplicant"));
    drop(running);

    let host = Host::new(PROGRAM).with("--identity-privacy=strict");
    let running = host.start();
    assert_eq!(
        host.connect(Role::Supplicant).hello().role,
        Role::Supplicant
    );
    let line = &running.first_line;
    assert!(
        line.starts_with("softsim-keyd: ") && line.contains("TO THE ROLE supplicant"),
        "{line}"
    );
    let enforcement = host.status().enforcement;
    assert!(enforcement.supplicant);
    assert_eq!(enforcement.identity_privacy, IdentityPrivacy::Strict);
    assert!(line.contains("identity privacy strict"), "{line}");
}

/// keyd's debug build aborts if a request uses more stack than keyd wipes after it.
#[test]
fn key_agreements_and_re_authentications_leave_nothing_below_what_is_scrubbed() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let home_network = PrivateKey::generate(Group::P256, &mut SystemRng).public_key();
    let key = HomeNetworkKey::new(1, 2, home_network.as_bytes()).unwrap();
    let subscription = Profile {
        home_network_keys: HomeNetworkKeys::new(&[key]).unwrap(),
        supplicant_consent: true,
        ..profile(ICCID)
    };
    let operator = Operator::generate();
    let mut admin = host.connect(Role::Admin);
    let (spki, statement) = enrol(&mut admin, &operator);
    let package = operator.seal_to(&spki, &statement, subscription, 1);
    let (txid, package) = ([1; 16], Some(&package[..]));
    admin.call(&Stage { txid, package }).unwrap();
    admin.call(&Commit::new(txid)).unwrap();

    let mut netd = host.connect(Role::Network);
    for (sqn, group, agreed) in [
        (32, Group::X25519, softsim_keyd_proto::Group::X25519),
        (64, Group::P256, softsim_keyd_proto::Group::P256),
    ] {
        let mut home = HomeNetwork::naming(Some("7name"), Some("8name"));
        home.sends.kdfs_fs = vec![group.number()];
        home.sends.group = Some(group);
        let sent = home.challenge(sqn);
        let request = AkaPrimeChallenge {
            forward_secrecy: Some(agreed),
            ..challenge(&sent.packet, IDENTITY)
        };
        let AkaAnswer::Success { handle, .. } = netd.call(&request).unwrap() else {
            panic!("a fresh AUTN was refused");
        };
        netd.call(&Confirm { handle, msk: None }).unwrap();
        let suci = netd.call(&identity(IdentityRequest::Suci)).unwrap();
        assert_eq!(suci.kind, IdentityKind::Suci);
        let shown = netd.call(&identity(IdentityRequest::Any)).unwrap();
        assert_eq!(shown.nai, "8name");
    }
    let autn = HomeNetwork::default().vector(96).autn;
    let raw = UmtsAuthenticate {
        iccid: None,
        rand: RAND,
        autn: *autn.as_bytes(),
    };
    host.connect(Role::Supplicant).call(&raw).unwrap();
    assert_eq!(host.status().counters.unwrap().forward_secret, 2);
}

#[test]
fn state_and_sockets_are_open_to_nobody_else() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&host.path("state")), 0o700);
    assert_eq!(mode(&host.path("state/vault")), 0o600);
    for role in Role::ALL {
        assert_eq!(mode(&host.path(role.name())), 0o600);
    }
}

#[test]
fn from_the_factory_to_an_authentication_and_over_a_power_cut() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    provision(&mut host.connect(Role::Admin), &Operator::generate());
    let sent = HomeNetwork::default().challenge(32);
    let challenge = AkaPrimeChallenge {
        iccid: None,
        identity: IDENTITY,
        packet: &sent.packet,
        forward_secrecy: None,
    };
    let mut netd = host.connect(Role::Network);
    let AkaAnswer::Success { handle, res, .. } = netd.call(&challenge).unwrap() else {
        panic!("a fresh AUTN was refused");
    };
    assert_eq!(res.expose(), sent.res());
    let msk = Some(SecretSlice(sent.msk.as_bytes()));
    netd.call(&Confirm { handle, msk }).unwrap();
    let before = host.status();
    let said = running.kill();
    assert!(said.contains("installed") && !said.contains("001010000000001"));
    assert!(matches!(netd.call(&Status {}), Err(Error::Closed)));

    let _running = host.start();
    let after = host.status();
    assert_eq!(after.device_id, before.device_id);
    assert_eq!(after.profile, before.profile);
    let mut netd = host.connect(Role::Network);
    let answer = netd.call(&challenge).unwrap();
    let AkaAnswer::SynchronisationFailure { auts } = answer else {
        panic!("a used AUTN was taken again");
    };
    assert_eq!(HomeNetwork::default().resynchronise(auts), Some(32));
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let netd = host.raw(Role::Network);
    for _ in 0..20 {
        netd.send(&[RequestKind::Status as u8]).unwrap();
        netd.send(&[RequestKind::DeviceCertificate as u8]).unwrap();
    }
    for _ in 0..20 {
        assert!(decode_answer::<Status>(&receive(&netd)).unwrap().is_ok());
        let certificate = decode_answer::<DeviceCertificate>(&receive(&netd)).unwrap();
        assert_eq!(certificate.unwrap_err(), Refusal::NoDeviceCertificate);
    }
}

#[test]
fn a_datagram_longer_than_any_request_is_refused_and_the_connection_lives() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let netd = host.raw(Role::Network);
    netd.send(&[RequestKind::SignHandshake as u8; 20_000])
        .unwrap();
    let refusal = decode_answer::<Status>(&receive(&netd)).unwrap();
    assert_eq!(
        refusal,
        Err(Refusal::TooLong {
            request: RequestKind::SignHandshake,
            limit: 16384
        })
    );
    netd.send(&[RequestKind::Status as u8]).unwrap();
    assert!(decode_answer::<Status>(&receive(&netd)).unwrap().is_ok());
}

#[test]
fn one_connection_too_many_is_told_so_and_closed() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let held: Vec<_> = (0..16).map(|_| host.connect(Role::App)).collect();
    let refused = host.raw(Role::App);
    let refusal = decode_answer::<Hello>(&receive(&refused)).unwrap();
    assert_eq!(refusal, Err(Refusal::TooManyConnections { limit: 16 }));
    assert!(closes(&refused));
    assert_eq!(
        host.status().counters.unwrap().refused,
        0,
        "other roles are served"
    );
    drop(held);
    assert!(running.kill().contains("1 connections too many"));
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_others_are_served() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let deaf = host.raw(Role::Admin);
    let mut other = host.connect(Role::Network);
    // The client reads no answers. When its queue is full, keyd closes the connection.
    while deaf.send(&[RequestKind::Status as u8]).is_ok() {
        other.call(&Status {}).unwrap();
    }
    assert!(other.call(&Status {}).is_ok());
    assert!(running.kill().contains("doesn't read its answers: dropped"));
}

#[test]
fn without_free_descriptors_new_clients_wait_and_connected_ones_are_served() {
    let host = Host::new(PROGRAM);
    let mut running = host.start_limited("-n 20");
    let mut netd = host.connect(Role::Network);
    let crowd: Vec<_> = (0..16).map(|_| host.raw(Role::App)).collect();
    let mut line = String::new();
    running.log.read_line(&mut line).unwrap();
    assert!(line.contains("can't accept a connection: "), "{line}");
    netd.call(&Status {}).unwrap();
    drop(crowd);
    assert!(host.connect(Role::Admin).call(&Status {}).is_ok());
}

#[test]
fn where_the_storage_fails_no_answer_of_the_pass_leaves_and_it_ends() {
    let host = Host::new(PROGRAM);
    drop(host.start());
    // Files of this process may have no more than 1 KiB from now on: writing the vault fails with
    // EFBIG.
    let mut running = host.start_limited("-f 1");
    let (admin, netd) = (host.raw(Role::Admin), host.raw(Role::Network));
    running.signal("-STOP");
    netd.send(&[RequestKind::Status as u8]).unwrap();
    admin.send(&[RequestKind::GenerateDeviceKey as u8]).unwrap();
    running.signal("-CONT");
    for client in [&netd, &admin] {
        let answer = decode_answer::<Status>(&receive(client)).unwrap();
        assert_eq!(answer.unwrap_err(), Refusal::Storage);
    }
    assert_eq!(running.child.wait().unwrap().code(), Some(74));
    assert!(running.kill().contains("storage failed: "));

    let _running = host.start();
    assert_eq!(host.status().device_id, None);
}

#[test]
fn the_largest_vault_fits_into_the_arena() {
    let host = Host::new(PROGRAM).with("--capacity=256");
    drop(host.start());
    let _running = host.start();
    provision(&mut host.connect(Role::Admin), &Operator::generate());
    assert_eq!(host.status().capacity, 256);
}

#[test]
fn a_stop_and_a_freeze_do_not_kill_it() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let mut admin = host.connect(Role::Admin);
    running.signal("-STOP");
    running.signal("-CONT");
    assert!(admin.call(&Status {}).is_ok());
}

#[test]
fn one_vault_has_one_keyd() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let other = Host::new(PROGRAM);
    let output = Command::new(PROGRAM)
        .arg("--state")
        .arg(host.path("state"))
        .arg("--kek-file")
        .arg(host.path("kek"))
        .arg("--admin")
        .arg(other.path("admin"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("another process holds it"));
}

/// The names, lengths and modes of all files of a host.
fn listing(host: &Host) -> String {
    let listed = Command::new("find")
        .arg(host.path(""))
        .args(["-printf", "%p %s %m %T@\\n"])
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap()
}

#[test]
fn a_check_tells_every_error_with_its_setting_and_makes_nothing() {
    let host = Host::new(PROGRAM)
        .with("--app-user=4242")
        .with("--anchor-file=/nonexistent/anchor");
    fs::remove_file(host.path("kek")).unwrap();
    fs::write(host.path("admin"), b"a file").unwrap();
    let before = listing(&host);
    let check = host.command().arg("--check").output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(78), "{said}");
    for line in [
        "wrong: --kek-file: /",
        "wrong: --admin: can't open the admin socket /",
        "wrong: --anchor-file: /nonexistent/anchor: ",
        "right: --state: /",
        "app: users 4242, groups none",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(listing(&host), before);
    let good = Host::new(PROGRAM);
    let check = good.command().arg("--check").output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(0), "{said}");
    assert!(
        said.lines().all(|line| line.starts_with("right: ")),
        "{said}"
    );
    assert!(!good.path("state").exists() && !good.path("admin").exists());
}

#[test]
fn a_start_that_is_refused_says_why_in_one_line() {
    type Change = fn(&Host);
    let other_kek: Change = |host| {
        drop(host.start());
        fs::remove_file(host.path("kek")).unwrap();
        fs::write(host.path("kek"), [8; 32]).unwrap();
        fs::set_permissions(host.path("kek"), Permissions::from_mode(0o400)).unwrap();
    };
    let open_kek: Change =
        |host| fs::set_permissions(host.path("kek"), Permissions::from_mode(0o644)).unwrap();
    let no_kek: Change = |host| fs::remove_file(host.path("kek")).unwrap();
    let short_kek: Change = |host| {
        fs::remove_file(host.path("kek")).unwrap();
        fs::write(host.path("kek"), [7; 31]).unwrap();
        fs::set_permissions(host.path("kek"), Permissions::from_mode(0o400)).unwrap();
    };
    let open_state: Change = |host| {
        fs::create_dir(host.path("state")).unwrap();
        fs::set_permissions(host.path("state"), Permissions::from_mode(0o770)).unwrap();
    };
    // A process that can read a directory can lock it.
    let readable_state: Change = |host| {
        fs::create_dir(host.path("state")).unwrap();
        fs::set_permissions(host.path("state"), Permissions::from_mode(0o755)).unwrap();
    };
    let foreign_state: Change = |host| {
        fs::create_dir(host.path("state")).unwrap();
        fs::set_permissions(host.path("state"), Permissions::from_mode(0o700)).unwrap();
        chown(host.path("state"), Some(65533), None).unwrap();
    };
    let cut_vault: Change = |host| {
        drop(host.start());
        let vault = fs::File::options()
            .write(true)
            .open(host.path("state/vault"));
        vault.unwrap().set_len(1000).unwrap();
    };
    let taken_socket: Change = |host| fs::write(host.path("admin"), b"a file").unwrap();
    let is_root = process::uid() == 0;
    let of_root = is_root.then_some((
        foreign_state,
        78,
        "expected a directory of uid 0, which runs softsim-keyd, got one of uid 65533",
    ));
    for (change, code, words) in [
        (
            other_kek,
            78,
            "expected the key-encryption key it was made with",
        ),
        (
            open_kek,
            78,
            "kek: expected a file that only its owner may read, got mode 0644: chmod 600 ",
        ),
        (no_kek, 78, "--kek-file: /"),
        (short_kek, 78, "/kek: expected 32 octets, got 31"),
        (
            open_state,
            78,
            "that nobody else may read or write, got mode 770",
        ),
        (
            readable_state,
            78,
            "that nobody else may read or write, got mode 755",
        ),
        (cut_vault, 78, "/state/vault: "),
        (taken_socket, 73, "can't open the admin socket /"),
    ]
    .into_iter()
    .chain(of_root)
    {
        let host = Host::new(PROGRAM);
        change(&host);
        let before = listing(&host);
        let check = host.command().arg("--check").output().unwrap();
        assert_eq!(listing(&host), before, "a check changes nothing");
        let output = host.refused();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
        let reason = said.strip_prefix("softsim-keyd: ").unwrap();
        let checked = String::from_utf8(check.stdout).unwrap();
        // A check doesn't open the vault.
        if host.path("state/vault").exists() {
            assert!(checked.contains("holds a vault, which is not opened\n"));
            assert_eq!(check.status.code(), Some(0), "{checked}");
        } else {
            assert_eq!(check.status.code(), Some(code), "{checked}");
            let same = |line: &str| line.strip_prefix("wrong: ") == Some(reason.trim_end());
            assert!(checked.lines().any(same), "{checked} {reason}");
        }
    }
    let output = Host::new(PROGRAM).with("--verbose").refused();
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("unknown flag --verbose; usage: "));
}

#[test]
fn lines_have_a_level_in_the_journal_and_none_for_people() {
    let refused = |to_journal: bool| {
        let (read, write) = io::pipe().unwrap();
        let file = File::from(OwnedFd::from(write));
        let metadata = file.metadata().unwrap();
        let inode = metadata.ino() + u64::from(!to_journal);
        let mut command = Command::new(PROGRAM);
        command
            .arg("--verbose")
            .env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()))
            .stderr(file);
        assert_eq!(command.status().unwrap().code(), Some(64));
        drop(command);
        io::read_to_string(read).unwrap()
    };
    assert!(refused(true).starts_with("<2>softsim-keyd: unknown flag"));
    assert!(refused(false).starts_with("softsim-keyd: unknown flag"));
}

#[test]
fn help_and_version_are_printed_and_nothing_else_happens() {
    for (flag, printed) in [
        ("--help", "usage: softsim-keyd --state DIR"),
        (
            "--version",
            concat!("softsim-keyd ", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        let output = Command::new(PROGRAM).arg(flag).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(printed));
    }
}

#[test]
fn key_memory_is_secret_or_there_is_no_start_where_it_is_required() {
    let host = Host::new(PROGRAM).with("--key-memory=require");
    let running = host.start();
    let secret = running.first_line.contains("key memory memfd_secret");
    let refused = running
        .first_line
        .contains("key memory: expected memfd_secret, got");
    assert!(secret != refused, "{}", running.first_line);
}

#[test]
fn without_the_sandbox_it_says_so_aloud() {
    let host = Host::new(PROGRAM).with("--sandbox=off");
    let running = host.start();
    let line = "softsim-keyd: NOT CONFINED (--sandbox=off), ";
    assert!(running.first_line.starts_with(line));
    let enforcement = host.status().enforcement;
    assert_eq!(
        (enforcement.landlock_abi, enforcement.seccomp_calls),
        (0, 0)
    );
}

#[test]
fn it_serves_a_socket_that_it_inherits_and_tells_its_manager() {
    let host = Host::new(PROGRAM);
    let inherited = Listener::bind(&host.path("inherited"), 0o600).unwrap();
    let inherited: OwnedFd = std::os::fd::AsFd::as_fd(&inherited)
        .try_clone_to_owned()
        .unwrap();
    let manager = UnixDatagram::bind(host.path("notify")).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // A shell passes the socket and keyd's process id as a service manager would.
    const SCRIPT: &str = "exec 3<&0 0</dev/null; LISTEN_PID=$$ WATCHDOG_PID=$$ exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT, "sh", PROGRAM, "--development-key"])
        .arg("--state")
        .arg(host.path("state"))
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "admin")
        .env("NOTIFY_SOCKET", host.path("notify"))
        .env("WATCHDOG_USEC", "20000")
        .stdin(Stdio::from(inherited))
        .stderr(Stdio::piped());
    let _running = Running::of(&mut command);

    let mut word = [0; 64];
    for expected in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
        // The kernel doesn't restart an interrupted wait that has a timeout (signal(7)).
        let length = loop {
            match manager.recv(&mut word) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        assert_eq!(&word[..length], expected.as_bytes());
    }
    let mut admin = Connection::connect(&host.path("inherited")).unwrap();
    let status = admin.call(&Status {}).unwrap();
    assert_eq!(status.enforcement.kek_source, KekSource::Development);
}

#[test]
fn clients_of_one_pass_are_all_answered() {
    let host = Host::new(PROGRAM);
    let running = host.start();
    let clients: Vec<_> = (0..16).map(|_| host.raw(Role::Admin)).collect();
    // While keyd is stopped, each client queues a request.
    running.signal("-STOP");
    for client in &clients {
        client.send(&[RequestKind::Status as u8]).unwrap();
    }
    running.signal("-CONT");
    for client in &clients {
        assert!(decode_answer::<Status>(&receive(client)).unwrap().is_ok());
    }
}

#[test]
fn a_request_of_another_role_is_refused_and_the_client_sees_the_refusal() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let mut app = host.connect(Role::App);
    let error = app.call(&GenerateDeviceKey {}).unwrap_err();
    let request = GenerateDeviceKey::KIND;
    let role = Role::App;
    assert!(matches!(
        error,
        Error::Refused(refusal) if refusal == Refusal::NotPermitted { request, role }
    ));
}
