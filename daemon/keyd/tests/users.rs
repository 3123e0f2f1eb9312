//! Who may connect to which socket of the program, how keyd reports others, and what those can't
//! do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use softsim_keyd_proto::requests::{Hello, Status};
use softsim_keyd_proto::{
    MAX_REQUEST, PROTOCOL_VERSION, Refusal, RequestKind, Role, decode_answer, encode_request,
};
use softsim_sandbox::{process, seqpacket};
use softsim_testkit::host::{Host, closes, receive};

const PROGRAM: &str = env!("CARGO_BIN_EXE_softsim-keyd");

/// The number of connections, which is above the number of lines that keyd logs.
const CONNECTIONS: u64 = 500;

fn not_permitted(role: Role) -> Refusal {
    Refusal::NotPermitted {
        request: RequestKind::Hello,
        role,
    }
}

fn hello(connection: &seqpacket::Connection, version: u16) -> Result<Role, Refusal> {
    let mut buffer = [0; MAX_REQUEST];
    let request = encode_request(&Hello { version }, &mut buffer).unwrap();
    connection.send(request).unwrap();
    let answer = decode_answer::<Hello>(&receive(connection)).unwrap();
    answer.map(|answer| answer.role)
}

#[test]
fn a_role_whose_users_are_not_named_admits_nobody_and_says_so() {
    let host = Host::new(PROGRAM)
        .with_users_apart()
        .with("--network-uid=4242");
    let running = host.start();
    for role in [Role::Network, Role::App, Role::Supplicant] {
        let refused = host.raw(role);
        let refusal = decode_answer::<Hello>(&receive(&refused)).unwrap();
        assert_eq!(refusal.unwrap_err(), not_permitted(role));
        assert!(closes(&refused));
    }
    let admin = host.raw(Role::Admin);
    assert_eq!(hello(&admin, PROTOCOL_VERSION), Ok(Role::Admin));
    let said = running.kill();
    for role in [Role::App, Role::Supplicant] {
        let line = format!("the role {role} has a socket and admits nobody");
        assert!(said.contains(&line), "{said}");
    }
    assert!(!said.contains("the role network has a socket"), "{said}");
}

#[test]
fn connections_of_users_that_the_role_does_not_admit_are_counted_and_logged_in_one_line() {
    let host = Host::new(PROGRAM).with_users_apart();
    let running = host.start();
    for _ in 0..CONNECTIONS {
        let refused = host.raw(Role::App);
        let refusal = decode_answer::<Hello>(&receive(&refused)).unwrap();
        assert_eq!(refusal.unwrap_err(), not_permitted(Role::App));
    }
    assert_eq!(host.status().counters.unwrap().refused_users, CONNECTIONS);
    let said = running.kill();
    let lines = said.lines().filter(|line| line.contains("doesn't admit"));
    assert_eq!(lines.count(), 1, "{said}");
    let first = format!("last uid {} to the role app", process::uid());
    assert!(said.contains(&first), "{said}");
}

#[test]
fn user_has_one_role_unless_same_user_is_given() {
    let own = process::uid();
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
    for (flag, why) in [
        (format!("--network-uid={own}"), "the role network"),
        ("--app-uid=0".to_owned(), "the role app"),
        ("--supplicant-uid=0".to_owned(), "the role supplicant"),
        (format!("--app-uid={}", overflow.trim()), "tell apart"),
        (format!("--admin-uid={}", overflow.trim()), "tell apart"),
        ("--app-af=4242=af.example".to_owned(), "--app-uid, got 4242"),
    ] {
        let refused = Host::new(PROGRAM).with_users_apart().with(&flag).refused();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(64), "{flag}: {said}");
        assert!(said.contains(why), "{flag}: {said}");
    }
    let host = Host::new(PROGRAM)
        .with("--app-uid=0")
        .with(format!("--app-uid={own}"));
    let _running = host.start();
    assert_eq!(hello(&host.raw(Role::App), PROTOCOL_VERSION), Ok(Role::App));
}

#[test]
fn a_socket_is_open_to_its_folders_group_only_where_others_are_on_the_list() {
    // Root can change the directory's owner; other users use their own group.
    let group = if process::uid() == 0 {
        4242
    } else {
        process::gid()
    };
    let host = Host::new(PROGRAM)
        .with_users_apart()
        .with("--network-uid=4242");
    chown(host.path(""), None, Some(group)).unwrap();
    fs::set_permissions(host.path(""), Permissions::from_mode(0o2750)).unwrap();
    let _running = host.start();
    for (role, mode) in [
        (Role::Network, 0o660),
        (Role::Admin, 0o600),
        (Role::App, 0o600),
    ] {
        let socket = fs::metadata(host.path(role.name())).unwrap();
        assert_eq!(socket.mode() & 0o777, mode, "{role}");
        assert_eq!(socket.gid(), group, "{role}");
    }
}

#[test]
fn a_refused_hello_ends_its_conversation_and_no_other() {
    let host = Host::new(PROGRAM);
    let _running = host.start();
    let good = host.raw(Role::Network);
    let refusal = Refusal::Version {
        expected: PROTOCOL_VERSION,
        got: 99,
    };
    let version = host.raw(Role::Network);
    assert_eq!(hello(&version, 99), Err(refusal));
    let malformed = host.raw(Role::Network);
    malformed.send(&[RequestKind::Hello as u8]).unwrap();
    assert!(
        decode_answer::<Hello>(&receive(&malformed))
            .unwrap()
            .is_err()
    );
    for refused in [&version, &malformed] {
        assert!(closes(refused));
        assert!(refused.send(&[RequestKind::Status as u8]).is_err());
    }
    assert_eq!(hello(&good, PROTOCOL_VERSION), Ok(Role::Network));
    good.send(&[RequestKind::Status as u8]).unwrap();
    assert!(decode_answer::<Status>(&receive(&good)).unwrap().is_ok());
}
